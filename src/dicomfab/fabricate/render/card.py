"""Text cards: names and values, legible at thumbnail size."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dicomfab.fabricate.render.marks import SYNTHETIC

ROWS: Final = 768
COLUMNS: Final = 1024
_LEFT, _VALUES, _RIGHT = 40, 400, COLUMNS - 40
_INK, _PALE, _PAPER, _BAND = 245, 150, 24, 70


def render(
    lines: Sequence[tuple[str, str]], symbols: Sequence[str] = (), rows: int = ROWS, columns: int = COLUMNS
) -> NDArray[np.uint8]:
    """Draw a card.

    Args:
        lines: label and value; a value that is too wide is set smaller, and on two lines if need be.
        symbols: names of :data:`SYMBOLS`, drawn in a row.
        rows: of the result; the card keeps its proportions.
        columns: of the result.

    Returns:
        (rows, columns), 8 bits.
    """
    image = Image.new("L", (COLUMNS, ROWS), _PAPER)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, COLUMNS, 64), fill=_BAND)
    draw.text((_LEFT, 14), "DICOM Fabricator", fill=_INK, font=ImageFont.load_default(30))
    for n, symbol in enumerate(symbols):
        _symbol(draw, symbol, _RIGHT - (len(symbols) - n) * 92 + 44, 32)
    draw.rectangle((0, ROWS - 56, COLUMNS, ROWS), fill=_BAND)
    draw.text((_LEFT, ROWS - 46), SYNTHETIC, fill=_INK, font=ImageFont.load_default(28))
    step = (ROWS - 56 - 64 - 24) / len(lines)
    for n, (label, value) in enumerate(lines):
        top = round(64 + 18 + n * step)
        draw.text((_LEFT, top + 8), label, fill=_PALE, font=ImageFont.load_default(20))
        _value(draw, top, drawable(value))
    return np.array(image if (rows, columns) == (ROWS, COLUMNS) else _fitted(image, rows, columns), np.uint8)


def _fitted(image: Image.Image, rows: int, columns: int) -> Image.Image:
    scale = min(rows / ROWS, columns / COLUMNS)
    size = (max(1, round(COLUMNS * scale)), max(1, round(ROWS * scale)))
    whole = Image.new("L", (columns, rows), _PAPER)
    scaled = image.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC)
    whole.paste(scaled, ((columns - size[0]) // 2, (rows - size[1]) // 2))
    return whole


def _polygon(corners: int, *, inner: float = 1.0, turn: float = -90.0) -> tuple[tuple[float, float], ...]:
    """A regular polygon, or a star if every other corner lies further in; radius 1."""
    return tuple(
        (radius * math.cos(angle), radius * math.sin(angle))
        for n in range(corners)
        for radius, angle in [(inner if n % 2 else 1.0, math.radians(turn + 360 * n / corners))]
    )


#: Name of a symbol -> its outline.
SYMBOLS: Final = {
    "TRIANGLE": _polygon(3),
    "SQUARE": _polygon(4, turn=-45),
    "DIAMOND": _polygon(4),
    "HEXAGON": _polygon(6),
    "CIRCLE": _polygon(48),
    "STAR": _polygon(10, inner=0.42),
    "SUN": _polygon(24, inner=0.72),
    "CROSS": tuple((x / 10, y / 10) for x, y in (
        (-3, -9), (3, -9), (3, -3), (9, -3), (9, 3), (3, 3), (3, 9), (-3, 9), (-3, 3), (-9, 3), (-9, -3), (-3, -3),
    )),
    "ARROW": tuple((x / 10, y / 10) for x, y in ((-9, -3), (1, -3), (1, -9), (10, 0), (1, 9), (1, 3), (-9, 3))),
    "HOUSE": tuple((x / 10, y / 10) for x, y in ((0, -10), (9, -1), (7, -1), (7, 9), (-7, 9), (-7, -1), (-9, -1))),
}  # fmt: skip


def _symbol(draw: ImageDraw.ImageDraw, name: str, x: int, y: int) -> None:
    draw.polygon([(x + 17 * dx, y - 6 + 17 * dy) for dx, dy in SYMBOLS[name]], fill=_INK)
    font = ImageFont.load_default(13)
    draw.text((x - draw.textlength(name, font=font) / 2, y + 15), name, fill=_PALE, font=font)


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
