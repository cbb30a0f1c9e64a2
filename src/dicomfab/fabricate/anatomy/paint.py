"""The kernel that turns shapes into voxels."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.jit import kernel

ELLIPSOID, CAPSULE, TUBE = 0, 1, 2
# Columns of a shape's parameters: 0-5 the bounding box (lowest x, y, z, highest x, y, z), then by kind
#   ELLIPSOID  6-8 centre, 9-14 the matrix xx, xy, xz, yy, yz, zz of the quadratic form (inside: < 1)
#   CAPSULE    6-8 one end, 9-11 the other, 12-13 the two radii
#   TUBE       6 first row of the profile table, 7 number of rows, 8 growth in mm
COLUMNS = 15
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
def _rod(p: NDArray[np.float64], y: float, z: float, low: float, high: float) -> tuple[float, float]:
    """Widen a span by that of the cylinder between the two ends, with the mean of their radii."""
    dx, dy, dz = p[9] - p[6], p[10] - p[7], p[11] - p[8]
    square = dx * dx + dy * dy + dz * dz + 1e-12
    r = 0.5 * (p[12] + p[13])
    along = y * dy + z * dz
    a = 1.0 - dx * dx / square
    b = -dx * along / square
    c = y * y + z * z - along * along / square - r * r
    under_root = b * b - a * c
    if under_root <= 0.0 or a < 1e-9:
        return low, high
    root = math.sqrt(under_root)
    x0, x1 = (-b - root) / a, (-b + root) / a
    # Only between the planes through the ends.
    if abs(dx) > 1e-9:
        end_a, end_b = -along / dx, (square - along) / dx
        x0, x1 = max(x0, min(end_a, end_b)), min(x1, max(end_a, end_b))
    elif along < 0.0 or along > square:
        return low, high
    if x0 < x1:
        low, high = min(low, p[6] + x0), max(high, p[6] + x1)
    return low, high


@kernel
def _capsule_span(p: NDArray[np.float64], y: float, z: float) -> tuple[float, float]:
    ya, za, yb, zb = y - p[7], z - p[8], y - p[10], z - p[11]
    low, high = _ball(p[12], ya * ya + za * za, p[6], 1e30, -1e30)
    low, high = _ball(p[13], yb * yb + zb * zb, p[9], low, high)
    return _rod(p, ya, za, low, high)


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
def paint(
    kinds: NDArray[np.uint8],
    shapes: NDArray[np.float64],
    labels: NDArray[np.uint8],
    table: NDArray[np.float64],
    curve: NDArray[np.float64],
    origin: NDArray[np.float64],
    spacing: NDArray[np.float64],
    jitter: NDArray[np.float64],
    out: NDArray[np.uint8],
) -> None:
    """Paint shapes in order onto a voxel grid.

    Args:
        kinds: ELLIPSOID, CAPSULE or TUBE for each shape.
        shapes: (shapes, COLUMNS), in mm.
        labels: (shapes, 3): the label, and the lowest and highest label that it may replace.
        table: profiles of the tubes.
        curve: half width of a tube's cross-section, for its depth from 0 to 1.
        origin: centre of the first voxel: x, y, z in mm.
        spacing: between voxel centres: x, y, z in mm; z may be negative.
        jitter: (planes, 2) offset of each z plane in x and y, in mm, which hides the steps of a coarse grid in a sum.
        out: (z, y, x), painted over.
    """
    planes, rows, columns = out.shape
    profile = np.empty(4)
    for k in range(planes):
        z = origin[2] + k * spacing[2]
        x0, y0 = origin[0] + jitter[k, 0], origin[1] + jitter[k, 1]
        for n in range(kinds.size):
            p = shapes[n]
            if z < p[2] or z > p[5]:
                continue
            kind = kinds[n]
            if kind == TUBE:
                _profile_at(table, int(p[6]), int(p[7]), z, profile)
                j_low, j_high = profile[1] - profile[3] - p[8], profile[1] + profile[3] + p[8]
            else:
                j_low, j_high = p[1], p[4]
            j0 = max(0, int(math.ceil((j_low - y0) / spacing[1])))
            j1 = min(rows, int(math.floor((j_high - y0) / spacing[1])) + 1)
            for j in range(j0, j1):
                y = y0 + j * spacing[1]
                if kind == ELLIPSOID:
                    low, high = _ellipsoid_span(p, y, z)
                elif kind == CAPSULE:
                    low, high = _capsule_span(p, y, z)
                else:
                    low, high = _tube_span(profile, p[8], y, curve)
                if low <= high:
                    i0 = max(0, int(math.ceil((low - x0) / spacing[0])))
                    i1 = min(columns, int(math.floor((high - x0) / spacing[0])) + 1)
                    if i0 < i1:
                        _fill(out[k, j, i0:i1], labels[n, 0], labels[n, 1], labels[n, 2])


def cross_section() -> NDArray[np.float64]:
    """Half width of a tube's cross-section for its depth, both from 0 to 1; see :func:`paint`."""
    u = np.linspace(0.0, 1.0, _CURVE_STEPS + 1)
    return np.asarray((1.0 - u**_EXPONENT) ** (1.0 / _EXPONENT))
