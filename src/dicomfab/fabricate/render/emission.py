"""What tracers in a body send out: concentrations by tissue, point spreads, sections, and projections of gamma rays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.anatomy.body import Body, Lesion
from dicomfab.fabricate.anatomy.scene import Grid
from dicomfab.fabricate.anatomy.tissue import Tissue
from dicomfab.fabricate.jit import kernel
from dicomfab.fabricate.render.batches import in_order
from dicomfab.fabricate.seeds import derive

T = TypeVar("T")
Floats = NDArray[np.float32]
Labels = NDArray[np.uint8]

SIGMA: Final = 2.3548200450309493  # full width at half maximum of a gaussian of unit standard deviation
LESION_LABEL: Final = 160  # and following: the voxels of each lesion, in the order of its body
_PLANE_MM: Final = 2.2  # sections are summed from planes about this far apart
_BATCH: Final = 8
_GRAIN: Final = (48, 256, 256)


@dataclass(frozen=True, slots=True)
class Stack:
    """Square axial sections around x = 0 and y = 0 of the patient.

    Args:
        first_z_mm: of the first section; patient z runs to the head.
        spacing_mm: downwards, from one section to the next.
        count: sections.
        matrix: rows, and columns, of a section.
        pixel_mm: between pixels.
    """

    first_z_mm: float
    spacing_mm: float
    count: int
    matrix: int
    pixel_mm: float

    def z_mm(self, index: int) -> float:
        """The height of a section, counted from 0."""
        return self.first_z_mm - index * self.spacing_mm

    @property
    def corner_mm(self) -> float:
        """X and y of the centre of the first pixel."""
        return -(self.matrix - 1) * self.pixel_mm / 2


@dataclass(frozen=True, slots=True)
class Tracer:
    """Where a tracer goes, in any unit of concentration.

    Args:
        tissues: concentration by tissue; none in those that are not named.
        lesions: for each lesion of the body its concentration.
    """

    tissues: Mapping[Tissue, float]
    lesions: Sequence[float]

    def table(self) -> Floats:
        """Concentration by label, lesions included: (256,)."""
        table = np.zeros(256, np.float32)
        for tissue, value in self.tissues.items():
            table[tissue] = value
        table[LESION_LABEL : LESION_LABEL + len(self.lesions)] = self.lesions
        return table


def labels(body: Body, grid: Grid, out: Labels | None = None) -> Labels:
    """Paint a body, with a label of its own for each lesion; (z, y, x)."""
    volume = body.scene.voxels(grid, out)
    for number, lesion in enumerate(body.lesions):
        _mark(volume, grid, lesion, LESION_LABEL + number)
    return volume


def _mark(volume: Labels, grid: Grid, lesion: Lesion, label: int) -> None:
    """Relabel the lesion's tissue in and just around its ellipsoid."""
    ranges, squares = [], []
    for axis, (centre, radius) in enumerate(zip(lesion.centre_mm, lesion.radii_mm, strict=True)):
        places = grid.origin[axis] + grid.spacing[axis] * np.arange(grid.shape[2 - axis])
        distance = (places - centre) / (1.25 * radius + 1.0)
        near = np.flatnonzero(np.abs(distance) < 1)
        if not near.size:
            return
        ranges.append(slice(int(near[0]), int(near[-1]) + 1))
        squares.append(distance[ranges[axis]] ** 2)
    part = volume[ranges[2], ranges[1], ranges[0]]
    within = squares[2][:, None, None] + squares[1][None, :, None] + squares[0][None, None, :] < 1
    part[within & (part == lesion.tissue)] = label


