"""Clients of a server of ours, as the tests of its robustness use them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.echo import echo
from tests.unit.dimse import raw
from tests.unit.dimse.memory_pacs import CT
from tests.unit.dimse.raw import HOST, STUDY_ROOT_FIND, VERIFICATION, Wire, message

ECHO = {"AffectedSOPClassUID": VERIFICATION, "CommandField": 0x0030, "MessageID": 1}
STORE = {
    "AffectedSOPClassUID": CT,
    "CommandField": 0x0001,
    "MessageID": 1,
    "CommandDataSetType": 1,
    "AffectedSOPInstanceUID": "1.2.3.1",
}
FIND = {"AffectedSOPClassUID": STUDY_ROOT_FIND, "CommandField": 0x0020, "MessageID": 1, "CommandDataSetType": 1}
NO_KEYS = b"\x08\x00\x52\x00\x06\x00\x00\x00STUDY "
#: A server that waits for nobody.
HASTY = ServerConfig("MEMORY", artim_s=0.3, pdu_timeout_s=0.3, idle_s=30.0)
PATIENT = ServerConfig("MEMORY", artim_s=20.0, pdu_timeout_s=20.0, idle_s=20.0)


@contextmanager
def no_thread_fails() -> Iterator[None]:
    """An exception that nobody catches in a thread of the server fails the test."""
    failures: list[threading.ExceptHookArgs] = []
    before, threading.excepthook = threading.excepthook, failures.append
    try:
        yield
    finally:
        threading.excepthook = before
    assert not failures, failures


def client(server: Server, *contexts: tuple[str, str], **more: Any) -> Wire:
    wire = raw.connect(server.port, **more)
    wire.associate(*contexts)
    return wire


def asked(wire: Wire, command: dict[str, Any], data: bytes | None = None, context_id: int = 1) -> dict[str, Any]:
    """The command set of the response to a request."""
    wire.send(message(context_id, command, data))
    return wire.message()[1]


def still_serves(server: Server) -> None:
    assert echo(Peer(HOST, server.port, "MEMORY")).latency_s > 0


def idle(server: Server) -> bool:
    return not server._sessions and server.associations == 0
