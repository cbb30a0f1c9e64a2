"""Orthanc as a DICOMweb peer: stored to, searched and retrieved from with our jobs; and as a client of a test PACS."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dicomfab.app.build import Application, build
from dicomfab.app.lab import configure_registry, lab
from dicomfab.app.settings import Settings
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.registry.server import PacsServer
from dicomfab.services.study_filter import StudyFilter
from dicomfab.services.verification import VerdictKind
from tests.peers import programs
from tests.unit.cli.conftest import dicomfab  # noqa: F401 (a fixture)
from tests.unit.services.hospital import ADMIN

pytestmark = pytest.mark.peers

Run = Callable[..., SimpleNamespace]
RECIPE = StudyRecipe((SeriesRecipe("ct-chest", 4), SeriesRecipe("text-card")), seed=21, accession_number="BYWEB")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Application]:
    application = build(Settings(tmp_path / "home"))
    yield application
    application.close()


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[programs.Orthanc]:
    (tmp_path / "orthanc").mkdir()
    with programs.orthanc_web(tmp_path / "orthanc") as running:
        yield running


@pytest.fixture
def study(site: Application) -> str:
    made = site.studies.create(ADMIN, site.studies.resolve_recipe(ADMIN, RECIPE))
    return made.resolved.study_instance_uid


@pytest.fixture
def entry(site: Application, orthanc: programs.Orthanc) -> PacsServer:
    """Its DICOM port in the entry is one that nothing listens on: what works, works over DICOMweb."""
    fields = {
        "name": "Orthanc",
        "host": "127.0.0.1",
        "port": programs.free_port(),
        "aec": "ORTHANC",
        "environment": "test",
        "dicomweb_root": f"{orthanc.http}/dicom-web",
        "allow_real": True,
    }
    return site.pacs.add(ADMIN, fields)


def content(site: Application, study: str) -> dict[str, bytes]:
    """SOP Instance UID -> transfer syntax and data set."""
    return {
        one.identity.sop_instance_uid: one.identity.transfer_syntax_uid.encode()
        + one.file.path.read_bytes()[one.file.dataset_offset :]
        for one in site.local_archive.instances(study)
    }


def told(answer: SimpleNamespace) -> Any:
    assert answer.code == 0, answer.err or answer.out
    return json.loads(answer.out)


def test_the_commands_send_find_and_get_with_the_same_jobs_and_proof(
    site: Application,
    entry: PacsServer,
    study: str,
    dicomfab: Run,  # noqa: F811
) -> None:
    before = content(site, study)
    assert len(before) == 5

    sent = told(dicomfab("send", study, "--to", "orthanc", "--via", "web", "--json"))
    assert (sent["operation"], sent["accepted"], sent["failed"]) == ("STOW-RS", 5, [])
    assert sent["verdict"]["kind"] == "verified"

    found = told(dicomfab("query", "--via", "web", "--accession", "BYWEB", "--json"))
    (answer,) = found["servers"]
    assert (answer["state"], answer["found"], answer["error"]) == ("ok", 1, None)
    assert any("QIDO-RS" in note for note in answer["notes"])
    assert answer["matches"][0]["study_instance_uid"] == study
    assert answer["matches"][0]["instances"] == 5
    assert dicomfab("query", "--accession", "BYWEB").code == 4  # nothing listens for DIMSE

    site.studies.delete(ADMIN, study)
    got = told(dicomfab("get", "BYWEB", "--from", "orthanc", "--via", "web", "--json"))
    assert (got["operation"], got["accepted"]) == ("WADO-RS", 5)
    assert got["verdict"]["kind"] == "verified"
    assert content(site, study) == before


def test_an_entry_that_says_web_needs_no_option(
    site: Application,
    entry: PacsServer,
    study: str,
    dicomfab: Run,  # noqa: F811
) -> None:
    site.pacs.edit(ADMIN, entry.id, {"via": "web"})
    told(dicomfab("send", study, "--to", "orthanc", "--json"))
    (answer,) = told(dicomfab("query", "--json", "--messages"))["servers"]
    assert answer["found"] == 1
    shown = dicomfab("query", "--messages").out
    assert "QIDO-RS request" in shown
    verified = told(dicomfab("verify", study, "--from", "local", "--at", "orthanc", "--deep", "--json"))
    assert verified["verdict"]["kind"] == "verified"
    assert verified["compared"]["instances"] == 5
    assert dicomfab("query", "--via", "dimse").code == 4


def test_messages_and_traces_name_no_secret(
    site: Application,
    entry: PacsServer,
    tmp_path: Path,
    dicomfab: Run,  # noqa: F811
) -> None:
    secret = site.settings.home / "secrets" / "orthanc"
    secret.parent.mkdir(mode=0o700)
    secret.write_text("topsecret\n")
    secret.chmod(0o600)
    site.pacs.edit(ADMIN, entry.id, {"dicomweb_user": "us", "dicomweb_secret_file": str(secret), "via": "web"})
    shown = dicomfab("query", "--patient-name", "MUSTERMANN", "--trace", "--json")
    assert "topsecret" not in shown.out + shown.err
    assert "QIDO-RS with Orthanc" in shown.out + shown.err
    assert "topsecret" not in dicomfab("pacs", "export").out + dicomfab("pacs", "show", "orthanc").out


def test_a_job_that_is_left_to_a_worker_asks_the_same_way(site: Application, entry: PacsServer, study: str) -> None:
    sent = site.jobs.send(ADMIN, [study], entry, via="web")
    site.worker.run_one(sent.id)
    assert str(site.jobs.show(ADMIN, sent.id).state) == "succeeded"
    asked = site.query_jobs.submit(ADMIN, [entry], StudyFilter(accession_number="BYWEB"), via="web")
    site.worker.run_one(asked.id)
    done = site.jobs.show(ADMIN, asked.id)
    assert (str(done.state), done.request["via"]) == ("succeeded", "web")
    assert done.report["servers"][0]["via"] == "web"
    assert done.report["servers"][0]["found"] == 1


def test_orthanc_as_the_client_of_a_test_pacs(site: Application, study: str, tmp_path: Path) -> None:
    """Orthanc's plugin searches and retrieves from the DICOMweb of one of our test servers."""
    there = lab(site.settings)
    there.use_free_ports()
    there.start()
    try:
        configure_registry(site, ADMIN)
        ours = site.pacs.get(ADMIN, "test-pacs-1")
        server = {"Url": f"{ours.dicomweb_root}/", "Username": "test", "Password": "test123"}
        settings = {"DicomWeb": {"Enable": True, "Root": "/dicom-web/", "Servers": {"ours": server}}}
        (tmp_path / "client").mkdir()
        with programs.orthanc_web(tmp_path / "client", settings=settings) as orthanc:
            sent = site.transfers.send(ADMIN, study, ours.by("web"))
            assert (sent.verdict.kind, sent.operation) == (VerdictKind.VERIFIED, "STOW-RS")
            wanted = {"Resources": [{"Study": study}], "Synchronous": True}
            orthanc.post("/dicom-web/servers/ours/retrieve", wanted)
            assert len(orthanc.rest("/instances")) == sent.accepted == 5
            found = orthanc.post(
                "/dicom-web/servers/ours/qido", {"Uri": "/studies", "Arguments": {"00080050": "BYWEB"}}
            )
            assert study in json.dumps(found)
    finally:
        there.stop()


@pytest.mark.full
def test_orthanc_sends_to_a_test_pacs(site: Application, study: str, tmp_path: Path) -> None:
    there = lab(site.settings)
    there.use_free_ports()
    there.start()
    try:
        configure_registry(site, ADMIN)
        ours = site.pacs.get(ADMIN, "test-pacs-1")
        server = {"Url": f"{ours.dicomweb_root}/", "Username": "test", "Password": "test123"}
        settings = {"DicomWeb": {"Enable": True, "Root": "/dicom-web/", "Servers": {"ours": server}}}
        (tmp_path / "client").mkdir()
        before = content(site, study)
        with programs.orthanc_web(tmp_path / "client", settings=settings) as orthanc:
            for one in site.local_archive.instances(study):
                orthanc.post("/instances", one.file.path.read_bytes())
            orthanc.post("/dicom-web/servers/ours/stow", {"Resources": orthanc.rest("/studies"), "Synchronous": True})
        site.local_archive.delete_study(study)
        assert site.transfers.get(ADMIN, study, ours.by("web")).verdict.kind is VerdictKind.VERIFIED
        assert content(site, study) == before
    finally:
        there.stop()
