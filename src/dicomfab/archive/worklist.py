"""The matching rules of the Modality Worklist (PS3.4 K.2.2.2 and table K.6-1), pure: a key may be any attribute.

Single values match as in :mod:`dicomfab.archive.matching`. What a worklist adds:

* sequences (C.2.2.2.6): the one item of a key has to match one item of the attribute, as a whole;
* the start of a scheduled procedure step: a range of dates and one of times are one range, from the first time of the
  first day to the last time of the last (table K.6-1);
* an attribute without a value matches no key but the universal one (K.2.2.1.1.1).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from pydicom.charset import default_encoding
from pydicom.config import IGNORE
from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import BaseTag

from dicomfab.archive.errors import ArchiveQueryError
from dicomfab.archive.matching import Predicate, compile_key, date_bounds, is_literal, normal_date, split_values
from dicomfab.archive.text import SPECIFIC_CHARACTER_SET, UTF_8, encodings, identifier_values

SCHEDULED_STEP: Final = 0x00400100
STATION_AE_TITLE: Final = 0x00400001
START_DATE: Final = 0x00400002
START_TIME: Final = 0x00400003
STEP_STATUS: Final = 0x00400020
MODALITY: Final = 0x00080060
ACCESSION_NUMBER: Final = 0x00080050
PATIENT_ID: Final = 0x00100020

# No keys, wherever they come: Query/Retrieve Level, which a worklist does not have, and what says how to read others.
_NO_KEYS: Final = frozenset({SPECIFIC_CHARACTER_SET, 0x00080052, 0x00080201})
# Value representations whose values are bytes, or tags: nothing to compare texts with.
_UNMATCHED_VRS: Final = frozenset({"AT", "OB", "OD", "OF", "OL", "OV", "OW", "UN"})
#: The return keys of type 1 (table K.6-1), outside and inside the scheduled procedure step.
_ALWAYS: Final = (PATIENT_ID, 0x00100010, 0x0020000D, SCHEDULED_STEP, 0x00401001)
_ALWAYS_IN_STEP: Final = (MODALITY, STATION_AE_TITLE, START_DATE, START_TIME, 0x00400009)
_MOMENT: Final = r"[0-9]{4}(?:[0-9]{2}){0,5}(?:(?<=[0-9]{14})\.[0-9]{1,6})?"
_DATE_TIME: Final = re.compile(_MOMENT)
_DATE_TIMES: Final = re.compile(rf"({_MOMENT})?-({_MOMENT})?")
_DATE_TIME_DIGITS: Final = 20


@dataclass(frozen=True, slots=True)
class _Keys:
    """The keys of an identifier, or of an item in it.

    Args:
        texts: all but the sequences: tag -> VR and value, in the order of the identifier.
        tests: tag, VR and predicate of those that are not universal.
        sequences: those that have an item: tag -> its keys.
        whole: sequences without an item, or with an empty one: all that is in them is wanted.
        start: whether date and time are within a range of both, if they are matched together.
    """

    texts: Mapping[int, tuple[str, str]]
    tests: tuple[tuple[int, str, Predicate], ...] = ()
    sequences: Mapping[int, _Keys] | None = None
    whole: frozenset[int] = frozenset()
    start: Callable[[str, str], bool] | None = None

    @property
    def nested(self) -> Mapping[int, _Keys]:
        return self.sequences or {}

    @property
    def is_universal(self) -> bool:
        return not self.tests and self.start is None and all(one.is_universal for one in self.nested.values())


_NOTHING: Final = _Keys({})


class WorklistKeys:
    """The identifier of a worklist query, checked and compiled once (PS3.4 K.4.1.1.3).

    The properties are for a database that narrows its search first: what they exclude never matches, what they let
    through may still not. Without a key, and with one that no list of equal values stands for, they say nothing.

    Args:
        identifier: of the request.

    Raises:
        ArchiveQueryError: a value that cannot be a key for its VR, or a sequence of several items.
    """

    def __init__(self, identifier: Dataset) -> None:
        self._keys = _compile(identifier, "", "")
        self._step = self._keys.nested.get(SCHEDULED_STEP, _NOTHING)

    @property
    def start_dates(self) -> tuple[str, str] | None:
        """First and last scheduled start date, ``YYYYMMDD``, both included; blank where the range is open."""
        pattern = self._step.texts.get(START_DATE, ("", ""))[1]
        bounds = date_bounds(pattern) if pattern else None
        return None if bounds is None else (bounds[0].replace("00000000", ""), bounds[1].replace("99999999", ""))

    @property
    def station_ae_titles(self) -> frozenset[str]:
        """Scheduled station AE titles, one of which has to be."""
        return _literals(self._step, STATION_AE_TITLE)

    @property
    def modalities(self) -> frozenset[str]:
        """Modalities, one of which has to be."""
        return _literals(self._step, MODALITY)

    @property
    def statuses(self) -> frozenset[str]:
        """Scheduled procedure step statuses, one of which has to be."""
        return _literals(self._step, STEP_STATUS)

    @property
    def patient_id(self) -> str:
        """The one patient ID that matches, or blank."""
        return _only(_literals(self._keys, PATIENT_ID))

    @property
    def accession_number(self) -> str:
        """The one accession number that matches, or blank."""
        return _only(_literals(self._keys, ACCESSION_NUMBER))

    def matches(self, item: Dataset) -> bool:
        """Whether a worklist item is among those asked for.

        Args:
            item: a scheduled procedure step, with its requested procedure, imaging service request and patient.
        """
        return _matches(self._keys, item, "")

    def answer(self, item: Dataset) -> Dataset:
        """The identifier of the response for an item that matches (PS3.4 K.2.2.1.2).

        It has what was asked for, empty where the item has no value, and the return keys of type 1. Of several
        scheduled procedure steps in the item, it has the first that matches: a response is about one.
        """
        answer = _answer(self._keys, item, _ALWAYS)
        texts = [text for text in _texts(answer) if not text.isascii()]
        if texts:
            own = _character_set(item)
            known = own if all(_is_writable(text, own) for text in texts) else UTF_8
            answer.add(DataElement(SPECIFIC_CHARACTER_SET, "CS", known, validation_mode=IGNORE))
        return answer


def _compile(identifier: Dataset, inherited: str, path: str) -> _Keys:
    character_set = _character_set(identifier) or inherited
    texts: dict[int, tuple[str, str]] = {}
    tests: list[tuple[int, str, Predicate]] = []
    sequences: dict[int, _Keys] = {}
    whole: set[int] = set()
    tags = [int(tag) for tag in identifier.keys() if _is_key(int(tag))]  # noqa: SIM118 (iterating reads every value)
    for tag, (vr, pattern) in _values(identifier, tags, inherited).items():
        name = f"{path}{keyword_for_tag(tag) or BaseTag(tag)}"
        if vr == "SQ":
            item = _only_item(identifier, tag, name)
            if item:
                sequences[tag] = _compile(item, character_set, f"{name}.")
            else:
                whole.add(tag)
            continue
        texts[tag] = (vr, pattern)
        predicate = _predicate(vr, pattern, name)
        if predicate is not None:
            tests.append((tag, vr, predicate))
    start = _start(texts) if path == "ScheduledProcedureStepSequence." else None
    if start is not None:
        tests = [test for test in tests if test[0] not in (START_DATE, START_TIME)]
    return _Keys(texts, tuple(tests), sequences, frozenset(whole), start)


def _is_key(tag: int) -> bool:
    """Group lengths are none, and private attributes are nobody's here."""
    return tag not in _NO_KEYS and tag & 0xFFFF != 0 and not tag >> 16 & 1


