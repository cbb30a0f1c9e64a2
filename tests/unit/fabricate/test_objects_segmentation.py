from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import Dataset

from dicomfab.fabricate.anatomy.body import Body
from dicomfab.fabricate.iods import imaged, regions, structures, tracking
from dicomfab.fabricate.iods.imaged import Imaged
from dicomfab.fabricate.kinds import OBJECTS
from dicomfab.fabricate.plan import Planned
from dicomfab.fabricate.recipe import ResolvedStudy
from dicomfab.fabricate.render.outlines import area, outlines
from dicomfab.fabricate.study import fabricate, numbered
from dicomfab.fabricate.truth import truth
from dicomfab.model.study import Patient
from dicomfab.services.readable import segments
from tests.unit.fabricate.studies import read, study

PATIENT = Patient("Vogel^Anna", "SYN-7", "19610203", "F", "SYN-SITE")
SECTIONS = OBJECTS["seg"].needs
#: Lesions that take the shape of what they lie in, or are broken up.
PARTIAL = ("infarct", "bone metastasis", "renal cyst", "tumour", "haemorrhage")


def _study(*kinds: str, slices: int = 40, **values: object) -> ResolvedStudy:
    return study(*kinds, slices=slices, **{"patient": PATIENT, **values})


def _before(one: ResolvedStudy) -> list[tuple[int, Any, list[Planned]]]:
    """Each entry that is an object, with its series number and what comes before it."""
    found: list[tuple[int, Any, list[Planned]]] = []
    before: list[Planned] = []
    for number, series, plan in numbered(one, 1):
        if series.kind in OBJECTS:
            found.append((number, series, list(before)))
        before.append(Planned(series.kind, plan))
    return found


def _truths(one: ResolvedStudy) -> list[dict[str, Any]]:
    made = []
    for number, series, before in _before(one):
        module = import_module(f"dicomfab.fabricate.iods.{OBJECTS[series.kind].module}")
        made.append(json.loads(json.dumps(module.truth_of(one, series, number, before))))
    return made


@lru_cache(maxsize=4)
def _made(*kinds: str, slices: int = 40) -> tuple[ResolvedStudy, tuple[Dataset, ...], tuple[Dataset, ...]]:
    """The study, its images and its objects."""
    one = _study(*kinds, slices=slices)
    instances = [read(instance) for instance in fabricate(one, workers=2)]
    objects = sum(kind in OBJECTS for kind in kinds)
    return one, tuple(instances[:-objects]), tuple(instances[-objects:])


def _source(one: ResolvedStudy) -> tuple[Imaged, Body]:
    plans = [Planned(series.kind, plan) for _, series, plan in numbered(one, 1)]
    source = imaged.last_series(plans, SECTIONS)
    return source, regions.body(one, source.region)


def _groups(ds: Dataset) -> list[Dataset]:
    return list(ds.PerFrameFunctionalGroupsSequence)


def _position(item: Dataset) -> tuple[float, ...]:
    return tuple(float(value) for value in item.ImagePositionPatient)


@pytest.mark.parametrize(
    ("kind", "slices"), [("ct-chest", 200), ("ct-abdomen", 150), ("ct-head", 68), ("mr-brain", 28), ("pt-body", 300)]
)
@pytest.mark.parametrize("patient_id", ["SYN-7", "SYN-8", "SYN-9"])
def test_masks_are_where_the_lesions_are_and_as_large(kind: str, slices: int, patient_id: str) -> None:
    one = _study(kind, slices=slices, patient=Patient("Vogel^Anna", patient_id, "19610203", "F"))
    source, body = _source(one)
    found = imaged.masks(one, source)
    assert found
    assert [mask.index for mask in found] == sorted(mask.index for mask in found)
    for mask in found:
        assert body.lesions[mask.index] == mask.lesion
        radii = np.array(mask.lesion.radii_mm)[::-1]  # as axial slices have them: z, y, x
        whole_mm3, volume_mm3 = 4 / 3 * np.pi * np.prod(radii), mask.count * source.voxel_mm3
        # Whole voxels stand for what they cut: a layer of half a voxel around a small lesion.
        half = np.array([abs(source.stack.step_mm), source.stack.pixel_mm, source.stack.pixel_mm]) / 2
        assert volume_mm3 <= 4 / 3 * np.pi * np.prod(radii + half) * 1.1
        if mask.count >= 200:
            middle = np.argwhere(mask.voxels).mean(axis=0) + mask.corner
            away = np.abs(middle - imaged.voxel(source.stack, mask.lesion.centre_mm))
            is_whole = mask.lesion.kind not in PARTIAL
            assert (away < 1 if is_whole else away * half * 2 < radii / 3).all()
            assert volume_mm3 == pytest.approx(whole_mm3, rel=0.06 if is_whole else 0.7)


