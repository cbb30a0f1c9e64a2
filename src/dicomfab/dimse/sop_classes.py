"""SOP class and transfer syntax UIDs that the services need by name (PS3.4 and PS3.6)."""

from __future__ import annotations

from functools import cache
from typing import Final

from dicomfab.model.query import QueryModel

VERIFICATION: Final = "1.2.840.10008.1.1"
WORKLIST: Final = "1.2.840.10008.5.1.4.31"  # Modality Worklist Information Model - FIND (PS3.4 annex K)
PERFORMED_STEP: Final = "1.2.840.10008.3.1.2.3.3"  # Modality Performed Procedure Step (PS3.4 annex F)
COMMITMENT: Final = "1.2.840.10008.1.20.1"  # Storage Commitment Push Model (PS3.4 annex J)
COMMITMENT_INSTANCE: Final = "1.2.840.10008.1.20.1.1"  # its well-known SOP instance
AVAILABILITY: Final = "1.2.840.10008.5.1.4.33"  # Instance Availability Notification (PS3.4 annex R)

IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"

FIND: Final = {
    QueryModel.PATIENT_ROOT: "1.2.840.10008.5.1.4.1.2.1.1",
    QueryModel.STUDY_ROOT: "1.2.840.10008.5.1.4.1.2.2.1",
}
MOVE: Final = {
    QueryModel.PATIENT_ROOT: "1.2.840.10008.5.1.4.1.2.1.2",
    QueryModel.STUDY_ROOT: "1.2.840.10008.5.1.4.1.2.2.2",
}
GET: Final = {
    QueryModel.PATIENT_ROOT: "1.2.840.10008.5.1.4.1.2.1.3",
    QueryModel.STUDY_ROOT: "1.2.840.10008.5.1.4.1.2.2.3",
}
MODEL_OF: Final = {uid: model for table in (FIND, MOVE, GET) for model, uid in table.items()}

# What hospitals hold most, first: a C-GET can propose no more than 127 of some 200 storage classes.
_COMMON_STORAGE: Final = (
    "1.2.840.10008.5.1.4.1.1.2",  # CT
    "1.2.840.10008.5.1.4.1.1.4",  # MR
    "1.2.840.10008.5.1.4.1.1.1",  # CR
    "1.2.840.10008.5.1.4.1.1.1.1",  # DX, for presentation
    "1.2.840.10008.5.1.4.1.1.1.1.1",  # DX, for processing
    "1.2.840.10008.5.1.4.1.1.1.2",  # MG, for presentation
    "1.2.840.10008.5.1.4.1.1.6.1",  # US
    "1.2.840.10008.5.1.4.1.1.3.1",  # US multi-frame
    "1.2.840.10008.5.1.4.1.1.7",  # SC
    "1.2.840.10008.5.1.4.1.1.128",  # PT
    "1.2.840.10008.5.1.4.1.1.20",  # NM
    "1.2.840.10008.5.1.4.1.1.12.1",  # XA
    "1.2.840.10008.5.1.4.1.1.12.2",  # RF
)


def storage_sop_classes() -> tuple[str, ...]:
    """All storage SOP classes of the standard that are not retired, the common ones first (PS3.4 B.5)."""
    from pydicom.uid import UID_dictionary

    rest = (
        uid
        for uid, (name, kind, _info, retired, _keyword) in UID_dictionary.items()
        if kind == "SOP Class" and not retired and name.partition(" - ")[0].endswith("Storage")
    )
    return tuple(dict.fromkeys((*_COMMON_STORAGE, *rest)))


@cache
def _other_sop_classes() -> frozenset[str]:
    from pydicom.uid import UID_dictionary

    return frozenset(
        uid
        for uid, (name, kind, _info, _retired, _keyword) in UID_dictionary.items()
        if "SOP Class" in kind and not name.partition(" - ")[0].removesuffix(" SOP Class").endswith("Storage")
    )


def is_storage(sop_class_uid: str) -> bool:
    """Whether a SOP class is for storage. One that the standard does not know, such as a private one, counts as one."""
    return sop_class_uid not in _other_sop_classes()
