"""Our own Storage SCP: what registered servers send arrives in the local study store (PS3.4 annex B)."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from dicomfab.access.policy import Action, require, visible
from dicomfab.archive.archive import Archive
from dicomfab.archive.receive import ArchiveReceiver
from dicomfab.dimse.explain import rejection_words
from dicomfab.dimse.handlers import Handlers, Refusal, Requestor, ServerConfig, StoreSink
from dicomfab.dimse.scp.gate import StoreOnly
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.sop_classes import COMMITMENT
from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind, Node, Outcome
from dicomfab.model.errors import (
    AssociationAborted,
    ContextRejected,
    DiskFull,
    Interrupted,
    LocalFailure,
    PeerError,
    PortInUse,
    StatusFailure,
)
from dicomfab.model.study import Buffer, InstanceIdentity
from dicomfab.model.values import Environment
from dicomfab.registry.registry import Registry
from dicomfab.registry.server import DEFAULT_AE_TITLE, PacsServer
from dicomfab.services.callers import callers
from dicomfab.services.callers import is_at as is_at
from dicomfab.services.commitments import LocalCommitments
from dicomfab.services.progress import Cancelled
from dicomfab.services.receiver_lock import Holder, ReceiverLock
from dicomfab.services.recording import Record, nobody
from dicomfab.ul import AssociateRJ

log = logging.getLogger(__name__)

AE_TITLE: Final = DEFAULT_AE_TITLE
OUT_OF_RESOURCES: Final = 0xA700  # PS3.4 B.2.3
_TURN_POLL_S: Final = 0.1
#: Statuses that say that a service itself is not there (PS3.7 annex C).
_NOT_OFFERED: Final = (0x0122, 0x0211)


@dataclass(frozen=True, slots=True)
class Reception:
    """One association that was asked of our Storage SCP, told when it is over. It names no patient.

    Args:
        calling_ae_title: as the caller gave it.
        address: the caller's IP address.
        server_id: the registered server that it is; blank if it was rejected.
        server: that server's name.
        environment: where what arrived belongs; blank if it was rejected.
        began_at: when it was admitted or rejected, in UTC.
        seconds: how long it lasted.
        stored: instances that were answered with success.
        kept: those of them that were there already with other content, which stayed.
        not_stored: instances that were refused, or broken off in the middle.
        rejected: result, source and reason of the A-ASSOCIATE-RJ, such as ``1/1/3``; blank if it was admitted.
        why: why it was rejected, or how it ended if not in order.
    """

    calling_ae_title: str
    address: str
    server_id: str
    server: str
    environment: str
    began_at: datetime
    seconds: float = 0.0
    stored: int = 0
    kept: int = 0
    not_stored: int = 0
    rejected: str = ""
    why: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values; the time as ISO 8601."""
        return {**asdict(self), "began_at": self.began_at.isoformat(timespec="milliseconds")}

    def __str__(self) -> str:
        """One line."""
        caller = f"{self.calling_ae_title} at {self.address}"
        if self.rejected:
            return f"{caller}: rejected {self.rejected}, {self.why}"
        kept = f", {self.kept} of them were there with other content, which was kept" if self.kept else ""
        lost = f", {self.not_stored} not stored" if self.not_stored else ""
        how = f"; {self.why}" if self.why else ""
        count = f"{self.stored} instance{'' if self.stored == 1 else 's'}{kept}{lost}"
        return f"{caller}: {self.server} ({self.environment}), {count} in {self.seconds:.1f} s{how}"


