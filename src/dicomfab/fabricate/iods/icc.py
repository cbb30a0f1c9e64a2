"""The ICC profile of our colour pictures: sRGB, in the same bytes on every day."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from PIL import ImageCms
from pydicom.dataset import Dataset

_DATE: Final = slice(24, 36)  # of the header: when the profile was made (ICC.1 7.2.8)


@lru_cache(maxsize=1)
def srgb() -> bytes:
    """An sRGB display profile whose date is the first of January 2000, of even length."""
    made = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    made[_DATE] = b"".join(part.to_bytes(2, "big") for part in (2000, 1, 1, 0, 0, 0))
    return bytes(made)


def icc(ds: Dataset) -> None:
    """The ICC Profile module (PS3.3 C.11.15)."""
    ds.ICCProfile = srgb()
    ds.ColorSpace = "SRGB"
