"""A scene: shapes in painting order, each with its label and the labels that it may replace."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dicomfab.fabricate.anatomy.paint import CAPSULE, COLUMNS, ELLIPSOID, TUBE, cross_section, paint
from dicomfab.fabricate.anatomy.tissue import Tissue

ANY = (0, 255)
PROFILE_STEP_MM = 2.0
_CURVE = cross_section()

Packed = tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.uint8], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Grid:
    """Where voxels lie, in patient coordinates (LPS, mm).

    Args:
        origin: centre of the first voxel, x, y, z.
        spacing: between voxel centres along x, y, z; z may be negative.
        shape: voxels along z, y, x.
        swap_xy: the volume's rows run along y instead of x (and its shape is z, x, y); origin and spacing stay x, y, z.
        jitter: number of the first plane; every plane is then shifted by its own fraction of the spacing in x and y,
            so that sums show no steps.
    """

    origin: tuple[float, float, float]
    spacing: tuple[float, float, float]
    shape: tuple[int, int, int]
    jitter: int | None = None
    swap_xy: bool = False


class Profile:
    """How a tube's centre and half axes change along z, between given stations (smoothly interpolated).

    Args:
        stations: rows of z, centre x, centre y, half width, half depth, by rising z.
    """

    def __init__(self, stations: ArrayLike) -> None:
        given = np.asarray(stations, np.float64)
        count = int(np.ceil((given[-1, 0] - given[0, 0]) / PROFILE_STEP_MM)) + 1
        z = np.linspace(given[0, 0], given[-1, 0], count)
        columns = [np.interp(z, given[:, 0], given[:, n]) for n in range(1, 5)]
        self.rows = np.column_stack([z, *(_smooth(column) for column in columns)])

    def at(self, z: float) -> NDArray[np.float64]:
        """Centre x, centre y, half width and half depth at a height."""
        place = (z - self.rows[0, 0]) / (self.rows[1, 0] - self.rows[0, 0])
        below = min(max(int(place), 0), len(self.rows) - 2)
        part = min(max(place - below, 0.0), 1.0)
        between: NDArray[np.float64] = self.rows[below, 1:] * (1 - part) + self.rows[below + 1, 1:] * part
        return between


class Scene:
    """Collects shapes; :meth:`voxels` paints them, later ones over earlier ones."""

    def __init__(self) -> None:
        self._shapes: list[NDArray[np.float64]] = []
        self._labels: list[tuple[int, int, int, int]] = []  # kind, label, lowest and highest that it replaces
        self._tables: list[NDArray[np.float64]] = []
        self._table_rows = 0
        self._packed: dict[bool, Packed] = {}

    def tube(
        self,
        profile: Profile,
        tissue: Tissue,
        only: tuple[int, int] = ANY,
        *,
        grow_mm: float = 0.0,
    ) -> None:
        """A superelliptic tube along z."""
        rows = profile.rows
        p = np.zeros((1, COLUMNS))
        p[0, :6] = (-1e9, -1e9, rows[0, 0], 1e9, 1e9, rows[-1, 0])
        p[0, 6:9] = (self._table_rows, len(rows), grow_mm)
        self._tables.append(rows)
        self._table_rows += len(rows)
        self._add(TUBE, p, tissue, only)

    def ellipsoid(
        self,
        centre: ArrayLike,
        radii: ArrayLike,
        tissue: Tissue,
        only: tuple[int, int] = ANY,
        *,
        axes: ArrayLike | None = None,
    ) -> None:
        """An ellipsoid.

        Args:
            centre: x, y, z.
            radii: the half axes.
            tissue: what it is made of.
            only: the lowest and highest label that it may replace.
            axes: rows are the unit vectors of the half axes; x, y, z if not given.
        """
        rotation = np.eye(3) if axes is None else np.asarray(axes, np.float64)
        square = np.asarray(radii, np.float64) ** 2
        form = rotation.T @ np.diag(1 / square) @ rotation
        extent = np.sqrt(np.diag(rotation.T @ np.diag(square) @ rotation))
        middle = np.asarray(centre, np.float64)
        p = np.zeros((1, COLUMNS))
        p[0, :3], p[0, 3:6], p[0, 6:9] = middle - extent, middle + extent, middle
        p[0, 9:15] = (form[0, 0], form[0, 1], form[0, 2], form[1, 1], form[1, 2], form[2, 2])
        self._add(ELLIPSOID, p, tissue, only)

    def capsules(
        self, starts: ArrayLike, ends: ArrayLike, radii: ArrayLike, tissue: Tissue, only: tuple[int, int] = ANY
    ) -> None:
        """Rods with round ends: (n, 3) starts and ends, and (n, 2) radii or one radius for all."""
        a, b = np.atleast_2d(np.asarray(starts, np.float64)), np.atleast_2d(np.asarray(ends, np.float64))
        r = np.broadcast_to(np.asarray(radii, np.float64), (len(a), 2))
        reach = r.max(axis=1, keepdims=True)
        p = np.zeros((len(a), COLUMNS))
        p[:, :3], p[:, 3:6] = np.minimum(a, b) - reach, np.maximum(a, b) + reach
        p[:, 6:9], p[:, 9:12], p[:, 12:14] = a, b, r
        self._add(CAPSULE, p, tissue, only)

    def path(self, points: ArrayLike, radii: ArrayLike, tissue: Tissue, only: tuple[int, int] = ANY) -> None:
        """Rods through points; one radius for all, or one for each point."""
        line = np.asarray(points, np.float64)
        r = np.broadcast_to(np.asarray(radii, np.float64), (len(line),))
        self.capsules(line[:-1], line[1:], np.column_stack([r[:-1], r[1:]]), tissue, only)

    def voxels(self, grid: Grid, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """Paint the scene.

        Args:
            grid: where the voxels lie.
            out: (z, y, x) to reuse; its contents are overwritten.

        Returns:
            Labels, (z, y, x).
        """
        if out is None:
            out = np.empty(grid.shape, np.uint8)
        out[...] = Tissue.AIR
        jitter = np.zeros((grid.shape[0], 2))
        if grid.jitter is not None:
            steps = grid.jitter + np.arange(grid.shape[0])
            across, along = (grid.spacing[n] for n in ((1, 0) if grid.swap_xy else (0, 1)))
            jitter[:, 0] = (steps * 0.6180339887498949 % 1 - 0.5) * across
            jitter[:, 1] = (steps * 0.7548776662466927 % 1 - 0.5) * along
        order = [1, 0, 2] if grid.swap_xy else [0, 1, 2]
        origin, spacing = np.array(grid.origin)[order], np.array(grid.spacing)[order]
        paint(*self.pack(grid.swap_xy), _CURVE, origin, spacing, jitter, out)
        return out

    def label_at(self, x: float, y: float, z: float) -> Tissue:
        """The tissue at a point."""
        return Tissue(int(self.voxels(Grid((x, y, z), (1.0, 1.0, 1.0), (1, 1, 1)))[0, 0, 0]))

    def _add(self, kind: int, shapes: NDArray[np.float64], tissue: Tissue, only: tuple[int, int]) -> None:
        self._shapes.append(shapes)
        self._labels.append((kind, tissue, *only))
        self._packed.clear()

    def pack(self, swap_xy: bool = False) -> Packed:
        """The shapes as the kernel wants them, with x and y exchanged if asked."""
        if swap_xy not in self._packed:
            shapes = np.concatenate(self._shapes)
            each = np.repeat(np.array(self._labels, np.uint8), [len(part) for part in self._shapes], axis=0)
            kinds, labels = each[:, 0].copy(), each[:, 1:].copy()
            table = np.concatenate(self._tables) if self._tables else np.zeros((2, 5))
            if swap_xy:
                shapes, table = _swapped(kinds, shapes), table[:, [0, 2, 1, 4, 3]].copy()
            self._packed[swap_xy] = (kinds, shapes, labels, table)
        return self._packed[swap_xy]


def _swapped(kinds: NDArray[np.uint8], shapes: NDArray[np.float64]) -> NDArray[np.float64]:
    box = [1, 0, 2, 4, 3, 5]
    order = {
        ELLIPSOID: [*box, 7, 6, 8, 12, 10, 13, 9, 11, 14],
        CAPSULE: [*box, 7, 6, 8, 10, 9, 11, 12, 13, 14],
        TUBE: [*box, *range(6, COLUMNS)],
    }
    result = np.empty_like(shapes)
    for kind, columns in order.items():
        rows = kinds == kind
        result[rows] = shapes[rows][:, columns]
    return result


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """A moving average over 14 mm that keeps the end values."""
    padded = np.pad(values, 3, mode="edge")
    return np.convolve(padded, np.full(7, 1 / 7), mode="valid")
