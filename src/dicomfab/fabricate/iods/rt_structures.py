"""RT Structure Set (PS3.3 A.19): the body, organs and a target volume for each lesion, outlined on every slice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from dicomfab.fabricate.anatomy.body import Region
from dicomfab.fabricate.anatomy.tissue import Tissue
from dicomfab.fabricate.encode.items import Item, sequence
from dicomfab.fabricate.iods import imaged, regions, structures
from dicomfab.fabricate.iods.common import base, clock
from dicomfab.fabricate.iods.imaged import Bits, Imaged, Labels, Mask
from dicomfab.fabricate.iods.references import reference, references, without_pixels
from dicomfab.fabricate.iods.tracking import tracking_id, tracking_uid
from dicomfab.fabricate.kinds import OBJECTS
from dicomfab.fabricate.plan import Planned, SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.fabricate.render.outlines import Polygon, area, outlines
from dicomfab.fabricate.render.planes import Stack

SOP_CLASS_UID: Final = "1.2.840.10008.5.1.4.1.1.481.3"
_STUDY_SOP_CLASS_UID: Final = "1.2.840.10008.3.1.2.3.1"  # what PS3.3 C.8.8.5 wants here, though it is retired
_AFTER_S: Final = 1200.0
_OUTSIDE: Final = (Tissue.AIR, Tissue.COUCH, Tissue.COUCH_FOAM)
_CONTOUR: Final = "ROIContourSequence"
_SMALLEST_PX: Final = 8.0  # of parts of body and organs: what is smaller nobody draws
_MOST_POINTS: Final = 2000  # ContourData (3006,0050) has less than 64 KiB

#: Of a contour, its slice and its points.
_Contour = tuple[int, Polygon]


@dataclass(frozen=True, slots=True)
class Roi:
    """A region of interest.

    Args:
        number: ROINumber (3006,0022), from 1.
        name: ROIName (3006,0026).
        meant: RTROIInterpretedType (3006,00A4).
        colour: red, green, blue.
        tissues: of an organ.
        mask: of a lesion.
    """

    number: int
    name: str
    meant: str
    colour: structures.Colour
    tissues: tuple[int, ...] = ()
    mask: Mask | None = None


def rois(study: ResolvedStudy, source: Imaged) -> list[Roi]:
    """The body, the main organs that are on any slice, and each lesion in the imaged volume."""
    found = [Roi(1, "BODY", "EXTERNAL", (0, 255, 0))]
    seen = imaged.counts(study, source).sum(axis=0)
    for organ in structures.ORGANS:
        if organ.contoured and seen[list(organ.tissues)].any():
            name = (organ.enclosed or organ.label).upper()
            found.append(Roi(len(found) + 1, name, "ORGAN", organ.colour, organ.tissues))
    for number, mask in enumerate(imaged.masks(study, source), start=1):
        name = f"GTV {number} {mask.lesion.kind.upper()}"
        found.append(Roi(len(found) + 1, name, "GTV", structures.lesion_colour(number), mask=mask))
    return found


def plan_object(
    study: ResolvedStudy, series: ResolvedSeries, series_number: int, before: Sequence[Planned]
) -> SeriesPlan:
    """One structure set of the last CT."""
    source = imaged.last_series(before, OBJECTS[series.kind].needs)
    return without_pixels(study, series_number, _dataset(study, series_number, source))


def truth_of(
    study: ResolvedStudy, series: ResolvedSeries, series_number: int, before: Sequence[Planned]
) -> dict[str, Any]:
    """The regions of interest, ready for JSON.

    Returns:
        ``referenced_series``: SeriesInstanceUID of the CT; ``rois``, each with ``number``, ``name``, ``type``,
        ``lesion``: its index in the region's lesions (null if it is none), ``tracking_uid``, ``contours``, and
        ``volume_mm3``, which its contours enclose.
    """
    source = imaged.last_series(before, OBJECTS[series.kind].needs)
    drawn = _drawn(study, source)
    found = []
    for roi in rois(study, source):
        index = roi.mask.index if roi.mask is not None else None
        enclosed = sum(area(polygon) for _, polygon in drawn[roi.number])
        found.append(
            {
                "number": roi.number,
                "name": roi.name,
                "type": roi.meant,
                "lesion": index,
                "tracking_uid": "" if index is None else tracking_uid(study, source.region, index),
                "contours": len(drawn[roi.number]),
                "volume_mm3": round(enclosed * source.voxel_mm3, 2),
            }
        )
    return {"region": source.region, "referenced_series": source.planned.series_instance_uid, "rois": found}


def _dataset(study: ResolvedStudy, number: int, source: Imaged) -> Dataset:
    ds = base(study, SOP_CLASS_UID, "RTSTRUCT", number)
    ds.SeriesDescription = "STRUCTURE SET"
    ds.OperatorsName = ""
    ds.SeriesTime = clock(study.study_time, _AFTER_S)
    ds.InstanceNumber = "1"
    ds.StructureSetLabel = "BODY ORGANS GTV"
    ds.StructureSetName = "Ground truth of synthetic images"
    ds.StructureSetDate, ds.StructureSetTime = study.study_date, ds.SeriesTime
    source.describe(ds)
    ds.ReferencedFrameOfReferenceSequence = Items([_frame_of_reference(study, source)])
    found, drawn = rois(study, source), _drawn(study, source)
    ds.StructureSetROISequence = Items([_roi(study, source, roi) for roi in found])
    ds[_CONTOUR] = sequence(_CONTOUR, (_contours(source, roi, drawn[roi.number]) for roi in found))
    ds.RTROIObservationsSequence = Items([_observation(roi) for roi in found])
    ds.ApprovalStatus = "UNAPPROVED"
    return ds


def _frame_of_reference(study: ResolvedStudy, source: Imaged) -> Dataset:
    """The images that the contours lie on."""
    series = Dataset()
    series.SeriesInstanceUID = source.planned.series_instance_uid
    series.ContourImageSequence = Items(references(source.planned))
    of_study = reference(_STUDY_SOP_CLASS_UID, study.study_instance_uid)
    of_study.RTReferencedSeriesSequence = Items([series])
    item = Dataset()
    item.FrameOfReferenceUID = source.frame_of_reference_uid
    item.RTReferencedStudySequence = Items([of_study])
    return item


def _roi(study: ResolvedStudy, source: Imaged, roi: Roi) -> Dataset:
    item = Dataset()
    item.ROINumber = str(roi.number)
    item.ReferencedFrameOfReferenceUID = source.frame_of_reference_uid
    item.ROIName = roi.name
    if roi.mask is not None:
        item.ROIDescription = tracking_id(study, source.region, roi.mask.index)
    item.ROIGenerationAlgorithm = "AUTOMATIC"
    return item


def _observation(roi: Roi) -> Dataset:
    item = Dataset()
    item.ObservationNumber = item.ReferencedROINumber = str(roi.number)
    item.RTROIInterpretedType = roi.meant
    item.ROIInterpreter = ""
    return item


def _contours(source: Imaged, roi: Roi, drawn: Sequence[_Contour]) -> Item:
    item: dict[str, Any] = {"ReferencedROINumber": roi.number, "ROIDisplayColor": roi.colour}
    if drawn:
        item["ContourSequence"] = [_contour(source, place, polygon) for place, polygon in drawn]
    return item


def _contour(source: Imaged, place: int, polygon: Polygon) -> Item:
    x_mm, y_mm, z_mm = (float(value) for value in source.position(place).split("\\"))
    pixel_mm = source.stack.pixel_mm
    points = "\\".join(
        f"{x_mm + column * pixel_mm:.2f}\\{y_mm + row * pixel_mm:.2f}\\{z_mm}" for row, column in polygon.tolist()
    )
    return {
        "ContourImageSequence": [source.reference(place)],
        "ContourGeometricType": "CLOSED_PLANAR",
        "NumberOfContourPoints": len(polygon),
        "ContourData": points,
    }


def _drawn(study: ResolvedStudy, source: Imaged) -> dict[int, list[_Contour]]:
    """The contours of each region of interest, by its number."""
    return _outlined(study, source.region, source.stack, tuple(rois(study, source)))


@lru_cache(maxsize=1)  # a structure set is described more than once
def _outlined(study: ResolvedStudy, region: Region, stack: Stack, wanted: tuple[Roi, ...]) -> dict[int, list[_Contour]]:
    scene = regions.body(study, region).scene
    found: dict[int, list[_Contour]] = {roi.number: [] for roi in wanted}
    for place in range(stack.count):
        painted = imaged.labels(scene, stack, place)
        seen = np.bincount(painted.reshape(-1), minlength=256)
        for roi in wanted:
            if roi.mask is not None or not roi.tissues or seen[list(roi.tissues)].any():
                found[roi.number].extend((place, polygon) for polygon in _polygons(roi, painted, place))
    return found


def _polygons(roi: Roi, painted: Labels, place: int) -> Iterator[Polygon]:
    if roi.mask is not None:
        part = roi.mask.part(place)
        if part is not None:
            rows, columns, voxels = part
            yield from (polygon + (rows.start, columns.start) for polygon in outlines(voxels))
        return
    table = np.zeros(256, np.bool_)
    table[list(roi.tissues or _OUTSIDE)] = True
    mask: Bits = np.take(table if roi.tissues else ~table, painted)
    for polygon in outlines(mask, smallest=_SMALLEST_PX):
        yield polygon[:: -(-len(polygon) // _MOST_POINTS)]
