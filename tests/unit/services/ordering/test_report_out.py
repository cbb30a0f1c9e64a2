"""Reports: lesion by lesion what the truth says, in words, in the message, and in the structured reports."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread

from dicomfab.app.build import Application
from dicomfab.fabricate.recipe import ResolvedStudy, SeriesRecipe, StudyRecipe
from dicomfab.fabricate.reported import documents, reported
from dicomfab.fabricate.resolve import resolve
from dicomfab.fabricate.truth import truth
from dicomfab.hl7.er7 import Segment, parse
from dicomfab.hl7.reports import Report, message, text
from dicomfab.model.errors import AccessDenied, InvalidInput, LocalFailure, NotFound
from dicomfab.model.order import RequestAttributes
from dicomfab.model.study import Patient
from dicomfab.services.change_request import requested
from dicomfab.services.ordering.report_out import finding_of
from dicomfab.storage.made_recipes import MadeRecipes
from tests.unit.services.ordering.conftest import ACTOR, orm, pid
from tests.unit.services.ordering.test_intake import answer, procedures
from tests.unit.services.ordering.test_merging import merge

NOW = dt.datetime(2026, 11, 27, 10, 0, tzinfo=dt.UTC)
WHO = Patient("DOE^JANE", "P100", "19700102", "F", issuer="RIS")
#: With sections and without, of every part of the body that has lesions.
KINDS = [
    ("ct-chest",), ("ct-abdomen",), ("ct-head",), ("mr-brain",), ("mr-knee",), ("ct-body", "pt-body"),
    ("mg-screening",), ("dx-chest",), ("cr-chest",), ("xa-cine",), ("nm-bone",), ("us-abdomen",),
]  # fmt: skip
NAMES = {"103339001": "long_axis_mm", "103340004": "short_axis_mm", "118565006": "volume_mm3", "112031": "hu",
         "126401": "suv"}  # fmt: skip


def resolved(kinds: tuple[str, ...], seed: int, months: int = 0) -> ResolvedStudy:
    recipe = StudyRecipe(tuple(SeriesRecipe(kind) for kind in kinds), patient=None, seed=seed, course_months=months)
    return resolve(recipe, now=NOW, draw_seed=lambda: seed)


def report_on(study: ResolvedStudy) -> Report:
    told = reported(study)
    lesions = tuple(finding_of(one) for one in told.lesions)
    return Report(study.study_instance_uid, {"PatientID": "P1", "PatientName": "DOE^JANE"}, told.reader, told.history,
                  told.technique, lesions, told.impressions)  # fmt: skip


def of_message(data: bytes) -> tuple[list[Segment], list[dict[str, Any]]]:
    """The segments, and what is said of each lesion."""
    segments = list(parse(data.decode("utf-8")).segments)
    groups: dict[str, dict[str, Any]] = defaultdict(dict)
    for one in segments:
        if one.name == "OBX" and one.get(4):
            code = one.get(3, 1)
            group = groups[one.get(4)]
            if one.get(2) == "NM":
                group[NAMES[code]] = float(one.get(5))
            elif code == "112040":
                group["tracking_uid"] = one.get(5)
            elif code == "121071":
                group["code"] = (one.get(5, 1), one.get(5, 3))
    return segments, list(groups.values())


def of_measurements(document: Dataset) -> list[dict[str, Any]]:
    """What TID 1500 says of each lesion."""
    found = []
    for part in document.ContentSequence:
        if part.ConceptNameCodeSequence[0].CodeValue != "126010":
            continue
        for group in part.get("ContentSequence", ()):
            said: dict[str, Any] = {}
            for item in group.get("ContentSequence", ()):
                concept = item.ConceptNameCodeSequence[0].CodeValue
                if item.ValueType == "NUM":
                    said[NAMES[concept]] = float(item.MeasuredValueSequence[0].NumericValue)
                elif concept == "112040":
                    said["tracking_uid"] = str(item.UID)
                elif concept == "121071":
                    code = item.ConceptCodeSequence[0]
                    said["code"] = (code.CodeValue, code.CodingSchemeDesignator)
            if said:
                found.append(said)
    return found


def told_by(document: Dataset) -> list[str]:
    """The findings of a report in words."""
    return [
        str(item.TextValue)
        for part in document.ContentSequence
        if part.ValueType == "CONTAINER" and part.ConceptNameCodeSequence[0].CodeMeaning == "Findings"
        for item in part.ContentSequence
    ]


def check_against_truth(study: ResolvedStudy, lesions: list[dict[str, Any]]) -> None:
    """Every lesion of the message is one of the truth, in the same order, with its sizes."""
    listed = {region["region"]: region["lesions"] for region in truth(study)["regions"]}
    told = reported(study).lesions
    assert len(lesions) == len(told)
    for said, lesion in zip(lesions, told, strict=True):
        true = listed[lesion.region][lesion.index]
        assert lesion.kind == true["kind"]
        assert said["long_axis_mm"] == max(true["size_mm"])
        assert said["short_axis_mm"] == min(true["size_mm"])
        assert said["volume_mm3"] == pytest.approx(true["volume_mm3"], abs=0.05)
        assert said.get("tracking_uid", "") == true.get("tracking_uid", "")
        assert said.get("hu", true["hu"]) == true["hu"]
        assert said.get("suv", true["suv"]) == true["suv"]
    shown = {
        (region["region"], index)
        for region in truth(study)["regions"]
        for index, true in enumerate(region["lesions"])
        if true["sections"]
    }
    assert shown <= {(one.region, one.index) for one in told}, "a lesion that sections show is not reported"


@pytest.mark.full
@settings(max_examples=25, deadline=None)
@given(kinds=st.sampled_from(KINDS), seed=st.integers(0, 2**31 - 1), months=st.sampled_from([0, 0, 6, 30]))
def test_message_truth_and_structured_reports_say_the_same(kinds: tuple[str, ...], seed: int, months: int) -> None:
    check_all(kinds, seed, months)


@pytest.mark.parametrize("kinds", [("mr-brain",), ("mr-knee",), ("mg-screening",), ("dx-chest",), ("us-abdomen",)])
def test_they_say_the_same_of_a_study_of(kinds: tuple[str, ...]) -> None:
    check_all(kinds, 7, 0)


def check_all(kinds: tuple[str, ...], seed: int, months: int) -> None:
    """A study's truth, its message, its text and its structured reports, compared."""
    study = resolved(kinds, seed, months)
    report = report_on(study)
    segments, lesions = of_message(message(report, control_id="R1", now=NOW))
    check_against_truth(study, lesions)
    words, *measured = [plan.dataset for plan in documents(study)]
    sentences = [one.get(5) for one in segments if one.name == "OBX" and one.get(3, 1) == "59776-5"]
    told = [line for line in told_by(words) if not line.startswith("No lesion is described on")]
    assert sentences == (told or ["No lesion is seen."])
    assert bool(told) == bool(lesions)
    impressions = [one.get(5) for one in segments if one.name == "OBX" and one.get(3, 1) == "19005-8"]
    assert impressions == list(report.impressions)
    if measured:
        keys = ("tracking_uid", "code", *NAMES.values())
        sections = [one for one in lesions if one["tracking_uid"] in {two["tracking_uid"] for two in
                                                                     of_measurements(measured[0])}]  # fmt: skip
        assert [{key: one.get(key) for key in keys} for one in sections] == [
            {key: one.get(key) for key in keys} for one in of_measurements(measured[0])
        ]
    for sentence in sentences:
        assert sentence in text(report)