def _only_item(identifier: Dataset, tag: int, name: str) -> Dataset | None:
    items = list(_items(identifier, tag))
    if len(items) > 1:
        raise ArchiveQueryError(
            f"the key {name} has {len(items)} items",
            field=name,
            cause="a sequence is matched by one item (PS3.4 C.2.2.2.6)",
            remedy="send one query for each item",
        )
    return items[0] if items else None


def _predicate(vr: str, pattern: str, name: str) -> Predicate | None:
    if vr in _UNMATCHED_VRS:
        return None
    try:
        return _date_time(pattern) if vr == "DT" else compile_key(vr, pattern)
    except ValueError as error:
        raise ArchiveQueryError(
            f"the key {name} cannot be matched: {error}",
            field=name,
            cause=f"its value representation is {vr}",
            remedy="correct the value, or leave the key empty",
        ) from error


def _date_time(pattern: str) -> Predicate | None:
    """A DT key; one with an offset from UTC only matches what is written in the same way."""
    predicate = compile_key("DT", pattern)
    value = pattern.strip()
    ends = _DATE_TIMES.fullmatch(value)
    if predicate is None or not (ends or _DATE_TIME.fullmatch(value)):
        return predicate
    first, last = ends.groups() if ends else (value, value)
    if not first and not last:
        raise ValueError("a range needs at least one end")
    return partial(_is_between, _digits(first or "", "0"), _digits(last or "", "9"))


