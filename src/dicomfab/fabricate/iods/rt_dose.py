"""RT Dose (PS3.3 A.18): what four fields give to the body, each of them fading with the depth that it has passed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag

from dicomfab.fabricate.anatomy.scene import Grid, Scene
from dicomfab.fabricate.anatomy.tissue import LABEL_COUNT, LOOKS
from dicomfab.fabricate.iods import regions
from dicomfab.fabricate.iods.image_pixel import even, grey, numbered
from dicomfab.fabricate.iods.radiotherapy import FRACTIONS, PRESCRIBED_GY, Treatment, rt_base, treatment
from dicomfab.fabricate.iods.references import references
from dicomfab.fabricate.plan import Planned, SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy

SOP_CLASS_UID: Final = "1.2.840.10008.5.1.4.1.1.481.2"
GRID_MM: Final = 5.0
SCALING_GY: Final = float(f"{3 * PRESCRIBED_GY / 65535:.8g}")
_AFTER_S: Final = 1800.0
_FADING_PER_MM: Final = 0.0048  # of 6 MV photons in water
_PENUMBRA_MM: Final = 4.0
_SCATTER: Final = 0.02  # of the dose at the isocentre, far from the fields

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Places:
    """The dose grid; the isocentre is a point of it. Frames run upwards.

    Args:
        first_mm: x, y and z of its first point.
        shape: frames, rows, columns.
        isocentre: frame, row and column where the beams meet.
    """

    first_mm: tuple[float, float, float]
    shape: tuple[int, int, int]
    isocentre: tuple[int, int, int]

    @classmethod
    def over(cls, given: Treatment) -> _Places:
        """As far as the CT reaches."""
        stack = given.source.stack
        ends = sorted((stack.location_mm(0), stack.location_mm(stack.count - 1)))
        half = stack.columns * stack.pixel_mm / 2, stack.rows * stack.pixel_mm / 2
        low = (stack.first_mm[0] - half[0], stack.first_mm[1] - half[1], ends[0])
        top = max(ends[1], ends[0] + 2 * GRID_MM)  # GridFrameOffsetVector (3004,000C) has two values at least
        high = (stack.first_mm[0] + half[0], stack.first_mm[1] + half[1], top)
        first, sizes, places = [], [], []
        for at, least, most in zip(given.isocentre_mm, low, high, strict=True):
            before = max(0, math.floor((at - least) / GRID_MM))
            first.append(round(at - before * GRID_MM, 2))
            sizes.append(before + max(0, math.floor((most - at) / GRID_MM)) + 1)
            places.append(before)
        return cls((first[0], first[1], first[2]), (sizes[2], sizes[1], sizes[0]), (places[2], places[1], places[0]))

    def grid(self, frame: int) -> Grid:
        """The voxels of a frame."""
        x, y, z = self.first_mm
        return Grid((x, y, z + frame * GRID_MM), (GRID_MM, GRID_MM, GRID_MM), (1, *self.shape[1:]))


def plan_object(
    study: ResolvedStudy, series: ResolvedSeries, series_number: int, before: Sequence[Planned]
) -> SeriesPlan:
    """One dose of the last plan; without one, of the beams that a plan would have."""
    given = treatment(study, before, series.kind)
    places = _Places.over(given)
    return SeriesPlan(
        dataset=_dataset(study, series_number, given, places),
        count=1,
        pixel_bytes=even(math.prod(places.shape) * 2),
        varying=numbered(study, series_number),
        pixels=partial(_pixels, study, given, places),
        frames=places.shape[0],
    )


def truth_of(
    study: ResolvedStudy, series: ResolvedSeries, series_number: int, before: Sequence[Planned]
) -> dict[str, Any]:
    """Where the dose is what was prescribed, ready for JSON.

    Returns:
        ``isocentre_mm``; ``isocentre``: its frame, row and column, from 0; ``prescribed_gy``; ``scaling_gy``: of a
        stored step; ``plan``: its SOPInstanceUID, or empty.
    """
    given = treatment(study, before, series.kind)
    return {
        "region": given.source.region,
        "isocentre_mm": list(given.isocentre_mm),
        "isocentre": list(_Places.over(given).isocentre),
        "prescribed_gy": PRESCRIBED_GY,
        "scaling_gy": SCALING_GY,
        "plan": given.plan.sop_instance_uid() if given.plan else "",
    }


def _dataset(study: ResolvedStudy, number: int, given: Treatment, places: _Places) -> Dataset:
    ds = rt_base(study, SOP_CLASS_UID, "RTDOSE", number, _AFTER_S)
    ds.SeriesDescription = "DOSE 4 FIELDS"
    given.source.describe(ds)
    ds.ContentDate, ds.ContentTime = study.study_date, ds.SeriesTime
    grey(ds, places.shape[1], places.shape[2], stored=16)
    del ds.LossyImageCompression
    del ds.BurnedInAnnotation
    ds.PixelSpacing = [f"{GRID_MM:g}"] * 2
    ds.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    ds.ImagePositionPatient = [f"{value:g}" for value in places.first_mm]
    ds.SliceThickness = f"{GRID_MM:g}"
    ds.NumberOfFrames = str(places.shape[0])
    ds.FrameIncrementPointer = Tag("GridFrameOffsetVector")
    ds.GridFrameOffsetVector = [f"{frame * GRID_MM:g}" for frame in range(places.shape[0])]
    ds.DoseUnits = "GY"
    ds.DoseType = "PHYSICAL"
    ds.DoseComment = "Sum of four fields that fade with depth"
    ds.DoseGridScaling = f"{SCALING_GY:.8g}"
    ds.TissueHeterogeneityCorrection = "IMAGE"
    if given.plan is not None:
        ds.DoseSummationType = "PLAN"
        ds.ReferencedRTPlanSequence = Items(references(given.plan))
    else:
        ds.DoseSummationType = "PLAN_OVERVIEW"
        ds.PlanOverviewSequence = Items([_overview(given)])
    return ds


def _overview(given: Treatment) -> Dataset:
    """What would be planned, if there is no plan to refer to (PS3.3 C.8.8.3)."""
    item = Dataset()
    item.PlanOverviewIndex = 1
    item.RTPlanLabel = "4 FIELDS"
    item.NumberOfFractionsIncluded = FRACTIONS
    item.TreatmentSite = ""
    item.TreatmentSiteCodeSequence = Items()
    item.PrescriptionOverviewSequence = Items()
    if given.structures is not None:
        item.ReferencedStructureSetSequence = Items(references(given.structures))
    return item


def shares(study: ResolvedStudy, given: Treatment) -> list[float]:
    """Which part of the dose at the isocentre each field gives, if all give as much radiation; together 1."""
    places = _Places.over(given)
    left = _left(study, given, places)
    return [float(value) for value in left / left.sum()]


def _left(study: ResolvedStudy, given: Treatment, places: _Places) -> Floats:
    """What is left of each beam at the isocentre: (4,)."""
    frame, row, column = places.isocentre
    water = _water(regions.body(study, given.source.region).scene, places.grid(frame))
    return np.asarray(np.exp(-_FADING_PER_MM * _passed(water)[:, row, column]))


def _pixels(study: ResolvedStudy, given: Treatment, places: _Places) -> Iterator[memoryview]:
    scene = regions.body(study, given.source.region).scene
    down, across = _offsets(places)
    # Those from front and back are as wide as columns are.
    profiles = [_edge(offset, given.half_field_mm) for offset in (across, down, across, down)]
    whole = _left(study, given, places).sum() * _edge(0.0, given.half_field_mm) ** 2
    for frame in range(places.shape[0]):
        water = _water(scene, places.grid(frame))
        beams = np.exp(-_FADING_PER_MM * _passed(water)) * np.array(profiles)
        along = _edge(abs(frame - places.isocentre[0]) * GRID_MM, given.half_field_mm)
        share = beams.sum(axis=0) * along / whole  # 1 at the isocentre
        relative = np.where(water > 0, _SCATTER + (1 - _SCATTER) * share, 0.0)
        stored = np.rint(np.clip(relative * PRESCRIBED_GY / SCALING_GY, 0, 65535)).astype("<u2")
        yield stored.data.cast("B")


def _offsets(places: _Places) -> tuple[Floats, Floats]:
    """How far the points of a frame are from the isocentre, down and across, in mm."""
    _, row, column = places.isocentre
    rows, columns = np.indices(places.shape[1:])
    return np.abs(rows - row) * GRID_MM, np.abs(columns - column) * GRID_MM


def _edge(offset_mm: Floats | float, half_mm: float) -> Floats:
    """The profile of a field: flat, with a penumbra."""
    return np.asarray(1 / (1 + np.exp((np.asarray(offset_mm, np.float64) - half_mm) / _PENUMBRA_MM)))


def _passed(water: Floats) -> Floats:
    """How much water each beam has passed before it comes to the middle of a point: (4, rows, columns), in mm."""
    down, across = np.cumsum(water, axis=0), np.cumsum(water, axis=1)
    up, back = np.cumsum(water[::-1], axis=0)[::-1], np.cumsum(water[:, ::-1], axis=1)[:, ::-1]
    # At gantry 0 the source is in front, at 90 degrees on the left of a patient who lies on the back.
    return np.stack([down, back, up, across]) - water / 2


def _water(scene: Scene, grid: Grid) -> Floats:
    """How thick a layer of water each point is worth, (rows, columns), in mm; nothing where there is air."""
    table = np.zeros(LABEL_COUNT)
    for tissue, look in LOOKS.items():
        table[tissue] = max(0.0, 1 + look.hu / 1000)
    return np.asarray(table[scene.voxels(grid)[0]] * GRID_MM)
