"""Objects of the DICOM JSON model as data sets, their values encoded as a C-FIND would have brought them (PS3.18 F.2).

So whatever reads matches reads both alike: values stay raw until they are asked for.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Callable, Container, Mapping
from typing import Any, Final

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import BaseTag

from dicomfab.dicomweb.json_values import BINARY_VRS, UTF_8

_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_CHARSET: Final = BaseTag(0x00080005)
_CODES: Final = {"US": "<H", "SS": "<h", "UL": "<I", "SL": "<i", "FL": "<f", "FD": "<d", "UV": "<Q", "SV": "<q"}
_TEXT_VRS: Final = frozenset("AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT".split())
_NAME_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_NUMBER_VRS: Final = frozenset({"IS", "DS"})
_DEEPEST: Final = 16
_LONGEST_DECIMAL: Final = 16  # PS3.5 6.2


class MalformedJson(ValueError):
    """An object that is no data set; its text names no value."""


def data_set(members: Mapping[str, Any], wanted: Container[int] | None = None, *, depth: int = 0) -> Dataset:
    """A data set of an object.

    Args:
        members: tag in hexadecimal -> attribute.
        wanted: tags of the attributes to take; all if ``None``.
        depth: how many sequences it is in.

    Returns:
        In UTF-8, and saying so. Attributes that are named by URI have no value.

    Raises:
        MalformedJson: an attribute that is none.
    """
    if depth > _DEEPEST:
        raise MalformedJson("sequences are nested too deeply")
    if not isinstance(members, dict):
        raise MalformedJson("an item is no object")
    made = Dataset()
    made.set_original_encoding(False, True, ["utf_8"])
    for name, attribute in members.items():
        if not _TAG.fullmatch(name):
            raise MalformedJson("a member is named by no tag")
        tag = BaseTag(int(name, 16))
        if tag == _CHARSET or (wanted is not None and tag not in wanted):
            continue
        if not isinstance(attribute, dict):
            raise MalformedJson(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) is no object")
        try:
            made[tag] = _element(tag, attribute, depth)
        except (ValueError, TypeError, OverflowError, struct.error, binascii.Error) as error:
            raise MalformedJson(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) has a value that it cannot have") from error
    if not depth:
        made[_CHARSET] = _raw(_CHARSET, "CS", UTF_8.encode())
    return made


def _element(tag: BaseTag, attribute: Mapping[str, Any], depth: int) -> DataElement | RawDataElement:
    vr = _vr(tag, attribute.get("vr"))
    values = attribute.get("Value", [])
    if not isinstance(values, list):
        raise MalformedJson("Value is no array")
    if vr == "SQ":
        return DataElement(tag, vr, Items([data_set(item or {}, depth=depth + 1) for item in values]))
    if vr in BINARY_VRS:
        return _raw(tag, vr, base64.b64decode(attribute.get("InlineBinary") or "", validate=True))
    if vr == "AT":
        return _raw(tag, vr, b"".join(struct.pack("<HH", int(v[:4], 16), int(v[4:], 16)) for v in values if v))
    if vr in _CODES:
        convert: Callable[[Any], Any] = float if vr in ("FL", "FD") else int
        return _raw(tag, vr, b"".join(struct.pack(_CODES[vr], convert(v)) for v in values if v is not None))
    return _raw(tag, vr, "\\".join(_text(vr, value) for value in values).encode())


def _vr(tag: BaseTag, stated: object) -> str:
    """As the object says, if there is such a one; else as the dictionary does."""
    if isinstance(stated, str) and (stated in _TEXT_VRS or stated in _CODES or stated in BINARY_VRS | {"SQ", "AT"}):
        return stated
    return str(dictionary_VR(tag)).split()[0] if dictionary_has_tag(tag) else "UN"


def _text(vr: str, value: object) -> str:
    if value is None:
        return ""
    if vr == "PN":
        return _name(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise MalformedJson("a value is neither text nor number")
    text = str(value)
    if vr in _NUMBER_VRS and text.strip():
        float(text)
    if isinstance(value, float) and vr == "IS" and value.is_integer():
        return str(int(value))
    if isinstance(value, float) and len(text) > _LONGEST_DECIMAL:
        return f"{value:.9g}"
    return text


def _name(value: object) -> str:
    """A person's name; some servers send it as one text."""
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        raise MalformedJson("a name is no object")
    groups = [value.get(group) or "" for group in _NAME_GROUPS]
    if not all(isinstance(group, str) for group in groups):
        raise MalformedJson("a name has a group that is no text")
    return "=".join(groups).rstrip("=")


def _raw(tag: BaseTag, vr: str, value: bytes) -> RawDataElement:
    return RawDataElement(tag, vr, len(value), value, 0, False, True)
