"""Magnetic resonance slices of a body: spin echo signals, coil shading, blur and the noise of magnitude images."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.anatomy.scene import Scene
from dicomfab.fabricate.anatomy.tissue import LABEL_COUNT
from dicomfab.fabricate.render import noise
from dicomfab.fabricate.render.batches import in_order
from dicomfab.fabricate.render.marks import SYNTHETIC, stamp, text_mask
from dicomfab.fabricate.render.mr_kernels import blur, magnitude, mean_signal
from dicomfab.fabricate.render.planes import Stack
from dicomfab.fabricate.render.relaxation import SPINS, Spins
from dicomfab.fabricate.seeds import derive

MAX_VALUE: Final = 4095
MARK_VALUE: Final = 900
_SHEETS: Final = 3  # in a slice: what they average is partial volume
_KEPT: Final = 48  # slices, of half a megabyte each
_TEXTURE_PERIOD_MM: Final = 30.0
_ADC_FLOOR: Final = 120  # below this signal there is no tissue to measure diffusion in

Coil = Literal["head", "knee"]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sequence:
    """How spins are excited and read.

    Args:
        tr_ms: repetition time.
        te_ms: echo time.
        ti_ms: inversion time; 0 without an inversion pulse.
        fat_saturated: fat gives no signal.
        b_s_mm2: diffusion weighting.
        gain: stored value of a full signal.
        noise: standard deviation of the noise, in stored values.
        blur_px: standard deviation of the point spread, in pixels.
    """

    tr_ms: float
    te_ms: float
    ti_ms: float = 0.0
    fat_saturated: bool = False
    b_s_mm2: float = 0.0
    gain: float = 2400.0
    noise: float = 14.0
    blur_px: float = 0.8

    def signal(self, spins: Spins) -> float:
        """Relative signal of a tissue."""
        recovered = 1.0 - math.exp(-self.tr_ms / spins.t1_ms)
        if self.ti_ms:
            recovered = abs(1.0 - 2.0 * math.exp(-self.ti_ms / spins.t1_ms) + math.exp(-self.tr_ms / spins.t1_ms))
        kept = math.exp(-self.te_ms / spins.t2_ms - self.b_s_mm2 * spins.adc_um2_ms * 1e-3)
        fat = 1.0 - 0.94 * spins.fat if self.fat_saturated else 1.0
        return spins.density * recovered * kept * fat


def slices(
    scene: Scene, stack: Stack, sequence: Sequence, coil: Coil, seed: int, workers: int
) -> Iterator[NDArray[np.uint16]]:
    """Render slices in order.

    Args:
        scene: the body.
        stack: where the slices lie.
        sequence: how they are acquired.
        coil: whose shading they have.
        seed: decides noise and shading.
        workers: threads; the result does not depend on it.

    Yields:
        (rows, columns) magnitudes, 12 bits.
    """
    render = _Renderer(scene, stack, coil, seed)

    def batch(index: int, _end: int) -> NDArray[np.uint16]:
        pixels = render.magnitudes(index, (sequence,))[0]
        _mark(pixels, MARK_VALUE)
        return pixels

    yield from in_order(batch, stack.count, 1, workers)


def diffusion(
    scene: Scene, stack: Stack, without: Sequence, weighted: Sequence, coil: Coil, seed: int, workers: int
) -> Iterator[NDArray[np.uint16]]:
    """Render maps of the apparent diffusion coefficient from two series that :func:`slices` also gives.

    Args:
        scene: the body.
        stack: where the slices lie.
        without: the sequence without diffusion weighting.
        weighted: the same with it.
        coil: whose shading the images have.
        seed: decides noise and shading.
        workers: threads; the result does not depend on it.

    Yields:
        (rows, columns) in 1e-6 mm2/s, 0 where there is no signal, 12 bits.
    """
    render = _Renderer(scene, stack, coil, seed)
    step = weighted.b_s_mm2 - without.b_s_mm2

    def batch(index: int, _end: int) -> NDArray[np.uint16]:
        plain, weak = (pixels.astype(np.float32) for pixels in render.magnitudes(index, (without, weighted)))
        ratio = np.log(np.maximum(plain, np.float32(1)) / np.maximum(weak, np.float32(1)))
        found = np.clip(ratio * np.float32(1e6 / step), 0, MAX_VALUE)
        pixels = np.where(plain > _ADC_FLOOR, found, np.float32(0)).astype(np.uint16)
        _mark(pixels, 2 * MARK_VALUE)
        return pixels

    yield from in_order(batch, stack.count, 1, workers)


class _Renderer:
    """What slices of one stack share."""

    def __init__(self, scene: Scene, stack: Stack, coil: Coil, seed: int) -> None:
        self._scene, self._stack, self._seed = scene, stack, seed
        self._shading = _shading(stack, coil, seed)
        self._still = derive(seed, "texture")

    def magnitudes(self, index: int, sequences: tuple[Sequence, ...]) -> list[NDArray[np.uint16]]:
        """One slice in each of the sequences."""
        labels = _labels(self._scene, self._stack, index)
        return [self._magnitude(labels, index, sequence) for sequence in sequences]

    def _magnitude(self, labels: NDArray[np.uint8], index: int, sequence: Sequence) -> NDArray[np.uint16]:
        shape = labels.shape[1:]
        signals, texture = _tables(sequence)
        angle = 2 * math.pi * self._stack.location_mm(index) / _TEXTURE_PERIOD_MM
        mix = np.array([math.cos(angle), math.sin(angle)], np.float32)
        still = np.array([self._still >> 9 & 511, self._still & 511])
        signal, scratch = np.empty(shape, np.float32), np.empty(shape, np.float32)
        tissue = noise.texture()
        mean_signal(labels, signals, texture, tissue[0], tissue[1], mix, still, signal)
        blur(signal, _weights(sequence.blur_px), scratch)
        draw = derive(self._seed, "mr-noise", sequence.te_ms, sequence.b_s_mm2, self._stack.plane, index)
        grain = noise.receiver_noise()
        first = draw >> 40
        real, imaginary = grain[first % len(grain)], grain[(first + 1 + (first >> 8) % (len(grain) - 1)) % len(grain)]
        out = np.empty(shape, np.uint16)
        shift = np.array([draw >> 9 & 511, draw & 511, draw >> 27 & 511, draw >> 18 & 511])
        magnitude(signal, self._shading, real, imaginary, shift, sequence.noise, out)
        return out


def _mark(pixels: NDArray[np.uint16], value: int) -> None:
    """Upright at the left edge: neither a head, whose nose may reach the upper one, nor a leg comes so far."""
    stamp(pixels, np.rot90(text_mask(SYNTHETIC, 12)), 90, 5, value)


@lru_cache(maxsize=_KEPT)
def _labels(scene: Scene, stack: Stack, index: int) -> NDArray[np.uint8]:
    """The sheets of a slice, (sheets, rows, columns), kept for the other sequences of an examination."""
    labels = scene.voxels(stack.grid(index, _SHEETS))
    return np.ascontiguousarray(labels if stack.plane == "axial" else labels.transpose(1, 0, 2))


def _tables(sequence: Sequence) -> tuple[Floats, Floats]:
    """Stored value and texture per label."""
    signals, texture = np.zeros(LABEL_COUNT, np.float32), np.zeros(LABEL_COUNT, np.float32)
    for tissue, spins in SPINS.items():
        signals[tissue] = sequence.gain * sequence.signal(spins)
        texture[tissue] = signals[tissue] * spins.texture
    return signals, texture


def _weights(blur_px: float) -> Floats:
    """The middle and one side of a Gaussian of seven pixels."""
    weights = np.exp(-0.5 * (np.arange(4) / blur_px) ** 2)
    return np.asarray(weights / (weights[0] + 2 * weights[1:].sum()), np.float32)


def _shading(stack: Stack, coil: Coil, seed: int) -> Floats:
    """How much stronger or weaker the receiver coil makes the signal: 1 on average, smooth, (rows, columns)."""
    rng = np.random.default_rng(derive(seed, "mr-shading", stack.plane))
    tilt = rng.normal(0.0, 0.05, 2)
    y, x = np.linspace(-1, 1, stack.rows)[:, None], np.linspace(-1, 1, stack.columns)[None, :]
    square = x * x + y * y
    bowl = 0.14 * square if coil == "head" else -0.22 * square * square
    wave = 0.02 * np.sin(2.1 * x + 5 * tilt[0]) * np.cos(1.7 * y + 5 * tilt[1])
    shading: Floats = (1.0 + bowl - bowl.mean() + tilt[0] * x + tilt[1] * y + wave).astype(np.float32)
    return shading
