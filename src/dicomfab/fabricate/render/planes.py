"""Where the slices of a stack lie in the patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from dicomfab.fabricate.anatomy.build import Point
from dicomfab.fabricate.anatomy.scene import Grid

Plane = Literal["axial", "sagittal", "coronal"]
# For each plane, the patient axis (0 x, 1 y, 2 z) and its direction along a row, down a column, and across the slices.
_AXES: Final[dict[Plane, tuple[tuple[int, int], tuple[int, int], int]]] = {
    "axial": ((0, 1), (1, 1), 2),
    "sagittal": ((1, 1), (2, -1), 0),
    "coronal": ((0, 1), (2, -1), 1),
}


@dataclass(frozen=True, slots=True)
class Stack:
    """Parallel slices with square pixels, in patient coordinates (LPS, mm).

    Args:
        plane: axial slices are seen from the feet, sagittal ones from the left, coronal ones from the front.
        first_mm: centre of the first slice.
        step_mm: from each slice to the next along the axis across them; axial ones run downwards if it is negative.
        count: slices.
        rows: of each.
        columns: of each.
        pixel_mm: between pixel centres.
        thickness_mm: of each slice.
    """

    plane: Plane
    first_mm: Point
    step_mm: float
    count: int
    rows: int
    columns: int
    pixel_mm: float
    thickness_mm: float

    def location_mm(self, index: int) -> float:
        """Where a slice, counted from 0, lies on the axis across the slices."""
        return round(self.first_mm[_AXES[self.plane][2]] + index * self.step_mm, 4)

    def position_mm(self, index: int) -> Point:
        """The centre of the first pixel of a slice."""
        row, column, across = _AXES[self.plane]
        place = list(self.first_mm)
        place[row[0]] -= row[1] * (self.columns - 1) / 2 * self.pixel_mm
        place[column[0]] -= column[1] * (self.rows - 1) / 2 * self.pixel_mm
        place[across] = self.location_mm(index)
        return place[0], place[1], place[2]

    @property
    def orientation(self) -> tuple[float, ...]:
        """Unit vectors along a row and down a column."""
        cosines = [0.0] * 6
        row, column, _ = _AXES[self.plane]
        cosines[row[0]], cosines[3 + column[0]] = row[1], column[1]
        return tuple(cosines)

    def grid(self, index: int, sheets: int = 1) -> Grid:
        """The voxels of a slice, as several sheets through its thickness.

        Returns:
            A grid whose volume is (sheets, rows, columns) if the slice is axial, else (rows, sheets, columns).
        """
        row, column, across = _AXES[self.plane]
        origin, spacing = list(self.position_mm(index)), [0.0, 0.0, 0.0]
        spacing[row[0]], spacing[column[0]] = row[1] * self.pixel_mm, column[1] * self.pixel_mm
        spacing[across] = self.thickness_mm / sheets
        origin[across] -= spacing[across] * (sheets - 1) / 2
        shape = (sheets, self.rows, self.columns) if across == 2 else (self.rows, sheets, self.columns)
        return Grid((origin[0], origin[1], origin[2]), (spacing[0], spacing[1], spacing[2]), shape, swap_xy=across == 0)


def position_text(point: Point) -> str:
    """ImagePositionPatient (0020,0032) as DS values."""
    return "\\".join(f"{value:.6f}" for value in point)
