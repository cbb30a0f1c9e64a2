"""Segmentation (PS3.3 A.51) and Label Map Segmentation (PS3.3 A.86): lesions and organs of the series before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag

from dicomfab.fabricate.encode.items import Item
from dicomfab.fabricate.iods import imaged, regions, structures
from dicomfab.fabricate.iods.common import base, clock, coded
from dicomfab.fabricate.iods.enhanced import each_frame, group
from dicomfab.fabricate.iods.image_pixel import even, grey, numbered
from dicomfab.fabricate.iods.imaged import Bits, Imaged, Labels, Mask
from dicomfab.fabricate.iods.references import referenced_series
from dicomfab.fabricate.iods.tracking import tracking_id, tracking_uid
from dicomfab.fabricate.kinds import OBJECTS, Code
from dicomfab.fabricate.plan import Planned, SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.fabricate.render.bits import packed

SOP_CLASS_UID: Final = "1.2.840.10008.5.1.4.1.1.66.4"
LABELMAP_SOP_CLASS_UID: Final = "1.2.840.10008.5.1.4.1.1.66.7"
BACKGROUND: Final = 0
ALGORITHM: Final = "DICOM FABRICATOR GROUND TRUTH"
_AFTER_S: Final = 900.0
_SEGMENTED: Final[Code] = ("113076", "DCM", "Segmentation")
_SOURCE: Final[Code] = ("121322", "DCM", "Source image for image processing operation")


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment: a lesion or an organ.

    Args:
        number: SegmentNumber (0062,0004), from 1.
        label: SegmentLabel (0062,0005).
        code: what it is.
        organ: where it lies, or None.
        colour: red, green, blue.
        mask: of a lesion; None of an organ.
        tissues: of an organ.
    """

    number: int
    label: str
    code: Code
    organ: Code | None
    colour: structures.Colour
    mask: Mask | None = None
    tissues: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Content:
    """What an instance holds: its source, its segments, and slice and segment of each frame (None: of all)."""

    source: Imaged
    segments: list[Segment]
    frames: list[tuple[int, Segment | None]]
    is_labelmap: bool


