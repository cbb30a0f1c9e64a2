"""UIDs, and what the instance says that it is (PS3.5 9, PS3.3 C.12.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from dicomfab.validity.dataset import label
from dicomfab.validity.findings import Problem, Rule, rule
from dicomfab.validity.instance import Instance
from dicomfab.validity.values import text

_DIRECTORY: Final = "1.2.840.10008.1.3.10"  # a DICOMDIR is of no study
_UID: Final = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."
# Modality (PS3.3 C.7.3.1.1.1) by SOP class, where the IOD leaves no choice.
MODALITIES: Final = {
    _STORAGE + tail: frozenset(modalities.split())
    for tail, modalities in {
        "1": "CR",
        "1.1": "DX",
        "1.1.1": "DX",
        "1.2": "MG",
        "1.2.1": "MG",
        "1.3": "IO",
        "1.3.1": "IO",
        "13.1.3": "MG",
        "2": "CT",
        "2.1": "CT",
        "2.2": "CT",
        "3.1": "US",
        "6.1": "US",
        "6.2": "US",
        "4": "MR",
        "4.1": "MR",
        "4.2": "MR",
        "4.3": "MR",
        "4.4": "MR",
        "12.1": "XA",
        "12.1.1": "XA",
        "12.2": "RF XA",
        "12.2.1": "RF XA",
        "20": "NM",
        "66.4": "SEG",
        "66.7": "SEG",
        "77.1.1": "ES",
        "77.1.2": "GM",
        "77.1.3": "SM",
        "77.1.4": "XC",
        "77.1.6": "SM",
        "128": "PT",
        "130": "PT",
        "128.1": "PT",
        "481.1": "RTIMAGE",
        "481.2": "RTDOSE",
        "481.3": "RTSTRUCT",
        "481.5": "RTPLAN",
        "88.11": "SR",
        "88.22": "SR",
        "88.33": "SR",
        "88.34": "SR",
        "88.59": "KO",
        "11.1": "PR",
    }.items()
}


@rule("meta-agrees", "PS3.10 7.1", "write the UIDs of the data set into the file meta information")
def meta_agrees(instance: Instance) -> Iterator[Problem]:
    """SOP class and instance are the same in the file meta information and in the data set."""
    if instance.damage:
        return
    for meta_tag, tag in ((0x00020002, 0x00080016), (0x00020003, 0x00080018)):
        in_meta, in_data = instance.meta_uid(meta_tag), instance.string(tag)
        if in_meta and in_data and in_meta != in_data:
            yield Problem(
                "the file meta information names another one than the data set", label(tag), f"{in_meta}, {in_data}"
            )


#: Storage SOP classes that pydicom's dictionary does not have yet: Label Map and Height Map Segmentation.
_NEWER: Final = frozenset({"1.2.840.10008.5.1.4.1.1.66.7", "1.2.840.10008.5.1.4.1.1.66.8"})


@rule("sop-class", "PS3.4 annex B.5", "use the SOP class that the object was made for")
def sop_class(instance: Instance) -> Iterator[Problem]:
    """The SOP class is one of the standard's storage SOP classes; private ones are none of ours to judge."""
    from pydicom.uid import UID_dictionary

    uid = instance.sop_class_uid
    if not uid:
        yield Problem("no SOP class", "SOPClassUID")
    elif uid.startswith("1.2.840.10008.") and uid not in _NEWER and "Storage" not in UID_dictionary.get(uid, ("",))[0]:
        yield Problem("not a storage SOP class of the standard", "SOPClassUID", uid)


@rule("modality", "PS3.3 C.7.3.1.1.1", "correct Modality, or store the object under the SOP class of its modality")
def modality(instance: Instance) -> Iterator[Problem]:
    """Modality is what the SOP class is for."""
    allowed, stated = MODALITIES.get(instance.sop_class_uid), instance.string(0x00080060)
    if allowed and stated and stated not in allowed:
        yield Problem(f"{stated} does not fit the SOP class", "Modality", f"the IOD has {' or '.join(sorted(allowed))}")


@rule("uid", "PS3.5 9.1", "make UIDs of numbers without leading zeros, joined by dots, at most 64 characters")
def uid(instance: Instance) -> Iterator[Problem]:
    """Every UID has the form of one."""
    for path, _, element in instance.walk():
        if element.vr != "UI" or not element.held:
            continue
        for value in text(element.value).split("\\"):
            stripped = value.removesuffix("\0")
            if stripped and (problem := _wrong(stripped)):
                yield Problem(problem, path + label(element.tag), repr(stripped))
    for tag in () if instance.sop_class_uid == _DIRECTORY else (0x0020000D, 0x0020000E):
        if not instance.damage and instance.sop_class_uid and not instance.string(tag):
            yield Problem("no UID", label(tag))


def _wrong(value: str) -> str:
    if len(value) > 64:
        return "UID of more than 64 characters"
    if not re.fullmatch(r"[0-9.]*", value):
        return "UID with characters other than digits and dots"
    if not _UID.fullmatch(value):
        return "UID with an empty component or a leading zero"
    first, second = value.split(".")[:2]
    if first not in "012" or (first in "01" and int(second) > 39):
        return "UID with a root that does not exist"
    return ""


@rule("private-creator", "PS3.5 7.8.1", "write the private creator of the block, or leave its elements out")
def private_creator(instance: Instance) -> Iterator[Problem]:
    """Every private element belongs to a block that someone has reserved."""
    for path, data, element in instance.walk():
        group, number = element.tag >> 16, element.tag & 0xFFFF
        if group % 2 == 0 or number == 0 or 0x10 <= number <= 0xFF:
            continue
        creator = data.elements.get(group << 16 | number >> 8) if number > 0xFF else None
        if creator is None or not creator.value.strip(b" \0"):
            yield Problem("private element without a private creator", path + label(element.tag))


RULES: Final[tuple[Rule[Instance], ...]] = (meta_agrees, sop_class, modality, uid, private_creator)
