"""The smallest real server behind a real socket: keeps data sets in memory, so that DIMSE is tested without archive."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import pydicom
from pydicom import Dataset

from dicomfab.dimse.handlers import Refusal, Requestor
from dicomfab.model.part10 import file_header
from dicomfab.model.query import QueryModel
from dicomfab.model.study import Buffer, InstanceFile, InstanceIdentity

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"


class MemoryPacs:
    """Handlers of C-STORE, C-FIND, C-MOVE and C-GET."""

    def __init__(self) -> None:
        self.stored: dict[str, tuple[InstanceIdentity, bytes]] = {}
        self.discarded: list[str] = []
        self.requestors: list[Requestor] = []
        self.refuse: Refusal | None = None
        self.refuse_uids: dict[str, Refusal] = {}
        self.matches: list[Dataset] = []
        self.selected: list[InstanceFile] = []
        self.destinations: dict[str, tuple[str, int]] = {}
        self.identifiers: list[Dataset] = []

    def begin_store(self, requestor: Requestor, identity: InstanceIdentity) -> MemorySink:
        self.requestors.append(requestor)
        return MemorySink(self, identity)

    def find(self, requestor: Requestor, model: QueryModel, identifier: Dataset) -> Iterator[Dataset]:
        self.identifiers.append(identifier)
        if self.refuse:
            raise self.refuse
        yield from self.matches

    def select(self, requestor: Requestor, model: QueryModel, identifier: Dataset) -> Sequence[InstanceFile]:
        self.identifiers.append(identifier)
        if self.refuse:
            raise self.refuse
        return self.selected

    def destination(self, requestor: Requestor, move_destination: str) -> tuple[str, int] | None:
        return self.destinations.get(move_destination)


class MemorySink:
    def __init__(self, pacs: MemoryPacs, identity: InstanceIdentity) -> None:
        self._pacs = pacs
        self._identity = identity
        self._data = io.BytesIO()

    def write(self, chunk: Buffer) -> None:
        self._data.write(chunk)

    def finish(self) -> int:
        refusal = self._pacs.refuse or self._pacs.refuse_uids.get(self._identity.sop_instance_uid)
        if refusal:
            raise refusal
        self._pacs.stored[self._identity.sop_instance_uid] = (self._identity, self._data.getvalue())
        return 0x0000

    def discard(self) -> None:
        self._pacs.discarded.append(self._identity.sop_instance_uid)


def make_instance(
    folder: Path, number: int, *, sop_class: str = CT, syntax: str = EXPLICIT, pixels: int = 2000
) -> InstanceFile:
    """Write a small data set to a file."""
    dataset = Dataset()
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = f"1.2.3.{number}"
    dataset.StudyInstanceUID = "1.2.3"
    dataset.SeriesInstanceUID = "1.2.3.0"
    dataset.PatientName = "Test^Dimse"
    dataset.PatientID = "SYN1"
    dataset.BitsAllocated = 8
    dataset.PixelData = bytes(pixels)
    dataset["PixelData"].VR = "OB"
    body = pydicom.filebase.DicomBytesIO()
    body.is_little_endian = True
    body.is_implicit_VR = syntax == "1.2.840.10008.1.2"
    pydicom.filewriter.write_dataset(body, dataset)
    identity = InstanceIdentity(sop_class, dataset.SOPInstanceUID, syntax)
    header = file_header(identity.sop_class_uid, identity.sop_instance_uid, identity.transfer_syntax_uid)
    path = folder / f"{number}-{sop_class}.dcm"
    path.write_bytes(header + body.getvalue())
    return InstanceFile(path, identity, len(header))
