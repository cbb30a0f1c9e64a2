"""A scene: shapes in painting order, each with its label and the labels that it may replace."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dicomfab.fabricate.anatomy.course import Course
from dicomfab.fabricate.anatomy.noise import WAVE_CELLS, fields
from dicomfab.fabricate.anatomy.paint import (
    CAPSULE,
    COLUMNS,
    ELLIPSOID,
    FOLDED,
    TEXTURED,
    TUBE,
    cross_section,
    paint,
)
from dicomfab.fabricate.anatomy.tissue import Tissue

ANY = (0, 255)
PROFILE_STEP_MM = 2.0
_CURVE = cross_section()
_UPPER = ([0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2])  # of a symmetric matrix

Box = tuple[tuple[float, float, float], tuple[float, float, float]]
Packed = tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.uint8], NDArray[np.float64], NDArray[np.float64]]
Painted = tuple[
    NDArray[np.uint8],
    NDArray[np.float64],
    NDArray[np.uint8],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float32],
]


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
        self._table: list[list[float]] = self.rows.tolist()  # faster to read one by one

    def at(self, z: float) -> NDArray[np.float64]:
        """Centre x, centre y, half width and half depth at a height."""
        table = self._table
        place = (z - table[0][0]) / (table[1][0] - table[0][0])
        below = min(max(int(place), 0), len(table) - 2)
        part = min(max(place - below, 0.0), 1.0)
        low, high = table[below], table[below + 1]
        return np.array([low[n] * (1 - part) + high[n] * part for n in range(1, 5)])


class Scene:
    """Collects shapes; :meth:`voxels` paints them, later ones over earlier ones.

    Args:
        course: what has become of the lesions that are painted.
    """

    def __init__(self, course: Course | None = None) -> None:
        self.course = course or Course()
        self._shapes: list[NDArray[np.float64]] = []
        self._labels: list[tuple[int, int, int, int]] = []  # kind, label, lowest and highest that it replaces
        self._tables: list[NDArray[np.float64]] = []
        self._packed: dict[bool, Packed] = {}
        self._flip = np.ones(3)
        self._size = 1.0
        self._offset = np.zeros(3)

    def placed(self, offset_mm: ArrayLike, *, size: float = 1.0, mirrored: bool = False) -> Scene:
        """The same scene, to which shapes may be added in coordinates of another origin.

        Args:
            offset_mm: where that origin lies.
            size: scale of what is added.
            mirrored: its x runs the other way.
        """
        other = copy.copy(self)
        other._offset = self.at(offset_mm)
        other._size = self._size * size
        other._flip = self._flip * ((-1.0, 1.0, 1.0) if mirrored else (1.0, 1.0, 1.0))
        return other

    @property
    def size(self) -> float:
        """Scale of what is added."""
        return self._size

    def at(self, points: ArrayLike) -> NDArray[np.float64]:
        """Where points, given as they are for shapes, lie in the voxels' coordinates; (..., 3)."""
        return np.asarray(points, np.float64) * (self._flip * self._size) + self._offset

    def tube(
        self,
        profile: Profile,
        tissue: Tissue,
        only: tuple[int, int] = ANY,
        *,
        grow_mm: float = 0.0,
    ) -> None:
        """A superelliptic tube along z."""
        rows = profile.rows.copy()
        rows[:, 0] = rows[:, 0] * self._size + self._offset[2]
        rows[:, 1:3] = rows[:, 1:3] * (self._flip[:2] * self._size) + self._offset[:2]
        rows[:, 3:] *= self._size
        p = np.zeros((1, COLUMNS))
        p[0, :6] = (-1e9, -1e9, rows[0, 0], 1e9, 1e9, rows[-1, 0])
        p[0, 6:9] = (sum(len(table) for table in self._tables), len(rows), grow_mm * self._size)
        self._tables.append(rows)
        self._add(TUBE, p, tissue, only)

    def ellipsoid(
        self,
        centre: ArrayLike,
        radii: ArrayLike,
        tissue: Tissue,
        only: tuple[int, int] = ANY,
        *,
        axes: ArrayLike | None = None,
        box: Box | None = None,
    ) -> None:
        """An ellipsoid.

        Args:
            centre: x, y, z.
            radii: the half axes.
            tissue: what it is made of.
            only: the lowest and highest label that it may replace.
            axes: rows are the unit vectors of the half axes; x, y, z if not given.
            box: keep only the part between these lowest and highest x, y and z.
        """
        self._add(ELLIPSOID, self._ellipsoid(centre, radii, axes, box), tissue, only)

    def textured(
        self,
        centre: ArrayLike,
        radii: ArrayLike,
        tissue: Tissue,
        only: tuple[int, int] = ANY,
        *,
        wave_mm: float,
        threshold: tuple[float, float],
        phase: float = 0.0,
        axes: ArrayLike | None = None,
        box: Box | None = None,
    ) -> None:
        """An ellipsoid that noise breaks up.

        Args:
            centre: as of :meth:`ellipsoid`, like all that is not explained here.
            radii: of the ellipsoid.
            tissue: what it is made of.
            only: what it may replace.
            wave_mm: size of the clumps, from one to the next.
            threshold: noise (of unit variance) above this is painted: at the centre, and at the surface.
            phase: another number, another pattern.
            axes: of the ellipsoid.
            box: what is kept.
        """
        p = self._ellipsoid(centre, radii, axes, box)
        p[0, 16:20] = (threshold[0], threshold[1] - threshold[0], phase, WAVE_CELLS / (wave_mm * self._size))
        self._add(TEXTURED, p, tissue, only)

    def folded(
        self,
        centre: ArrayLike,
        radii: ArrayLike,
        tissue: Tissue,
        only: tuple[int, int] = ANY,
        *,
        wave_mm: float,
        gap_mm: float,
        depth_mm: float,
        phase: float = 0.0,
        axes: ArrayLike | None = None,
        box: Box | None = None,
    ) -> None:
        """An ellipsoid with winding furrows, as a brain has.

        Args:
            centre: as of :meth:`ellipsoid`, like all that is not explained here.
            radii: of the ellipsoid.
            tissue: what it is made of.
            only: what it may replace.
            wave_mm: about twice the distance between furrows, at the surface.
            gap_mm: half the width of a furrow.
            depth_mm: how deep furrows go.
            phase: another number, another pattern.
            axes: of the ellipsoid.
            box: what is kept.
        """
        p = self._ellipsoid(centre, radii, axes, box)
        p[0, 16:20] = (gap_mm * self._size, depth_mm * self._size, phase, WAVE_CELLS / (wave_mm * self._size))
        self._add(FOLDED, p, tissue, only)

    def _ellipsoid(
        self, centre: ArrayLike, radii: ArrayLike, axes: ArrayLike | None, box: Box | None
    ) -> NDArray[np.float64]:
        half = np.asarray(radii, np.float64) * self._size
        p = np.zeros((1, COLUMNS))
        if axes is None:
            extent = half
            p[0, [9, 12, 14]] = 1 / half**2
        else:
            rotation = np.asarray(axes, np.float64) * self._flip
            form = (rotation.T / half**2) @ rotation
            extent = np.sqrt((rotation**2).T @ half**2)
            p[0, 9:15] = form[_UPPER]
        middle = self.at(centre)
        p[0, :3], p[0, 3:6], p[0, 6:9] = middle - extent, middle + extent, middle
        if box is not None:
            ends = self.at(box)
            p[0, :3] = np.maximum(p[0, :3], ends.min(axis=0))
            p[0, 3:6] = np.minimum(p[0, 3:6], ends.max(axis=0))
            p[0, 15] = 1.0
        return p

    def capsules(
        self, starts: ArrayLike, ends: ArrayLike, radii: ArrayLike, tissue: Tissue, only: tuple[int, int] = ANY
    ) -> None:
        """Rods with round ends: (n, 3) starts and ends, and (n, 2) radii or one radius for all."""
        a = self.at(starts)
        p = np.zeros((1 if a.ndim == 1 else len(a), COLUMNS))
        p[:, 6:9], p[:, 9:12], p[:, 12:14] = a, self.at(ends), np.asarray(radii, np.float64) * self._size
        self._add(CAPSULE, p, tissue, only)

    def path(self, points: ArrayLike, radii: ArrayLike, tissue: Tissue, only: tuple[int, int] = ANY) -> None:
        """Rods through points; one radius for all, or one for each point."""
        line, r = self.at(points), np.asarray(radii, np.float64) * self._size
        p = np.zeros((len(line) - 1, COLUMNS))
        p[:, 6:9], p[:, 9:12] = line[:-1], line[1:]
        p[:, 12], p[:, 13] = (r[:-1], r[1:]) if r.ndim else (r, r)
        self._add(CAPSULE, p, tissue, only)

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
        paint(*self.painted(grid.swap_xy), origin, spacing, jitter, out)
        return out

    def label_at(self, x: float, y: float, z: float) -> Tissue:
        """The tissue at a point."""
        return Tissue(int(self.voxels(Grid((x, y, z), (1.0, 1.0, 1.0), (1, 1, 1)))[0, 0, 0]))

    def _add(self, kind: int, shapes: NDArray[np.float64], tissue: Tissue, only: tuple[int, int]) -> None:
        self._shapes.append(shapes)
        self._labels.append((kind, tissue, *only))
        self._packed.clear()

    def painted(self, swap_xy: bool = False) -> Painted:
        """What :func:`~dicomfab.fabricate.anatomy.paint.paint` wants to know of the scene, in its order."""
        return (*self.pack(swap_xy), _CURVE, fields())

    def pack(self, swap_xy: bool = False) -> Packed:
        """The shapes as the kernel wants them, with x and y exchanged if asked."""
        if swap_xy not in self._packed:
            shapes = np.concatenate(self._shapes)
            each = np.repeat(np.array(self._labels, np.uint8), [len(part) for part in self._shapes], axis=0)
            kinds, labels = each[:, 0].copy(), each[:, 1:].copy()
            _box_capsules(shapes, kinds == CAPSULE)
            table = np.concatenate(self._tables) if self._tables else np.zeros((2, 5))
            if swap_xy:
                shapes, table = _swapped(kinds, shapes), table[:, [0, 2, 1, 4, 3]].copy()
            self._packed[swap_xy] = (kinds, shapes, labels, table, shapes[:, [2, 5]].T.copy())
        return self._packed[swap_xy]


