"""DICOMDIR: the directory of a file set (PS3.3 annex F, PS3.10 clause 8). Made of records that are bytes, each once."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from dicomfab.archive.records import StoredInstance
from dicomfab.model.part10 import file_header
from dicomfab.pixels.syntaxes import EXPLICIT_LITTLE
from dicomfab.services.search_keys import TEXT_VRS

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SOP_CLASS_UID: Final = "1.2.840.10008.1.3.10"
_IN_USE: Final = 0xFFFF
_ESCAPE: Final = b"\x1b"
_Texts: TypeAlias = Mapping[int, bytes]
_OFFSET: Final = struct.Struct("<I")
# Where, in a record, the two offsets stand: both elements have the form (tag, UL, 4, value), a US between them.
_NEXT_AT, _LOWER_AT = 8, 30
_ITEM: Final = struct.Struct("<HHI")
_LONG: Final = struct.Struct("<HH2s2xI")
# VR IS (PS3.5 6.2).
_WHOLE: Final = re.compile(r" *[+-]?[0-9]{1,11} *")
#: What a record needs of each level and the instance does not have (PS3.3 F.5, all of type 1).
_ABSENT: Final = {
    "PatientID": "UNKNOWN",
    "StudyDate": "19000101",
    "StudyTime": "000000",
    "StudyID": "UNKNOWN",
    "Modality": "OT",
    "SeriesNumber": 0,
    "InstanceNumber": 0,
    "ContentDate": "19000101",
    "ContentTime": "000000",
    "PresentationCreationDate": "19000101",
    "PresentationCreationTime": "000000",
    "ContentLabel": "UNKNOWN",
    "DoseSummationType": "PLAN",
    "StructureSetLabel": "UNKNOWN",
    "RTPlanLabel": "UNKNOWN",
    "CompletionFlag": "PARTIAL",
    "VerificationFlag": "UNVERIFIED",
    "MIMETypeOfEncapsulatedDocument": "application/octet-stream",
}


@dataclass(slots=True, eq=False)
class _Record:
    data: bytearray
    lower: dict[str, _Record] = field(default_factory=dict)
    place: int = 0


@dataclass(slots=True)
class Directory:
    """Collects the records of a file set, a tree of patients, studies, series and instances."""

    _patients: dict[str, _Record] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def add(self, instance: StoredInstance) -> str:
        """Take an instance in; reads the start of its file.

        Returns:
            The name of its file in the set: components of eight characters joined by slashes (PS3.10 8.2, 8.5).

        Raises:
            OSError, pydicom.errors.InvalidDicomError: its file cannot be read.
        """
        header = _header(instance.path)
        texts = _texts_as_written(header)
        _complete(header)
        patient = self._record(
            self._patients, f"{header.PatientID}\n{header.get('IssuerOfPatientID', '')}", "PATIENT", header, texts
        )
        study = self._record(patient.lower, instance.study_instance_uid, "STUDY", header, texts)
        series = self._record(study.lower, instance.series_instance_uid, "SERIES", header, texts)
        names = (
            f"ST{self._number('ST', instance.study_instance_uid):06}",
            f"SE{self._number(instance.study_instance_uid, instance.series_instance_uid):06}",
            f"IM{self._number(instance.series_instance_uid, instance.identity.sop_instance_uid):06}",
        )
        file = ["DICOM", *names]
        series.lower[instance.identity.sop_instance_uid] = _Record(_instance_record(header, texts, instance, file))
        return "/".join(file)

    def _record(self, among: dict[str, _Record], key: str, kind: str, header: Dataset, texts: _Texts) -> _Record:
        from pydicom.fileset import DIRECTORY_RECORDERS

        if key not in among:
            among[key] = _Record(_encoded(kind, DIRECTORY_RECORDERS[kind](header), header, texts))
        return among[key]

    def _number(self, within: str, key: str) -> int:
        name = f"{within}\n{key}"
        if name not in self._counts:
            self._counts[within] = self._counts.get(within, 0) + 1
            self._counts[name] = self._counts[within]
        return self._counts[name]

    def chunks(self) -> Iterator[bytes]:
        """The file, piece by piece; nothing may be added afterwards."""
        begin = _beginning()
        # Behind them: the offsets of the first and last root record, the consistency flag, the sequence's header.
        fixed = len(begin) + 12 + 12 + 10 + 12
        records = list(_in_order(self._patients))
        position = fixed
        for record in records:
            record.place = position
            position += 8 + len(record.data)
        _link(self._patients)
        roots = list(self._patients.values())
        yield begin
        for element, root in ((0x1200, roots[0]), (0x1202, roots[-1])):
            yield struct.pack("<HH2sHI", 4, element, b"UL", 4, root.place)
        yield struct.pack("<HH2sHH", 4, 0x1212, b"US", 2, 0)
        yield _LONG.pack(4, 0x1220, b"SQ", position - fixed)
        for record in records:
            yield _ITEM.pack(0xFFFE, 0xE000, len(record.data)) + bytes(record.data)


def _in_order(records: dict[str, _Record]) -> Iterator[_Record]:
    for record in records.values():
        yield record
        yield from _in_order(record.lower)


def _link(records: dict[str, _Record]) -> None:
    siblings = list(records.values())
    for record, following in zip(siblings, [*siblings, None][1:], strict=True):
        _OFFSET.pack_into(record.data, _NEXT_AT, following.place if following else 0)
        first = next(iter(record.lower.values()), None)
        _OFFSET.pack_into(record.data, _LOWER_AT, first.place if first else 0)
        _link(record.lower)


def _header(path: Path) -> Dataset:
    import pydicom

    return pydicom.dcmread(path, stop_before_pixels=True, defer_size=1 << 16)


def _complete(header: Dataset) -> None:
    for keyword in ("SeriesNumber", "InstanceNumber"):
        if keyword in header and not _WHOLE.fullmatch(str(header.get(keyword))):
            del header[keyword]  # no number, which a record of the directory cannot hold
    for keyword, value in _ABSENT.items():
        if header.get(keyword) in (None, ""):
            setattr(header, keyword, value)


def _instance_record(header: Dataset, texts: _Texts, instance: StoredInstance, file: list[str]) -> bytearray:
    from pydicom.dataset import Dataset
    from pydicom.fileset import _FOUR_LEVEL_SOP_CLASSES, DIRECTORY_RECORDERS

    kinds: dict[Any, str] = _FOUR_LEVEL_SOP_CLASSES
    kind = kinds.get(instance.identity.sop_class_uid, "IMAGE")
    try:
        record = DIRECTORY_RECORDERS[kind](header)
    except (KeyError, ValueError):  # it lacks what its kind of record needs; PRIVATE needs a UID that nobody has
        kind, record = "IMAGE", Dataset()
        record.InstanceNumber = header.InstanceNumber
    record.ReferencedFileID = file
    record.ReferencedSOPClassUIDInFile = instance.identity.sop_class_uid
    record.ReferencedSOPInstanceUIDInFile = instance.identity.sop_instance_uid
    record.ReferencedTransferSyntaxUIDInFile = instance.identity.transfer_syntax_uid
    return _encoded(kind, record, header, texts)


def _texts_as_written(header: Dataset) -> _Texts:
    """The bytes of values beyond ASCII; decoded and encoded again, some would become others."""
    raw = {int(tag): getattr(header.get_item(tag), "value", None) for tag in header.keys()}  # noqa: SIM118
    return {tag: one for tag, one in raw.items() if isinstance(one, bytes) and (_ESCAPE in one or not one.isascii())}


def _encoded(kind: str, record: Dataset, header: Dataset, texts: _Texts) -> bytearray:
    from pydicom.dataelem import RawDataElement

    from dicomfab.fabricate.encode.template import encode_dataset

    record.OffsetOfTheNextDirectoryRecord = 0
    record.RecordInUseFlag = _IN_USE
    record.OffsetOfReferencedLowerLevelDirectoryEntity = 0
    record.DirectoryRecordType = kind
    if "SpecificCharacterSet" in header:
        record.SpecificCharacterSet = header.SpecificCharacterSet
    for element in list(record):
        if element.VR in TEXT_VRS and element.tag in texts:
            value = texts[element.tag]
            record[element.tag] = RawDataElement(element.tag, element.VR, len(value), value, 0, False, True)
    return bytearray(encode_dataset(record))


def _beginning() -> bytes:
    """Preamble, file meta information, and the file-set ID."""
    from pydicom.uid import generate_uid

    name = b"DICOMFAB"
    header = file_header(SOP_CLASS_UID, generate_uid(prefix=None), EXPLICIT_LITTLE)
    return header + struct.pack("<HH2sH", 4, 0x1130, b"CS", len(name)) + name
