"""Ask many servers at once; each answer stands for itself."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from pydicom import Dataset

from dicomfab.access.policy import Action, decide, require
from dicomfab.dimse.messages import Response
from dicomfab.dimse.status import Category, category
from dicomfab.model.actor import Actor
from dicomfab.model.errors import (
    AccessDenied,
    AssociationAborted,
    AssociationRejected,
    ConnectionFailed,
    ContextRejected,
    DicomFabError,
    HttpFailure,
    Interrupted,
    InvalidInput,
    NotFound,
    PeerTimeout,
    StatusFailure,
    TlsFailed,
)
from dicomfab.model.query import DEFAULT_LIMIT, QueryModel
from dicomfab.model.values import Environment, is_uid, uid
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.services import search_keys
from dicomfab.services.listings import instances_held
from dicomfab.services.peers import peer_for
from dicomfab.services.progress import Cancelled, never
from dicomfab.services.recording import Once, Record, asking_as, listing, nobody, note_failure, query_event, refused
from dicomfab.services.search_match import Match, Reader
from dicomfab.services.search_messages import MessageLog
from dicomfab.services.side_by_side import side_by_side
from dicomfab.services.study_filter import StudyFilter

_BATCH = 500
_OPTIONAL_KEYS_NOT_MATCHED = 0xFF01  # PS3.4 C.4.1.1.4
_NOT_PROVIDED = frozenset({0x0112, 0x0122, 0x0124, 0x0211})  # PS3.7 annex C

#: ``find(peer, model, identifier, *, limit, cancelled, report)``: see :func:`dicomfab.dimse.scu.find.find`.
Find = Callable[..., Iterator[Dataset]]


@dataclass(frozen=True, slots=True)
class Unseen:
    """A server that was named by somebody who may not see it: no more is said of it than he said himself."""

    id: str
    error: DicomFabError
    via: str = ""

    @property
    def name(self) -> str:
        """What it was called."""
        return self.id

    @property
    def environment(self) -> str:
        """Not told."""
        return ""


Asked: TypeAlias = PacsServer | Unseen
#: Takes matches of a server as they come, from several threads; without one, the answers hold them.
Keep: TypeAlias = Callable[[PacsServer, Sequence[Match]], None]


class AnswerState(enum.StrEnum):
    """How one server answered."""

    OK = "ok"
    WARNING = "warning"  # it answered to the end, but with a warning status
    REFUSED = "refused"  # it does not do this, or not for us
    BROKEN_OFF = "broken off"  # it aborted, hung up, or broke the protocol
    TIMED_OUT = "timed out"
    FAILED = "failed"
    NOT_ALLOWED = "not allowed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ServerAnswer:
    """What one server said, or why it said nothing.

    Args:
        server: whom was asked.
        matches: in the server's order, unless they were handed on; with an error, what came before it.
        error: why the query failed; ``None`` means that the answer is complete up to the limit.
        truncated: the limit was reached, and there are more.
        seconds: until the answer was complete.
        found: how many matches are kept.
        warning: the server's final status was a warning: what it said.
        notes: what else is to be known about the answer.
        messages: what was sent and answered, as :mod:`dicomfab.services.search_messages` has it; ``None``
            if nobody was asked.
    """

    server: Asked
    matches: tuple[Match, ...] = ()
    error: DicomFabError | None = None
    truncated: bool = False
    seconds: float = 0.0
    found: int = 0
    warning: str = ""
    notes: tuple[str, ...] = ()
    messages: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)

    @property
    def state(self) -> AnswerState:
        """How it answered, in a word."""
        if self.error is None:
            return AnswerState.WARNING if self.warning else AnswerState.OK
        if self._is_late():
            return AnswerState.TIMED_OUT
        for kinds, state in _STATES:
            if isinstance(self.error, kinds):
                return state
        if isinstance(self.error, StatusFailure) and self.error.status in _NOT_PROVIDED:
            return AnswerState.REFUSED
        if isinstance(self.error, HttpFailure) and self.error.is_refusal:
            return AnswerState.REFUSED
        return AnswerState.FAILED

    def _is_late(self) -> bool:
        if isinstance(self.error, PeerTimeout):
            return True
        # A connection that is refused, or has no route, fails before its time is up.
        unconnected = isinstance(self.error, ConnectionFailed) and not isinstance(self.error, TlsFailed)
        return unconnected and isinstance(self.server, PacsServer) and self.seconds >= self.server.connect_timeout_s


_STATES: tuple[tuple[tuple[type[DicomFabError], ...], AnswerState], ...] = (
    ((AccessDenied,), AnswerState.NOT_ALLOWED),
    ((Interrupted,), AnswerState.STOPPED),
    ((AssociationAborted,), AnswerState.BROKEN_OFF),
    ((AssociationRejected, ContextRejected), AnswerState.REFUSED),
)


@dataclass(slots=True)
class QueryService:
    """C-FIND over the registry's servers (PS3.4 C.4.1), or QIDO-RS where a server is to be asked over DICOMweb."""

    find: Find
    max_parallel: int = 32
    record: Record = nobody

    def search(
        self,
        actor: Actor,
        servers: Sequence[Asked],
        search: StudyFilter,
        *,
        limit: int = DEFAULT_LIMIT,
        cancelled: Cancelled = never,
        keep: Keep | None = None,
    ) -> Iterator[ServerAnswer]:
        """Ask all servers in parallel and yield each answer as soon as it is there: a hung one delays no other.

        A server that the actor may not query is answered for with AccessDenied, and the others are asked.

        Args:
            actor: who asks.
            servers: whom to ask.
            search: what for.
            limit: matches per server.
            cancelled: asked between matches.
            keep: takes the matches.

        Raises:
            InvalidInput: a field of the search, or a production server is to be asked without patient, accession
                number, UID or date; before anything is sent.
        """
        check(actor, servers, search, limit)
        return self._ask_all(actor, servers, search, limit, cancelled, keep)

    #: The name from when there were studies only.
    studies = search

    def _ask_all(
        self,
        actor: Actor,
        servers: Sequence[Asked],
        search: StudyFilter,
        limit: int,
        cancelled: Cancelled,
        keep: Keep | None,
    ) -> Iterator[ServerAnswer]:
        allowed: dict[str, PacsServer] = {}
        for server in servers:
            denied = _denied(actor, server)
            if denied is not None:
                refused(self.record, actor, denied, environment=str(server.environment))
                yield ServerAnswer(server, error=denied)
            elif isinstance(server, PacsServer):
                allowed[server.id] = server
        records = {key: Once(self.record) for key in allowed}

        def ask(server: PacsServer, stopped: Cancelled) -> ServerAnswer:
            return self._ask(actor, server, search, limit, stopped, keep, records[server.id])

        def left(server: PacsServer) -> None:
            event = query_event(actor, server, search.model, search.identifier(server.fallback_charset))
            note_failure(records[server.id], event, _not_waited_for(server))

        for server, answer in side_by_side(tuple(allowed.values()), ask, self.max_parallel, cancelled, left):
            yield answer or ServerAnswer(server, error=_not_waited_for(server))

    def _ask(
        self,
        actor: Actor,
        server: PacsServer,
        search: StudyFilter,
        limit: int,
        cancelled: Cancelled,
        keep: Keep | None,
        record: Record,
    ) -> ServerAnswer:
        start = time.perf_counter()
        growing = _Asking(server, search, limit, keep)
        error: DicomFabError | None = None
        log = MessageLog()
        try:
            peer = replace(peer_for(server, Capability.FIND), trace=log)
            # One more than kept, so that "there are more" is known and not guessed.
            options = {"limit": limit + 1, "cancelled": cancelled, "report": growing.report}
            identifier = search.identifier(server.fallback_charset)
            log.asked(identifier, growing.reader)
            find = asking_as(record, actor, server, self.find)
            for match in find(peer, search.model, identifier, **options):
                log.matched(match, growing.reader)
                growing.take(match)
        except DicomFabError as problem:
            error = problem
        growing.hand_on()
        if error is None and cancelled():
            error = _not_waited_for(server)
        seconds = time.perf_counter() - start
        return replace(growing.answer(), error=error, seconds=seconds, messages=log.as_dict())

    def series(self, actor: Actor, server: PacsServer, study_instance_uid: str) -> list[Match]:
        """The series of one study, by number.

        Raises:
            AccessDenied: QUERY is not allowed in the server's environment.
            PeerError: the query failed.
        """
        study = uid(study_instance_uid, field="study_instance_uid")
        found = self.below(actor, server, StudyFilter(level="series", study_instance_uid=study))
        return sorted(found, key=lambda s: (s.series_number is None, s.series_number or 0, s.series_instance_uid))

    def below(
        self,
        actor: Actor,
        server: PacsServer,
        search: StudyFilter,
        *,
        warned: Callable[[str], object] | None = None,
    ) -> list[Match]:
        """What one server holds of a patient, study or series.

        Args:
            actor: who asks.
            server: whom to ask.
            search: what for.
            warned: told what the server said, if it ended its answer with a warning, to show it with the matches.

        Raises:
            AccessDenied: QUERY is not allowed in the server's environment.
            AnswerIncomplete: the server ended its answer with a warning, and nobody is there to be told.
            InvalidInput: a field of the search.
            PeerError: the query failed.
        """
        require(actor, Action.QUERY, server.environment)
        reader = _reader(server, search)
        identifier = search.identifier(server.fallback_charset)
        find = asking_as(self.record, actor, server, self.find)

        def report(response: Response) -> None:
            if warned is not None and (said := _warning(response)):
                warned(said)

        told = None if warned is None else report
        peer = peer_for(server, Capability.FIND)
        return [reader.read(m) for m in find(peer, search.model, identifier, report=told)]

    def instances(self, actor: Actor, server: PacsServer, study_instance_uid: str) -> frozenset[str]:
        """The SOP instance UIDs of one study on a server; empty only if the server says so.

        Raises:
            AccessDenied: QUERY is not allowed in the server's environment.
            PeerError: a query failed.
        """
        require(actor, Action.QUERY, server.environment)
        with listing(self.record, actor, server, study_instance_uid):
            return instances_held(self.find, server, study_instance_uid)

    def identify(self, actor: Actor, server: PacsServer, reference: str) -> str:
        """The study that a person means on a server: a UID as it is, or an accession number that it knows once.

        Raises:
            AccessDenied: QUERY is not allowed in the server's environment.
            NotFound: no study has this accession number.
            InvalidInput: more than one has.
            PeerError: the query failed.
        """
        require(actor, Action.QUERY, server.environment)
        reference = reference.strip()
        if is_uid(reference):
            return reference
        matches = asking_as(self.record, actor, server, self.find)(
            peer_for(server, Capability.FIND),
            QueryModel.STUDY_ROOT,
            StudyFilter(accession_number=_literal(reference, "study")).identifier(server.fallback_charset),
        )
        found = {str(match.get("StudyInstanceUID") or "").strip() for match in matches}
        if not found:
            raise NotFound(
                f"{server.name} knows no study with accession number {reference!r}.",
                cause="the study is on another server, or the number is not complete",
                remedy=f"look for it: dicomfab query --accession '{reference}'",
            )
        if len(found) > 1:
            raise InvalidInput(
                f"study: {server.name} knows {len(found)} studies with accession number {reference!r}",
                field="study",
                value=reference,
                cause="one order may have several studies",
                remedy="use the Study Instance UID",
            )
        return found.pop()