def _is_between(first: str, last: str, stored: str) -> bool:
    return _DATE_TIME.fullmatch(stored) is not None and first <= _digits(stored, "0") <= last


def _digits(moment: str, filler: str) -> str:
    return moment.replace(".", "").ljust(_DATE_TIME_DIGITS, filler)


def _start(texts: Mapping[int, tuple[str, str]]) -> Callable[[str, str], bool] | None:
    """Start date and start time as one range, where both are ranges (PS3.4 table K.6-1)."""
    dates, times = (texts.get(tag, ("", ""))[1] for tag in (START_DATE, START_TIME))
    bounds = date_bounds(dates)
    if bounds is None or "-" not in dates or "-" not in times or "\\" in times:
        return None
    begin, _, end = times.partition("-")
    return partial(_starts_between, bounds[0] + _of_day(begin, "0"), bounds[1] + _of_day(end, "9"))


def _starts_between(first: str, last: str, date: str, time: str) -> bool:
    return bool(date and time) and first <= normal_date(date) + _of_day(time, "0") <= last


def _of_day(time: str, filler: str) -> str:
    return time.strip().replace(":", "").replace(".", "").ljust(12, filler)


def _literals(keys: _Keys, tag: int) -> frozenset[str]:
    """The values one of which an attribute has to have; none if more than these may match."""
    vr, pattern = keys.texts.get(tag, ("CS", ""))
    values = [value for value in split_values(vr, pattern) if value]
    return frozenset(values) if all(is_literal(vr, value) for value in values) else frozenset()


def _only(values: frozenset[str]) -> str:
    return next(iter(values)) if len(values) == 1 else ""


def _matches(keys: _Keys, dataset: Dataset, inherited: str) -> bool:
    tags = [tag for tag, _, _ in keys.tests]
    values = _values(dataset, [*tags, START_DATE, START_TIME], inherited)
    for tag, vr, predicate in keys.tests:
        stored = split_values(vr, values.get(tag, ("", ""))[1])
        if not any(value and predicate(value) for value in stored):
            return False
    if keys.start is not None and not keys.start(*(values.get(tag, ("", ""))[1] for tag in (START_DATE, START_TIME))):
        return False
    character_set = _character_set(dataset) or inherited
    return all(
        any(_matches(inner, item, character_set) for item in _items(dataset, tag))
        for tag, inner in keys.nested.items()
        if not inner.is_universal
    )


