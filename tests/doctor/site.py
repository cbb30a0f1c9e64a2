"""What broken worlds are made of: servers on real sockets, and the doctor."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydicom import Dataset

from dicomfab.diagnosis.checks import Role
from dicomfab.diagnosis.knowledge import RULES
from dicomfab.diagnosis.reason import Diagnosis, diagnose
from dicomfab.dimse import command as dimse_command
from dicomfab.dimse.handlers import Refusal, Requestor, ServerConfig
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.transport.faults import Fault, FaultPlan
from dicomfab.model.query import QueryModel
from dicomfab.registry.server import PacsServer
from dicomfab.services.doctor.examination import Examination
from dicomfab.services.doctor.server import Subject, examine
from dicomfab.services.progress import never
from dicomfab.ul import AssociateAC, AssociateRQ, ContextResult, UserInformation
from dicomfab.ul.pdu import RELEASE_RQ, decode_pdu, encode_pdu
from tests.unit.dimse import raw
from tests.unit.dimse.memory_pacs import MemoryPacs
from tests.unit.dimse.raw import Behaviour, Wire

HOST = "127.0.0.1"
#: What waits for a peer that never answers.
SOON_S = 0.6


@dataclass
class Site:
    """One world and its doctor.

    Args:
        folder: an empty one.
        stack: ends what was started.
        pki: certificates (see ``tests/unit/dimse/transport/conftest.py``).
        monkeypatch: for what cannot be broken for real, such as the resolver of this machine.
    """

    folder: Path
    stack: contextlib.ExitStack
    pki: SimpleNamespace
    monkeypatch: pytest.MonkeyPatch

    # ------------------------------------------------------------------ servers

    def entry(self, port: int, name: str = "pacs", **settings: Any) -> PacsServer:
        """An entry of the registry; called AE title MEMORY unless said otherwise."""
        values: dict[str, Any] = {"host": HOST, "aec": "MEMORY", "environment": "test", **settings}
        return PacsServer(id=name, name=f"Lab {name.upper()}", port=port, **values)

    def pacs(
        self, *faults: Fault, handlers: Any = None, config: dict[str, Any] | None = None, **more: Any
    ) -> PacsServer:
        """A server of ours, which does wrong what it is told to."""
        plan = FaultPlan(faults) if faults else None
        server = Server(ServerConfig("MEMORY", **{"faults": plan, **(config or {})}), handlers or MemoryPacs())
        return self.entry(self.stack.enter_context(server).port, **more)

    def raw(self, behave: Behaviour, **settings: Any) -> PacsServer:
        """A server that says and does what a test says, byte by byte."""
        peer = self.stack.enter_context(raw.peer(behave))
        return self.entry(peer.port, **settings)

    def secure(self, context: ssl.SSLContext, then: Callable[[ssl.SSLSocket], object] = lambda _s: None) -> int:
        """The port of a TLS server that does something after each handshake, and hangs up."""

        def behave(wire: Wire) -> None:
            with context.wrap_socket(wire.sock, server_side=True) as secured:
                then(secured)

        return self.stack.enter_context(raw.peer(behave)).port

    def closed_port(self) -> int:
        """A port that nothing listens on, and that nobody else gets as long as the world stands."""
        bound = self.stack.enter_context(socket.socket())
        bound.bind((HOST, 0))
        return int(bound.getsockname()[1])

    def black_hole(self) -> int:
        """A port that does not answer: it listens, and its backlog is full."""
        listening = self.stack.enter_context(socket.socket())
        listening.bind((HOST, 0))
        listening.listen(0)
        port = int(listening.getsockname()[1])
        for _ in range(4):
            caller = self.stack.enter_context(socket.socket())
            caller.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                caller.connect((HOST, port))
        return port

    # ------------------------------------------------------------------ the doctor

    def diagnosis(
        self, server: PacsServer, *neighbours: PacsServer, limit_s: float = 20.0, **subject: Any
    ) -> Diagnosis:
        """What the doctor says about a server."""
        examination = Examination(limit_s=limit_s, stopped=never)
        names = examine(examination, Role.SERVER, Subject(server, neighbours, our_port=11112, **subject))
        return diagnose(examination.checks, {Role.SERVER: names}, RULES, seconds=examination.seconds, limit_s=limit_s)


# ---------------------------------------------------------------------- raw servers


def closing(wire: Wire) -> None:
    wire.sock.close()


def answering(data: bytes, then: Callable[[Wire], None] = Wire.hold) -> Behaviour:
    """Read the association request, say something, and do no more."""

    def behave(wire: Wire) -> None:
        wire.pdu()
        wire.send(data)
        then(wire)

    return behave


def greeting(data: bytes) -> Behaviour:
    """Speak first, as some protocols do."""

    def behave(wire: Wire) -> None:
        wire.send(data)
        wire.hold()

    return behave


Result = Callable[[str], int]


def offering(result: Result, syntax: Callable[[str], str] | None = None) -> Behaviour:
    """A server that answers each context as the result says, and C-ECHO and C-FIND with success."""

    def behave(wire: Wire) -> None:
        pdu = wire.pdu()
        request = decode_pdu(pdu[0], pdu[6:])
        assert isinstance(request, AssociateRQ)
        results = tuple(
            ContextResult(
                c.context_id,
                result(c.abstract_syntax),
                syntax(c.abstract_syntax) if syntax else c.transfer_syntaxes[0],
            )
            for c in request.contexts
        )
        user = UserInformation(128 << 10, "1.2.3.4", "RAW")
        wire.send(encode_pdu(AssociateAC(request.called_ae_title, request.calling_ae_title, results, user)))
        serve(wire)

    return behave


def serve(wire: Wire) -> None:
    """Answer requests with success until the association is released."""
    while True:
        pdu = wire.pdu()
        if pdu[0] == RELEASE_RQ:
            wire.send(raw.RELEASE_RESPONSE)
            return
        if pdu[0] != 4:
            return
        if pdu[11] & 1:
            command = dimse_command.decode(pdu[12:])
            wire.send(raw.message(pdu[10], raw.response(command)))


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """Another behaviour on each connection; the last one on all further ones."""
    lock, count = threading.Lock(), iter(range(1_000_000))

    def behave(wire: Wire) -> None:
        with lock:
            number = next(count)
        behaviours[min(number, len(behaviours) - 1)](wire)

    return behave


# ---------------------------------------------------------------------- handlers


class Refusing(MemoryPacs):
    """Refuses queries by root and level."""

    def __init__(self, status: int, refuses: Callable[[QueryModel, str], bool]) -> None:
        super().__init__()
        self._status = status
        self._refuses = refuses

    def find(self, requestor: Requestor, model: QueryModel, identifier: Dataset) -> Iterator[Dataset]:
        if self._refuses(model, str(identifier.QueryRetrieveLevel)):
            raise Refusal(self._status)
        return super().find(requestor, model, identifier)


def matching(*uids: str) -> MemoryPacs:
    """Answers every query with the same studies."""
    pacs = MemoryPacs()
    for uid in uids:
        match = Dataset()
        match.QueryRetrieveLevel = "STUDY"
        match.StudyInstanceUID = uid
        pacs.matches.append(match)
    return pacs


def hospital(site: Site, settings: Sequence[dict[str, Any]]) -> list[PacsServer]:
    """Several healthy servers."""
    return [site.pacs(name=f"pacs{n}", **more) for n, more in enumerate(settings)]
