"""Text cards: names and values, legible at thumbnail size."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dicomfab.fabricate.render.marks import SYNTHETIC

ROWS: Final = 768
COLUMNS: Final = 1024
_LEFT, _VALUES, _RIGHT = 48, 330, COLUMNS - 40
_INK, _PALE, _PAPER, _BAND = 245, 150, 24, 70


def render(lines: Sequence[tuple[str, str]]) -> NDArray[np.uint8]:
    """Draw a card.

    Args:
        lines: label and value; a value that is too wide is set smaller, and on two lines if need be.

    Returns:
        (768, 1024), 8 bits.
    """
    image = Image.new("L", (COLUMNS, ROWS), _PAPER)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, COLUMNS, 64), fill=_BAND)
    draw.text((_LEFT, 14), "DICOM Fabricator", fill=_INK, font=ImageFont.load_default(30))
    draw.rectangle((0, ROWS - 56, COLUMNS, ROWS), fill=_BAND)
    draw.text((_LEFT, ROWS - 46), SYNTHETIC, fill=_INK, font=ImageFont.load_default(28))
    step = (ROWS - 56 - 64 - 24) / len(lines)
    for n, (label, value) in enumerate(lines):
        top = round(64 + 18 + n * step)
        draw.text((_LEFT, top + 8), label, fill=_PALE, font=ImageFont.load_default(24))
        _value(draw, top, drawable(value))
    return np.array(image, np.uint8)


def drawable(text: str) -> str:
    """Text in the characters that the built-in font has, printable ASCII.

    Accents are left off; what has no base letter is shown by its code point. The header always has the full text.
    """
    plain = []
    for character in unicodedata.normalize("NFKD", text):
        if " " <= character <= "~":
            plain.append(character)
        elif not unicodedata.combining(character):
            plain.append(_LETTERS.get(character) or f"[U+{ord(character):04X}]")
    return "".join(plain)


_LETTERS: Final = {
    "ß": "ss",
    "ø": "o",
    "Ø": "O",
    "æ": "ae",
    "Æ": "AE",
    "ł": "l",
    "Ł": "L",
    "đ": "d",
    "Đ": "D",
    "ı": "i",
}


def _value(draw: ImageDraw.ImageDraw, top: int, value: str) -> None:
    for size in (36, 30, 25, 21):
        font = ImageFont.load_default(size)
        if draw.textlength(value, font=font) <= _RIGHT - _VALUES:
            draw.text((_VALUES, top), value, fill=_INK, font=font)
            return
    half = next((n for n in range(len(value), 0, -1) if draw.textlength(value[:n], font=font) <= _RIGHT - _VALUES), 1)
    draw.text((_VALUES, top - 4), value[:half], fill=_INK, font=font)
    draw.text((_VALUES, top + 21), value[half:], fill=_INK, font=font)
