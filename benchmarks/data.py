"""Instances to measure with: made from one encoded header, their identifiers patched in place, so that each is new.

A server takes another path for an instance that it holds already, so whatever a server keeps must be sent under UIDs
that it has not seen. Every call here gives new ones.
"""

from __future__ import annotations

import io
import itertools
import os
import random
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filebase import DicomIO
from pydicom.filewriter import write_dataset

from dicomfab.model.part10 import file_header
from dicomfab.model.study import InstanceFile, InstanceIdentity

EXPLICIT = "1.2.840.10008.1.2.1"
MULTI_FRAME_SC = "1.2.840.10008.5.1.4.1.1.7.3"
MEMORY = Path("/dev/shm")

# Stand-ins that occur nowhere else in a header, as long as what replaces them.
_INSTANCE, _SERIES, _STUDY = (f"2.25.{digit * 29}" for digit in "789")
_PATIENT, _ACCESSION, _NUMBER = "SYN7777777777", "ACC7777777777", "0077777777"

_RUN = time.time_ns()
_counter = itertools.count(1)


@dataclass(frozen=True)
class Kind:
    """What is sent.

    Args:
        label: as the tables name it.
        bits: allocated for each pixel, 8 or 16.
    """

    label: str
    sop_class_uid: str
    modality: str
    rows: int
    columns: int
    bits: int


TINY = Kind("5 KB SC", "1.2.840.10008.5.1.4.1.1.7", "OT", 64, 64, 8)
CT = Kind("0.5 MB CT", "1.2.840.10008.5.1.4.1.1.2", "CT", 512, 512, 16)
DX = Kind("20 MB DX", "1.2.840.10008.5.1.4.1.1.1.1", "DX", 3200, 3200, 16)
KINDS = {kind.label: kind for kind in (TINY, CT, DX)}


def new_uid() -> str:
    """A UID below 2.25 (PS3.5 B.2) that no earlier call and no earlier run gave, always of the same length."""
    return f"2.25.{_RUN:019d}{next(_counter):010d}"


