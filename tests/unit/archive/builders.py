"""Small real instances, their encoding, and the way into an archive."""

from __future__ import annotations

import contextlib
import io
import sqlite3
import zlib
from pathlib import Path
from typing import Any

from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from dicomfab.archive.archive import INDEX_NAME, Archive
from dicomfab.archive.records import Stored
from dicomfab.model.study import InstanceIdentity
from dicomfab.model.values import Environment

EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
BIG = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
JPEG = "1.2.840.10008.1.2.4.50"
CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
SR = "1.2.840.10008.5.1.4.1.1.88.11"


def dataset(study: str = "1.2.1", series: str = "1.2.1.1", instance: str = "1.2.1.1.1", **attributes: Any) -> Dataset:
    """A data set with the UIDs given, a patient and a study, and whatever else is named by keyword."""
    defaults: dict[str, Any] = {
        "SOPClassUID": CT,
        "SOPInstanceUID": instance,
        "StudyInstanceUID": study,
        "SeriesInstanceUID": series,
        "PatientID": "P1",
        "PatientName": "DOE^JOHN",
        "Modality": "CT",
        "StudyDate": "20240131",
    }
    made = Dataset()
    for keyword, value in (defaults | attributes).items():
        if value is not None:
            setattr(made, keyword, value)
    return made


def encode(data: Dataset, transfer_syntax_uid: str = EXPLICIT) -> bytes:
    """The data set as it goes over the wire."""
    buffer = io.BytesIO()
    sink = DicomIO(buffer)
    sink.is_implicit_VR = transfer_syntax_uid == IMPLICIT
    sink.is_little_endian = transfer_syntax_uid != BIG
    write_dataset(sink, data)
    if transfer_syntax_uid == DEFLATED:
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        return deflater.compress(buffer.getvalue()) + deflater.flush()
    return buffer.getvalue()


def identity_of(data: Dataset, transfer_syntax_uid: str = EXPLICIT) -> InstanceIdentity:
    return InstanceIdentity(str(data.SOPClassUID), str(data.SOPInstanceUID), transfer_syntax_uid)


def store(
    archive: Archive,
    data: Dataset,
    transfer_syntax_uid: str = EXPLICIT,
    environment: Environment = Environment.TEST,
) -> Stored:
    """Hand an instance to the archive, in pieces."""
    content = encode(data, transfer_syntax_uid)
    incoming = archive.begin(identity_of(data, transfer_syntax_uid))
    for start in range(0, len(content), 100):
        incoming.write(memoryview(content)[start : start + 100])
    return incoming.commit(environment=environment)


def notes(root: Path) -> dict[str, tuple[str, bytes | None]]:
    """What an index says of files that are not settled: path -> temporary file, and content if it is small."""
    with contextlib.closing(sqlite3.connect(root / INDEX_NAME)) as index:
        found = index.execute(
            "SELECT path, temporary, content FROM unsettled JOIN instance ON instance.id = instance_id"
        )
        return {path: (temporary, content) for path, temporary, content in found}


def received(**keys: Any) -> Dataset:
    """An identifier as a peer's request brings it: encoded, and read back undecoded."""
    made = Dataset()
    for keyword, value in keys.items():
        tag = tag_for_keyword(keyword)
        assert tag is not None, keyword
        made.add(DataElement(tag, dictionary_VR(tag), value, validation_mode=IGNORE))
    return read_dataset(io.BytesIO(encode(made, IMPLICIT)), True, True)
