"""Orthanc as an engine, as far as that can be told without one; ``tests/contract`` runs it."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dicomfab.app.lab import servers
from dicomfab.archive.records import Duplicate
from dicomfab.model.errors import Conflict, SetupMissing
from dicomfab.testpacs import orthanc, orthanc_settings, process
from dicomfab.testpacs.engine import ENGINES
from dicomfab.testpacs.folders import LabFolders
from dicomfab.testpacs.lab import Lab
from dicomfab.testpacs.spec import CONFIG_NAME, EngineName, LabConfig

CONFIG = LabConfig(engine=EngineName.ORTHANC)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with one program of that name, which does nothing."""
    made = tmp_path / "bin" / "Orthanc"
    made.parent.mkdir()
    made.write_text("#!/bin/sh\n")
    made.chmod(0o755)
    monkeypatch.setenv("PATH", str(made.parent))
    return made


@pytest.fixture
def _none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(orthanc, "_ELSEWHERE", ())


def made(config: LabConfig, server_id: str = "prod-pacs-1") -> dict[str, Any]:
    return orthanc_settings.settings(config, config.server(server_id), Path("kept"), ())


def test_every_engine_has_its_name():
    assert set(ENGINES) == set(EngineName)
    assert {name: engine.data(LabFolders(Path("lab")), "ID") for name, engine in ENGINES.items()} == {
        EngineName.EMBEDDED: Path("lab/data/ID"),
        EngineName.ORTHANC: Path("lab/orthanc/ID"),
    }


@pytest.mark.usefixtures("_none")
def test_without_orthanc_nothing_is_changed_and_it_is_said_what_to_do(tmp_path):
    lab = Lab(tmp_path / "lab")
    with pytest.raises(SetupMissing, match="no program Orthanc") as caught:
        lab.configure(lambda config: replace(config, engine=EngineName.ORTHANC))
    assert "apt-get install orthanc" in caught.value.remedy
    assert "systemctl disable --now orthanc" in caught.value.remedy
    assert not (lab.folders.root / CONFIG_NAME).exists()


@pytest.mark.usefixtures("_none")
def test_a_lab_whose_orthanc_is_gone_says_so_at_its_start(tmp_path):
    lab = Lab(tmp_path)
    (tmp_path / CONFIG_NAME).write_text('{"engine": "orthanc"}')
    with pytest.raises(SetupMissing):
        lab.start()
    assert lab.stop() == ()


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize(
    ("option", "named"),
    [({"on_duplicate": Duplicate.REFUSE}, "--on-duplicate"), ({"commitment_on_same_association": True}, "--same")],
)
def test_what_orthanc_does_not_have_is_refused(tmp_path, option, named):
    lab = Lab(tmp_path)
    lab.configure(lambda config: replace(config, engine=EngineName.ORTHANC))
    before = lab.config
    with pytest.raises(Conflict, match=f"{named}.* cannot be had with --engine orthanc"):
        lab.configure(lambda config: replace(config, **option))
    assert lab.config == before


def test_settings_are_those_of_the_lab():
    found = made(CONFIG)
    assert (found["DicomAet"], found["DicomPort"], found["HttpPort"]) == ("PRODPACS", 4245, 8045)
    assert found["RegisteredUsers"] == {"test": "test123"}
    assert found["AuthenticationEnabled"]
    assert found["DicomCheckCalledAet"]
    assert not found["OverwriteInstances"]
    assert found["DicomModalities"] == {
        title: {"AET": title, "Host": "127.0.0.1", "Port": port}
        for title, port in {
            "TESTPACS": 4242, "TESTPACS2": 4243, "PRODPACS2": 4246, "DICOMFAB": 11112, "MODALITY1": 11113
        }.items()
    }  # fmt: skip


def test_options_are_orthancs_own():
    assert made(replace(CONFIG, on_duplicate=Duplicate.REPLACE))["OverwriteInstances"]
    for strict in (False, True):
        found = made(replace(CONFIG, strict=strict))
        allowed = {found[f"DicomAlwaysAllow{operation}"] for operation in ("Echo", "Store", "Find", "Get", "Move")}
        assert allowed == {not strict}
        assert found["DicomCheckModalityHost"] is strict
    assert not made(replace(CONFIG, strict=True, bind="0.0.0.0"))["DicomCheckModalityHost"]
    reached = {bind: made(replace(CONFIG, bind=bind))["RemoteAccessAllowed"] for bind in ("127.0.0.1", "0.0.0.0")}
    assert reached == {"127.0.0.1": False, "0.0.0.0": True}


def test_that_it_listens_everywhere_is_said_unless_it_was_asked_for():
    engine = orthanc.Orthanc()
    assert "every address" in engine.notes(CONFIG)[0]
    for closed in (replace(CONFIG, bind="0.0.0.0"), replace(CONFIG, strict=True)):
        assert not [note for note in engine.notes(closed) if "every address" in note]


def test_the_file_with_the_password_is_its_owners(tmp_path):
    folders = LabFolders(tmp_path)
    path = orthanc_settings.write(folders, "test-pacs-1", {"Name": "one"})
    path.chmod(0o644)
    assert orthanc_settings.write(folders, "test-pacs-1", {"Name": "two"}) == path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == {"Name": "two"}
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_without_its_plugin_nobody_is_sent_to_dicomweb(tmp_path, monkeypatch):
    monkeypatch.setattr(orthanc_settings, "DICOMWEB_PLUGIN", tmp_path / "absent.so")
    assert {
        (s.dicomweb_root, s.dicomweb_user, s.dicomweb_secret_file) for s in servers(CONFIG, tmp_path / "secret")
    } == {("", "", "")}
    assert "orthanc-dicomweb" in orthanc.Orthanc().notes(CONFIG)[-1]
    assert all(s.dicomweb_root for s in servers(LabConfig(), tmp_path / "secret"))


def test_command_lines_are_told_apart(tmp_path):
    settings = str(LabFolders(tmp_path).orthanc_settings("test-pacs-1"))
    assert process.is_of_a_lab(["Orthanc", "--logfile=x", settings])
    assert not process.is_of_a_lab(["Orthanc", "/etc/orthanc"])


def test_the_last_error_is_the_reason(tmp_path):
    folders = LabFolders(tmp_path)
    folders.make()
    engine = orthanc.Orthanc()
    assert engine.last_words(folders, "test-pacs-1") == ""
    folders.log("test-pacs-1").write_text(
        "E1127 15:14:44.876317 main.cpp:2017] The TCP port is taken\nW1127 15:14:45.876440 main.cpp:1] Stopped\n"
    )
    assert engine.last_words(folders, "test-pacs-1") == "The TCP port is taken"
