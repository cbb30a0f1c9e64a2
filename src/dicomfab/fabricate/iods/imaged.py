"""What images of a study show, voxel by voxel: the grid of a series, and the lesions and organs that lie on it.

A voxel belongs to what its centre lies in. Images blur and average; masks do not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dicomfab.fabricate.anatomy.body import Body, Lesion, Region
from dicomfab.fabricate.anatomy.build import Point
from dicomfab.fabricate.anatomy.scene import Grid, Scene
from dicomfab.fabricate.anatomy.tissue import Tissue
from dicomfab.fabricate.encode.items import Item
from dicomfab.fabricate.iods import regions
from dicomfab.fabricate.iods.references import of_kinds
from dicomfab.fabricate.kinds import ALL_KINDS
from dicomfab.fabricate.plan import Planned
from dicomfab.fabricate.recipe import ResolvedStudy
from dicomfab.fabricate.render.planes import Plane, Stack

Labels = NDArray[np.uint8]
Bits = NDArray[np.bool_]

_PLANES: Final[dict[tuple[int, int], Plane]] = {(0, 1): "axial", (1, 2): "sagittal", (0, 2): "coronal"}
_ACROSS: Final[dict[Plane, int]] = {"sagittal": 0, "coronal": 1, "axial": 2}
#: Of a lesion with more than one tissue, all of them.
_TISSUES: Final = {Tissue.TUMOUR_CORE: (Tissue.TUMOUR, Tissue.TUMOUR_CORE)}


@dataclass(frozen=True, slots=True)
class Imaged:
    """A series of parallel slices, and the body that it shows.

    Args:
        planned: the series.
        region: which body.
        stack: where the slices lie.
    """

    planned: Planned
    region: Region
    stack: Stack

    @property
    def voxel_mm3(self) -> float:
        """What a voxel stands for: up to the middle between its slice and the next."""
        return self.stack.pixel_mm**2 * abs(self.stack.step_mm)

    @property
    def frame_of_reference_uid(self) -> str:
        """FrameOfReferenceUID (0020,0052)."""
        return str(self.planned.dataset.FrameOfReferenceUID)

    def position(self, index: int) -> str:
        """ImagePositionPatient (0020,0032) of a slice, word for word."""
        return self.planned.plan.varying(index)["ImagePositionPatient"]

    def reference(self, index: int) -> Item:
        """What refers to a slice (PS3.3 table 10-11)."""
        return {
            "ReferencedSOPClassUID": self.planned.sop_class_uid,
            "ReferencedSOPInstanceUID": self.planned.sop_instance_uid(index),
        }

    def describe(self, ds: Dataset) -> None:
        """Frame of Reference module: what comes from these images has theirs."""
        ds.FrameOfReferenceUID = self.frame_of_reference_uid
        ds.PositionReferenceIndicator = str(self.planned.dataset.PositionReferenceIndicator)


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """The voxels of a lesion in the box around it.

    Args:
        index: of the lesion in its body.
        lesion: what is masked.
        corner: slice, row and column of the first voxel of the box.
        voxels: (slices, rows, columns).
    """

    index: int
    lesion: Lesion
    corner: tuple[int, int, int]
    voxels: Bits

    @property
    def count(self) -> int:
        """Voxels that belong to the lesion."""
        return int(self.voxels.sum())

    def slices(self) -> list[int]:
        """The slices on which it is seen."""
        return [self.corner[0] + int(n) for n in np.flatnonzero(self.voxels.any(axis=(1, 2)))]

    def part(self, index: int) -> tuple[slice, slice, Bits] | None:
        """Rows, columns and voxels of its box on a slice; None if the slice does not meet the box."""
        place, (_, rows, columns) = index - self.corner[0], self.voxels.shape
        if not 0 <= place < len(self.voxels):
            return None
        _, top, left = self.corner
        return slice(top, top + rows), slice(left, left + columns), self.voxels[place]


def last_series(before: Sequence[Planned], kinds: Iterable[str]) -> Imaged:
    """The last series of parallel slices: of several that are acquired together, the last original axial one.

    Args:
        before: all that comes before in the study.
        kinds: those that will do; one of them is there.
    """
    found = of_kinds(before, tuple(kinds))
    together = [one for one in found if one.kind == found[-1].kind]
    series = [one.series_instance_uid for one in together]
    if ALL_KINDS[found[-1].kind].module != "mr":
        return _imaged(found[-1])
    whole = [one for one in together if series.count(one.series_instance_uid) == 1]
    axial = [one for one in map(_imaged, whole) if one.stack.plane == "axial"]
    original = [one for one in axial if one.planned.dataset.ImageType[0] == "ORIGINAL"]
    return (original or axial or [_imaged(found[-1])])[-1]


def _imaged(planned: Planned) -> Imaged:
    """Read back where the slices of a series lie."""
    ds, varying, count = planned.dataset, planned.plan.varying, planned.plan.count
    cosines = [float(value) for value in ds.ImageOrientationPatient]
    row, column = (int(np.argmax(np.abs(cosines[n : n + 3]))) for n in (0, 3))
    plane = _PLANES[row, column]
    pixel_mm = float(ds.PixelSpacing[0])
    first, last = (
        [float(value) for value in varying(index)["ImagePositionPatient"].split("\\")] for index in (0, count - 1)
    )
    across = _ACROSS[plane]
    spacing_mm = float(ds.SpacingBetweenSlices)
    step_mm = round((last[across] - first[across]) / (count - 1), 4) if count > 1 else -spacing_mm
    first[row] += cosines[row] * (ds.Columns - 1) / 2 * pixel_mm
    first[column] += cosines[3 + column] * (ds.Rows - 1) / 2 * pixel_mm
    stack = Stack(
        plane=plane,
        first_mm=(first[0], first[1], first[2]),
        step_mm=step_mm,
        count=count,
        rows=int(ds.Rows),
        columns=int(ds.Columns),
        pixel_mm=pixel_mm,
        thickness_mm=float(ds.SliceThickness),
    )
    return Imaged(planned, cast(Region, ALL_KINDS[planned.kind].region), stack)


def labels(scene: Scene, stack: Stack, index: int, rows: slice | None = None, columns: slice | None = None) -> Labels:
    """The tissues on a slice, or on a part of it.

    Args:
        scene: the body.
        stack: where the slices lie.
        index: of the slice, from 0.
        rows: of the part; all if None.
        columns: of the part; all if None.

    Returns:
        (rows, columns), one label for each step of the slices given.
    """
    down, along = _range(rows, stack.rows), _range(columns, stack.columns)
    grid = stack.grid(index)
    (row, row_sign), (column, column_sign) = _directions(stack)
    origin, spacing = list(grid.origin), list(grid.spacing)
    origin[row] += row_sign * stack.pixel_mm * along.start
    origin[column] += column_sign * stack.pixel_mm * down.start
    spacing[row] *= along.step
    spacing[column] *= down.step
    shape = (1, len(down), len(along)) if stack.plane == "axial" else (len(down), 1, len(along))
    part: Grid = dataclasses.replace(
        grid, origin=(origin[0], origin[1], origin[2]), spacing=(spacing[0], spacing[1], spacing[2]), shape=shape
    )
    volume = scene.voxels(part)
    return volume[0] if stack.plane == "axial" else np.ascontiguousarray(volume[:, 0])


def _range(part: slice | None, size: int) -> range:
    return range(size)[part] if part is not None else range(size)


def _directions(stack: Stack) -> tuple[tuple[int, float], tuple[int, float]]:
    """Patient axis and sign along a row, and down a column."""
    cosines = stack.orientation
    axes = [next(n for n in range(3) if cosines[first + n]) for first in (0, 3)]
    return (axes[0], cosines[axes[0]]), (axes[1], cosines[3 + axes[1]])


def voxel(stack: Stack, point: Point) -> tuple[float, float, float]:
    """Slice, row and column of a point, with fractions."""
    (row, row_sign), (column, column_sign) = _directions(stack)
    across = _ACROSS[stack.plane]
    start = stack.position_mm(0)
    return (
        (point[across] - start[across]) / stack.step_mm,
        (point[column] - start[column]) * column_sign / stack.pixel_mm,
        (point[row] - start[row]) * row_sign / stack.pixel_mm,
    )


def lesions(stack: Stack, body: Body) -> list[tuple[int, Lesion]]:
    """Lesions whose centres lie on or beside the slices, not beyond their edges, each with its index in the body."""
    sizes = (stack.rows, stack.columns)
    return [
        (index, lesion)
        for index, lesion in enumerate(body.lesions)
        if all(-0.5 <= at < size - 0.5 for at, size in zip(voxel(stack, lesion.centre_mm)[1:], sizes, strict=True))
    ]


def masks(study: ResolvedStudy, imaged: Imaged) -> tuple[Mask, ...]:
    """The voxels of each lesion that any slice cuts: those of its tissue inside its ellipsoid, one at least."""
    return _masks(study, imaged.region, imaged.stack)


@lru_cache(maxsize=4)
def _masks(study: ResolvedStudy, region: Region, stack: Stack) -> tuple[Mask, ...]:
    body = regions.body(study, region)
    found = (_mask(body.scene, stack, index, lesion) for index, lesion in lesions(stack, body))
    seen = (one if one.voxels.any() else _single(stack, one) for one in found)
    return tuple(one for one in seen if one is not None)


def _single(stack: Stack, mask: Mask) -> Mask | None:
    """The one voxel in which the middle of a lesion lies that is smaller; nothing if no slice cuts it."""
    across, lesion = _ACROSS[stack.plane], mask.lesion
    sizes = (stack.count, stack.rows, stack.columns)
    at = voxel(stack, lesion.centre_mm)
    place, row, column = (min(max(round(one), 0), size - 1) for one, size in zip(at, sizes, strict=True))
    if abs(stack.location_mm(place) - lesion.centre_mm[across]) > lesion.radii_mm[across]:
        return None
    return Mask(mask.index, lesion, (place, row, column), np.ones((1, 1, 1), np.bool_))


def counts(study: ResolvedStudy, imaged: Imaged) -> NDArray[np.int64]:
    """How many voxels of each tissue are on each slice: (slices, 256)."""
    return _counts(study, imaged.region, imaged.stack)


@lru_cache(maxsize=4)
def _counts(study: ResolvedStudy, region: Region, stack: Stack) -> NDArray[np.int64]:
    scene = regions.body(study, region).scene
    return np.array([np.bincount(labels(scene, stack, n).reshape(-1), minlength=256) for n in range(stack.count)])


def _mask(scene: Scene, stack: Stack, index: int, lesion: Lesion) -> Mask:
    (row, row_sign), (column, column_sign) = _directions(stack)
    across = _ACROSS[stack.plane]
    centre, radii = lesion.centre_mm, lesion.radii_mm
    at = voxel(stack, centre)
    reach = (radii[across] / abs(stack.step_mm), radii[column] / stack.pixel_mm, radii[row] / stack.pixel_mm)
    sizes = (stack.count, stack.rows, stack.columns)
    low = [max(0, int(np.floor(a - r))) for a, r in zip(at, reach, strict=True)]
    ends = [min(size, int(np.ceil(a + r)) + 1) for a, r, size in zip(at, reach, sizes, strict=True)]
    high = [max(one) for one in zip(low, ends, strict=True)]
    start = stack.position_mm(0)
    rows, columns = np.arange(low[1], high[1]), np.arange(low[2], high[2])
    down = (start[column] + column_sign * stack.pixel_mm * rows - centre[column]) / radii[column]
    along = (start[row] + row_sign * stack.pixel_mm * columns - centre[row]) / radii[row]
    voxels = np.zeros((high[0] - low[0], rows.size, columns.size), np.bool_)
    tissues = _TISSUES.get(lesion.tissue, (lesion.tissue,))
    for place in range(low[0], high[0]):
        deep = (stack.location_mm(place) - centre[across]) / radii[across]
        within = down[:, None] ** 2 + along[None, :] ** 2 + deep**2 <= 1
        if within.any():
            painted = labels(scene, stack, place, slice(low[1], high[1]), slice(low[2], high[2]))
            voxels[place - low[0]] = within & np.isin(painted, tissues)
    return Mask(index, lesion, (low[0], low[1], low[2]), voxels)
