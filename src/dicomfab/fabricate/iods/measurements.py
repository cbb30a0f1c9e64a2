"""Comprehensive 3D SR (PS3.3 A.35.13): measurements of the lesions that sections show, after TID 1500 and TID 1411."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from pydicom.dataset import Dataset

from dicomfab.fabricate.iods import findings, sr_document
from dicomfab.fabricate.iods import sr_content as sr
from dicomfab.fabricate.iods.findings import Finding
from dicomfab.fabricate.iods.references import of_kinds
from dicomfab.fabricate.iods.report import FINDING, LONG_AXIS, SHORT_AXIS, site
from dicomfab.fabricate.iods.tracking import tracking_id, tracking_uid
from dicomfab.fabricate.kinds import ALL_KINDS, Code
from dicomfab.fabricate.plan import Planned, SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy

SOP_CLASS_UID: Final = "1.2.840.10008.5.1.4.1.1.88.34"
_TITLE: Final[Code] = ("126000", "DCM", "Imaging Measurement Report")
_LIBRARY: Final[Code] = ("111028", "DCM", "Image Library")
_LIBRARY_GROUP: Final[Code] = ("126200", "DCM", "Image Library Group")
_MEASUREMENTS: Final[Code] = ("126010", "DCM", "Imaging Measurements")
_GROUP: Final[Code] = ("125007", "DCM", "Measurement Group")
_TRACKING_ID: Final[Code] = ("112039", "DCM", "Tracking Identifier")
_TRACKING_UID: Final[Code] = ("112040", "DCM", "Tracking Unique Identifier")
_SEGMENT: Final[Code] = ("121191", "DCM", "Referenced Segment")
_SOURCE_IMAGE: Final[Code] = ("121233", "DCM", "Source image for segmentation")
_SOURCE_SERIES: Final[Code] = ("121232", "DCM", "Source series for segmentation")
_SURFACE: Final[Code] = ("121231", "DCM", "Volume Surface")
_METHOD: Final[Code] = ("370129005", "SCT", "Measurement Method")
_ELLIPSOID: Final[Code] = ("126029", "DCM", "LWH method for volume of ellipsoid")
VOLUME: Final[Code] = ("118565006", "SCT", "Volume")
ATTENUATION: Final[Code] = ("112031", "DCM", "Attenuation Coefficient")
SUV: Final[Code] = ("126401", "DCM", "SUVbw")
_DERIVATION: Final[Code] = ("121401", "DCM", "Derivation")
_MEAN: Final[Code] = ("373098007", "SCT", "Mean")
_COMMENT: Final[Code] = ("121106", "DCM", "Comment")
#: Of label maps, dciodvfy takes a reference to a segment for an error.
_SEGMENTATIONS: Final = ("seg",)
_MINUTES: Final = 80


def plan_object(
    study: ResolvedStudy, series: ResolvedSeries, series_number: int, before: Sequence[Planned]
) -> SeriesPlan:
    """One report: a group of measurements for each lesion."""
    images = findings.sections(sr_document.images(before))
    shown = findings.found(study, images)
    segments = [_segment(study, finding, before) for finding in shown]
    ds = sr_document.started(study, SOP_CLASS_UID, series_number, ALL_KINDS[series.kind].description, _MINUTES)
    groups = [_group(study, finding, segment) for finding, segment in zip(shown, segments, strict=True)]
    if not groups:
        groups = [sr.text(sr.CONTAINS, _COMMENT, "No lesion is seen on these images.")]
    content = [sr.container(sr.CONTAINS, _MEASUREMENTS, groups)]
    if shown:
        content.insert(0, _library(shown))
    head = [*sr_document.header(study, series), *sr_document.procedures(ds)]
    root = sr.container("", _TITLE, [*head, *content], template="1500")
    return sr_document.finished(ds, study, series_number, root, [*images, *_segmentations(segments)])


def truth_of(
    study: ResolvedStudy, series: ResolvedSeries, series_number: int, before: Sequence[Planned]
) -> dict[str, object]:
    """What the report says, ready for JSON.

    Returns:
        ``measurements``: for each lesion its region and place (from 0) in the truth of that region, ``tracking_id``,
        ``tracking_uid``, ``long_axis_mm``, ``short_axis_mm``, ``volume_mm3``, ``hu`` if a CT shows it as the truth has
        it and ``suv`` if PET shows it, else ``null``; and either ``segmentation``, its SOPInstanceUID, with
        ``segment_number`` of what was measured, or ``null`` for both if that is given as an ellipsoid.
    """
    images = findings.sections(sr_document.images(before))
    shown = findings.found(study, images)
    segments = [_segment(study, finding, before) for finding in shown]
    listed = [
        {
            "region": finding.region,
            "lesion": finding.index,
            "tracking_id": tracking_id(study, finding.region, finding.index),
            "tracking_uid": tracking_uid(study, finding.region, finding.index),
            "long_axis_mm": max(finding.size_mm),
            "short_axis_mm": min(finding.size_mm),
            "volume_mm3": _volume_mm3(finding),
            "hu": findings.attenuation_hu(finding),
            "suv": findings.suv(study, finding),
            "segmentation": None if segment is None else segment[0].sop_instance_uid(),
            "segment_number": None if segment is None else segment[1],
        }
        for finding, segment in zip(shown, segments, strict=True)
    ]
    return {"measurements": listed}


def _segment(study: ResolvedStudy, finding: Finding, before: Sequence[Planned]) -> tuple[Planned, int] | None:
    """The segmentation that has the lesion, and the number of its segment there; the last if there are several."""
    wanted = tracking_uid(study, finding.region, finding.index)
    frame_of_reference_uid = study.uid("frame-of-reference", finding.region)
    for one in reversed(of_kinds(before, _SEGMENTATIONS)):
        if one.dataset.get("FrameOfReferenceUID") != frame_of_reference_uid:
            continue
        for segment in one.dataset.get("SegmentSequence", ()):
            if segment.get("TrackingUID") == wanted:
                return one, int(segment.SegmentNumber)
    return None


def _segmentations(segments: Iterable[tuple[Planned, int] | None]) -> list[Planned]:
    """Each once, in order."""
    return list({one[0].sop_instance_uid(): one[0] for one in segments if one is not None}.values())


def _library(shown: Sequence[Finding]) -> Dataset:
    """Image Library (TID 1600): the images on which the lesions were found."""
    series: dict[str, dict[str, Dataset]] = {}
    for place in (place for finding in shown for place in finding.places):
        entries = series.setdefault(place.planned.series_instance_uid, {})
        entries[place.planned.sop_instance_uid(place.index)] = sr.image(sr.CONTAINS, None, place.planned, place.index)
    groups = [sr.container(sr.CONTAINS, _LIBRARY_GROUP, list(entries.values())) for entries in series.values()]
    return sr.container(sr.CONTAINS, _LIBRARY, groups)


def _group(study: ResolvedStudy, finding: Finding, segment: tuple[Planned, int] | None) -> Dataset:
    """Volumetric ROI Measurements (TID 1411) of a lesion."""
    said = [
        sr.text(sr.CONTEXT, _TRACKING_ID, tracking_id(study, finding.region, finding.index)),
        sr.uid_reference(sr.CONTEXT, _TRACKING_UID, tracking_uid(study, finding.region, finding.index)),
        sr.code(sr.CONTAINS, FINDING, finding.code),
        *site(finding),
        *_roi(finding, segment),
        *_numbers(study, finding),
    ]
    return sr.container(sr.CONTAINS, _GROUP, said, template="1411")


def _roi(finding: Finding, segment: tuple[Planned, int] | None) -> list[Dataset]:
    """What was measured: a segment of a segmentation, or an ellipsoid in the patient."""
    if segment is not None:
        source = segment[0].dataset.ReferencedSeriesSequence[0].SeriesInstanceUID
        return [
            sr.image(sr.CONTAINS, _SEGMENT, segment[0], segment=segment[1]),
            sr.uid_reference(sr.CONTAINS, _SOURCE_SERIES, str(source)),
        ]
    place = finding.places[0]
    frame_of_reference_uid = str(place.planned.dataset.FrameOfReferenceUID)
    return [
        sr.coordinates_3d(sr.CONTAINS, _SURFACE, "ELLIPSOID", _ends(finding), frame_of_reference_uid),
        sr.image(sr.CONTAINS, _SOURCE_IMAGE, place.planned, place.index),
    ]


def _ends(finding: Finding) -> list[tuple[float, float, float]]:
    """Both ends of the axes along x, y and z."""
    ends = []
    for axis, radius in enumerate(finding.lesion.radii_mm):
        for sign in (-1, 1):
            end = list(finding.lesion.centre_mm)
            end[axis] += sign * radius
            ends.append((end[0], end[1], end[2]))
    return ends


def _numbers(study: ResolvedStudy, finding: Finding) -> list[Dataset]:
    method = [sr.code(sr.MODIFIER, _METHOD, _ELLIPSOID)]
    made = [
        sr.number(sr.CONTAINS, LONG_AXIS, max(finding.size_mm), sr.MM),
        sr.number(sr.CONTAINS, SHORT_AXIS, min(finding.size_mm), sr.MM),
        sr.number(sr.CONTAINS, VOLUME, _volume_mm3(finding), sr.MM3, method),
    ]
    mean = [sr.code(sr.MODIFIER, _DERIVATION, _MEAN)]
    for concept, value, unit in (
        (ATTENUATION, findings.attenuation_hu(finding), sr.HU),
        (SUV, findings.suv(study, finding), sr.SUV),
    ):
        if value is not None:
            made.append(sr.number(sr.CONTAINS, concept, value, unit, mean))
    return made


def _volume_mm3(finding: Finding) -> float:
    return round(4 / 3 * math.pi * math.prod(finding.lesion.radii_mm), 2)
