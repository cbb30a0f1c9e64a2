"""The attributes of one instance, for reading: nested, searched, each value as text. Bounded, whatever the file holds.

The place of an attribute is written as DCMTK's tools write it, items counted from 0:
``(0040,0275)[0].(0008,0104)``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dicomfab.access.policy import Action, require
from dicomfab.access.policy import Scope as Realm
from dicomfab.archive.matching import trim
from dicomfab.archive.text import value_text
from dicomfab.model.errors import InvalidInput, NotFound, TranscodingFailed
from dicomfab.pixels.elements import named
from dicomfab.services.attribute_reader import Raw, Reader, Scope, opened

if TYPE_CHECKING:
    from dicomfab.archive.records import StoredInstance
    from dicomfab.model.actor import Actor
    from dicomfab.services.studies import StudyService

#: Characters of a value that are shown at first.
SHOWN: Final = 200
#: Bytes of a value that are shown at most.
LONGEST_BYTES: Final = 64 << 10
#: Bytes of a binary value that are shown.
FIRST_BYTES: Final = 16
#: Rows that come with a page; what is below them is asked for.
ROWS: Final = 400
ITEMS_AT_ONCE: Final = 50
_INLINE_ITEMS: Final = 5
#: What a search finds at most, and how many elements it looks at.
MATCHES: Final = 500
LOOKED_AT: Final = 100_000

_NUMBERS: Final = {"US": 2, "SS": 2, "UL": 4, "SL": 4, "FL": 4, "FD": 8, "UV": 8, "SV": 8, "AT": 4}
_BINARY: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_ONE_VALUE: Final = frozenset({"LT", "ST", "UT", "UR"})
_WITHOUT_ESCAPES: Final = ("UTF8", "utf-8", "GB18030", "GBK")  # by Python's names (PS3.3 C.12.1.1.2)
_STEP: Final = re.compile(r"\(?([0-9A-Fa-f]{4}),?([0-9A-Fa-f]{4})\)?(?:\[(\d{1,8})\])?")


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute as text.

    Args:
        path: where it stands.
        tag: as the standard writes it.
        keyword, name: of the data dictionary; blank if it does not know the attribute.
        creator: of a private one.
        vr: value representation.
        vm: how many values it has.
        length: of the value in bytes.
        value: as text in Unicode, values joined by backslash; of a binary one the first bytes.
        characters: the whole value has; more than are in ``value`` if it is cut.
        is_cut: there is more than ``value`` shows.
        items: of a sequence.
    """

    path: str
    tag: str
    keyword: str
    name: str
    creator: str
    vr: str
    vm: int
    length: int
    value: str
    is_cut: bool = False
    items: int | None = None

    @property
    def is_binary(self) -> bool:
        """Whether its value is bytes."""
        return self.vr in _BINARY and self.items is None

    def as_dict(self) -> dict[str, Any]:
        """What is not blank, as plain values."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in values.items() if value not in ("", False, None)}


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a sequence.

    Args:
        number: from 0.
        path: where it stands.
        nodes: its attributes.
    """

    number: int
    path: str
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """An attribute, and what of its items comes along.

    Args:
        attribute: itself.
        children: its first items; those that are missing are asked for by its path.
    """

    attribute: Attribute
    children: tuple[Item, ...] = ()

    @property
    def missing(self) -> int:
        """Items that did not come along."""
        return (self.attribute.items or 0) - len(self.children) if self.attribute.vr == "SQ" else 0