OnReception = Callable[[Reception], None]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A way for a source to send to us.

    Args:
        ae_title: the move destination that the source has to know.
        kept: gives the SOP instances that came and were there already with other content, which stayed; ``None`` if
            another process of this installation receives, so that it is not known.
    """

    ae_title: str
    kept: Callable[[], Sequence[str] | None]


class ReceivingService:
    """Receives for the installation, one process at a time.

    Args:
        archive: the local study store.
        registry: the servers as they are now.
        lock: the file by which processes of the installation know who receives.
        host: the address to listen on unless another is asked for.
        port: the same.
        commitments: the folder of storage commitments that are still to be reported; none given refuses them.
        record: has it recorded what came from whom, what it asked to commit to, and who was rejected.
    """

    def __init__(
        self,
        archive: Archive,
        registry: Callable[[], Registry],
        lock: Path,
        *,
        host: str,
        port: int,
        commitments: Path | None = None,
        record: Record = nobody,
    ) -> None:
        self._commitments = commitments
        self._record = record
        self._archive = archive
        self._registry = registry
        self._lock = ReceiverLock(lock)
        self.host = host
        self.port = port

    @contextmanager
    def listening(
        self,
        actor: Actor,
        *,
        host: str | None = None,
        port: int | None = None,
        on_reception: OnReception = lambda _reception: None,
    ) -> Iterator[int]:
        """Receive during the block; gives the port.

        Admitted are the AE titles of registered servers in whose environments the actor may RETRIEVE, each from its
        own host only. What arrives carries the environment of the server that sent it. They may ask for a storage
        commitment to it as well; what was not reported when we stopped the last time is reported now.

        Args:
            actor: who receives.
            host: the address to listen on.
            port: 0 takes a free one.
            on_reception: told of each association, from a thread of its own.

        Raises:
            AccessDenied: the actor may RETRIEVE nowhere.
            PortInUse: the port is taken, or another process of this installation receives already.
            LocalFailure: the address cannot be listened on.
        """
        environments = visible(actor, Action.RETRIEVE)
        if not environments:
            require(actor, Action.RETRIEVE, Environment.TEST)
        record = self._record
        servers = lambda: self._registry().servers  # noqa: E731
        gate = _Gate(self._archive, servers, environments, on_reception, record=record, record_intake=record)
        with self._lock.taken() as lock:
            if lock is None:
                raise self._taken_by_us()
            with self._server(gate, host or self.host, self.port if port is None else port, servers) as server:
                self._lock.announce(lock, Holder(os.getpid(), server.port, for_one_transfer=False))
                yield server.port

    @contextmanager
    def arrival(
        self, actor: Actor, source: PacsServer, cancelled: Cancelled, *, to_look_at: bool = False
    ) -> Iterator[Arrival]:
        """See that what one source sends to us during the block arrives in the local store.

        A process of this installation that receives already is made use of. Else we listen for as long as the block
        lasts, and admit nobody but this source. Transfers that listen for themselves take turns.

        Args:
            actor: needs RETRIEVE in the source's environment.
            source: who will send.
            cancelled: ends the waiting for one's turn.
            to_look_at: what arrives expires, unless a process that receives already takes it.

        Raises:
            AccessDenied: the actor may not.
            PortInUse: a program that is not ours has the port.
            DiskFull: when the block ends, if we listened for ourselves and instances came for which no space was left.
            LocalFailure: the address cannot be listened on.
            Interrupted: cancelled before it was our turn.
        """
        require(actor, Action.RETRIEVE, source.environment)
        while True:
            with self._lock.taken() as lock:
                if lock is not None:
                    with self._listening_for(source, lock, to_look_at=to_look_at) as arrival:
                        yield arrival
                    return
            holder = self._lock.holder()
            if holder is not None and not holder.for_one_transfer:
                yield Arrival(AE_TITLE, lambda: None)
                return
            if cancelled():
                raise Interrupted("stopped while another transfer received; nothing was asked of the source")
            time.sleep(_TURN_POLL_S)

    @contextmanager
    def _listening_for(self, source: PacsServer, lock: int, *, to_look_at: bool) -> Iterator[Arrival]:
        intakes: list[_Intake] = []
        # What comes is part of a transfer, which is recorded as a whole.
        environments, record = {source.environment}, self._record
        gate = _Gate(
            self._archive,
            lambda: (source,),
            environments,
            on_intake=intakes.append,
            record=record,
            to_look_at=to_look_at,
        )
        with self._server(gate, self.host, self.port) as server:
            self._lock.announce(lock, Holder(os.getpid(), server.port, for_one_transfer=True))
            broken: PeerError | None = None
            try:
                yield Arrival(AE_TITLE, lambda: [uid for intake in intakes for uid in intake.kept])
            except PeerError as error:
                broken = error
            # Whatever the source says of instances that we refused for want of space, the fault is here.
            full = next((intake.full for intake in intakes if intake.full is not None), None)
            if full is not None:
                raise full
            if broken is not None:
                raise broken

    @contextmanager
    def _server(
        self, gate: _Gate, host: str, port: int, asking: Callable[[], Sequence[PacsServer]] | None = None
    ) -> Iterator[Server]:
        """Listen.

        Args:
            gate: admits callers.
            host: the address to listen on.
            port: 0 takes a free one.
            asking: servers that may ask for storage commitments; none if this is not offered.
        """
        self._archive.storage()  # opens it before anything arrives, and clears up after a process that was killed
        with ExitStack() as running:
            normalized = {}
            if asking is not None and self._commitments is not None:
                ours = LocalCommitments(self._archive, self._commitments, asking, self._record)
                normalized[COMMITMENT] = running.enter_context(ours)
            server = Server(ServerConfig(AE_TITLE, host=host, port=port), StoreOnly(), normalized, gate=gate)
            try:
                running.enter_context(server)
            except OSError as error:
                raise _cannot_listen(host, port, error) from error
            log.info("%s listens on %s port %d", AE_TITLE, host, server.port)
            yield server

    def _taken_by_us(self) -> PortInUse:
        holder = self._lock.holder()
        if holder is None or holder.for_one_transfer:
            error = PortInUse(
                "a transfer of this installation receives at the moment",
                cause="its source cannot C-GET, so that it sends to us by C-MOVE",
                remedy="try again when the transfer has ended (dicomfab jobs list)",
            )
            error.transient = True
            return error
        return PortInUse(
            f"this installation receives already, on port {holder.port} (pid {holder.pid})",
            cause="dicomfab receive or dicomfab serve --receive runs",
            remedy="use that one, or stop it first",
        )


class _Gate:
    """Knows the servers by AE title and host."""

    def __init__(
        self,
        archive: Archive,
        servers: Callable[[], Sequence[PacsServer]],
        environments: Collection[Environment],
        on_reception: OnReception = lambda _reception: None,
        on_intake: Callable[[_Intake], None] = lambda _intake: None,
        record: Record = nobody,
        record_intake: Record = nobody,
        *,
        to_look_at: bool = False,
    ) -> None:
        self._to_look_at = to_look_at
        self._record = record
        self._record_intake = record_intake
        self._archive = archive
        self._servers = servers
        self._environments = environments
        self._on_reception = on_reception
        self._on_intake = on_intake

    def admit(self, requestor: Requestor) -> Handlers | str:
        title, address = requestor.ae_title, requestor.address
        named = [server for server in self._servers() if server.aec == title]
        if not named:
            return f"no server that may send to us is registered with the AE title {title!r}"
        here = callers(named, title, address)
        if not here:
            hosts = ", ".join(f"{server.id} at {server.host}" for server in named)
            return f"the AE title is that of {hosts}, and {address} is not its host"
        if len({server.environment for server in here}) > 1:
            ids = " and ".join(server.id for server in here)
            return f"it may be {ids}, of different environments, so where its instances belong is not known"
        if here[0].environment not in self._environments:
            return f"whoever started receiving may not take instances from {here[0].environment} ({here[0].id})"
        intake = _Intake(self._archive, here[0], self._record_intake, to_look_at=self._to_look_at)
        self._on_intake(intake)
        return intake

    def rejected(self, requestor: Requestor, called_ae_title: str, rejection: AssociateRJ, why: str) -> None:
        said = rejection_words(rejection.source, rejection.reason)
        if (rejection.source, rejection.reason) == (1, 7):
            said += f": it called {called_ae_title!r}, and we are {AE_TITLE!r}"
        elif why:
            said += f": {why}"
        code = f"{rejection.result}/{rejection.source}/{rejection.reason}"
        caller = (requestor.ae_title, requestor.address)
        self._keep(_refusal(requestor, f"{code}: {said}"), self._record)
        self._tell(Reception(*caller, "", "", "", datetime.now(UTC), rejected=code, why=said))

    def ended(self, requestor: Requestor, handlers: Handlers, how: str) -> None:
        if isinstance(handlers, _Intake):
            if handlers.has_begun:
                self._keep(handlers.event(requestor, EventKind.TRANSFER_ENDED, how), self._record_intake)
            self._tell(handlers.reception(requestor, how))

    def _keep(self, event: AuditEvent, record: Record) -> None:
        """It has happened, and nobody waits for an answer: a log that takes no entries is told of in ours."""
        try:
            record(event)
        except LocalFailure as failure:
            log.error("what a caller did could not be recorded: %s", failure.what)

    def _tell(self, reception: Reception) -> None:
        log.log(logging.WARNING if reception.rejected else logging.INFO, "%s", reception)
        self._on_reception(reception)


class _Intake(StoreOnly):
    """What one association of a server brings."""

    def __init__(
        self, archive: Archive, server: PacsServer, record: Record = nobody, *, to_look_at: bool = False
    ) -> None:
        self._record = record
        self._classes: Counter[str] = Counter()
        self._receiver = ArchiveReceiver(archive, server.environment, expires=True, to_look_at=to_look_at)
        self._server = server
        self._began_at = datetime.now(UTC)
        self._start_s = time.perf_counter()
        self._begun = 0
        self.stored = 0

    @property
    def kept(self) -> Sequence[str]:
        """SOP instances that were there already with other content, which stayed."""
        return self._receiver.kept

    @property
    def full(self) -> DiskFull | None:
        """Set when no space was left for an instance."""
        return self._receiver.full

    def begin_store(self, requestor: Requestor, identity: InstanceIdentity) -> StoreSink:
        if not self.has_begun:
            try:
                self._record(self.event(requestor, EventKind.TRANSFER_BEGUN))
            except LocalFailure as failure:
                log.error("nothing is taken from %s: %s", requestor.ae_title, failure.what)
                raise Refusal(OUT_OF_RESOURCES, "it cannot be recorded") from failure
        self._begun += 1
        self._classes[identity.sop_class_uid] += 1
        return _CountedSink(self._receiver.begin_store(requestor, identity), self)

    @property
    def has_begun(self) -> bool:
        """Whether an instance was offered."""
        return bool(self._begun)

    def event(self, requestor: Requestor, kind: EventKind, how: str = "") -> AuditEvent:
        """For the audit log; whose instances they are is not known before they are read."""
        lost = self._begun - self.stored
        is_over = kind is EventKind.TRANSFER_ENDED
        detail = {"operation": "C-STORE", "stored": str(self.stored), "not stored": str(lost)} if is_over else {}
        return AuditEvent(
            kind=kind,
            door="dicom",
            address=requestor.address,
            environment=str(self._server.environment),
            sender=Node(name=self._server.name, ae_title=requestor.ae_title, host=requestor.address),
            sop_classes=self._classes,
            outcome=Outcome.SERIOUS if is_over and (lost or how) else Outcome.SUCCESS,
            reason=how,
            detail=detail,
        )

    def reception(self, requestor: Requestor, how: str) -> Reception:
        return Reception(
            requestor.ae_title,
            requestor.address,
            self._server.id,
            self._server.name,
            str(self._server.environment),
            self._began_at,
            time.perf_counter() - self._start_s,
            self.stored,
            len(self.kept),
            self._begun - self.stored,
            why=how,
        )


class _CountedSink:
    def __init__(self, sink: StoreSink, intake: _Intake) -> None:
        self._sink = sink
        self._intake = intake

    def write(self, chunk: Buffer) -> None:
        self._sink.write(chunk)

    def finish(self) -> int:
        status = self._sink.finish()
        self._intake.stored += 1
        return status

    def discard(self) -> None:
        self._sink.discard()


def _refusal(requestor: Requestor, why: str) -> AuditEvent:
    return AuditEvent(
        kind=EventKind.REFUSAL,
        door="dicom",
        address=requestor.address,
        sender=Node(ae_title=requestor.ae_title, host=requestor.address),
        outcome=Outcome.SERIOUS,
        subject=f"association asked for by {requestor.ae_title!r}",
        reason=why,
    )


def lacks_get(error: PeerError) -> bool:
    """Whether a C-GET that brought no response failed because the source does not do such a thing."""
    if isinstance(error, StatusFailure):
        return error.status in _NOT_OFFERED
    # Orthanc aborts where others reject the context.
    return isinstance(error, ContextRejected) or type(error) is AssociationAborted


def _cannot_listen(host: str, port: int, error: OSError) -> LocalFailure:
    if error.errno == errno.EADDRINUSE:
        return PortInUse(
            f"port {port} of {host} is taken; nothing can be received there",
            cause="another DICOM server, or the receiver of another DICOMFAB_HOME, listens on it",
            remedy="stop it, or choose another port (DICOMFAB_SCP_PORT); those who send to us must then know that one",
        )
    return LocalFailure(
        f"port {port} of {host} cannot be listened on: {error.strerror or error}",
        cause="the address is not one of this machine's, or ports below 1024 are kept for root",
        remedy="choose another address (DICOMFAB_SCP_HOST) or port (DICOMFAB_SCP_PORT)",
    )
