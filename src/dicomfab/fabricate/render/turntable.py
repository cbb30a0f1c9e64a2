"""A body on a turntable, as 3D workstations show it: surfaces of bone and vessels, or the brightest voxels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.anatomy.scene import Grid, Scene
from dicomfab.fabricate.anatomy.tissue import LABEL_COUNT, Tissue, hu_table
from dicomfab.fabricate.jit import kernel
from dicomfab.fabricate.render.batches import in_order
from dicomfab.fabricate.render.marks import SYNTHETIC, blend, text_mask

SIZE: Final = 512
PIXEL_MM: Final = 0.75
_VOXEL_MM: Final = 1.5
_CORNER_MM: Final = (-190.5, -165.0, -165.0)
_SHAPE: Final = (220, 210, 255)  # z, y, x
_ISO: Final = 110.0
_BONE, _BLOOD, _KIDNEY = (236, 222, 190), (196, 52, 40), (176, 84, 60)

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


def surfaces(scene: Scene, first: int, count: int, turn: int, workers: int) -> Iterator[Bytes]:
    """Shaded surfaces of bones and of what contrast medium fills.

    Args:
        scene: the body, of a chest.
        first: number of the first picture.
        count: pictures.
        turn: pictures in a whole turn; number 0 is seen from the front.
        workers: threads; the result does not depend on it.

    Yields:
        (512, 512, 3).
    """
    labels = _labels(scene)
    opacity, paint = _appearance()
    solid = np.empty(_SHAPE, np.float32)
    _blurred(labels, opacity, solid)
    mark = text_mask(SYNTHETIC, 18)

    def batch(index: int, _end: int) -> Bytes:
        out = np.zeros((SIZE, SIZE, 3), np.uint8)
        forward = _forward(first + index, turn)
        _shade(solid, labels, paint, np.array(forward, np.float32), _pixel_voxels(), _ISO, out)
        blend(out, mark, -8, 8, (235, 235, 235))
        return out

    yield from in_order(batch, count, 1, workers)


def brightest(scene: Scene, count: int, workers: int) -> Iterator[Bytes]:
    """Maximum intensity projections (MIP) over one whole turn.

    Args:
        scene: the body, of a chest.
        count: pictures.
        workers: threads; the result does not depend on it.

    Yields:
        (512, 512), 8 bits.
    """
    grey = np.clip((hu_table() + 40) * (255 / 560), 0, 255).astype(np.float32)
    grey[[Tissue.COUCH, Tissue.COUCH_FOAM]] = 0
    volume = np.empty(_SHAPE, np.float32)
    _blurred(_labels(scene), grey, volume)
    mark = text_mask(SYNTHETIC, 18)

    def batch(index: int, _end: int) -> Bytes:
        out = np.zeros((SIZE, SIZE), np.uint8)
        _mip(volume, np.array(_forward(index, count), np.float32), _pixel_voxels(), out)
        blend(out, mark, -8, 8, (235,))
        return out

    yield from in_order(batch, count, 1, workers)


def _labels(scene: Scene) -> Bytes:
    return scene.voxels(Grid(_CORNER_MM, (_VOXEL_MM,) * 3, _SHAPE))


def _appearance() -> tuple[Floats, Bytes]:
    opacity, paint = np.zeros(LABEL_COUNT, np.float32), np.zeros((LABEL_COUNT, 3), np.uint8)
    bone = (Tissue.BONE, Tissue.MARROW, Tissue.CARTILAGE, Tissue.DISC, Tissue.COMPACT_BONE)
    looks = {_BONE: bone, _BLOOD: (Tissue.BLOOD,), _KIDNEY: (Tissue.KIDNEY, Tissue.RENAL_MEDULLA)}
    for colour, tissues in looks.items():
        for tissue in tissues:
            opacity[tissue], paint[tissue] = 255, colour
    return opacity, paint


def _forward(index: int, turn: int) -> tuple[float, float]:
    angle = 2 * math.pi * index / turn
    return -math.sin(angle), math.cos(angle)


def _pixel_voxels() -> float:
    return PIXEL_MM / _VOXEL_MM


@kernel
def _blurred(labels: Bytes, table: Floats, out: Floats) -> None:
    """What a table says of each label, after one binomial pass along each axis, so that surfaces have normals.

    Args:
        labels: (z, y, x).
        table: a value for each label.
        out: (z, y, x).
    """
    none, quarter, half = np.float32(0), np.float32(0.25), np.float32(0.5)
    nz, ny, nx = labels.shape
    plane, line = np.zeros((ny + 2, nx), np.float32), np.zeros(nx + 2, np.float32)
    for k in range(nz):
        above, below = max(k - 1, 0), min(k + 1, nz - 1)
        first, last = quarter if k > 0 else none, quarter if k < nz - 1 else none
        for j in range(ny):
            for i in range(nx):
                value = half * table[labels[k, j, i]] + first * table[labels[above, j, i]]
                plane[j + 1, i] = value + last * table[labels[below, j, i]]
        for j in range(ny):
            for i in range(nx):
                line[i + 1] = half * plane[j + 1, i] + quarter * plane[j, i] + quarter * plane[j + 2, i]
            for i in range(nx):
                out[k, j, i] = half * line[i + 1] + quarter * line[i] + quarter * line[i + 2]


@kernel
def _at(volume: Floats, x: float, y: float, z: float) -> float:
    """Between voxels, in voxels; nothing outside."""
    nz, ny, nx = volume.shape
    if x < 0 or y < 0 or z < 0 or x >= nx - 1 or y >= ny - 1 or z >= nz - 1:
        return 0.0
    i, j, k = int(x), int(y), int(z)
    a, b, c = x - i, y - j, z - k
    near, far = volume[k], volume[k + 1]
    low = (near[j, i] * (1 - a) + near[j, i + 1] * a) * (1 - b) + (
        near[j + 1, i] * (1 - a) + near[j + 1, i + 1] * a
    ) * b
    top = (far[j, i] * (1 - a) + far[j, i + 1] * a) * (1 - b) + (far[j + 1, i] * (1 - a) + far[j + 1, i + 1] * a) * b
    return float(low * (1 - c) + top * c)


@kernel
def _plane(volume: Floats, z: float, out: Floats) -> float:
    """The plane at a height between voxels, and the largest value in it."""
    k = min(max(int(z), 0), volume.shape[0] - 2)
    part = np.float32(min(max(z - k, 0.0), 1.0))
    highest = np.float32(0)
    for j in range(out.shape[0]):
        for i in range(out.shape[1]):
            value = volume[k, j, i] * (np.float32(1) - part) + volume[k + 1, j, i] * part
            out[j, i] = value
            highest = max(highest, value)
    return float(highest)


@kernel
def _between(plane: Floats, x: float, y: float) -> float:
    """Between the pixels of a plane; x and y lie inside."""
    i, j = int(x), int(y)
    a, b = x - i, y - j
    above = plane[j, i] * (1 - a) + plane[j, i + 1] * a
    return float(above * (1 - b) + (plane[j + 1, i] * (1 - a) + plane[j + 1, i + 1] * a) * b)


@kernel
def _span(x0: float, y0: float, fx: float, fy: float, nx: int, ny: int) -> tuple[int, int]:
    """The first and last whole step of a ray inside a plane, one pixel from its edge."""
    low, high = -1e9, 1e9
    for start, slope, size in ((x0, fx, nx), (y0, fy, ny)):
        if abs(slope) < 1e-6:
            if start < 2 or start > size - 3:
                return 0, -1
            continue
        one, other = (2 - start) / slope, (size - 3 - start) / slope
        low, high = max(low, min(one, other)), min(high, max(one, other))
    return int(math.ceil(low)), int(math.floor(high))


@kernel
def _shade(solid: Floats, labels: Bytes, paint: Bytes, forward: Floats, pixel: float, iso: float, out: Bytes) -> None:
    """The first surface on each ray, lit from the viewer's upper left."""
    nz, ny, nx = solid.shape
    rows, columns, _ = out.shape
    fx, fy = float(forward[0]), float(forward[1])
    plane = np.empty((ny, nx), np.float32)
    for row in range(rows):
        z = nz / 2 - (row - rows / 2) * pixel
        if z < 2 or z >= nz - 3 or _plane(solid, z, plane) < iso:
            continue
        for column in range(columns):
            # From the front, the patient's right side is on the left.
            u = (column - columns / 2) * pixel
            x0, y0 = nx / 2 + u * fy, ny / 2 - u * fx
            first, last = _span(x0, y0, fx, fy, nx, ny)
            for step in range(first, last + 1):
                if plane[int(y0 + step * fy + 0.5), int(x0 + step * fx + 0.5)] < iso:
                    continue
                low, high = step - 1.0, float(step)
                for _ in range(5):
                    middle = (low + high) / 2
                    if _between(plane, x0 + middle * fx, y0 + middle * fy) < iso:
                        low = middle
                    else:
                        high = middle
                _light(solid, labels, paint, x0 + high * fx, y0 + high * fy, z, fx, fy, high, out[row, column])
                break


