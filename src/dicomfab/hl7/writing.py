"""HL7 v2 messages as text and bytes: the other direction of :mod:`.er7`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from dicomfab.hl7.character_sets import codec_of
from dicomfab.hl7.er7 import Delimiters, Hl7Error, parse
from dicomfab.model.errors import InvalidInput

#: A text; components of a field, or subcomponents of a component, in a tuple; repetitions of a field in a list.
Value = str | tuple["str | tuple[str, ...]", ...]
Field = Value | list[Value]

USUAL: Final = Delimiters()
_LINE: Final = re.compile(r"\r\n|\r|\n")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Line:
    """A segment to be written.

    Args:
        name: such as ``PID``.
        fields: by number; those between and behind that are empty are left out.
    """

    name: str
    fields: Mapping[int, Field]


def written(lines: Sequence[Line], delimiters: Delimiters = USUAL) -> str:
    """A message as text, each segment ended by CR.

    Args:
        lines: MSH first; its fields 1 and 2 are written here.
        delimiters: that separate, and that texts are escaped against.
    """
    return "".join(f"{_line(line, delimiters)}\r" for line in lines)


def encoded(text: str, character_set: str) -> bytes:
    """A message in the character set that its MSH-18 names.

    Args:
        text: of the message.
        character_set: as in HL7 table 0211; empty for ASCII.

    Raises:
        InvalidInput: the set is not known, or lacks one of the characters: nothing is replaced by question marks.
    """
    codec = codec_of(character_set) if character_set else "ascii"
    if not codec:
        raise InvalidInput(
            f"MSH-18: {character_set!r} is no character set that is known here",
            field="MSH-18",
            value=character_set,
            remedy="write UNICODE UTF-8",
        )
    try:
        return text.encode(codec)
    except UnicodeEncodeError as error:
        lacking = text[error.start]
        raise InvalidInput(
            f"MSH-18: {lacking!r} cannot be written in {character_set or 'ASCII'}",
            field="MSH-18",
            value=character_set,
            cause="the character set lacks some of the message's characters",
            remedy="write UNICODE UTF-8 into MSH-18",
        ) from None


def from_text(text: str) -> bytes:
    """A message that somebody wrote as text, whatever ends its lines, as it goes out.

    Args:
        text: of the message.

    Returns:
        It in the character set that its MSH-18 names; in UTF-8 if that names none, or if there is no MSH.

    Raises:
        InvalidInput: the set is not known, or lacks one of the characters.
    """
    text = _LINE.sub("\r", text)
    try:
        header = parse(text).segments[0]
    except Hl7Error:
        return text.encode("utf-8")
    named = "~".join(one.get(1) for one in header.repetitions(18))
    return encoded(text, named) if named else text.encode("utf-8")


def escaped(text: str, delimiters: Delimiters = USUAL) -> str:
    """A text as it stands in a message (chapter 2.7): separators escaped, lines broken by ``.br``."""
    if not _special(delimiters).search(text):
        return text
    mark = delimiters.escape
    codes = {
        delimiters.field: "F",
        delimiters.component: "S",
        delimiters.repetition: "R",
        mark: "E",
        delimiters.subcomponent: "T",
    }
    out = "".join(f"{mark}{codes[one]}{mark}" if one in codes else one for one in text)
    out = _LINE.sub(lambda _: f"{mark}.br{mark}", out)
    return _CONTROL.sub(lambda found: f"{mark}X{ord(found[0]):02X}{mark}", out)


@lru_cache(maxsize=16)
def _special(delimiters: Delimiters) -> re.Pattern[str]:
    """What cannot stand in a text as it is."""
    own = (delimiters.field, delimiters.component, delimiters.repetition, delimiters.escape, delimiters.subcomponent)
    return re.compile("[\\x00-\\x1f\\x7f" + "".join(map(re.escape, own)) + "]")


def _line(line: Line, delimiters: Delimiters) -> str:
    fields = {number: _field(value, delimiters) for number, value in line.fields.items()}
    first = 1
    name = line.name
    if name == "MSH":
        own = delimiters
        name, first = f"MSH{own.field}{own.component}{own.repetition}{own.escape}{own.subcomponent}", 3
    last = max((number for number, text in fields.items() if text), default=0)
    return delimiters.field.join([name, *(fields.get(number, "") for number in range(first, last + 1))])


def _field(value: Field, delimiters: Delimiters) -> str:
    several = value if isinstance(value, list) else [value]
    return delimiters.repetition.join(_repetition(one, delimiters) for one in several)


def _repetition(value: Value, delimiters: Delimiters) -> str:
    if isinstance(value, str):
        return escaped(value, delimiters)
    parts = [
        escaped(one, delimiters)
        if isinstance(one, str)
        else delimiters.subcomponent.join(escaped(below, delimiters) for below in one).rstrip(delimiters.subcomponent)
        for one in value
    ]
    return delimiters.component.join(parts).rstrip(delimiters.component)