@pytest.mark.parametrize("kind", ["ct-abdomen", "mr-brain", "mr-knee"])
def test_a_mask_has_the_voxels_that_have_the_tissue_and_no_others(kind: str) -> None:
    one = _study(kind)
    source, body = _source(one)
    for mask in imaged.masks(one, source)[:3]:
        for place in (*mask.slices()[:2], mask.corner[0]):
            whole = imaged.labels(body.scene, source.stack, place)
            part = mask.part(place)
            assert part is not None
            rows, columns, voxels = part
            cut = whole[rows, columns]
            for row, column in np.argwhere(voxels)[::37]:
                assert cut[row, column] in (mask.lesion.tissue, 38)  # 38: the rim of a tumour with a core
            outside = whole.copy()
            outside[rows, columns][voxels] = 0
            places = np.argwhere(outside == mask.lesion.tissue)
            points = [_point(source, place, row, column) for row, column in places]
            assert all(_distance(mask, point) > 1 - 1e-6 for point in points)


def _point(source: Imaged, place: int, row: float, column: float) -> NDArray[np.float64]:
    """By PS3.3 C.7.6.2.1.1, from the attributes of the image."""
    ds = source.planned.dataset
    cosines = np.array([float(value) for value in ds.ImageOrientationPatient])
    start = np.array([float(value) for value in source.position(place).split("\\")])
    along, down = (float(value) for value in (ds.PixelSpacing[1], ds.PixelSpacing[0]))
    return start + cosines[:3] * column * along + cosines[3:] * row * down


def _distance(mask: imaged.Mask, point: NDArray[np.float64]) -> float:
    return float(np.linalg.norm((point - mask.lesion.centre_mm) / mask.lesion.radii_mm))


def test_of_several_sequences_an_axial_original_one_is_segmented() -> None:
    source, _ = _source(_study("mr-brain"))
    assert source.planned.dataset.SeriesDescription == "T2 FLAIR AXIAL"
    assert _source(_study("ct-head", "pt-body"))[0].planned.kind == "pt-body"
    knee, _ = _source(_study("mr-knee"))
    assert knee.stack.plane == "coronal"


def test_frames_of_a_segmentation_match_their_slices() -> None:
    one, images, (seg,) = _made("ct-abdomen", "seg")
    by_uid = {image.SOPInstanceUID: image for image in images}
    frames = seg.pixel_array
    assert seg.FrameOfReferenceUID == images[0].FrameOfReferenceUID
    assert frames.shape == (int(seg.NumberOfFrames), images[0].Rows, images[0].Columns)
    shared = seg.SharedFunctionalGroupsSequence[0]
    assert shared.PixelMeasuresSequence[0].PixelSpacing == images[0].PixelSpacing
    assert shared.PlaneOrientationSequence[0].ImageOrientationPatient == images[0].ImageOrientationPatient
    source, _ = _source(one)
    masks = imaged.masks(one, source)
    for frame, groups in zip(frames, _groups(seg), strict=True):
        reference = groups.DerivationImageSequence[0].SourceImageSequence[0]
        image = by_uid[reference.ReferencedSOPInstanceUID]
        assert _position(groups.PlanePositionSequence[0]) == _position(image)
        number = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        assert groups.FrameContentSequence[0].DimensionIndexValues[0] == number
        expected = np.zeros_like(frame)
        rows, columns, voxels = masks[number - 1].part(int(image.InstanceNumber) - 1) or (slice(0), slice(0), 0)
        expected[rows, columns] = voxels
        assert frame.any()
        assert np.array_equal(frame, expected)
    listed = [item.ReferencedSOPInstanceUID for item in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence]
    assert listed == [image.SOPInstanceUID for image in images]


def test_the_voxels_of_a_segmentation_are_those_of_its_truth() -> None:
    one, _, (seg, labelmap) = _made("ct-abdomen", "seg", "seg-labelmap", slices=30)
    binary, whole = _truths(one)
    frames, labels = seg.pixel_array, labelmap.pixel_array
    of_frame = np.array([groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber for groups in _groups(seg)])
    for segment in binary["segments"]:
        assert frames[of_frame == segment["number"]].sum() == segment["voxels"]
    assert [item.SegmentNumber for item in labelmap.SegmentSequence] == [one["number"] for one in whole["segments"]]
    counted = np.bincount(labels.reshape(-1), minlength=len(whole["segments"]) + 1)
    assert counted[1:].tolist() == [segment["voxels"] for segment in whole["segments"]]
    organs = [segment["label"] for segment in whole["segments"] if segment["lesion"] is None]
    assert {"Liver", "Spleen", "Kidneys", "Bones"} <= set(organs)
    assert whole["segments"][: len(binary["segments"])] == binary["segments"]
    assert labelmap.PixelPaddingValue == 0


