"""Mammograms: a compressed breast at low energies, and its processing, which evens out its thickness."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.anatomy.body import Body
from dicomfab.fabricate.anatomy.breast import Pressed, Side
from dicomfab.fabricate.anatomy.scene import Grid
from dicomfab.fabricate.anatomy.tissue import LABEL_COUNT, Tissue
from dicomfab.fabricate.jit import kernel
from dicomfab.fabricate.render import noise
from dicomfab.fabricate.render.batches import in_order
from dicomfab.fabricate.render.fluoroscopy import softened
from dicomfab.fabricate.render.marks import SYNTHETIC, stamp, text_mask
from dicomfab.fabricate.render.projection import (
    RAW_BITS,
    Beam,
    Detector,
    Floats,
    Raw,
    blurred,
    coarse_signal,
    exposed,
    path_sums,
    processed,
)
from dicomfab.fabricate.seeds import derive

ROWS: Final = 3000
COLUMNS: Final = 2496
PIXELS_MM: Final = (0.07, 0.1)  # of the small and the large format
MAX_VALUE: Final = 4095
_DETECTOR: Final = Detector(quanta=60_000.0, scatter=0.12, glare=0.0004, reach=10)
_STEP_MM: Final = 0.9
_RIM_MM, _RIM_STEP_MM = 5.0, 0.25  # the free edges are thin above and below: there, coarse steps would show
_RAY_PIXELS: Final = 4
_BAND_ROWS: Final = 200
_CRISP: Final = 1.9  # weight of what is finer than a millimetre
#: At about 20 keV, per mm (breast tissue after ICRU 44).
_PER_MM: Final = {
    Tissue.SKIN: 0.083, Tissue.FAT: 0.054, Tissue.INNER_FAT: 0.054, Tissue.MUSCLE: 0.086,
    Tissue.FIBROGLANDULAR: 0.080, Tissue.NIPPLE: 0.082, Tissue.BREAST_MASS: 0.090, Tissue.LYMPH_NODE: 0.083,
    Tissue.VEIN: 0.084, Tissue.BLOOD: 0.084, Tissue.CALCIFICATION: 0.9,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Exposure:
    """One view on a detector.

    Args:
        side: of the breast; a right one has its chest wall at the image's right edge.
        text: side and view, such as ``R MLO``.
        left_mm: x of the detector's edge in the body's coordinates; its other edge lies at the chest wall.
        pixel_mm: of the detector.
    """

    side: Side
    text: str
    left_mm: float
    pixel_mm: float

    @classmethod
    def of(cls, pressed: Pressed, *, large: bool) -> Exposure:
        """The breast in the middle of the detector; if it is too wide, the armpit is cut off."""
        pixel_mm = PIXELS_MM[large]
        low, high = (edge[0] for edge in pressed.extent_mm)
        width = ROWS * pixel_mm
        left = (low + high - width) / 2
        if high - low > width:
            left = low if pressed.side == "L" else high - width
        return cls(pressed.side, f"{pressed.side} {pressed.view}", round(left, 3), pixel_mm)

    @property
    def front_mm(self) -> float:
        """Y of the edge in front of the nipple."""
        return -COLUMNS * self.pixel_mm


def large(breasts: Iterable[Pressed]) -> bool:
    """Whether a patient's mammograms need the large format: all are made on the same."""
    return max(one.half_mm for one in breasts if one.view == "CC") * 2 > ROWS * PIXELS_MM[0]


@cache
def attenuation() -> NDArray[np.int32]:
    """Per label and mm, in units of 1e-6; air absorbs nothing."""
    table = np.zeros(LABEL_COUNT, np.int32)
    for tissue, value in _PER_MM.items():
        table[tissue] = round(value * 1e6)
    return table


def mammogram(body: Body, exposure: Exposure, seed: int, workers: int) -> NDArray[np.uint16]:
    """Render one view.

    Args:
        body: the compressed breast.
        exposure: the view.
        seed: of the noise.
        workers: threads; the result does not depend on it.

    Returns:
        (rows, columns), 12 bits, dense tissue bright (MONOCHROME2), 0 outside the breast.
    """
    counts = raw(body, exposure, seed, workers)
    pixels = _presented(counts, workers)
    stamped(pixels, exposure, MAX_VALUE, 1.0)
    return pixels


