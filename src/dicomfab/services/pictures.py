"""One frame of a stored instance as a small PNG: only that frame is read and decoded, whatever else the file holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dicomfab.archive.text import value_text
from dicomfab.model.errors import NotFound, TranscodingFailed
from dicomfab.pixels.elements import PIXEL_DATA
from dicomfab.pixels.syntaxes import ENCAPSULATED
from dicomfab.services.attribute_reader import Raw, Reader, Scope, opened

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

LONGEST_EDGE: Final = 512
SMALL_EDGE: Final = 112
#: The largest frame that is decoded for a page, in stored bytes.
LARGEST_FRAME_BYTES: Final = 256 << 20
_SHARED, _PER_FRAME = 0x52009229, 0x52009230
_VALUE_BYTES: Final = 256
#: Keywords by tag: what describes a frame and how it is displayed at first.
_WANTED: Final = {
    0x00280002: "SamplesPerPixel",
    0x00280004: "PhotometricInterpretation",
    0x00280006: "PlanarConfiguration",
    0x00280008: "NumberOfFrames",
    0x00280010: "Rows",
    0x00280011: "Columns",
    0x00280100: "BitsAllocated",
    0x00280101: "BitsStored",
    0x00280102: "HighBit",
    0x00280103: "PixelRepresentation",
    0x00281050: "WindowCenter",
    0x00281051: "WindowWidth",
    0x00281052: "RescaleIntercept",
    0x00281053: "RescaleSlope",
    0x20500020: "PresentationLUTShape",
}


def frames_of(path: Path) -> int:
    """How many frames an instance has; 0 without pixel data."""
    with opened(path) as reader:
        described, pixels = _described(reader, None)
        return 0 if pixels is None else int(described.get("NumberOfFrames") or 1)


def png(path: Path, *, frame: int | None = None, longest: int = LONGEST_EDGE) -> bytes:
    """A frame as it is displayed at first, shrunk.

    Args:
        path: the instance's file; the caller has seen to it that it may be looked at.
        frame: from 0; the middle one if not given.
        longest: edge in pixels.

    Raises:
        NotFound: it has no picture that can be shown, or no such frame.
    """
    from dicomfab.pixels import picture

    with opened(path) as reader:
        described, pixels = _described(reader, frame)
        if pixels is None:
            raise _nothing("it has no pixel data")
        frames = int(described.get("NumberOfFrames") or 1)
        chosen = frames // 2 if frame is None else frame
        if not 0 <= chosen < frames:
            raise _nothing(f"it has {frames} frames")
        try:
            pixel_values = _frame(reader, described, pixels, chosen, frames)
            return picture.png(picture.seen(described, pixel_values), longest=longest)
        except (AttributeError, TranscodingFailed, RuntimeError, ValueError, TypeError) as error:
            raise _nothing(str(error)) from error


def _described(reader: Reader, frame: int | None) -> tuple[Dataset, Raw | None]:
    """What a frame is and how it is displayed, and where the pixel data are."""
    from pydicom.dataset import Dataset

    described, pixels = Dataset(), None
    groups: list[Raw] = []
    for raw in reader.elements(reader.dataset):
        if raw.tag in (_SHARED, _PER_FRAME):
            groups.append(raw)
        elif raw.tag == PIXEL_DATA:
            pixels = raw
            break
        else:
            _take(reader, raw, described)
    for group in groups:
        number = (int(described.get("NumberOfFrames") or 1) // 2 if frame is None else frame) * (
            group.tag == _PER_FRAME
        )
        for _, item in reader.items(group, number):
            for raw in _inside(reader, item):
                if "Window" in _WANTED.get(raw.tag, "") or "Rescale" in _WANTED.get(raw.tag, ""):
                    _take(reader, raw, described)
            break
    return described, pixels


def _inside(reader: Reader, scope: Scope) -> Iterator[Raw]:
    for raw in reader.elements(scope):
        yield raw
        if raw.is_sequence:
            for _, item in reader.items(raw):
                yield from reader.elements(item)


def _take(reader: Reader, raw: Raw, into: Dataset) -> None:
    keyword = _WANTED.get(raw.tag)
    if keyword is None or not raw.length:
        return
    little = raw.scope.encoding.little
    text = value_text(reader.value(raw, _VALUE_BYTES), raw.vr, (), little_endian=little).split("\\")[0].strip()
    if text:
        value: Any = text if raw.vr == "CS" else float(text) if raw.vr == "DS" else int(text)
        setattr(into, keyword, value)


def _frame(reader: Reader, described: Dataset, pixels: Raw, index: int, frames: int) -> Any:
    from pydicom.encaps import encapsulate, get_frame

    from dicomfab.pixels.picture import frame_of

    syntax = reader.transfer_syntax_uid
    size = int(described.Rows) * int(described.Columns) * int(described.SamplesPerPixel) * int(described.BitsAllocated)
    if size // 8 > LARGEST_FRAME_BYTES:
        raise TranscodingFailed(f"a frame of {size // 8} bytes is too large to be shown")
    if syntax in ENCAPSULATED:
        data = get_frame(reader.file_at(pixels.start), index, number_of_frames=frames)
        described.PixelData = encapsulate([data])
    else:
        first, last = index * size // 8, -(-(index + 1) * size // 8)
        reader.source.seek(pixels.start + first)
        described.PixelData = reader.source.take(min(last - first, pixels.length - first))
    described.NumberOfFrames = 1
    return frame_of(described, 0, syntax)


def _nothing(why: str) -> NotFound:
    return NotFound("there is no picture of this instance.", cause=why)
