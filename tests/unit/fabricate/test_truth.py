"""The ground truth names every lesion of the bodies and pictures of a study."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dicomfab.fabricate.kinds import KINDS, OBJECTS
from dicomfab.fabricate.render import endoscopy, photo, slide
from dicomfab.fabricate.study import fabricate
from dicomfab.fabricate.truth import checksums_of, truth
from dicomfab.fabricate.truth_schema import Truth
from tests.unit.fabricate.studies import read, study


@pytest.mark.parametrize("kind", [kind for kind, row in KINDS.items() if row.region])
def test_lesions_have_place_size_and_value(kind: str) -> None:
    found = json.loads(json.dumps(truth(study(kind))))
    (region,) = found["regions"]
    assert region["region"] == KINDS[kind].region
    assert region["lesions"]
    for lesion in region["lesions"]:
        assert len(lesion["centre_mm"]) == len(lesion["size_mm"]) == 3
        assert min(lesion["size_mm"]) > 0
        assert lesion["hu"] > -1000
        assert lesion["suv"] >= 0


def test_the_truth_is_in_the_coordinates_of_the_instances() -> None:
    made = study("ct-chest:200")
    (region,) = truth(made)["regions"]
    nodule = max((one for one in region["lesions"]), key=lambda one: min(one["size_mm"]))
    instances = list(fabricate_near(made, nodule["centre_mm"][2]))
    assert instances[0].FrameOfReferenceUID == region["frame_of_reference_uid"]
    ds = min(instances, key=lambda one: abs(float(one.ImagePositionPatient[2]) - nodule["centre_mm"][2]))
    x, y, _ = (float(value) for value in ds.ImagePositionPatient)
    spacing = float(ds.PixelSpacing[0])
    column, row = (round((nodule["centre_mm"][axis] - start) / spacing) for axis, start in ((0, x), (1, y)))
    hu = ds.pixel_array.astype(float) + float(ds.RescaleIntercept)
    assert np.mean(hu[row - 1 : row + 2, column - 1 : column + 2]) == pytest.approx(nodule["hu"], abs=40)


def fabricate_near(made, z_mm):
    for instance in fabricate(made):
        ds = read(instance)
        if abs(float(ds.ImagePositionPatient[2]) - z_mm) < 3:
            yield ds


def test_two_studies_of_a_patient_have_the_same_lesions() -> None:
    first, second = (study("ct-chest", seed=seed, patient=study("ct-chest").patient) for seed in (1, 2))
    assert truth(first)["regions"][0]["lesions"] == truth(second)["regions"][0]["lesions"]
    assert first.study_instance_uid != second.study_instance_uid


def pictured(kind: str, **values: object) -> tuple[dict[str, Any], dict[str, NDArray[np.int16]]]:
    """The only lesion of the only series, and what it is to be seen on: SOPInstanceUID to pixels."""
    made = study(kind, **values)
    (series,) = json.loads(json.dumps(truth(made)))["series"]
    (lesion,) = series["lesions"]
    instances = [read(one) for one in fabricate(made)]
    assert {ds.SeriesInstanceUID for ds in instances} == {series["series_instance_uid"]}
    by_uid = {ds.SOPInstanceUID: ds for ds in instances}
    for image in lesion["images"]:
        assert by_uid[image["sop_instance_uid"]].InstanceNumber == image["instance_number"]
    return lesion, {uid: ds.pixel_array.astype(np.int16) for uid, ds in by_uid.items()}


def within(image: dict[str, Any], shape: tuple[int, ...], margin: float = 0.0) -> NDArray[np.bool_]:
    """The pixels of a box, with a margin that is a part of its size."""
    top, left, bottom, right = image["box"]
    high, wide = margin * (bottom - top), margin * (right - left)
    row, column = np.mgrid[0 : shape[0], 0 : shape[1]]
    return (row >= top - high) & (row <= bottom + high) & (column >= left - wide) & (column <= right + wide)


@pytest.mark.parametrize("seed", [3, *(pytest.param(seed, marks=pytest.mark.full) for seed in (4, 5))])
def test_the_polyp_is_where_the_truth_says(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lesion, pictures = pictured("es-endoscopy:3", seed=seed)
    assert lesion["kind"] == "polyp"
    assert len(set(lesion["size_mm"])) == 1
    body_seed = study("es-endoscopy:3", seed=seed).body_seed
    grown = endoscopy.Polyp.of(body_seed)
    monkeypatch.setattr(endoscopy.Polyp, "of", lambda _: dataclasses.replace(grown, radius_mm=0.01))
    healthy = list(endoscopy.images(body_seed, 3, 1))
    sizes = []
    for image in lesion["images"]:
        assert image["frames"] == [1]
        assert image["pixel_mm"] is None
        picture = pictures[image["sop_instance_uid"]]
        other = np.abs(picture - healthy[image["instance_number"] - 1]).max(axis=-1) > 12
        box, around = within(image, other.shape), within(image, other.shape, 0.3)
        assert (other & around).sum() > 0.95 * other.sum()
        assert (other & box).sum() > 0.7 * image["pixels"]
        assert 0.4 * box.sum() < image["pixels"] <= box.sum()
        sizes.append(image["pixels"])
    assert sizes == sorted(sizes)  # the camera comes nearer


def test_a_polyp_that_is_out_of_view_is_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    made = study("es-endoscopy:1")
    assert endoscopy.seen(made.body_seed, 0, 1).any()
    monkeypatch.setattr(endoscopy, "_FAR_MM", -60.0)  # the camera has passed it
    (series,) = truth(made)["series"]
    assert series["lesions"][0]["images"] == []


@pytest.mark.parametrize("seed", [3, 4])
def test_the_mole_is_where_the_truth_says(seed: int) -> None:
    lesion, pictures = pictured("vl-photo:2", seed=seed)
    across_mm, down_mm = lesion["size_mm"]
    assert [image["pixel_mm"] for image in lesion["images"]] == [0.05, 0.02]
    for image in lesion["images"]:
        picture = pictures[image["sop_instance_uid"]]
        skin = picture[: photo.SKIN_ROWS, : photo.patch_box(0)[0] - 20, 1]
        usual = np.median(skin[~within(image, skin.shape, 0.3)])
        box = within(image, skin.shape)
        dark = skin < 0.72 * usual
        assert dark[tuple(round(value) for value in image["centre"])]
        assert (dark & ~within(image, skin.shape, 0.1)).mean() < 0.05  # hairs
        rows, columns = np.nonzero(dark & box)
        top, left, bottom, right = image["box"]
        # A line of hair is thin: a side of the lesion is where many pixels of a row or a column are dark.
        assert abs(np.percentile(rows, 0.2) - top) < 0.08 * (bottom - top)
        assert abs(np.percentile(columns, 99.8) - right) < 0.08 * (right - left)
        assert (right - left) * image["pixel_mm"] == pytest.approx(across_mm, abs=0.01)
        assert (bottom - top) * image["pixel_mm"] == pytest.approx(down_mm, abs=0.01)


def test_the_adenoma_is_where_the_truth_says() -> None:
    lesion, frames = pictured("wsi:8")
    base = lesion["images"][-1]
    side, across = 8 * slide.TILE, 8
    tiles = frames[base["sop_instance_uid"]].reshape(across, across, slide.TILE, slide.TILE, 3)
    section = tiles.transpose(0, 2, 1, 3, 4).reshape(side, side, 3)
    row, column = np.mgrid[0:side, 0:side]
    sick, touched = np.zeros((side, side), bool), np.zeros((across, across), bool)
    for y, x, radius in lesion["crypts"]:
        sick |= (row - y) ** 2 + (column - x) ** 2 < radius**2
    where = np.nonzero(sick)
    assert base["box"] == pytest.approx([where[0].min(), where[1].min(), where[0].max(), where[1].max()], abs=1.5)
    touched[where[0] // slide.TILE, where[1] // slide.TILE] = True
    shown = {int(n) + 1 for n in np.flatnonzero(touched)}
    assert shown <= set(base["frames"])
    assert len(base["frames"]) <= len(shown) + 3  # corners of squares that no circle fills
    # Crowded, dark nuclei and few goblets of mucin.
    tissue = section[..., 0] - section[..., 1] > 12
    nuclei = (section[..., 2] > section[..., 0] + 10) & (section[..., 0] < 110)
    assert nuclei[sick].mean() > 1.5 * nuclei[tissue & ~sick].mean()


@pytest.mark.full
def test_levels_of_a_slide_agree_on_the_adenoma() -> None:
    made = study("wsi:8")
    (series,) = truth(made)["series"]
    (lesion,) = series["lesions"]
    instances = {ds.SOPInstanceUID: ds for ds in map(read, fabricate(made))}
    assert {ds.FrameOfReferenceUID for ds in instances.values()} == {series["frame_of_reference_uid"]}
    for image in lesion["images"]:
        ds = instances[image["sop_instance_uid"]]
        assert ds.ImageType[2] == "VOLUME"
        assert max(image["frames"]) <= ds.NumberOfFrames
        corner = ds.TotalPixelMatrixOriginSequence[0]
        row, column = (value + 0.5 for value in image["centre"])
        x_mm = float(corner.XOffsetInSlideCoordinateSystem) - row * image["pixel_mm"]
        y_mm = float(corner.YOffsetInSlideCoordinateSystem) - column * image["pixel_mm"]
        assert [x_mm, y_mm] == pytest.approx(lesion["centre_slide_mm"], abs=2e-4)


def test_what_no_picture_shows_is_not_listed() -> None:
    assert truth(study("es-endoscopy:2", "vl-photo:1", style="card"))["series"] == []
    assert truth(study("ct-chest"))["series"] == []
    (series,) = truth(study("wsi:1"))["series"]
    assert series["lesions"] == []


def test_series_are_those_of_the_study() -> None:
    made = study("mr-knee", "vl-photo:1", "es-endoscopy:1", slices=1)
    found = truth(made)
    uids = [ds.SeriesInstanceUID for ds in map(read, fabricate(made)) if ds.Modality in ("XC", "ES")]
    assert [one["series_instance_uid"] for one in found["series"]] == uids


@pytest.mark.parametrize("kinds", [["ct-chest", *OBJECTS], ["pt-body:3", "mr-brain:3", "seg"], ["wsi", "ecg"]], ids=str)
def test_every_truth_is_what_its_published_schema_says(kinds: list[str]) -> None:
    made = study(*kinds, contact=True)
    told = json.loads(json.dumps(truth(made, {"CT_001_00001.dcm": "0" * 64})))
    Truth.model_validate(told)
    assert told["patient"]["name"] == made.patient.name
    assert [one["kind"] for one in told["objects"]] == [kind for kind in kinds if kind in OBJECTS]


def test_objects_refer_to_instances_of_their_study() -> None:
    made = study("ct-chest", *OBJECTS)
    here = {read(one).SOPInstanceUID for one in fabricate(made)}
    for one in truth(made)["objects"]:
        assert one["sop_instance_uid"] in here
        assert set(one["references"]) <= here, one["kind"]
        assert one["references"] or one["kind"] in ("ecg", "pdf", "cda")


def test_checksums_are_those_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"abc")
    assert checksums_of([tmp_path / "one"])["one"] == hashlib.sha256(b"abc").hexdigest()
