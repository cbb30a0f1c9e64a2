"""A DICOMDIR (PS3.3 annex F) of a fabricated folder, right but for the lies that are wanted in it."""

from __future__ import annotations

import copy
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydicom.dataset import Dataset

from dicomfab.fabricate.encode.template import encode_dataset
from dicomfab.fabricate.recipe import ResolvedStudy
from dicomfab.fabricate.seeds import Draw
from dicomfab.model.part10 import file_header
from dicomfab.pixels.syntaxes import EXPLICIT_LITTLE

if TYPE_CHECKING:
    from dicomfab.fabricate.defects.places import Place
    from dicomfab.fabricate.plan import SeriesPlan

NAME: Final = "DICOMDIR"
NOT_THERE: Final = "IM999999"
_SOP_CLASS_UID: Final = "1.2.840.10008.1.3.10"
# Where, in a record, the two offsets stand: both elements have the form (tag, UL, 4, value), a US between them.
_NEXT_AT, _LOWER_AT = 8, 30
_LEVELS: Final = 4  # patient, study, series, instance


def lies(study: ResolvedStudy, count: int) -> tuple[int, int | None]:
    """The instances that it lies about, counted from 0: whose file it names wrongly, and whose UID.

    Args:
        study: with the defect.
        count: its instances; only the first lie is told of a single one.
    """
    first = Draw(study.seed, "defect", "dicomdir-lies").below(count)
    return first, (first + 1) % count if count > 1 else None


def told(study: ResolvedStudy) -> list[dict[str, str]]:
    """The lies, for the truth file: ``file`` that a record is of, and what it ``says``."""
    from dicomfab.fabricate.planning import plans

    uids = [plan.varying(index)["SOPInstanceUID"] for plan in plans(study, 1) for index in range(plan.count)]
    no_file, no_uid = lies(study, len(uids))
    found = [{"file": _file(no_file), "says": f"the file is {NOT_THERE}"}]
    if no_uid is not None:
        found.append({"file": _file(no_uid), "says": f"the SOP Instance UID is {_other_uid(study, uids[no_uid])}"})
    return found


def _file(number: int) -> str:
    return f"IM{number + 1:06d}"


def _other_uid(study: ResolvedStudy, uid: str) -> str:
    return study.uid("another instance", uid)


def write(study: ResolvedStudy, directory: Path, *, lying: bool = True) -> None:
    """Write it beside the files of a study, which are named IM000001 and so on; one that is there is replaced.

    Args:
        study: what the folder holds.
        directory: the folder.
        lying: whether it names a file that is not there, and a wrong SOP Instance UID.
    """
    (directory / NAME).write_bytes(encoded(study, lying=lying))


def encoded(study: ResolvedStudy, *, lying: bool = True) -> bytes:
    """The file; arguments as of :func:`write`."""
    head = file_header(_SOP_CLASS_UID, study.uid("directory"), EXPLICIT_LITTLE)
    head += struct.pack("<HH2sH", 4, 0x1130, b"CS", 0)
    fixed = len(head) + 12 + 12 + 10 + 12
    records = list(_records(study, lying=lying))
    places = []
    position = fixed
    for _, record in records:
        places.append(position)
        position += 8 + len(record)
    _link(records, places)
    root = struct.pack("<HH2sHI", 4, 0x1200, b"UL", 4, fixed) + struct.pack("<HH2sHI", 4, 0x1202, b"UL", 4, fixed)
    flag = struct.pack("<HH2sHH", 4, 0x1212, b"US", 2, 0)
    sequence = struct.pack("<HH2s2xI", 4, 0x1220, b"SQ", position - fixed)
    items = (struct.pack("<HHI", 0xFFFE, 0xE000, len(record)) + record for _, record in records)
    return b"".join((head, root, flag, sequence, *items))


def _link(records: list[tuple[int, bytearray]], places: list[int]) -> None:
    """Set in each record where its next and its first lower one begin; the records are in the order of the tree."""
    later: list[int] = [0] * _LEVELS
    for (level, record), place in zip(reversed(records), reversed(places), strict=True):
        struct.pack_into("<I", record, _NEXT_AT, later[level])
        struct.pack_into("<I", record, _LOWER_AT, later[level + 1] if level + 1 < _LEVELS else 0)
        later[level] = place
        later[level + 1 :] = [0] * (_LEVELS - level - 1)


def _records(study: ResolvedStudy, *, lying: bool) -> Iterator[tuple[int, bytearray]]:
    """As somebody writes them who reads the files: what is wrong in these stands here as well, and is no lie."""
    from dicomfab.fabricate.defects.making import said_syntax
    from dicomfab.fabricate.defects.places import places, received_uids
    from dicomfab.fabricate.planning import plans

    made, wrong = list(plans(study, 1)), places(study)
    no_file, no_uid = lies(study, sum(plan.count for plan in made)) if lying else (None, None)
    uids, mislabelled = received_uids(wrong), _uids_with("syntax-mismatch", wrong)
    number, series = 0, ""
    for plan in made:
        header = _header(plan)
        _name_as_received(study, header)
        if not number:
            yield 0, _record("PATIENT", header, {})
            yield 1, _record("STUDY", header, {})
        if header.SeriesInstanceUID != series:
            series = header.SeriesInstanceUID
            yield 2, _record("SERIES", header, {})
        for index in range(plan.count):
            values = plan.varying(index)
            header.InstanceNumber = values["InstanceNumber"]
            own, syntax = values["SOPInstanceUID"], plan.transfer_syntax_uid
            file = NOT_THERE if number == no_file else _file(number)
            uid = _other_uid(study, own) if number == no_uid else uids.get(own, own)
            yield 3, _instance(header, said_syntax(syntax) if own in mislabelled else syntax, file, uid)
            number += 1


def _uids_with(name: str, found: Sequence[Place]) -> set[str]:
    return {place.instance.sop_instance_uid for place in found if place.defect == name}


def _name_as_received(study: ResolvedStudy, header: Dataset) -> None:
    from dicomfab.fabricate.defects.making import NAMES

    for name in NAMES.keys() & set(study.defects):
        header.PatientName = NAMES[name]


def _header(plan: SeriesPlan) -> Dataset:
    header = copy.copy(plan.dataset)
    for keyword, value in plan.varying(0).items():
        if keyword in ("InstanceNumber", "ContentDate", "ContentTime"):
            setattr(header, keyword, value)
    return header


def _instance(header: Dataset, transfer_syntax_uid: str, file: str, uid: str) -> bytearray:
    from pydicom.fileset import _FOUR_LEVEL_SOP_CLASSES

    given = {
        "ReferencedFileID": file,
        "ReferencedSOPClassUIDInFile": header.SOPClassUID,
        "ReferencedSOPInstanceUIDInFile": uid,
        "ReferencedTransferSyntaxUIDInFile": transfer_syntax_uid,
    }
    return _record(_FOUR_LEVEL_SOP_CLASSES.get(header.SOPClassUID, "IMAGE"), header, given)


def _record(kind: str, header: Dataset, given: dict[str, str]) -> bytearray:
    from pydicom.fileset import DIRECTORY_RECORDERS

    record: Dataset = DIRECTORY_RECORDERS[kind](header)
    record.OffsetOfTheNextDirectoryRecord = 0
    record.RecordInUseFlag = 0xFFFF
    record.OffsetOfReferencedLowerLevelDirectoryEntity = 0
    record.DirectoryRecordType = kind
    if "SpecificCharacterSet" in header:
        record.SpecificCharacterSet = header.SpecificCharacterSet
    for keyword, value in given.items():
        setattr(record, keyword, value)
    return bytearray(encode_dataset(record))
