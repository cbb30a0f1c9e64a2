"""The same study at two places: by lists, attributes and pixels."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pydicom
import pytest

from dicomfab.dimse.scu.find import find
from dicomfab.dimse.scu.get import get
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.model.actor import Role
from dicomfab.model.errors import AccessDenied, InvalidInput, NotFound
from dicomfab.model.job import Job, JobKind, JobState
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.services.jobs.verify import VerifyExecutor, verify_job
from dicomfab.services.verifying import VerifyService
from tests.peers import programs
from tests.unit.services.hospital import ADMIN, Hospital, Nameless, actor
from tests.unit.services.job_office import STORE, Office
from tests.unit.services.test_derivation import add

TWO_SERIES = StudyRecipe((SeriesRecipe("text-card", 2), SeriesRecipe("text-card", 1)), seed=5, accession_number="TWO")


@pytest.fixture
def office(site: Hospital) -> Office:
    made = Office(site)
    service = VerifyService(site.local, find, get, site.folder / "verifying")
    made.executors[JobKind.VERIFY] = VerifyExecutor(service, lambda: made.registry)
    return made


def verified(office: Office, studies: list[str], source: PacsServer | None, at: PacsServer, **options: Any) -> Job:
    service = VerifyService(office.site.local, find, get, office.site.folder / "verifying")
    job = office.run(office.submit(*verify_job(ADMIN, service, studies, source, at, store_id=STORE, **options)))
    left = office.site.folder / "verifying"
    assert not (left.is_dir() and any(left.iterdir()))
    return job


def changed(site: Hospital, study: str, server: str, **values: Any) -> str:
    """Put another version of the study's first instance on a server; its UID."""
    ds = pydicom.dcmread(site.local.instances(study)[0].path)
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    kept, site.local = site.local, site.archives[server]
    try:
        add(site, study, ds)
    finally:
        site.local = kept
    return str(ds.SOPInstanceUID)


def test_the_same_lists_are_verified_and_differences_are_named(site: Hospital, office: Office) -> None:
    one, two = site.pacs("ONE"), site.pacs("TWO")
    office.know(one, two)
    study = site.make(TWO_SERIES)
    for server in (one, two):
        site.transfers.send(ADMIN, study, server)
    job = verified(office, [study], None, one)
    assert (job.state, job.report["verdict"]) == (JobState.SUCCEEDED, "verified")
    (report,) = job.report["studies"]
    assert [(s["source"], s["destination"]) for s in report["series"]] == [(2, 2), (1, 1)]
    assert report["compared"] is None
    assert verified(office, [study], one, two).state is JobState.SUCCEEDED

    extra = changed(site, study, "TWO", SOPInstanceUID="1.2.3.4.5")
    site.archives["ONE"].delete_study(study)
    gone = changed(site, study, "ONE")
    job = verified(office, [study], None, two)
    assert job.state is JobState.FAILED
    assert job.report["studies"][0]["series"][0]["extra"] == [extra]
    job = verified(office, [study], None, one)
    assert len(job.report["studies"][0]["verdict"]["missing"]) == 2
    assert gone not in job.report["studies"][0]["verdict"]["missing"]
    assert "2 of 3 instances are not listed" in job.error["what"]
    assert job.error["error"] == "TransferIncomplete"


def test_lists_that_are_not_complete_prove_nothing(site: Hospital, office: Office) -> None:
    study = site.make()
    hidden = min(site.held("local", study))
    servers = []
    for name in ("ONE", "TWO"):
        handlers = Nameless(site.archive(name), name)
        servers.append(site.server(name, handlers))
        site.transfers.send(ADMIN, study, servers[-1])
        handlers.unnamed = {hidden}
    office.know(*servers)
    job = verified(office, [study], *servers)
    assert (job.state, job.report["verdict"]) == (JobState.UNVERIFIED, "unverified")
    assert "without its SOP Instance UID" in job.report["studies"][0]["verdict"]["why"]


def test_another_series_is_a_mismatch(site: Hospital, office: Office) -> None:
    pacs, study = site.pacs("PACS"), site.make()
    office.know(pacs)
    for instance in site.local.instances(study)[1:]:
        kept, site.local = site.local, site.archives["PACS"]
        add(site, study, pydicom.dcmread(instance.path))
        site.local = kept
    changed(site, study, "PACS", SeriesInstanceUID="1.2.3.4.6")
    job = verified(office, [study], None, pacs)
    assert "1 instances are in another series" in job.report["studies"][0]["verdict"]["why"]


def test_who_cannot_be_asked_leaves_it_unverified(site: Hospital, office: Office) -> None:
    study = site.make()
    pacs = site.pacs("PACS", capabilities=frozenset({Capability.STORE, Capability.FIND}))
    blind = site.pacs("BLIND", capabilities=frozenset({Capability.STORE}))
    away = dataclasses.replace(site.entry("AWAY", programs.free_port()), connect_timeout_s=1)
    office.know(pacs, blind, away)
    site.transfers.send(ADMIN, study, pacs)
    for at, deep, told in ((away, False, "Connection failed"), (blind, False, "C-FIND"), (pacs, True, "C-GET")):
        job = verified(office, [study], None, at, deep=deep)
        assert job.state is JobState.UNVERIFIED, at.name
        assert told in job.report["studies"][0]["verdict"]["why"]
    assert verified(office, [study], None, pacs).state is JobState.SUCCEEDED
    job = verified(office, ["1.2.3", study], pacs, blind)
    assert job.state is JobState.FAILED
    assert "holds no study 1.2.3" in job.error["what"]


