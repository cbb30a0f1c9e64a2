"""The segments of a segmentation (PS3.3 C.8.20), in a table."""

from __future__ import annotations

from collections.abc import Iterator

from dicomfab.services.readable.blocks import ROWS, Block, Cell, Reference, References, Table, cells, facts
from dicomfab.services.readable.reports import reference
from dicomfab.services.readable.source import Item, written


def blocks(whole: Item) -> Iterator[Block]:
    """Number, label, colour, category and type of each segment, and what was segmented."""
    yield from facts(
        "",
        ("Label", whole.text(0x00700080, characters=64)),
        ("Description", whole.text(0x00700081)),
        ("Kind", whole.text(0x00620001, characters=32).capitalize()),
        ("Frames", whole.text(0x00280008, characters=16)),
        ("Columns × rows", _size(whole)),
    )
    rows = [
        cells(
            Cell(one.text(0x00620004, characters=16), is_number=True),
            Cell(one.text(0x00620005, characters=100), _colour(one.numbers(0x0062000D, limit=3))),
            one.code(0x00620003),
            one.code(0x0062000F),
            " ".join((one.text(0x00620008, characters=32).capitalize(), one.text(0x00620009, characters=64))).strip(),
        )
        for one in whole.items(0x00620002, ROWS)
    ]
    columns = ("No.", "Label", "Category", "Type", "Made")
    yield Table("Segments", columns, tuple(rows), whole.count(0x00620002))
    found: list[Reference] = []
    for series in whole.items(0x00081115, 50):
        found.extend(reference(one) for one in series.items(0x0008114A, ROWS + 1))
        if len(found) > ROWS:
            break
    if found:
        yield References("Segmented", tuple(found[:ROWS]), len(found) > ROWS)


def _size(whole: Item) -> str:
    columns, rows = whole.number(0x00280011), whole.number(0x00280010)
    return f"{written(columns)} × {written(rows)}" if written(columns) and written(rows) else ""


def _colour(stored: list[float]) -> str:
    """A CIELab value as sRGB from 16 bits a component (PS3.3 C.10.7.1.1)."""
    if len(stored) != 3 or not all(0 <= part <= 65535 for part in stored):
        return ""
    lightness, a, b = stored[0] * 100 / 65535, stored[1] * 255 / 65535 - 128, stored[2] * 255 / 65535 - 128
    fy = (lightness + 16) / 116
    x, y, z = 0.9642 * _linear(fy + a / 500), _linear(fy), 0.8249 * _linear(fy - b / 200)
    # Bradford-adapted from D50 to the D65 of sRGB.
    red = 3.1339 * x - 1.6169 * y - 0.4906 * z
    green = -0.9788 * x + 1.9161 * y + 0.0335 * z
    blue = 0.0719 * x - 0.2290 * y + 1.4052 * z
    return "#" + "".join(f"{_byte(part):02x}" for part in (red, green, blue))


def _linear(value: float) -> float:
    return float(value**3 if value > 6 / 29 else (value - 4 / 29) * 3 * (6 / 29) ** 2)


def _byte(linear: float) -> int:
    part = min(max(linear, 0.0), 1.0)
    return round(255 * (12.92 * part if part <= 0.0031308 else 1.055 * part ** (1 / 2.4) - 0.055))
