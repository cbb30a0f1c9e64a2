"""The kernel that turns shapes into voxels."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.jit import kernel

ELLIPSOID, CAPSULE, TUBE, TEXTURED, FOLDED = 0, 1, 2, 3, 4
# Columns of a shape's parameters: 0-5 the bounding box (lowest x, y, z, highest x, y, z), then by kind
#   ELLIPSOID  6-8 centre, 9-14 the matrix xx, xy, xz, yy, yz, zz of the quadratic form (inside: < 1)
#              15 not 0: cut off outside the bounding box
#   CAPSULE    6-8 one end, 9-11 the other, 12-13 the two radii
#   TUBE       6 first row of the profile table, 7 number of rows, 8 growth in mm
#   TEXTURED   6-15 as ELLIPSOID; painted where the noise is above 16 + 17 * (0 at the centre, 1 at the surface),
#              18 phase of the noise, 19 cells of the noise per mm, 20 not 0: x and y are exchanged
#   FOLDED     6-15 as ELLIPSOID; not painted within 16 mm of sheets that run inwards from the surface to a depth
#              of 17 mm, 18-20 as TEXTURED
COLUMNS = 21
# Columns of the profile table: z, centre x, centre y, half width, half depth; rows by rising z, evenly spaced.

# The cross-section of a tube is a superellipse of this exponent: rounder than a box, squarer than an ellipse.
_EXPONENT = 2.35
_CURVE_STEPS = 4096


@kernel
def _ellipsoid_span(p: NDArray[np.float64], y: float, z: float) -> tuple[float, float]:
    dy, dz = y - p[7], z - p[8]
    half_b = p[10] * dy + p[11] * dz
    c = p[12] * dy * dy + 2 * p[13] * dy * dz + p[14] * dz * dz - 1.0
    under_root = half_b * half_b - p[9] * c
    if under_root <= 0.0:
        return 1.0, 0.0
    root = math.sqrt(under_root)
    return p[6] + (-half_b - root) / p[9], p[6] + (-half_b + root) / p[9]


@kernel
def _ball(r: float, off: float, x: float, low: float, high: float) -> tuple[float, float]:
    """Widen a span by that of a ball whose centre lies at x, the square root of ``off`` away from the row."""
    square = r * r - off
    if square > 0.0:
        w = math.sqrt(square)
        low, high = min(low, x - w), max(high, x + w)
    return low, high


@kernel
def _tube_span(row: NDArray[np.float64], growth: float, y: float, curve: NDArray[np.float64]) -> tuple[float, float]:
    a, b = row[2] + growth, row[3] + growth
    if a <= 0.0 or b <= 0.0:
        return 1.0, 0.0
    u = abs(y - row[1]) / b
    if u >= 1.0:
        return 1.0, 0.0
    place = u * (curve.size - 1)
    below = int(place)
    half = a * (curve[below] + (place - below) * (curve[below + 1] - curve[below]))
    return row[0] - half, row[0] + half


@kernel
def _profile_at(table: NDArray[np.float64], first: int, rows: int, z: float, out: NDArray[np.float64]) -> None:
    step = (table[first + rows - 1, 0] - table[first, 0]) / (rows - 1)
    place = (z - table[first, 0]) / step
    below = min(max(int(place), 0), rows - 2)
    part = place - below
    for column in range(4):
        low, high = table[first + below, column + 1], table[first + below + 1, column + 1]
        out[column] = low + part * (high - low)


@kernel
def _fill(part: NDArray[np.uint8], label: np.uint8, low: np.uint8, high: np.uint8) -> None:
    # Written as a choice between two values, and unconditionally stored, the loop runs on vector instructions.
    for i in range(part.size):
        old = part[i]
        part[i] = label if old >= low and old <= high else old


@kernel
def _fill_capsule(
    p: NDArray[np.float64],
    z: float,
    origin: tuple[float, float],
    spacing: tuple[float, float],
    j0: int,
    j1: int,
    label: NDArray[np.uint8],
    plane: NDArray[np.uint8],
) -> None:
    """Paint rows of a plane where a CAPSULE is: its two balls, and the cylinder between them with the mean radius."""
    dx, dy, dz = p[9] - p[6], p[10] - p[7], p[11] - p[8]
    square = dx * dx + dy * dy + dz * dz + 1e-12
    per_square, per_x = 1.0 / square, 1.0 / spacing[0]
    r = 0.5 * (p[12] + p[13])
    a = 1.0 - dx * dx * per_square
    per_a, per_dx = 1.0 / max(a, 1e-9), 1.0 / dx if abs(dx) > 1e-9 else 0.0
    za, zb = z - p[8], z - p[11]
    for j in range(j0, j1):
        y = origin[1] + j * spacing[1]
        ya, yb = y - p[7], y - p[10]
        low, high = _ball(p[12], ya * ya + za * za, p[6], 1e30, -1e30)
        low, high = _ball(p[13], yb * yb + zb * zb, p[9], low, high)
        along = ya * dy + za * dz
        b = -dx * along * per_square
        under_root = b * b - a * (ya * ya + za * za - along * along * per_square - r * r)
        if under_root > 0.0 and a >= 1e-9:
            root = math.sqrt(under_root)
            start, end = (-b - root) * per_a, (-b + root) * per_a
            if per_dx != 0.0:  # only between the planes through the ends
                end_a, end_b = -along * per_dx, (square - along) * per_dx
                start, end = max(start, min(end_a, end_b)), min(end, max(end_a, end_b))
            elif along < 0.0 or along > square:
                end = start
            if start < end:
                low, high = min(low, p[6] + start), max(high, p[6] + end)
        if low <= high:
            i0 = max(0, int(math.ceil((low - origin[0]) * per_x)))
            i1 = min(plane.shape[1], int(math.floor((high - origin[0]) * per_x)) + 1)
            if i0 < i1:
                _fill(plane[j, i0:i1], label[0], label[1], label[2])


@kernel
def _fill_ellipsoid(
    p: NDArray[np.float64],
    z: float,
    origin: tuple[float, float],
    spacing: tuple[float, float],
    j0: int,
    j1: int,
    label: NDArray[np.uint8],
    plane: NDArray[np.uint8],
) -> None:
    """Paint rows of a plane where an ELLIPSOID is."""
    dz = z - p[8]
    mixed, linear, constant = p[11] * dz, 2.0 * p[13] * dz, p[14] * dz * dz - 1.0
    per_a, per_x = 1.0 / p[9], 1.0 / spacing[0]
    for j in range(j0, j1):
        dy = origin[1] + j * spacing[1] - p[7]
        half_b = p[10] * dy + mixed
        under_root = half_b * half_b - p[9] * (p[12] * dy * dy + linear * dy + constant)
        if under_root <= 0.0:
            continue
        root = math.sqrt(under_root)
        low, high = p[6] - (half_b + root) * per_a, p[6] + (root - half_b) * per_a
        if p[15] != 0.0:
            low, high = max(low, p[0]), min(high, p[3])
        i0 = max(0, int(math.ceil((low - origin[0]) * per_x)))
        i1 = min(plane.shape[1], int(math.floor((high - origin[0]) * per_x)) + 1)
        if i0 < i1:
            _fill(plane[j, i0:i1], label[0], label[1], label[2])


@kernel
def _sample(cube: NDArray[np.float32], x: float, y: float, z: float) -> float:
    """Trilinear, periodic; x, y, z in cells."""
    size = cube.shape[0]
    floor_x, floor_y, floor_z = math.floor(x), math.floor(y), math.floor(z)
    fx, fy, fz = x - floor_x, y - floor_y, z - floor_z
    i, j, k = int(floor_x) & (size - 1), int(floor_y) & (size - 1), int(floor_z) & (size - 1)
    i1, j1, k1 = (i + 1) & (size - 1), (j + 1) & (size - 1), (k + 1) & (size - 1)
    a = cube[k, j, i] + fx * (cube[k, j, i1] - cube[k, j, i])
    b = cube[k, j1, i] + fx * (cube[k, j1, i1] - cube[k, j1, i])
    c = cube[k1, j, i] + fx * (cube[k1, j, i1] - cube[k1, j, i])
    d = cube[k1, j1, i] + fx * (cube[k1, j1, i1] - cube[k1, j1, i])
    a += fy * (b - a)
    c += fy * (d - c)
    return float(a + fz * (c - a))


@kernel
def _noisy(
    kind: int, p: NDArray[np.float64], fields: NDArray[np.float32], dx: float, dy: float, dz: float, square: float
) -> bool:
    """Whether a point inside a TEXTURED or FOLDED shape is painted."""
    cells, phase = p[19], p[18]
    x, y = (dy, dx) if p[20] != 0.0 else (dx, dy)
    if kind == TEXTURED:
        value = _sample(fields[0], x * cells + phase, y * cells + 1.7 * phase, dz * cells + 2.3 * phase)
        return bool(value > p[16] + p[17] * square)
    rho = math.sqrt(square) + 1e-9
    depth = math.sqrt(dx * dx + dy * dy + dz * dz) * (1.0 / rho - 1.0)
    if depth >= p[17]:
        return True
    cells /= rho
    sheet = _sample(fields[1], x * cells + phase, y * cells + 1.7 * phase, dz * cells + 2.3 * phase)
    part = depth / p[17]
    return bool(abs(sheet) > p[16] * (1.0 - part * part) * cells)


@kernel
def _fill_noisy(
    kind: int,
    p: NDArray[np.float64],
    fields: NDArray[np.float32],
    x0: float,
    step: float,
    y: float,
    z: float,
    part: NDArray[np.uint8],
    label: NDArray[np.uint8],
) -> None:
    dy, dz = y - p[7], z - p[8]
    for i in range(part.size):
        if part[i] >= label[1] and part[i] <= label[2]:
            dx = x0 + i * step - p[6]
            square = p[9] * dx * dx + p[12] * dy * dy + p[14] * dz * dz
            square += 2.0 * (p[10] * dx * dy + p[11] * dx * dz + p[13] * dy * dz)
            if _noisy(kind, p, fields, dx, dy, dz, square):
                part[i] = label[0]


@kernel
def _cut_span(p: NDArray[np.float64], y: float, z: float) -> tuple[float, float]:
    low, high = _ellipsoid_span(p, y, z)
    if p[15] != 0.0:
        low, high = max(low, p[0]), min(high, p[3])
    return low, high


@kernel
def _fill_row(
    kind: int,
    p: NDArray[np.float64],
    fields: NDArray[np.float32],
    x0: float,
    step: float,
    y: float,
    z: float,
    i0: int,
    i1: int,
    label: NDArray[np.uint8],
    row: NDArray[np.uint8],
) -> None:
    if i0 >= i1:
        return
    if kind < TEXTURED:
        _fill(row[i0:i1], label[0], label[1], label[2])
    else:
        _fill_noisy(kind, p, fields, x0 + i0 * step, step, y, z, row[i0:i1], label)


@kernel
def paint(
    kinds: NDArray[np.uint8],
    shapes: NDArray[np.float64],
    labels: NDArray[np.uint8],
    table: NDArray[np.float64],
    reach: NDArray[np.float64],
    curve: NDArray[np.float64],
    fields: NDArray[np.float32],
    origin: NDArray[np.float64],
    spacing: NDArray[np.float64],
    jitter: NDArray[np.float64],
    out: NDArray[np.uint8],
) -> None:
    """Paint shapes in order onto a voxel grid.

    Args:
        kinds: ELLIPSOID, CAPSULE, TUBE, TEXTURED or FOLDED for each shape.
        shapes: (shapes, COLUMNS), in mm.
        labels: (shapes, 3): the label, and the lowest and highest label that it may replace.
        table: profiles of the tubes.
        reach: (2, shapes): the lowest and highest z of each, together in memory since every plane looks at all.
        curve: half width of a tube's cross-section, for its depth from 0 to 1.
        fields: the noise of TEXTURED and FOLDED shapes.
        origin: centre of the first voxel: x, y, z in mm.
        spacing: between voxel centres: x, y, z in mm; z may be negative.
        jitter: (planes, 2) offset of each z plane in x and y, in mm, which hides the steps of a coarse grid in a sum.
        out: (z, y, x), painted over.
    """
    planes, rows, columns = out.shape
    profile = np.empty(4)
    lowest, highest = reach[0], reach[1]
    for k in range(planes):
        z = origin[2] + k * spacing[2]
        x0, y0 = origin[0] + jitter[k, 0], origin[1] + jitter[k, 1]
        for n in range(kinds.size):
            if z < lowest[n] or z > highest[n]:
                continue
            p, kind = shapes[n], kinds[n]
            if kind == TUBE:
                _profile_at(table, int(p[6]), int(p[7]), z, profile)
                j_low, j_high = profile[1] - profile[3] - p[8], profile[1] + profile[3] + p[8]
            else:
                j_low, j_high = p[1], p[4]
            j0 = max(0, int(math.ceil((j_low - y0) / spacing[1])))
            j1 = min(rows, int(math.floor((j_high - y0) / spacing[1])) + 1)
            if kind == CAPSULE:
                _fill_capsule(p, z, (x0, y0), (spacing[0], spacing[1]), j0, j1, labels[n], out[k])
                continue
            if kind == ELLIPSOID:
                _fill_ellipsoid(p, z, (x0, y0), (spacing[0], spacing[1]), j0, j1, labels[n], out[k])
                continue
            for j in range(j0, j1):
                y = y0 + j * spacing[1]
                if kind == TUBE:
                    low, high = _tube_span(profile, p[8], y, curve)
                else:
                    low, high = _cut_span(p, y, z)
                if low <= high:
                    i0 = max(0, int(math.ceil((low - x0) / spacing[0])))
                    i1 = min(columns, int(math.floor((high - x0) / spacing[0])) + 1)
                    _fill_row(kind, p, fields, x0, spacing[0], y, z, i0, i1, labels[n], out[k, j])


def cross_section() -> NDArray[np.float64]:
    """Half width of a tube's cross-section for its depth, both from 0 to 1; see :func:`paint`."""
    u = np.linspace(0.0, 1.0, _CURVE_STEPS + 1)
    return np.asarray((1.0 - u**_EXPONENT) ** (1.0 / _EXPONENT))
