"""What all checks of one server have in common: whom to call as whom, time, and what was found out so far."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from dicomfab.diagnosis.checks import Outcome, Role, Stage
from dicomfab.diagnosis.products import Product
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.trace import Trace
from dicomfab.model.errors import DicomFabError
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.services.doctor.examination import Examination
from dicomfab.services.peers import peer_for

#: Seconds that an answer may take before it is worth saying so.
SLOW_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Subject:
    """The server to examine, and what may be done to it.

    Args:
        server: its entry.
        neighbours: the other entries that the actor may see.
        operations: to look at, of those that the entry has.
        forbidden: operation -> why the actor may not, for C-ECHO and C-FIND.
        our_port: of our own Storage SCP.
        product: the software that the server was when it last let us in, if that is known.
        open_trace: gives a trace for each association, by its title, if somebody wants to see them.
    """

    server: PacsServer
    neighbours: tuple[PacsServer, ...] = ()
    operations: frozenset[Capability] = frozenset(Capability)
    forbidden: Mapping[Capability, str] = field(default_factory=dict)
    our_port: int = 0
    product: Product = Product.UNKNOWN
    open_trace: Callable[[str], Trace | None] = lambda _title: None


class Calls:
    """The examination of one server, as far as it has come.

    Args:
        examination: takes the checks.
        role: to note them under.
        subject: the server.
    """

    def __init__(self, examination: Examination, role: Role, subject: Subject) -> None:
        self.examination = examination
        self.role = role
        self.subject = subject
        self.server = subject.server
        self.address = ""
        self.our_host = ""
        self.product = subject.product
        self.slowest = (0.0, "")
        #: What a rejection said that did not last.
        self.before = ""
        #: AE title of ours -> what it is for.
        self.titles: dict[str, list[Capability]] = {}
        for operation in Capability:
            if operation in subject.operations and self.server.can(operation):
                self.titles.setdefault(self.server.calling_ae_title(operation), []).append(operation)
        if not self.titles:  # whether it lets us in can be seen all the same
            self.titles[self.server.aet_echo] = []
        #: AE title -> error of its association, none if it was let in; abstract syntax -> result of refused contexts.
        self.failed: dict[str, DicomFabError | None] = {}
        self.refused: dict[str, Mapping[str, int]] = {}

    def names(self) -> dict[str, str]:
        """What texts of rules about this server may name."""
        server = self.server
        troubled = next((title for title, error in self.failed.items() if error is not None), "")
        return {
            "name": server.name,
            "id": server.id,
            "host": server.host,
            "address": self.address or server.host,
            "port": str(server.port),
            "called": server.aec,
            "calling": troubled or self.title_for(Capability.FIND) or next(iter(self.titles)),
            "our_host": self.our_host or "the IP address of this machine",
            "our_port": str(self.subject.our_port),
            "product": str(self.product),
            "environment": str(server.environment),
        }

    def title_for(self, operation: Capability) -> str:
        """Our AE title for an operation; empty if it is not looked at."""
        return next((title for title, operations in self.titles.items() if operation in operations), "")

    def peer(self, calling: str, trace_title: str) -> Peer:
        """The server at the address that answered, called as one of ours."""
        server = self.server
        peer = peer_for(with_echo(server), Capability.ECHO)
        tls = peer.tls
        if tls is not None:  # it is called by its address, and its certificate is for its name
            tls = dataclasses.replace(tls, server_name=tls.name_for(server.host))
        peer = dataclasses.replace(peer, calling_ae_title=calling, host=self.address or server.host, tls=tls)
        return self.traced(peer, trace_title)

    def traced(self, peer: Peer, title: str) -> Peer:
        """With a trace of that title, if somebody wants to see it."""
        return dataclasses.replace(peer, trace=self.subject.open_trace(title)) if title else peer

    def within(self, peer: Peer) -> Peer:
        """With timeouts that the examination has time for."""
        return self.examination.within(peer)

    def took(self, step: str, seconds: float) -> None:
        """Note how long the server needed for an answer."""
        self.slowest = max(self.slowest, (seconds, step))

    def note(
        self,
        stage: Stage,
        title: str,
        outcome: Outcome,
        seen: str,
        facts: Mapping[str, str] | None = None,
        *,
        instant: bool = False,
    ) -> None:
        """Note a check."""
        self.examination.note(self.role, stage, title, outcome, seen, facts, instant=instant)

    def ok(self, stage: Stage, title: str, seen: str, **facts: str) -> None:
        """Note a check that went well."""
        self.note(stage, title, Outcome.OK, seen, facts)

    def failure(self, stage: Stage, title: str, error: DicomFabError, facts: Mapping[str, str]) -> None:
        """Note a check that ended in an error."""
        self.examination.failed(self.role, stage, title, error, facts)

    def skip(self, stage: Stage, title: str, why: str, **facts: str) -> None:
        """Note a check that was not made."""
        self.examination.skipped(self.role, stage, title, why, **facts)


def with_echo(server: PacsServer) -> PacsServer:
    """The entry, able to be called for an association whatever it is for."""
    if server.can(Capability.ECHO):
        return server
    return dataclasses.replace(server, capabilities=server.capabilities | {Capability.ECHO})
