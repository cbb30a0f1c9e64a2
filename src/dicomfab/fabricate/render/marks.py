"""Raster text: the mark that every synthetic image carries, and side markers."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

SYNTHETIC: Final = "SYNTHETIC - NOT FOR CLINICAL USE"


@cache
def text_mask(text: str, height: int) -> NDArray[np.float32]:
    """Text as coverage, 0 to 1, cropped to what is drawn.

    Args:
        text: printable ASCII (the built-in font has nothing else).
        height: font size in pixels.
    """
    font = ImageFont.load_default(height)
    left, top, right, bottom = (round(edge) for edge in font.getbbox(text))
    image = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(image).text((-left, -top), text, fill=255, font=font)
    mask = np.asarray(image, np.float32) / np.float32(255)
    mask.setflags(write=False)
    return mask


def stamp(pixels: NDArray[np.uint16], mask: NDArray[np.float32], row: int, column: int, value: int) -> None:
    """Blend a mask into an image at a place; negative places count from the far edge."""
    height, width = mask.shape
    top = row if row >= 0 else pixels.shape[0] + row - height
    left = column if column >= 0 else pixels.shape[1] + column - width
    part = pixels[top : top + height, left : left + width]
    part[...] = (part * (1 - mask) + value * mask).astype(pixels.dtype)


def blend(pixels: NDArray[np.uint8], mask: NDArray[np.float32], row: int, column: int, colour: tuple[int, ...]) -> None:
    """Blend a mask into a picture at a place; negative places count from the far edge.

    Args:
        pixels: (rows, columns), or (rows, columns, 3).
        mask: coverage; what lies outside the picture is cut off.
        row: of the mask's upper edge.
        column: of its left edge.
        colour: one value for each sample.
    """
    top = row if row >= 0 else pixels.shape[0] + row - mask.shape[0]
    left = column if column >= 0 else pixels.shape[1] + column - mask.shape[1]
    part = pixels[top : top + mask.shape[0], left : left + mask.shape[1]]
    cover = mask[: part.shape[0], : part.shape[1]]
    for sample, value in enumerate(colour):
        plane = part[..., sample] if part.ndim == 3 else part
        plane[...] = np.rint(plane * (1 - cover) + value * cover).astype(np.uint8)
