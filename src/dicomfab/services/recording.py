"""How services have recorded what they do: once each, with how it ended, and nothing that cannot be recorded.

What changes the database is recorded in the same transaction. What cannot be undone (a deletion, an export) is recorded
before it is done. All else is recorded when it has ended, because how it ended belongs to it; then a trial beforehand
tells whether the log takes entries at all.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias
from urllib.parse import urlsplit

from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind, Node, Outcome
from dicomfab.model.errors import AccessDenied, ConfirmationRequired, DicomFabError, LocalFailure, NotSignedIn
from dicomfab.model.values import Environment
from dicomfab.registry.server import PacsServer
from dicomfab.services.verification import VerdictKind

if TYPE_CHECKING:
    from pydicom import Dataset

    from dicomfab.archive.records import StoredInstance, StudySummary
    from dicomfab.dimse.peer import Peer
    from dicomfab.model.query import QueryModel
    from dicomfab.services.transfer_reports import TransferReport
    from dicomfab.storage.audit import Transaction

log = logging.getLogger(__name__)

Find: TypeAlias = "Callable[..., Iterator[Dataset]]"

REFUSALS: Final = (AccessDenied, ConfirmationRequired, NotSignedIn)
"""What is an entry wherever it comes up; each of these errors once."""


class Record(Protocol):
    """:meth:`dicomfab.services.audit.AuditService.record`, for those who have something recorded."""

    def __call__(self, *events: AuditEvent, within: Transaction | None = None) -> None:
        """Record events; without any, only find out whether that is possible.

        Raises:
            LocalFailure: nothing was recorded, so nothing may be done.
        """


def nobody(*_events: AuditEvent, within: Transaction | None = None) -> None:
    """For tests of a service alone: nothing is recorded."""


class Once:
    """Makes one entry of what may end in two threads: of that which ends it first.

    Args:
        record: where to.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self._lock = threading.Lock()
        self._is_done = False

    def __call__(self, *events: AuditEvent, within: Transaction | None = None) -> None:
        """See :class:`Record`."""
        with self._lock:
            if self._is_done:
                return
            self._record(*events, within=within)
            self._is_done = bool(events)


class Noted:
    """An event while what it is about goes on.

    Args:
        event: as it is known at the beginning.
    """

    def __init__(self, event: AuditEvent) -> None:
        self.event = event

    def add(self, **values: Any) -> None:
        """Say more, or something else: values of :class:`AuditEvent`."""
        self.event = replace(self.event, **values)


@contextmanager
def recorded(record: Record, event: AuditEvent, *, ahead: bool = False) -> Iterator[Noted]:
    """See that what is done in the block becomes one entry.

    Args:
        record: where to.
        event: what is done; the block may add to it what it finds out.
        ahead: the entry is written before the block begins. Should the block fail, a second one says so.

    Raises:
        LocalFailure: nothing can be recorded. Before the block: nothing is done. After it: whoever asked is not told
            what it found.
    """
    noted = Noted(event)
    record(*(event,) if ahead else ())
    try:
        yield noted
    except GeneratorExit:  # whoever asked has seen enough
        if not ahead:
            record(noted.event)
        raise
    except BaseException as error:
        note_failure(record, noted.event, error)
        raise
    if not ahead:
        record(noted.event)


def refused(record: Record, actor: Actor | None, error: DicomFabError, **values: Any) -> None:
    """At a door: have a refusal recorded, unless it was already, or the error is none.

    Args:
        record: where to.
        actor: who was refused; ``None`` if that is not known.
        error: what the request ended with.
        values: of :class:`AuditEvent`.
    """
    kind = EventKind.REFUSAL
    _note_refusal(
        record, AuditEvent(kind=kind, **values) if actor is None else AuditEvent.by(actor, kind, **values), error
    )


def note_failure(record: Record, event: AuditEvent, error: BaseException) -> None:
    """Record that something failed, without words that may name a patient; a refusal is recorded as one, once."""
    if isinstance(error, REFUSALS):
        _note_refusal(record, event, error)
        return
    reason = _words(error) if isinstance(error, DicomFabError) else f"broken off ({type(error).__name__})"
    record(replace(event, outcome=Outcome.SERIOUS, reason=reason))


def _note_refusal(record: Record, event: AuditEvent, error: DicomFabError) -> None:
    if error.is_recorded or not isinstance(error, REFUSALS):
        return
    error.is_recorded = True
    reason = error.cause or str(getattr(error, "reason", ""))
    try:
        record(
            replace(
                event, kind=EventKind.REFUSAL, outcome=Outcome.SERIOUS, subject=error.what, reason=reason, query=b""
            )
        )
    except LocalFailure as failure:  # it stays refused, and whoever was refused is told so
        log.error("a refusal could not be recorded: %s", failure.what)


def _words(error: DicomFabError) -> str:
    """Of a failure, what names no patient: its own words may quote a data set, or what a peer said."""
    code = str(getattr(error, "code", ""))
    return f"{error.heading} ({code})" if code else error.heading


