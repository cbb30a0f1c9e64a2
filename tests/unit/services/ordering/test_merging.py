"""Merges and new data of patients, carried through to local studies: whole, again after a kill, and nobody else's."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.filereader import read_file_meta_info

from dicomfab.app.build import Application, build
from dicomfab.app.settings import Settings
from dicomfab.archive.records import StudyFilter
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.model.actor import Role
from dicomfab.model.errors import AccessDenied
from dicomfab.model.query import QueryModel
from dicomfab.model.study import Patient
from dicomfab.model.values import Environment
from dicomfab.services.ordering.intake import Taken
from dicomfab.services.ordering.merging import MergingService
from dicomfab.services.provenance import Origin
from dicomfab.storage.audit import AuditFilter
from dicomfab.storage.merges import MergeRepository, PatientMerge
from tests.unit.services.ordering.conftest import ACTOR, message, pid

Take = Callable[..., Taken]
WHO = Patient("DOE^JANE", "P100", "19700102", "F", issuer="RIS")
KINDS = (SeriesRecipe("us-abdomen", 2), SeriesRecipe("text-card", 3))


def make(site: Application, patient: Patient = WHO, seed: int = 5, series: tuple[SeriesRecipe, ...] = KINDS) -> str:
    resolved = site.studies.resolve_recipe(ACTOR, StudyRecipe(series, patient=patient, seed=seed))
    site.studies.create(ACTOR, resolved)
    return resolved.study_instance_uid


def merge(prior: str = "P100^^^RIS", patient: str = "", event: str = "A40", control_id: str = "A1") -> bytes:
    segments = (patient or pid("P900", "ROE^JANE"), f"MRG|{prior}")
    return message(*segments, kind=f"ADT^{event}", control_id=control_id, more="||||||UNICODE UTF-8")


def update(patient: str, control_id: str = "U1") -> bytes:
    return message(patient, kind="ADT^A08", control_id=control_id, more="||||||UNICODE UTF-8")


def heads(site: Application, study: str) -> list[Dataset]:
    return [dcmread(one.path) for one in site.local_archive.instances(study)]


def said(site: Application, study: str) -> set[tuple[str, ...]]:
    keywords = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex")
    return {tuple(str(ds.get(one, "")) for one in keywords) for ds in heads(site, study)}


def carried(site: Application) -> list[PatientMerge]:
    return site.merging.carry_out(ACTOR)


@pytest.mark.parametrize("event", ["A40", "A47"])
def test_studies_of_the_identifier_that_ends_go_on_under_the_other(site: Application, take: Take, event: str) -> None:
    study = make(site)
    before = heads(site, study)
    flags = [one.made_here for one in site.local_archive.instances(study)]
    stored_at = site.local_archive.study(study).summary.stored_at
    take(merge(event=event))
    [done] = carried(site)
    assert (done.is_done, done.outcome) == (True, "1 study, 5 instances changed")
    assert said(site, study) == {("P900", "RIS", "ROE^JANE", "19700102", "F")}
    after = heads(site, study)
    for one, other in zip(before, after, strict=True):
        assert one.SOPInstanceUID == other.SOPInstanceUID
        assert one.PixelData == other.PixelData
        changed = {element.keyword for element in one if other[element.tag].value != element.value}
        assert changed == {"PatientID", "PatientName"}
    assert [one.made_here for one in site.local_archive.instances(study)] == flags == [True] * 5
    assert site.local_archive.study(study).summary.stored_at == stored_at
    assert site.provenance.of_local(study) == "synthetic"
    assert carried(site) == []


def test_the_index_follows(site: Application, take: Take) -> None:
    study = make(site)
    other = make(site, dataclasses.replace(WHO, patient_id="P101"), seed=6)
    take(merge())
    carried(site)
    summary = site.local_archive.study(study).summary
    assert (summary.patient_id, summary.patient_name, summary.issuer) == ("P900", "ROE^JANE", "RIS")
    patients = {one.patient_id: one.study_count for one in site.local_archive.patients()}
    assert patients == {"P900": 1, "P101": 1}
    for wanted, found in ((StudyFilter(search="P900 ROE"), [study]), (StudyFilter(search="P100"), [])):
        assert [one.study_instance_uid for one in site.local_archive.studies(wanted).studies] == found
    asked = Dataset()
    asked.QueryRetrieveLevel, asked.PatientID, asked.StudyInstanceUID = "STUDY", "P900", ""
    [match] = site.local_archive.find(QueryModel.STUDY_ROOT, asked)
    assert match.StudyInstanceUID == study
    site.local_archive.reindex()
    assert {one.patient_id for one in site.local_archive.patients()} == {"P900", "P101"}
    assert other in {one.study_instance_uid for one in site.local_archive.studies().studies}


def test_nothing_is_left_of_what_was_replaced(site: Application, take: Take) -> None:
    study = make(site)
    take(merge())
    carried(site)
    files = set((site.settings.studies / "instances").rglob("*.dcm"))
    assert files == {one.path for one in site.local_archive.instances(study)}


def test_what_is_written_is_valid(site: Application, take: Take) -> None:
    kinds = (SeriesRecipe("ct-chest", 3), SeriesRecipe("sr-report"), SeriesRecipe("sr-measurements"))
    study = make(site, series=kinds)
    take(merge(patient="PID|1||P900^^^RIS||山田^太郎||19700102|F"))
    carried(site)
    assert said(site, study) == {("P900", "RIS", "山田^太郎", "19700102", "F")}
    report = site.validation.study(ACTOR, study, strict=True)
    assert report.verdict == "valid", [one.findings for one in report.files]


def test_new_data_of_a_patient_come_through_and_an_update_of_nobody_is_forgotten(site: Application, take: Take) -> None:
    study = make(site)
    take(update(pid("P555")))
    take(update("PID|1||P100^^^RIS||ROE^JANE||19710203|O", "U2"))
    [done] = carried(site)
    assert (done.is_update, done.outcome) == (True, "1 study, 5 instances changed")
    assert said(site, study) == {("P100", "RIS", "ROE^JANE", "19710203", "O")}
    assert [one.number for one in site.merging.page(ACTOR)] == [done.number]
    take(update("PID|1||P100^^^RIS||ROE^JANE||19710203|O", "U3"))
    assert carried(site) == []


def test_both_patients_are_one_now(site: Application, take: Take) -> None:
    first = make(site)
    second = make(site, dataclasses.replace(WHO, patient_id="P900", name="OLD^NAME"), seed=6)
    take(merge())
    [done] = carried(site)
    assert done.outcome == "2 studies, 10 instances changed"
    assert said(site, first) == said(site, second) == {("P900", "RIS", "ROE^JANE", "19700102", "F")}
    assert [one.study_count for one in site.local_archive.patients()] == [2]


def test_merges_follow_one_another(site: Application, take: Take) -> None:
    study = make(site)
    take(merge())
    take(merge("P900^^^RIS", pid("P950", "ROE^JANE"), control_id="A2"))
    assert [one.outcome for one in carried(site)] == ["1 study, 5 instances changed"] * 2
    assert {one[0] for one in said(site, study)} == {"P950"}


def test_another_issuer_is_another_patient(site: Application, take: Take) -> None:
    study = make(site, dataclasses.replace(WHO, issuer="ELSEWHERE"))
    take(merge())
    [done] = carried(site)
    assert done.outcome == "no local study is left to be changed"
    assert said(site, study) == {("P100", "ELSEWHERE", "DOE^JANE", "19700102", "F")}


def _foreign(site: Application, study: str, environment: Environment) -> str:
    """A study that came from elsewhere: without our mark, and with a UID of its own."""
    other = "1.2.826.0.1.3680043.8.498.99"
    for number, one in enumerate(site.local_archive.instances(study)):
        ds = dcmread(one.path)
        ds.StudyInstanceUID, ds.SeriesInstanceUID = other, f"{other}.1"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{other}.1.{number}"
        del ds.SyntheticData
        ds.remove_private_tags()
        identity = dataclasses.replace(one.identity, sop_instance_uid=str(ds.SOPInstanceUID))
        file = site.settings.home / "foreign.dcm"
        ds.save_as(file, enforce_file_format=True)
        length = int(read_file_meta_info(file).FileMetaInformationGroupLength)
        with site.local_archive.begin(identity) as incoming:
            incoming.write(file.read_bytes()[132 + 12 + length :])
            incoming.commit(environment=environment)
    site.studies.delete(ACTOR, study)
    return other


@pytest.mark.parametrize("environment", list(Environment))
def test_what_was_not_fabricated_is_never_touched(site: Application, take: Take, environment: Environment) -> None:
    study = _foreign(site, make(site), environment)
    before = {one.path: one.path.read_bytes() for one in site.local_archive.instances(study)}
    take(merge())
    [done] = carried(site)
    assert done.is_done
    if environment is Environment.TEST:
        assert done.outcome == "1 study is not fabricated: not touched"
    assert {one.path: one.path.read_bytes() for one in site.local_archive.instances(study)} == before


def test_a_merge_of_production_touches_nothing(site: Application, take: Take) -> None:
    study = make(site)
    before = {one.path: one.path.read_bytes() for one in site.local_archive.instances(study)}
    take(merge(), Environment.PROD)
    take(update(pid("P100", "ROE^JANE")), Environment.PROD)
    [done] = carried(site)
    assert "of production" in done.outcome
    assert done.is_done
    assert {one.path: one.path.read_bytes() for one in site.local_archive.instances(study)} == before


def test_a_study_in_use_is_done_later_and_what_is_said_later_waits(site: Application, take: Take) -> None:
    study = make(site)
    take(merge())
    take(merge("P900^^^RIS", pid("P950", "ROE^JANE"), control_id="A2"))
    with site.local_archive.using(study):
        [waiting] = carried(site)
        assert not waiting.is_done
        assert "in use" in waiting.outcome
        assert {one[0] for one in said(site, study)} == {"P100"}
    assert [one.is_done for one in carried(site)] == [True, True]
    assert {one[0] for one in said(site, study)} == {"P950"}


def test_what_is_damaged_stays_and_is_said(site: Application, take: Take) -> None:
    whole, cut = make(site), make(site, seed=6)
    path = site.local_archive.instances(cut)[-1].path
    path.write_bytes(path.read_bytes()[:-1000])
    take(merge())
    [done] = carried(site)
    assert done.outcome.startswith("1 study, 5 instances changed; ")
    assert cut in done.outcome
    assert "stays as it was" in done.outcome
    assert {one[0] for one in said(site, whole)} == {"P900"}
    assert {str(dcmread(one.path, stop_before_pixels=True).PatientID) for one in site.local_archive.instances(cut)} == {
        "P100"
    }


def test_a_study_that_is_deleted_meanwhile_is_left_out(site: Application, take: Take) -> None:
    gone, stays = make(site), make(site, dataclasses.replace(WHO, patient_id="P101"), seed=6)
    take(merge())
    take(merge("P101^^^RIS", pid("P901", "ROE^MAX"), control_id="A2"))

    def deleting(*_events: object, within: object = None) -> None:
        if gone in {one.study_instance_uid for one in site.local_archive.studies().studies}:
            site.studies.delete(ACTOR, gone)

    service = MergingService(MergeRepository(site.database), site.local_archive, site.provenance.of_local, deleting)
    assert [(one.is_done, one.outcome) for one in service.carry_out(ACTOR)] == [
        (True, "no local study is left to be changed"),
        (True, "1 study, 5 instances changed"),
    ]
    assert {one[0] for one in said(site, stays)} == {"P901"}


def test_a_study_at_which_the_application_fails_holds_up_no_other(
    site: Application, take: Take, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = make(site), make(site, dataclasses.replace(WHO, patient_id="P101"), seed=6)
    take(merge())
    take(merge("P101^^^RIS", pid("P901", "ROE^MAX"), control_id="A2"))
    failures = [ValueError("DOE^JANE")]

    def failing(*_events: object, within: object = None) -> None:
        if failures:
            raise failures.pop()

    service = MergingService(MergeRepository(site.database), site.local_archive, site.provenance.of_local, failing)
    assert [one.outcome for one in service.carry_out(ACTOR)] == [
        f"study {first} stays as it was: the application failed",
        "1 study, 5 instances changed",
    ]
    assert ({one[0] for one in said(site, first)}, {one[0] for one in said(site, second)}) == ({"P100"}, {"P901"})
    assert "DOE^JANE" not in caplog.text


def test_each_study_is_recorded_and_who_may_not_does_nothing(site: Application, take: Take) -> None:
    study = make(site)
    take(merge())
    with pytest.raises(AccessDenied):
        site.merging.carry_out(dataclasses.replace(ACTOR, roles=frozenset()))
    assert site.merging.carry_out(dataclasses.replace(ACTOR, roles=frozenset({Role.PROD_READ}))) == []
    carried(site)
    entries = [one.event for one in site.audit._log.entries(AuditFilter()) if one.event.study_uids == (study,)]
    [change] = [one for one in entries if one.kind == "patient-change"]
    assert change.patient_ids == ("P100", "P900")
    assert not any("ROE" in json.dumps(dict(one.detail)) for one in entries)
    assert site.merging.page(dataclasses.replace(ACTOR, roles=frozenset({Role.PROD_READ}))) == []


_KILLED = """
import os, signal, sys
from dicomfab.app.build import build
from dicomfab.app.settings import Settings
from pathlib import Path
from dicomfab.model.actor import local_admin
import dicomfab.services.changes as changes

