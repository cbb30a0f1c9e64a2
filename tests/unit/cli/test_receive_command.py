"""``dicomfab receive`` and ``dicomfab serve --receive`` as processes of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dicomfab.app.build import build
from dicomfab.app.settings import Settings, load_settings
from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.dimse.scu.echo import echo
from dicomfab.dimse.scu.store import store
from dicomfab.hl7.sender import Sender
from dicomfab.model.errors import AssociationRejected, ConnectionFailed, InvalidInput
from dicomfab.model.values import Environment
from dicomfab.testpacs.ports import free_ports
from tests.unit.services.hospital import ADMIN, Hospital, hospital
from tests.unit.services.ordering.conftest import orm

WAIT_S = 60.0


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Hospital]:
    with hospital(tmp_path / "hospital") as running:
        yield running


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home in which SENDER is registered, in production, on this machine."""
    folder = tmp_path / "home"
    application = build(Settings(folder))
    fields = {"name": "Sender", "host": "localhost", "port": 104, "aec": "SENDER", "environment": "prod"}
    application.pacs.add(ADMIN, fields)
    application.close()
    return folder


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(home: Path, *words: str, port: int) -> Iterator[subprocess.Popen[str]]:
    """A command that runs beside the test."""
    environment = {**os.environ, "DICOMFAB_HOME": str(home), "DICOMFAB_SCP_PORT": str(port)}
    process = subprocess.Popen(
        [sys.executable, "-m", "dicomfab", *words], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process
    finally:
        process.kill()
        process.wait(WAIT_S)
        process.stdout.close()


def ended(process: subprocess.Popen[str], how: signal.Signals) -> tuple[int, str]:
    """Exit code, and what was printed after what was read already."""
    process.send_signal(how)
    rest, _ = process.communicate(timeout=WAIT_S)
    return process.returncode, rest


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def sender(port: int, calling: str = "SENDER") -> Peer:
    return Peer("127.0.0.1", port, "DICOMFAB", calling, timeouts=Timeouts(dimse_s=20.0))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_receive_prints_a_json_line_for_each_association(
    site: Hospital, home: Path, port: int, how: signal.Signals
) -> None:
    study = site.make()
    with running(home, "receive", "--json", port=port) as process:
        listening: dict[str, Any] = json.loads(line(process))["listening"]
        assert listening == {"ae_title": "DICOMFAB", "host": "127.0.0.1", "port": port}
        list(store(sender(port), [instance.file for instance in site.local.instances(study)]))
        told = json.loads(line(process))
        with pytest.raises(AssociationRejected):
            echo(sender(port, "STRANGER"))
        refused = json.loads(line(process))
        assert ended(process, how) == (0, "")
    assert (told["server_id"], told["environment"], told["stored"], told["rejected"]) == ("sender", "prod", 3, "")
    assert (refused["calling_ae_title"], refused["stored"], refused["rejected"]) == ("STRANGER", 0, "1/1/3")
    application = build(Settings(home))
    assert application.local_archive.study(study).summary.environment is Environment.PROD
    application.close()
    log = (home / "logs" / "receive.log").read_text()
    assert "no server that may send to us is registered with the AE title 'STRANGER'" in log
    name = site.local.study(study).summary.patient_name
    assert name
    assert name.split("^")[0] not in log + json.dumps([told, refused])


def test_receive_prints_lines_for_people(home: Path, port: int) -> None:
    with running(home, "receive", port=port) as process:
        assert f"Receiving as DICOMFAB on 127.0.0.1 port {port}" in line(process)
        echo(sender(port))
        assert "SENDER at 127.0.0.1: Sender (prod), 0 instances in " in line(process)
        assert ended(process, signal.SIGINT) == (0, "")


def test_a_second_one_says_that_the_first_receives(home: Path, port: int, dicomfab: Any) -> None:
    with running(home, "receive", "--json", port=port) as process:
        assert "listening" in line(process)
        result = dicomfab("receive", "--json")
    assert result.code == 1
    error = json.loads(result.out)["error"]
    assert error["error"] == "PortInUse"
    assert f"on port {port}" in error["what"]


def test_the_installation_gets_by_move_through_its_own_receiver(site: Hospital, home: Path, port: int) -> None:
    study = site.make()
    site.destinations["DICOMFAB"] = ("127.0.0.1", port)
    pacs = site.pacs("ONE", capabilities=["echo", "store", "find", "move"])
    site.transfers.send(ADMIN, study, pacs)
    application = build(Settings(home, scp_port=port))
    report = application.transfers.get(ADMIN, study, pacs)
    application.close()
    assert (report.operation, str(report.verdict.kind), report.verdict.arrived) == ("C-MOVE", "verified", 3)


def test_the_port_and_the_address_are_settings(home: Path) -> None:
    defaults = load_settings({"DICOMFAB_HOME": str(home)})
    assert (defaults.scp_host, defaults.scp_port) == ("127.0.0.1", 11112)
    changed = {"DICOMFAB_HOME": str(home), "DICOMFAB_SCP_HOST": "0.0.0.0", "DICOMFAB_SCP_PORT": "104"}
    assert (load_settings(changed).scp_host, load_settings(changed).scp_port) == ("0.0.0.0", 104)
    for name, bad in (("DICOMFAB_SCP_HOST", "a b"), ("DICOMFAB_SCP_PORT", "0")):
        with pytest.raises(InvalidInput) as caught:
            load_settings({**changed, name: bad})
        assert caught.value.field == name


@pytest.mark.parametrize("how", [pytest.param(signal.SIGTERM, marks=pytest.mark.full), signal.SIGKILL])
def test_serve_receives_in_a_child_that_ends_with_it(
    home: Path, port: int, how: signal.Signals, tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        web = probe.getsockname()[1]
    with running(home, "serve", "--receive", "--port", str(web), port=port) as process:
        printed = ""
        while "Receiving as DICOMFAB" not in printed:
            new = line(process)
            assert new, printed
            printed += new
        echo(sender(port))
        assert "0 instances" in line(process)
        with urllib.request.urlopen(f"http://127.0.0.1:{web}/", timeout=WAIT_S) as page:
            assert page.status == 200
        holder = json.loads((home / "receiver.lock").read_text())
        assert holder["pid"] != process.pid
        ended(process, how)  # reads until the child too has closed its standard output
        with pytest.raises(ConnectionFailed):
            echo(sender(port))


@pytest.mark.parametrize("how", [pytest.param(signal.SIGTERM, marks=pytest.mark.full), signal.SIGKILL])
def test_serve_is_a_ris_in_a_child_that_ends_with_it(
    home: Path, how: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    web, hl7, worklist = free_ports(3, "127.0.0.1")
    monkeypatch.setenv("DICOMFAB_HL7_PORT", str(hl7))
    monkeypatch.setenv("DICOMFAB_WORKLIST_PORT", str(worklist))
    with running(home, "serve", "--ris", "--port", str(web), port=worklist) as process:
        printed = ""
        while "Worklist and MPPS as DICOMFAB" not in printed:
            new = line(process)
            assert new, printed
            printed += new
        assert f"port {hl7}" in printed
        assert f"port {worklist}" in printed
        with Sender("127.0.0.1", hl7) as sending:
            assert b"MSA|AA|M1" in sending.send(orm("M1"))
        ended(process, how)
        with pytest.raises(ConnectionFailed), Sender("127.0.0.1", hl7):
            pass
