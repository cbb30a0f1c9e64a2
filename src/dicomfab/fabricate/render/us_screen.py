"""The screen of an ultrasound scanner: beams brought into their places, scales, and what stands beside them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.render.acoustics import Floats
from dicomfab.fabricate.render.marks import SYNTHETIC, blend, text_mask

Screen = NDArray[np.uint8]
Spot = tuple[NDArray[np.int64], NDArray[np.int64], Floats, Floats, NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Sector:
    """Where on the screen the beams go.

    Args:
        rows: of the screen.
        columns: of it.
        pixel_mm: from pixel to pixel, in both directions.
        probe_mm: radius of the transducer; 0 if all beams start at one point.
        depth_mm: length of the beams.
        half_angle: between the middle beam and the outer ones, in radians.
        top: row of the middle of the transducer's surface.
    """

    rows: int
    columns: int
    pixel_mm: float
    probe_mm: float
    depth_mm: float
    half_angle: float
    top: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """First column and row, and last column and row, of what the beams cover."""
        reach = (self.probe_mm + self.depth_mm) * math.sin(self.half_angle) / self.pixel_mm
        lift = self.probe_mm * (1 - math.cos(self.half_angle)) / self.pixel_mm
        middle = self.columns // 2
        top = self.top - math.ceil(lift) if self.probe_mm == 0 else self.top
        return (
            max(0, math.floor(middle - reach)),
            top,
            min(self.columns - 1, math.ceil(middle + reach)),
            min(self.rows - 1, math.ceil(self.top + self.depth_mm / self.pixel_mm)),
        )


def converted(echoes: Floats, sector: Sector) -> Screen:
    """Scan conversion: each pixel between the samples and beams around it.

    Args:
        echoes: (samples, beams), 0 to 1.
        sector: where they go.

    Returns:
        (rows, columns), 8 bits, black outside.
    """
    rows, columns, down, aside, sample, beam = _places(sector, *echoes.shape)
    above = echoes[sample, beam] * (1 - aside) + echoes[sample, beam + 1] * aside
    below = echoes[sample + 1, beam] * (1 - aside) + echoes[sample + 1, beam + 1] * aside
    screen = np.zeros((sector.rows, sector.columns), np.uint8)
    screen[rows, columns] = ((above * (1 - down) + below * down) * np.float32(255)).astype(np.uint8)
    return screen


@lru_cache(maxsize=4)
def _places(sector: Sector, samples: int, beams: int) -> Spot:
    row, column = np.mgrid[0 : sector.rows, 0 : sector.columns].astype(np.float32)
    y = (row - sector.top) * np.float32(sector.pixel_mm) + np.float32(sector.probe_mm)
    x = (column - sector.columns // 2) * np.float32(sector.pixel_mm)
    depth = (np.hypot(x, y) - np.float32(sector.probe_mm)) / np.float32(sector.depth_mm) * (samples - 1)
    angle = (np.arctan2(x, y) / np.float32(sector.half_angle) + 1) / 2 * (beams - 1)
    rows, columns = np.nonzero((depth >= 0) & (depth < samples - 1) & (angle >= 0) & (angle < beams - 1))
    depth, angle = depth[rows, columns], angle[rows, columns]
    sample, beam = depth.astype(np.int64), angle.astype(np.int64)
    return rows, columns, (depth - sample).astype(np.float32), (angle - beam).astype(np.float32), sample, beam


def annotate(screen: Screen, sector: Sector, title: str, frequency_mhz: float, focus_mm: float) -> None:
    """Draw the depth scale with the focus, the grey bar, settings, and the synthetic mark."""
    write(screen, title, 20, 28, 18)
    settings = (f"{frequency_mhz:g} MHz", f"D {sector.depth_mm / 10:.1f} cm", "DR 62 dB", "MI 1.0", "TIs 0.6")
    for n, line in enumerate(settings):
        write(screen, line, 92 + 26 * n, 28, 15, 190)
    grey_bar(screen)
    depth_scale(screen, sector.top, sector.pixel_mm, sector.depth_mm, focus_mm)
    mark = text_mask(SYNTHETIC, 18)
    blend(screen, mark, -12, 20, white(screen, 230))


def depth_scale(screen: Screen, top: int, pixel_mm: float, depth_mm: float, focus_mm: float) -> None:
    """A tick for each centimetre below the transducer, longer and numbered at each fifth, and an arrow at the focus."""
    right = screen.shape[1] - 60
    for centimetre in range(int(depth_mm / 10) + 1):
        row = top + round(centimetre * 10 / pixel_mm)
        fifth = centimetre % 5 == 0
        screen[row, right - (12 if fifth else 6) : right] = 200
        if fifth:
            write(screen, str(centimetre), row - 7, right + 10, 15, 190)
    row = top + round(focus_mm / pixel_mm)
    for n in range(9):
        screen[row - n // 2 : row + n // 2 + 1, right + 2 + n // 2] = 220


def grey_bar(screen: Screen) -> None:
    """The grey levels, bright at the top."""
    height = 160
    levels = np.linspace(255, 0, height).astype(np.uint8)[:, None]
    top = screen.shape[0] // 2 - height // 2
    part = screen[top : top + height, 28:42]
    part[...] = levels if screen.ndim == 2 else levels[..., None]


def write(screen: Screen, text: str, row: int, column: int, height: int, tone: int = 220) -> None:
    """Text at a place."""
    blend(screen, text_mask(text, height), row, column, white(screen, tone))


def white(screen: Screen, tone: int) -> tuple[int, ...]:
    """A grey as the samples of a screen's pixels."""
    return (tone,) * (1 if screen.ndim == 2 else 3)
