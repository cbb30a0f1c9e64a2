"""Fabricated identifiers and the patients of a destination."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from dicomfab.dimse.handlers import Handlers
from dicomfab.dimse.scu.find import find
from dicomfab.model.errors import Conflict, ConnectionFailed
from dicomfab.model.job import JobState
from dicomfab.model.values import Environment
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.services.identifier_check import IdentifierCheck
from dicomfab.services.verification import VerdictKind
from tests.peers import programs
from tests.unit.dimse import raw
from tests.unit.pixels.instances import data_set, picture
from tests.unit.services.hospital import ADMIN, CARDS, Hospital
from tests.unit.services.job_office import Office
from tests.unit.services.test_derivation import add
from tests.unit.services.test_query_answers import answers_with


def checked(site: Hospital, *, lab: tuple[PacsServer, ...] = (), fabricated: frozenset[str] = frozenset()) -> None:
    site.transfers.check_identifiers = IdentifierCheck(
        site.local, find, lambda server: server in lab, fabricated.__contains__
    )


def someone(site: Hospital, server: str, **identifiers: str) -> str:
    """A study of somebody else's on a server."""
    ds = data_set(picture(), bits=8)
    ds.PatientID, ds.AccessionNumber = "REAL", "A-REAL"
    for keyword, value in identifiers.items():
        setattr(ds, keyword, value)
    kept = site.local
    try:
        site.local = site.archives[server]
        add(site, "1.2.840.99.1", ds)
    finally:
        site.local = kept
    return "1.2.840.99.1"


@pytest.mark.parametrize(("keyword", "kind"), [("PatientID", "Patient ID"), ("AccessionNumber", "accession number")])
def test_a_hit_that_is_not_ours_refuses_and_names_no_patient(site: Hospital, keyword: str, kind: str) -> None:
    pacs, study = site.pacs("PACS"), site.make()
    summary = site.local.study(study).summary
    mine = {"PatientID": summary.patient_id, "AccessionNumber": summary.accession_number}
    someone(site, "PACS", **{keyword: mine[keyword]}, PatientName="SECRET^NAME")
    checked(site)
    with pytest.raises(Conflict) as caught:
        site.transfers.send(ADMIN, study, pacs)
    told = str(caught.value)
    assert "PACS" in told
    assert kind in told
    assert not any(word in told for word in ("SECRET", summary.patient_name, summary.patient_id))
    assert not site.held("PACS", study)
    checked(site, lab=(pacs,))  # the lab's own servers are not asked
    assert site.transfers.send(ADMIN, study, pacs).verdict.kind is VerdictKind.VERIFIED


def test_what_is_ours_there_is_no_hit(site: Hospital) -> None:
    pacs, study = site.pacs("PACS"), site.make()
    other = site.make(replace(CARDS, seed=6, patient=_patient_of(site, study)))
    checked(site)
    for one in (study, other, study):
        assert site.transfers.send(ADMIN, one, pacs).identifiers == ""
    site.local.delete_study(other)
    with pytest.raises(Conflict):
        site.transfers.send(ADMIN, study, pacs)
    checked(site, fabricated=frozenset({other}))
    assert site.transfers.send(ADMIN, study, pacs).verdict.kind is VerdictKind.VERIFIED


def _patient_of(site: Hospital, study: str) -> Any:
    from dicomfab.model.study import Patient

    summary = site.local.study(study).summary
    return Patient(summary.patient_name, summary.patient_id, issuer=summary.issuer)


def test_a_real_study_in_the_local_store_is_not_ours(site: Hospital) -> None:
    pacs, study = site.pacs("PACS"), site.make()
    real = someone(site, "PACS", PatientID=site.local.study(study).summary.patient_id)
    ds = data_set(picture(), bits=8)
    ds.SOPInstanceUID = "1.2.840.99.7"
    add(site, real, ds, Environment.PROD)
    checked(site)
    with pytest.raises(Conflict):
        site.transfers.send(ADMIN, study, pacs)


def test_unmarked_studies_are_not_asked_for(site: Hospital) -> None:
    pacs = site.pacs("PACS", allow_real=True)
    add(site, "1.2.3.4", data_set(picture(), bits=8))
    asked: list[object] = []
    site.transfers.check_identifiers = IdentifierCheck(
        site.local,
        lambda *given, **_options: asked.append(given) or iter(()),
        lambda _server: False,
        lambda _uid: False,
    )
    site.transfers.send(ADMIN, "1.2.3.4", pacs)
    assert asked == []


