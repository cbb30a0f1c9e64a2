"""A lossily compressed copy of an instance: a derived instance of its own, in a new series (PS3.3 C.7.6.1.1.5).

Compressing with loss is only ever done here and where instances are fabricated: never on the way to a peer. Memory does
not grow with the number of frames: coded ones wait in a temporary file for the header that states their ratio.
"""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from dicomfab.model.errors import InvalidInput, TranscodingFailed
from dicomfab.model.part10 import file_header
from dicomfab.model.study import InstanceFile, InstanceIdentity
from dicomfab.pixels.description import (
    DESCRIBING,
    PLANAR,
    PixelDescription,
    decoded_photometric,
    describe,
    encoded_photometric,
)
from dicomfab.pixels.elements import ITEM, PIXEL_DATA, SEQUENCE_END, UNDEFINED, delimiter, header, look_ahead
from dicomfab.pixels.encoders import by_pixel, encode
from dicomfab.pixels.streams import CHUNK, Output, Source
from dicomfab.pixels.syntaxes import ENCAPSULATED, EXPLICIT_LITTLE, NATIVE, can_transcode
from dicomfab.pixels.transcode import transcode
from dicomfab.pixels.writable import Writable, check, refusal, writable

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_EXPLICIT: Final = NATIVE[EXPLICIT_LITTLE]
_DESCRIPTION_CHARS: Final = 1024  # of an ST
# What changed pixels make untrue: their smallest and largest value, and digital signatures with their parameters.
_UNTRUE: Final = (0x00280106, 0x00280107, 0x4FFE0001, 0xFFFAFFFA)
_PADDING: Final = 0xFFFCFFFC
_COMPRESSED: Final = ("113040", "DCM", "Lossy Compression")
_UNCOMPRESSED_SOURCE: Final = ("121320", "DCM", "Uncompressed predecessor")
_PROCESSED_SOURCE: Final = ("121322", "DCM", "Source image for image processing operation")


_ASSESSED: Final = (*DESCRIBING, 0x00282110)


@dataclass(frozen=True, slots=True)
class Assessment:
    """What can be said about compressing an instance before it is done.

    Args:
        refused: why it cannot be compressed; empty if it can.
        lossy: whether it went through lossy compression before.
    """

    refused: str
    lossy: bool


@dataclass(frozen=True, slots=True)
class _Native:
    """The native instance that is compressed.

    Args:
        file: open, at no certain place.
        dataset: what comes before the pixel data.
        rest: what comes after them.
        pixels_at: where in the file the pixel data begin.
        description: of the pixel data.
        planes: colour is by plane.
    """

    file: BinaryIO
    dataset: Dataset
    rest: Dataset
    pixels_at: int
    description: PixelDescription
    planes: bool

    def frames(self) -> Iterator[bytes]:
        size = self.description.frame_bytes
        self.file.seek(self.pixels_at)
        for _ in range(self.description.frames):
            frame = self.file.read(size)
            yield by_pixel(frame, self.description) if self.planes else frame


def derive(
    source: InstanceFile,
    transfer_syntax_uid: str,
    folder: Path,
    *,
    sop_instance_uid: str,
    series_instance_uid: str,
    series_number: int | None = None,
    quality: int | None = None,
) -> InstanceFile:
    """Compress an instance with loss.

    Attributes stay as they are but for those that identify the instance and its series, that describe the pixel data,
    and that say how the instance came about. If the source is lossy already, its ratios and methods stay on record
    before the new ones.

    Args:
        source: the instance; its file is only read.
        transfer_syntax_uid: a lossy one of :data:`.writable.WRITABLE`.
        folder: where the new file goes, under a name of its own; temporary files too.
        sop_instance_uid: of the derived instance.
        series_instance_uid: of its series.
        series_number: of its series; the source's if None.
        quality: on the scale of the transfer syntax; its default if None.

    Returns:
        The new file, to be removed by the caller.

    Raises:
        InvalidInput: the transfer syntax is not lossy or cannot hold these pixels, or the quality is not on the scale.
        TranscodingFailed: the source cannot be read, decoded or encoded. Nothing is left in ``folder``.
    """
    syntax = writable(transfer_syntax_uid)
    if syntax.quality is None:
        raise InvalidInput(
            f"transfer_syntax: {syntax.name} loses nothing",
            field="transfer_syntax",
            value=syntax.name,
            remedy="send the instance as it is: it is converted where a server asks for it",
        )
    quality = syntax.quality.checked(quality)
    identity = InstanceIdentity(source.identity.sop_class_uid, sop_instance_uid, syntax.uid)
    try:
        with ExitStack() as files:
            native = _opened(source, folder, files)
            check(syntax, native.description, identity.sop_class_uid)
            spool = cast(BinaryIO, files.enter_context(tempfile.TemporaryFile(dir=folder)))
            lengths = _encode(native, syntax, quality, spool)
            dataset = native.dataset
            dataset.SOPInstanceUID, dataset.SeriesInstanceUID = sop_instance_uid, series_instance_uid
            if series_number is not None:
                dataset.SeriesNumber = series_number
            _describe(native, syntax, quality, sum(lengths), source.identity)
            return _written(native, identity, spool, lengths, folder)
    except OSError as error:
        raise TranscodingFailed(
            f"SOP instance {source.identity.sop_instance_uid} cannot be compressed: {error}",
            cause="the file or the folder for temporary files cannot be used",
        ) from error
    except TranscodingFailed as error:
        raise TranscodingFailed(
            f"SOP instance {source.identity.sop_instance_uid} cannot be compressed: {error.what}",
            cause=error.cause,
            remedy=f"check {source.path.name} with a DICOM validator",
        ) from error