def _values(dataset: Dataset, tags: Iterable[int], inherited: str) -> dict[int, tuple[str, str]]:
    """Some attributes as texts: tag -> (VR, value); an item is in the character set of what it is in (PS3.5 7.5.3)."""
    wanted: dict[BaseTag, DataElement | RawDataElement] = {
        BaseTag(tag): dataset.get_item(tag) for tag in tags if tag in dataset
    }
    character_set = _character_set(dataset) or inherited
    if character_set:
        charset = DataElement(SPECIFIC_CHARACTER_SET, "CS", character_set, validation_mode=IGNORE)
        wanted[BaseTag(SPECIFIC_CHARACTER_SET)] = charset
    values = identifier_values(Dataset(wanted))
    values.pop(SPECIFIC_CHARACTER_SET, None)
    return values


def _character_set(dataset: Dataset) -> str:
    if SPECIFIC_CHARACTER_SET not in dataset:
        return ""
    own = Dataset({BaseTag(SPECIFIC_CHARACTER_SET): dataset.get_item(SPECIFIC_CHARACTER_SET)})
    return identifier_values(own)[SPECIFIC_CHARACTER_SET][1]


def _items(dataset: Dataset, tag: int) -> Iterator[Dataset]:
    if tag in dataset:
        element = dataset[tag]
        if element.VR == "SQ":
            yield from element.value or ()


def _answer(keys: _Keys, dataset: Dataset, always: tuple[int, ...]) -> Dataset:
    held = dict(dataset.items())
    answer = {
        tag: _element(dataset, tag, vr) if tag in held else _empty(tag, vr) for tag, (vr, _) in keys.texts.items()
    }
    for tag in {*keys.nested, *keys.whole}:
        answer[tag] = _sequence(tag, keys, dataset)
    for tag in always:
        if tag not in answer and tag in held:
            answer[tag] = _sequence(tag, keys, dataset) if tag == SCHEDULED_STEP else _element(dataset, tag, "")
    return Dataset({BaseTag(tag): element for tag, element in answer.items()})


def _sequence(tag: int, keys: _Keys, dataset: Dataset) -> DataElement:
    items = list(_items(dataset, tag))
    inner = keys.nested.get(tag, _NOTHING)
    always: tuple[int, ...] = ()
    if tag == SCHEDULED_STEP:
        character_set = _character_set(dataset)
        items = [item for item in items if _matches(inner, item, character_set)][:1]
        always = _ALWAYS_IN_STEP
    made = [_copy(item) if tag in keys.whole else _answer(inner, item, always) for item in items]
    return DataElement(BaseTag(tag), "SQ", DicomSequence(made))


def _copy(item: Dataset) -> Dataset:
    """All of an item but its character set, which the answer has for all."""
    copy = Dataset()
    for element in item:
        if element.tag != SPECIFIC_CHARACTER_SET:
            copy.add(_element(item, element.tag, element.VR))
    return copy


def _empty(tag: int, vr: str) -> DataElement:
    """What was asked for and has no value; nothing has to be converted, which is what costs most."""
    return DataElement(BaseTag(tag), vr, None, already_converted=True, validation_mode=IGNORE)


def _element(dataset: Dataset, tag: int, vr: str) -> DataElement:
    if tag not in dataset:
        return _empty(tag, vr)
    element = dataset[tag]
    if element.VR != "SQ":
        return element
    return DataElement(BaseTag(tag), "SQ", DicomSequence([_copy(item) for item in element.value or ()]))


def _texts(dataset: Dataset) -> Iterator[str]:
    for element in dataset.values():
        value: Any = element.value
        if element.VR == "SQ":
            for item in value or ():
                yield from _texts(item)
        elif value and not isinstance(value, bytes):
            yield str(value)


def _is_writable(text: str, character_set: str) -> bool:
    # pydicom's name for the default repertoire is that of an encoding with more than ASCII in it.
    known = [one for one in encodings(character_set.encode("ascii", "replace")) if one != default_encoding]
    return all(character.isascii() or any(_has(one, character) for one in known) for character in text)


def _has(encoding: str, character: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