def stamped(pixels: NDArray[np.uint16], exposure: Exposure, value: int, scale: float) -> None:
    """Both marks, at the edge away from the chest wall.

    Args:
        pixels: the image.
        exposure: the view.
        value: stored value of what is written.
        scale: of the letters.
    """
    left = exposure.side == "R"
    rows = pixels.shape[0]
    stamp(pixels, text_mask(SYNTHETIC, round(44 * scale)), rows // 75, 24 if left else -24, value)
    stamp(pixels, text_mask(exposure.text, round(110 * scale)), rows // 12, 40 if left else -40, value)


def raw(body: Body, exposure: Exposure, seed: int, workers: int) -> Raw:
    """What the detector counts.

    Returns:
        (rows, columns), 14 bits, proportional to the intensity.
    """
    table = attenuation()
    # Grains are smaller than the rays' distance: they are seen by rays of their own.
    coarse = table.copy()
    coarse[Tissue.CALCIFICATION] = table[Tissue.FIBROGLANDULAR]
    path = turned(_path(body, exposure, coarse, workers), exposure.side)
    draw = derive(seed, "mg-noise", exposure.text)
    counts = exposed(path, _DETECTOR, _RAY_PIXELS, draw, workers)
    _structured(counts, path, derive(seed, "mg-structure", exposure.text), workers)
    _specks(counts, body, exposure)
    return counts


def _path(body: Body, exposure: Exposure, table: NDArray[np.int32], workers: int) -> Floats:
    low, high = body.extent_mm[0][2], body.extent_mm[1][2]
    heights = (low, low + _RIM_MM, high - _RIM_MM, high)
    pixel, left, front = exposure.pixel_mm, exposure.left_mm, exposure.front_mm
    steps = (_RIM_STEP_MM, _STEP_MM, _RIM_STEP_MM)
    whole = np.zeros((COLUMNS // _RAY_PIXELS, ROWS // _RAY_PIXELS), np.float32)
    for near, far, step in zip(heights, heights[1:], steps, strict=False):
        beam = Beam("z", COLUMNS, ROWS, pixel, left, front, near, far, step, _RAY_PIXELS)
        whole += path_sums(body.scene, beam, table, workers)
    return whole


def turned(image: Floats, side: Side) -> Floats:
    """From y by x to rows and columns: the armpit or the outer side above, the chest wall at the breast's own side."""
    upright = image.T
    return np.ascontiguousarray(upright if side == "R" else upright[::-1, ::-1])


def _structured(counts: Raw, path: Floats, draw: int, workers: int) -> None:
    """Fibres finer than the distance of the rays, stronger where more is in the way."""
    tile = noise.texture()[draw & 1]
    shift = np.array([draw >> 9 & 511, draw >> 18 & 511])

    def band(first: int, end: int) -> None:
        _weave(path, tile, shift, _RAY_PIXELS, first, counts[first:end])

    for _ in in_order(band, counts.shape[0], _BAND_ROWS, workers):
        pass


@kernel
def _weave(path: Floats, tile: Floats, shift: NDArray[np.int64], scale: int, first: int, counts: Raw) -> None:
    rows, columns = counts.shape
    for n in range(rows):
        j = first + n
        line, fibres = path[j // scale], tile[(j + shift[0]) & 511]
        for i in range(columns):
            value = counts[n, i] * (np.float32(1) - np.float32(0.004) * line[i // scale] * fibres[(i + shift[1]) & 511])
            counts[n, i] = np.uint16(min(max(value, np.float32(0)), np.float32(16383)))


def _specks(counts: Raw, body: Body, exposure: Exposure) -> None:
    """Calcifications, each pixel with rays of its own."""
    excess = (attenuation()[Tissue.CALCIFICATION] - attenuation()[Tissue.FIBROGLANDULAR]) * 1e-6
    pixel = exposure.pixel_mm
    for lesion in body.lesions:
        if lesion.tissue != Tissue.CALCIFICATION:
            continue
        half = round((max(lesion.radii_mm) + 1.5) / pixel)
        i = round((lesion.centre_mm[0] - exposure.left_mm) / pixel)
        j = round((lesion.centre_mm[1] - exposure.front_mm) / pixel)
        i0, i1, j0, j1 = max(i - half, 0), min(i + half, ROWS), max(j - half, 0), min(j + half, COLUMNS)
        step, reach = 0.15, half * pixel
        corner = (
            exposure.left_mm + (i0 + 0.5) * pixel,
            exposure.front_mm + (j0 + 0.5) * pixel,
            lesion.centre_mm[2] - reach,
        )
        grid = Grid(corner, (pixel, pixel, step), (round(2 * reach / step), j1 - j0, i1 - i0))
        shade = (body.scene.voxels(grid) == Tissue.CALCIFICATION).sum(axis=0).astype(np.float32) * np.float32(step)
        part = turned(softened(np.exp(-shade * np.float32(excess))), exposure.side)
        right = exposure.side == "R"
        rows = slice(i0, i1) if right else slice(ROWS - i1, ROWS - i0)
        columns = slice(j0, j1) if right else slice(COLUMNS - j1, COLUMNS - j0)
        counts[rows, columns] = (counts[rows, columns] * part).astype(np.uint16)


def _presented(counts: Raw, workers: int) -> NDArray[np.uint16]:
    """The logarithm, with the breast's thickness evened out, edges enhanced, and what is around it black."""
    curve = -np.log(np.maximum(np.arange(1 << RAW_BITS, dtype=np.float32), np.float32(1.0)))
    small = coarse_signal(counts, curve, workers)
    air = float(small.min())
    inside = (small > air + 0.25).astype(np.float32)
    weight = np.maximum(blurred(inside, 14), np.float32(1e-3))
    base = blurred(small * inside, 14) / weight
    middle = float(np.median(base[inside > 0]))
    flat = np.asarray((middle - base) * 0.62 * blurred(inside, 1), np.float32)
    crisp = np.float32(_CRISP)
    soft = np.asarray(blurred(small, 1) * (1 - _CRISP), np.float32)
    picture = (small * crisp + soft + flat)[inside > 0]
    low, high = (float(value) for value in np.percentile(picture, (0.5, 99.8)))
    start = low - (high - low) * 0.12
    steps = 4096
    x = np.linspace(0, 1, steps)
    tone = np.rint(3650 * (0.35 * x + 0.65 * x * x * (3 - 2 * x)) ** 1.15).astype(np.uint16)
    end = high + (high - low) * 0.10
    longer = np.concatenate([tone, np.linspace(3650, MAX_VALUE, 1200).astype(np.uint16)])
    return processed(counts, curve * crisp, (soft, flat), (longer, start, (end - start) / steps), workers)