def assess(source: InstanceFile, transfer_syntax_uid: str) -> Assessment:
    """Look at an instance before it is compressed; only its attributes are read.

    Args:
        source: the instance.
        transfer_syntax_uid: one of :data:`.writable.WRITABLE`.
    """
    import pydicom

    syntax = source.identity.transfer_syntax_uid
    dataset = pydicom.dcmread(source.path, stop_before_pixels=True, specific_tags=list(_ASSESSED))
    lossy = dataset.get("LossyImageCompression") == "01"
    if "Rows" not in dataset:
        return Assessment("it is no image", lossy)
    if syntax != EXPLICIT_LITTLE and not can_transcode(syntax, EXPLICIT_LITTLE):
        return Assessment(f"its transfer syntax {syntax} cannot be decoded", lossy)
    try:
        raw = {int(element.tag): _little(element.value) for element in dataset if element.tag in DESCRIBING}
        description = describe(raw)
        if codec := ENCAPSULATED.get(syntax):
            native = decoded_photometric(codec, description.photometric, description.samples)
            description = replace(description, photometric=native)
    except TranscodingFailed as error:
        return Assessment(error.what, lossy)
    return Assessment(refusal(transfer_syntax_uid, description, source.identity.sop_class_uid) or "", lossy)


def _little(value: object) -> bytes:
    """A value as little endian raw bytes: of US, IS or CS."""
    if type(value) is int:  # an IS is an int as well, of a class of its own
        return value.to_bytes(2, "little")
    return str(value).encode("latin-1")


def _opened(source: InstanceFile, folder: Path, files: ExitStack) -> _Native:
    """The source with its pixels decoded."""
    from pydicom.filereader import read_dataset

    native = source
    if source.identity.transfer_syntax_uid != EXPLICIT_LITTLE:
        native = transcode(source, EXPLICIT_LITTLE, folder)
        files.callback(native.path.unlink, missing_ok=True)
    file = files.enter_context(native.path.open("rb"))
    file.seek(native.dataset_offset)
    whole = Source(file, native.dataset_offset, os.fstat(file.fileno()).st_size)
    length = look_ahead(whole, _EXPLICIT, whole.size, PIXEL_DATA)
    if length is None or length == UNDEFINED or whole.position + length > whole.size:
        raise TranscodingFailed("it has no pixel data", cause="it is no image, or its file was cut short")
    pixels_at = whole.position
    file.seek(native.dataset_offset)
    dataset = read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag >= PIXEL_DATA)
    file.seek(pixels_at + length)
    rest = read_dataset(file, False, True)
    described = {tag: dataset.get_item(tag).value or b"" for tag in DESCRIBING if tag in dataset}
    description = describe(described)
    if description.frames * description.frame_bytes > length:
        raise TranscodingFailed(
            f"its pixel data have {length} bytes for {description.frames} frames of {description.frame_bytes}",
            cause="pixel data and data set contradict each other",
        )
    planes = description.samples > 1 and described.get(PLANAR, b"")[:1] == b"\1"
    return _Native(file, dataset, rest, pixels_at, description, planes)


def _encode(native: _Native, syntax: Writable, quality: int, spool: BinaryIO) -> list[int]:
    """Encode all frames into a file; their lengths."""
    lengths = []
    for number, frame in enumerate(native.frames(), 1):
        try:
            coded = encode(syntax.uid, frame, native.description, quality)
        except TranscodingFailed as error:
            raise TranscodingFailed(f"frame {number}: {error.what}", cause=error.cause) from error
        spool.write(coded)
        lengths.append(len(coded))
    spool.flush()
    return lengths


