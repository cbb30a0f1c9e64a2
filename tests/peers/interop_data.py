"""Instances to exchange with peers, what they hold, and identifiers that ask for them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import Dataset

from dicomfab.model.part10 import file_header
from dicomfab.model.study import Buffer, InstanceFile, InstanceIdentity
from tests.peers.programs import dcmtk
from tests.unit.dimse.memory_pacs import MemoryPacs, MemorySink
from tests.unit.pixels.instances import SECONDARY_CAPTURE, data_set, instance, picture, pixels_of, write

__all__ = ["SECONDARY_CAPTURE", "Stored", "body", "level_study", "pixels_in", "pixels_of", "study"]

#: JPEG lossless with any predictor, which not even ``storescp --accept-all`` takes.
PROCESS_14 = "1.2.840.10008.1.2.4.57"
STUDY = "1.2.826.0.1.3680043.8.498.7"
#: DCMTK's compressors with their options, and the transfer syntax that comes of them.
COMPRESSORS: dict[tuple[str, ...], str] = {
    ("dcmcjpeg", "+eb"): "1.2.840.10008.1.2.4.50",
    ("dcmcjpeg", "+ee"): "1.2.840.10008.1.2.4.51",
    ("dcmcjpeg", "+el"): PROCESS_14,
    ("dcmcjpeg", "+e1"): "1.2.840.10008.1.2.4.70",
    ("dcmcjpls", "+el"): "1.2.840.10008.1.2.4.80",
    ("dcmcjpls", "+en"): "1.2.840.10008.1.2.4.81",
    ("dcmcrle",): "1.2.840.10008.1.2.5",
}
LOSSY = {"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81"}


def study(folder: Path, count: int, *, rows: int = 61, columns: int = 47, bits: int = 8) -> list[InstanceFile]:
    """A study of secondary captures, one series, native and explicit."""
    made = []
    for number in range(1, count + 1):
        ds = data_set(picture(rows, columns, bits=bits), bits=bits)
        ds.StudyInstanceUID, ds.SeriesInstanceUID = STUDY, f"{STUDY}.0"
        ds.SOPInstanceUID, ds.InstanceNumber = f"{STUDY}.0.{number}", number
        made.append(write(ds, folder / f"{number}.dcm"))
    return made


def compressed(source: InstanceFile, folder: Path) -> dict[str, InstanceFile]:
    """The same picture in every transfer syntax that DCMTK compresses to, each a SOP instance of its own."""
    made = {}
    for number, (command, syntax) in enumerate(COMPRESSORS.items(), 1):
        ds = pydicom.dcmread(source.path)
        ds.SOPInstanceUID = f"{STUDY}.1.{number}"
        native = write(ds, folder / f"native-{number}.dcm")
        path = folder / f"{syntax}.dcm"
        # A lossy compressor gives a new SOP instance UID unless told not to.
        options = ("+un",) if command[0] != "dcmcrle" and syntax in LOSSY else ()
        done = dcmtk(command[0], *command[1:], *options, native.path, path)
        assert done.returncode == 0, done.stderr
        native.path.unlink()
        made[syntax] = instance(path)
        assert made[syntax].identity.transfer_syntax_uid == syntax
    return made


def decoded_by_dcmtk(one: InstanceFile, folder: Path) -> NDArray[Any]:
    """The pixels of a compressed instance, as DCMTK decodes them."""
    syntax = one.identity.transfer_syntax_uid
    tool = "dcmdrle" if syntax.endswith("1.2.5") else "dcmdjpls" if syntax[-2:] in ("80", "81") else "dcmdjpeg"
    done = dcmtk(tool, one.path, folder / "decoded.dcm")
    assert done.returncode == 0, done.stderr
    return np.asarray(pydicom.dcmread(folder / "decoded.dcm").pixel_array)


def big(folder: Path, size: int) -> InstanceFile:
    """An instance with so many bytes of pixel data that take no room on disk."""
    identity = InstanceIdentity("1.2.840.10008.5.1.4.1.1.7", f"{STUDY}.2.1", "1.2.840.10008.1.2.1")
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = identity.sop_class_uid, identity.sop_instance_uid
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.PatientID = STUDY, f"{STUDY}.2", "SYN1"
    raw = pydicom.filebase.DicomBytesIO()
    raw.is_little_endian, raw.is_implicit_VR = True, False
    pydicom.filewriter.write_dataset(raw, ds)
    header = file_header(identity.sop_class_uid, identity.sop_instance_uid, identity.transfer_syntax_uid)
    path = folder / "big.dcm"
    head = header + raw.getvalue() + b"\xe0\x7f\x10\x00OW\x00\x00" + size.to_bytes(4, "little")
    path.write_bytes(head)
    os.truncate(path, len(head) + size)
    return InstanceFile(path, identity, len(header))


def body(one: InstanceFile) -> bytes:
    """The encoded data set of a file."""
    return one.path.read_bytes()[one.dataset_offset :]


def pixels_in(identity: InstanceIdentity, data: bytes) -> NDArray[Any]:
    """The decoded pixels of an encoded data set."""
    header = file_header(identity.sop_class_uid, identity.sop_instance_uid, identity.transfer_syntax_uid)
    return np.asarray(pydicom.dcmread(BytesIO(header + data)).pixel_array)


def uids(instances: Iterable[InstanceFile]) -> set[str]:
    """Their SOP instance UIDs."""
    return {one.identity.sop_instance_uid for one in instances}


def level_study(**keys: str) -> Dataset:
    """An identifier at the level of the study."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = "STUDY", STUDY
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    return identifier


def in_folder(folder: Path) -> dict[str, Path]:
    """SOP instance UID -> file of what a peer wrote there."""
    found = [path for path in folder.rglob("*") if path.is_file() and pydicom.misc.is_dicom(path)]
    return {str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID): path for path in found}


class Stored(MemoryPacs):
    """Handlers that call something on every piece of an instance that comes in, which may wait or raise."""

    def __init__(self, on_piece: Callable[[str, int], None] = lambda _uid, _size: None) -> None:
        super().__init__()
        self.on_piece = on_piece

    def begin_store(self, requestor: Any, identity: InstanceIdentity) -> _Sink:
        self.requestors.append(requestor)
        return _Sink(self, identity)


class _Sink(MemorySink):
    def __init__(self, pacs: Stored, identity: InstanceIdentity) -> None:
        super().__init__(pacs, identity)
        self._on_piece = pacs.on_piece

    def write(self, chunk: Buffer) -> None:
        self._on_piece(self._identity.sop_instance_uid, len(chunk))
        super().write(chunk)
