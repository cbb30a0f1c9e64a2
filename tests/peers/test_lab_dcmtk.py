"""DCMTK's clients against the lab's servers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pydicom
import pytest

from dicomfab.testpacs.lab import Lab
from tests.peers.programs import program
from tests.unit.testpacs.labs import running_lab, write_instance

pytestmark = pytest.mark.peers

JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
INSTANCES = 3


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with running_lab(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture(scope="module")
def study(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A study of three instances, sent to Test PACS 1 with storescu."""
    return send_study(lab, "1.2.10", tmp_path_factory.mktemp("study"))


def dcmtk(lab: Lab, name: str, server_id: str, *options: str, called: str | None = None) -> subprocess.CompletedProcess:
    """Run a DCMTK client, as the AE title DICOMFAB, against a server of the lab."""
    server = lab.config.server(server_id)
    address = ("-aet", "DICOMFAB", "-aec", called or server.ae_title, "localhost", str(server.dicom_port))
    # The addressees come first, files and other arguments last.
    words = [program(name), "-v", *(o for o in options if o.startswith("--")), *address]
    words += [o for o in options if not o.startswith("--")]
    return subprocess.run(
        words, capture_output=True, text=True, errors="replace", timeout=60, cwd=lab.folders.root, check=False
    )


def send_study(lab: Lab, study: str, folder: Path) -> str:
    files = [str(write_instance(folder, number, study).path) for number in range(1, INSTANCES + 1)]
    sent = dcmtk(lab, "storescu", "test-pacs-1", *files)
    assert sent.returncode == 0, sent.stderr
    return study


def count_at(lab: Lab, server_id: str, study: str) -> list[str]:
    """NumberOfStudyRelatedInstances of every match that findscu prints."""
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}", "-k", "PatientName=*")
    found = dcmtk(lab, "findscu", server_id, "-S", *keys, "-k", "NumberOfStudyRelatedInstances")
    assert found.returncode == 0, found.stderr
    output = found.stdout + found.stderr
    answers = output.split("Find Response:")[1:]
    return [number for answer in answers for number in re.findall(r"\(0020,1208\) IS \[(\d+) *\]", answer)]


def move(lab: Lab, source: str, destination: str, study: str) -> subprocess.CompletedProcess:
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}")
    return dcmtk(lab, "movescu", source, "-S", "-d", "-aem", destination, *keys)


def test_echoscu(lab):
    for server in lab.config.servers:
        assert dcmtk(lab, "echoscu", server.id).returncode == 0


def test_a_wrong_called_ae_title_is_rejected(lab):
    rejected = dcmtk(lab, "echoscu", "test-pacs-1", called="NOBODY")
    assert rejected.returncode != 0
    assert "Called AE Title Not Recognized" in rejected.stderr + rejected.stdout


def test_findscu_lists_the_study_with_its_count(lab, study):
    assert count_at(lab, "test-pacs-1", study) == [str(INSTANCES)]
    assert count_at(lab, "prod-pacs-2", study) == []


def test_movescu_between_our_servers(lab, study):
    moved = move(lab, "test-pacs-1", "PRODPACS", study)
    assert moved.returncode == 0, moved.stderr
    assert count_at(lab, "prod-pacs-1", study) == [str(INSTANCES)]
    log = lab.folders.log("test-pacs-1").read_text()
    assert (
        f"C-MOVE from DICOMFAB@127.0.0.1 to PRODPACS at 127.0.0.1:{lab.config.server('prod-pacs-1').dicom_port}" in log
    )


def test_an_unknown_move_destination_answers_a801(lab, study):
    refused = move(lab, "test-pacs-1", "NOWHERE", study)
    output = refused.stdout + refused.stderr
    assert re.search(r"0xa801", output, re.IGNORECASE), output
    assert "unknown destination 'NOWHERE': A801" in lab.folders.log("test-pacs-1").read_text()


def test_getscu(lab, study, tmp_path):
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}")
    got = dcmtk(lab, "getscu", "test-pacs-1", "-S", "-od", str(tmp_path), *keys)
    assert got.returncode == 0, got.stderr
    uids = {str(pydicom.dcmread(path).SOPInstanceUID) for path in tmp_path.iterdir()}
    assert uids == {f"{study}.1.{number}" for number in range(1, INSTANCES + 1)}


def test_a_compressed_instance_is_kept_and_moved_as_received(lab, tmp_path):
    pixels = {"Rows": 16, "Columns": 16, "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11}
    pixels |= {"SamplesPerPixel": 1, "PixelRepresentation": 0, "PhotometricInterpretation": "MONOCHROME2"}
    plain = write_instance(tmp_path, study="1.2.20", **pixels)
    data = pydicom.dcmread(plain.path)
    data.add_new("PixelData", "OW", bytes(range(256)) * 2)
    data.save_as(plain.path)
    compressed = tmp_path / "compressed.dcm"
    subprocess.run([program("dcmcjpeg"), str(plain.path), str(compressed)], check=True, timeout=60)
    sent = pydicom.dcmread(compressed)
    assert sent.file_meta.TransferSyntaxUID == JPEG_LOSSLESS
    stored = dcmtk(lab, "storescu", "test-pacs-1", "--propose-lossless", str(compressed))
    assert stored.returncode == 0, stored.stderr
    assert move(lab, "test-pacs-1", "TESTPACS2", "1.2.20").returncode == 0
    for server_id in ("test-pacs-1", "test-pacs-2"):
        (path,) = (lab.folders.data(server_id) / "instances" / "1.2.20").rglob("*.dcm")
        kept = pydicom.dcmread(path)
        assert kept.file_meta.TransferSyntaxUID == JPEG_LOSSLESS
        assert kept.PixelData == sent.PixelData


def test_what_was_answered_with_success_survives_sigkill(lab, tmp_path):
    study = send_study(lab, "1.2.30", tmp_path)
    pid = next(s.pid for s in lab.status() if s.server.id == "test-pacs-1")
    os.kill(pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=10)
    lab.start()
    assert count_at(lab, "test-pacs-1", study) == [str(INSTANCES)]
