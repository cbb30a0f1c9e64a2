"""Small synthetic instances, what they look like, and files of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

from dicomfab.model.study import InstanceFile, InstanceIdentity
from dicomfab.pixels.syntaxes import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
MULTI_FRAME = {
    ("MONOCHROME2", 8): SECONDARY_CAPTURE + ".2",
    ("MONOCHROME2", 16): SECONDARY_CAPTURE + ".3",
    ("RGB", 8): SECONDARY_CAPTURE + ".4",
}


def picture(
    rows: int = 61, columns: int = 47, *, bits: int = 8, samples: int = 1, frames: int = 1, signed: bool = False
) -> NDArray[Any]:
    """Waves with noise over the whole range of ``bits``: [frames,] rows, columns[, samples]."""
    random = np.random.default_rng(bits * 100 + samples * 10 + frames)
    shape = (frames, rows, columns, samples)
    z, y, x, s = np.indices(shape)
    waves = np.sin(x / 7 + s) * np.cos(y / 11 + z) * 0.45 + 0.5
    values = (waves * (2**bits - 1) + random.normal(0, 2 ** (bits - 6), shape)).clip(0, 2**bits - 1).astype(np.int64)
    values[:, 0, 0], values[:, -1, -1] = 0, 2**bits - 1
    values = values - 2 ** (bits - 1) if signed else values
    dtype = f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}"
    values = values.astype(dtype)
    values = values[..., 0] if samples == 1 else values
    return values[0] if frames == 1 else values


def data_set(
    pixels: NDArray[Any], *, bits: int, photometric: str = "MONOCHROME2", frames: int = 1, by_plane: bool = False
) -> Dataset:
    """A (multi-frame) secondary capture of these pixels that dciodvfy finds no error in."""
    samples = 3 if photometric in ("RGB", "YBR_FULL") else 1
    ds = Dataset()
    allocated = pixels.dtype.itemsize * 8
    ds.SOPClassUID = MULTI_FRAME[photometric, allocated] if frames > 1 else SECONDARY_CAPTURE
    ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3.4", "1.2.3.1", "1.2.3.2"
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.Modality, ds.ConversionType, ds.BodyPartExamined = "OT", "SYN", "ABDOMEN"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Doe^Jane", "SYN1", "19700101", "F"
    ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20260101", "120000", "1", "1"
    ds.ReferringPhysicianName, ds.Manufacturer, ds.PatientOrientation = "", "", ""
    ds.SeriesNumber, ds.InstanceNumber = 1, 1
    ds.InstanceCreationDate, ds.InstanceCreationTime = "20260101", "120000"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = samples, photometric
    if samples > 1:
        ds.PlanarConfiguration = int(by_plane)
    ds.Rows, ds.Columns = pixels.shape[int(frames > 1) :][:2]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = allocated, bits, bits - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    if frames > 1:
        ds.NumberOfFrames, ds.BurnedInAnnotation, ds.FrameIncrementPointer = frames, "NO", 0x00181065
        ds.FrameTimeVector = [0] + [40] * (frames - 1)
        if samples == 1:
            ds.PresentationLUTShape, ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "IDENTITY", 0, 1, "US"
    else:
        ds.Laterality = ""
    ordered = np.moveaxis(pixels, -1, -3) if by_plane else pixels
    raw = ordered.astype(ordered.dtype.newbyteorder("<")).tobytes()
    ds.PixelData = raw + bytes(len(raw) % 2)
    ds["PixelData"].VR = "OW" if allocated > 8 else "OB"
    return ds


def rich(ds: Dataset) -> None:
    """Add sequences in sequences, private elements of many VRs, and Japanese names in three character sets."""
    ds.SpecificCharacterSet = ["", "ISO 2022 IR 87", "ISO 2022 IR 13"]
    ds.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    ds.ReferencedPatientSequence = []
    item = Dataset()
    for depth in range(4):
        around = Dataset()
        around.CodeValue, around.CodingSchemeDesignator = f"{depth}", "99X"
        around.CodeMeaning = "断層撮影"
        around.ConceptCodeSequence = [item, Dataset(), item]
        around["ConceptCodeSequence"].is_undefined_length = depth % 2 == 0
        item = around
    ds.ProcedureCodeSequence = [item]
    ds.RealWorldValueMappingSequence = [Dataset()]
    mapping = ds.RealWorldValueMappingSequence[0]
    mapping.add_new(0x00409216, "US", 0)
    mapping.add_new(0x00409211, "US", 4095)
    mapping.RealWorldValueLUTData = [0.0, 0.5, -1.25]
    block = ds.private_block(0x0099, "SYN TEST", create=True)
    for number, (vr, value) in enumerate(
        [("LO", "山田"), ("FD", [1.5, -2.0]), ("SL", -70000), ("AT", 0x00100020), ("UT", "x" * 70), ("UN", b"\0\1\2\3")]
    ):
        block.add_new(number, vr, value)
    block.add_new(0x20, "SQ", [item, Dataset()])


def write(ds: Dataset, path: Path, transfer_syntax: str = EXPLICIT_LITTLE) -> InstanceFile:
    """Write a data set as it is into a file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    meta.TransferSyntaxUID = transfer_syntax
    ds.file_meta = meta
    pydicom.dcmwrite(
        path,
        ds,
        implicit_vr=transfer_syntax == IMPLICIT_LITTLE,
        little_endian=transfer_syntax != EXPLICIT_BIG,
        enforce_file_format=True,
    )
    return instance(path)


def encapsulated(
    ds: Dataset, frames: Iterable[bytes], path: Path, transfer_syntax: str, **changes: Any
) -> InstanceFile:
    """Write a data set with these coded frames for pixel data."""
    coded = pydicom.dcmread(write(ds, path).path)
    coded.PixelData = encapsulate(list(frames))
    coded["PixelData"].VR = "OB"
    coded["PixelData"].is_undefined_length = True
    for keyword, value in changes.items():
        setattr(coded, keyword, value)
    return write(coded, path, transfer_syntax)


def instance(path: Path) -> InstanceFile:
    """A DICOM file as the product refers to it."""
    meta = pydicom.filereader.read_file_meta_info(path)
    identity = InstanceIdentity(meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID)
    return InstanceFile(path, identity, 132 + 12 + meta.FileMetaInformationGroupLength)


def pixels_of(file: InstanceFile) -> NDArray[Any]:
    """The stored pixels of a native instance, colour by pixel, in no other colour space."""
    return pydicom.pixels.pixel_array(pydicom.dcmread(file.path), raw=True)
