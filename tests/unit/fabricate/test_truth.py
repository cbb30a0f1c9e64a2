"""The ground truth names every lesion that the bodies of a study have."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dicomfab.fabricate.kinds import KINDS
from dicomfab.fabricate.study import fabricate
from dicomfab.fabricate.truth import truth
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
