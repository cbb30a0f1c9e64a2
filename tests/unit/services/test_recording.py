"""What is done becomes one entry of the audit log, whatever the door, and nothing is done that cannot be recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomfab.app.account_events import KINDS, entry
from dicomfab.app.build import Application
from dicomfab.app.settings import Settings
from dicomfab.model.account import AccountEvent, AccountEventKind, Refusal
from dicomfab.model.actor import Actor, Role, local_admin
from dicomfab.model.audit import AuditEvent, EventKind, Outcome
from dicomfab.model.errors import AccessDenied, DicomFabError, LocalFailure, NotFound
from dicomfab.services.audit import entry_values
from dicomfab.services.recording import recorded, refused
from dicomfab.services.study_filter import StudyFilter
from dicomfab.storage.audit import AuditFilter
from dicomfab.testpacs.ports import free_ports
from tests.unit.services.hospital import CARDS, Hospital, actor, hospital
from tests.unit.services.job_office import Office

ADMIN = local_admin("tester", "api")


@pytest.fixture
def application(tmp_path: Path) -> Iterator[Application]:
    made = Application(Settings(home=tmp_path / "home"))
    yield made
    made.close()


def entries(application: Application) -> list[AuditEvent]:
    """In order, without what reading them adds."""
    found = application.audit._log.page(AuditFilter(), limit=1000).entries
    return [one.event for one in reversed(found)]


def kinds(application: Application) -> list[str]:
    return [str(one.kind) for one in entries(application)]


@pytest.fixture
def site(tmp_path: Path, application: Application) -> Iterator[Hospital]:
    with hospital(tmp_path / "hospital") as made:
        made.transfers.record = made.queries.record = made.studies.record = application.audit.record
        yield made


def server(application: Application, name: str = "Ward", environment: str = "test") -> None:
    (port,) = free_ports(1, "127.0.0.1")
    fields = {"name": name, "host": "127.0.0.1", "port": port, "aec": name.upper(), "environment": environment}
    application.pacs.add(ADMIN, fields)


def test_requirement_20_each_action_is_one_entry_with_who_when_where_what_and_outcome(
    application: Application, site: Hospital
):
    ward = site.pacs("WARD")
    study = site.make()
    site.studies.show(ADMIN, study)
    site.studies.export(ADMIN, study, site.folder / "out")
    site.transfers.send(ADMIN, study, ward)
    list(site.queries.search(ADMIN, [ward], StudyFilter(accession_number="CARDS")))
    site.studies.delete(ADMIN, study)
    site.transfers.get(ADMIN, study, ward)
    found = entries(application)
    assert [str(one.kind) for one in found] == [
        "fabrication",
        "view",
        "export",
        "transfer-begun",
        "transfer-ended",
        "query",
        "deletion",
        "transfer-begun",
        "transfer-ended",
    ]
    assert {(one.actor, one.door, one.outcome, one.environment) for one in found} == {
        ("tester", "api", Outcome.SUCCESS, "test")
    }
    assert all(one.at is not None and one.host for one in found)
    assert [one.receiver.ae_title for one in found if one.receiver] == ["WARD"] * 3
    assert [one.sender.ae_title for one in found if one.sender] == ["WARD"] * 2
    assert b"CARDS" in found[5].query
    assert all(
        one.study_uids == (study,) and one.patient_ids for one in found if one.kind != "query" and not one.sender
    )
    assert sum(found[4].sop_classes.values()) == 3
    said = json.dumps([one.as_dict() for one in found])
    assert "^" not in said  # of no patient the name


def test_failing_queries_and_transfers_are_recorded_as_failures(application: Application, site: Hospital):
    (port,) = free_ports(1, "127.0.0.1")
    nowhere = site.entry("NOWHERE", port)
    study = site.make()
    (answer,) = site.queries.search(ADMIN, [nowhere], StudyFilter(accession_number="CARDS"))
    assert answer.error is not None
    with pytest.raises(DicomFabError):
        site.transfers.send(ADMIN, study, nowhere)
    with pytest.raises(DicomFabError):
        site.transfers.get(ADMIN, study, nowhere)
    found = [one for one in entries(application) if one.kind != "fabrication"]
    failed = [str(one.kind) for one in found if one.outcome is Outcome.SERIOUS]
    assert failed == ["query", "transfer-ended", "transfer-ended"]
    assert all(one.reason for one in found if one.outcome is Outcome.SERIOUS)


def test_a_refusal_is_one_entry_wherever_it_comes_up(application: Application, site: Hospital):
    clinic = site.pacs("CLINIC", "prod")
    study = site.make()
    reader = actor(Role.TEST_WRITE)
    with pytest.raises(AccessDenied) as caught:
        site.transfers.send(reader, study, clinic, confirm_production=True)
    refused(application.audit.record, reader, caught.value)  # at the door
    (answer,) = site.queries.search(reader, [clinic], StudyFilter(accession_number="CARDS"))
    assert answer.error is not None
    refused(application.audit.record, reader, answer.error)
    assert kinds(application) == ["fabrication", "refusal", "refusal"]
    first = entries(application)[1]
    assert (first.actor, first.environment, first.outcome) == ("someone", "prod", Outcome.SERIOUS)
    assert first.receiver is not None
    assert first.receiver.ae_title == "CLINIC"


def test_a_job_that_is_refused_when_its_turn_has_come_is_one_entry(application: Application, site: Hospital):
    office = Office(site)
    clinic = site.pacs("CLINIC", "prod")
    office.know(clinic)
    study = site.make()
    job = office.send([study], clinic, confirm_production=True)
    office.registry = office.registry.edit(clinic.id, {"allow_synthetic": False})
    office.run(job)
    assert kinds(application) == ["fabrication", "refusal"]


def test_changes_of_the_configuration_are_recorded_in_their_own_transaction(application: Application):
    for name in ("Ward", "Clinic"):
        server(application, name)
    application.pacs.edit(ADMIN, "ward", {"notes": "moved"})
    application.pacs.set_routes(ADMIN, "ward", {"clinic": "CLINIC"})
    application.pacs.remove(ADMIN, "clinic")
    application.monitoring.change(ADMIN, "ward", interval_s=3600)
    with pytest.raises(NotFound):
        application.pacs.edit(ADMIN, "nothing", {"notes": "x"})
    found = entries(application)
    changed = ["registry-change"] * 3 + ["route-change", "registry-change", "settings-change"]
    assert [str(one.kind) for one in found] == changed
    assert [one.subject for one in found] == ["ward", "clinic", "ward", "ward", "clinic", "ward"]
    assert found[2].detail == {"change": "edited", "notes": " -> moved"}


def test_changes_of_patients_name_their_id_and_not_their_name(application: Application):
    added = application.patients.add(ADMIN, {"patient_id": "SYN7", "name": "Doe^Jane"}).patients[0]
    application.patients.edit(ADMIN, added.number, {"name": "Doe^Joan"})
    application.patients.remove(ADMIN, added.number)
    found = entries(application)
    assert [one.detail["change"] for one in found] == ["added", "edited", "removed"]
    assert {one.patient_ids for one in found} == {("SYN7",)}
    assert "Doe" not in json.dumps([one.as_dict() for one in found])


def test_what_cannot_be_recorded_is_not_done(application: Application, site: Hospital):
    study = site.make()
    ward = site.pacs("WARD")
    server(application)
    application.settings.audit_key.unlink()
    application.audit._log._key = None
    attempts = [
        lambda: site.studies.delete(ADMIN, study),
        lambda: site.studies.show(ADMIN, study),
        lambda: site.studies.export(ADMIN, study, site.folder / "out"),
        lambda: site.transfers.send(ADMIN, study, ward),
        lambda: site.make(CARDS),
        lambda: application.pacs.remove(ADMIN, "ward"),
    ]
    for attempt in attempts:
        with pytest.raises(LocalFailure):
            attempt()
    (answer,) = site.queries.search(ADMIN, [ward], StudyFilter(accession_number="CARDS"))
    assert isinstance(answer.error, LocalFailure)
    assert site.local.has_study(study)
    assert not (site.folder / "out").exists()
    assert site.held("WARD", study) == set()
    assert application.pacs.get(ADMIN, "ward")


def test_a_refusal_stays_one_when_it_cannot_be_recorded():
    def full(*_events: AuditEvent, within: object = None) -> None:
        raise LocalFailure("no space")

    error = AccessDenied("no", cause="because")
    refused(full, ADMIN, error)
    with pytest.raises(LocalFailure), recorded(full, AuditEvent.by(ADMIN, EventKind.EXPORT)):
        pytest.fail("nothing may be done")


@pytest.mark.parametrize("kind", AccountEventKind)
def test_every_account_event_is_an_entry(application: Application, kind: AccountEventKind):
    refusal = Refusal.WRONG_PASSWORD if kind is AccountEventKind.REFUSED else None
    event = AccountEvent(kind, "", "ben", refusal=refusal, address="192.0.2.1")
    application.audit.record(entry(event))
    (found,) = entries(application)
    assert (found.kind, found.actor, found.subject, found.address) == (KINDS[kind], "ben", "ben", "192.0.2.1")
    assert (found.outcome, found.reason) == ((Outcome.MINOR, "wrong_password") if refusal else (Outcome.SUCCESS, ""))


def test_accounts_are_recorded_as_they_are_wired(application: Application):
    made = application.accounts.add(ADMIN, "ben", ("test_read",), password="tulip marble seven")
    found = entries(application)
    assert [(one.kind, one.actor, one.door, one.subject) for one in found] == [
        (EventKind.USER_CHANGE, "tester", "api", made.name)
    ]
    assert "tulip" not in json.dumps([entry_values(one) for one in application.audit._log.entries(AuditFilter())])


def test_an_api_token_and_an_address_are_told(application: Application):
    someone = Actor("ben", frozenset(), "api", 7, "abcdefgh", "192.0.2.3")
    event = AuditEvent.by(someone, EventKind.VIEW, detail={"instances": "3"})
    assert (event.address, event.detail) == ("192.0.2.3", {"token": "abcdefgh", "instances": "3"})
