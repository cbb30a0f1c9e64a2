"""``dicomfab send``, ``dicomfab verify`` and ``dicomfab study import`` as their users call them."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest

from dicomfab.app.build import build
from dicomfab.app.lab import lab, servers
from dicomfab.app.settings import load_settings
from dicomfab.archive.archive import Archive
from dicomfab.archive.header import read_identity
from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.scp.server import Server
from dicomfab.model.values import Environment
from dicomfab.testpacs.pacs import PacsHandlers


@pytest.fixture
def pacs(dicomfab: Any, tmp_path: Path) -> Iterator[Archive]:
    """A test PACS, known as ``away``."""
    archive = Archive(tmp_path / "away")
    handlers = PacsHandlers(archive, "AWAY", Environment.TEST, {})
    with Server(ServerConfig("AWAY"), handlers) as running:
        options = ["--host", "127.0.0.1", "--port", str(running.port), "--aec", "AWAY", "--environment", "test"]
        assert dicomfab("pacs", "add", "--id", "away", "--name", "Away", *options).code == 0
        yield archive
    archive.close()


@pytest.fixture
def folder(dicomfab: Any, tmp_path: Path) -> Path:
    """The files of a study that the local store does not hold."""
    target = tmp_path / "files"
    dicomfab("study", "create", "--kind", "text-card:3", "--seed", "3", "--out", str(target))
    return target


def study_of(folder: Path) -> str:
    return str(pydicom.dcmread(next(folder.rglob("*.dcm"))).StudyInstanceUID)


def test_a_folder_is_imported_sent_and_verified(dicomfab: Any, pacs: Archive, folder: Path) -> None:
    study = study_of(folder)
    result = dicomfab("send", str(folder), "--to", "away")
    assert (result.code, result.err) == (0, "")
    assert "Imported 3 instances" in result.out
    assert "VERIFIED" in result.out
    assert len(pacs.instances(study)) == 3
    again = json.loads(dicomfab("send", str(folder), study, "--to", "away", "--json").out)
    assert (again["verdict"]["kind"], again["imported"]["studies"][0]["already"]) == ("verified", 3)

    result = dicomfab("verify", study, "--from", "local", "--at", "away", "--deep")
    assert (result.code, result.err) == (0, "")
    assert "compared   3 instances" in result.out
    assert "VERIFIED" in result.out
    pacs.delete_study(study)
    assert dicomfab("verify", study, "--from", "local", "--at", "away").code == 6
    assert dicomfab("jobs", "show", "3").code == 0


def test_a_zip_is_sent_under_other_uids(dicomfab: Any, pacs: Archive, folder: Path, tmp_path: Path) -> None:
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", folder)
    words = ["send", packed, "--to", "away", "--new-uids", "--patient-id", "MRN1", "--set", "StationName=CT1", "--json"]
    first, second = (json.loads(dicomfab(*words).out) for _ in range(2))
    assert first["verdict"]["kind"] == "verified"
    assert first["changed"] == second["changed"]
    (changed,) = first["changed"]
    assert changed["source"] == study_of(folder)
    assert len(pacs.instances(changed["study"])) == 3
    assert pacs.study(changed["study"]).summary.patient_id == "MRN1"
    assert not pacs.has_study(changed["source"])


def test_nothing_is_sent_of_what_cannot_be_taken(dicomfab: Any, pacs: Archive, folder: Path) -> None:
    assert dicomfab("study", "import", str(folder)).code == 0
    path = next(folder.rglob("*.dcm"))
    ds = pydicom.dcmread(path)
    ds.PatientComments = "another"
    ds.save_as(path)
    result = dicomfab("study", "import", str(folder), "--json")
    assert result.code == 6
    assert len(json.loads(result.out)["refused"]) == 1
    result = dicomfab("send", str(folder), "--to", "away")
    assert result.code == 2
    assert "other content" in result.err
    assert not pacs.has_study(study_of(folder))


def test_fabricated_identifiers_that_are_somebody_elses_are_not_sent(
    dicomfab: Any, pacs: Archive, folder: Path, tmp_path: Path
) -> None:
    dicomfab("study", "import", str(folder))
    theirs = pydicom.dcmread(next(folder.rglob("*.dcm")))
    theirs.StudyInstanceUID, theirs.PatientName = "1.2.3", "SECRET^NAME"
    path = tmp_path / "theirs.dcm"
    theirs.save_as(path)
    identity, offset = read_identity(path)
    with pacs.begin(identity) as incoming:
        incoming.write(path.read_bytes()[offset:])
        incoming.commit(environment=Environment.TEST)
    result = dicomfab("send", "latest", "--to", "away")
    assert result.code == 2
    assert "Away already holds a study that is not ours under the same Patient ID" in result.err
    assert "SECRET" not in result.out + result.err
    assert not pacs.has_study(study_of(folder))
    words = ["--new-uids", "--patient-id", "SYN77", "--accession", "SYN78"]
    assert dicomfab("send", "latest", "--to", "away", *words).code == 0


def test_the_lab_is_known_by_where_it_listens(dicomfab: Any, tmp_path: Path) -> None:
    application = build(load_settings())
    known = {one.id for one in servers(lab(application.settings).config) if application._is_in_lab(one)}
    assert known == {"test-pacs-1", "test-pacs-2", "prod-pacs-1", "prod-pacs-2"}
    (one, *_) = servers(lab(application.settings).config)
    assert not application._is_in_lab(dataclasses.replace(one, host="10.0.0.9"))
    assert not application._is_in_lab(dataclasses.replace(one, aec="OTHER"))


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["send", "nowhere", "--to", "away"], 3, "neither a file or folder nor a local study"),
        (["send", "latest", "--to", "away", "--patient-id", "X"], 2, "--new-uids"),
        (["verify", "latest", "--from", "away", "--at", "away"], 3, ""),
        (["verify", "latest", "--from", "local", "--at", "away", "--allow", "Nothing"], 3, ""),
    ],
)
def test_refusals(dicomfab: Any, pacs: Archive, words: list[str], code: int, told: str) -> None:
    result = dicomfab(*words)
    assert result.code == code
    assert told in result.err


def test_an_unreachable_server_leaves_it_unverified(dicomfab: Any, folder: Path) -> None:
    from tests.peers.programs import free_port

    options = ["--host", "127.0.0.1", "--port", str(free_port()), "--aec", "X", "--environment", "test"]
    dicomfab("pacs", "add", "--id", "off", "--name", "Off", *options)
    dicomfab("study", "import", str(folder))
    result = dicomfab("verify", "latest", "--from", "local", "--at", "off")
    assert result.code == 7
    assert "UNVERIFIED" in result.out
