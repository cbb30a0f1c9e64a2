"""Keys of a C-FIND identifier that people name themselves: ``PatientSex=M``, ``0010,0040=M``, or a name alone."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydicom import DataElement, Dataset
from pydicom.charset import default_encoding, python_encoding
from pydicom.datadict import dictionary_description, dictionary_VR, keyword_for_tag, tag_for_keyword

from dicomfab.model.errors import InvalidInput
from dicomfab.services import search_dates

#: Value representations whose characters Specific Character Set governs (PS3.5 6.1.2.3).
TEXT_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_WHOLE_VRS = frozenset({"US", "UL", "SS", "SL", "UV", "SV"})
_REAL_VRS = frozenset({"FL", "FD"})
_BYTES_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN", "AT"})
_TAG = re.compile(r"\(?([0-9a-fA-F]{4}),?([0-9a-fA-F]{4})\)?")
_QUERY_RETRIEVE_LEVEL = 0x00080052
_SPECIFIC_CHARACTER_SET = 0x00080005
#: The longest value of a text without an own limit; person names have 64 in each of three groups.
LONGEST = 194
UTF_8 = "ISO_IR 192"
_LATIN_9 = "iso8859-15"  # which pydicom does not know
# Python's encodings that hold more than the sets that they stand for: ASCII, and JIS X 0201.
_TOO_WIDE = frozenset({default_encoding, "shift_jis"})


@dataclass(frozen=True, slots=True)
class Key:
    """One key.

    Args:
        path: tags; all but the last are sequences.
        value: blank asks for the value.
        given: as it was written.
    """

    path: tuple[int, ...]
    value: str
    given: str

    @property
    def name(self) -> str:
        """Keywords joined by dots."""
        return ".".join(keyword_for_tag(tag) for tag in self.path)


def parse(given: str, field: str = "keys") -> Key:
    """Read ``PATH`` or ``PATH=VALUE``; a path is a keyword or tag, or several with dots for what is in a sequence.

    Raises:
        InvalidInput: an attribute that the dictionary does not know, or one that is no key.
    """
    name, _, value = given.partition("=")
    path = tuple(_tag(part.strip(), given, field) for part in name.split("."))
    for tag in path[:-1]:
        if dictionary_VR(tag) != "SQ":
            raise _unusable(given, field, f"{keyword_for_tag(tag)} is no sequence, so nothing is in it")
    if dictionary_VR(path[-1]).split()[0] in _BYTES_VRS:
        raise _unusable(given, field, "its value is bytes, which nothing can be compared with")
    if dictionary_VR(path[-1]) == "SQ" and value.strip():
        raise _unusable(given, field, "it is a sequence: name what is in it, as SEQUENCE.ATTRIBUTE=VALUE")
    return Key(path, value.strip(), given)


def label(name: str) -> str:
    """What the standard calls the attribute of a column, such as ``Study Description``."""
    tag = tag_for_keyword(name.rpartition(".")[2])
    return dictionary_description(tag) if tag is not None else name


def is_numeric(name: str) -> bool:
    """Whether the values of a column are whole numbers, by which it is sorted."""
    tag = tag_for_keyword(name.rpartition(".")[2])
    return tag is not None and dictionary_VR(tag) in _WHOLE_VRS | {"IS"}


def put(identifier: Dataset, key: Key, today: datetime.date, field: str = "keys") -> None:
    """Add a key to an identifier.

    Raises:
        InvalidInput: the value does not fit the attribute.
    """
    inside = identifier
    for tag in key.path[:-1]:
        if tag not in inside:
            inside.add(DataElement(tag, "SQ", [Dataset()]))
        inside = inside[tag].value[0]
    tag = key.path[-1]
    vr = dictionary_VR(tag).split()[0]
    if vr == "SQ":
        if tag not in inside:
            inside.add(DataElement(tag, "SQ", []))
        return
    inside.add(DataElement(tag, vr, _value(key, vr, today, field)))


def text(value: str, field: str, *, longest: int = LONGEST, multiple: bool = False) -> str:
    """A text as a key.

    Raises:
        InvalidInput: it is too long, or has a control character, or a backslash where only one value may stand.
    """
    stripped = value.strip()
    if (not multiple and "\\" in stripped) or any(map(_is_unsendable, stripped)) or len(stripped) > longest:
        raise InvalidInput(
            f"{field}: {value!r} cannot be searched for",
            field=field,
            value=value,
            cause=f"it has a backslash, a control character or half a character, or more than {longest} characters",
            remedy="search for a part of it, with * for the rest",
        )
    return stripped


def _is_unsendable(character: str) -> bool:
    """A control character, or a lone surrogate, which no character set has."""
    return ord(character) < 0x20 or 0xD800 <= ord(character) < 0xE000


def codecs(term: str) -> list[str]:
    """Python's names of the character set that a server is known to use, for its answers; none if none is known."""
    return [_LATIN_9 if term == "ISO_IR 203" else str(python_encoding[term])] if term else []


