"""The query of a search: parameters in, a checked :class:`.ports.Search` out (PS3.18 8.3.4, 10.6)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydicom.config import IGNORE
from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import BaseTag

from dicomfab.dicomweb.ports import Search
from dicomfab.model import values
from dicomfab.model.errors import InvalidInput
from dicomfab.model.query import Level

_LEVELS: Final = (Level.STUDY, Level.SERIES, Level.IMAGE)
# PS3.18 tables 10.6.3-3 to 10.6.3-5. Retrieve URL is added to the answers.
_RETURNED: Final[Mapping[Level, tuple[str, ...]]] = {
    Level.STUDY: tuple(
        "StudyDate StudyTime AccessionNumber InstanceAvailability ModalitiesInStudy ReferringPhysicianName"
        " TimezoneOffsetFromUTC PatientName PatientID PatientBirthDate PatientSex StudyInstanceUID StudyID"
        " StudyDescription NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances".split()
    ),
    Level.SERIES: tuple(
        "Modality TimezoneOffsetFromUTC SeriesDescription StudyInstanceUID SeriesInstanceUID SeriesNumber"
        " NumberOfSeriesRelatedInstances PerformedProcedureStepStartDate PerformedProcedureStepStartTime"
        " RequestAttributesSequence".split()
    ),
    Level.IMAGE: tuple(
        "SOPClassUID SOPInstanceUID InstanceAvailability TimezoneOffsetFromUTC StudyInstanceUID SeriesInstanceUID"
        " InstanceNumber Rows Columns BitsAllocated NumberOfFrames".split()
    ),
}
#: Parameters of a search that are no attributes; ``accept`` is read elsewhere.
_OPTIONS: Final = frozenset(
    {"accept", "emptyvaluematching", "fuzzymatching", "includefield", "limit", "multiplevaluematching", "offset"}
)
_NOT_DONE: Final = {
    "fuzzymatching": "Only literal matching has been performed.",
    "emptyvaluematching": "Empty Value Matching has not been performed.",
    "multiplevaluematching": "Multiple Value Matching has not been performed.",
}
_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_DATE: Final = r"[0-9]{8}"
_TIME: Final = r"[0-9]{2}(?::?[0-9]{2}(?::?[0-9]{2}(?:\.[0-9]{1,6})?)?)?"
_DATE_TIME: Final = r"[0-9]{4,14}(?:\.[0-9]{1,6})?(?:[+-][0-9]{4})?"
_FORMS: Final[dict[str, re.Pattern[str]]] = {
    vr: re.compile(f"{form}|{form}-|-{form}|{form}-{form}")
    for vr, form in (("DA", _DATE), ("TM", _TIME), ("DT", _DATE_TIME))
}
_FORMS.update(dict.fromkeys(("DS", "FD", "FL"), _NUMBER))
_INTEGER_VRS: Final = frozenset({"SL", "SS", "SV", "UL", "US", "UV"})
_FORMS.update(dict.fromkeys(("IS", *_INTEGER_VRS), re.compile(r"[+-]?[0-9]{1,12}")))
_MAX_VALUE: Final = 4096
_MAX_COUNT: Final = 1_000_000_000
_UNMATCHED_VRS: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UN"})


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A search with what is not the store's concern.

    Args:
        search: for the store.
        limit: at most so many answers; ``None`` if all are wanted.
        offset: so many are left out before.
        warnings: what was asked for and is not done, for the Warning header (PS3.18 8.3.4.2).
    """

    search: Search
    limit: int | None
    offset: int
    warnings: tuple[str, ...]


def parse_search(
    level: Level,
    path: Mapping[str, str],
    query: Sequence[tuple[str, str]],
    can_match: Callable[[Level, int], bool],
) -> SearchRequest:
    """Check the query of a search.

    Args:
        level: what is searched for.
        path: the UIDs that the path gives, by keyword; checked already.
        query: names and values.
        can_match: see :meth:`.ports.WebStore.can_match`.

    Raises:
        InvalidInput: a parameter that is not known or has a value that it cannot have; ``field`` is its name.
    """
    levels = _levels(level, path)
    identifier = Dataset()
    identifier.add(_element(0x00080005, "CS", "ISO_IR 192"))
    identifier.add(_element(0x00080052, "CS", level.value))
    for one in levels:
        for keyword in _RETURNED[one]:
            _include(identifier, _path_of(keyword, field="includefield"))
    include_all = False
    for name in _listed(value for option, value in query if option == "includefield"):
        if name == "all":
            include_all = True
        else:
            _include(identifier, _path_of(name, field="includefield"))
    _match_all(identifier, level, path, query, can_match)
    options = _options(query)
    return SearchRequest(
        Search(level, identifier, include_all, levels),
        _count(options, "limit"),
        _count(options, "offset") or 0,
        tuple(
            f"The {name} parameter is not supported. {told}" for name, told in _NOT_DONE.items() if _flag(options, name)
        ),
    )


def _levels(level: Level, path: Mapping[str, str]) -> tuple[Level, ...]:
    """The level searched for, and those above it that the path leaves open (PS3.18 10.6.3.3)."""
    above = _LEVELS[: _LEVELS.index(level)]
    fixed = {Level.STUDY: "StudyInstanceUID", Level.SERIES: "SeriesInstanceUID"}
    return (*(one for one in above if fixed[one] not in path), level)


def _options(query: Sequence[tuple[str, str]]) -> dict[str, str]:
    options: dict[str, str] = {}
    for name, value in query:
        if name not in _OPTIONS or name in ("accept", "includefield"):
            continue
        if name in options:
            raise _bad(name, value, "it is given twice", "give it once")
        options[name] = value
    return options


