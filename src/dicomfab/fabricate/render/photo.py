"""A photograph of skin with a pigmented lesion, a ruler whose millimetres are true, and patches of known colours."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dicomfab.fabricate.jit import kernel
from dicomfab.fabricate.render.batches import in_order
from dicomfab.fabricate.render.lookup import between, tiles
from dicomfab.fabricate.render.marks import SYNTHETIC
from dicomfab.fabricate.seeds import Draw

ROWS: Final = 1200
COLUMNS: Final = 1600
#: Millimetres a pixel of the overview and of the close-up, which follow each other.
PIXELS_MM: Final = (0.05, 0.02)
#: Red, green, blue, cyan, magenta, yellow, and three greys, in sRGB.
PATCHES: Final = (
    (175, 54, 60), (70, 148, 73), (56, 61, 150), (8, 133, 161), (187, 86, 149), (231, 199, 31),
    (243, 243, 242), (122, 122, 121), (52, 52, 52),
)  # fmt: skip
#: Rows above the ruler.
SKIN_ROWS: Final = ROWS - 180
_RULER_MM: Final = 9.0
_FADE: Final = 0.10  # how broad the lesion's edge is, as a part of its radius
_PATCH: Final = 84
_TOP: Final = 40

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Mole:
    """A pigmented lesion in the middle of the picture.

    Args:
        radius_mm: its mean radius.
        waves: strength and phase of the second to fifth wave of its outline.
        phase: of its patterns.
    """

    radius_mm: float
    waves: tuple[tuple[float, float], ...]
    phase: float

    @classmethod
    def of(cls, seed: int) -> Mole:
        """The lesion of a seed."""
        drawn = Draw(seed, "mole")
        waves = tuple((drawn.between(0.02, 0.16 / order), drawn.between(0, 6.28)) for order in (1, 1.4, 2, 3))
        return cls(drawn.between(3.2, 6.5), waves, drawn.between(0, 400))

    def outline(self, points: int = 360) -> NDArray[np.float64]:
        """Where the colour has faded to half, without the fine raggedness: (points, 2), x and y from its middle."""
        angles = np.arange(points) * (2 * math.pi / points)
        edge = np.full(points, self.radius_mm)
        for order, (strength, phase) in enumerate(self.waves, start=2):
            edge *= 1 + strength * np.cos(order * angles + phase)
        edge -= _FADE * self.radius_mm / 2
        return np.column_stack([edge * np.cos(angles), edge * np.sin(angles)])


def framing(seed: int, index: int) -> tuple[float, float, float]:
    """Row and column of the lesion's middle in a photograph, and its mm for a pixel.

    Nobody holds a camera still: the lesion is not quite where it was in the photograph before.

    Args:
        seed: decides how the camera is held.
        index: of the photograph, from 0.
    """
    pixel_mm = PIXELS_MM[index % len(PIXELS_MM)]
    shift = Draw(seed, "framing", index)
    x, y = shift.between(-1.5, 1.5), shift.between(-1.5, 1.5) - _RULER_MM / 4
    return ROWS / 2 - y / pixel_mm, COLUMNS / 2 - x / pixel_mm, pixel_mm


def images(body_seed: int, seed: int, count: int, workers: int) -> Iterator[Picture]:
    """Render photographs, in turn from further away and from near.

    Args:
        body_seed: decides the skin and the lesion.
        seed: decides how the camera is held.
        count: images.
        workers: threads; the result does not depend on it.

    Yields:
        (1200, 1600, 3).
    """
    mole, noise = Mole.of(body_seed), tiles()
    tone = Draw(body_seed, "skin").between(0, 1)
    shape = np.array([mole.radius_mm, mole.phase, tone, *(value for wave in mole.waves for value in wave)])

    def batch(index: int, _end: int) -> Picture:
        row, column, pixel_mm = framing(seed, index)
        out = np.empty((ROWS, COLUMNS, 3), np.uint8)
        _skin(shape, -column * pixel_mm, -row * pixel_mm, pixel_mm, noise, out)
        image = Image.fromarray(out)
        _hairs(image, Draw(body_seed, "hairs"), (row, column), pixel_mm)
        _ruler(image, pixel_mm)
        _patches(image)
        return np.array(image)

    yield from in_order(batch, count, 1, workers)


@kernel
def _skin(shape: Floats, x0: float, y0: float, step: float, noise: Floats, out: Picture) -> None:
    """Skin with its fine lines and pores, and the lesion around x = y = 0, in mm."""
    rows, columns, _ = out.shape
    tone = shape[2]
    for row in range(rows):
        y = y0 + row * step
        for column in range(columns):
            x = x0 + column * step
            cloud = between(noise[0], x * 2.2 + 40, y * 2.2)
            blush = between(noise[1], x * 0.9, y * 0.9 + 90)
            # Two sets of lines that cross, as noise drawn out along each.
            p, q = 0.85 * x + 0.53 * y, -0.53 * x + 0.85 * y
            r, s = 0.42 * x - 0.91 * y, 0.91 * x + 0.42 * y
            first = max(0.0, 1.0 - abs(between(noise[0], p * 7.0, q * 26.0)) * 2.2)
            second = max(0.0, 1.0 - abs(between(noise[1], r * 7.0, s * 26.0)) * 2.2)
            lines = 0.75 * first + 0.6 * second
            grain = between(noise[1], x * 41.0, y * 41.0)
            red = 226.0 - 34.0 * tone + 2.5 * cloud + 2.0 * blush - 9.0 * lines + 2.2 * grain
            green = 176.0 - 40.0 * tone + 3.0 * cloud - 4.5 * blush - 12.0 * lines + 2.4 * grain
            blue = 152.0 - 42.0 * tone + 3.0 * cloud - 4.0 * blush - 12.0 * lines + 2.4 * grain
            away = math.sqrt(x * x + y * y)
            if away < 1.7 * shape[0]:
                angle = math.atan2(y, x)
                edge = shape[0]
                for n in range(4):
                    edge *= 1.0 + shape[3 + 2 * n] * math.cos((n + 2) * angle + shape[4 + 2 * n])
                edge += 0.10 * between(noise[0], x * 9.0 + shape[1], y * 9.0) * shape[0] / 4
                inside = min(max((edge - away) / (_FADE * shape[0]), 0.0), 1.0)
                inside = inside * inside * (3 - 2 * inside)
                dark = between(noise[1], x * 3.2 + shape[1], y * 3.2) + 0.9 * (1 - away / shape[0])
                net = abs(between(noise[0], x * 16.0, y * 16.0 + shape[1]))
                deep = min(max(0.58 + 0.22 * dark - 0.10 * min(net, 1.5), 0.12), 0.97) * inside
                halo = 0.10 * min(max((1.5 * edge - away) / edge, 0.0), 1.0)
                red += (62.0 - red) * deep + (196.0 - red) * halo * (1 - inside)
                green += (36.0 - green) * deep - green * halo * (1 - inside)
                blue += (28.0 - blue) * deep - blue * halo * (1 - inside)
            light = 1.05 - 0.30 * ((row / rows - 0.45) ** 2 + (column / columns - 0.42) ** 2)
            out[row, column, 0] = np.uint8(min(max(red * light, 0.0), 255.0))
            out[row, column, 1] = np.uint8(min(max(green * light, 0.0), 255.0))
            out[row, column, 2] = np.uint8(min(max(blue * light, 0.0), 255.0))


def _hairs(image: Image.Image, drawn: Draw, middle: tuple[float, float], pixel_mm: float) -> None:
    """Short dark hairs, all lying much the same way."""
    draw = ImageDraw.Draw(image, "RGBA")
    for _ in range(70):
        x, y = drawn.between(-45, 45), drawn.between(-34, 30)
        turn, length, bend = drawn.between(0.5, 1.2), drawn.between(3, 9), drawn.between(-0.5, 0.5)
        points = []
        for n in range(13):
            at = n / 12
            heading = turn + bend * at
            px, py = x + at * length * math.cos(heading), y + at * length * math.sin(heading)
            points.append((px / pixel_mm + middle[1], py / pixel_mm + middle[0]))
        width = max(1, round(0.055 / pixel_mm))
        draw.line(points, fill=(70, 48, 36, 150), width=width, joint="curve")


def _ruler(image: Image.Image, pixel_mm: float) -> None:
    """A paper ruler along the lower edge, with the synthetic mark on it."""
    draw = ImageDraw.Draw(image)
    top = SKIN_ROWS
    draw.rectangle((0, top - 3, COLUMNS, top), fill=(120, 100, 88))
    draw.rectangle((0, top, COLUMNS, ROWS), fill=(240, 238, 230))
    for millimetre in range(int(COLUMNS * pixel_mm)):
        column = round((millimetre + 0.5) / pixel_mm)
        long = 62 if millimetre % 10 == 0 else 44 if millimetre % 5 == 0 else 28
        draw.line((column, top, column, top + long), fill=(25, 25, 25), width=3)
        if millimetre % 10 == 0 or (pixel_mm < 0.03 and millimetre % 5 == 0):
            draw.text((column + 6, top + 50), str(millimetre), fill=(25, 25, 25), font=ImageFont.load_default(30))
    draw.text((30, ROWS - 70), SYNTHETIC, fill=(25, 25, 25), font=ImageFont.load_default(42))
    draw.text((COLUMNS - 110, ROWS - 70), "mm", fill=(25, 25, 25), font=ImageFont.load_default(42))


def patch_box(number: int) -> tuple[int, int, int, int]:
    """First column and row, and last column and row, of a colour patch."""
    top, left = _TOP + number * (_PATCH + 8), COLUMNS - _PATCH - 48
    return left, top, left + _PATCH, top + _PATCH


def _patches(image: Image.Image) -> None:
    draw = ImageDraw.Draw(image)
    first, last = patch_box(0), patch_box(len(PATCHES) - 1)
    draw.rectangle((first[0] - 14, first[1] - 14, last[2] + 14, last[3] + 14), fill=(28, 28, 28))
    for number, colour in enumerate(PATCHES):
        draw.rectangle(patch_box(number), fill=colour)