@kernel
def _light(
    solid: Floats,
    labels: Bytes,
    paint: Bytes,
    x: float,
    y: float,
    z: float,
    fx: float,
    fy: float,
    depth: float,
    out: Bytes,
) -> None:
    """One pixel of a surface at x, y, z."""
    gx = _at(solid, x - 1, y, z) - _at(solid, x + 1, y, z)
    gy = _at(solid, x, y - 1, z) - _at(solid, x, y + 1, z)
    gz = _at(solid, x, y, z - 1) - _at(solid, x, y, z + 1)
    length = math.sqrt(gx * gx + gy * gy + gz * gz) + 1e-6
    # Towards the light: back along the ray, to the left and up.
    ahead, left = -(gx * fx + gy * fy) / length, -(gx * fy - gy * fx) / length
    light = max(0.82 * ahead + 0.35 * left + 0.45 * gz / length, 0.0)
    nearness = min(max(1.0 - 0.004 * (depth + 60.0), 0.35), 1.0)
    level = (0.16 + 0.84 * light) * nearness
    shine = light**24 * 50 * nearness
    label = 0
    for deeper in range(5):
        label = labels[int(z + 0.5), int(y + deeper * 0.6 * fy + 0.5), int(x + deeper * 0.6 * fx + 0.5)]
        if paint[label, 0] > 0:
            break
    for sample in range(3):
        tone = float(paint[label, sample]) if paint[label, 0] > 0 else 200.0
        out[sample] = np.uint8(min(255.0, tone * level + shine))


@kernel
def _mip(volume: Floats, forward: Floats, pixel: float, out: Bytes) -> None:
    """The largest value on each ray; values between pixels are worked out only where they could be larger."""
    nz, ny, nx = volume.shape
    rows, columns = out.shape
    fx, fy = float(forward[0]), float(forward[1])
    plane = np.empty((ny, nx), np.float32)
    for row in range(rows):
        z = nz / 2 - (row - rows / 2) * pixel
        if z < 0 or z >= nz - 1 or _plane(volume, z, plane) < 1:
            continue
        for column in range(columns):
            u = (column - columns / 2) * pixel
            x0, y0 = nx / 2 + u * fy, ny / 2 - u * fx
            first, last = _span(x0, y0, fx, fy, nx, ny)
            best = 0.0
            for step in range(first, last + 1):
                x, y = x0 + step * fx, y0 + step * fy
                if plane[int(y + 0.5), int(x + 0.5)] > best:
                    best = max(best, _between(plane, x, y))
            out[row, column] = np.uint8(best)