def plan_object(
    study: ResolvedStudy, series: ResolvedSeries, series_number: int, before: Sequence[Planned]
) -> SeriesPlan:
    """One segmentation of the last sectional series."""
    content = _content(study, series, before)
    stack, frames = content.source.stack, len(content.frames)
    bits = frames * stack.rows * stack.columns * (8 if content.is_labelmap else 1)
    return SeriesPlan(
        dataset=_dataset(study, series_number, content),
        count=1,
        pixel_bytes=even(-(-bits // 8)),
        varying=numbered(study, series_number),
        pixels=partial(_pixels, study, content),
        frames=frames,
    )


def truth_of(
    study: ResolvedStudy, series: ResolvedSeries, series_number: int, before: Sequence[Planned]
) -> dict[str, Any]:
    """The segments with their voxels, ready for JSON.

    Returns:
        ``referenced_series``: SeriesInstanceUID of what is segmented; ``frames``; ``segments``, each with ``number``,
        ``label``, ``lesion``: its index in the region's lesions (null for an organ), ``tracking_uid``, ``voxels`` and
        ``volume_mm3``.
    """
    content = _content(study, series, before)
    source = content.source
    found = []
    for one in content.segments:
        index = one.mask.index if one.mask is not None else None
        voxels = one.mask.count if one.mask is not None else _organ_voxels(study, source, one)
        found.append(
            {
                "number": one.number,
                "label": one.label,
                "lesion": index,
                "tracking_uid": "" if index is None else tracking_uid(study, source.region, index),
                "voxels": voxels,
                "volume_mm3": round(voxels * source.voxel_mm3, 3),
            }
        )
    return {
        "region": source.region,
        "referenced_series": source.planned.series_instance_uid,
        "frames": len(content.frames),
        "segments": found,
    }


def _content(study: ResolvedStudy, series: ResolvedSeries, before: Sequence[Planned]) -> _Content:
    source = imaged.last_series(before, OBJECTS[series.kind].needs)
    is_labelmap = series.kind == "seg-labelmap"
    segments = [_of_lesion(number, mask) for number, mask in enumerate(imaged.masks(study, source), start=1)]
    if is_labelmap or not segments:  # SegmentSequence is never empty: without lesions, organs are segmented
        segments.extend(_organs(study, source, len(segments) + 1))
    places = {segment.number: _slices(study, source, segment) for segment in segments}
    frames: list[tuple[int, Segment | None]]
    if is_labelmap:
        frames = [(place, None) for place in sorted(set().union(*places.values()))]
    else:
        frames = [(place, segment) for segment in segments for place in places[segment.number]]
    if not frames:  # there is a frame nevertheless
        frames = [(0, None if is_labelmap else segments[0])]
    return _Content(source, segments, frames, is_labelmap)


def _of_lesion(number: int, mask: Mask) -> Segment:
    code, organ = structures.of_lesion(mask.lesion)
    label = f"{mask.lesion.kind.capitalize()} {number}"
    return Segment(number, label, code, organ, structures.lesion_colour(number), mask)


def _organs(study: ResolvedStudy, source: Imaged, first: int) -> Iterator[Segment]:
    """Those that are on any slice; the bones if none is."""
    seen = imaged.counts(study, source).sum(axis=0)
    there = [organ for organ in structures.ORGANS if seen[list(organ.tissues)].any()]
    for number, organ in enumerate(there or structures.ORGANS[-1:], start=first):
        yield Segment(number, organ.label, organ.code, None, organ.colour, None, organ.tissues)


def _slices(study: ResolvedStudy, source: Imaged, segment: Segment) -> list[int]:
    if segment.mask is not None:
        return segment.mask.slices()
    on_slice = imaged.counts(study, source)[:, list(segment.tissues)].any(axis=1)
    return [int(n) for n in np.flatnonzero(on_slice)]


def _organ_voxels(study: ResolvedStudy, source: Imaged, segment: Segment) -> int:
    return int(imaged.counts(study, source)[:, list(segment.tissues)].sum())


def _dataset(study: ResolvedStudy, number: int, content: _Content) -> Dataset:
    source, is_labelmap = content.source, content.is_labelmap
    ds = base(study, LABELMAP_SOP_CLASS_UID if is_labelmap else SOP_CLASS_UID, "SEG", number)
    source.describe(ds)
    ds.BodyPartExamined = str(source.planned.dataset.BodyPartExamined)
    ds.SeriesDescription = "SEGMENTATION OF LESIONS AND ORGANS" if is_labelmap else "SEGMENTATION OF LESIONS"
    ds.SeriesTime = ds.ContentTime = clock(study.study_time, _AFTER_S)
    ds.ContentDate = study.study_date
    ds.InstanceNumber = "1"
    ds.ImageType = ["DERIVED", "PRIMARY"]
    ds.ContentLabel = "LESIONS_ORGANS" if is_labelmap else "LESIONS"
    ds.ContentDescription = "Ground truth of synthetic images"
    ds.ContentCreatorName = ""
    grey(ds, source.stack.rows, source.stack.columns, stored=8 if is_labelmap else 1)
    ds.NumberOfFrames = str(len(content.frames))
    ds.SegmentationType = "LABELMAP" if is_labelmap else "BINARY"
    ds.SegmentsOverlap = "NO" if is_labelmap else "UNDEFINED"
    if is_labelmap:
        ds.PixelPaddingValue = BACKGROUND
    ds.SegmentSequence = Items([_described(study, source, segment) for segment in content.segments])
    ds.ReferencedSeriesSequence = referenced_series([source.planned])
    _dimensions(ds, study, number, is_labelmap=is_labelmap)
    _shared(ds, source)
    places = sorted({place for place, _ in content.frames})
    ranks = {place: rank for rank, place in enumerate(places, start=1)}
    each_frame(ds, (_frame(source, place, ranks[place], segment) for place, segment in content.frames))
    return ds


def _described(study: ResolvedStudy, source: Imaged, segment: Segment) -> Dataset:
    """Segment Description macro (PS3.3 table C.8.20-4)."""
    item = Dataset()
    item.SegmentNumber = segment.number
    item.SegmentLabel = segment.label
    item.SegmentAlgorithmType = "AUTOMATIC"
    item.SegmentAlgorithmName = ALGORITHM
    item.SegmentedPropertyCategoryCodeSequence = coded(
        structures.ANATOMICAL if segment.mask is None else structures.ABNORMAL
    )
    item.SegmentedPropertyTypeCodeSequence = coded(segment.code)
    if segment.organ is not None:
        item.AnatomicRegionSequence = coded(segment.organ)
    item.RecommendedDisplayCIELabValue = structures.cielab(segment.colour)
    if segment.mask is not None:
        item.TrackingID = tracking_id(study, source.region, segment.mask.index)
        item.TrackingUID = tracking_uid(study, source.region, segment.mask.index)
    return item


def _dimensions(ds: Dataset, study: ResolvedStudy, number: int, *, is_labelmap: bool) -> None:
    """Multi-frame Dimension: frames by segment, unless they hold all, and by position."""
    uid = study.uid("dimensions", number)
    ds.DimensionOrganizationSequence = group(DimensionOrganizationUID=uid)
    pointers = [("ImagePositionPatient", "PlanePositionSequence", "Position of the slice")]
    if not is_labelmap:
        pointers.insert(0, ("ReferencedSegmentNumber", "SegmentIdentificationSequence", "Segment"))
    items = []
    for keyword, of_group, label in pointers:
        item = Dataset()
        item.DimensionOrganizationUID = uid
        item.DimensionIndexPointer = Tag(keyword)
        item.FunctionalGroupPointer = Tag(of_group)
        item.DimensionDescriptionLabel = label
        items.append(item)
    ds.DimensionIndexSequence = Items(items)


def _shared(ds: Dataset, source: Imaged) -> None:
    shared, images = Dataset(), source.planned.dataset
    shared.PixelMeasuresSequence = group(
        PixelSpacing=list(images.PixelSpacing),
        SliceThickness=images.SliceThickness,
        SpacingBetweenSlices=images.SpacingBetweenSlices,
    )
    shared.PlaneOrientationSequence = group(ImageOrientationPatient=list(images.ImageOrientationPatient))
    ds.SharedFunctionalGroupsSequence = Items([shared])


def _frame(source: Imaged, place: int, rank: int, segment: Segment | None) -> Item:
    image = source.reference(place)
    made: Item = {
        "DerivationCodeSequence": [_code(_SEGMENTED)],
        "SourceImageSequence": [
            {**image, "PurposeOfReferenceCodeSequence": [_code(_SOURCE)], "SpatialLocationsPreserved": "YES"}
        ],
    }
    groups: dict[str, list[Item]] = {
        "DerivationImageSequence": [made],
        "FrameContentSequence": [{"DimensionIndexValues": [rank] if segment is None else [segment.number, rank]}],
        "PlanePositionSequence": [{"ImagePositionPatient": source.position(place)}],
    }
    if segment is not None:
        groups["SegmentIdentificationSequence"] = [{"ReferencedSegmentNumber": segment.number}]
    return groups


def _code(code: Code) -> Item:
    return dict(zip(("CodeValue", "CodingSchemeDesignator", "CodeMeaning"), code, strict=True))


def _pixels(study: ResolvedStudy, content: _Content) -> Iterator[memoryview]:
    if not content.is_labelmap:
        yield from packed(_binary(study, content), len(content.frames))
        return
    for labelled in _labelled(study, content):
        yield labelled.data.cast("B")


def _binary(study: ResolvedStudy, content: _Content) -> Iterator[Bits]:
    source = content.source
    for place, segment in content.frames:
        frame = np.zeros((source.stack.rows, source.stack.columns), np.bool_)
        if segment is None or segment.mask is None:
            painted = imaged.labels(regions.body(study, source.region).scene, source.stack, place)
            frame |= np.isin(painted, segment.tissues if segment else ())
        elif (part := segment.mask.part(place)) is not None:
            rows, columns, voxels = part
            frame[rows, columns] = voxels
        yield frame


def _labelled(study: ResolvedStudy, content: _Content) -> Iterator[Labels]:
    source, scene = content.source, regions.body(study, content.source.region).scene
    numbers = np.full(256, BACKGROUND, np.uint8)
    for segment in content.segments:
        numbers[list(segment.tissues)] = segment.number
    for place, _ in content.frames:
        frame: Labels = numbers[imaged.labels(scene, source.stack, place)]
        for segment in content.segments:
            part = segment.mask.part(place) if segment.mask is not None else None
            if part is not None:
                rows, columns, voxels = part
                frame[rows, columns][voxels] = segment.number
        yield frame
