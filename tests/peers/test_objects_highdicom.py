"""Derived objects as highdicom reads them: it takes them for what they are, and finds what the truth says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import highdicom as hd
import pytest
from pydicom import dcmread

from dicomfab.fabricate.sinks import write_files
from dicomfab.fabricate.truth import truth
from tests.unit.fabricate.studies import study

pytestmark = pytest.mark.peers

VOLUME = hd.sr.CodedConcept("118565006", "SCT", "Volume")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Path], dict[str, Any], list[str]]:
    """The objects of a CT and what the truth says of them, by kind, and its instances."""
    one = study("ct-abdomen", "seg", "sr-measurements", "ko", "sr-comprehensive", slices=40)
    files = write_files(one, tmp_path_factory.mktemp("objects") / "study")
    found = truth(one)
    paths = {file.identity.sop_instance_uid: file.path for file in files}
    objects = {one["kind"]: one for one in found["objects"]}
    images = [uid for uid, path in paths.items() if path.name.startswith("CT_")]
    return {kind: paths[one["sop_instance_uid"]] for kind, one in objects.items()}, objects, images


def test_segments_have_their_voxels_on_their_images(made: Any) -> None:
    paths, objects, images = made
    seg = hd.seg.segread(paths["seg"])
    said = objects["seg"]["says"]["segments"]
    assert seg.number_of_segments == len(said) > 2
    for segment in said:
        assert seg.get_segment_numbers(tracking_uid=segment["tracking_uid"]) == [segment["number"]]
        shown = seg.get_pixels_by_source_instance(
            images, segment_numbers=[segment["number"]], assert_missing_frames_are_empty=True
        )
        assert int(shown.sum()) == segment["voxels"] > 0
    seg._db_con.close()  # else it is a warning from Python 3.13 on, and an error of whichever test is next


def test_measurements_are_those_of_the_truth(made: Any) -> None:
    paths, objects, _ = made
    report = hd.sr.srread(paths["sr-measurements"])
    assert isinstance(report, hd.sr.Comprehensive3DSR)
    groups = report.content.get_volumetric_roi_measurement_groups()
    said = {one["tracking_uid"]: one for one in objects["sr-measurements"]["says"]["measurements"]}
    assert {group.tracking_uid for group in groups} == said.keys()
    for group in groups:
        (volume,) = group.get_measurements(name=VOLUME)
        assert float(volume.value) == pytest.approx(said[group.tracking_uid]["volume_mm3"], rel=1e-6)
        (item,) = (one for one in group.referenced_segment if one.ValueType == "IMAGE")
        (sop,) = item.ReferencedSOPSequence
        assert sop.ReferencedSegmentNumber == said[group.tracking_uid]["segment_number"]


def test_key_objects_and_reports_are_taken_for_what_they_are(made: Any) -> None:
    paths, objects, _ = made
    keys = hd.ko.KeyObjectSelectionDocument.from_dataset(dcmread(paths["ko"]))
    pointed_at = {str(one.referenced_sop_instance_uid) for one in keys.content.get_references()}
    assert pointed_at == {one["sop_instance_uid"] for one in objects["ko"]["says"]["references"]}
    assert isinstance(hd.sr.srread(paths["sr-comprehensive"]), hd.sr.ComprehensiveSR)
