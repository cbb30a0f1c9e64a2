"""One frame of a stored instance as people see it; only that frame is read and decoded, whatever else there is."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

from dicomfab.model.errors import TranscodingFailed
from dicomfab.pixels.description import (
    BITS_ALLOCATED,
    BITS_STORED,
    COLUMNS,
    HIGH_BIT,
    PIXEL_REPRESENTATION,
    PLANAR,
    ROWS,
    SAMPLES,
    decoded_photometric,
)
from dicomfab.pixels.display import BINARY, Window, display_of, segmented_table_in, table_in
from dicomfab.pixels.stored_frames import HALVED, Frames
from dicomfab.pixels.syntaxes import ENCAPSULATED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: The largest frame that is rendered, in bytes when it is decoded.
LARGEST_FRAME_BYTES: Final = 256 << 20
_RED, _GREEN, _BLUE = range(3)
_PALETTE_DESCRIPTORS, _PALETTES, _SEGMENTED_PALETTES = 0x00281101, 0x00281201, 0x00281221


def shown(frames: Frames, index: int, window: Window | None = None) -> NDArray[np.uint8]:
    """A frame as it is displayed.

    Args:
        frames: of the instance.
        index: of the frame, from 0; it is there.
        window: another one than its own; of no meaning for colour.

    Returns:
        (rows, columns), or (rows, columns, 3) in RGB.

    Raises:
        TranscodingFailed: it cannot be decoded, or is larger than ``LARGEST_FRAME_BYTES``.
        DamagedInstance: the pixel data do not have it, or contradict their description.
    """
    pixels, photometric = pixel_values(frames, index)
    if pixels.ndim == 3:
        return _colour(_eight_bits(frames, pixels), photometric)
    if photometric == "PALETTE COLOR":
        return _by_palette(frames, pixels)
    display = display_of(frames, index)
    if window is None and not frames.is_floating and frames.short(BITS_ALLOCATED) == 1:
        window = BINARY
    return dataclasses.replace(display, window=window or display.window).grey(pixels)


def pixel_values(frames: Frames, index: int) -> tuple[NDArray[Any], str]:
    """The stored values of a frame, and the PhotometricInterpretation that they have.

    Returns:
        (rows, columns), or (rows, columns, samples).

    Raises:
        TranscodingFailed, DamagedInstance: as :func:`shown`.
    """
    import numpy as np

    if frames.frame_bits // 8 > LARGEST_FRAME_BYTES:
        raise TranscodingFailed(
            f"a frame of {frames.frame_bits // 8} bytes is too large to be rendered",
            remedy="retrieve the instance itself",
        )
    rows, columns, samples = frames.short(ROWS), frames.short(COLUMNS), frames.short(SAMPLES, 1)
    data = frames.decoded(index)
    if frames.is_encapsulated:
        codec = ENCAPSULATED[frames.transfer_syntax_uid]
        kind = np.dtype(_kind(frames))
        if len(data) != rows * columns * samples * kind.itemsize:
            raise TranscodingFailed(f"a frame of {len(data)} bytes has another size than is stated")
        decoded = np.frombuffer(data, kind).reshape(rows, columns, samples)
        return _flat(decoded), decoded_photometric(codec, frames.photometric, samples)
    if frames.photometric in HALVED:
        return _doubled(frames, data, rows, columns), "YBR_FULL"
    if not frames.is_floating and frames.short(BITS_ALLOCATED) == 1:
        bits = np.unpackbits(np.frombuffer(data, np.uint8), count=rows * columns, bitorder="little")
        return bits.reshape(rows, columns), frames.photometric
    values: NDArray[Any] = np.frombuffer(data, _kind(frames), rows * columns * samples)
    if samples > 1 and frames.short(PLANAR, 0) == 1:
        values = np.moveaxis(values.reshape(samples, rows, columns), 0, -1)
    return _flat(_without_unused_bits(frames, values.reshape(rows, columns, samples))), frames.photometric


def _kind(frames: Frames) -> str:
    if frames.is_floating:
        return "<f8" if frames.bits_of_a_sample == 64 else "<f4"
    bits = frames.short(BITS_ALLOCATED)
    if bits not in (8, 16, 32):
        raise TranscodingFailed(f"pixels of {bits} bits cannot be rendered")
    return f"<{'i' if frames.short(PIXEL_REPRESENTATION, 0) == 1 else 'u'}{bits // 8}"


def _flat(values: NDArray[Any]) -> NDArray[Any]:
    if values.shape[2] not in (1, 3):
        raise TranscodingFailed(f"pixels of {values.shape[2]} samples cannot be rendered")
    return values[..., 0] if values.shape[2] == 1 else values


def _without_unused_bits(frames: Frames, values: NDArray[Any]) -> NDArray[Any]:
    """What is in bits that are allocated, but not stored, means nothing (PS3.5 8.1.1)."""
    if frames.is_floating:
        return values
    allocated = frames.short(BITS_ALLOCATED)
    stored = frames.short(BITS_STORED, allocated)
    high = frames.short(HIGH_BIT, stored - 1)
    if not 0 < stored < allocated or not stored - 1 <= high < allocated:
        return values
    return (values << (allocated - 1 - high)) >> (allocated - stored)


def _doubled(frames: Frames, data: bytes, rows: int, columns: int) -> NDArray[Any]:
    """Native YBR_FULL_422: Y, Y, Cb, Cr for two pixels (PS3.3 C.7.6.3.1.2)."""
    import numpy as np

    if frames.photometric != "YBR_FULL_422" or columns % 2 or frames.bits_of_a_sample != 8:
        raise TranscodingFailed(f"{frames.photometric} of {columns} columns cannot be rendered")
    pairs = np.frombuffer(data, np.uint8).reshape(rows, columns // 2, 4)
    values: NDArray[np.uint8] = np.empty((rows, columns, 3), np.uint8)
    values[..., 0] = pairs[..., :2].reshape(rows, columns)
    values[..., 1:] = np.repeat(pairs[..., 2:], 2, axis=1)
    return values


def _eight_bits(frames: Frames, values: NDArray[Any]) -> NDArray[np.uint8]:
    import numpy as np

    if frames.is_floating:
        raise TranscodingFailed("colour of floating point numbers cannot be rendered")
    allocated = 8 * values.dtype.itemsize
    unused = min(max(frames.short(BITS_STORED, allocated), 8), allocated) - 8
    return np.ascontiguousarray(values >> unused if unused else values, dtype=np.uint8)


def _colour(values: NDArray[np.uint8], photometric: str) -> NDArray[np.uint8]:
    import numpy as np

    if not photometric.startswith("YBR_FULL"):
        return values
    from PIL import Image

    rows, columns, _ = values.shape
    return np.asarray(Image.frombuffer("YCbCr", (columns, rows), values.tobytes()).convert("RGB"))


def _by_palette(frames: Frames, values: NDArray[Any]) -> NDArray[np.uint8]:
    """Colour by lookup tables (PS3.3 C.7.6.3.1.5, C.7.9)."""
    import numpy as np

    colours = []
    for colour in (_RED, _GREEN, _BLUE):
        descriptor = _PALETTE_DESCRIPTORS + colour
        table = table_in(frames, frames.elements, descriptor, _PALETTES + colour) or segmented_table_in(
            frames, frames.elements, descriptor, _SEGMENTED_PALETTES + colour
        )
        if table is None:
            raise TranscodingFailed("it is in PALETTE COLOR and has no palette")
        colours.append((table.of(values) >> (table.bits - 8)).astype(np.uint8))
    return np.stack(colours, axis=-1)
