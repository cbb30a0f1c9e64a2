"""A frame as people see it: rescaled, windowed, in grey or colour; eight bits, PNG (PS3.4 N.2)."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from dicomfab.pixels.description import decoded_photometric, described
from dicomfab.pixels.elements import swapped
from dicomfab.pixels.syntaxes import ENCAPSULATED, EXPLICIT_BIG

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

#: Without a window the grey scale runs between these percentiles of the frame.
_LOW, _HIGH = 0.5, 99.5


def native_frame(ds: Dataset, data: memoryview | bytes) -> NDArray[Any]:
    """A native frame as (rows, columns) or (rows, columns, samples).

    Args:
        ds: describes it (PS3.3 C.7.6.3); colour is by pixel.
        data: little endian; single bits are packed (PS3.5 8.1.1).
    """
    import numpy as np

    shape = (int(ds.Rows), int(ds.Columns), *([int(ds.SamplesPerPixel)] if ds.SamplesPerPixel > 1 else []))
    if ds.BitsAllocated == 1:
        return np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[: shape[0] * shape[1]].reshape(shape)
    kind = "i" if ds.PixelRepresentation == 1 else "u"
    samples = shape[0] * shape[1] * int(ds.SamplesPerPixel)
    return np.frombuffer(data, f"<{kind}{ds.BitsAllocated // 8}", samples).reshape(shape)


def frame_of(ds: Dataset, index: int, transfer_syntax_uid: str) -> NDArray[Any]:
    """One frame of an instance, decoded if it is encapsulated; colour becomes RGB.

    Args:
        ds: with PixelData; as it was read, in its own byte order.
        index: of the frame, from 0.
        transfer_syntax_uid: of the instance.

    Returns:
        (rows, columns) or (rows, columns, 3), stored values.

    Raises:
        TranscodingFailed: the frame cannot be decoded.
    """
    from pydicom.encaps import get_frame

    from dicomfab.pixels.codecs import decode

    codec = ENCAPSULATED.get(transfer_syntax_uid)
    frames = int(ds.get("NumberOfFrames") or 1)
    if codec is None:
        size = int(ds.Rows) * int(ds.Columns) * int(ds.SamplesPerPixel) * int(ds.BitsAllocated)
        first, last = index * size // 8, -(-(index + 1) * size // 8)
        data = memoryview(ds.PixelData)[first:last]
        if transfer_syntax_uid == EXPLICIT_BIG and ds.BitsAllocated == 16:
            data = memoryview(swapped(bytes(data), 2))
        return _rgb(native_frame(ds, data), str(ds.PhotometricInterpretation))
    coded = get_frame(ds.PixelData, index, number_of_frames=frames)
    native = decode(codec, coded, described(ds, frames))
    colour = decoded_photometric(codec, str(ds.PhotometricInterpretation), int(ds.SamplesPerPixel))
    return _rgb(native_frame(ds, native), colour)


def _rgb(frame: NDArray[Any], photometric: str) -> NDArray[Any]:
    if frame.ndim == 3 and photometric.startswith("YBR_FULL"):
        from pydicom.pixels import convert_color_space

        return convert_color_space(frame, "YBR_FULL", "RGB")
    return frame


def seen(ds: Dataset, frame: NDArray[Any]) -> NDArray[np.uint8]:
    """A frame as it is displayed at first: with its first window, in grey or colour.

    Args:
        ds: its data set; window and rescale are looked for in functional groups too.
        frame: (rows, columns) or (rows, columns, 3), stored values.

    Returns:
        (rows, columns) or (rows, columns, 3), 8 bits.
    """
    import numpy as np

    if frame.ndim == 3:
        return np.ascontiguousarray(frame.astype(np.uint8))
    values = frame.astype(np.float32)
    slope, intercept = first_number(ds, "RescaleSlope"), first_number(ds, "RescaleIntercept")
    if slope is not None:
        values = values * slope + (intercept or 0.0)
    centre, width = first_number(ds, "WindowCenter"), first_number(ds, "WindowWidth")
    if centre is None or width is None:
        low, high = (float(edge) for edge in np.percentile(values, (_LOW, _HIGH)))
        centre, width = (low + high) / 2, max(high - low, 1.0)
    grey = np.clip((values - (centre - width / 2)) * (255 / max(width, 1e-6)), 0, 255)
    if ds.PhotometricInterpretation == "MONOCHROME1" or ds.get("PresentationLUTShape") == "INVERSE":
        grey = 255 - grey
    return np.asarray(grey, np.uint8)


def png(picture: NDArray[np.uint8], *, longest: int = 0) -> bytes:
    """Encode a picture.

    Args:
        picture: (rows, columns) or (rows, columns, 3), 8 bits.
        longest: side, in pixels, that it is reduced to; 0 leaves it as it is.
    """
    from PIL import Image

    image = Image.fromarray(picture)
    if longest:
        image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def first_number(ds: Dataset, keyword: str) -> float | None:
    """The first value of an attribute, wherever it stands: enhanced objects keep theirs in functional groups."""
    value = ds.get(keyword)
    if value is None:
        for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
            for item in ds.get(name, [])[:1]:
                found = next((one.value for one in item.iterall() if one.keyword == keyword), None)
                value = found if value is None else value
    if value is None or value == "":
        return None
    return float(value[0]) if hasattr(value, "__len__") and not isinstance(value, str) else float(value)