def gaussian(fwhm: float) -> Floats:
    """Weights of a gaussian point spread of this full width at half maximum, both in samples; an odd number."""
    sigma = max(fwhm, 1e-3) / SIGMA
    reach = max(1, round(2.6 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.asarray(weights / weights.sum(), np.float32)


def sections(
    body: Body,
    table: Floats,
    stack: Stack,
    fwhm_mm: float,
    workers: int,
    finish: Callable[[int, Floats], T],
) -> Iterator[T]:
    """Render sections in order.

    Args:
        body: what is looked at.
        table: concentration by label, see :meth:`Tracer.table`.
        stack: where the sections lie.
        fwhm_mm: point spread, the same in all directions.
        workers: threads; the result does not depend on it.
        finish: makes the result from the index of a section and its (matrix, matrix) concentrations.

    Yields:
        What ``finish`` gives.
    """
    planes = max(1, round(stack.spacing_mm / _PLANE_MM))
    step_mm = stack.spacing_mm / planes
    across, along = gaussian(fwhm_mm / step_mm), gaussian(fwhm_mm / stack.pixel_mm)
    # Sections that lie far apart share no planes.
    size = _BATCH if planes <= len(across) else 1
    fine_mm, side = stack.pixel_mm / 2, 2 * stack.matrix
    corner = stack.corner_mm - fine_mm / 2

    def batch(begin: int, end: int) -> list[T]:
        top_mm = stack.z_mm(begin) + step_mm * (len(across) // 2)
        count = (end - begin - 1) * planes + len(across)
        coarse = np.empty((count, stack.matrix, stack.matrix), np.float32)
        plane = np.empty((1, side, side), np.uint8)
        for n in range(count):
            grid = Grid((corner, corner, top_mm - n * step_mm), (fine_mm, fine_mm, 1.0), (1, side, side))
            binned(labels(body, grid, plane)[0], table, coarse[n])
        made = []
        for n in range(end - begin):
            section = np.empty((stack.matrix, stack.matrix), np.float32)
            weighted(coarse[n * planes : n * planes + len(across)], across, section)
            made.append(finish(begin + n, blurred(section, along)))
        return made

    for results in in_order(batch, stack.count, size, workers):
        yield from results


@cache
def grain() -> Floats:
    """Noise of unit variance that neighbouring voxels share, as behind a reconstruction filter; periodic, (z, y, x)."""
    z, y, x = np.fft.fftfreq(_GRAIN[0]), np.fft.fftfreq(_GRAIN[1]), np.fft.rfftfreq(_GRAIN[2])
    spread = 2 * (np.pi * 0.75) ** 2  # a gaussian of three quarters of a voxel
    weight = np.exp(-spread * (z[:, None, None] ** 2 + y[None, :, None] ** 2 + x[None, None, :] ** 2))
    white = np.random.default_rng(derive(0, "emission-grain")).standard_normal(_GRAIN)
    noise = np.fft.irfftn(np.fft.rfftn(white) * weight, s=_GRAIN, axes=(0, 1, 2))
    return np.asarray(noise / noise.std(), np.float32)


def grain_of(seed: int, index: int, matrix: int) -> Floats:
    """The noise of one section of a study, (matrix, matrix), at most 256."""
    bank = grain()
    draw = derive(seed, "emission-noise", index // len(bank))
    free = bank.shape[1] - matrix + 1
    row, column = (draw >> 8) % free, (draw >> 24) % free
    return bank[(index + draw) % len(bank), row : row + matrix, column : column + matrix]


def stored(values: Floats, scale: float) -> NDArray[np.uint16]:
    """Values times a scale, as 16 bits hold them."""
    made: NDArray[np.uint16] = np.rint(np.clip(values * np.float32(scale), 0, 65535)).astype(np.uint16)
    return made


@kernel
def binned(labels: Labels, table: Floats, out: Floats) -> None:
    """Mean concentration of each 2 x 2 labels: (2 rows, 2 columns) to (rows, columns)."""
    quarter = np.float32(0.25)
    for j in range(out.shape[0]):
        upper, lower, row = labels[2 * j], labels[2 * j + 1], out[j]
        for i in range(out.shape[1]):
            total = table[upper[2 * i]] + table[upper[2 * i + 1]] + table[lower[2 * i]] + table[lower[2 * i + 1]]
            row[i] = quarter * total


@kernel
def weighted(planes: Floats, weights: Floats, out: Floats) -> None:
    """Weighted sum of planes: (planes, rows, columns) to (rows, columns)."""
    out[:] = np.float32(0)
    for k in range(weights.size):
        for j in range(out.shape[0]):
            source, row = planes[k, j], out[j]
            for i in range(out.shape[1]):
                row[i] += weights[k] * source[i]


@kernel
def blurred(image: Floats, weights: Floats) -> Floats:
    """Convolve rows and columns with the same weights; outside is nothing."""
    rows, columns = image.shape
    reach = weights.size // 2
    between = np.zeros((rows, columns), np.float32)
    out = np.zeros((rows, columns), np.float32)
    line = np.zeros(columns + 2 * reach, np.float32)
    for j in range(rows):
        line[reach : reach + columns] = image[j]
        for k in range(weights.size):
            part, row = line[k : k + columns], between[j]
            for i in range(columns):
                row[i] += weights[k] * part[i]
    for j in range(rows):
        for k in range(max(0, reach - j), min(weights.size, rows + reach - j)):
            source, row = between[j + k - reach], out[j]
            for i in range(columns):
                row[i] += weights[k] * source[i]
    return out


@kernel
def projected(
    labels: Labels, emission: Floats, transmission: Floats, steps_in_slab: int, front: Floats, back: Floats
) -> None:
    """What reaches detectors in front of and behind a body, before any blur, kept apart by depth.

    Args:
        labels: (rows, depth, columns), the front first.
        emission: by label, for one step of depth.
        transmission: by label, the part of the rays that passes one step.
        steps_in_slab: steps of depth that are summed.
        front: (slabs, rows, columns), zeros.
        back: the same; its columns are not turned round.
    """
    planes, depth, columns = labels.shape
    passed = np.empty(columns, np.float32)
    for k in range(planes):
        for detector in range(2):
            out = front if detector == 0 else back
            passed[:] = np.float32(1)
            for n in range(depth):
                step = n if detector == 0 else depth - 1 - n
                row, total = labels[k, step], out[step // steps_in_slab, k]
                for i in range(columns):
                    label = row[i]
                    total[i] += emission[label] * passed[i]
                    passed[i] *= transmission[label]
