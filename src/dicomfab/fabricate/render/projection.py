"""X-ray projection: rays through a body onto a digital detector, and what is shown of its signal.

Radiographs, mammograms and fluoroscopy share this. Rays are parallel, so sizes on the detector are those in the body.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.anatomy.scene import Grid, Scene
from dicomfab.fabricate.render import xray
from dicomfab.fabricate.render.batches import in_order
from dicomfab.fabricate.render.kernels import ray_sums
from dicomfab.fabricate.render.noise import TILE

RAW_BITS: Final = 14
_COARSE: Final = 8
_BATCH_ROWS: Final = 24
_BAND_ROWS: Final = 200
_TONE_STEPS: Final = 4096

Floats = NDArray[np.float32]
Raw = NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Beam:
    """Parallel rays along an axis of the body.

    Args:
        along: the axis; ``x`` and ``y`` give images with z upright, ``z`` images with y downwards.
        rows: of the detector, a multiple of ``ray_pixels``.
        columns: of the detector, likewise.
        pixel_mm: of the detector.
        left_mm: x of the outer edge of the first column, or y if the rays run along x.
        top_mm: z of the outer edge of the first row, from which z falls; y, which rises, if the rays run along z.
        near_mm: where the rays begin, on their axis.
        far_mm: where they end.
        step_mm: along a ray.
        ray_pixels: from ray to ray, 1, 2, 4 or 8; the detector interpolates between them.
    """

    along: Literal["x", "y", "z"]
    rows: int
    columns: int
    pixel_mm: float
    left_mm: float
    top_mm: float
    near_mm: float
    far_mm: float
    step_mm: float = 2.0
    ray_pixels: int = 2

    @property
    def ray_mm(self) -> float:
        """From ray to ray."""
        return self.ray_pixels * self.pixel_mm


@dataclass(frozen=True, slots=True)
class Detector:
    """How a detector answers to radiation.

    Args:
        quanta: that would reach each element in the open beam; 16383 are counted at most.
        scatter: share of the local mean intensity that reaches it as scatter, behind the grid if there is one.
        glare: further share of the open beam everywhere.
        reach: of the scatter, in coarse pixels of eight elements.
    """

    quanta: float
    scatter: float
    glare: float
    reach: int


@dataclass(frozen=True, slots=True)
class Processing:
    """How the logarithm of a signal is made a picture.

    Args:
        coarse: weight of structures wider than ``coarse_radius``, in coarse pixels of eight elements.
        fine: weight of structures narrower than ``fine_radius``.
        coarse_radius: see there; three box blurs of this radius.
        fine_radius: see there.
        percentiles: of the picture, that become ``ends``.
        ends: stored values.
        contrast: of an S-shaped tone curve; 0 is straight.
        bits: stored.
    """

    coarse: float = 0.62
    fine: float = 1.35
    coarse_radius: int = 12
    fine_radius: int = 2
    percentiles: tuple[float, float] = (4.0, 99.7)
    ends: tuple[float, float] = (150.0, 3900.0)
    contrast: float = 0.0
    bits: int = 12


def path_sums(scene: Scene, beam: Beam, table: NDArray[np.int32], workers: int) -> Floats:
    """Attenuation along each ray.

    Args:
        scene: the body.
        beam: the rays.
        table: attenuation per label and mm, in units of 1e-6, see :func:`~.anatomy.tissue.attenuation_table`.
        workers: threads; the result does not depend on it.

    Returns:
        (rows, columns) of the detector, each divided by ``ray_pixels``.
    """
    rows, columns = beam.rows // beam.ray_pixels, beam.columns // beam.ray_pixels
    steps = round((beam.far_mm - beam.near_mm) / beam.step_mm)
    each = np.rint(table * beam.step_mm).astype(np.int32)

    def batch(first: int, end: int) -> NDArray[np.int32]:
        return _sums(scene, beam, each, (first, end, columns, steps))

    parts = list(in_order(batch, rows, _BATCH_ROWS, workers))
    sums = np.concatenate(parts).astype(np.float32) * np.float32(1e-6)
    return sums if beam.along == "z" else _settled(sums)


def _settled(sums: Floats) -> Floats:
    """Each row with its neighbours, whose rays begin at other fractions of a step: the errors of steps cancel."""
    padded = np.pad(sums, [(1, 1), (0, 0)], mode="edge")
    return np.asarray((padded[:-2] + padded[1:-1] + padded[2:]) * np.float32(1 / 3))


def _sums(scene: Scene, beam: Beam, table: NDArray[np.int32], size: tuple[int, int, int, int]) -> NDArray[np.int32]:
    first, end, columns, steps = size
    ray = beam.ray_mm
    left, start = beam.left_mm + ray / 2, beam.near_mm + beam.step_mm / 2
    if beam.along == "z":
        sums = np.zeros((end - first, columns), np.int32)
        top = beam.top_mm + (first + 0.5) * ray
        # The planes lie along the ray: each is shifted by another fraction, so that steps do not show.
        grid = Grid((left, top, start), (ray, ray, beam.step_mm), (steps, end - first, columns), jitter=0)
        xray.add_planes(scene.voxels(grid), table, sums)
        return sums
    z = beam.top_mm - (first + 0.5) * ray
    origin, spacing = (left, start, z), (ray, beam.step_mm, -ray)
    if beam.along == "x":
        origin, spacing = (start, left, z), (beam.step_mm, ray, -ray)
    grid = Grid(origin, spacing, (end - first, steps, columns), jitter=first, swap_xy=beam.along == "x")
    sums = np.empty((end - first, columns), np.int32)
    ray_sums(scene.voxels(grid), table, sums)
    return sums


def exposed(path: Floats, detector: Detector, ray_pixels: int, seed: int, workers: int) -> Raw:
    """The raw image of a detector: counts, proportional to the intensity.

    Args:
        path: attenuation for each ray, see :func:`path_sums`.
        detector: what counts.
        ray_pixels: from ray to ray, see :class:`Beam`.
        seed: of the noise.
        workers: threads; the result does not depend on it.

    Returns:
        ``ray_pixels`` times the rows and columns of ``path``, 14 bits.
    """
    primary = np.exp(-path)
    shape = (path.shape[0] * ray_pixels, path.shape[1] * ray_pixels)
    small = means(primary, _COARSE // ray_pixels)
    scatter = blurred(small, detector.reach) * np.float32(detector.scatter) + np.float32(detector.glare)
    rng = np.random.default_rng(seed)
    tile = grain()[rng.integers(len(grain()))]
    turns = rng.integers(TILE, size=(shape[0] // TILE + 1, 2))
    out = np.empty(shape, np.uint16)

    def band(first: int, end: int) -> None:
        xray.expose(primary, scatter, tile, turns, detector.quanta, ray_pixels, first, out[first:end])

    _in_bands(band, shape[0], workers)
    return out


def presented(raw: Raw, processing: Processing, workers: int) -> NDArray[np.uint16]:
    """A picture for presentation: dense tissue is bright (MONOCHROME2).

    Args:
        raw: counts.
        processing: how it is made.
        workers: threads; the result does not depend on it.
    """
    curve = -np.log(np.maximum(np.arange(1 << RAW_BITS, dtype=np.float32), np.float32(1.0)))
    small = coarse_signal(raw, curve, workers)
    base, detail = blurred(small, processing.coarse_radius), blurred(small, processing.fine_radius)
    # middle + (base - middle) * coarse + (detail - base) + (signal - detail) * fine, with the middle left out.
    lows, highs = base * np.float32(processing.coarse - 1.0), detail * np.float32(1.0 - processing.fine)
    picture = small * np.float32(processing.fine) + lows + highs
    low, high = (float(value) for value in np.percentile(picture, processing.percentiles))
    tone, start, step = _tone(processing, low, high)
    return processed(raw, curve * np.float32(processing.fine), (lows, highs), (tone, start, step), workers)


def processed(
    raw: Raw, curve: Floats, parts: tuple[Floats, Floats], tone: tuple[NDArray[np.uint16], float, float], workers: int
) -> NDArray[np.uint16]:
    """A curve's values and two coarse images added, through a tone curve.

    Args:
        raw: counts.
        curve: value for each count.
        parts: images of an eighth of the rows and columns.
        tone: stored values, the sum at the first of them, and from one to the next.
        workers: threads.
    """
    out = np.empty(raw.shape, np.uint16)
    values, low, step = tone

    def band(first: int, end: int) -> None:
        xray.process(raw, curve, *parts, values, low, step, first, out[first:end])

    _in_bands(band, raw.shape[0], workers)
    return out


def coarse_signal(raw: Raw, curve: Floats, workers: int) -> Floats:
    """Means of a curve's values over 8 x 8 elements."""
    rows, columns = (size // _COARSE for size in raw.shape)
    out = np.empty((rows, columns), np.float32)

    def band(first: int, end: int) -> None:
        xray.reduce(raw[first * _COARSE : end * _COARSE], curve, out[first:end])

    _in_bands(band, rows, workers)
    return out


def enlarged(small: Floats, scale: int) -> Floats:
    """Bilinear, to ``scale`` times the rows and columns; ``scale`` is even."""
    out = np.empty((small.shape[0] * scale, small.shape[1] * scale), np.float32)
    line = np.empty(small.shape[1] + 2, np.float32)
    for j in range(len(out)):
        xray.lifted(small, (j + 0.5) / scale - 0.5, line)
        xray.widened(line, scale, out[j])
    return out


def means(image: Floats, size: int) -> Floats:
    """Means over squares; what is left over at the far edges is not used."""
    rows, columns = (edge // size for edge in image.shape)
    squares = image[: rows * size, : columns * size].reshape(rows, size, columns, size)
    result: Floats = squares.mean(axis=(1, 3), dtype=np.float32)
    return result


def blurred(image: Floats, radius: int) -> Floats:
    """Three box blurs in each direction, close to a Gaussian."""
    result = image.astype(np.float64)
    for axis in (0, 1):
        for _ in range(3):
            pads = [(radius + 1, radius) if axis == n else (0, 0) for n in (0, 1)]
            sums = np.cumsum(np.pad(result, pads, mode="edge"), axis=axis)
            count, width = result.shape[axis], 2 * radius + 1
            result = (np.take(sums, range(width, count + width), axis) - np.take(sums, range(count), axis)) / width
    return result.astype(np.float32)


def _tone(processing: Processing, low: float, high: float) -> tuple[NDArray[np.uint16], float, float]:
    """The tone curve: stored values, the picture's value at the first, and from one to the next."""
    bottom, top = processing.ends
    largest = (1 << processing.bits) - 1
    slope = (high - low) / (top - bottom)
    start, end = low - bottom * slope, low + (largest - bottom) * slope
    x = np.linspace(0.0, 1.0, _TONE_STEPS)
    if processing.contrast:
        bend = np.tanh(processing.contrast * (x - 0.5)) / np.tanh(processing.contrast * 0.5)
        x = 0.5 + 0.5 * bend
    return np.rint(x * largest).astype(np.uint16), start, (end - start) / (_TONE_STEPS - 1)


def _in_bands(work: Callable[[int, int], None], rows: int, workers: int) -> None:
    for _ in in_order(work, rows, _BAND_ROWS, workers):
        pass


@cache
def grain() -> Floats:
    """Quantum noise as a scintillator blurs it a little, unit variance: (4, 512, 1024), each tile twice."""
    frequency = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None, :])
    rng = np.random.default_rng(303)
    bank = np.empty((4, TILE, 2 * TILE), np.float32)
    for n in range(len(bank)):
        tile = np.fft.irfft2(
            np.fft.rfft2(rng.standard_normal((TILE, TILE))) / (1 + (frequency / 0.4) ** 2), s=(TILE,) * 2
        )
        bank[n] = np.tile(tile / tile.std(), 2)
    return bank
