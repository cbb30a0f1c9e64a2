"""Values that do not fit their VR or their character set (PS3.5 6.1, 6.2)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final

from dicomfab.validity.dataset import DataSet, Element, label
from dicomfab.validity.findings import Problem, Rule, Severity, rule
from dicomfab.validity.instance import Instance
from dicomfab.validity.values import date, decoded, is_known_character_set, numbers, text

_CHARACTER_SET: Final = 0x00080005
# VRs whose text is in the character set of the data set; the rest is ASCII.
_INTERNATIONAL: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_SINGLE: Final = frozenset({"LT", "ST", "UT", "UR"})  # a backslash is text in them
_LIMITS: Final = {"AE": 16, "CS": 16, "LO": 64, "SH": 16, "LT": 10240, "ST": 1024}
_UNIT: Final = {"US": 2, "SS": 2, "AT": 4, "UL": 4, "SL": 4, "FL": 4, "FD": 8, "UV": 8, "SV": 8}
_DECIMAL: Final = re.compile(r" *[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)? *")
_INTEGER: Final = re.compile(r" *[+-]?[0-9]+ *")
_TIME: Final = re.compile(r"([01][0-9]|2[0-3])([0-5][0-9](([0-5][0-9]|60)(\.[0-9]{1,6})?)?)? *")
_ZONE: Final = re.compile(r"[+-](0[0-9]|1[0-4])[0-5][0-9]")
_UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_QUESTIONS: Final = re.compile(r"\?{2}")


def _is_date(value: str) -> bool:
    return date(value.rstrip(" ")) is not None


def _is_date_time(value: str) -> bool:
    """DT: parts may be left out from the right, the year excepted."""
    value = value.rstrip(" ")
    if zone := re.search(r"[+-]", value):
        if not _ZONE.fullmatch(value[zone.start() :]):
            return False
        value = value[: zone.start()]
    day, clock = value[:8], value[8:]
    if not day.isdigit() or len(day) not in (4, 6, 8) or date((day + "0101")[:8] if len(day) < 8 else day) is None:
        return False
    return not clock or (len(day) == 8 and _TIME.fullmatch(clock) is not None)


def _is_decimal(value: str) -> bool:
    return len(value.strip(" ")) <= 16 and _DECIMAL.fullmatch(value) is not None


def _is_integer(value: str) -> bool:
    return len(value.strip(" ")) <= 12 and _INTEGER.fullmatch(value) is not None and -(2**31) <= int(value) < 2**31


_FORMS: Final[dict[str, Callable[[str], bool]]] = {
    "DA": _is_date,
    "DT": _is_date_time,
    "TM": lambda value: _TIME.fullmatch(value) is not None,
    "DS": _is_decimal,
    "IS": _is_integer,
    "AS": lambda value: re.fullmatch(r"[0-9]{3}[DWMY]", value) is not None,
    "CS": lambda value: re.fullmatch(r"[A-Z0-9 _]*", value) is not None,
    "UR": lambda value: " " not in value.rstrip(" "),
}


@lru_cache(16384)
def _malformed(vr: str, value: str) -> str:
    """What is wrong with one value, or nothing."""
    stripped = value.rstrip("\0") if vr not in _INTERNATIONAL else value
    if vr in _LIMITS and len(stripped.rstrip(" ")) > _LIMITS[vr]:
        return f"{vr} of more than {_LIMITS[vr]} characters"
    if vr == "PN" and any(len(part) > 64 for part in stripped.split("=")):
        return "PN with a component group of more than 64 characters"
    if vr == "PN" and (stripped.count("=") > 2 or any(part.count("^") > 4 for part in stripped.split("="))):
        return "PN with too many components"
    check = _FORMS.get(vr)
    if stripped.strip(" ") and check is not None and not check(stripped):
        return "not a day of the calendar" if vr == "DA" else f"not a value of VR {vr}"
    return ""


@rule("value", "PS3.5 6.2, table 6.2-1", "correct the value")
def value_representation(instance: Instance) -> Iterator[Problem]:
    """Values have the length, the characters and the form of their VR; dates exist."""
    sets = _character_sets(instance.data)
    for path, _, element in instance.walk():
        if element.vr in _UNIT:
            if element.length % _UNIT[element.vr]:
                detail = f"{element.length} bytes"
                yield Problem(f"no whole number of {element.vr} values", path + label(element.tag), detail)
            continue
        if element.vr not in _INTERNATIONAL and element.vr not in _FORMS and element.vr != "AE":
            continue
        whole = decoded(element.value, sets) if element.vr in _INTERNATIONAL else text(element.value)
        for value in _split(element, whole or ""):
            if problem := _malformed(element.vr, value):
                yield Problem(problem, path + label(element.tag), repr(value))


@rule("number", "PS3.5 6.2", "replace the value by a number, or leave the element out", Severity.WARNING)
def not_a_number(instance: Instance) -> Iterator[Problem]:
    """Floating point values are numbers."""
    for path, data, element in instance.walk():
        if element.vr in ("FL", "FD") and not all(math.isfinite(v) for v in numbers(data, element)):
            yield Problem("not a finite number", path + label(element.tag))


@rule("character-set", "PS3.3 C.12.1.1.2", "name the character set that the texts are encoded in")
def character_set(instance: Instance) -> Iterator[Problem]:
    """SpecificCharacterSet has defined terms, and those that extend come with code extensions."""
    for path, _, element in instance.walk():
        if element.tag != _CHARACTER_SET:
            continue
        terms = [term.strip(" ") for term in text(element.value).split("\\")]
        for term in terms:
            if not is_known_character_set(term):
                yield Problem("not a character set of the standard", f"{path}SpecificCharacterSet", repr(term))
        if len(terms) > 1 and any(term and not term.startswith("ISO 2022") for term in terms):
            yield Problem(
                "several character sets, one of them without code extensions",
                f"{path}SpecificCharacterSet",
                "\\".join(terms),
            )


@rule("text", "PS3.5 6.1", "encode the text in the character set that SpecificCharacterSet names")
def undecodable(instance: Instance) -> Iterator[Problem]:
    """Texts can be decoded, and hold no control characters."""
    for path, element, whole in instance.once("texts", _texts):
        if whole is None:
            yield Problem(
                "text that its character set cannot hold", path + label(element.tag), repr(element.value[:40])
            )
        elif _UNPRINTABLE.search(whole.rstrip("\0")):
            yield Problem("text with control characters", path + label(element.tag), repr(whole[:40]))


@rule("replaced", "PS3.5 6.1", "take the text from its source again: characters were lost", Severity.WARNING)
def replaced(instance: Instance) -> Iterator[Problem]:
    """No text shows that it was once decoded wrongly."""
    for path, element, whole in instance.once("texts", _texts):
        if whole is None:
            continue
        if "\ufffd" in whole:
            yield Problem("text with replacement characters", path + label(element.tag), repr(whole[:40]))
        elif element.vr == "PN" and _QUESTIONS.search(whole):
            yield Problem("name with question marks in the place of letters", path + label(element.tag))


def _texts(instance: Instance) -> list[tuple[str, Element, str | None]]:
    """Every text with its path and element, decoded; ``None`` for what cannot be."""
    found: list[tuple[str, Element, str | None]] = []
    sets = _character_sets(instance.data)
    for path, data, element in instance.walk():
        if not element.held or not element.value or element.items:
            continue
        if element.vr in _INTERNATIONAL:
            # An item may state a character set of its own (PS3.5 7.5.3).
            own = _character_sets(data) if _CHARACTER_SET in data.elements else sets
            found.append((path, element, decoded(element.value, own)))
        elif element.vr in _FORMS or element.vr in ("AE", "UI"):
            found.append((path, element, decoded(element.value, ())))
    return found


def _character_sets(data: DataSet) -> tuple[str, ...]:
    element = data.elements.get(_CHARACTER_SET)
    terms = [term.strip(" ") for term in text(element.value).split("\\")] if element else []
    return tuple(term for term in terms if is_known_character_set(term))


def _split(element: Element, whole: str) -> list[str]:
    return [whole] if element.vr in _SINGLE else whole.split("\\")


RULES: Final[tuple[Rule[Instance], ...]] = (value_representation, not_a_number, character_set, undecodable, replaced)
