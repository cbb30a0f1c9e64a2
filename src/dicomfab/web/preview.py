"""One instance as a small PNG, as a viewer would first show it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dicomfab.model.errors import NotFound

if TYPE_CHECKING:
    from dicomfab.archive.records import StoredInstance

LONGEST_EDGE = 512


def middle(instances: Sequence[StoredInstance]) -> StoredInstance:
    """The instance in the middle of a series, by InstanceNumber where the files have one.

    Raises:
        NotFound: the series has no instance.
    """
    if not instances:
        raise NotFound("there is no such series in this study.")
    if len(instances) == 1:
        return instances[0]
    return sorted(instances, key=lambda i: _number(i.path))[len(instances) // 2]


def png(path: Path) -> bytes:
    """Decode, apply rescale and the first window (PS3.3 C.11.1, C.11.2), shrink.

    Raises:
        NotFound: the instance has no picture that can be shown.
    """
    import numpy as np
    import pydicom
    from PIL import Image
    from pydicom.pixels import apply_rescale, apply_windowing, pixel_array

    dataset = pydicom.dcmread(path)
    if "PixelData" not in dataset:
        raise _nothing("it has no pixel data")
    try:
        stored = pixel_array(dataset, index=0)
    except (AttributeError, NotImplementedError, RuntimeError, ValueError) as error:
        raise _nothing(str(error)) from error
    if dataset.get("SamplesPerPixel", 1) == 3:
        picture = stored
    else:
        shown = apply_windowing(apply_rescale(stored, dataset), dataset).astype(np.float32)
        low, high = _limits(dataset, shown)
        grey = np.clip((shown - low) / max(high - low, 1e-6), 0, 1)
        if dataset.PhotometricInterpretation == "MONOCHROME1":
            grey = 1 - grey
        picture = (grey * 255).astype(np.uint8)
    image = Image.fromarray(picture)
    image.thumbnail((LONGEST_EDGE, LONGEST_EDGE))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _limits(dataset: Any, shown: Any) -> tuple[float, float]:
    """The output range of the window, or the values' own range where there is no window."""
    if "WindowWidth" not in dataset:
        return float(shown.min()), float(shown.max())
    slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
    bits, is_signed = int(dataset.BitsStored), int(dataset.PixelRepresentation) == 1
    smallest = -(2 ** (bits - 1)) if is_signed else 0
    return smallest * slope + intercept, (smallest + 2**bits - 1) * slope + intercept


def _number(path: Path) -> int:
    import pydicom

    dataset = pydicom.dcmread(path, specific_tags=["InstanceNumber"], stop_before_pixels=True)
    return int(dataset.get("InstanceNumber") or 0)


def _nothing(why: str) -> NotFound:
    return NotFound("there is no preview of this instance.", cause=why)