@dataclass(slots=True)
class _Asking:
    """One server's answer as it grows."""

    server: PacsServer
    search: StudyFilter
    limit: int
    keep: Keep | None
    found: int = 0
    truncated: bool = False
    warning: str = ""
    loosely: bool = False
    matches: list[Match] = field(default_factory=list)
    reader: Reader = field(init=False)

    def __post_init__(self) -> None:
        self.reader = _reader(self.server, self.search)

    def report(self, response: Response) -> None:
        if response.status == _OPTIONAL_KEYS_NOT_MATCHED:
            self.loosely = True
        elif said := _warning(response):
            self.warning = said

    def take(self, match: Dataset) -> None:
        if self.found == self.limit:
            self.truncated = True
            return
        self.found += 1
        self.matches.append(self.reader.read(match))
        if len(self.matches) == _BATCH:
            self.hand_on()

    def hand_on(self) -> None:
        if self.keep is not None and self.matches:
            self.keep(self.server, self.matches)
            self.matches = []

    def answer(self) -> ServerAnswer:
        notes = list(self.reader.notes())
        if self.server.via == "web":
            notes.append("asked over DICOMweb (QIDO-RS)")
        if self.loosely:
            notes.append("the server does not match every key asked for: some of these may not fit")
        return ServerAnswer(
            self.server,
            tuple(self.matches),
            truncated=self.truncated,
            found=self.found,
            warning=self.warning,
            notes=tuple(notes),
        )


