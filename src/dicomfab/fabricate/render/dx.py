"""Chest radiographs: the ray sums of a body, with scatter, quantum noise and the processing of a digital detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.anatomy.scene import Grid, Scene
from dicomfab.fabricate.anatomy.tissue import attenuation_table
from dicomfab.fabricate.render import noise
from dicomfab.fabricate.render.batches import in_order
from dicomfab.fabricate.render.kernels import ray_sums
from dicomfab.fabricate.render.marks import SYNTHETIC, stamp, text_mask
from dicomfab.fabricate.seeds import derive

PIXEL_MM: Final = 0.175
MAX_VALUE: Final = 4095
_FINE_MM: Final = 2 * PIXEL_MM  # rays are this far apart; the detector interpolates between them
_STEP_MM: Final = 2.0  # along a ray
_BATCH: Final = 24

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class View:
    """A projection.

    Args:
        name: ``pa`` (seen with the patient's left on the image's right) or ``lateral`` (left side at the detector,
            patient facing the image's left).
        rows: of the image, at 0.175 mm.
        columns: of the image.
        top_z_mm: patient z of the upper edge.
        centre_y_mm: patient y of the image's middle column, for the lateral view.
    """

    name: Literal["pa", "lateral"]
    rows: int
    columns: int
    top_z_mm: float
    centre_y_mm: float = 0.0


PA: Final = View("pa", rows=2000, columns=2400, top_z_mm=182.0)
LATERAL: Final = View("lateral", rows=2400, columns=2000, top_z_mm=215.0, centre_y_mm=10.0)


def radiograph(scene: Scene, view: View, seed: int, workers: int) -> NDArray[np.uint16]:
    """Render one view.

    Returns:
        (rows, columns), 12 bits, dense tissue bright (MONOCHROME2).
    """
    thickness = _upsampled(_projection(scene, view, workers))
    rng = np.random.default_rng(derive(seed, "dx-noise", view.name))
    signal = _detected(thickness, rng)
    pixels = _presented(signal)
    mark = text_mask(SYNTHETIC, 40)
    stamp(pixels, mark, 24, 24, MAX_VALUE)
    if view.name == "pa":
        stamp(pixels, text_mask("R", 96), 330, 40, MAX_VALUE)
    return pixels


def _projection(scene: Scene, view: View, workers: int) -> Floats:
    """Attenuation along each ray, on the fine grid: half the rows and columns of the image."""
    rows, columns = view.rows // 2, view.columns // 2
    along_x = view.name == "lateral"
    depth_mm = 460.0 if along_x else 320.0
    steps = int(depth_mm / _STEP_MM)
    shift = view.centre_y_mm if along_x else 0.0
    left = shift + (_FINE_MM - columns * _FINE_MM) / 2
    table = (attenuation_table() * _STEP_MM).astype(np.int32)

    def batch(first: int, end: int) -> NDArray[np.int32]:
        z = view.top_z_mm - (first + 0.5) * _FINE_MM
        origin, spacing = (left, -depth_mm / 2, z), (_FINE_MM, _STEP_MM, -_FINE_MM)
        if along_x:
            origin, spacing = (origin[1], origin[0], z), (spacing[1], spacing[0], spacing[2])
        grid = Grid(origin, spacing, (end - first, steps, columns), jitter=first, swap_xy=along_x)
        sums = np.empty((end - first, columns), np.int32)
        ray_sums(scene.voxels(grid), table, sums)
        return sums

    return np.concatenate(list(in_order(batch, rows, _BATCH, workers))).astype(np.float32) * np.float32(1e-6)


def _upsampled(fine: Floats) -> Floats:
    """Twice the rows and columns, each new value between its neighbours (and so slightly blurred)."""
    for axis in (0, 1):
        edge = np.pad(fine, [(1, 1) if axis == n else (0, 0) for n in (0, 1)], mode="edge")
        before, here, after = (np.take(edge, range(k, k + fine.shape[axis]), axis) for k in (0, 1, 2))
        pair = np.stack([before * 0.25 + here * 0.75, here * 0.75 + after * 0.25], axis=axis + 1)
        shape = [size * 2 if axis == n else size for n, size in enumerate(fine.shape)]
        fine = pair.reshape(shape).astype(np.float32)
    return fine


def _detected(thickness: Floats, rng: np.random.Generator) -> Floats:
    """The logarithm of what reaches the detector: primary beam, scatter behind the grid, quantum noise."""
    primary = np.exp(-thickness)
    scatter = _enlarged(_blurred(_reduced(primary), 14), primary.shape) * np.float32(0.10) + np.float32(0.0015)
    counts = (primary + scatter) * np.float32(9000.0)
    rows, columns = counts.shape
    tiles = noise.scanner_noise()
    grain = np.tile(
        tiles[rng.integers(len(tiles)), :, : noise.TILE], (-(-rows // noise.TILE), -(-columns // noise.TILE))
    )
    turn = rng.integers(noise.TILE, size=2)
    grain = np.roll(grain, turn, axis=(0, 1))[:rows, :columns]
    counts += grain * np.sqrt(counts)
    return np.asarray(-np.log(np.maximum(counts, np.float32(1.0))))


def _presented(signal: Floats) -> NDArray[np.uint16]:
    """Processing for presentation: large differences are compressed, edges enhanced, then 12 bits."""
    small = _reduced(signal)
    coarse = _enlarged(_blurred(small, 12), signal.shape)
    fine = _enlarged(_blurred(small, 2), signal.shape)
    middle = np.float32(np.median(small))
    image = middle + (coarse - middle) * np.float32(0.62) + (fine - coarse) + (signal - fine) * np.float32(1.35)
    low, high = np.percentile(image[::8, ::8], (4.0, 99.7))
    scaled = (image - np.float32(low)) * np.float32(3750.0 / (high - low)) + np.float32(150.0)
    return np.asarray(np.clip(scaled, 0, MAX_VALUE), np.uint16)


def _reduced(image: Floats) -> Floats:
    """Means over 8 x 8 pixels."""
    rows, columns = (size // 8 for size in image.shape)
    means: Floats = image[: rows * 8, : columns * 8].reshape(rows, 8, columns, 8).mean(axis=(1, 3), dtype=np.float32)
    return means


def _enlarged(small: Floats, shape: tuple[int, ...]) -> Floats:
    """Bilinear, to the shape of the full image."""
    for _ in range(3):
        small = _upsampled(small)
    return np.pad(small, [(0, full - size) for full, size in zip(shape, small.shape, strict=True)], mode="edge")


def _blurred(image: Floats, radius: int) -> Floats:
    """Three box blurs in each direction, close to a Gaussian."""
    result = image.astype(np.float64)
    for axis in (0, 1):
        for _ in range(3):
            pads = [(radius + 1, radius) if axis == n else (0, 0) for n in (0, 1)]
            sums = np.cumsum(np.pad(result, pads, mode="edge"), axis=axis)
            count = result.shape[axis]
            low, high = (
                np.take(sums, range(count), axis),
                np.take(sums, range(2 * radius + 1, count + 2 * radius + 1), axis),
            )
            result = (high - low) / (2 * radius + 1)
    return result.astype(np.float32)