def test_segments_are_described() -> None:
    one, _, (seg,) = _made("ct-abdomen", "seg")
    source, _ = _source(one)
    for item, mask in zip(seg.SegmentSequence, imaged.masks(one, source), strict=True):
        assert item.SegmentAlgorithmType == "AUTOMATIC"
        assert item.TrackingUID == tracking.tracking_uid(one, source.region, mask.index)
        assert item.TrackingID.startswith(mask.lesion.kind)
        assert item.SegmentedPropertyTypeCodeSequence[0].CodingSchemeDesignator == "SCT"


def test_a_lesion_has_the_same_tracking_uid_in_all_studies_of_its_patient() -> None:
    def tracked(one: ResolvedStudy) -> dict[str, str]:
        source, _ = _source(one)
        found = [mask.index for mask in imaged.masks(one, source)]
        return {
            tracking.tracking_id(one, source.region, index): tracking.tracking_uid(one, source.region, index)
            for index in found
        }

    first, later = tracked(_study("ct-abdomen")), tracked(_study("ct-abdomen", seed=99, study_date="20260301"))
    pet, other = tracked(_study("pt-body")), tracked(_study("ct-abdomen", patient=Patient("A^B", "SYN-8")))
    assert first == later
    both = first.keys() & pet.keys()
    assert {name: first[name] for name in both} == {name: pet[name] for name in both} != {}
    assert not set(first.values()) & set(other.values())
    assert len(set(pet.values())) == len(pet)


def test_what_lies_between_slices_has_no_segment() -> None:
    one, images, (seg, labelmap, drawn) = _made("ct-chest", "seg", "seg-labelmap", "rt-struct", slices=2)
    segmented, _, outlined = _truths(one)
    assert [segment["lesion"] for segment in segmented["segments"]] == [None] * len(seg.SegmentSequence)  # organs
    assert seg.pixel_array.any(axis=(1, 2)).all()
    assert int(labelmap.NumberOfFrames) == len(images)
    assert {roi["lesion"] for roi in outlined["rois"]} == {None}
    assert all("ContourSequence" in roi for roi in drawn.ROIContourSequence)


def test_a_lesion_that_is_smaller_than_a_voxel_has_the_one_that_it_lies_in() -> None:
    kinds = ("pt-body", "seg", "sr-measurements")
    seg, report = _truths(study(*kinds, slices=60, patient=Patient("A^B", "SYN-4"), course_months=36))
    voxels = {one["lesion"]: one["voxels"] for one in seg["segments"]}
    assert voxels[5] == 1
    assert voxels.keys() == {one["lesion"] for one in report["measurements"]}


@pytest.mark.parametrize("slices", [4, 12, 40])
def test_segments_outlines_measurements_and_truth_have_the_same_lesions(slices: int) -> None:
    one = _study("ct-abdomen", "seg", "sr-measurements", "rt-struct", slices=slices, course_months=14)
    found = truth(one)
    seg, report, drawn = (one["says"] for one in found["objects"])
    (region,) = found["regions"]
    shown = {index for index, lesion in enumerate(region["lesions"]) if lesion["sections"]}
    assert {one["lesion"] for one in seg["segments"]} - {None} == shown
    assert {one["lesion"] for one in report["measurements"]} == shown
    assert {one["lesion"] for one in drawn["rois"]} - {None} == shown


def test_when_all_lesions_are_gone_organs_are_segmented() -> None:
    several = (_study("ct-chest", "seg", patient=Patient("A^B", f"SYN-{n}"), course_months=600) for n in range(200))
    one = next(one for one in several if not regions.body(one, "chest").lesions)
    *_, seg = (read(instance) for instance in fabricate(one, workers=2))
    (truth,) = _truths(one)
    assert "Lungs" in [item.SegmentLabel for item in seg.SegmentSequence]
    assert [segment["lesion"] for segment in truth["segments"]] == [None] * len(seg.SegmentSequence)
    assert seg.pixel_array.sum() == sum(segment["voxels"] for segment in truth["segments"]) > 0


