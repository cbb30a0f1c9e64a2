"""Noise that shapes are folded and broken up with: made once, by additions only, so that it is the same everywhere."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.seeds import derive

CELLS: Final = 64  # along each side of the periodic cube; a power of two
WAVE_CELLS: Final = 13.0  # from one crest to the next, roughly

Cube = NDArray[np.float64]


@lru_cache(maxsize=1)
def fields() -> NDArray[np.float32]:
    """Two periodic cubes, (2, CELLS, CELLS, CELLS) by z, y, x.

    The first is band-limited noise of unit variance. The second is the signed distance, in cells, to the surface on
    which the first is zero: winding sheets about half a wave apart.
    """
    rng = np.random.default_rng(derive(0, "anatomy-noise"))
    white = rng.standard_normal((CELLS,) * 3)
    noise = _blurred(white, 1) - _blurred(white, 4)
    noise /= np.sqrt(np.mean(noise * noise))
    slope = np.sqrt(sum((np.roll(noise, -1, axis) - np.roll(noise, 1, axis)) ** 2 / 4 for axis in range(3)))
    # The floor keeps sheets thin where the noise is flat.
    distance = noise / np.maximum(slope, 0.45 * np.mean(slope))
    return np.stack([noise, distance]).astype(np.float32)


def _blurred(cube: Cube, radius: int) -> Cube:
    """Three box means along each side."""
    for axis in range(3):
        for _ in range(3):
            cube = np.sum([np.roll(cube, step, axis) for step in range(-radius, radius + 1)], axis=0)
            cube /= 2 * radius + 1
    return cube