@dataclass(frozen=True, slots=True)
class Tree:
    """Attributes of an instance, or the items of one of its sequences.

    Args:
        path: of the sequence; blank for the instance.
        nodes: of the instance.
        items: of the sequence.
        total: how many items it has.
        first: the number of the first one here.
        transfer_syntax_uid: of the instance.
        problem: why the file could not be read to its end; blank if it could.
    """

    path: str
    nodes: tuple[Node, ...] = ()
    items: tuple[Item, ...] = ()
    total: int = 0
    first: int = 0
    transfer_syntax_uid: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found.

    Args:
        attributes: in the order of the file.
        looked_at: how many elements.
        is_complete: there is nothing more to find.
        problem: why the file could not be read to its end.
    """

    attributes: tuple[Attribute, ...]
    looked_at: int
    is_complete: bool
    problem: str = ""


def instance_of(
    studies: StudyService, actor: Actor, study_instance_uid: str, sop_instance_uid: str, series_instance_uid: str = ""
) -> StoredInstance:
    """An instance of a local study.

    Raises:
        NotFound: it is not in the study, or not in the series that is named.
        AccessDenied: the study came from an environment that the actor may not view.
    """
    studies.brief(actor, study_instance_uid)
    found = studies.local.find_instance(sop_instance_uid)
    if (
        found is None
        or found.study_instance_uid != study_instance_uid
        or series_instance_uid not in ("", found.series_instance_uid)
    ):
        raise NotFound(
            f"there is no instance {sop_instance_uid[:64]} in this study.",
            cause="it was deleted, or the address is mistyped",
            remedy="open the study, and choose an instance",
        )
    return found


def first_instance(studies: StudyService, actor: Actor, study_instance_uid: str) -> StoredInstance:
    """The first instance of the first series of a local study.

    Raises:
        NotFound, AccessDenied: as :func:`instance_of`.
    """
    detail = studies.brief(actor, study_instance_uid)
    series = detail.series[0].series_instance_uid
    return instance_of(studies, actor, study_instance_uid, studies.local.instance_uids(study_instance_uid, series)[0])


def file_of(studies: StudyService, actor: Actor, reference: str) -> Path:
    """The file that a person means: its path, a local SOP Instance UID, or a study, of which the first instance.

    Raises:
        NotFound: there is nothing like that.
        AccessDenied: it came from production, as plain files may have, and the actor may not view that.
    """
    path = Path(reference)
    if path.is_file():
        require(actor, Action.VIEW, Realm.PROD)
        return path
    known = studies.local.find_instance(reference)
    if known is not None:
        return instance_of(studies, actor, known.study_instance_uid, reference).path
    return first_instance(studies, actor, studies.resolve_reference(actor, reference)).path


def tree(path: Path, at: str = "", *, first: int = 0) -> Tree:
    """The attributes of an instance, or the items of a sequence of it.

    Args:
        path: its file; the caller has seen to it that it may be looked at.
        at: the sequence; blank for the whole instance.
        first: the item to begin with.

    Raises:
        NotFound: there is no such sequence.
        InvalidInput: what ``at`` says is no place.
    """
    with opened(path) as reader:
        work = _Work(reader, ROWS)
        syntax = reader.transfer_syntax_uid
        if not at:
            nodes = (*work.nodes(reader.meta, ""), *work.nodes(reader.dataset, ""))
            return Tree("", nodes, transfer_syntax_uid=syntax, problem=work.problem)
        raw, place = _located(reader, at)
        if not raw.is_sequence:
            raise _nowhere(at)
        items = work.items(raw, place, first, ITEMS_AT_ONCE)
        return Tree(place, (), items, raw.items or 0, first, syntax, work.problem)


def value_of(path: Path, at: str) -> Attribute:
    """One attribute with its value as far as it is ever shown.

    Raises:
        NotFound, InvalidInput: as :func:`tree`.
    """
    with opened(path) as reader:
        raw, place = _located(reader, at)
        return described(reader, raw, place.rpartition("(")[0], LONGEST_BYTES)


def search(path: Path, words: str) -> Found:
    """The attributes, at all levels, in which every word occurs: in tag, keyword, name, creator, VR or value."""
    wanted = words.casefold().split()
    found: list[Attribute] = []
    looked_at = 0
    with opened(path) as reader:
        try:
            for scope in (reader.meta, reader.dataset):
                for raw, prefix in _walk(reader, scope, ""):
                    looked_at += 1
                    if looked_at > LOOKED_AT or len(found) == MATCHES:
                        return Found(tuple(found), looked_at - 1, is_complete=False)
                    one = described(reader, raw, prefix)
                    if _matches(one, wanted):
                        found.append(one)
        except TranscodingFailed as error:
            return Found(tuple(found), looked_at, is_complete=False, problem=error.what)
    return Found(tuple(found), looked_at, is_complete=True)


def _matches(one: Attribute, wanted: list[str]) -> bool:
    text = "\n".join((one.tag, one.keyword, one.name, one.creator, one.vr, one.value)).casefold()
    bare = one.tag[1:5] + one.tag[6:10]
    return all(word in text or word == bare.casefold() for word in wanted)


def _walk(reader: Reader, scope: Scope, prefix: str) -> Iterator[tuple[Raw, str]]:
    for raw in reader.elements(scope):
        yield raw, prefix
        if raw.is_sequence:
            for number, item in reader.items(raw):
                yield from _walk(reader, item, f"{prefix}{named(raw.tag)}[{number}].")


@dataclass(slots=True)
class _Work:
    """Makes nodes until enough rows are there.

    Args:
        reader: of the file.
        left: rows that may still come.
    """

    reader: Reader
    left: int
    problem: str = field(default="", init=False)

    def nodes(self, scope: Scope, prefix: str) -> tuple[Node, ...]:
        """The attributes of a data set: all of them, each sequence with items as long as there is room."""
        raws: list[Raw] = []
        try:
            raws.extend(self.reader.elements(scope))
        except TranscodingFailed as error:
            self.problem = self.problem or error.what
        self.left -= len(raws)
        return tuple(self._node(raw, prefix) for raw in raws)

    def _node(self, raw: Raw, prefix: str) -> Node:
        attribute = described(self.reader, raw, prefix)
        if not raw.is_sequence:
            return Node(attribute)
        return Node(attribute, self.items(raw, attribute.path, 0, _INLINE_ITEMS))

    def items(self, raw: Raw, place: str, first: int, limit: int) -> tuple[Item, ...]:
        """Items of a sequence from a place on."""
        found: list[Item] = []
        scopes: list[tuple[int, Scope]] = []
        if self.left > 0:
            try:
                for numbered in self.reader.items(raw, first):
                    scopes.append(numbered)
                    if len(scopes) == limit:
                        break
            except TranscodingFailed as error:
                self.problem = self.problem or error.what
        for number, scope in scopes:
            if self.left <= 0:
                break
            path = f"{place}[{number}]"
            found.append(Item(number, path, self.nodes(scope, f"{path}.")))
        return tuple(found)


def described(reader: Reader, raw: Raw, prefix: str, limit: int = SHOWN * 4) -> Attribute:
    """An element as text.

    Args:
        reader: of the file.
        raw: the element.
        prefix: of its path.
        limit: bytes of its value that are read at most.
    """
    keyword, name = _dictionary(raw.tag, raw.creator)
    value, is_cut, vm = "", False, 1
    if raw.vr in _BINARY and raw.items is not None:
        value = f"{raw.items} fragment{'' if raw.items == 1 else 's'}, encapsulated"
    elif raw.items is None:
        value, is_cut, vm = _value(reader, raw, limit)
    tag = named(raw.tag)
    return Attribute(
        f"{prefix}{tag}", tag, keyword, name, raw.creator, raw.vr, vm, raw.length, value, is_cut, raw.items
    )


def _value(reader: Reader, raw: Raw, limit: int) -> tuple[str, bool, int]:
    """Text, whether it is cut, and how many values."""
    if not raw.length:
        return "", False, 0
    little, size = raw.scope.encoding.little, _NUMBERS.get(raw.vr)
    data = reader.value(raw, limit if raw.vr != "PN" else LONGEST_BYTES)
    is_cut = len(data) < raw.length
    if raw.vr in _BINARY:
        printable = (
            raw.vr == "UN" and data.rstrip(b"\0 ").isascii() and data.rstrip(b"\0 ").decode("ascii").isprintable()
        )
        if not (printable and raw.scope.encoding.little):
            return data[:FIRST_BYTES].hex(" ").upper(), raw.length > FIRST_BYTES, 1
        text = data.rstrip(b"\0 ").decode("ascii")
    elif raw.vr == "AT":
        order = "little" if little else "big"
        halves = [int.from_bytes(data[i : i + 2], order) for i in range(0, len(data) - 1, 2)]  # type: ignore[arg-type]
        text = "\\".join(f"({a:04X},{b:04X})" for a, b in zip(halves[::2], halves[1::2], strict=False))
    else:
        text = _text(_whole_characters(data) if is_cut else data, raw, little=little)
    vm = raw.length // size if size else 1 if raw.vr in _ONE_VALUE | _BINARY else text.count("\\") + 1
    if limit < LONGEST_BYTES and len(text) > SHOWN:
        return text[:SHOWN], True, vm
    return text, is_cut, vm


def _text(data: bytes, raw: Raw, *, little: bool) -> str:
    charsets = raw.scope.charsets
    is_number = raw.vr in _NUMBERS  # of which any byte may be 1B
    # There it is a control character like others.
    if not is_number and b"\x1b" in data and charsets and charsets[0] in _WITHOUT_ESCAPES:
        return trim(raw.vr, data.decode(charsets[0], "replace"))
    return value_text(data, raw.vr, charsets, little_endian=little)


def _whole_characters(data: bytes) -> bytes:
    """Without a character of UTF-8 that was cut in two at the end."""
    for back in range(1, min(4, len(data)) + 1):
        first = data[-back]
        if first >= 0xC0:
            needed = 2 if first < 0xE0 else 3 if first < 0xF0 else 4
            return data[:-back] if back < needed else data
        if first < 0x80:
            break
    return data


@functools.lru_cache(8192)
def _dictionary(tag: int, creator: str) -> tuple[str, str]:
    from pydicom.datadict import dictionary_description, keyword_for_tag, private_dictionary_description

    if tag >> 16 & 1:
        if 0x10 <= tag & 0xFFFF <= 0xFF:
            return "", "Private Creator"
        try:
            return "", private_dictionary_description(tag, creator) if creator else ""
        except KeyError:
            return "", ""
    try:
        return keyword_for_tag(tag), dictionary_description(tag)
    except KeyError:
        return "", "Group Length" if not tag & 0xFFFF else ""


def _located(reader: Reader, at: str) -> tuple[Raw, str]:
    """The element at a place, and the place as it is written."""
    steps = [_STEP.fullmatch(step) for step in at.strip().split(".")]
    if not all(steps) or len(steps) > 64:
        raise InvalidInput(
            f"path: {at[:100]!r} is no place of an attribute",
            field="path",
            value=at[:100],
            cause="a place is written as (0040,0275)[0].(0008,0104), items counted from 0",
            remedy="take it from the list of attributes",
        )
    parsed = [(int(s[1] + s[2], 16), s[3]) for s in steps if s]
    scope = reader.meta if parsed[0][0] >> 16 == 2 else reader.dataset
    place = ""
    for depth, (tag, index) in enumerate(parsed):
        raw = next((one for one in reader.elements(scope) if one.tag >= tag), None)
        if raw is None or raw.tag != tag:
            raise _nowhere(at)
        place += named(tag)
        if depth == len(parsed) - 1:
            return raw, place
        item = next(((n, s) for n, s in reader.items(raw, int(index or 0))), None) if raw.is_sequence else None
        if item is None:
            raise _nowhere(at)
        scope, place = item[1], f"{place}[{item[0]}]."
    raise AssertionError


def _nowhere(at: str) -> NotFound:
    return NotFound(
        f"the instance has nothing at {at[:100]}.",
        cause="the place is mistyped",
        remedy="take it from the list of attributes",
    )