def character_set(identifier: Dataset, preferred: str) -> str:
    """The Specific Character Set that can hold an identifier's texts; blank if ASCII can.

    Args:
        identifier: with texts.
        preferred: the term that the server is known to use: taken if it can hold them, else Unicode is.
    """
    texts = _texts(identifier)
    if all(value.isascii() for value in texts):
        return ""
    if preferred and preferred != UTF_8 and all(_holds(preferred, value) for value in texts):
        return preferred
    return UTF_8


def _texts(identifier: Dataset) -> list[str]:
    found: list[str] = []
    for element in identifier:
        if element.VR == "SQ":
            for item in element.value:
                found += _texts(item)
        elif element.VR in TEXT_VRS:
            found.append(str(element.value or ""))
    return found


def _holds(term: str, value: str) -> bool:
    encoding = str(python_encoding.get(term))
    if encoding in _TOO_WIDE:
        return False
    try:
        value.encode(encoding)
    except (LookupError, UnicodeError):
        return False
    return True


def _value(key: Key, vr: str, today: datetime.date, field: str) -> object:
    if vr == "DA":
        return search_dates.key(key.value, today, field)
    value = text(key.value, field, multiple=vr == "UI")
    if not value:
        return None if vr in _WHOLE_VRS | _REAL_VRS else ""
    if vr not in TEXT_VRS and not value.isascii():
        raise _unusable(key.given, field, f"{key.name} has no characters beyond ASCII (PS3.5 6.2)")
    if vr in TEXT_VRS or vr in {"UI", "CS", "AE", "TM", "DT", "AS", "UR"}:
        return value
    try:
        return int(value) if vr in _WHOLE_VRS else float(value) if vr in _REAL_VRS else _number(value, vr)
    except ValueError as error:
        raise _unusable(key.given, field, f"{key.name} is a number") from error


def _number(value: str, vr: str) -> str:
    """A number as text."""
    number = int(value) if vr == "IS" else float(value)
    if abs(number) > 1e15:
        raise ValueError(value)
    return value


def _tag(name: str, given: str, field: str) -> int:
    written = _TAG.fullmatch(name)
    tag = int(written[1] + written[2], 16) if written else tag_for_keyword(name)
    if tag is None or not keyword_for_tag(tag):
        raise _unusable(given, field, f"{name!r} is no attribute of the standard, and the VR of others is not known")
    if tag >> 16 < 8 or tag in (_QUERY_RETRIEVE_LEVEL, _SPECIFIC_CHARACTER_SET):
        raise _unusable(given, field, f"{keyword_for_tag(tag)} is set by the query itself")
    return tag


def _unusable(given: str, field: str, cause: str) -> InvalidInput:
    return InvalidInput(
        f"{field}: {given!r} cannot be a key",
        field=field,
        value=given,
        cause=cause,
        remedy="write KEYWORD=VALUE or GGGG,EEEE=VALUE, for example PatientSex=M or 0010,0040=M",
    )


def names(keys: Sequence[str]) -> tuple[str, ...]:
    """The columns that keys ask for.

    Raises:
        InvalidInput: one of them cannot be a key.
    """
    return tuple(parse(key).name for key in keys)
