"""The matching rules of C-FIND (PS3.4 C.2.2.2), pure: the index calls them from SQL, so there is one truth.

A key is compiled once from the attribute's VR and the text in the request:

* universal (C.2.2.2.3): empty, or nothing but ``*`` (and, in a name, delimiters); it also matches an absent value;
* wildcard (C.2.2.2.4): ``*`` and ``?``, only in AE, CS, LO, LT, PN, SH, ST, UC, UR and UT;
* range (C.2.2.2.5): DA and TM, either end open, both ends included; a time cut short stands for all that begins so;
* list (C.2.2.2.2): values joined by backslash, in any VR but the free texts; one of them has to match;
* single value (C.2.2.2.1): everything else. IS, DS and binary numbers compare as numbers.

Person names match in any case, but not without their accents. A name without ``=`` in the request is tried on each
component group of the stored name, one with ``=`` group by group. Trailing delimiters do not count: ``DOE^*`` finds
``DOE``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache, partial

Predicate = Callable[[str], bool]

WILDCARD_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
TEXT_VRS = frozenset({"LT", "ST", "UT"})  # one value, however many backslashes; leading spaces count
NUMBER_VRS = frozenset({"DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"})

_PADDING = " \0"
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_DATE = re.compile(r"[0-9]{8}")
_LEGACY_DATE = re.compile(r"([0-9]{4})\.([0-9]{2})\.([0-9]{2})")
_TIME = re.compile(r"[0-9]{2}(:?[0-9]{2}(:?[0-9]{2}(\.[0-9]{1,6})?)?)?")


def trim(vr: str, text: str) -> str:
    """Drop the padding that does not count (PS3.5 6.2)."""
    return text.rstrip(_PADDING) if vr in TEXT_VRS else text.strip(_PADDING)


def split_values(vr: str, text: str) -> list[str]:
    """The values of an attribute, trimmed; the free texts have one."""
    return [trim(vr, value) for value in ([text] if vr in TEXT_VRS else text.split("\\"))]


def is_literal(vr: str, pattern: str) -> bool:
    """Whether a text VR's key can only match values equal to one of its own."""
    return vr not in WILDCARD_VRS or not ("*" in pattern or "?" in pattern)


@lru_cache(maxsize=1024)
def compile_key(vr: str, pattern: str) -> Predicate | None:
    """Compile a key.

    Args:
        vr: the attribute's value representation.
        pattern: the value in the request, decoded, values joined by backslash.

    Returns:
        A predicate on one stored value, or ``None`` for universal matching.

    Raises:
        ValueError: no date, time, range or number where the VR wants one; the message says so.
    """
    values = [value for value in split_values(vr, pattern) if value]
    anything = "*^= " if vr == "PN" else "*"
    if not all(value.strip(anything) for value in values) or not values:
        return None
    predicates = [_compile_value(vr, value) for value in values]
    if len(predicates) == 1:
        return predicates[0]
    return lambda stored: any(predicate(stored) for predicate in predicates)


def matches(vr: str, pattern: str, stored: str) -> bool:
    """Whether a stored single value satisfies a key (see :func:`compile_key`)."""
    predicate = compile_key(vr, pattern)
    return predicate is None or predicate(trim(vr, stored))


def matches_any(vr: str, pattern: str, stored: str) -> bool:
    """Whether one of the values of a multi-valued attribute satisfies a key."""
    predicate = compile_key(vr, pattern)
    return predicate is None or any(predicate(value) for value in split_values(vr, stored))


def date_bounds(value: str) -> tuple[str, str] | None:
    """The first and last ``YYYYMMDD`` that a DA key covers, or ``None`` if it is no date, or a list."""
    try:
        return _date_bounds(trim("DA", value))
    except ValueError:
        return None


def normal_date(text: str) -> str:
    """A DA value without the dots of ACR-NEMA (PS3.5 6.2)."""
    return _LEGACY_DATE.sub(r"\1\2\3", text)


def _compile_value(vr: str, value: str) -> Predicate:
    if vr == "PN":
        return _compile_name(value)
    if vr == "DA":
        first, last = _date_bounds(value)
        return partial(_date_between, first, last)
    if vr == "TM":
        first, last = _time_bounds(value)
        return partial(_time_between, first, last)
    if vr in NUMBER_VRS:
        number = _number(value)
        if number is None:
            raise ValueError(f"{value!r} is not a number")
        return lambda stored: _number(stored) == number
    if not is_literal(vr, value):
        return _wildcard(value)
    return lambda stored: stored == value


def _wildcard(pattern: str) -> Predicate:
    """``*`` any run of characters, ``?`` any one.

    Every run but the last is an atomic group that takes the first place where the text after it fits: that decides
    the match as well as any later place would, and a pattern full of asterisks cannot make the time explode.
    """
    head, *rest = ("".join("." if c == "?" else re.escape(c) for c in part) for part in re.split(r"\*+", pattern))
    if rest:
        *middle, tail = rest
        head += "".join(f"(?>.*?{part})" for part in middle) + f".*{tail}"
    compiled = re.compile(head, re.DOTALL)
    return lambda stored: bool(stored) and compiled.fullmatch(stored) is not None


def _fold(text: str) -> str:
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def _groups(name: str) -> list[str]:
    """The component groups of a name (alphabetic, ideographic, phonetic; PS3.5 6.2.1.1), trailing delimiters off."""
    return [group.rstrip("^ ") for group in _fold(name).split("=")]


def _compile_name(value: str) -> Predicate:
    tests = [_compile_group(group) for group in _groups(value)]
    if len(tests) == 1:
        return lambda stored: any(tests[0](group) for group in _groups(stored) if group)

    def predicate(stored: str) -> bool:
        groups = _groups(stored) + [""] * len(tests)
        return all(test(group) for test, group in zip(tests, groups, strict=False))

    return predicate


def _compile_group(pattern: str) -> Predicate:
    if is_literal("PN", pattern):
        return lambda group: not pattern or group == pattern
    test = _wildcard(pattern)
    if "^" in pattern:
        return lambda group: test(group) or test(group + "^")
    return test


def _range(value: str) -> tuple[str, str]:
    first, dash, last = value.partition("-")
    first, last = first.strip(), last.strip()
    if dash and not first and not last:
        raise ValueError("a range needs at least one end")
    return first, last if dash else first


def _date_bounds(value: str) -> tuple[str, str]:
    first, last = (normal_date(end) for end in _range(value))
    for end in (first, last):
        if end and not _DATE.fullmatch(end):
            raise ValueError(f"{value!r} is no date or range of dates (YYYYMMDD-YYYYMMDD)")
    return first or "00000000", last or "99999999"


def _date_between(first: str, last: str, stored: str) -> bool:
    date = normal_date(stored)
    return _DATE.fullmatch(date) is not None and first <= date <= last


def _time_bounds(value: str) -> tuple[str, str]:
    first, last = _range(value)
    for end in (first, last):
        if end and not _TIME.fullmatch(end):
            raise ValueError(f"{value!r} is no time or range of times (HHMMSS-HHMMSS)")
    return _digits(first, "0"), _digits(last, "9")


def _time_between(first: str, last: str, stored: str) -> bool:
    return _TIME.fullmatch(stored) is not None and first <= _digits(stored, "0") <= last


def _digits(time: str, filler: str) -> str:
    return time.replace(":", "").replace(".", "").ljust(12, filler)


def _number(text: str) -> Decimal | None:
    return Decimal(text) if _NUMBER.fullmatch(text) else None
