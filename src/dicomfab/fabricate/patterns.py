"""Patterns of identifiers: ``SYN{10digits}``, ``2025{2letters}{7digits}``.

A pattern is literal text with slots ``{Nkind}``. Its n-th value follows from n alone, and no two n give the same
value: either plain counting, or a permutation of all values that looks random. So nothing has to be tried again, and
when n has reached the capacity there is no further value.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from dicomfab.fabricate.seeds import derive
from dicomfab.model.errors import InvalidInput

MARK: Final = "SYN"
DEFAULT: Final = "SYN{10digits}"
MAX_TEXT: Final = 1000

# Letters are large ones only: many servers compare identifiers without regard to case.
ALPHABETS: Final = {
    "digits": "0123456789",
    "letters": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "hex": "0123456789ABCDEF",
    "alnum": "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
}
_SLOT: Final = re.compile(r"([1-9][0-9]?)(digits?|letters?|hex|alnum)")
_ROUNDS: Final = 4
_ALLOWED: Final = (
    "a pattern is text with slots: {6digits} (0-9), {8letters} (A-Z), {8hex} (0-9, A-F), {8alnum} (0-9, A-Z), "
    "each of 1 to 64 characters; the text is printable ASCII without \\ * ? { }"
)


class Purpose(enum.StrEnum):
    """What a pattern makes."""

    PATIENT_ID = "patient_id"
    ACCESSION = "accession"

    @property
    def limit(self) -> int:
        """How many characters the attribute holds: PatientID is LO, AccessionNumber SH (PS3.5 6.2)."""
        return 64 if self is Purpose.PATIENT_ID else 16


@dataclass(frozen=True)
class Slot:
    """``count`` characters of one alphabet, a key of :data:`ALPHABETS`."""

    count: int
    kind: str


@dataclass(frozen=True)
class Pattern:
    """A checked pattern; :func:`parse` makes it.

    Args:
        purpose: what its values are for.
        parts: literal text and slots, in order.
        start: the first value, as the number that the slots show; ``None`` for values in an order that looks random.
        increment: the distance between two values when counting.
    """

    purpose: Purpose
    parts: tuple[str | Slot, ...]
    start: int | None = None
    increment: int = 1

    @property
    def text(self) -> str:
        """The pattern as it is written; :func:`parse` takes it back."""
        return "".join(part if isinstance(part, str) else f"{{{part.count}{part.kind}}}" for part in self.parts)

    @property
    def key(self) -> str:
        """Text and counting together: patterns of one key share one sequence."""
        return self.text if self.start is None else f"{self.text} from {self.start} by {self.increment}"

    @cached_property
    def alphabets(self) -> tuple[str, ...]:
        """The alphabet of each character that varies."""
        slots = [part for part in self.parts if isinstance(part, Slot)]
        return tuple(ALPHABETS[slot.kind] for slot in slots for _ in range(slot.count))

    @cached_property
    def capacity(self) -> int:
        """How many different values there are."""
        space = math.prod(map(len, self.alphabets))
        return space if self.start is None else (space - self.start - 1) // self.increment + 1

    def value(self, index: int, seed: int = 0) -> str:
        """The value with an index; different indexes give different values.

        Args:
            index: 0 to ``capacity - 1``.
            seed: chooses one of many orders; without meaning when counting.

        Raises:
            IndexError: the index is outside.
        """
        if not 0 <= index < self.capacity:
            raise IndexError(index)
        if self.start is None:
            number = _permuted(index, [len(a) for a in self.alphabets], seed, self.text)
        else:
            number = self.start + index * self.increment
        characters = []
        for alphabet in reversed(self.alphabets):
            number, digit = divmod(number, len(alphabet))
            characters.append(alphabet[digit])
        return "".join(
            part if isinstance(part, str) else "".join(characters.pop() for _ in range(part.count))
            for part in self.parts
        )


def parse(
    text: str,
    purpose: Purpose,
    *,
    start: int | None = None,
    increment: int | None = None,
    prefix: str = "",
    suffix: str = "",
    field: str = "pattern",
) -> Pattern:
    """Check a pattern.

    Args:
        text: literal text and slots, such as ``PID{6digits}``.
        purpose: decides how long the values may be.
        start: count, beginning with this number, instead of values in an order that looks random.
        increment: count in these steps, from 1 if ``start`` is not given.
        prefix: literal text in front.
        suffix: literal text behind.
        field: what errors call the pattern.

    Raises:
        InvalidInput: naming the field, the position and what is allowed.
    """
    parts = (_literal(prefix, "prefix"), *_parts(text, field), _literal(suffix, "suffix"))
    pattern = Pattern(purpose, _joined(parts))
    whole = pattern.text
    longest = sum(len(part) if isinstance(part, str) else part.count for part in pattern.parts)
    if not pattern.alphabets:
        raise _refused(field, whole, "has no slot, so it makes one value only", _ALLOWED)
    if longest > purpose.limit:
        cause = f"{purpose} holds at most {purpose.limit}"
        raise _refused(field, whole, f"makes values of {longest} characters", cause)
    if whole.startswith(" ") or whole.endswith(" "):
        raise _refused(field, whole, "begins or ends with a space", "DICOM does not count spaces around a value")
    if start is None and increment is None:
        return pattern
    first = 1 if start is None else start
    step = 1 if increment is None else increment
    if not 0 <= first < pattern.capacity:
        cause = f"the slots of {whole!r} hold 0 to {pattern.capacity - 1}"
        raise _refused("start", first, "does not fit", cause)
    if step < 1:
        raise _refused("increment", step, "is not 1 or more", "a sequence that stands still repeats itself")
    return Pattern(purpose, pattern.parts, first, step)


def risk(text: str) -> str:
    """Why a pattern, or an identifier, that does not begin with ``SYN`` is risky; empty if it does."""
    if text.startswith(MARK):
        return ""
    return (
        f"{text} does not begin with {MARK}: many PACS ignore the issuer, so an identifier that looks real can merge "
        "this synthetic patient with a real one"
    )


def exhausted(pattern: Pattern, left: int, wanted: int) -> InvalidInput:
    """The error for a pattern that has fewer new values than are wanted."""
    had = "no new value" if not left else f"only {left} of the {wanted} new values"
    return InvalidInput(
        f"pattern: {pattern.key!r} can make {had}; nothing was changed",
        field="pattern",
        value=pattern.key,
        cause=f"it makes {pattern.capacity} values in all, and no value is ever used twice",
        remedy="use a pattern with more or longer slots, or another prefix",
    )


def _parts(text: str, field: str) -> list[str | Slot]:
    if not isinstance(text, str) or not text.strip():
        raise _refused(field, text, "is empty", _ALLOWED)
    if len(text) > MAX_TEXT:
        raise _refused(field, f"{text[:40]}...", f"has {len(text)} characters", f"{_ALLOWED}; {MAX_TEXT} at most")
    parts: list[str | Slot] = []
    position = 0
    while position < len(text):
        opening = text.find("{", position)
        end = len(text) if opening < 0 else opening
        parts.append(_literal(text[position:end], field, whole=text, offset=position))
        if opening < 0:
            break
        closing = text.find("}", opening)
        if closing < 0:
            raise _refused(field, text, f"position {opening + 1}: the brace is not closed", _ALLOWED)
        parts.append(_slot(text, opening, closing, field))
        position = closing + 1
    return parts


def _slot(text: str, opening: int, closing: int, field: str) -> Slot:
    found = _SLOT.fullmatch(text[opening + 1 : closing])
    if not found or int(found[1]) > 64:
        problem = f"position {opening + 1}: {text[opening : closing + 1]!r} is not a slot"
        raise _refused(field, text, problem, _ALLOWED)
    kind = found[2]
    return Slot(int(found[1]), kind if kind in ALPHABETS else f"{kind}s")


def _literal(text: str, field: str, *, whole: str = "", offset: int = 0) -> str:
    for position, character in enumerate(text, start=offset + 1):
        if not " " <= character <= "~" or character in "\\*?{}":
            raise _refused(field, whole or text, f"position {position}: {character!r} is not allowed", _ALLOWED)
    return text


def _joined(parts: Sequence[str | Slot]) -> tuple[str | Slot, ...]:
    """Neighbouring texts and equal neighbouring slots become one, so that equal patterns are equal."""
    joined: list[str | Slot] = []
    for part in parts:
        last = joined[-1] if joined else None
        if part == "":
            continue
        if isinstance(part, str) and isinstance(last, str):
            joined[-1] = last + part
        elif isinstance(part, Slot) and isinstance(last, Slot) and part.kind == last.kind:
            joined[-1] = Slot(last.count + part.count, part.kind)
        else:
            joined.append(part)
    return tuple(joined)


def _permuted(index: int, radices: Sequence[int], seed: int, name: str) -> int:
    """A permutation of all numbers that the radices can write.

    It is a Feistel network over two halves of unequal size: in turn, each half is shifted by a number that follows from
    the other, modulo its own size. Every such step can be undone, so it never maps two numbers to one.
    """
    space = math.prod(radices)
    if len(radices) == 1:
        right = next(d for d in range(math.isqrt(space), 0, -1) if space % d == 0)
    else:
        right = math.prod(radices[len(radices) // 2 :])
    left = space // right
    high, low = divmod(index, right)
    for turn in range(_ROUNDS):
        high = (high + _shift(left, seed, name, turn, "high", low)) % left
        low = (low + _shift(right, seed, name, turn, "low", high)) % right
    return high * right + low


def _shift(limit: int, seed: int, *purpose: object) -> int:
    number = 0
    for word in range(limit.bit_length() // 64 + 1):
        number = number << 64 | derive(seed, "identifier", *purpose, word)
    return number % limit


def _refused(field: str, value: object, problem: str, cause: str) -> InvalidInput:
    comma = "," if problem.startswith("position") else ""
    return InvalidInput(
        f"{field}: {value!r}{comma} {problem}",
        field=field,
        value=value,
        cause=cause,
        remedy=f"correct the {field}; nothing was changed",
    )
