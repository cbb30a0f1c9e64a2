"""PET and nuclear medicine: attributes that agree with each other, and pixels that agree with the body."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from itertools import islice

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.datadict import keyword_for_tag

from dicomfab.fabricate.anatomy.body import Lesion, person
from dicomfab.fabricate.anatomy.regions import build
from dicomfab.fabricate.anatomy.scene import Grid
from dicomfab.fabricate.anatomy.tissue import Tissue
from dicomfab.fabricate.people import age_years, physique
from dicomfab.fabricate.recipe import ResolvedStudy, SeriesRecipe, StudyRecipe
from dicomfab.fabricate.render import emission, nm, nm_heart, pet
from dicomfab.fabricate.study import fabricate
from dicomfab.model.study import Patient
from tests.unit.fabricate.studies import encoded, read, resolved

SEED = 7
COUNTS = {"pt-body": 3, "pt-enhanced": 3, "nm-bone": None, "nm-static": None, "nm-tomo": 3, "nm-gated": 2}


def study(kind: str, count: int | None, **values: object) -> ResolvedStudy:
    return resolved(StudyRecipe((SeriesRecipe(kind, count),), **{"seed": SEED, **values}))  # type: ignore[arg-type]


def made(kind: str, count: int | None, **values: object) -> list[Dataset]:
    return [read(instance) for instance in fabricate(study(kind, count, **values), workers=2)]


@pytest.fixture(scope="module")
def slices() -> list[Dataset]:
    return made("pt-body", 24)


def moment(date: str, time: str) -> dt.datetime:
    return dt.datetime.strptime(date + time, "%Y%m%d%H%M%S.%f").replace(tzinfo=dt.UTC)


def suv_factor(ds: Dataset) -> float:
    """SUV by body weight of a Bq/ml, by the recipe of QIBA for DecayCorrection START."""
    assert ds.Units == "BQML"
    assert {"DECY", "ATTN"} <= set(ds.CorrectedImage)
    assert ds.DecayCorrection == "START"
    given = ds.RadiopharmaceuticalInformationSequence[0]
    start = moment(ds.SeriesDate, ds.SeriesTime)
    injected = dt.datetime.strptime(given.RadiopharmaceuticalStartDateTime, "%Y%m%d%H%M%S.%f").replace(tzinfo=dt.UTC)
    waited_s = (start - injected).total_seconds()
    assert 50 * 60 < waited_s < 70 * 60
    left_bq = float(given.RadionuclideTotalDose) * 2 ** (-waited_s / float(given.RadionuclideHalfLife))
    return float(ds.PatientWeight) * 1000 / left_bq


def suv(ds: Dataset) -> NDArray[np.float64]:
    values = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
    return np.asarray(values * suv_factor(ds))


@pytest.mark.parametrize(("kind", "count"), COUNTS.items())
def test_the_same_recipe_gives_the_same_bytes_on_any_number_of_workers(kind: str, count: int | None) -> None:
    one, two = ([encoded(i) for i in fabricate(study(kind, count), workers=n)] for n in (1, 2))
    assert one == two
    assert len(one) == (count if kind == "pt-body" else 1)


def test_pet_slices_are_a_regular_stack(slices: list[Dataset]) -> None:
    first = slices[0]
    heights = [float(ds.ImagePositionPatient[2]) for ds in slices]
    np.testing.assert_allclose(np.diff(heights), -float(first.SpacingBetweenSlices), atol=1e-3)
    assert [ds.ImageIndex for ds in slices] == [int(ds.InstanceNumber) for ds in slices] == list(range(1, 25))
    assert {ds.NumberOfSlices for ds in slices} == {24}
    assert {ds.FrameOfReferenceUID for ds in slices} == {study("pt-body", 24).uid("frame-of-reference", "whole")}
    corner = [float(value) for value in first.ImagePositionPatient[:2]]
    assert corner == [-(pet.MATRIX - 1) / 2 * pet.PIXEL_MM] * 2
    assert "BurnedInAnnotation" in first
    assert all(ds.pixel_array[:12, :60].max() < 300 for ds in slices)  # no mark: SUV below 0.3 beside the body


def test_pet_times_and_decay_agree(slices: list[Dataset]) -> None:
    start = moment(slices[0].SeriesDate, slices[0].SeriesTime)
    rate = math.log(2) / float(slices[0].RadiopharmaceuticalInformationSequence[0].RadionuclideHalfLife)
    offsets = []
    for ds in slices:
        began_s = (moment(ds.AcquisitionDate, ds.AcquisitionTime) - start).total_seconds()
        length_s, reference_s = float(ds.ActualFrameDuration) / 1000, float(ds.FrameReferenceTime) / 1000
        assert began_s <= reference_s <= began_s + length_s
        assert float(ds.DecayFactor) == pytest.approx(math.exp(rate * reference_s), rel=1e-5)
        counted = rate * length_s * math.exp(rate * began_s) / (1 - math.exp(-rate * length_s))
        assert float(ds.DecayFactor) == pytest.approx(counted, rel=1e-5)
        offsets.append(began_s)
    assert min(offsets) == 0
    assert offsets == sorted(offsets, reverse=True)  # from the feet upwards
    assert len(set(offsets)) > 3


@pytest.mark.parametrize("time", ["000500", "235930"])
def test_pet_dates_follow_over_midnight(time: str) -> None:
    ds = made("pt-body", 2, study_time=time)[0]
    suv_factor(ds)
    assert moment(ds.AcquisitionDate, ds.AcquisitionTime) >= moment(ds.SeriesDate, ds.SeriesTime)
    days = (ds.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartDateTime[:8], ds.AcquisitionDate)
    assert days == (("20260130", "20260131") if time == "000500" else ("20260131", "20260201"))


def test_suv_of_the_liver_by_the_attributes_alone(slices: list[Dataset]) -> None:
    body = build("whole", SEED, slices[0].PatientSex)
    expected = pet.tracer(body, SEED).tissues[Tissue.LIVER]
    found = []
    for ds in slices:
        x, y, z = (float(value) for value in ds.ImagePositionPatient)
        size, step = int(ds.Rows), float(ds.PixelSpacing[0])
        grid = Grid((x, y, z + 6.0), (step, step, -6.0), (3, size, size))
        liver = (body.scene.voxels(grid) == Tissue.LIVER).all(axis=0)
        inner = np.logical_and.reduce([np.roll(liver, (j, i), (0, 1)) for j in (-3, 0, 3) for i in (-3, 0, 3)])
        found.append(suv(ds)[inner])
    values = np.concatenate(found)
    assert values.size > 500
    assert values.mean() == pytest.approx(expected, rel=0.03)
    assert 0.05 < values.std() / values.mean() < 0.2


def lesions(tissue: Tissue, wanted: Callable[[Lesion], bool]) -> list[tuple[int, Lesion]]:
    """The first three of that kind among the first people."""
    every = ((seed, one) for seed in range(1, 30) for one in build("whole", seed, "M").lesions if one.tissue == tissue)
    found = list(islice((pair for pair in every if wanted(pair[1])), 3))
    assert len(found) == 3
    return found


@pytest.mark.parametrize("tissue", [Tissue.METASTASIS, Tissue.LIVER_METASTASIS])
def test_lesions_are_hot_in_pet(tissue: Tissue) -> None:
    candidates = lesions(tissue, lambda lesion: min(lesion.radii_mm) > 6 and lesion.centre_mm[2] > -600)
    for seed, lesion in candidates:
        body = build("whole", seed, "M")
        x, y, z = lesion.centre_mm
        stack = emission.Stack(z + 3.0, 3.0, 3, pet.MATRIX, pet.PIXEL_MM)
        middle = list(pet.slices(body, stack, seed, 1))[1] / pet.STORED_PER_SUV
        places = stack.corner_mm + np.arange(pet.MATRIX) * pet.PIXEL_MM
        distance = np.hypot(places[None, :] - x, places[:, None] - y)
        here, around = middle[distance < 4.0].mean(), middle[(distance > 20) & (distance < 35)].mean()
        true = pet.uptake(body)[lesion]
        assert 0.45 * true < here < 1.15 * true
        assert here > 1.5 * around


def test_enhanced_pet_says_the_same_of_its_frames(slices: list[Dataset]) -> None:
    ds = made("pt-enhanced", 24)[0]
    frames = ds.PerFrameFunctionalGroupsSequence
    assert ds.NumberOfFrames == len(frames) == len(slices)
    for index, (frame, single) in enumerate(zip(frames, slices, strict=True)):
        assert frame.PlanePositionSequence[0].ImagePositionPatient == single.ImagePositionPatient
        assert frame.PETFrameCorrectionFactorsSequence[0].DecayFactor == single.DecayFactor
        content = frame.FrameContentSequence[0]
        assert content.FrameAcquisitionDateTime == single.AcquisitionDate + single.AcquisitionTime
        assert list(content.DimensionIndexValues) == [1, index + 1]
    shared = ds.SharedFunctionalGroupsSequence[0]
    mappings = {item.LUTLabel: item.RealWorldValueSlope for item in shared.RealWorldValueMappingSequence}
    slope = float(slices[0].RescaleSlope)
    assert mappings["BQML"] == float(shared.PixelValueTransformationSequence[0].RescaleSlope) == slope
    assert mappings["SUVBW"] == pytest.approx(slope * suv_factor(slices[0]), rel=1e-5)
    assert np.array_equal(ds.pixel_array, np.stack([single.pixel_array for single in slices]))


@pytest.mark.parametrize(
    ("kind", "pointers", "frames"),
    [
        ("nm-bone", ["EnergyWindowVector", "DetectorVector"], 2),
        ("nm-static", ["EnergyWindowVector", "DetectorVector"], 2),
        ("nm-tomo", ["SliceVector"], 3),
        ("nm-gated", ["RRIntervalVector", "TimeSlotVector", "SliceVector"], 16),
    ],
)
def test_vectors_of_nuclear_medicine_number_each_frame(kind: str, pointers: list[str], frames: int) -> None:
    ds = made(kind, COUNTS[kind])[0]
    increments = ds.FrameIncrementPointer
    tags = increments if isinstance(increments, (list, tuple)) or hasattr(increments, "append") else [increments]
    assert [keyword_for_tag(tag) for tag in tags] == pointers
    assert ds.NumberOfFrames == frames
    assert ds.pixel_array.shape == (frames, ds.Rows, ds.Columns)
    vectors = [np.atleast_1d(ds[keyword].value).tolist() for keyword in pointers]
    assert {len(vector) for vector in vectors} == {frames}
    tuples = list(zip(*vectors, strict=True))
    assert tuples == sorted(set(tuples))  # each combination once, the last vector running fastest
    totals = {"EnergyWindow": "EnergyWindows", "Detector": "Detectors", "Slice": "Slices"}
    totals |= {"RRInterval": "RRIntervals", "TimeSlot": "TimeSlots"}
    for keyword, vector in zip(pointers, vectors, strict=True):
        assert ds[f"NumberOf{totals[keyword.removesuffix('Vector')]}"].value == max(vector)
    assert len(ds.EnergyWindowInformationSequence) == ds.NumberOfEnergyWindows
    assert len(ds.DetectorInformationSequence) == ds.NumberOfDetectors


def test_the_gated_heart_beats() -> None:
    ds = made("nm-gated", 8)[0]
    pixels = ds.pixel_array.reshape(ds.NumberOfTimeSlots, ds.NumberOfSlices, ds.Rows, ds.Columns)
    column, row = (round(value) for value in nm_heart.MIDDLE)
    cavity = pixels[:, 4, row - 1 : row + 1, column - 1 : column + 1].mean(axis=(1, 2))
    # The closing cavity fills with the blur of its wall.
    assert cavity.argmax() == nm_heart.CYCLE.index(1.0)
    wall = pixels[0, 4, row - 8 : row + 9, column - 8 : column + 9].max()
    assert wall > 3 * cavity[0]


def test_the_short_axis_lies_in_patient_coordinates() -> None:
    view = nm_heart.ShortAxis.of(person(SEED, "M"), 9)
    axes = np.array((view.row, view.column, view.normal))
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(np.cross(view.row, view.column), view.normal, atol=1e-12)
    assert axes[0, 0] > 0.3  # a row runs to the lateral wall, on the patient's left
    assert axes[1, 2] < -0.5  # a column runs down
    step = np.subtract(view.position_mm(1), view.position_mm(0))
    np.testing.assert_allclose(step, nm_heart.VOXEL_MM * axes[2], atol=1e-9)
    body = build("chest", SEED, "M")
    assert body.scene.label_at(*view.centre_mm) == Tissue.BLOOD
    assert body.scene.label_at(*view.point_mm(0.0, 0.0, -42.0 * view.scale)) == Tissue.MYOCARDIUM  # the apex


def test_metastases_are_hot_in_the_bone_scan() -> None:
    for seed, lesion in lesions(Tissue.METASTASIS, lambda one: min(one.radii_mm) > 5 and abs(one.centre_mm[0]) > 30):
        body = build("whole", seed, "M")
        tracer = emission.Tracer(nm.BONE, list(nm.bone_uptake(body).values()))
        camera = nm.Camera(32, 256, 2.4, 0.0, lesion.centre_mm[2] + 16 * 2.4)
        front, back = nm.planar(body, tracer, camera, 200_000, seed, 1).astype(float)
        column = round((lesion.centre_mm[0] - camera.left_mm) / 2.4)
        for view in (front, back[:, ::-1]):
            middle = view[14:19]
            hot = middle[:, column - 2 : column + 3].mean()
            other = middle[:, 253 - column : 258 - column].mean()  # the same place on the other side
            assert hot > 1.4 * other


def test_kidneys_lie_where_each_detector_sees_them() -> None:
    ds = made("nm-static", None)[0]
    front, back = ds.pixel_array[:, 40:, :].astype(float)  # below the mark
    assert back.sum() > 1.5 * front.sum()  # they lie behind
    highest = [np.argmax(view[:, columns].sum(axis=1)) for view in (back,) for columns in (np.s_[:128], np.s_[128:])]
    assert highest[0] < highest[1] + 6  # the left kidney, on the left from behind, is not the lower one
    orientations = [item.ImageOrientationPatient for item in ds.DetectorInformationSequence]
    assert [[float(value) for value in one] for one in orientations] == [[1, 0, 0, 0, 0, -1], [-1, 0, 0, 0, 0, -1]]
    codes = [item.ViewCodeSequence[0].CodeMeaning for item in ds.DetectorInformationSequence]
    assert codes == ["Anterior projection", "Posterior projection"]
    for plane in (ds.pixel_array[0], ds.pixel_array[1]):
        assert plane[1:14, 1:190].max() >= np.percentile(plane, 99)  # the mark


@pytest.mark.parametrize("sex", ["F", "M", "O"])
@pytest.mark.parametrize("seed", [1, 2, 2**62])
def test_a_person_is_as_tall_as_their_body(seed: int, sex: str) -> None:
    low, high = build("whole", seed, sex).extent_mm
    assert physique(seed, sex, None)[0] == pytest.approx((high[2] - low[2]) / 1000, abs=0.006)


def test_heavier_bodies_weigh_more_and_children_less() -> None:
    adults = [physique(seed, "M", 40) for seed in range(200)]
    index = np.array([weight / size**2 for size, weight in adults])
    fat = np.array([person(seed, "M").fat_mm for seed in range(200)])
    assert np.corrcoef(index, fat)[0, 1] > 0.9
    assert 22 < index.mean() < 27
    assert 17 < index.min() < index.max() < 36
    ages = (0, 0.5, 1, 2, 5, 10, 15, 18)
    sizes, weights = zip(*(physique(3, "F", age) for age in ages), strict=True)
    assert sizes == tuple(sorted(sizes))
    assert weights == tuple(sorted(weights))
    assert 0.45 < sizes[0] < 0.55
    assert 2.5 < weights[0] < 4.5


def test_age_in_years() -> None:
    assert age_years("", "20260131") is None
    assert age_years("19860131", "20260131") == pytest.approx(40, abs=0.01)


def test_every_series_of_a_study_says_the_same_size_and_weight() -> None:
    recipe = StudyRecipe((SeriesRecipe("pt-body", 1), SeriesRecipe("text-card"), SeriesRecipe("nm-static")), seed=5)
    found = {(ds.PatientSize, ds.PatientWeight) for ds in map(read, fabricate(resolved(recipe)))}
    assert len(found) == 1
    size, weight = found.pop()
    patient = Patient("A^B", "1", "20240131", "M")
    child = read(next(fabricate(resolved(StudyRecipe(("text-card",), seed=5, patient=patient)))))
    assert child.PatientSize < 0.6 * size
    assert child.PatientWeight < 0.3 * weight