def _box_capsules(shapes: NDArray[np.float64], rows: NDArray[np.bool_]) -> None:
    """Fill in the bounding boxes of capsules: all together, since there are thousands of them."""
    a, b = shapes[rows, 6:9], shapes[rows, 9:12]
    reach = shapes[rows, 12:14].max(axis=1, keepdims=True)
    shapes[rows, :3], shapes[rows, 3:6] = np.minimum(a, b) - reach, np.maximum(a, b) + reach


def _swapped(kinds: NDArray[np.uint8], shapes: NDArray[np.float64]) -> NDArray[np.float64]:
    box = [1, 0, 2, 4, 3, 5]
    order = {
        ELLIPSOID: [*box, 7, 6, 8, 12, 10, 13, 9, 11, 14],
        CAPSULE: [*box, 7, 6, 8, 10, 9, 11, 12, 13, 14],
        TUBE: [*box, *range(6, COLUMNS)],
    }
    order = {kind: [*columns, *range(len(columns), COLUMNS)] for kind, columns in order.items()}
    order[TEXTURED] = order[FOLDED] = order[ELLIPSOID]
    result = np.empty_like(shapes)
    for kind, columns in order.items():
        rows = kinds == kind
        result[rows] = shapes[rows][:, columns]
    result[(kinds == TEXTURED) | (kinds == FOLDED), 20] = 1.0
    return result


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """A moving average over 14 mm that keeps the end values."""
    padded = np.pad(values, 3, mode="edge")
    return np.convolve(padded, np.full(7, 1 / 7), mode="valid")
