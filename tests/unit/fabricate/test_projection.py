"""Radiographs, mammograms, tomosynthesis and cine: what is in them, where, and what they say about it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset

from dicomfab.fabricate.anatomy import breast, knee
from dicomfab.fabricate.anatomy.body import Lesion, person
from dicomfab.fabricate.anatomy.coronaries import build_coronaries
from dicomfab.fabricate.anatomy.regions import build_breast
from dicomfab.fabricate.anatomy.thorax import build_thorax
from dicomfab.fabricate.anatomy.tissue import Tissue
from dicomfab.fabricate.render import angio, dbt, dx, mg, swallow
from dicomfab.fabricate.render.projection import blurred
from dicomfab.fabricate.study import count, fabricate
from dicomfab.model.study import Patient
from tests.unit.fabricate.studies import encoded, read, study

WOMAN = Patient("Doe^Jane", "SYN2", "19700101", "F")
KINDS = ("cr-chest", "cr-knee", "dx-processing", "mg-screening", "dbt-screening:2", "xa-cine:3", "rf-swallow:2")


@pytest.fixture(scope="module")
def instances() -> dict[str, list[Dataset]]:
    made: dict[str, list[Dataset]] = {}
    for kind in KINDS:
        name = kind.partition(":")[0]
        made[name] = [read(instance) for instance in fabricate(study(kind, seed=8, patient=WOMAN))]
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_recipe_gives_the_same_bytes_on_any_number_of_workers(kind: str) -> None:
    made = study(kind, patient=WOMAN)
    one = [encoded(instance) for instance in fabricate(made, workers=1)]
    two = [encoded(instance) for instance in fabricate(made, workers=2)]
    assert one == two
    assert len(one) == count(made)


def test_they_are_what_they_say(instances: dict[str, list[Dataset]]) -> None:
    assert [(ds.Modality, ds.BodyPartExamined) for ds in instances["cr-chest"]] == [("CR", "CHEST")]
    assert [ds.ViewPosition for ds in instances["mg-screening"]] == ["CC", "CC", "MLO", "MLO"]
    assert [ds.ImageLaterality for ds in instances["mg-screening"]] == ["R", "L", "R", "L"]
    assert [ds.NumberOfFrames for ds in instances["dbt-screening"]] == [2, 2]
    assert {ds.ImageLaterality for ds in instances["cr-knee"]} == {
        knee.affected(study("cr-knee", patient=WOMAN).body_seed)
    }
    (cine,) = instances["xa-cine"]
    assert (cine.Rows, cine.Columns, cine.BitsAllocated, cine.NumberOfFrames) == (512, 512, 8, 3)


def test_every_series_of_two_views_is_its_own(instances: dict[str, list[Dataset]]) -> None:
    for kind, views in (("cr-knee", 2), ("mg-screening", 4), ("dbt-screening", 2)):
        assert len({ds.SeriesInstanceUID for ds in instances[kind]}) == views
        assert [ds.SeriesNumber for ds in instances[kind]] == list(range(1, views + 1))


def test_cine_runs_cover_the_same_time_with_fewer_frames() -> None:
    for frames, rate in ((30, 15), (4, 2), (60, 15)):
        ds = read(next(fabricate(study(f"xa-cine:{frames}"))))
        assert ds.NumberOfFrames == frames
        assert ds.CineRate == rate
        assert frames * float(ds.FrameTime) >= 1999
        assert ds[ds.FrameIncrementPointer].keyword == "FrameTime"


def test_raw_images_are_linear_and_without_a_mark(instances: dict[str, list[Dataset]]) -> None:
    (ds,) = instances["dx-processing"]
    pixels = ds.pixel_array
    assert ds.PresentationIntentType == "FOR PROCESSING"
    assert (ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign) == ("LIN", 1)
    corner = pixels[10:80, 10:400].astype(float)  # where a picture for presentation has its mark
    assert corner.std() < 0.03 * corner.mean()
    assert pixels[:, :60].mean() > 5 * np.median(pixels[900:1100, 1150:1250])  # open beam, and the spine


def test_a_plate_of_the_chest_is_the_negative_of_a_picture(instances: dict[str, list[Dataset]]) -> None:
    (ds,) = instances["cr-chest"]
    assert (ds.PhotometricInterpretation, ds.PresentationLUTShape) == ("MONOCHROME1", "INVERSE")
    pixels = ds.pixel_array
    assert pixels[900:1100, 20:60].mean() > pixels[900:1100, 1150:1250].mean() + 1500  # air is shown dark


@pytest.mark.parametrize("seed", [1, 3])
def test_nodules_absorb(seed: int) -> None:
    thorax = build_thorax(seed, "M", "hips")
    counts = np.log(np.maximum(dx.raw(thorax.scene, dx.PA, seed, 2), 1).astype(float))
    lesion = max(thorax.lesions, key=lambda one: one.radii_mm[0])
    x, _, z = lesion.centre_mm
    row, column = (dx.PA.beam.top_mm - z) / dx.PIXEL_MM, (x - dx.PA.beam.left_mm) / dx.PIXEL_MM
    assert contrast(counts, row, column, lesion.radii_mm[0] / dx.PIXEL_MM) < -0.02


def contrast(image: NDArray[np.float64], row: float, column: float, radius: float) -> float:
    """Mean within two thirds of a circle less the mean of the ring around it."""
    rows, columns = np.ogrid[: image.shape[0], : image.shape[1]]
    away = np.hypot(rows - row, columns - column)
    inside, around = image[away < radius * 0.67], image[(away > radius * 1.3) & (away < radius * 2)]
    return float(inside.mean() - around.mean())


def test_bones_of_the_knee_are_bright_and_the_joint_space_is_not(instances: dict[str, list[Dataset]]) -> None:
    pixels = instances["cr-knee"][0].pixel_array.astype(float)
    middle = pixels[:, 800:1100]
    shaft, air = middle[200:400].mean(), pixels[600:1800, 5:40].mean()
    assert shaft > air + 1000
    assert instances["cr-knee"][0].PatientOrientation == ["L", "F"]


def exposed(seed: int, side: breast.Side, view: breast.View) -> tuple[breast.Pressed, mg.Exposure]:
    each = {(s, v): breast.Pressed.draw(person(seed, "F"), seed, s, v) for s in ("L", "R") for v in ("CC", "MLO")}
    return each[side, view], mg.Exposure.of(each[side, view], large=mg.large(each.values()))


def on_mammogram(exposure: mg.Exposure, lesion: Lesion) -> tuple[float, float]:
    row = (lesion.centre_mm[0] - exposure.left_mm) / exposure.pixel_mm
    column = (lesion.centre_mm[1] - exposure.front_mm) / exposure.pixel_mm
    return (row, column) if exposure.side == "R" else (mg.ROWS - row, mg.COLUMNS - column)


def first_seed(tissue: Tissue) -> int:
    """The first seed whose breast is not dense and has such a lesion."""
    for seed in range(1, 60):
        side = breast.affected(seed)
        lesions = build_breast(seed, "F", side, "CC").lesions
        if breast.density(seed) in "ab" and any(lesion.tissue == tissue for lesion in lesions):
            return seed
    raise AssertionError("no seed has such a lesion")


@pytest.mark.parametrize("view", ["CC", "MLO"])
def test_calcifications_are_bright_specks(view: breast.View) -> None:
    seed = first_seed(Tissue.CALCIFICATION)
    side = breast.affected(seed)
    pressed, exposure = exposed(seed, side, view)
    body = build_breast(seed, "F", side, view)
    (lesion,) = (one for one in body.lesions if one.tissue == Tissue.CALCIFICATION)
    pixels = mg.mammogram(body, exposure, seed, 2).astype(float)
    row, column = (round(value) for value in on_mammogram(exposure, lesion))
    reach = round(lesion.radii_mm[0] / exposure.pixel_mm)
    part = pixels[row - reach : row + reach, column - reach : column + reach]
    specks = part - blurred(part, 8) > 350
    assert 20 < specks.sum() < 0.2 * specks.size
    assert pressed.side == side


def test_a_mass_is_brighter_than_what_is_around_it() -> None:
    seed = first_seed(Tissue.BREAST_MASS)
    side = breast.affected(seed)
    _, exposure = exposed(seed, side, "CC")
    body = build_breast(seed, "F", side, "CC")
    lesion = next(one for one in body.lesions if one.tissue == Tissue.BREAST_MASS)
    pixels = mg.mammogram(body, exposure, seed, 2).astype(float)
    row, column = on_mammogram(exposure, lesion)
    assert contrast(pixels, row, column, lesion.radii_mm[0] / exposure.pixel_mm) > 100


def test_breasts_lie_at_their_own_edge(instances: dict[str, list[Dataset]]) -> None:
    for ds in instances["mg-screening"]:
        pixels = ds.pixel_array
        left, right = (pixels[1000:2500, at] > 0 for at in (3, -3))
        assert (right if ds.ImageLaterality == "R" else left).mean() > 0.7
        assert (left if ds.ImageLaterality == "R" else right).mean() < 0.01
        assert ds.PatientOrientation[0] == ("P" if ds.ImageLaterality == "R" else "A")
        assert ds.PixelPaddingValue == 0
        assert (pixels == 0).mean() > 0.2


def test_the_pectoral_muscle_is_in_the_oblique_views_only(instances: dict[str, list[Dataset]]) -> None:
    for ds in instances["mg-screening"]:
        corner = ds.pixel_array[:500, -150:] if ds.ImageLaterality == "R" else ds.pixel_array[:500, :150]
        muscle = (corner > 2500).mean()
        assert muscle > 0.3 if ds.ViewPosition == "MLO" else muscle < 0.3


def test_tomosynthesis_shows_calcifications_in_their_plane_only() -> None:
    seed = first_seed(Tissue.CALCIFICATION)
    side = breast.affected(seed)
    pressed, exposure = exposed(seed, side, "MLO")
    body = build_breast(seed, "F", side, "MLO")
    (lesion,) = (one for one in body.lesions if one.tissue == Tissue.CALCIFICATION)
    planes = list(dbt.planes(body, exposure, pressed.thickness_mm, 24, seed, 2))
    heights = np.array(dbt.heights_mm(pressed.thickness_mm, 24))
    row, column = (round(value / dbt.BINNING) for value in on_mammogram(exposure, lesion))
    reach = round(lesion.radii_mm[0] / exposure.pixel_mm / dbt.BINNING)
    brightest = np.array([plane[row - reach : row + reach, column - reach : column + reach].max() for plane in planes])
    away = np.abs(heights - lesion.centre_mm[2])
    assert brightest[away < lesion.radii_mm[2] * 0.6].max() > 3500
    assert brightest[(away > 10) & (np.abs(heights) < pressed.thickness_mm / 2 - 4)].max() < 3500


def test_tomosynthesis_planes_are_a_stack_along_the_beam(instances: dict[str, list[Dataset]]) -> None:
    for ds in instances["dbt-screening"]:
        shared = ds.SharedFunctionalGroupsSequence[0]
        orientation = [float(value) for value in shared.PlaneOrientationSequence[0].ImageOrientationPatient]
        rows, columns = np.array(orientation[:3]), np.array(orientation[3:])
        assert abs(rows @ columns) < 1e-6
        side = shared.FrameAnatomySequence[0].FrameLaterality
        assert rows[1] == (1 if side == "R" else -1)
        corners = [
            np.array([float(value) for value in frame.PlanePositionSequence[0].ImagePositionPatient])
            for frame in ds.PerFrameFunctionalGroupsSequence
        ]
        step = corners[1] - corners[0]
        assert abs(step @ rows) < 1e-3
        assert abs(step @ columns) < 1e-3
        spacing = float(shared.PixelMeasuresSequence[0].SpacingBetweenSlices)
        assert np.linalg.norm(step) == pytest.approx(spacing, abs=1e-3)


@pytest.fixture(scope="module")
def run() -> tuple[NDArray[np.float64], angio.Run]:
    made = angio.Run(30, 1 / 15)
    thorax, tree = build_thorax(5, "M", "up"), build_coronaries(5, "M")
    return np.array(list(angio.frames(thorax.scene, tree, made, 5, 2)), float), made


def along(frames: NDArray[np.float64], made: angio.Run, number: int, vessel: int) -> NDArray[np.float64]:
    """The values of a frame along a vessel of the tree, where it is at that time."""
    tree = build_coronaries(5, "M")
    points = angio.beaten(tree.vessels[vessel].points, tree, angio.contraction(number * made.frame_s))
    places, _ = angio.c_arm(tree).seen(points)
    columns, rows = np.rint(places.T).astype(int)
    return frames[number, rows, columns]


def test_vessels_fill_and_empty(run: tuple[NDArray[np.float64], angio.Run]) -> None:
    frames, made = run
    # Frames 0, 12 and 25 are in the same phase of the beat.
    before, full = along(frames, made, 0, 1), along(frames, made, 25, 1)
    assert full.mean() < before.mean() - 10
    filling = [angio.filling(np.array([10.0, 120.0]), time) for time in (0.1, 0.5, 1.2, 4.0)]
    assert filling[0].max() == 0
    assert filling[1][0] > filling[1][1]
    assert filling[2].min() == 1
    assert filling[3].max() < 0.2


def test_a_stenosis_is_narrow(run: tuple[NDArray[np.float64], angio.Run]) -> None:
    frames, made = run
    tree = build_coronaries(5, "M")
    (lesion,) = tree.lesions
    descending = tree.vessels[1]
    place = int(np.linalg.norm(descending.points - lesion.centre_mm, axis=1).argmin())
    assert descending.radii_mm[place] < 0.45 * descending.radii_mm[place - 12]
    darkening = along(frames, made, 0, 1) - along(frames, made, 25, 1)
    assert darkening[place - 1 : place + 2].mean() < darkening[place - 14 : place - 9].mean()


def test_the_heart_beats() -> None:
    times = np.arange(0, 60 / angio.HEART_RATE, 0.01)
    squeeze = np.array([angio.contraction(float(time)) for time in times])
    assert squeeze.min() == 0
    assert squeeze.max() > 0.99
    tree = build_coronaries(5, "M")
    moved = angio.beaten(tree.vessels[2].points, tree, 1.0) - tree.vessels[2].points
    assert 3 < np.linalg.norm(moved, axis=1).max() < 20


def test_a_bolus_runs_down() -> None:
    thorax = build_thorax(5, "M", "up")
    frames = [frame.astype(float) for frame in swallow.frames(thorax.scene, angio.Run(10, 0.4), (5, "M"), 5, 2)]
    heads = []
    for frame in frames[2:8]:
        dark = frames[0] - frame > 60
        heads.append(np.nonzero(dark.sum(axis=1) > 8)[0].max())
    assert heads == sorted(heads)
    assert heads[-1] - heads[0] > 300


def test_c_arms_project_to_where_geometry_says() -> None:
    arm = swallow.c_arm()
    places, scale = arm.seen(np.array([arm.isocentre_mm, np.array(arm.isocentre_mm) + (0, 0, 90.0)]))
    assert places[0] == pytest.approx([511.5, 511.5])
    assert scale[0] * arm.pixel_mm == pytest.approx(arm.magnification)
    assert places[1][1] == pytest.approx(511.5 - 90 * arm.magnification / arm.pixel_mm)
