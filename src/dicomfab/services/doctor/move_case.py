"""What all checks of a C-MOVE have in common: both ends, what may be done, and what was found out so far."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom import Dataset

from dicomfab.access.policy import Action, decide
from dicomfab.diagnosis.checks import Outcome, Role, Stage
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.trace import Trace
from dicomfab.fabricate.doctors_instance import DoctorsInstance
from dicomfab.model.actor import Actor
from dicomfab.model.errors import DicomFabError, PeerError
from dicomfab.model.values import Environment
from dicomfab.registry.fields import Capability
from dicomfab.registry.registry import Registry
from dicomfab.registry.server import PacsServer
from dicomfab.services.doctor import move_peers as peers
from dicomfab.services.doctor.examination import Examination
from dicomfab.services.doctor.move_peers import Content, Moved
from dicomfab.services.doctor.recorded import answered, moving, storing
from dicomfab.services.peers import peer_for
from dicomfab.services.query import Find
from dicomfab.services.receiving import AE_TITLE, ReceivingService
from dicomfab.services.recording import Record, nobody
from dicomfab.services.transfer import Store

_AGAIN_S: Final = 0.15


def _keeps(_server: PacsServer, _study: str) -> bool:
    return False


def _nothing(_study: str) -> None:
    return None


def _allowed(_study: str, _source: PacsServer, _destination: PacsServer) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Tools:
    """What the examination works with.

    Args:
        find: the C-FIND SCU.
        store: the C-STORE SCU.
        registry: servers and routes as they are now.
        remove: removes a study of the doctor's from a server that lets us; whether it did.
        receiving: our own Storage SCP, if it can be made use of.
        forget: removes a study from the local store.
        check_move: raises if a study may not be moved for what it is made of.
        open_trace: gives a trace for each association, by its title, if somebody wants to see them.
        record: has it recorded what servers are asked, and what is stored, moved and removed.
    """

    find: Find
    store: Store
    registry: Callable[[], Registry]
    remove: Callable[[PacsServer, str], bool] = _keeps
    receiving: ReceivingService | None = None
    forget: Callable[[str], object] = _nothing
    check_move: Callable[[str, PacsServer, PacsServer], object] = _allowed
    open_trace: Callable[[str], Trace | None] = lambda _title: None
    record: Record = nobody


class MoveCase:
    """One examination, as far as it has come.

    Args:
        tools: what to work with.
        actor: who asks.
        examination: takes the checks.
        ends: source and destination.
        study: Study Instance UID, or blank for an instance of our own.
        confirmed: a yes to more than C-ECHO and C-FIND in production.
        folder: for files.
    """

    def __init__(
        self,
        tools: Tools,
        actor: Actor,
        examination: Examination,
        ends: tuple[PacsServer, PacsServer],
        study: str,
        confirmed: bool,
        folder: Path,
    ) -> None:
        self.tools, self.actor, self.examination = tools, actor, examination
        self.source, self.destination = ends
        self.study = study
        self.folder = folder
        self.registry = tools.registry()
        self.route = self.registry.routes_from(self.source.id).get(self.destination.id, "")
        #: Why nothing but C-ECHO and C-FIND may be done, and the fact.
        self.barred, self.consent = self._why_not(confirmed)
        #: Servers that hold an instance of ours now.
        self.left: dict[str, PacsServer] = {}
        self.ours: DoctorsInstance | None = None
        self.names: dict[Role, dict[str, str]] = {}

    def _why_not(self, confirmed: bool) -> tuple[str, str]:
        ends = (self.source, self.destination)
        for end in ends:
            decision = decide(self.actor, Action.STORE, end.environment)
            if not decision.allowed:
                return f"not allowed: {decision.reason}", "role"
        live = [end.name for end in ends if end.environment is Environment.PROD]
        if live and not confirmed:
            said = "is production" if len(live) == 1 else "are production"
            return f"{' and '.join(live)} {said}: say --yes-production for more than C-ECHO and C-FIND", "confirm"
        return "", "ok"

    def no_synthetic(self, *servers: PacsServer) -> str:
        """Why an instance of ours may not be stored on one of the servers; blank if it may."""
        names = [server.name for server in servers if not server.allow_synthetic]
        return f"our entry of {' and of '.join(names)} allows no synthetic data (allow_synthetic)" if names else ""

    @property
    def facts(self) -> dict[str, str]:
        """What was established of the move itself."""
        return self.examination.facts[Role.MOVE]

    def move_names(self) -> dict[str, str]:
        """For the texts of rules about the move; what is not said to be another's is the source's."""
        source, destination = (self.names.get(role, {}) for role in (Role.SOURCE, Role.DESTINATION))
        ours = self.source.aet_move or self.source.aet_find
        named = {"source": self.source, "destination": self.destination}
        both = {
            f"{end}_{name}": value
            for end, server in named.items()
            for name, value in (
                ("id", server.id),
                ("aec", server.aec),
                ("host", server.host),
                ("port", str(server.port)),
            )
        }
        return {
            "product": "",
            "our_host": "the IP address of this machine",
            "our_port": "11112",
            **source,
            **both,
            "name": self.source.name,
            "host": self.source.host,
            "port": str(self.source.port),
            "called": self.source.aec,
            "calling": ours,
            "source": self.source.name,
            "destination": self.destination.name,
            "destination_product": destination.get("product", ""),
            "move_ae": self.route or self.destination.aec,
        }

    def peer(self, server: PacsServer, operation: Capability) -> Peer:
        """A server to be called for an operation, with timeouts that there is time for."""
        return self.examination.within(peer_for(server, operation))

    def traced(self, peer: Peer, title: str) -> Peer:
        """With a trace of that title, if somebody wants to see it."""
        return dataclasses.replace(peer, trace=self.tools.open_trace(title))

    def note(self, stage: Stage, title: str, outcome: Outcome, seen: str, **facts: str) -> None:
        """Note a check."""
        self.examination.note(Role.MOVE, stage, title, outcome, seen, facts)

    def ok(self, stage: Stage, title: str, seen: str, **facts: str) -> None:
        """Note a check that went well."""
        self.note(stage, title, Outcome.OK, seen, **facts)

    def failed(self, stage: Stage, title: str, error: DicomFabError, facts: dict[str, str]) -> None:
        """Note a check that ended in an error."""
        self.examination.failed(Role.MOVE, stage, title, error, facts)

    def skip(self, stage: Stage, title: str, why: str, **facts: str) -> None:
        """Note a check that was not made."""
        self.examination.skipped(Role.MOVE, stage, title, why, **facts)

    def no_find(self, role: Role, server: PacsServer) -> str:
        """Why a server cannot be asked what it holds; blank if it can."""
        facts = self.examination.facts[role]
        if not server.can(Capability.FIND):
            return f"C-FIND is switched off for {server.name}"
        if facts.get("association.find") != "ok" or facts.get("find") == "none":
            return f"{server.name} answers no C-FIND of ours"
        return ""

    def listed(self, server: PacsServer, content: Content, wait_s: float) -> frozenset[str] | None:
        """What a server lists of it, asked again until all is there or the time is over; nothing if it fails."""
        end = time.perf_counter() + min(wait_s, self.examination.left_s)
        while True:
            try:
                there = peers.listed(self.tools.find, self.peer(server, Capability.FIND), content)
            except PeerError:
                return None
            if there == content.instances or time.perf_counter() > end:
                return there
            threading.Event().wait(_AGAIN_S)

    def ask(self, identifier: Dataset, destination: str, title: str) -> Moved:
        """Ask the source for a C-MOVE; it may use half of the time that is left."""
        peer = self.traced(self.peer(self.source, Capability.MOVE), title)
        end = self.examination.seconds + self.examination.left_s / 2
        most_s = min(peer.timeouts.retrieve_s, self.examination.left_s / 2)
        known = None if destination == AE_TITLE else self.destination
        with moving(self.tools.record, self.actor, self.source, known, str(identifier.StudyInstanceUID)) as noted:
            moved = peers.move(peer, identifier, destination, most_s, lambda: self.examination.seconds > end)
            return answered(noted, moved)

    def sent(self, server: PacsServer, peer: Peer, ours: DoctorsInstance) -> str:
        """Store it on a server, called as a peer; the status. Raises the error that the outcome holds."""
        with storing(self.tools.record, self.actor, server, ours.study_instance_uid):
            for outcome in self.tools.store(peer, [ours.file]):
                if outcome.error is not None:
                    raise outcome.error
                if outcome.response is not None:
                    return f"{outcome.response.status:04X}"
        raise RuntimeError("C-STORE ended without an outcome")


def content_of(ours: DoctorsInstance) -> Content:
    """An instance of ours as what is to be moved."""
    identity = ours.file.identity
    one = frozenset({identity.sop_instance_uid})
    return Content(ours.study_instance_uid, ours.series_instance_uid, one, 1, {identity.sop_class_uid: frozenset()})
