"""HL7 v2 messages in the encoding with separators (ER7): segments, fields, repetitions, components, escapes.

What can be read is read; what cannot is said in a note. Only text without any MSH segment is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from dicomfab.model.errors import InvalidInput

MAX_CHARS: Final = 10 * 1024 * 1024
MAX_SEGMENTS: Final = 10_000
#: An element that is to be deleted, not one that is unknown.
NULL: Final = '""'

_LINE_ENDS: Final = re.compile(r"\r\n|\r|\n")
_NAME: Final = re.compile(r"[A-Z][A-Z0-9]{2}")
_FRAME: Final = "\x0b\x1c\ufeff \t\r\n"
_USUAL: Final = "^~\\&"
_PATH: Final = re.compile(r"([A-Z][A-Z0-9]{2})-(\d+)(?:\.(\d+))?(?:\.(\d+))?")


class Hl7Error(InvalidInput):
    """Text that is no HL7 v2 message."""

    def __init__(self, problem: str, *, cause: str = "", remedy: str = "") -> None:
        super().__init__(f"message: {problem}", field="message", cause=cause, remedy=remedy)


@dataclass(frozen=True, slots=True)
class Delimiters:
    """The separators that a message says it uses (MSH-1, MSH-2)."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"


@dataclass(frozen=True, slots=True)
class Segment:
    """One line of a message.

    Args:
        name: such as ``PID``.
        fields: as written, escapes and all; the first is the name, so that ``fields[3]`` is PID-3.
        delimiters: of the message.
    """

    name: str
    fields: tuple[str, ...]
    delimiters: Delimiters

    def raw(self, number: int) -> str:
        """A field as written; empty if the segment ends before it."""
        return self.fields[number] if 0 < number < len(self.fields) else ""

    def repetitions(self, number: int) -> list[Element]:
        """The repetitions of a field, at least one."""
        if self.name == "MSH" and number < 3:
            return [Element(self.raw(number), self.delimiters, is_plain=True)]
        return [Element(one, self.delimiters) for one in self.raw(number).split(self.delimiters.repetition)]

    def get(self, number: int, component: int = 1, subcomponent: int = 1) -> str:
        """A value of the first repetition, escapes resolved."""
        text = self.raw(number)
        if not text or (self.name == "MSH" and number < 3):
            return text
        return _value(text.split(self.delimiters.repetition, 1)[0], self.delimiters, component, subcomponent)


@dataclass(frozen=True, slots=True)
class Element:
    """One repetition of a field, or a component of one.

    Args:
        text: as written.
        delimiters: that separate its parts.
        is_plain: it is a text that nothing separates.
        escapes: the delimiters of the message, if its parts are separated by others.
    """

    text: str
    delimiters: Delimiters
    is_plain: bool = False
    escapes: Delimiters | None = None

    def get(self, component: int = 1, subcomponent: int = 1) -> str:
        """A value, counted from 1, escapes resolved; empty if it is not there."""
        if self.is_plain:
            return self.text
        return _value(self.text, self.delimiters, component, subcomponent, self.escapes)

    def component(self, number: int) -> Element:
        """A component as an element of its own, whose components are its subcomponents."""
        parts = self.text.split(self.delimiters.component)
        text = parts[number - 1] if number <= len(parts) else ""
        own = self.delimiters
        return Element(text, Delimiters(own.field, own.subcomponent, own.repetition, own.escape, "\0"), escapes=own)

    @property
    def has_subcomponents(self) -> bool:
        """Whether its first component has parts."""
        return self.delimiters.subcomponent in self.text.split(self.delimiters.component)[0]


@dataclass(frozen=True, slots=True)
class Message:
    """A message, taken apart.

    Args:
        segments: in order, MSH first.
        notes: what was left out or taken to be meant.
    """

    segments: tuple[Segment, ...]
    notes: tuple[str, ...]


