"""Structured reports say of the study what the ground truth says, and refer to what is there."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from dicomfab.fabricate.anatomy.tissue import Tissue, hu_table
from dicomfab.fabricate.devices import Device
from dicomfab.fabricate.encode.document import encode_document
from dicomfab.fabricate.iods import object_family
from dicomfab.fabricate.iods.references import evidence as evidence_of
from dicomfab.fabricate.kinds import KINDS, OBJECTS
from dicomfab.fabricate.plan import Planned
from dicomfab.fabricate.recipe import ResolvedStudy
from dicomfab.fabricate.study import numbered
from dicomfab.fabricate.truth import truth
from dicomfab.model.order import RequestAttributes
from dicomfab.model.study import Patient
from tests.unit.fabricate.studies import read, study

REPORTS = tuple(kind for kind in OBJECTS if kind.startswith("sr-"))
FEW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@dataclasses.dataclass(frozen=True)
class Made:
    """A report, read back, with its truth and all that comes before it."""

    dataset: Dataset
    truth: dict[str, Any]
    before: tuple[Planned, ...]

    @functools.cached_property
    def items(self) -> list[Dataset]:
        return list(walk(self.dataset))

    def named(self, meaning: str, items: list[Dataset] | None = None) -> list[Dataset]:
        return [item for item in (items or self.items) if name(item) == meaning]


def made(asked: ResolvedStudy) -> dict[str, Made]:
    """The reports of a study by kind; no image is rendered."""
    before: list[Planned] = []
    found = {}
    for number, series, plan in numbered(asked, 1):
        if series.kind in REPORTS:
            told: Any = object_family(series.kind)
            said = told.truth_of(asked, series, number, tuple(before))
            (instance,) = encode_document(plan)
            found[series.kind] = Made(read(instance), said, tuple(before))
        before.append(Planned(series.kind, plan))
    return found


def only(kind: str, *before: str, slices: int = 100, **values: Any) -> Made:
    return made(study(*before, kind, slices=slices, **values))[kind]


def walk(ds: Dataset) -> Iterator[Dataset]:
    for item in ds.get("ContentSequence", ()):
        yield item
        yield from walk(item)


def name(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeMeaning) if "ConceptNameCodeSequence" in item else ""


def value(item: Dataset) -> float:
    return float(item.MeasuredValueSequence[0].NumericValue)


def meaning(item: Dataset) -> str:
    return str(item.ConceptCodeSequence[0].CodeMeaning)


def references(report: Made) -> set[tuple[str, str]]:
    return {
        (str(one.ReferencedSOPClassUID), str(one.ReferencedSOPInstanceUID))
        for item in report.items
        for one in item.get("ReferencedSOPSequence", ())
    }


def evidence(report: Made) -> dict[tuple[str, str], str]:
    return {
        (str(one.ReferencedSOPClassUID), str(one.ReferencedSOPInstanceUID)): str(series.SeriesInstanceUID)
        for listed in report.dataset.CurrentRequestedProcedureEvidenceSequence
        for series in listed.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }


def instances(report: Made) -> dict[tuple[str, str], str]:
    return {
        (one.sop_class_uid, one.sop_instance_uid(index)): one.series_instance_uid
        for one in report.before
        for index in range(one.plan.count)
    }


def lesions(asked: ResolvedStudy) -> dict[str, list[dict[str, Any]]]:
    """Of the truth file, by region; it is asked for a study of images alone."""
    images = tuple(series for series in asked.series if series.kind in KINDS)
    return {one["region"]: one["lesions"] for one in truth(dataclasses.replace(asked, series=images))["regions"]}


@pytest.mark.parametrize("kind", REPORTS)
def test_all_references_are_evidence_and_instances_of_the_study(kind: str) -> None:
    report = only(kind, "ct-body", "pt-body", "sr-report", slices=150)
    assert references(report) <= evidence(report).keys()
    assert evidence(report).items() <= instances(report).items()
    assert report.dataset.StudyInstanceUID == report.before[0].dataset.StudyInstanceUID


@pytest.mark.parametrize(
    ("kind", "template"),
    [("sr-report", "2000"), ("sr-comprehensive", "2000"), ("sr-measurements", "1500"), ("sr-dose", "10011")],
)
def test_what_all_documents_say(kind: str, template: str) -> None:
    ds = only(kind, "ct-chest").dataset
    assert ds.CompletionFlag == "COMPLETE"
    assert ds.Modality == "SR"
    assert ds.SyntheticData == "YES"
    assert ds.ContentTemplateSequence[0].TemplateIdentifier == template
    assert ds.ContentTemplateSequence[0].MappingResource == "DCMR"
    assert "ReferencedRequestSequence" not in ds


def test_a_radiology_report_is_verified_by_who_wrote_it() -> None:
    report = only("sr-report", "ct-chest")
    assert report.dataset.VerificationFlag == report.truth["verification"] == "VERIFIED"
    (observer,) = report.dataset.VerifyingObserverSequence
    (person,) = report.named("Person Observer Name")
    assert observer.VerifyingObserverName == person.PersonName != ""
    assert only("sr-comprehensive", "ct-chest").dataset.VerificationFlag == "UNVERIFIED"


def test_the_physician_of_the_device_reports() -> None:
    device = Device(performing_physician="Ostrom^Elin", institution="ST ELSEWHERE")
    asked = study("ct-chest")
    series = (*asked.series, dataclasses.replace(asked.series[0], kind="sr-report", count=1, device=device))
    report = made(dataclasses.replace(asked, series=series))["sr-report"]
    assert [str(one.PersonName) for one in report.named("Person Observer Name")] == ["Ostrom^Elin"]
    assert report.dataset.VerifyingObserverSequence[0].VerifyingOrganization == "ST ELSEWHERE"


def test_a_report_of_an_order_refers_to_it() -> None:
    order = RequestAttributes(requested_procedure_id="RP1", requested_procedure_code="24628-0^LN^CT Chest")
    ds = only("sr-report", "ct-chest", order=order, accession_number="A1").dataset
    (request,) = ds.ReferencedRequestSequence
    assert (request.RequestedProcedureID, request.AccessionNumber) == ("RP1", "A1")
    assert request.StudyInstanceUID == ds.StudyInstanceUID
    assert request.RequestedProcedureCodeSequence[0].CodeValue == "24628-0"
    assert "RequestAttributesSequence" not in ds


def test_a_report_tells_every_lesion_with_its_size_and_an_image() -> None:
    asked = study("ct-chest", "sr-report", slices=100)
    report, known = made(asked)["sr-report"], lesions(asked)["chest"]
    told = report.named("Finding")
    assert [item.TextValue for item in told] == [one["sentence"] for one in report.truth["findings"]]
    assert len(told) == len(known)
    for item, lesion, said in zip(told, known, report.truth["findings"], strict=True):
        assert " x ".join(f"{size:.0f}" for size in lesion["size_mm"]) in item.TextValue
        assert ("left" if lesion["centre_mm"][0] > 0 else "right") in item.TextValue
        assert f"{lesion['hu']:.0f} HU" in item.TextValue
        (image,) = item.ContentSequence
        assert [image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID] == said["images"]
    largest = max(max(one["size_mm"]) for one in known)
    (impression,) = report.named("Impression")
    assert impression.TextValue == f"Nodule: {len(known)}, the largest {largest:.0f} mm."


def test_texts_are_ascii_and_the_patient_is_not() -> None:
    patient = Patient("Yamada^Tarou=山田^太郎=やまだ^たろう", "J1", "19700101", "M")
    for kind, report in made(study("ct-chest", *REPORTS, slices=50, patient=patient)).items():
        assert str(report.dataset.PatientName).startswith("Yamada"), kind
        texts = [str(item.TextValue) for item in report.items if "TextValue" in item]
        assert texts
        assert all(text.isascii() and text for text in texts), kind


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (("dx-chest",), "Nodule in the"),
        (("mg-screening",), "in the breast"),
        (("xa-cine",), "Coronary stenosis"),
        (("us-abdomen",), "No lesion is described"),
        (("es-endoscopy", "wsi:2"), "No lesion is described"),
        (("sc-rgb", "text-card"), "No lesion is described"),
    ],
)
def test_a_report_on_other_images(before: tuple[str, ...], words: str) -> None:
    report = only("sr-report", *before)
    told = report.named("Finding")
    assert any(words in item.TextValue for item in told)
    assert all(item.ContentSequence for item in told)


def test_cards_show_no_lesion() -> None:
    reports = made(study("ct-chest", *REPORTS, style="card"))
    assert reports["sr-report"].truth["findings"] == []
    assert reports["sr-measurements"].truth["measurements"] == []
    assert reports["sr-measurements"].named("Measurement Group") == []
    assert reports["sr-dose"].truth["dlp_total_mgy_cm"] > 0


def test_a_report_of_a_later_study_says_so() -> None:
    (history,) = (
        item for item in only("sr-report", "ct-chest", course_months=6).named("History") if "TextValue" in item
    )
    assert "6 months" in history.TextValue


def line_mm(item: Dataset, plan: Planned) -> float:
    left, top, right, bottom = item.GraphicData
    down_mm, across_mm = (float(one) for one in plan.dataset.PixelSpacing)
    return math.hypot((right - left) * across_mm, (bottom - top) * down_mm)


def patient_mm(column: float, row: float, plan: Planned, index: int) -> list[float]:
    """Of a place of an image from its upper left corner, where it lies in the patient (PS3.3 C.7.6.2.1.1)."""
    ds = plan.plan.attributes(index)
    down_mm, across_mm = (float(one) for one in ds.PixelSpacing)
    cosines = [float(one) for one in ds.ImageOrientationPatient]
    return [
        float(ds.ImagePositionPatient[n])
        + cosines[n] * (column - 0.5) * across_mm
        + cosines[3 + n] * (row - 0.5) * down_mm
        for n in range(3)
    ]


@pytest.mark.parametrize(("kind", "slices"), [("ct-abdomen", 150), ("mr-knee", 30), ("pt-body", 300)])
def test_axes_are_drawn_where_the_lesion_lies(kind: str, slices: int) -> None:
    asked = study(kind, "sr-comprehensive", slices=slices)
    report = made(asked)["sr-comprehensive"]
    (known,) = lesions(asked).values()
    coded = [item for item in report.named("Finding") if item.ValueType == "CODE"]
    assert coded
    by_uid = {one.sop_instance_uid(n): (one, n) for one in report.before for n in range(one.plan.count)}
    measured = 0
    for item, said in zip(coded, report.truth["findings"], strict=True):
        lesion = known[said["lesion"]]
        for axis, key in (("Long axis", "long_axis_mm"), ("Short axis", "short_axis_mm")):
            for number in report.named(axis, list(walk(item))):
                (line,) = number.ContentSequence
                (image,) = line.ContentSequence
                plan, index = by_uid[image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID]
                assert value(number) == said[key] == pytest.approx(line_mm(line, plan), abs=1e-3)
                assert value(number) in lesion["size_mm"]
                left, top, right, bottom = line.GraphicData
                middle = patient_mm((left + right) / 2, (top + bottom) / 2, plan, index)
                assert math.dist(middle, lesion["centre_mm"]) <= float(plan.dataset.SpacingBetweenSlices) / 2 + 1e-3
                measured += 1
    assert measured >= len(coded)


def check_group(group: Dataset, said: dict[str, Any], lesion: dict[str, Any]) -> None:
    items = list(walk(group))
    values = {name(item): value(item) for item in items if item.ValueType == "NUM"}
    assert values["Long axis"] == said["long_axis_mm"] == max(lesion["size_mm"])
    assert values["Short axis"] == said["short_axis_mm"] == min(lesion["size_mm"])
    assert values["Volume"] == said["volume_mm3"] == lesion["volume_mm3"]
    assert said["hu"] in (None, lesion["hu"])
    assert said["suv"] in (None, lesion["suv"])
    assert values.get("Attenuation Coefficient") == said["hu"]
    assert values.get("SUVbw") == said["suv"]
    tracking = {name(item): item for item in items}
    assert tracking["Tracking Identifier"].TextValue == said["tracking_id"]
    assert said["tracking_uid"] == tracking["Tracking Unique Identifier"].UID


def test_measurements_are_those_of_the_truth() -> None:
    asked = study("ct-body", "pt-body", "sr-measurements", slices=300)
    report, known = made(asked)["sr-measurements"], lesions(asked)["whole"]
    groups = report.named("Measurement Group")
    lowest_mm = min(float(report.before[0].plan.varying(n)["ImagePositionPatient"].split("\\")[2]) for n in (0, 299))
    imaged = [index for index, lesion in enumerate(known) if lesion["centre_mm"][2] > lowest_mm]
    assert [one["lesion"] for one in report.truth["measurements"]] == imaged != list(range(len(known)))
    for group, said in zip(groups, report.truth["measurements"], strict=True):
        lesion = known[said["lesion"]]
        check_group(group, said, lesion)
        assert said["suv"] == lesion["suv"]
        assert said["segmentation"] is said["segment_number"] is None
        (surface,) = report.named("Volume Surface", list(walk(group)))
        assert surface.GraphicType == "ELLIPSOID"
        assert surface.ReferencedFrameOfReferenceUID == asked.uid("frame-of-reference", "whole")
        points = [surface.GraphicData[n : n + 3] for n in range(0, 18, 3)]
        lengths = [math.dist(points[n], points[n + 1]) for n in (0, 2, 4)]
        assert lengths == pytest.approx(lesion["size_mm"], abs=2e-3)
        assert [sum(one[n] for one in points) / 6 for n in range(3)] == pytest.approx(lesion["centre_mm"], abs=2e-3)
    assert any(one["hu"] is not None for one in report.truth["measurements"])


def test_measurements_refer_to_segments() -> None:
    report = only("sr-measurements", "ct-chest", "seg", "seg-labelmap")
    (seg,) = (one for one in report.before if one.kind == "seg")
    assert (seg.sop_class_uid, seg.sop_instance_uid()) in evidence(report)
    segments = {int(one.SegmentNumber): one for one in seg.dataset.SegmentSequence}
    assert report.truth["measurements"]
    for group, said in zip(report.named("Measurement Group"), report.truth["measurements"], strict=True):
        items = list(walk(group))
        (referred,) = report.named("Referenced Segment", items)[0].ReferencedSOPSequence
        assert referred.ReferencedSOPInstanceUID == said["segmentation"] == seg.sop_instance_uid()
        assert referred.ReferencedSegmentNumber == said["segment_number"]
        segment = segments[said["segment_number"]]
        assert segment.TrackingUID == said["tracking_uid"]
        assert (
            report.named("Finding", items)[0].ConceptCodeSequence[0].CodeValue
            == segment.SegmentedPropertyTypeCodeSequence[0].CodeValue
        )
        (source,) = report.named("Source series for segmentation", items)
        assert seg.dataset.ReferencedSeriesSequence[0].SeriesInstanceUID == source.UID
        assert report.named("Volume Surface", items) == []


def test_lesions_without_a_segment_are_ellipsoids() -> None:
    report = only("sr-measurements", "ct-head", "ct-chest", "seg")
    by_region = {one["region"]: one["segmentation"] for one in report.truth["measurements"]}
    assert by_region["head"] is None
    assert by_region["chest"] is not None
    assert len(report.named("Volume Surface")) == sum(
        one["segmentation"] is None for one in report.truth["measurements"]
    )


def test_a_lesion_has_the_same_name_in_every_study_of_a_patient() -> None:
    patient = Patient("A^B", "P1", "19500101", "F")
    first, other = (only("sr-measurements", "ct-chest", patient=patient, seed=seed) for seed in (1, 2))
    someone = only("sr-measurements", "ct-chest", patient=dataclasses.replace(patient, patient_id="P2"))
    uids = [[one["tracking_uid"] for one in report.truth["measurements"]] for report in (first, other, someone)]
    assert uids[0] == uids[1] != []
    assert not set(uids[0]) & set(uids[2])


def test_attenuation_is_said_only_where_it_is_that_of_the_truth() -> None:
    asked = study("ct-body", "sr-measurements", slices=300)
    native, said = hu_table(contrast=False), {}
    for one in made(asked)["sr-measurements"].truth["measurements"]:
        lesion = lesions(asked)["whole"][one["lesion"]]
        said[lesion["kind"]] = one["hu"]
        assert one["hu"] == (lesion["hu"] if native[Tissue[lesion["tissue"]]] == lesion["hu"] else None)
    assert said["liver metastasis"] is None
    assert said["kidney stone"] > 100


@FEW
@given(
    seed=st.integers(0, 2**63 - 1),
    kind=st.sampled_from(["ct-chest", "ct-head", "mr-knee", "ct-abdomen"]),
    slices=st.integers(1, 80),
    months=st.sampled_from([0, 0, 18]),
)
def test_reports_agree_with_the_truth_and_with_each_other(seed: int, kind: str, slices: int, months: int) -> None:
    asked = study(
        kind, "sr-report", "sr-comprehensive", "sr-measurements", seed=seed, slices=slices, course_months=months
    )
    reports, (known,) = made(asked), lesions(asked).values()
    told = [[one["lesion"] for one in reports[sr].truth["findings"]] for sr in ("sr-report", "sr-comprehensive")]
    measured = reports["sr-measurements"]
    assert told[0] == told[1] == [one["lesion"] for one in measured.truth["measurements"]]
    for group, said in zip(measured.named("Measurement Group"), measured.truth["measurements"], strict=True):
        check_group(group, said, known[said["lesion"]])
    for report in reports.values():
        assert references(report) <= evidence(report).keys()
        assert evidence(report).items() <= instances(report).items()


def test_a_dose_report_says_what_the_series_say() -> None:
    asked = study("ct-chest", "ct-body", "ct-enhanced", "dx-chest", "sr-dose", slices=20)
    report = made(asked)["sr-dose"]
    chest, body, enhanced, _, _ = report.before
    events = report.named("CT Acquisition")
    uids = [str(item.UID) for item in report.named("Irradiation Event UID")]
    shared = enhanced.dataset.SharedFunctionalGroupsSequence[0]
    assert uids[2] == shared.IrradiationEventIdentificationSequence[0].IrradiationEventUID
    assert len(set(uids)) == len(events) == 3
    numbers = [{name(item): value(item) for item in walk(one) if item.ValueType == "NUM"} for one in events]
    for told, plan in zip(numbers, (chest, body), strict=False):
        ds = plan.dataset
        length_mm = float(ds.SpacingBetweenSlices) * plan.plan.count
        assert told["Scanning Length"] == pytest.approx(length_mm, abs=0.01)
        assert told["DLP"] == pytest.approx(ds.CTDIvol * length_mm / 10, abs=0.01)
        assert told["Mean CTDIvol"] == ds.CTDIvol
        assert told["KVP"] == float(ds.KVP)
        assert told["X-Ray Tube Current"] == float(ds.XRayTubeCurrent)
        assert told["Pitch Factor"] == ds.SpiralPitchFactor
        assert told["Nominal Total Collimation Width"] == ds.TotalCollimationWidth
        assert told["Exposure Time per Rotation"] == ds.RevolutionTime
        assert told["Exposure Time"] == pytest.approx(length_mm / ds.TableSpeed, abs=1e-3)
    assert numbers[2] == numbers[0]
    (total,) = report.named("CT Dose Length Product Total")
    assert (
        value(total) == report.truth["dlp_total_mgy_cm"] == pytest.approx(sum(one["DLP"] for one in numbers), abs=0.01)
    )
    assert [value(one) for one in report.named("Total Number of Irradiation Events")] == [3]
    assert [one["event_uid"] for one in report.truth["events"]] == uids
    assert [meaning(one) for one in report.named("Target Region")] == ["Chest", "Entire body", "Chest"]
    assert [str(one.TextValue) for one in report.named("Acquisition Protocol")][1] == body.dataset.ProtocolName
    (scope,) = report.named("Study Instance UID")
    assert report.dataset.StudyInstanceUID == scope.UID


def test_the_scanner_reports_its_dose() -> None:
    device = Device(manufacturer="ACME", model="M1", station="CT7", serial_number="S1")
    resolved = study("ct-chest", "sr-dose")
    scanner = dataclasses.replace(resolved.series[0], device=device)
    report = made(dataclasses.replace(resolved, series=(scanner, *resolved.series[1:])))["sr-dose"]
    assert report.dataset.StationName == "CT7"
    assert [str(one.TextValue) for one in report.named("Device Observer Serial Number")] == ["S1"]
    (begun,), (ended,) = (report.named(f"{when} of X-Ray Irradiation") for when in ("Start", "End"))
    assert str(begun.DateTime) < str(ended.DateTime)


def test_evidence_is_listed_as_everywhere() -> None:
    report = only("sr-report", "ct-body", "pt-body", slices=5)
    asked = study("ct-body", "pt-body", "sr-report", slices=5)
    expected = evidence_of(asked, report.before)
    assert list(report.dataset.CurrentRequestedProcedureEvidenceSequence) == list(expected)


def test_the_same_study_gives_the_same_bytes() -> None:
    asked = study("ct-chest", *REPORTS)

    def encoded() -> list[bytes]:
        plans = (plan for _, series, plan in numbered(asked, 1) if series.kind in REPORTS)
        return [b"".join(instance.buffers) for plan in plans for instance in encode_document(plan)]

    assert encoded() == encoded()