def test_who_cannot_be_asked_is_said_for_test_and_refused_for_production(site: Hospital) -> None:
    study = site.make()
    storage_only = frozenset({Capability.STORE, Capability.ECHO})
    pacs = site.pacs("PACS", capabilities=storage_only)
    prod = site.pacs("PROD", "prod", capabilities=storage_only)
    checked(site)
    sent = site.transfers.send(ADMIN, study, pacs)
    assert sent.accepted == 3
    assert "identifiers could not be checked" in sent.identifiers
    with pytest.raises(Conflict, match="production server"):
        site.transfers.send(ADMIN, study, prod, confirm_production=True)
    assert not site.held("PROD", study)
    away = replace(site.entry("AWAY", programs.free_port(), "prod"), connect_timeout_s=1)
    with pytest.raises(ConnectionFailed):  # it may pass, so it can be tried again
        site.transfers.send(ADMIN, study, away, confirm_production=True)


class _Ignoring(Handlers):
    """Answers with all that it has, whatever it is asked for."""

    def __init__(self, answers: int) -> None:
        self._answers = answers

    def find(self, *_given: Any) -> Iterator[Dataset]:
        for number in range(self._answers):
            ds = Dataset()
            ds.QueryRetrieveLevel, ds.StudyInstanceUID = "STUDY", f"1.2.3.{number}"
            ds.PatientID, ds.AccessionNumber = f"P{number}", f"A{number}"
            yield ds


def test_a_server_that_ignores_the_key_is_read_by_what_it_says(site: Hospital) -> None:
    study = site.make()
    summary = site.local.study(study).summary
    check = IdentifierCheck(site.local, find, lambda _server: False, lambda _uid: False)
    assert check(summary, site.local.instances(study), site.server("FEW", _Ignoring(5))) == ""
    assert "1000 studies or more" in check(summary, site.local.instances(study), site.server("MANY", _Ignoring(1001)))


def test_an_answer_that_ended_with_a_warning_frees_no_identifier(site: Hospital) -> None:
    study = site.make()
    summary, instances = site.local.study(study).summary, site.local.instances(study)
    check = IdentifierCheck(site.local, find, lambda _server: False, lambda _uid: False)
    with raw.peer(answers_with(0xB000)) as peer:
        assert "warning B000" in check(summary, instances, site.entry("TEST", peer.port))
    with raw.peer(answers_with(0xB000)) as peer, pytest.raises(Conflict, match="Nothing was sent"):
        check(summary, instances, site.entry("PROD", peer.port, "prod"))


def test_a_job_goes_on_with_the_studies_that_may_be_sent(site: Hospital, tmp_path: Path) -> None:
    office, pacs = Office(site), site.pacs("PACS")
    study, other = site.make(), site.make(replace(CARDS, seed=6, accession_number="OTHER"))
    someone(site, "PACS", AccessionNumber="CARDS")
    checked(site)
    office.know(pacs)
    job = office.run(office.send([study, other], pacs))
    assert job.state is JobState.FAILED
    assert "accession number" in job.error["what"]
    assert (job.counts.done, job.counts.failed) == (3, 3)
    assert len(site.held("PACS", other)) == 3


@pytest.mark.peers
def test_orthanc_is_asked(site: Hospital, tmp_path: Path) -> None:
    study = site.make()
    with programs.orthanc(tmp_path) as running:
        pacs = site.entry("ORTHANC", running.peer.port)
        summary = site.local.study(study).summary
        assert site.transfers.send(ADMIN, study, pacs).verdict.kind is VerdictKind.VERIFIED
        checked(site)
        assert site.transfers.send(ADMIN, study, pacs).identifiers == ""
        site.archives["local"].delete_study(study)
        check = IdentifierCheck(site.local, find, lambda _server: False, lambda _uid: False)
        resolved = site.make(replace(CARDS, seed=8, patient=None, accession_number=summary.accession_number))
        with pytest.raises(Conflict, match="accession number"):
            check(site.local.study(resolved).summary, site.local.instances(resolved), pacs)
