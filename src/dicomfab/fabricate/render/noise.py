"""Banks of periodic noise, made once per process; images take tiles of them at drawn offsets.

Each tile repeats after 512 rows and columns, and holds its columns twice, so that any 512 of them lie together.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

TILE = 512
GRAIN = 28.0  # a standard deviation, in the bytes of scanner_grain and texture_grain


@cache
def scanner_noise() -> NDArray[np.float32]:
    """CT noise, unit variance, with the ramp-shaped power spectrum of filtered back projection: (8, 512, 1024)."""
    frequency = _frequencies()
    return _bank(8, 101, frequency * np.exp(-((frequency / 0.27) ** 4)))


@cache
def scanner_grain() -> NDArray[np.int8]:
    """The same CT noise in bytes, 28 to a standard deviation, so that it stays in the processor's cache."""
    return _bytes(scanner_noise())


@cache
def receiver_noise() -> NDArray[np.float32]:
    """MR noise, unit variance, white within the frequencies that are acquired: (6, 512, 1024)."""
    return _bank(6, 303, np.exp(-((_frequencies() / 0.36) ** 8)))


@cache
def texture() -> NDArray[np.float32]:
    """Tissue structure, unit variance, over some millimetres: (2, 512, 1024)."""
    frequency = _frequencies()
    fine, coarse = np.exp(-((frequency / 0.11) ** 2)), np.exp(-((frequency / 0.03) ** 2))
    return _bank(2, 202, 0.35 * fine + coarse)


@cache
def texture_grain() -> NDArray[np.int8]:
    """The same tissue structure in bytes, 28 to a standard deviation."""
    return _bytes(texture())


def _bytes(bank: NDArray[np.float32]) -> NDArray[np.int8]:
    return np.asarray(np.clip(np.rint(bank * np.float32(GRAIN)), -127, 127), np.int8)


def _frequencies() -> NDArray[np.float64]:
    rows, columns = np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None, :]
    return np.asarray(np.hypot(rows, columns))


def _bank(count: int, seed: int, weight: NDArray[np.float64]) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    bank = np.empty((count, TILE, 2 * TILE), np.float32)
    for n in range(count):
        spectrum = np.fft.rfft2(rng.standard_normal((TILE, TILE))) * weight
        spectrum[0, 0] = 0
        tile = np.fft.irfft2(spectrum, s=(TILE, TILE))
        bank[n] = np.tile(tile / tile.std(), 2)
    return bank
