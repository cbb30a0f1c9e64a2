"""Series of small pictures, to be encoded: independent of what the families render."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.plan import SeriesPlan
from tests.unit.pixels.instances import data_set, picture, rich

PICTURES: dict[str, dict[str, Any]] = {
    "8": {"bits": 8},
    "12": {"bits": 12},
    "16 signed": {"bits": 16, "signed": True},
    "RGB": {"bits": 8, "samples": 3},
    "RGB by plane": {"bits": 8, "samples": 3, "by_plane": True},
}


def series(
    what: str, *, count: int = 3, frames: int = 1, rows: int = 61, columns: int = 47
) -> tuple[SeriesPlan, NDArray[Any]]:
    """A plan, and its pixels: instances, frames, rows, columns[, samples]. Odd sizes need padding."""
    wanted = dict(PICTURES[what])
    by_plane = wanted.pop("by_plane", False)
    samples = wanted.get("samples", 1)
    pixels = picture(rows, columns, frames=count * frames, **wanted)
    pixels = pixels.reshape(count, frames, *pixels.shape[-3 if samples > 1 else -2 :])
    first = pixels[0] if frames > 1 else pixels[0, 0]
    photometric = "RGB" if samples > 1 else "MONOCHROME2"
    ds = data_set(first, bits=wanted["bits"], photometric=photometric, frames=frames, by_plane=by_plane)
    rich(ds)
    del ds.PixelData
    ds.SpecificCharacterSet = "ISO_IR 192"

    def native() -> Iterator[memoryview]:
        for frame in pixels.reshape(-1, *pixels.shape[2:]):
            ordered = np.moveaxis(frame, -1, 0) if by_plane else frame
            yield memoryview(np.ascontiguousarray(ordered)).cast("B")

    length = first.nbytes
    return SeriesPlan(
        dataset=ds,
        count=count,
        pixel_bytes=length + length % 2,
        varying=lambda index: {"SOPInstanceUID": f"2.25.{index + 1}", "InstanceNumber": str(index + 1)},
        pixels=native,
        frames=frames,
    ), pixels