def of_study(study: StudySummary, instances: Iterable[StoredInstance]) -> dict[str, Any]:
    """What an event says of a local study: whose it is, and of what it consists."""
    return {
        "study_uids": (study.study_instance_uid,),
        "patient_ids": (study.patient_id,) if study.patient_id else (),
        "sop_classes": Counter(one.identity.sop_class_uid for one in instances),
    }


def node(server: PacsServer) -> Node:
    """A server as one end of a query or transfer, at the host that is asked."""
    by_web = urlsplit(server.dicomweb_root).hostname if server.via == "web" else None
    return Node(name=server.name, ae_title=server.aec, host=by_web or server.host)


def asking_as(record: Record, actor: Actor, server: PacsServer, find: Find) -> Find:
    """C-FIND of one server for somebody, each query of which is recorded with its identifier and how it ended.

    Args:
        record: where to.
        actor: who asks.
        server: whom.
        find: see :func:`dicomfab.dimse.scu.find.find`.
    """

    def recorded_find(peer: Peer, model: QueryModel, identifier: Dataset, **options: Any) -> Iterator[Dataset]:
        with recorded(record, query_event(actor, server, model, identifier)):
            yield from find(peer, model, identifier, **options)

    return find if record is nobody else recorded_find


def query_event(actor: Actor, server: PacsServer, model: QueryModel, identifier: Dataset) -> AuditEvent:
    """That a server is asked (PS3.15 A.5.3.10)."""
    from pydicom.uid import ImplicitVRLittleEndian

    from dicomfab.dimse.identifier import encode
    from dicomfab.dimse.sop_classes import FIND

    return AuditEvent.by(
        actor,
        EventKind.QUERY,
        environment=str(server.environment),
        receiver=node(server),
        query=encode(identifier, ImplicitVRLittleEndian),
        query_sop_class=FIND[model],
        query_syntax=str(ImplicitVRLittleEndian),
    )


@contextmanager
def listing(record: Record, actor: Actor, server: PacsServer, study_instance_uid: str) -> Iterator[None]:
    """One entry for the queries, series by series, that list the instances of one study."""
    from pydicom import Dataset

    from dicomfab.model.query import Level, QueryModel

    identifier = Dataset()
    identifier.QueryRetrieveLevel = str(Level.SERIES)
    identifier.StudyInstanceUID = study_instance_uid
    identifier.SeriesInstanceUID = ""
    with recorded(record, query_event(actor, server, QueryModel.STUDY_ROOT, identifier)):
        yield


class Transfer(Noted):
    """A transfer while it goes on.

    Args:
        record: where to.
        event: how it will have ended.
    """

    def __init__(self, record: Record, event: AuditEvent) -> None:
        super().__init__(event)
        self._record = record

    def begin(self, **values: Any) -> None:
        """From here on something may be transferred.

        Args:
            values: what is known only now, of :class:`AuditEvent`.

        Raises:
            LocalFailure: it cannot be recorded, so that nothing may be transferred.
        """
        self.add(**values)
        self._record(replace(self.event, kind=EventKind.TRANSFER_BEGUN))

    def ended(self, report: TransferReport) -> TransferReport:
        """Take the outcome from the report, and give it back."""
        why, outcome = report.verdict.why, Outcome.SUCCESS
        if report.error is not None:
            why, outcome = _words(report.error), Outcome.SERIOUS
        elif report.verdict.kind is VerdictKind.MISMATCH:
            outcome = Outcome.SERIOUS
        elif report.cancelled or report.verdict.kind is VerdictKind.UNVERIFIED:
            outcome = Outcome.MINOR
        detail = {
            **self.event.detail,
            "operation": report.operation,
            "instances": str(report.instances),
            "accepted": "not said" if report.accepted is None else str(report.accepted),
            "verdict": str(report.verdict.kind),
        }
        self.add(outcome=outcome, reason="" if outcome is Outcome.SUCCESS else why, detail=detail)
        return report


@contextmanager
def transferring(
    record: Record,
    actor: Actor,
    study_instance_uid: str,
    *,
    sender: PacsServer | None = None,
    receiver: PacsServer | None = None,
    **values: Any,
) -> Iterator[Transfer]:
    """See that a transfer is recorded when it begins and when it has ended; a refused one as a refusal.

    Args:
        record: where to.
        actor: who asks for it.
        study_instance_uid: of which study.
        sender: the server that sends; ``None``: this installation.
        receiver: the server that receives; ``None``: this installation.
        values: of :class:`AuditEvent`.
    """
    ends = [server.environment for server in (sender, receiver) if server is not None]
    event = AuditEvent.by(
        actor,
        EventKind.TRANSFER_ENDED,
        environment=str(Environment.PROD if Environment.PROD in ends else Environment.TEST),
        sender=None if sender is None else node(sender),
        receiver=None if receiver is None else node(receiver),
        study_uids=(study_instance_uid,),
        **values,
    )
    transfer = Transfer(record, event)
    try:
        yield transfer
    except BaseException as error:
        note_failure(record, transfer.event, error)
        raise
    record(transfer.event)