def _match_all(
    identifier: Dataset,
    level: Level,
    path: Mapping[str, str],
    query: Sequence[tuple[str, str]],
    can_match: Callable[[Level, int], bool],
) -> None:
    given: dict[tuple[int, ...], tuple[str, list[str]]] = {}
    for name, value in query:
        if name not in _OPTIONS:
            given.setdefault(_path_of(name, field=name), (name, []))[1].append(value)
    for tags, (name, texts) in given.items():
        vr = _vr(tags[-1])
        fixed = path.get(keyword_for_tag(tags[-1])) if len(tags) == 1 else None
        if len(texts) > 1 and vr != "UI":
            raise _bad(name, texts[1], "it is given twice", "give each attribute once")
        if fixed and texts != [fixed]:
            raise _bad(name, texts[0], "the path of the request says otherwise", "leave it out")
        value = _value(name, vr, texts)
        if value and not can_match(level, tags[0]):
            cause = f"this attribute cannot be a key in a search for {_NAMES[level]}"
            raise _bad(name, value, cause, "leave it out, or search at the level that it belongs to")
        _put(identifier, tags, value)
    for keyword, uid in path.items():
        _put(identifier, _path_of(keyword, field=keyword), uid)


_NAMES: Final = {Level.STUDY: "studies", Level.SERIES: "series", Level.IMAGE: "instances"}


def _path_of(name: str, *, field: str) -> tuple[int, ...]:
    """``ModalitiesInStudy``, ``00080061`` or ``00400275.00400009`` as tags; all but the last are sequences."""
    ids = name.split(".")
    tags = tuple(_tag(one, name, field) for one in ids)
    for tag in tags[:-1]:
        if _vr(tag) != "SQ":
            raise _bad(field, name, f"{keyword_for_tag(tag)} is no sequence", "name the attribute itself")
    return tags


def _tag(text: str, name: str, field: str) -> int:
    tag = int(text, 16) if _TAG.fullmatch(text) else tag_for_keyword(text) if text else None
    # What is to be returned may be unknown to the dictionary; what has to match has to have a VR.
    if tag is None or (field != "includefield" and not dictionary_has_tag(tag)) or not tag & 0xFFFF:
        raise _bad(
            field,
            name,
            f"{text!r} is neither a parameter of a search nor an attribute of the data dictionary",
            "use a keyword such as PatientID or a tag of eight hexadecimal digits such as 00100020",
        )
    return tag


def _listed(texts: Iterable[str]) -> list[str]:
    return [name.strip() for text in texts for name in text.split(",") if name.strip()]


def _vr(tag: int) -> str:
    if not dictionary_has_tag(tag):
        return "UN"
    vr = dictionary_VR(tag)
    return vr if len(vr) == 2 else "US" if vr.startswith("US") else "OW"


def _value(name: str, vr: str, texts: list[str]) -> str:
    if vr == "UI":
        uids = [one for text in texts for one in re.split(r"[,\\]", text) if one not in ("", "*")]
        return "\\".join(values.uid(one, field=name) for one in uids)
    (text,) = texts
    if len(text) > _MAX_VALUE or any(ord(char) < 32 for char in text):
        raise _bad(name, text[:50], "it is too long or has control characters", "shorten it")
    if not text:
        return ""
    if vr in _UNMATCHED_VRS:
        raise _bad(name, text, f"values of {vr} cannot be matched", "name an attribute within it, or leave it out")
    form = _FORMS.get(vr)
    for value in text.split("\\") if form else ():
        if form and not form.fullmatch(value.strip()):
            raise _bad(name, text, f"its value representation is {vr}", _REMEDIES.get(vr, "give a number"))
    return text


_REMEDIES: Final = {
    "DA": "give a date YYYYMMDD, or a range of two with a hyphen between, either of which may be missing",
    "TM": "give a time HHMMSS, or a range of two with a hyphen between, either of which may be missing",
    "DT": "give a date and time YYYYMMDDHHMMSS, or a range of two with a hyphen between",
}


def _include(identifier: Dataset, tags: tuple[int, ...]) -> None:
    if tags[0] not in identifier:
        identifier.add(_element(tags[0], _vr(tags[0]), ""))


def _put(identifier: Dataset, tags: tuple[int, ...], value: str) -> None:
    """Set a key, in the first item of each sequence on the way (PS3.4 C.2.2.2.6)."""
    for tag in tags[:-1]:
        if tag not in identifier or not identifier[tag].value:
            identifier.add(DataElement(BaseTag(tag), "SQ", Items([Dataset()])))
        identifier = identifier[tag].value[0]
    if value or tags[-1] not in identifier:
        identifier.add(_element(tags[-1], _vr(tags[-1]), value))


def _element(tag: int, vr: str, text: str) -> DataElement:
    if vr == "SQ":
        return DataElement(BaseTag(tag), vr, Items())
    if text and vr in _INTEGER_VRS:
        return DataElement(BaseTag(tag), vr, [int(one) for one in text.split("\\")], validation_mode=IGNORE)
    return DataElement(BaseTag(tag), vr, text or None, validation_mode=IGNORE)


def _count(options: Mapping[str, str], name: str) -> int | None:
    text = options.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= _MAX_COUNT):
        raise _bad(name, text[:50], "it is a number of answers", "give a whole number, 0 or more")
    return int(text)


def _flag(options: Mapping[str, str], name: str) -> bool:
    text = options.get(name, "false")
    if text not in ("true", "false"):
        raise _bad(name, text[:50], "it is a yes or no", "give true or false")
    return text == "true"


def _bad(field: str, value: str, cause: str, remedy: str) -> InvalidInput:
    return InvalidInput(
        f"the query parameter {field} cannot be {value[:100]!r}", field=field, value=value, cause=cause, remedy=remedy
    )