def make(site: Application, *kinds: str, order: RequestAttributes | None = None, patient: Patient = WHO) -> str:
    recipe = StudyRecipe(
        tuple(SeriesRecipe.parse(kind) for kind in kinds), patient=patient, seed=7, accession_number="A100", order=order
    )
    study = site.studies.resolve_recipe(ACTOR, recipe)
    site.studies.create(ACTOR, study)
    return study.study_instance_uid


def test_a_message_names_patient_order_and_study(site, take) -> None:
    take(orm(uid="1.2.3.4", patient=pid(name="DOE^JANE^^JR^DR")))
    study = make(site, "us-abdomen:1", order=RequestAttributes(study_instance_uid="1.2.3.4"))
    report = site.reports.report_of(ACTOR, study, "P")
    segments, _ = of_message(message(report, control_id="R1", now=NOW, receiver=("RIS", "HOSP")))
    by_name = {one.name: one for one in reversed(segments)}
    header, patient, request, first = (by_name[name] for name in ("MSH", "PID", "OBR", "OBX"))
    assert [header.get(n) for n in (5, 6, 10)] == ["RIS", "HOSP", "R1"]
    assert (header.get(9, 1), header.get(9, 2), header.get(9, 3)) == ("ORU", "R01", "ORU_R01")
    assert (patient.get(3, 1), patient.get(3, 4), patient.get(7), patient.get(8)) == ("P100", "RIS", "19700102", "F")
    assert [request.get(n) for n in (2, 3, 18, 19, 20, 24, 25)] == [
        "PLA100",
        "FIA100",
        "A100",
        "RP1",
        "SPS1",
        "US",
        "P",
    ]
    assert (request.get(4, 1), request.get(4, 2), request.get(4, 3)) == ("CTCHEST", "CT chest", "99RIS")
    assert request.raw(32).count("&") >= 2
    assert [first.get(n) for n in (2, 5, 11)] == ["ST", "1.2.3.4", "O"]
    assert (first.get(3, 1), first.get(3, 3)) == ("113014", "DCM")