def _describe(native: _Native, syntax: Writable, quality: int, coded_bytes: int, source: InstanceIdentity) -> None:
    """Say what the pixel data are now and how the instance came about."""
    dataset, description = native.dataset, native.description
    ratio = f"{description.frames * description.frame_bytes / coded_bytes:.2f}"
    again = str(dataset.get("LossyImageCompression", "")) == "01"
    dataset.PhotometricInterpretation = encoded_photometric(syntax.uid, description.photometric)
    if description.samples > 1:
        dataset.PlanarConfiguration = 0
    dataset.LossyImageCompression = "01"
    dataset.LossyImageCompressionRatio = [*_earlier(dataset, "LossyImageCompressionRatio"), ratio]
    dataset.LossyImageCompressionMethod = [*_earlier(dataset, "LossyImageCompressionMethod"), syntax.method]
    dataset.ImageType = ["DERIVED", *(_earlier(dataset, "ImageType")[1:] or ["PRIMARY"])]
    _frames_are_derived(dataset)
    text = f"Lossy compression: {syntax.title}, quality {quality}, ratio {ratio}"
    if again:
        text += "; the source was compressed with loss before"
    before = str(dataset.get("DerivationDescription", "") or "")
    if before and len(before) + len(text) + 2 <= _DESCRIPTION_CHARS:
        text = f"{before}; {text}"
    dataset.DerivationDescription = text
    dataset.DerivationCodeSequence = [*(dataset.get("DerivationCodeSequence") or ()), _code(*_COMPRESSED)]
    dataset.SourceImageSequence = [_reference(source, _PROCESSED_SOURCE if again else _UNCOMPRESSED_SOURCE)]
    for tag in _UNTRUE:
        for part in (dataset, native.rest):
            if tag in part:
                del part[tag]
    if _PADDING in native.rest:
        del native.rest[_PADDING]


def _earlier(dataset: Dataset, keyword: str) -> list[str]:
    """The values of an attribute so far."""
    value = dataset.get(keyword)
    if value is None or value == "":
        return []
    return [str(value)] if isinstance(value, str | float | int) else [str(one) for one in value]


def _frames_are_derived(dataset: Dataset) -> None:
    """FrameType (0008,9007) of each functional group that has one agrees with ImageType (PS3.3 C.8.16.1)."""
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in dataset.get(keyword) or ():
            for macro in group:
                for item in macro.value if macro.VR == "SQ" else ():
                    if "FrameType" in item:
                        item.FrameType = ["DERIVED", *_earlier(item, "FrameType")[1:]]


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _reference(source: InstanceIdentity, purpose: tuple[str, str, str]) -> Dataset:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = source.sop_class_uid, source.sop_instance_uid
    item.PurposeOfReferenceCodeSequence = [_code(*purpose)]
    return item


def _written(
    native: _Native, identity: InstanceIdentity, spool: BinaryIO, lengths: list[int], folder: Path
) -> InstanceFile:
    start = file_header(identity.sop_class_uid, identity.sop_instance_uid, identity.transfer_syntax_uid)
    fd, name = tempfile.mkstemp(suffix=".dcm", dir=folder)
    path = Path(name)
    try:
        with open(fd, "wb", buffering=0):
            output = Output(fd)
            output.write(start)
            output.write(_encoded(native.dataset))
            output.write(header(_EXPLICIT, PIXEL_DATA, b"OB", UNDEFINED))
            _write_frames(output, spool, lengths)
            output.write(_encoded(native.rest))
            output.flush()
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return InstanceFile(path, identity, len(start))


def _write_frames(output: Output, spool: BinaryIO, lengths: list[int]) -> None:
    """The offset table, one fragment for each frame, and the delimiter (PS3.5 annex A.4)."""
    offsets = [0]
    for length in lengths[:-1]:
        offsets.append(offsets[-1] + 8 + length)
    table = struct.pack(f"<{len(offsets)}I", *offsets) if offsets[-1] < UNDEFINED else b""
    output.write(delimiter(_EXPLICIT, ITEM, len(table)) + table)
    spool.seek(0)
    for length in lengths:
        output.write(delimiter(_EXPLICIT, ITEM, length))
        for count in (*[CHUNK] * (length // CHUNK), length % CHUNK):
            output.write(spool.read(count))
    output.write(delimiter(_EXPLICIT, SEQUENCE_END, 0))


def _encoded(dataset: Dataset) -> bytes:
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, dataset)
    return buffer.getvalue()
