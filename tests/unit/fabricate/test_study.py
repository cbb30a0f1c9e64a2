from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from pydicom import Dataset

from dicomfab.fabricate.iods.common import PRIVATE_CREATOR, PRIVATE_GROUP, clock
from dicomfab.fabricate.study import count, fabricate
from dicomfab.model.study import Patient
from tests.unit.fabricate.studies import encoded, read, study


@pytest.fixture(scope="module")
def instances() -> list[Dataset]:
    return [read(instance) for instance in fabricate(study("ct-chest", "dx-chest", "text-card", slices=5))]


def test_the_same_recipe_gives_the_same_bytes_on_any_number_of_workers() -> None:
    made = study("ct-chest", "dx-chest", "text-card", slices=20)
    one = [encoded(instance) for instance in fabricate(made, workers=1)]
    three = [encoded(instance) for instance in fabricate(made, workers=3)]
    assert one == three
    assert len(one) == count(made) == 23


def test_another_seed_gives_another_body() -> None:
    first, second = (next(fabricate(study("ct-chest", slices=1, seed=seed))) for seed in (1, 2))
    assert read(first).PixelData != read(second).PixelData


def test_instances_say_what_they_are() -> None:
    for instance in fabricate(study("ct-chest", "dx-chest", "text-card")):
        ds = read(instance)
        assert (ds.SOPClassUID, ds.SOPInstanceUID) == (
            instance.identity.sop_class_uid,
            instance.identity.sop_instance_uid,
        )
        assert ds.StudyInstanceUID == instance.study_instance_uid
        assert ds.SeriesInstanceUID == instance.series_instance_uid
        assert ds.InstanceNumber == instance.instance_number
        assert ds.SeriesNumber == instance.series_number
        assert ds.Modality == instance.modality


def test_a_study_agrees_with_itself(instances: list[Dataset]) -> None:
    for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "AccessionNumber", "StudyDate", "StudyDescription"):
        assert len({str(ds[keyword].value) for ds in instances}) == 1, keyword
    assert len({ds.SOPInstanceUID for ds in instances}) == len(instances)
    assert [int(ds.SeriesNumber) for ds in instances] == [1, 1, 1, 1, 1, 2, 3, 4]
    assert len({ds.SeriesInstanceUID for ds in instances}) == 4


def test_every_instance_carries_the_safety_marks(instances: list[Dataset]) -> None:
    made = study("ct-chest", "dx-chest", "text-card", slices=5)
    for ds in instances:
        assert ds.SyntheticData == "YES"
        assert ds.PatientID.startswith("SYN")
        assert ds.IssuerOfPatientID.startswith("SYN")
        block = ds.private_block(PRIVATE_GROUP, PRIVATE_CREATOR)
        assert block[0x02].value == made.recipe_hash
        assert block[0x03].value == str(made.seed)
        assert ds.BurnedInAnnotation == ("YES" if ds.Modality == "OT" else "NO")


def test_pixels_decode_and_fit_their_bits(instances: list[Dataset]) -> None:
    for ds in instances:
        pixels = ds.pixel_array
        assert pixels.shape == (ds.Rows, ds.Columns)
        assert pixels.max() < 2**ds.BitsStored
        assert pixels.std() > 5


def test_the_ct_series_is_a_regular_stack(instances: list[Dataset]) -> None:
    slices = [ds for ds in instances if ds.Modality == "CT"]
    heights = [float(ds.ImagePositionPatient[2]) for ds in slices]
    np.testing.assert_allclose(np.diff(heights), -float(slices[0].SpacingBetweenSlices), atol=1e-3)
    assert all(float(ds.SliceLocation) == height for ds, height in zip(slices, heights, strict=True))
    assert len({ds.FrameOfReferenceUID for ds in slices}) == 1
    times = [ds.AcquisitionTime for ds in slices]
    assert times == sorted(times)


def test_ct_numbers_are_calibrated(instances: list[Dataset]) -> None:
    ds = next(ds for ds in instances if ds.Modality == "CT" and ds.InstanceNumber == 3)
    hu = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
    assert abs(np.median(hu[-60:-10, 5:60]) + 1000) < 15  # air
    lung = hu[(hu > -950) & (hu < -700)]
    assert lung.size > 0.08 * hu.size
    assert (hu > 500).sum() > 200  # cortical bone


def test_memory_does_not_grow_with_the_study() -> None:
    made = study("ct-chest", slices=160)
    next(fabricate(made, workers=2))  # compiled and with its noise before measuring
    tracemalloc.start()
    for _ in fabricate(made, workers=2):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 45e6  # the 160 slices hold 84 MB


def test_a_study_can_be_left_half_way() -> None:
    instances = fabricate(study("ct-chest", slices=400), workers=2)
    first = next(instances)
    instances.close()  # type: ignore[attr-defined]
    assert first.instance_number == 1


def test_a_name_in_another_script_is_written_in_full() -> None:
    name = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    instance = next(fabricate(study("text-card", patient=Patient(name, "1", "19700101", "M"))))
    ds = read(instance)
    assert ds.SpecificCharacterSet == "ISO_IR 192"
    assert str(ds.PatientName) == name
    assert ds.PatientAge == "056Y"


def test_clock_stays_within_the_day() -> None:
    assert clock("093000", 90.25) == "093130.250000"
    assert clock("235959", 30) == "235959.999999"
    assert clock("093000.5", 0) == "093000.500000"