def test_a_report_that_comes_back_is_noted_with_its_order(site, take) -> None:
    take(orm(uid="1.2.3.4"))
    study = make(site, "us-abdomen:1", order=RequestAttributes(study_instance_uid="1.2.3.4"))
    for status, words in (("P", "report preliminary"), ("F", "report final"), ("C", "report corrected")):
        report = site.reports.report_of(ACTOR, study, status)
        assert answer(take(message(report, control_id=f"R{status}", now=NOW)))[0] == "AA"
        with site.ordering.procedures.read() as rows:
            assert rows.events(procedures(site)[0].number)[-1].text == words


def test_a_study_without_reports_gets_them_once_and_valid(site) -> None:
    highdicom = pytest.importorskip("highdicom")
    study = make(site, "mr-brain")
    before = {one.identity.sop_instance_uid for one in site.local_archive.instances(study)}
    added = site.reports.add_documents(ACTOR, study)
    assert [(one.description, one.is_new) for one in added] == [("REPORT", True), ("MEASUREMENTS", True)]
    assert [one.is_new for one in site.reports.add_documents(ACTOR, study)] == [False, False]
    stored = {one.identity.sop_instance_uid: one for one in site.local_archive.instances(study)}
    assert stored.keys() == before | {one.sop_instance_uid for one in added}
    words, measured = (dcmread(stored[one.sop_instance_uid].path) for one in added)
    assert {str(one.StudyInstanceUID) for one in (words, measured)} == {study}
    _, lesions = of_message(message(site.reports.report_of(ACTOR, study), control_id="R1", now=NOW))
    assert lesions
    assert [{**one, "code": None} for one in of_measurements(measured)] == [{**one, "code": None} for one in lesions]
    groups = highdicom.sr.Comprehensive3DSR.from_dataset(measured).content.get_volumetric_roi_measurement_groups()
    assert [str(group.tracking_uid) for group in groups] == [one["tracking_uid"] for one in lesions]
    referenced = {
        str(item.ReferencedSOPInstanceUID)
        for evidence in words.CurrentRequestedProcedureEvidenceSequence
        for series in evidence.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert referenced == before
    result = site.validation.study(ACTOR, study, strict=True)
    assert result.verdict == "valid", [one.findings for one in result.files]
    assert site.provenance.of_local(study) == "synthetic"


@pytest.mark.full
def test_after_a_merge_the_patient_is_the_new_one_and_the_lesions_are_the_same(site, take) -> None:
    study = make(site, "mr-brain")
    before = site.reports.report_of(ACTOR, study)
    take(merge(patient="PID|1||P900^^^RIS||山田^太郎||19700102|F"))
    site.merging.carry_out(ACTOR)
    after = site.reports.report_of(ACTOR, study)
    assert (after.value("PatientID"), after.value("PatientName")) == ("P900", "山田^太郎")
    assert after.findings == before.findings
    data = message(after, control_id="R1", now=NOW)
    assert "山田^太郎" in data.decode("utf-8")
    added = site.reports.add_documents(ACTOR, study)
    for one in added:
        ds = dcmread(site.local_archive.find_instance(one.sop_instance_uid).path)
        assert (ds.PatientID, str(ds.PatientName)) == ("P900", "山田^太郎")
    assert site.local_archive.study(study).summary.patient_id == "P900"
    assert site.validation.study(ACTOR, study, strict=True).verdict == "valid"


def test_a_study_that_has_its_reports_gets_no_others(site) -> None:
    assert site.reports.add_documents(ACTOR, make(site, "mr-brain", "sr-report", "sr-measurements")) == []


def test_what_is_not_known_here_is_not_reported(site) -> None:
    study = make(site, "us-abdomen:1")
    with pytest.raises(NotFound):
        site.reports.report_of(ACTOR, "1.2.3")
    [copy] = site.changing.make(ACTOR, [study], requested(new_uids=True))
    with pytest.raises(NotFound, match="not known here"):
        site.reports.report_of(ACTOR, copy.study_instance_uid)
    with pytest.raises(InvalidInput, match="status"):
        site.reports.report_of(ACTOR, study, "X")
    with pytest.raises(InvalidInput, match="endoscopy"):
        site.reports.add_documents(ACTOR, make(site, "es-endoscopy:1"))
    with pytest.raises(AccessDenied):
        site.reports.report_of(dataclasses.replace(ACTOR, roles=frozenset()), study)


def test_recipes_are_kept_by_their_hash(tmp_path: Path) -> None:
    kept, study = MadeRecipes(tmp_path / "made"), resolved(("us-abdomen",), 3)
    assert kept.find(study.recipe_hash) is None
    kept.keep(study)
    kept.keep(study)
    assert kept.find(study.recipe_hash) == study
    [file] = (tmp_path / "made").iterdir()
    assert file.stat().st_mode & 0o077 == 0
    other = resolved(("us-abdomen",), 4)
    file.rename(file.with_name(f"{other.recipe_hash}.json"))  # as if another version had given it another hash
    assert kept.find(other.recipe_hash) is None
    assert kept.find("../other") is None
    blocked = tmp_path / "blocked"
    blocked.write_text("no folder")
    with pytest.raises(LocalFailure):
        MadeRecipes(blocked / "made").keep(study)
