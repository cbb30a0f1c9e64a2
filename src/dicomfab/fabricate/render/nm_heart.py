"""Gated SPECT of the heart: short axis sections of a left ventricle that beats."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.anatomy.body import Body
from dicomfab.fabricate.anatomy.build import Build
from dicomfab.fabricate.anatomy.scene import Grid
from dicomfab.fabricate.anatomy.tissue import Tissue
from dicomfab.fabricate.jit import kernel
from dicomfab.fabricate.render import emission, nm
from dicomfab.fabricate.render.batches import in_order
from dicomfab.fabricate.seeds import derive

MATRIX: Final = 64
MIDDLE: Final = (31.5, 40.5)  # column and row of the long axis: low, so that the mark has room
VOXEL_MM: Final = 5.0
#: How far the ventricle is contracted in each part of the cycle, from one R wave to the next.
CYCLE: Final = (0.0, 0.3, 0.8, 1.0, 0.85, 0.45, 0.15, 0.05)
_FINE_MM: Final = 2.5
_HALF_MM: Final = 200.0  # of the cube of labels that is resliced
_MYOCARDIUM: Final = np.uint8(Tissue.MYOCARDIUM)
_BLOOD: Final = np.uint8(Tissue.BLOOD)
_OTHER_MUSCLE: Final = np.uint8(150)  # label of heart muscle that is not the left ventricle's
# Of the ventricle's half axes: the cavity, what the beat leaves in place, and the valves.
_INNER: Final = 0.64
_STILL: Final = 1.6
_VALVE: Final = 0.62

Point = tuple[float, float, float]

#: Concentration by tissue, in arbitrary units, of a tracer of myocardial perfusion.
PERFUSION: Final = nm.concentrations(
    0.6, 0.15, MYOCARDIUM=10.0, BLOOD=0.6, VEIN=0.6, LIVER=3.5, SPLEEN=2.2, KIDNEY=5.0, GALLBLADDER=9.0,
    BOWEL_WALL=3.0, STOMACH=1.2, LUNG=0.45, NODULE=1.5, MARROW=0.7, BONE=0.4,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ShortAxis:
    """Sections across the left ventricle, from its apex to its base.

    Args:
        centre_mm: of the left ventricle, in patient coordinates.
        row: unit vector along a row, from septum to lateral wall.
        column: unit vector down a column, from anterior to inferior wall.
        normal: unit vector from section to section.
        count: sections.
        scale: of the heart; 1 is the average.
    """

    centre_mm: Point
    row: Point
    column: Point
    normal: Point
    count: int
    scale: float

    @classmethod
    def of(cls, build: Build, count: int) -> ShortAxis:
        """So many sections around the middle of the left ventricle of a body."""
        scale = build.size * build.heart
        apex = np.array((0.70, -0.50, -0.51))
        apex /= np.linalg.norm(apex)
        side = np.cross(apex, (0.0, 0.0, 1.0))
        side /= np.linalg.norm(side)
        base = np.array(build.point(22 + 2 * build.shift[1], -24, -38 + 2 * build.shift[2]))
        centre = base + scale * (24 * apex + 6 * side - 2 * np.cross(apex, side))
        column = np.cross(-apex, -side)
        return cls(_point(centre), _point(-side), _point(column), _point(-apex), count, scale)

    def position_mm(self, index: int) -> Point:
        """The centre of the first pixel of a section."""
        along = (index - (self.count - 1) / 2) * VOXEL_MM
        return self.point_mm(-MIDDLE[0] * VOXEL_MM, -MIDDLE[1] * VOXEL_MM, along)

    def point_mm(self, across: float, down: float, along: float) -> Point:
        """A point given by its distances from the centre, in mm."""
        vectors = np.array((self.row, self.column, self.normal))
        return _point(np.array(self.centre_mm) + np.array((across, down, along)) @ vectors)


def _point(values: NDArray[np.float64]) -> Point:
    x, y, z = (float(value) for value in values)
    return x, y, z


def gated(body: Body, view: ShortAxis, seed: int, workers: int) -> Iterator[NDArray[np.uint16]]:
    """Render the parts of the cycle in order, and the sections of each from apex to base.

    Args:
        body: whose heart it is.
        view: where the sections lie.
        seed: decides the noise.
        workers: threads; the result does not depend on it.

    Yields:
        (64, 64) stored values, in proportion to concentration.
    """
    cube = _cube(body, view)
    table = emission.Tracer(PERFUSION, [PERFUSION.get(lesion.tissue, 0.0) for lesion in body.lesions]).table()
    table[_OTHER_MUSCLE] = 2.2
    weights = (emission.gaussian(nm.SPECT_FWHM_MM / _FINE_MM), emission.gaussian(nm.SPECT_FWHM_MM / VOXEL_MM))
    emission.grain()

    def phase(first: int, _end: int) -> NDArray[np.uint16]:
        sections = _contracted(cube, view, CYCLE[first], table, weights)
        noise = (emission.grain_of(derive(seed, "gate", first), n, MATRIX) for n in range(view.count))
        return np.stack([nm.counted(section, grain) for section, grain in zip(sections, noise, strict=True)])

    for sections in in_order(phase, len(CYCLE), 1, workers):
        yield from sections


def _cube(body: Body, view: ShortAxis) -> NDArray[np.uint8]:
    size = round(2 * _HALF_MM / _FINE_MM)
    x, y, z = (value - _HALF_MM + _FINE_MM / 2 for value in view.centre_mm)
    return emission.labels(body, Grid((x, y, z), (_FINE_MM,) * 3, (size,) * 3))


def _contracted(
    cube: NDArray[np.uint8],
    view: ShortAxis,
    squeeze: float,
    table: NDArray[np.float32],
    weights: tuple[NDArray[np.float32], NDArray[np.float32]],
) -> list[NDArray[np.float32]]:
    """Concentrations of all sections of one part of the cycle."""
    across, along = weights
    each = round(VOXEL_MM / _FINE_MM)
    axes = np.array((view.row, view.column, view.normal))
    planes = (view.count - 1) * each + len(across)
    coarse = np.empty((planes, MATRIX, MATRIX), np.float32)
    labels = np.empty((2 * MATRIX, 2 * MATRIX), np.uint8)
    for n in range(planes):
        depth_mm = (n - (planes - 1) / 2) * _FINE_MM
        resliced(cube, axes, depth_mm, _FINE_MM, squeeze, view.scale, labels)
        emission.binned(labels, table, coarse[n])
    sections = []
    for n in range(view.count):
        section = np.empty((MATRIX, MATRIX), np.float32)
        emission.weighted(coarse[n * each : n * each + len(across)], across, section)
        sections.append(emission.blurred(section, along))
    return sections


@kernel
def resliced(
    cube: NDArray[np.uint8],
    axes: NDArray[np.float64],
    depth_mm: float,
    step_mm: float,
    squeeze: float,
    scale: float,
    out: NDArray[np.uint8],
) -> None:
    """Labels of one plane across the long axis, with the left ventricle whole, open at its base, and contracted.

    Args:
        cube: labels around the centre of the left ventricle, at ``step_mm``.
        axes: rows are the unit vectors along rows, down columns, and along the long axis.
        depth_mm: of the plane on the long axis, from the centre.
        step_mm: between voxels, and between the samples of the plane.
        squeeze: how far the heart is contracted, 0 to 1.
        scale: of the heart.
        out: (rows, columns) around the long axis.
    """
    rows, columns = out.shape
    size = cube.shape[0]
    middle = (size - 1) / 2
    # A voxel of the image has two samples each way.
    middle_x, middle_y = 2 * MIDDLE[0] + 0.5, 2 * MIDDLE[1] + 0.5
    long_mm, wide_mm = 50.0 * scale, 35.5 * scale
    inner_now, outer_now = _INNER * (1.0 - 0.38 * squeeze), 1.0 - 0.10 * squeeze
    for j in range(rows):
        for i in range(columns):
            u, v = (i - middle_x) * step_mm, (j - middle_y) * step_mm
            radius = np.sqrt((u * u + v * v) / (wide_mm * wide_mm) + depth_mm * depth_mm / (long_mm * long_mm)) + 1e-9
            was = radius
            if radius < inner_now:
                was = radius * _INNER / inner_now
            elif radius < outer_now:
                was = _INNER + (radius - inner_now) / (outer_now - inner_now) * (1.0 - _INNER)
            elif radius < _STILL:
                was = 1.0 + (radius - outer_now) / (_STILL - outer_now) * (_STILL - 1.0)
            if was < 1.0:
                muscle = was > _INNER and depth_mm < _VALVE * long_mm
                out[j, i] = _MYOCARDIUM if muscle else _BLOOD
                continue
            place = was / radius / step_mm
            x = int(np.floor(middle + place * (u * axes[0, 0] + v * axes[1, 0] + depth_mm * axes[2, 0]) + 0.5))
            y = int(np.floor(middle + place * (u * axes[0, 1] + v * axes[1, 1] + depth_mm * axes[2, 1]) + 0.5))
            z = int(np.floor(middle + place * (u * axes[0, 2] + v * axes[1, 2] + depth_mm * axes[2, 2]) + 0.5))
            label = np.uint8(0)
            if 0 <= x < size and 0 <= y < size and 0 <= z < size:
                label = cube[z, y, x]
            out[j, i] = _OTHER_MUSCLE if label == _MYOCARDIUM else label