def parse(text: str) -> Message:
    """Take a message apart.

    Segments may end with CR, LF or both; a frame of MLLP around the message is taken off. A line that is no segment is
    left out and noted.

    Raises:
        Hl7Error: there is no MSH segment, it names no separators, or the message is too long.
    """
    if len(text) > MAX_CHARS:
        raise Hl7Error(f"has {len(text)} characters", cause=f"{MAX_CHARS} are the most that is read")
    lines = [line.strip("\x0b\x1c\ufeff") for line in _LINE_ENDS.split(text.strip(_FRAME))]
    start = next((n for n, line in enumerate(lines) if line.lstrip().startswith("MSH")), None)
    if start is None:
        raise Hl7Error(
            "has no MSH segment" if text.strip() else "is empty",
            cause="an HL7 v2 message begins with MSH",
            remedy="paste the whole message, such as MSH|^~\\&|RIS|...",
        )
    notes = [f"{start} line{'s' if start > 1 else ''} before MSH left out"] if start and any(lines[:start]) else []
    delimiters = _delimiters(lines[start].lstrip(), notes)
    found: list[Segment] = []
    for number, line in enumerate(lines[start:], start + 1):
        line = line.lstrip()
        if found and line.startswith("MSH" + delimiters.field):
            notes.append(f"line {number} begins another message: only the first is read")
            break
        if not line.strip():
            continue
        if len(found) == MAX_SEGMENTS:
            notes.append(f"only the first {MAX_SEGMENTS} segments are read")
            break
        _take(line, number, delimiters, found, notes)
    return Message(tuple(found), tuple(notes))


def _take(line: str, number: int, delimiters: Delimiters, found: list[Segment], notes: list[str]) -> None:
    name, *fields = line.split(delimiters.field)
    if not _NAME.fullmatch(name):
        notes.append(f"line {number} is no segment: left out")
        return
    if name == "MSH":
        fields = [delimiters.field, *fields]
    found.append(Segment(name, (name, *fields), delimiters))


def _delimiters(line: str, notes: list[str]) -> Delimiters:
    field = line[3:4]
    if not field or field.isalnum() or field.isspace():
        raise Hl7Error(
            "its MSH segment names no field separator",
            cause="the character after MSH separates the fields, usually |",
            remedy="paste the message as it was sent",
        )
    named = line[4:].split(field)[0]
    used = named[:4] + _USUAL[len(named) :]
    if len(named) < 4:
        notes.append(f"MSH-2 is {named!r}: taken to mean {used!r}")
    if len({field, *used}) < 5:
        notes.append(f"MSH-2 names a separator twice: {_USUAL!r} is used instead")
        used = _USUAL
    if any(one.isalnum() or one in ". " or not one.isprintable() for one in used):
        # They are part of escapes, and of what is to be separated.
        notes.append(f"MSH-2 names what cannot separate: {_USUAL!r} is used instead")
        used = _USUAL
    if field in used:
        raise Hl7Error(f"uses {field!r} to separate fields and more", remedy="paste the message as it was sent")
    return Delimiters(field, *used)


def _value(
    text: str, delimiters: Delimiters, component: int, subcomponent: int, escapes: Delimiters | None = None
) -> str:
    parts = text.split(delimiters.component, component)
    if component > len(parts):
        return ""
    below = parts[component - 1].split(delimiters.subcomponent, subcomponent)
    return unescaped(below[subcomponent - 1], escapes or delimiters).strip() if subcomponent <= len(below) else ""


def unescaped(text: str, delimiters: Delimiters) -> str:
    """Resolve the escapes of a value (chapter 2.7); one that means nothing here stays as it is."""
    mark = delimiters.escape
    if mark not in text:
        return text
    parts = text.split(mark)
    out, place = [parts[0]], 1
    while place < len(parts):
        meant = _meaning(parts[place], delimiters) if place + 1 < len(parts) else None
        if meant is None:
            out.append(mark + parts[place])
            place += 1
        else:
            out += [meant, parts[place + 1]]
            place += 2
    return "".join(out)


def _meaning(code: str, delimiters: Delimiters) -> str | None:
    separators = {
        "F": delimiters.field,
        "S": delimiters.component,
        "R": delimiters.repetition,
        "E": delimiters.escape,
        "T": delimiters.subcomponent,
        "H": "",
        "N": "",
        "P": "",
    }
    if code in separators:
        return separators[code]
    if re.fullmatch(r"\.(br|sp|fi|nf|ce|in|ti|sk)[+-]?\d*", code):
        return "\n"
    if re.fullmatch(r"X([0-9A-Fa-f]{2})+", code):
        data = bytes.fromhex(code[1:])
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            return data.decode("latin-1")
    return "" if re.fullmatch(r"[CM][0-9A-Fa-f]{4,6}", code) else None


@lru_cache(maxsize=256)
def path(text: str) -> tuple[str, int, int, int]:
    """``PID-3.4.1`` -> segment, field, component, subcomponent; 0 where it names none."""
    found = _PATH.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} names no element of a message")
    name, *numbers = found.groups()
    return name, int(numbers[0]), int(numbers[1] or 0), int(numbers[2] or 0)
