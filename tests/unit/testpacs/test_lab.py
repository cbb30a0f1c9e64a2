"""Four real processes: started, watched, hung, killed, stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psutil
import pytest

from dicomfab.dimse.peer import Peer
from dicomfab.dimse.scu.echo import echo
from dicomfab.dimse.scu.store import store
from dicomfab.model.errors import AssociationRejected, Conflict, LocalFailure, PortInUse
from dicomfab.testpacs import process
from dicomfab.testpacs.lab import Lab, State
from dicomfab.testpacs.spec import IDS, LabConfig
from tests.unit.testpacs.labs import running_lab, write_instance


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with running_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture
def lab(shared: Lab) -> Iterator[Lab]:
    """The shared lab with all four running, as each test finds and leaves it."""
    yield shared
    shared.start()


def peer(lab: Lab, server_id: str, calling_ae_title: str = "MODALITY") -> Peer:
    server = lab.config.server(server_id)
    return Peer("127.0.0.1", server.dicom_port, server.ae_title, calling_ae_title)


def states(lab: Lab) -> dict[str, State]:
    return {status.server.id: status.state for status in lab.status()}


def pids(lab: Lab) -> dict[str, int | None]:
    return {status.server.id: status.pid for status in lab.status()}


def test_all_answer_and_a_second_start_changes_nothing(lab):
    before = pids(lab)
    again = lab.start()
    assert [s.was_running for s in again] == [True] * 4
    assert {s.state for s in again} == {State.RUNNING}
    assert pids(lab) == before
    assert all(s.uptime_s is not None and s.uptime_s > 0 and s.holdings is not None for s in again)


@pytest.mark.full
def test_servers_are_detached_from_whoever_started_them(lab):
    for pid in pids(lab).values():
        assert os.getsid(pid) == pid
        assert psutil.Process(pid).cwd() == str(lab.folders.root)


def test_a_server_that_hangs_is_seen_and_can_still_be_stopped(lab):
    pid = pids(lab)["prod-pacs-1"]
    os.kill(pid, signal.SIGSTOP)
    try:
        status = next(s for s in lab.status() if s.server.id == "prod-pacs-1")
        assert status.state is State.NOT_ANSWERING
        assert status.problem
        assert process.stop(lab.folders, ["prod-pacs-1"], grace_s=0.2) == ("prod-pacs-1",)
    finally:
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGCONT)
    assert states(lab)["prod-pacs-1"] is State.STOPPED


def test_a_killed_server_comes_back_with_its_data_and_the_others_go_on(lab, tmp_path):
    instance = write_instance(tmp_path, study="1.2.77")
    assert [outcome.accepted for outcome in store(peer(lab, "test-pacs-2"), [instance])] == [True]
    before = pids(lab)
    os.kill(before["test-pacs-2"], signal.SIGKILL)
    psutil.wait_procs([psutil.Process(before["test-pacs-2"])], timeout=10)
    assert states(lab) == {**dict.fromkeys(IDS, State.RUNNING), "test-pacs-2": State.STOPPED}
    after = {s.server.id: s for s in lab.start()}
    assert [i for i in IDS if after[i].pid != before[i]] == ["test-pacs-2"]
    assert after["test-pacs-2"].holdings.instances >= 1


def test_sigterm_ends_a_server_cleanly(lab):
    pid = pids(lab)["prod-pacs-2"]
    assert process.stop(lab.folders, ["prod-pacs-2"], grace_s=30) == ("prod-pacs-2",)
    with contextlib.suppress(psutil.NoSuchProcess):
        assert psutil.Process(pid).wait(10) in (0, None)
    assert lab.folders.log("prod-pacs-2").read_text().rstrip().endswith("stopped")
    assert lab.folders.output("prod-pacs-2").read_text() == ""


@pytest.mark.full
def test_starts_at_the_same_time_start_each_server_once(lab):
    process.stop(lab.folders, ["test-pacs-1"], grace_s=30)
    code = (
        "import sys, pathlib; from dicomfab.testpacs.lab import Lab; "
        "print([s.was_running for s in Lab(pathlib.Path(sys.argv[1])).start()])"
    )
    command = [sys.executable, "-c", code, str(lab.folders.root)]
    with ThreadPoolExecutor() as pool:
        runs = list(pool.map(lambda _n: subprocess.run(command, capture_output=True, text=True, timeout=120), range(2)))
    assert [run.returncode for run in runs] == [0, 0], [run.stderr for run in runs]
    assert sorted(run.stdout.strip() for run in runs) == ["[False, True, True, True]", "[True, True, True, True]"]


@pytest.mark.full
def test_a_server_survives_a_starter_that_is_killed(lab):
    process.stop(lab.folders, ["test-pacs-1"], grace_s=30)
    code = (
        "import os, pathlib, signal, sys; from dicomfab.testpacs import process; "
        "from dicomfab.testpacs.folders import LabFolders; "
        "process.start(LabFolders(pathlib.Path(sys.argv[1])), 'test-pacs-1'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(lab.folders.root)], timeout=60)
    assert killed.returncode == -signal.SIGKILL
    found = {s.server.id: s for s in lab.start()}
    assert found["test-pacs-1"].was_running


def test_a_taken_port_stops_the_start_before_anything_runs(lab):
    process.stop(lab.folders, ["test-pacs-1", "prod-pacs-2"], grace_s=30)
    port = lab.config.server("prod-pacs-2").web_port
    with socket.create_server(("127.0.0.1", port)), pytest.raises(PortInUse, match=f"port {port}.*pid {os.getpid()}"):
        lab.start()
    assert states(lab)["test-pacs-1"] is State.STOPPED


@pytest.mark.full
def test_settings_do_not_change_under_running_servers(lab):
    with pytest.raises(Conflict, match="would not follow"):
        lab.configure(lambda config: replace(config, strict=True))
    with pytest.raises(Conflict):
        lab.use_free_ports()
    assert lab.configure(lambda config: config) == lab.config


def test_a_wrong_called_ae_title_is_rejected(lab):
    server = lab.config.server("test-pacs-1")
    with pytest.raises(AssociationRejected) as caught:
        echo(Peer("127.0.0.1", server.dicom_port, "NOBODY"))
    assert (caught.value.result, caught.value.source, caught.value.reason) == (1, 1, 7)


def test_clean_deletes_lab_data_only(lab, tmp_path):
    instance = write_instance(tmp_path, study="1.2.78")
    assert [outcome.accepted for outcome in store(peer(lab, "prod-pacs-1"), [instance])] == [True]
    config = lab.config
    (lab.folders.root / "mine.txt").write_text("kept")
    assert set(lab.clean(grace_s=30)) == set(IDS)
    assert set(states(lab).values()) == {State.STOPPED}
    assert list((lab.folders.root / "data").iterdir()) == []
    assert list((lab.folders.root / "logs").iterdir()) == []
    assert (lab.folders.root / "mine.txt").read_text() == "kept"
    assert lab.config == config
    assert [s.holdings.instances for s in lab.start()] == [0, 0, 0, 0]


def test_strict_servers_know_whom_they_answer(tmp_path):
    lab = Lab(tmp_path)
    lab.configure(lambda config: replace(config, strict=True))
    with running_lab(tmp_path) as lab:
        echo(peer(lab, "test-pacs-1", "DICOMFAB"))
        echo(peer(lab, "test-pacs-1", "PRODPACS2"))
        with pytest.raises(AssociationRejected) as caught:
            echo(peer(lab, "test-pacs-1", "MODALITY"))
    assert (caught.value.result, caught.value.source, caught.value.reason) == (1, 1, 3)


def test_nothing_to_stop(tmp_path):
    assert Lab(tmp_path / "lab").stop() == ()


def test_a_server_that_cannot_start_is_reported_with_its_reason(tmp_path):
    lab = Lab(tmp_path)
    lab.use_free_ports()
    lab.folders.make()
    lab.folders.data("prod-pacs-2").write_text("a file where the archive should be")
    try:
        with pytest.raises(LocalFailure, match=r"Prod PACS 2 ended at once: .*prod-pacs-2") as caught:
            lab.start()
        assert "Test PACS 1" not in caught.value.what
        assert states(lab)["test-pacs-1"] is State.RUNNING
    finally:
        lab.stop(grace_s=30)


def test_the_configuration_is_that_of_the_guide_without_a_file(tmp_path):
    assert Lab(tmp_path).config == LabConfig()