@pytest.mark.parametrize("colour", [(230, 60, 40), (0, 170, 220), (241, 214, 145), (0, 0, 0), (255, 255, 255)])
def test_colours_are_those_that_viewers_show(colour: tuple[int, int, int]) -> None:
    shown = segments._colour([float(value) for value in structures.cielab(colour)])
    assert np.abs(np.array([int(shown[n : n + 2], 16) for n in (1, 3, 5)]) - colour).max() <= 2


@pytest.mark.parametrize("syntax", ["implicit", "big-endian", "deflated"])
def test_objects_are_the_same_in_every_native_transfer_syntax(syntax: str) -> None:
    kinds = ("ct-head", "seg", "rt-struct", "rt-dose")
    _, _, usual = _made(*kinds, slices=5)
    other = [read(instance) for instance in fabricate(_study(*kinds, slices=5, transfer_syntax=syntax), workers=1)][-3:]
    assert np.array_equal(usual[0].pixel_array, other[0].pixel_array)
    assert np.array_equal(usual[2].pixel_array, other[2].pixel_array)
    contours = [item.ROIContourSequence[1].ContourSequence[0].ContourData for item in (usual[1], other[1])]
    assert contours[0] == contours[1]


# Radiotherapy


def _inside(points: NDArray[np.float64], polygon: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether points (n, 2) lie inside a polygon: an odd number of its sides is crossed."""
    x, y = points[:, 0, None], points[:, 1, None]
    ax, ay = polygon[:, 0], polygon[:, 1]
    bx, by = np.roll(ax, -1), np.roll(ay, -1)
    with np.errstate(divide="ignore", invalid="ignore"):
        crossed = ((ay > y) != (by > y)) & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
    return np.asarray(crossed.sum(axis=1) % 2 == 1)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.data())
def test_outlines_enclose_what_cannot_be_reached_from_outside(rows: int, columns: int, data: st.DataObject) -> None:
    bits = data.draw(st.lists(st.booleans(), min_size=rows * columns, max_size=rows * columns))
    mask = np.array(bits).reshape(rows, columns)
    polygons = outlines(mask)
    points = np.argwhere(np.ones_like(mask)).astype(float)
    within = np.zeros(len(points), np.int64)
    for polygon in polygons:
        assert area(polygon) > 0
        within += _inside(points, polygon)
    assert np.array_equal(within.reshape(mask.shape) > 0, ~_reached(mask))


def _reached(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What is not in the mask, and is reached from outside, by corners as well."""
    free = np.pad(~mask, 1, constant_values=True)
    reached = np.zeros_like(free)
    reached[0, 0] = True
    while True:
        grown = reached.copy()
        for down in (-1, 0, 1):
            for along in (-1, 0, 1):
                grown |= np.roll(reached, (down, along), (0, 1))
        grown &= free
        if np.array_equal(grown, reached):
            return reached[1:-1, 1:-1]
        reached = grown


def _contours(struct: Dataset, number: int) -> list[Dataset]:
    item = next(one for one in struct.ROIContourSequence if one.ReferencedROINumber == number)
    return list(item.get("ContourSequence", ()))


def _polygon(contour: Dataset) -> NDArray[np.float64]:
    points: Sequence[float] = contour.ContourData
    assert len(points) == 3 * contour.NumberOfContourPoints
    return np.array([float(value) for value in points]).reshape(-1, 3)


def test_contours_lie_on_their_slices_and_enclose_the_lesions() -> None:
    one, images, (struct,) = _made("ct-abdomen", "rt-struct")
    heights = {image.SOPInstanceUID: float(image.ImagePositionPatient[2]) for image in images}
    referenced = struct.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    assert [item.ReferencedSOPInstanceUID for item in referenced.ContourImageSequence] == list(heights)
    assert referenced.SeriesInstanceUID == images[0].SeriesInstanceUID
    (truth,) = _truths(one)
    source, body = _source(one)
    assert [roi["type"] for roi in truth["rois"]][:2] == ["EXTERNAL", "ORGAN"]
    assert len({roi["number"] for roi in truth["rois"]}) == len(struct.StructureSetROISequence)
    for roi in truth["rois"]:
        contours = _contours(struct, roi["number"])
        assert len(contours) == roi["contours"]
        for contour in contours:
            polygon = _polygon(contour)
            assert set(polygon[:, 2]) == {heights[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]}
        if roi["lesion"] is not None and contours:
            lesion = body.lesions[roi["lesion"]]
            middle = min(contours, key=lambda one: abs(_polygon(one)[0, 2] - lesion.centre_mm[2]))
            assert _inside(np.array([lesion.centre_mm[:2]]), _polygon(middle)[:, :2])[0]
            mask = next(one for one in imaged.masks(one, source) if one.index == roi["lesion"])
            if mask.count > 300:
                assert roi["volume_mm3"] == pytest.approx(mask.count * source.voxel_mm3, rel=0.05)
    external = truth["rois"][0]
    assert external["contours"] >= len(images)
    assert external["volume_mm3"] > sum(roi["volume_mm3"] for roi in truth["rois"][1:])


def test_a_plan_aims_at_the_largest_lesion_and_refers_to_its_structure_set() -> None:
    one, _, (struct, plan, dose) = _made("ct-abdomen", "rt-struct", "rt-plan", "rt-dose")
    _, planned, dosed = _truths(one)
    source, body = _source(one)
    largest = max(imaged.masks(one, source), key=lambda mask: np.prod(mask.lesion.radii_mm))
    assert planned["lesion"] == largest.index
    assert planned["isocentre_mm"] == pytest.approx(body.lesions[largest.index].centre_mm, abs=0.01)
    assert plan.RTPlanGeometry == "PATIENT"
    assert plan.ReferencedStructureSetSequence[0].ReferencedSOPInstanceUID == struct.SOPInstanceUID
    assert planned["structure_set"] == struct.SOPInstanceUID
    target = plan.DoseReferenceSequence[0].ReferencedROINumber
    observed = next(item for item in struct.RTROIObservationsSequence if item.ReferencedROINumber == target)
    assert observed.RTROIInterpretedType == "GTV"
    assert [beam.ControlPointSequence[0].GantryAngle for beam in plan.BeamSequence] == [0, 90, 180, 270]
    for beam in plan.BeamSequence:
        assert [float(v) for v in beam.ControlPointSequence[0].IsocenterPosition] == planned["isocentre_mm"]
        assert len(beam.ControlPointSequence) == beam.NumberOfControlPoints
    group = plan.FractionGroupSequence[0]
    given = sum(beam.BeamDose for beam in group.ReferencedBeamSequence) * group.NumberOfFractionsPlanned
    assert given == pytest.approx(planned["prescribed_gy"], abs=0.001)
    assert plan.DoseReferenceSequence[0].TargetPrescriptionDose == planned["prescribed_gy"]
    assert dose.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == plan.SOPInstanceUID == dosed["plan"]
    assert dose.DoseSummationType == "PLAN"
    assert dosed["isocentre_mm"] == planned["isocentre_mm"]


def test_without_structure_set_and_plan_there_is_nothing_to_refer_to() -> None:
    _, _, (plan,) = _made("ct-head", "rt-plan", slices=3)
    assert plan.RTPlanGeometry == "TREATMENT_DEVICE"
    assert "ReferencedStructureSetSequence" not in plan
    assert plan.DoseReferenceSequence[0].DoseReferenceStructureType == "COORDINATES"
    _, _, (dose,) = _made("ct-head", "rt-dose", slices=3)
    assert dose.DoseSummationType == "PLAN_OVERVIEW"
    assert "ReferencedRTPlanSequence" not in dose


@pytest.mark.parametrize("kind", ["ct-abdomen", "ct-chest", "ct-head"])
def test_the_isocentre_has_the_prescribed_dose_and_it_falls_off(kind: str) -> None:
    one, images, (dose,) = _made(kind, "rt-dose", slices=20)
    (truth,) = _truths(one)
    values = dose.pixel_array * float(dose.DoseGridScaling)
    frame, row, column = truth["isocentre"]
    assert values[frame, row, column] == pytest.approx(truth["prescribed_gy"], abs=truth["scaling_gy"])
    start = np.array([float(value) for value in dose.ImagePositionPatient])
    steps = (column * dose.PixelSpacing[1], row * dose.PixelSpacing[0], dose.GridFrameOffsetVector[frame])
    assert start + [float(step) for step in steps] == pytest.approx(truth["isocentre_mm"], abs=0.011)
    assert dose.FrameOfReferenceUID == images[0].FrameOfReferenceUID
    assert len(dose.GridFrameOffsetVector) == len(values)
    assert values.max() < 1.3 * truth["prescribed_gy"]
    assert values[frame].max() > 10 * values[0].max() or frame == 0
    corners = values[:, [0, 0, -1], [0, -1, 0]]
    assert corners.max() == 0  # air
    assert np.median(values[values > 0]) < 0.2 * truth["prescribed_gy"]