def _warning(response: Response) -> str:
    """What a response warns of; empty if it does not."""
    if category(response.status) is not Category.WARNING:
        return ""
    said = f": {response.comment}" if response.comment else ""
    return f"it ended its answer with the warning {response.status:04X}{said}"


def check(actor: Actor, servers: Sequence[Asked], search: StudyFilter, limit: int) -> None:
    """Refuse a search that cannot be made, or that would ask a production server for everything.

    Raises:
        InvalidInput: by field.
    """
    search.identifier()
    if limit < 1:
        raise InvalidInput("limit: must be 1 or more", field="limit", value=limit)
    live = [s.name for s in servers if s.environment is Environment.PROD and _denied(actor, s) is None]
    if live and not search.narrows():
        raise InvalidInput(
            f"search: too wide for {', '.join(live)} (prod); nobody was asked",
            field="search",
            cause="a production server is not asked for everything that it holds",
            remedy="add a patient name or ID, an accession number, a UID or a date (for example: today)",
        )


def _denied(actor: Actor, server: Asked) -> DicomFabError | None:
    if isinstance(server, Unseen):
        return server.error
    decision = decide(actor, Action.QUERY, server.environment)
    if decision.allowed:
        return None
    try:
        require(actor, Action.QUERY, server.environment)
    except AccessDenied as error:
        return error
    return None


def _reader(server: PacsServer, search: StudyFilter) -> Reader:
    return Reader(server.id, search.query_level, search.columns, search_keys.codecs(server.fallback_charset))


def _not_waited_for(server: PacsServer) -> Interrupted:
    return Interrupted(
        f"{server.name} had not answered when the query was stopped.",
        cause="the query was cancelled",
        remedy="ask again",
    )


def _literal(reference: str, field_name: str) -> str:
    if not reference or any(c in reference for c in "*?\\"):
        raise InvalidInput(
            f"{field_name}: {reference!r} is neither a Study Instance UID nor an accession number",
            field=field_name,
            value=reference,
            cause="it is empty or has a wildcard in it",
            remedy="find the study first: dicomfab query",
        )
    return reference
