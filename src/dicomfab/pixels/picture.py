"""A frame as people see it, in grey or colour of eight bits: from a data set at hand, and encoded as a picture."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dicomfab.model.errors import TranscodingFailed
from dicomfab.pixels.display import BINARY, Display, Function, Window

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image
    from pydicom.dataset import Dataset

#: What pictures can be encoded as: media types and their names in Pillow.
FORMATS: Final[Mapping[str, str]] = {"image/jpeg": "JPEG", "image/png": "PNG", "image/gif": "GIF"}
#: Of JPEG, where nobody asks for another one.
QUALITY: Final = 90
_COMPRESSION: Final = 3  # of PNG: half the time of the default, a few per cent more bytes
_REDUCING_GAP: Final = 3.0


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
    display = Display(
        slope=_or(first_number(ds, "RescaleSlope"), 1.0),
        intercept=_or(first_number(ds, "RescaleIntercept"), 0.0),
        window=_window(ds),
        is_inverse=ds.PhotometricInterpretation == "MONOCHROME1" or ds.get("PresentationLUTShape") == "INVERSE",
    )
    return display.grey(frame)


def _window(ds: Dataset) -> Window | None:
    centre, width = first_number(ds, "WindowCenter"), first_number(ds, "WindowWidth")
    if centre is None or width is None or width <= 0:
        return BINARY if ds.BitsAllocated == 1 else None
    function = str(ds.get("VOILUTFunction", ""))
    return Window(centre, width, Function(function) if function in list(Function) else Function.LINEAR)


def _or(number: float | None, default: float) -> float:
    return default if number is None else number


@dataclass(frozen=True, slots=True)
class Viewport:
    """What a picture is fitted into, and which part of it (PS3.18 8.3.5.1.3).

    Args:
        width, height: of what it is scaled to fill in one direction at least, in pixels.
        x, y: where the part begins, in pixels of the picture.
        source_width, source_height: of the part; up to the end if they are 0, mirrored if they are negative.
    """

    width: int
    height: int
    x: float = 0.0
    y: float = 0.0
    source_width: float = 0.0
    source_height: float = 0.0

    def part_of(self, columns: int, rows: int) -> tuple[float, float, float, float] | None:
        """Left, top, right and bottom of what there is of the part in a picture; nothing if it lies outside."""
        left, top = max(self.x, 0.0), max(self.y, 0.0)
        right = min(self.x + abs(self.source_width), columns) if self.source_width else float(columns)
        bottom = min(self.y + abs(self.source_height), rows) if self.source_height else float(rows)
        return (left, top, right, bottom) if left < right and top < bottom else None


def encoded(
    picture: NDArray[np.uint8],
    media_type: str,
    *,
    viewport: Viewport | None = None,
    quality: int = QUALITY,
    profile: bytes = b"",
) -> bytes:
    """Encode a picture.

    Args:
        picture: (rows, columns) or (rows, columns, 3), 8 bits.
        media_type: one of :data:`FORMATS`.
        viewport: what it is fitted into; its part is in the picture.
        quality: of JPEG, 1 to 100.
        profile: an ICC profile that goes with it.

    Raises:
        TranscodingFailed: the format does not hold it; JPEG ends at 65,500 columns.
    """
    from PIL import Image

    image = Image.fromarray(picture)
    if viewport is not None:
        image = _fitted(image, viewport)
    file = io.BytesIO()
    with_profile = {"icc_profile": profile} if profile else {}
    try:
        image.save(file, FORMATS[media_type], quality=quality, compress_level=_COMPRESSION, **with_profile)
    except (OSError, ValueError) as error:
        raise TranscodingFailed(
            f"a picture of {image.width} × {image.height} pixels cannot be encoded as {media_type}",
            cause=str(error),
            remedy="ask for a smaller picture, or for image/png",
        ) from error
    return file.getvalue()


def _fitted(image: Image.Image, viewport: Viewport) -> Image.Image:
    from PIL import Image

    part = viewport.part_of(image.width, image.height) or (0.0, 0.0, float(image.width), float(image.height))
    columns, rows = part[2] - part[0], part[3] - part[1]
    scale = min(viewport.width / columns, viewport.height / rows)
    size = max(round(columns * scale), 1), max(round(rows * scale), 1)
    image = image.resize(size, Image.Resampling.LANCZOS, box=part, reducing_gap=_REDUCING_GAP)
    if viewport.source_width < 0:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return image.transpose(Image.Transpose.FLIP_TOP_BOTTOM) if viewport.source_height < 0 else image


def png(picture: NDArray[np.uint8], *, longest: int = 0) -> bytes:
    """Encode a picture.

    Args:
        picture: (rows, columns) or (rows, columns, 3), 8 bits.
        longest: side, in pixels, that it is reduced to; 0 leaves it as it is.
    """
    from PIL import Image

    image = Image.fromarray(picture)
    if longest:
        image.thumbnail((longest, longest), Image.Resampling.LANCZOS, reducing_gap=_REDUCING_GAP)
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=_COMPRESSION)
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
