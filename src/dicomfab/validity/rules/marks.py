"""The marks of synthetic data: ours have to have them, others may."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dicomfab.model.part10 import IMPLEMENTATION_CLASS_UID
from dicomfab.validity.findings import Problem, Rule, Severity, rule
from dicomfab.validity.instance import Instance

_CREATOR: Final = "DICOM FABRICATOR"
_SYNTHETIC: Final = 0x0008001C


@rule("synthetic", "PS3.3 C.12.1", "", Severity.INFO)
def synthetic(instance: Instance) -> Iterator[Problem]:
    """Says that an instance is marked as synthetic, and how."""
    if instance.string(_SYNTHETIC) == "YES":
        parts = ["SyntheticData YES"]
        if _ours(instance):
            parts.append("our private block")
        if burned := instance.string(0x00280301):
            parts.append(f"BurnedInAnnotation {burned}")
        yield Problem(f"marked as synthetic: {', '.join(parts)}", "SyntheticData")


@rule("synthetic-mark", "PS3.3 C.12.1", "set SyntheticData to YES, so that nobody takes it for a real patient's")
def mark_missing(instance: Instance) -> Iterator[Problem]:
    """What DICOM Fabricator made is marked as synthetic."""
    if _ours(instance) and instance.string(_SYNTHETIC) != "YES":
        yield Problem("fabricated, but not marked as synthetic", "SyntheticData")


@rule("origin", "PS3.10 7.1", "", Severity.INFO)
def unmarked_file_of_ours(instance: Instance) -> Iterator[Problem]:
    """Says that we wrote the file, of an instance that carries no mark of ours (a converted or stored one)."""
    if instance.meta_uid(0x00020012) == IMPLEMENTATION_CLASS_UID and not _ours(instance):
        yield Problem("file written by DICOM Fabricator, of an instance that others made")


def _ours(instance: Instance) -> bool:
    """Whether the instance has our private block."""
    return any(
        tag >> 16 & 1 and 0x10 <= tag & 0xFFFF <= 0xFF and element.value.strip(b" \0") == _CREATOR.encode()
        for tag, element in instance.data.elements.items()
    )


RULES: Final[tuple[Rule[Instance], ...]] = (synthetic, mark_missing, unmarked_file_of_ours)