left = int(sys.argv[2])
real = changes.rewrite
def rewrite(*args):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args)
changes.rewrite = rewrite
build(Settings(Path(sys.argv[1]))).merging.carry_out(local_admin("tester", "cli"))
"""


@pytest.mark.parametrize("instances", [0, 3, 5, 7])
def test_who_is_killed_between_instances_is_gone_on_for(tmp_path: Path, instances: int) -> None:
    home = tmp_path / "home"
    site = build(Settings(home))
    studies = [make(site), make(site, seed=6)]
    site.ordering.intake.take(ACTOR, merge(), Environment.TEST, peer="here")
    site.close()
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(home), str(instances)], timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL
    again = build(Settings(home))
    for study in studies:
        assert len({one[0] for one in said(again, study)}) == 1, "a study is half of one patient, half of another"
    assert [one.is_done for one in again.merging.page(ACTOR)] == [False]
    [done] = carried(again)
    assert done.is_done
    assert all({one[0] for one in said(again, study)} == {"P900"} for study in studies)
    files = set((again.settings.studies / "instances").rglob("*.dcm"))
    assert files == {one.path for study in studies for one in again.local_archive.instances(study)}
    again.close()


NAMES = st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=20)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(family=NAMES, given_name=NAMES, new_id=st.text("ABC019-", min_size=1, max_size=30), number=st.integers(0, 10**9))
def test_any_name_comes_through(site: Application, family: str, given_name: str, new_id: str, number: int) -> None:
    prior, new = f"Q{number}", f"N{new_id}"
    study = make(site, dataclasses.replace(WHO, patient_id=prior), series=(SeriesRecipe("text-card", 1),))
    data = merge(f"{prior}^^^RIS", f"PID|1||{new}^^^RIS||{family}^{given_name}||19700102|F", control_id=f"C{number}")
    taken = site.ordering.intake.take(ACTOR, data, Environment.TEST, peer="here")
    carried(site)
    if taken.message.code == "AA":
        [(patient_id, _, name, *_)] = said(site, study)
        assert patient_id == new
        [registered] = site.merging.page(ACTOR, 1)
        assert name == registered.value("PatientName")
    site.studies.delete(ACTOR, study)


def test_a_process_that_is_behind_undoes_nothing(site: Application, take: Take) -> None:
    """Two processes follow the same patients: one has done what came later when the other comes to what was first."""
    study = make(site)
    take(merge(control_id="A1"))

    def meanwhile(uid: str) -> Origin:
        if not others:
            take(merge("P900^^^RIS", pid("P901", "ROE^JANE"), control_id="A2"))
            others.extend(carried(site))
        return site.provenance.of_local(uid)

    others: list[PatientMerge] = []
    behind = MergingService(MergeRepository(site.database), site.local_archive, meanwhile)
    behind.carry_out(ACTOR)
    assert [one.outcome for one in others] == ["1 study, 5 instances changed"] * 2
    assert said(site, study) == {("P901", "RIS", "ROE^JANE", "19700102", "F")}
    behind.carry_out(ACTOR)
    assert said(site, study) == {("P901", "RIS", "ROE^JANE", "19700102", "F")}
    done = site.merging.page(ACTOR)
    assert [(one.is_done, one.outcome) for one in done] == [(True, "1 study, 5 instances changed")] * 2
