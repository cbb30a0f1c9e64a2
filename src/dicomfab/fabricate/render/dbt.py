"""Breast tomosynthesis: planes parallel to the detector, sharp, with a haze of what is above and below."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.anatomy.body import Body
from dicomfab.fabricate.anatomy.scene import Grid
from dicomfab.fabricate.anatomy.tissue import Tissue
from dicomfab.fabricate.render import xray
from dicomfab.fabricate.render.batches import in_order
from dicomfab.fabricate.render.fluoroscopy import noise_tile
from dicomfab.fabricate.render.mg import COLUMNS, ROWS, Exposure, attenuation, stamped, turned
from dicomfab.fabricate.render.noise import TILE, texture
from dicomfab.fabricate.render.projection import Beam, Floats, blurred, enlarged, path_sums
from dicomfab.fabricate.seeds import derive

BINNING: Final = 2
PLANE_ROWS: Final = ROWS // BINNING
PLANE_COLUMNS: Final = COLUMNS // BINNING
MAX_VALUE: Final = 4095
_HAZE_PIXELS: Final = 4  # of planes, from ray to ray of the haze
_HAZE: Final = 0.45
_SAMPLE_MM: Final = 0.6
_MOST_SAMPLES: Final = 4
_NOISE, _FIBRES = 48.0, 42.0
_DARK_PER_MM, _VALUES_PER_MM = 0.0425, 80_000.0


def heights_mm(thickness_mm: float, count: int) -> list[float]:
    """Z of each plane, from the detector upwards: the breast divided evenly."""
    spacing = round(thickness_mm / count, 4)
    return [round((n - (count - 1) / 2) * spacing, 4) for n in range(count)]


def planes(
    body: Body, exposure: Exposure, thickness_mm: float, count: int, seed: int, workers: int
) -> Iterator[NDArray[np.uint16]]:
    """Render the planes in order.

    Args:
        body: the compressed breast.
        exposure: the view; planes lie as its mammogram does, with pixels of twice the size.
        thickness_mm: of the breast.
        count: planes.
        seed: of the noise.
        workers: threads; the result does not depend on it.

    Yields:
        (1500, 1248), 12 bits, dense tissue bright.
    """
    haze = _haze(body, exposure, thickness_mm, workers)
    heights = heights_mm(thickness_mm, count)
    samples = max(1, min(_MOST_SAMPLES, round(thickness_mm / count / _SAMPLE_MM)))

    def batch(first: int, end: int) -> list[NDArray[np.uint16]]:
        return [plane(n) for n in range(first, end)]

    def plane(n: int) -> NDArray[np.uint16]:
        sharp = _slab(body, exposure, heights[n], samples)
        rng = np.random.default_rng(derive(seed, "dbt-noise", exposure.text, n))
        values = (sharp * np.float32(1 - _HAZE) + haze - np.float32(_DARK_PER_MM)) * np.float32(_VALUES_PER_MM)
        values *= np.minimum(haze * np.float32(1 / (_HAZE * 0.03)), np.float32(1))
        values += _structure(rng) * (haze > np.float32(_HAZE * 0.01))
        pixels = np.asarray(np.clip(values, 0, MAX_VALUE), np.uint16)
        stamped(pixels, exposure, MAX_VALUE, 1 / BINNING)
        return pixels

    for rendered in in_order(batch, count, 1, workers):
        yield from rendered


def _slab(body: Body, exposure: Exposure, z_mm: float, samples: int) -> Floats:
    """Mean attenuation per mm around a plane."""
    pixel = exposure.pixel_mm * BINNING
    start = z_mm - (samples - 1) / 2 * _SAMPLE_MM
    corner = (exposure.left_mm + pixel / 2, exposure.front_mm + pixel / 2, start)
    grid = Grid(corner, (pixel, pixel, _SAMPLE_MM), (samples, PLANE_COLUMNS, PLANE_ROWS))
    sums = np.zeros((PLANE_COLUMNS, PLANE_ROWS), np.int32)
    xray.add_planes(body.scene.voxels(grid), attenuation(), sums)
    return turned(sums.astype(np.float32) * np.float32(1e-6 / samples), exposure.side)


def _haze(body: Body, exposure: Exposure, thickness_mm: float, workers: int) -> Floats:
    """The share that the other planes have in each: blurred means over the whole height."""
    table = attenuation().copy()
    table[Tissue.CALCIFICATION] = table[Tissue.FIBROGLANDULAR]
    low, high = body.extent_mm[0][2], body.extent_mm[1][2]
    pixel = exposure.pixel_mm * BINNING
    beam = Beam(
        "z", PLANE_COLUMNS, PLANE_ROWS, pixel, exposure.left_mm, exposure.front_mm, low, high, 1.0, _HAZE_PIXELS
    )
    small = blurred(path_sums(body.scene, beam, table, workers), 1)
    small = turned(small * np.float32(_HAZE / thickness_mm), exposure.side)
    return enlarged(small, _HAZE_PIXELS)


def _structure(rng: np.random.Generator) -> Floats:
    """Fibres and noise over a whole plane, in stored values."""
    tile, turn = noise_tile(rng)
    tile = tile * np.float32(_NOISE) + np.roll(texture()[rng.integers(2)], turn[0], axis=1) * np.float32(_FIBRES)
    down, across = -(-PLANE_ROWS // TILE), -(-PLANE_COLUMNS // TILE)
    whole = np.roll(np.tile(tile[:, :TILE], (down, across)), turn, axis=(0, 1))
    return np.asarray(whole[:PLANE_ROWS, :PLANE_COLUMNS])
