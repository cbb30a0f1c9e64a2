"""A microscope slide with a section of colonic mucosa, stained with haematoxylin and eosin, at any magnification."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dicomfab.fabricate.render.batches import in_order
from dicomfab.fabricate.render.lookup import tiles as noise_tiles
from dicomfab.fabricate.render.marks import SYNTHETIC, blend, text_mask
from dicomfab.fabricate.render.slide_kernels import adenoma, coloured, stained
from dicomfab.fabricate.seeds import derive

TILE: Final = 256
BASE_UM: Final = 0.5  # from pixel to pixel, at 20x
SLIDE_MM: Final = (75.0, 25.0)
CENTRE_MM: Final = (30.0, 12.5)  # of the section, from the end without label and from the lower edge
LABEL_SIZE: Final = 400
LABEL_MM: Final = 0.0575
LABEL_EDGE_MM: Final = 1.0  # between the edges of the label and of the slide
OVERVIEW_MM: Final = 0.05
_LARGE: Final = 2048  # of a base; the levels of a smaller one lie closer together
_INK: Final = (62, 66, 120)
_GLASS: Final = 243
_SUPERSAMPLED: Final = 4

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Level:
    """A level of the pyramid.

    Args:
        base: pixels along each side of the base level.
        reduction: how many pixels of the base stand beside each other in one of this level.
    """

    base: int
    reduction: int

    @property
    def side(self) -> int:
        """Pixels along each side."""
        return self.base // self.reduction

    @property
    def tile(self) -> int:
        """Pixels along each side of a tile."""
        return min(TILE, self.side)

    @property
    def across(self) -> int:
        """Tiles along each side; the last may reach over the edge."""
        return -(-self.side // self.tile)

    @property
    def pixel_um(self) -> float:
        """From pixel to pixel."""
        return BASE_UM * self.reduction


def levels(base: int) -> tuple[Level, ...]:
    """The pyramid on a base of so many pixels a side, the smallest level first."""
    factor = 4 if base >= _LARGE else 2
    return Level(base, factor**2), Level(base, factor), Level(base, 1)


def tiles(level: Level, seed: int, workers: int) -> Iterator[Picture]:
    """Render a level, tile by tile.

    Args:
        level: which.
        seed: decides the tissue.
        workers: threads; the result does not depend on it.

    Yields:
        (tile, tile, 3), from left to right and then from top to bottom.
    """
    height = _ink_height(level.base) / level.reduction
    mark = text_mask(SYNTHETIC, max(round(height), 6))
    place = round(0.022 * level.side), (level.side - mark.shape[1]) // 2

    def batch(number: int, _end: int) -> Picture:
        row, column = (part * level.tile for part in divmod(number, level.across))
        picture = _section(level, seed, row, column)
        _inked(picture, mark, place[0] - row, place[1] - column)
        return picture

    yield from in_order(batch, level.across**2, 1, workers)


def adenoma_crypts(base: int, seed: int) -> NDArray[np.float64]:
    """The crypts of the adenoma, which is nothing but them.

    Args:
        base: pixels along each side of the base level.
        seed: decides the tissue.

    Returns:
        (crypts, 3): row and column of each centre in the base level's total pixel matrix, counted from 0 at the centre
        of the first pixel, and the radius around all of it in pixels; none on a very small slide.
    """
    side_um = base * BASE_UM
    tissue, noise = np.uint64(derive(seed, "slide")), noise_tiles()
    found = np.zeros((adenoma(side_um, tissue, noise, np.zeros((0, 3), np.float32)), 3), np.float32)
    adenoma(side_um, tissue, noise, found)
    x, y, radius = found.T.astype(np.float64) / BASE_UM
    return np.column_stack([y - 0.5, x - 0.5, radius])


def slide_mm(base: int, row: float, column: float) -> tuple[float, float]:
    """X and Y in the slide's coordinates of a place in the base level's total pixel matrix (PS3.3 C.8.12.2)."""
    length_mm, height_mm = CENTRE_MM
    half, pixel_mm = base / 2, BASE_UM / 1000
    return height_mm + (half - row - 0.5) * pixel_mm, length_mm + (half - column - 0.5) * pixel_mm


def label(code: str, lines: tuple[str, ...]) -> Picture:
    """The paper label of the slide.

    Args:
        code: printed as a bar code; capitals, digits and hyphens, at most 11.
        lines: what is printed under it.

    Returns:
        (400, 400, 3), at 0.0575 mm.
    """
    image = Image.new("RGB", (LABEL_SIZE, LABEL_SIZE), (246, 245, 240))
    draw = ImageDraw.Draw(image)
    modules = code39(code)
    left = (LABEL_SIZE - 2 * len(modules)) // 2
    for n, dark in enumerate(modules):
        if dark:
            draw.rectangle((left + 2 * n, 24, left + 2 * n + 1, 124), fill=(20, 20, 24))
    for n, line in enumerate((code, *lines)):
        draw.text((32, 142 + 50 * n), line, fill=(20, 20, 24), font=ImageFont.load_default(38))
    draw.text((20, 364), SYNTHETIC, fill=(20, 20, 24), font=ImageFont.load_default(20))
    return np.array(image)


def code39(text: str) -> tuple[bool, ...]:
    """A bar code (ISO/IEC 16388) with wide bars twice as wide as narrow ones.

    Returns:
        For each module from the left, whether it is dark.
    """
    modules: list[bool] = []
    for character in f"*{text}*":
        for n, wide in enumerate(_CODE39[character]):
            modules += [n % 2 == 0] * (2 if wide == "1" else 1)
        modules.append(False)
    return tuple(modules[:-1])


def _code39_table() -> dict[str, str]:
    """Character -> which of its nine bars and spaces are wide.

    Of the five bars two are wide, and one of the four spaces: ten characters for each of its places.
    """
    bars = ("10001", "01001", "11000", "00101", "10100", "01100", "00011", "10010", "01010", "00110")
    table = {}
    for characters, space in (("1234567890", 1), ("ABCDEFGHIJ", 2), ("KLMNOPQRST", 3), ("UVWXYZ-. *", 0)):
        for character, bar in zip(characters, bars, strict=True):
            spaces = "".join("1" if n == space else "0" for n in range(4))
            table[character] = "".join(bar[n] + (spaces[n] if n < 4 else "") for n in range(5))
    return table


_CODE39: Final = _code39_table()


def overview(base: int, seed: int, code: str, lines: tuple[str, ...]) -> Picture:
    """The whole slide, label on the left, at 0.05 mm.

    Args:
        base: pixels along each side of the base level.
        seed: decides the tissue.
        code: of the label.
        lines: of the label.

    Returns:
        (500, 1500, 3).
    """
    columns, rows = (round(edge / OVERVIEW_MM) for edge in SLIDE_MM)
    picture = np.full((rows, columns, 3), _GLASS - 8, np.uint8)
    picture[3:-3, 3:-3] = _GLASS
    edge, printed = round(LABEL_EDGE_MM / OVERVIEW_MM), round(LABEL_SIZE * LABEL_MM / OVERVIEW_MM)
    paper = Image.fromarray(label(code, lines)).resize((printed, printed), Image.Resampling.LANCZOS)
    picture[edge : edge + printed, edge : edge + printed] = np.asarray(paper)
    picture[40:460, 520:1480] -= 3  # the cover glass
    reduction = _SUPERSAMPLED * max(1, base // 1024)
    level = Level(base, reduction)
    small = _section(level, seed, 0, 0, level.side)
    size = max(1, round(base * BASE_UM / 1000 / OVERVIEW_MM))
    section = Image.fromarray(small).resize((size, size), Image.Resampling.BOX)
    top = round((SLIDE_MM[1] - CENTRE_MM[1]) / OVERVIEW_MM - size / 2)
    left = round((SLIDE_MM[0] - CENTRE_MM[0]) / OVERVIEW_MM - size / 2)
    part = picture[top : top + size, left : left + size]
    part[...] = np.minimum(part, np.asarray(section))
    blend(picture, text_mask(SYNTHETIC, 24), -14, 560, _INK)
    return picture


def _ink_height(base: int) -> float:
    """Of the mark, in pixels of the base."""
    return min(0.042 * base, 400.0)


def _section(level: Level, seed: int, row: int, column: int, size: int = 0) -> Picture:
    """A square of a level; of a reduced one, a pixel is the mean of up to 4 x 4 places of the base."""
    size = size or level.tile
    samples = min(level.reduction, _SUPERSAMPLED)
    step_um = level.pixel_um / samples
    count = size * samples
    stains = np.zeros((2, count, count), np.float32)
    corner = column * level.pixel_um + step_um / 2, row * level.pixel_um + step_um / 2
    side_um = level.base * BASE_UM
    stained(*corner, step_um, side_um, np.uint64(derive(seed, "slide")), noise_tiles(), stains)
    picture = np.empty((size, size, 3), np.uint8)
    coloured(stains, samples, float(_GLASS), picture)
    return picture


def _inked(picture: Picture, mark: NDArray[np.float32], row: int, column: int) -> None:
    """Blend the part of a mark that lies on a tile; its corner may lie outside."""
    top, left = max(-row, 0), max(-column, 0)
    part = mark[top:, left:]
    if part.size and row + top < picture.shape[0] and column + left < picture.shape[1]:
        blend(picture, part, row + top, column + left, _INK)
