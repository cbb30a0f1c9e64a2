"""Periodic noise at any place, for pictures that are worked out pixel by pixel."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.jit import kernel
from dicomfab.fabricate.render import noise


@lru_cache(maxsize=1)
def tiles() -> NDArray[np.float32]:
    """(2, 512, 512) of unit variance; each clump is some 15 pixels wide, with finer ones in it."""
    return np.ascontiguousarray(noise.texture()[:, :, : noise.TILE])


@kernel
def between(tile: NDArray[np.float32], x: float, y: float) -> float:
    """A tile at a place between its pixels, in pixels; it goes on beyond its edges."""
    i, j = math.floor(x), math.floor(y)
    a, b = x - i, y - j
    i0, j0, i1, j1 = int(i) & 511, int(j) & 511, (int(i) + 1) & 511, (int(j) + 1) & 511
    above = tile[j0, i0] * (1 - a) + tile[j0, i1] * a
    return float(above * (1 - b) + (tile[j1, i0] * (1 - a) + tile[j1, i1] * a) * b)
