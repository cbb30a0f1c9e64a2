"""What is to be changed in a study, checked at the door."""

from __future__ import annotations

import json
import math
import re
import struct
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from dicomfab.model.errors import InvalidInput
from dicomfab.pixels.description import DESCRIBING

_INTEGERS: Final = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q"}
_FLOATS: Final = {"FL": "f", "FD": "d"}
_TEXTS: Final = frozenset("AE AS CS DA DS DT IS LO LT PN SH ST TM UC UR UT".split())
_ONE_VALUE: Final = frozenset({"LT", "ST", "UT", "UR"})  # a backslash means nothing in them (PS3.5 6.2)
_LINES: Final = frozenset({"LT", "ST", "UT"})
_VM: Final = re.compile(r"(\d+)(?:-(?:(\d+)|(\d*)n))?")
#: What would make the rest untrue: the character set of all text, and our mark.
_KEPT: Final = frozenset({0x00080005, 0x0008001C})


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be changed, checked.

    Args:
        new_uids: give studies, series, instances and frames of reference new UIDs.
        attributes: keyword -> value as pydicom takes it.
        salt: another one gives other new UIDs.
    """

    new_uids: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict)
    salt: str = ""

    @property
    def fingerprint(self) -> str:
        """The same for the same changes, in every process."""
        return json.dumps([self.salt, sorted(self.attributes.items())], ensure_ascii=True, default=str)

    def __bool__(self) -> bool:
        return self.new_uids or bool(self.attributes)


def requested(
    *,
    new_uids: bool = False,
    patient_id: str | None = None,
    patient_name: str | None = None,
    accession: str | None = None,
    assignments: Sequence[str] = (),
    salt: str = "",
) -> Changes:
    """Check what a person asks for.

    Args:
        new_uids: give studies, series, instances and frames of reference new UIDs.
        patient_id: (0010,0020).
        patient_name: (0010,0010).
        accession: (0008,0050).
        assignments: ``KEYWORD=VALUE``, with a backslash between several values.
        salt: another one gives other new UIDs.

    Raises:
        InvalidInput: a keyword or a value that cannot be used; or attributes without new UIDs, as two different
            instances under one SOP Instance UID are a conflict on every server.
    """
    given = [("PatientID", patient_id, "patient_id"), ("PatientName", patient_name, "patient_name")]
    given.append(("AccessionNumber", accession, "accession"))
    texts = [(keyword, value, name) for keyword, value, name in given if value is not None]
    for assignment in assignments:
        keyword, equals, value = assignment.partition("=")
        if not equals:
            raise _unusable("set", assignment, "has no '='", "write KEYWORD=VALUE, for example StationName=CT1")
        texts.append((keyword.strip(), value, "set"))
    attributes: dict[str, Any] = {}
    for keyword, value, name in texts:
        if keyword in attributes:
            raise _unusable(name, keyword, "is given twice", "give each attribute once")
        attributes[keyword] = _value(keyword, value, name)
    if attributes and not new_uids:
        raise InvalidInput(
            f"new_uids: {', '.join(attributes)} cannot be changed while the UIDs stay",
            field="new_uids",
            value=False,
            cause="one SOP Instance UID stands for one content; servers refuse or mix up a second one (PS3.4 B.3.1)",
            remedy="add --new-uids",
        )
    return Changes(new_uids, attributes, salt)


def _value(keyword: str, text: str, name: str) -> Any:
    from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword

    tag = tag_for_keyword(keyword)
    if tag is None:
        raise _unusable(name, keyword, "is no keyword of an attribute", "write it as PS3.6 does, such as StationName")
    vr = dictionary_VR(tag)
    if vr == "UI":
        raise _unusable(name, keyword, "is a UID", "UIDs are changed together: --new-uids")
    if tag in DESCRIBING or tag in _KEPT or tag >> 16 in (0x0000, 0x0002, 0x7FE0):
        why = "describes the pixels, the encoding or the origin, which stay as they are"
        raise _unusable(name, keyword, why, "change another attribute")
    if vr not in _TEXTS and vr not in _INTEGERS and vr not in _FLOATS:
        raise _unusable(name, keyword, f"has VR {vr}, which no text can be written for", "change another attribute")
    values = [text] if vr in _ONE_VALUE else text.split("\\")
    if text and not _fits_multiplicity(dictionary_VM(tag), len(values)):
        raise _unusable(name, keyword, f"takes {dictionary_VM(tag)} values, not {len(values)}", "give as many values")
    if not text:
        return ""
    checked = [_one(keyword, vr, value, name) for value in values]
    return checked[0] if len(checked) == 1 else checked


def _one(keyword: str, vr: str, text: str, name: str) -> Any:
    try:
        if vr in _INTEGERS:
            struct.pack(_INTEGERS[vr], number := int(text))
            return number
        if vr in _FLOATS:
            struct.pack(_FLOATS[vr], real := float(text))
            if not math.isfinite(real):
                raise ValueError("it is not finite")
            return real
        _check_text(vr, text)
    except (ValueError, OverflowError, struct.error) as error:
        reason = f"cannot be {text!r} (VR {vr}, PS3.5 6.2): {error}"
        raise _unusable(name, keyword, reason, "give a value of this representation") from error
    return text


def _check_text(vr: str, text: str) -> None:
    from pydicom.config import RAISE
    from pydicom.valuerep import validate_value

    if any(unicodedata.category(c) in ("Cc", "Cs") and not (vr in _LINES and c in "\r\n\t\f") for c in text):
        raise ValueError("it has control characters")
    if vr in ("DS", "IS") and text:
        float(text)
    validate_value(vr, text, RAISE)


def _fits_multiplicity(multiplicity: str, count: int) -> bool:
    match = _VM.fullmatch(multiplicity)
    if match is None:
        return True
    low, high, step = int(match[1]), match[2], match[3]
    if step is not None:
        return count >= low and count % int(step or 1) == 0
    return low <= count <= int(high or low)


def _unusable(name: str, value: str, why: str, remedy: str) -> InvalidInput:
    return InvalidInput(f"{name}: {value} {why}", field=name, value=value, remedy=remedy)