class Maker:
    """Writes instances of one kind, explicit VR little endian.

    Args:
        kind: what they are.
    """

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._head = _encoded(_header(kind))
        # Noise, so that no layer below can profit from equal pixels.
        pixel_bytes = kind.rows * kind.columns * kind.bits // 8
        self._pixels = random.Random(1).randbytes(pixel_bytes)
        vr = b"OB" if kind.bits == 8 else b"OW"
        self._element = b"\xe0\x7f\x10\x00" + vr + b"\0\0" + pixel_bytes.to_bytes(4, "little")

    @property
    def size_bytes(self) -> int:
        """Of one data set."""
        return len(self._head) + len(self._element) + len(self._pixels)

    def write(self, folder: Path, count: int, *, studies: int = 1) -> list[InstanceFile]:
        """Write new instances, as many to each study, one series in each.

        Args:
            folder: made if absent; the names sort as they are given here.
            studies: divides ``count``.
        """
        folder.mkdir(parents=True, exist_ok=True)
        written: list[InstanceFile] = []
        for _ in range(studies):
            number, study, series = next(_counter), new_uid(), new_uid()
            common = {
                _STUDY: study, _SERIES: series, _PATIENT: f"SYN{number:010d}", _ACCESSION: f"ACC{number:010d}",
            }  # fmt: skip
            head = _patched(self._head, common)
            for instance in range(count // studies):
                written.append(self._write(folder / f"{len(written):06d}.dcm", head, instance + 1))
        return written

    def _write(self, path: Path, head: bytes, number: int) -> InstanceFile:
        identity = InstanceIdentity(self.kind.sop_class_uid, new_uid(), EXPLICIT)
        meta = file_header(identity.sop_class_uid, identity.sop_instance_uid, EXPLICIT)
        head = _patched(head, {_INSTANCE: identity.sop_instance_uid, _NUMBER: f"{number:010d}"})
        with path.open("wb") as file:
            file.writelines((meta, head, self._element, self._pixels))
        return InstanceFile(path, identity, len(meta))


def write_sparse(path: Path, size_bytes: int) -> InstanceFile:
    """One multi-frame instance whose pixels are a hole in the file: it takes no disk, however large.

    Args:
        size_bytes: of the pixel data; a multiple of 512 x 512 x 2, below 4 GiB.
    """
    kind = Kind("multi-frame", MULTI_FRAME_SC, "OT", 512, 512, 16)
    header = _header(kind)
    header.NumberOfFrames = size_bytes // (512 * 512 * 2)
    identity = InstanceIdentity(MULTI_FRAME_SC, new_uid(), EXPLICIT)
    head = _patched(_encoded(header), {_INSTANCE: identity.sop_instance_uid, _STUDY: new_uid(), _SERIES: new_uid()})
    meta = file_header(identity.sop_class_uid, identity.sop_instance_uid, EXPLICIT)
    element = b"\xe0\x7f\x10\x00OW\0\0" + size_bytes.to_bytes(4, "little")
    with path.open("wb") as file:
        file.writelines((meta, head, element))
        file.truncate(len(meta) + len(head) + len(element) + size_bytes)
    return InstanceFile(path, identity, len(meta))


def study_uid(instance: InstanceFile) -> str:
    """The study of an instance that was written here."""
    return _value(instance, b"\x20\x00\x0d\x00UI")


def accession_number(instance: InstanceFile) -> str:
    """The accession number of an instance that was written here."""
    return _value(instance, b"\x08\x00\x50\x00SH")


def _value(instance: InstanceFile, element: bytes) -> str:
    """Of an element with a length of two bytes that is named before any value could look like it."""
    content = instance.path.read_bytes()
    start = content.index(element) + len(element)
    length = int.from_bytes(content[start : start + 2], "little")
    return content[start + 2 : start + 2 + length].decode().rstrip(" \0")


@contextmanager
def memory_folder() -> Iterator[Path]:
    """A folder in memory, where there is one, for what senders read; removed at the end."""
    base = MEMORY if os.access(MEMORY, os.W_OK) else Path(os.environ.get("TMPDIR", "/tmp"))
    yield from _folder(base)


@contextmanager
def disk_folder(base: Path) -> Iterator[Path]:
    """A folder on a disk, for what servers keep; removed at the end."""
    yield from _folder(base)


def _folder(base: Path) -> Iterator[Path]:
    folder = base / f"dicomfab-bench-{os.getpid()}-{next(_counter)}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _header(kind: Kind) -> Dataset:
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    made.SOPClassUID = kind.sop_class_uid
    made.SOPInstanceUID = _INSTANCE
    made.StudyDate = made.SeriesDate = made.ContentDate = "20260131"
    made.StudyTime = made.SeriesTime = made.ContentTime = "093000"
    made.AccessionNumber = _ACCESSION
    made.Modality = kind.modality
    made.ConversionType = "WSD"
    made.Manufacturer = "DICOM Fabricator"
    made.InstitutionName = "Benchmark"
    made.ReferringPhysicianName = "REFERRER^ANN"
    made.StudyDescription = f"Benchmark {kind.label}"
    made.SeriesDescription = "As large as a usual one"
    made.PatientName = f"BENCH^{_PATIENT}"
    made.PatientID = _PATIENT
    made.PatientBirthDate = "19700101"
    made.PatientSex = "O"
    made.StudyInstanceUID = _STUDY
    made.SeriesInstanceUID = _SERIES
    made.StudyID = "1"
    made.SeriesNumber = "1"
    made.InstanceNumber = _NUMBER
    made.SamplesPerPixel = 1
    made.PhotometricInterpretation = "MONOCHROME2"
    made.Rows, made.Columns = kind.rows, kind.columns
    made.BitsAllocated = made.BitsStored = kind.bits
    made.HighBit = kind.bits - 1
    made.PixelRepresentation = 0
    return made


def _encoded(header: Dataset) -> bytes:
    buffer = io.BytesIO()
    sink = DicomIO(buffer)
    sink.is_implicit_VR, sink.is_little_endian = False, True
    write_dataset(sink, header)
    return buffer.getvalue()


def _patched(head: bytes, values: dict[str, str]) -> bytes:
    for old, new in values.items():
        if len(old) != len(new):
            raise ValueError(f"{new!r} is not as long as {old!r}")
        head = head.replace(old.encode(), new.encode())
    return head