def test_deep_names_attributes_and_pixels(site: Hospital, office: Office) -> None:
    pacs, study = site.pacs("PACS"), site.make()
    office.know(pacs)
    same = [pydicom.dcmread(one.path) for one in site.local.instances(study)]
    kept, site.local = site.local, site.archives["PACS"]
    for ds in same[1:]:
        add(site, study, ds)
    site.local = kept
    pixels = bytearray(same[0].PixelData)
    pixels[0] ^= 1
    nested = same[0].ProcedureCodeSequence if "ProcedureCodeSequence" in same[0] else None
    key = changed(
        site, study, "PACS", PatientID="COERCED", PixelData=bytes(pixels), InstitutionName="Süd",
        SpecificCharacterSet="ISO_IR 192", RetrieveAETitle="PACS",
    )  # fmt: skip
    job = verified(office, [study], None, pacs, deep=True)
    (report,) = job.report["studies"]
    found = {one["keyword"]: one for one in report["compared"]["differences"]}
    assert {k for k, one in found.items() if not one["allowed"]} == {"PatientID", "InstitutionName"}
    assert {k for k, one in found.items() if one["allowed"]} <= {"SpecificCharacterSet", "RetrieveAETitle"}
    assert (found["PatientID"]["tag"], found["PatientID"]["after"]) == ("(0010,0020)", "COERCED")
    assert (found["PatientID"]["instances"], found["PatientID"]["first"]) == (1, key)
    assert list(report["compared"]["pixels"]) == [key]
    assert job.state is JobState.FAILED
    assert nested is None or "ProcedureCodeSequence" not in found

    site.archives["PACS"].delete_study(study)
    for ds in same[1:]:
        kept, site.local = site.local, site.archives["PACS"]
        add(site, study, ds)
        site.local = kept
    changed(site, study, "PACS", PatientID="COERCED")
    assert verified(office, [study], None, pacs, deep=True).state is JobState.FAILED
    job = verified(office, [study], None, pacs, deep=True, allow=["PatientID"])
    assert (job.state, job.report["studies"][0]["compared"]["instances"]) == (JobState.SUCCEEDED, 3)
    assert "1 that are allowed" in job.report["studies"][0]["verdict"]["why"]


@pytest.mark.parametrize("syntax", ["implicit", "big-endian", "deflated", "jpeg-lossless", "rle", "jpeg"])
def test_another_transfer_syntax_is_no_difference(site: Hospital, office: Office, syntax: str, tmp_path: Path) -> None:
    from dicomfab.pixels.transcode import transcode

    source, pacs = site.pacs("SOURCE"), site.pacs("PACS")
    office.know(source, pacs)
    study = site.make(StudyRecipe((SeriesRecipe("text-card", 1, transfer_syntax=syntax),), seed=7))
    site.transfers.send(ADMIN, study, source)
    for one in site.local.instances(study):
        plain = transcode(one.file, "1.2.840.10008.1.2.1", tmp_path)
        with site.archives["PACS"].begin(plain.identity) as incoming:
            incoming.write(plain.path.read_bytes()[plain.dataset_offset :])
            incoming.commit(environment=pacs.environment)
    job = verified(office, [study], source, pacs, deep=True)
    assert (job.state, job.report["studies"][0]["compared"]["pixels"]) == (JobState.SUCCEEDED, {})
    assert not [one for one in job.report["studies"][0]["compared"]["differences"] if not one["allowed"]]


def test_a_retry_looks_again(site: Hospital, office: Office) -> None:
    pacs, study = site.pacs("PACS"), site.make()
    office.know(pacs)
    job = verified(office, [study], None, pacs)
    assert job.state is JobState.FAILED
    site.transfers.send(ADMIN, study, pacs)
    assert office.retried(job.id).state is JobState.SUCCEEDED


def test_nobody_waits_for_a_server_that_may_come_back(site: Hospital, office: Office) -> None:
    study = site.make()
    away = dataclasses.replace(site.entry("AWAY", programs.free_port()), connect_timeout_s=1)
    office.know(away)
    job = verified(office, [study], None, away, max_attempts=3)
    assert (job.state, job.attempts) == (JobState.QUEUED, 1)


def test_what_is_refused_at_the_door(site: Hospital) -> None:
    pacs, study = site.pacs("PACS", "prod"), site.make()
    service = VerifyService(site.local, find, get, site.folder / "verifying")

    def submit(whom: Any, *given: Any, **options: Any) -> None:
        verify_job(whom, service, *given, store_id=STORE, **options)

    for whom, given, options, kind in (
        (ADMIN, ([], None, pacs), {}, InvalidInput),
        (ADMIN, ([study], pacs, pacs), {}, InvalidInput),
        (ADMIN, ([study], None, pacs), {"allow": ["NoSuchKeyword"]}, InvalidInput),
        (ADMIN, (["1.2.3"], None, pacs), {}, NotFound),
        (actor(Role.TEST_READ), ([study], None, pacs), {}, AccessDenied),
        (actor(Role.PROD_READ), ([study], None, pacs), {}, AccessDenied),
    ):
        with pytest.raises(kind):
            submit(whom, *given, **options)


@pytest.mark.peers
def test_deep_with_orthanc(site: Hospital, office: Office, tmp_path: Path) -> None:
    study = site.make(StudyRecipe((SeriesRecipe("ct-chest", 3), "text-card"), seed=21))
    with programs.orthanc(tmp_path) as running:
        pacs = site.entry("ORTHANC", running.peer.port, dimse_timeout_s=30)
        office.know(pacs)
        site.transfers.send(ADMIN, study, pacs)
        job = verified(office, [study], None, pacs, deep=True)
        assert (job.state, job.report["studies"][0]["compared"]["instances"]) == (JobState.SUCCEEDED, 4)
