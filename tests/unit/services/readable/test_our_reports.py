"""The reports that we make are shown as what they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dicomfab.fabricate.encode.document import encode_document
from dicomfab.fabricate.iods import object_family
from dicomfab.fabricate.plan import Planned
from dicomfab.fabricate.study import numbered
from dicomfab.model.part10 import file_header
from dicomfab.services.readable import kinds
from dicomfab.services.readable.blocks import Content, Facts, Readable
from tests.unit.fabricate.studies import encoded, study


def shown(folder: Path, *entries: str) -> tuple[Readable, dict[str, Any]]:
    """The last entry of a study as it is read, and its truth; no image is rendered."""
    asked = study(*entries, slices=60)
    *earlier, (number, series, plan) = numbered(asked, 1)
    before = tuple(Planned(one.kind, planned) for _, one, planned in earlier)
    family: Any = object_family(series.kind)
    truth = family.truth_of(asked, series, number, before)
    (instance,) = encode_document(plan)
    identity, path = instance.identity, folder / "report.dcm"
    head = file_header(identity.sop_class_uid, identity.sop_instance_uid, identity.transfer_syntax_uid)
    path.write_bytes(head + encoded(instance))
    return kinds.read(path, identity.sop_class_uid), truth


def facts(readable: Readable) -> dict[str, str]:
    return dict(row for block in readable.blocks if isinstance(block, Facts) for row in block.rows)


def content(readable: Readable) -> list[Content]:
    (root,) = (block for block in readable.blocks if isinstance(block, Content))
    assert readable.problem == ""
    assert not readable.is_cut
    return list(walk(root))


def walk(item: Content) -> Iterator[Content]:
    assert item.missing == 0
    yield item
    for child in item.children:
        yield from walk(child)


def said(items: list[Content], concept: str) -> list[tuple[str, str]]:
    return [(item.value, item.unit) for item in items if item.concept == concept]


def test_a_radiology_report(tmp_path: Path) -> None:
    readable, truth = shown(tmp_path, "ct-chest", "sr-report")
    assert readable.title == "Basic Text SR"
    assert facts(readable)["Completion"] == "COMPLETE"
    assert facts(readable)["Verification"] == "VERIFIED"
    items = content(readable)
    assert items[0].concept == "Diagnostic Imaging Report"
    assert said(items, "Person Observer Name")[0][0] in facts(readable)["Verified by"]
    assert [value for value, _ in said(items, "Finding")] == [one["sentence"] for one in truth["findings"]]
    images = [one.sop_instance_uid for item in items if item.value_type == "IMAGE" for one in item.references]
    assert images == [uid for one in truth["findings"] for uid in one["images"]] != []


def test_a_report_with_measurements_on_images(tmp_path: Path) -> None:
    readable, truth = shown(tmp_path, "ct-chest", "sr-comprehensive")
    assert readable.title == "Comprehensive SR"
    items = content(readable)
    axes = [one["long_axis_mm"] for one in truth["findings"] if one["long_axis_mm"] is not None]
    assert said(items, "Long axis") == [(f"{axis:.10g}", "mm") for axis in axes] != []
    lines = [item.value for item in items if item.value_type == "SCOORD"]
    assert all(line.startswith("POLYLINE") and len(line.split()) == 5 for line in lines)
    assert said(items, "Laterality")[0][0] in ("Left", "Right")


def test_measurements(tmp_path: Path) -> None:
    readable, truth = shown(tmp_path, "ct-chest", "sr-measurements")
    assert readable.title == "Comprehensive 3D SR"
    items = content(readable)
    assert [value for value, _ in said(items, "Tracking Identifier")] == [
        one["tracking_id"] for one in truth["measurements"]
    ]
    assert said(items, "Volume") == [(f"{one['volume_mm3']:.10g}", "mm3") for one in truth["measurements"]] != []
    assert {unit for _, unit in said(items, "Attenuation Coefficient")} == {"[hnsf'U]"}
    assert all(value.startswith("ELLIPSOID") for value, _ in said(items, "Volume Surface"))


def test_measurements_of_segments(tmp_path: Path) -> None:
    readable, truth = shown(tmp_path, "ct-chest", "seg", "sr-measurements")
    segments = [item for item in content(readable) if item.concept == "Referenced Segment"]
    assert [one.sop_instance_uid for item in segments for one in item.references] == [
        one["segmentation"] for one in truth["measurements"]
    ]


def test_a_dose_report(tmp_path: Path) -> None:
    readable, truth = shown(tmp_path, "ct-chest", "ct-head", "sr-dose")
    assert readable.title == "X-Ray Radiation Dose SR"
    items = content(readable)
    assert said(items, "CT Dose Length Product Total") == [(f"{truth['dlp_total_mgy_cm']:.10g}", "mGy.cm")]
    assert said(items, "Mean CTDIvol") == [("8.1", "mGy"), ("52", "mGy")]
    assert said(items, "Target Region") == [("Chest", ""), ("Head", "")]
    assert said(items, "Total Number of Irradiation Events")[0][0] == "2"
