"""``dicomfab doctor``."""

from __future__ import annotations

import json
import socket

import pytest

from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.transport.faults import Fault, FaultKind, FaultPlan
from tests.unit.dimse.memory_pacs import MemoryPacs


def add(dicomfab, port, name="Lab PACS"):
    words = f"--host 127.0.0.1 --port {port} --aec MEMORY --environment test".split()
    assert dicomfab("pacs", "add", "--name", name, *words).code == 0


@pytest.fixture
def healthy(dicomfab):
    with Server(ServerConfig("MEMORY"), MemoryPacs()) as running:
        add(dicomfab, running.port)
        yield dicomfab


def test_nothing_wrong(healthy):
    answer = healthy("doctor", "Lab PACS")
    assert answer.code == 0
    assert "├─ ok       C-ECHO as DICOMFAB: success" in answer.out
    assert "Diagnosis: nothing wrong" in answer.out
    assert "at most 20 s" in answer.out


def test_something_found(dicomfab):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        add(dicomfab, bound.getsockname()[1])
        answer = dicomfab("doctor", "lab-pacs")
    assert answer.code == 4
    assert "├─ failed   TCP connection" in answer.out
    for words in (
        "1. Connection failed (most likely)",
        "Why:",
        "What to do:",
        "Check server address and port.",
        "Who:",
    ):
        assert words in answer.out
    assert "the administrator of Lab PACS" in answer.out


def test_lines_to_add(dicomfab):
    config = ServerConfig("MEMORY", known_calling_ae_titles=frozenset({"NOBODY"}))
    with Server(config, MemoryPacs()) as running:
        add(dicomfab, running.port)
        answer = dicomfab("doctor", "lab-pacs")
    assert answer.code == 4
    assert "AE Title not recognized (certain)" in answer.out
    assert "If it is Orthanc: orthanc.json" in answer.out


def test_cannot_tell(dicomfab):
    rejected = Fault(FaultKind.REJECT, "A-ASSOCIATE-AC", result=1, source=3, reason=7)
    with Server(ServerConfig("MEMORY", faults=FaultPlan((rejected,))), MemoryPacs()) as running:
        add(dicomfab, running.port)
        answer = dicomfab("doctor", "lab-pacs")
    assert answer.code == 7
    assert "cannot tell" in answer.out
    assert "To make sure:" in answer.out


def test_as_json(healthy):
    answer = healthy("doctor", "lab-pacs", "--json", "--limit", "5")
    document = json.loads(answer.out)
    assert (answer.code, answer.err) == (0, "")
    assert (document["verdict"], document["limit_s"], document["causes"]) == ("nothing wrong", 5.0, [])
    assert {check["outcome"] for check in document["checks"]} == {"ok"}


def test_with_a_trace(healthy):
    answer = healthy("doctor", "lab-pacs", "--trace")
    assert answer.code == 0
    assert "A-ASSOCIATE-RQ" in answer.err


def test_no_such_server(dicomfab):
    assert dicomfab("doctor", "nobody").code == 3


def test_a_server_that_is_called_like_a_command(dicomfab):
    with Server(ServerConfig("MEMORY"), MemoryPacs()) as running:
        add(dicomfab, running.port, name="move")
        assert dicomfab("doctor", "server", "move").code == 0
