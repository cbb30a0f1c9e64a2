"""Patients and references to studies and instances."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Patient:
    """A patient as the header of an instance names it.

    Args:
        name: PN as DICOM writes it, ``FAMILY^GIVEN^MIDDLE``.
        patient_id: (0010,0020), unique with its issuer.
        birth_date: ``YYYYMMDD`` or empty.
        sex: ``M``, ``F``, ``O`` or empty.
        issuer: (0010,0021); ours begin with ``SYN``.
        size_m: PatientSize (0010,1020); ``None`` leaves it to the body.
        weight_kg: PatientWeight (0010,1030); ``None`` leaves it to the body.
        address: PatientAddress (0010,1040), LO, or empty.
        phone: PatientTelephoneNumbers (0010,2154), one number, SH, or empty.
    """

    name: str
    patient_id: str
    birth_date: str = ""
    sex: str = ""
    issuer: str = ""
    size_m: float | None = None
    weight_kg: float | None = None
    address: str = ""
    phone: str = ""


@dataclass(frozen=True, slots=True)
class InstanceIdentity:
    """What identifies one SOP instance and how its data set is encoded."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True)
class InstanceFile:
    """A SOP instance in a DICOM file (PS3.10).

    Args:
        path: the file.
        identity: what its file meta information says.
        dataset_offset: bytes before the data set begins.
    """

    path: Path
    identity: InstanceIdentity
    dataset_offset: int
