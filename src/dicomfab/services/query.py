"""Ask many servers at once; each answer stands for itself."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue

from pydicom import Dataset
from pydicom.charset import convert_encodings

from dicomfab.access.policy import Action, require
from dicomfab.dimse.peer import Peer
from dicomfab.model.actor import Actor
from dicomfab.model.errors import DicomFabError, Interrupted, InvalidInput, NotFound
from dicomfab.model.query import Level, QueryModel
from dicomfab.model.values import is_uid, uid
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.services.peers import peer_for
from dicomfab.services.progress import Cancelled, never
from dicomfab.services.study_filter import StudyFilter

DEFAULT_LIMIT = 500
_CANCEL_POLL_S = 0.2

#: ``find(peer, model, identifier, *, limit, cancelled)``: see :func:`dicomfab.dimse.scu.find.find`.
Find = Callable[..., Iterator[Dataset]]

_SERIES_KEYS = (
    "SeriesInstanceUID",
    "SeriesNumber",
    "Modality",
    "SeriesDescription",
    "BodyPartExamined",
    "NumberOfSeriesRelatedInstances",
)


@dataclass(frozen=True, slots=True)
class StudyMatch:
    """One study on one server, in its own words; a count that the server did not send is ``None``."""

    server_id: str
    study_instance_uid: str
    patient_name: str = ""
    patient_id: str = ""
    patient_birth_date: str = ""
    patient_sex: str = ""
    accession_number: str = ""
    study_date: str = ""
    study_time: str = ""
    study_description: str = ""
    referring_physician: str = ""
    modalities: tuple[str, ...] = ()
    series: int | None = None
    instances: int | None = None


@dataclass(frozen=True, slots=True)
class SeriesMatch:
    """One series on one server."""

    series_instance_uid: str
    series_number: int | None
    modality: str
    series_description: str
    instances: int | None


@dataclass(frozen=True, slots=True)
class ServerAnswer:
    """What one server said, or why it said nothing.

    Args:
        server: whom was asked.
        matches: in the server's order; with an error, what came before it.
        error: why the query failed; ``None`` means that the answer is complete up to the limit.
        truncated: the limit was reached: there may be more.
        seconds: until the answer was complete.
    """

    server: PacsServer
    matches: tuple[StudyMatch, ...] = ()
    error: DicomFabError | None = None
    truncated: bool = False
    seconds: float = 0.0


@dataclass(slots=True)
class QueryService:
    """C-FIND over the registry's servers (PS3.4 C.4.1, Study Root)."""

    find: Find
    max_parallel: int = 32

    def studies(
        self,
        actor: Actor,
        servers: Sequence[PacsServer],
        search: StudyFilter,
        *,
        limit: int = DEFAULT_LIMIT,
        cancelled: Cancelled = never,
    ) -> Iterator[ServerAnswer]:
        """Ask all servers in parallel and yield each answer as soon as it is there: a hung one delays no other.

        Args:
            actor: needs QUERY in the environment of every server named.
            servers: whom to ask.
            search: what for.
            limit: matches per server.
            cancelled: asked between matches.

        Raises:
            AccessDenied: before anything is sent.
            InvalidInput: a field of the search, before anything is sent.
        """
        for server in servers:
            require(actor, Action.QUERY, server.environment)
        search.identifier()
        if limit < 1:
            raise InvalidInput("limit: must be 1 or more", field="limit", value=limit)
        return self._ask_all(servers, search, limit, cancelled)

    def _ask_all(
        self, servers: Sequence[PacsServer], search: StudyFilter, limit: int, cancelled: Cancelled
    ) -> Iterator[ServerAnswer]:
        answers: SimpleQueue[Future[ServerAnswer]] = SimpleQueue()
        slots = threading.BoundedSemaphore(self.max_parallel)

        def ask(server: PacsServer) -> None:
            future: Future[ServerAnswer] = Future()
            with slots:
                try:
                    future.set_result(self._ask(server, search, limit, cancelled))
                except BaseException as error:  # noqa: BLE001 (raised again where the answers are read)
                    future.set_exception(error)
            answers.put(future)

        for server in servers:
            # Daemons: a program that is told to end must not wait for the slowest server.
            threading.Thread(target=ask, args=(server,), name=f"query-{server.id}", daemon=True).start()
        waiting = {server.id: server for server in servers}
        while waiting:
            try:
                answer = answers.get(timeout=_CANCEL_POLL_S).result()
            except Empty:
                if cancelled():
                    yield from (_stopped(server) for server in waiting.values())
                    return
                continue
            del waiting[answer.server.id]
            yield answer

    def _ask(self, server: PacsServer, search: StudyFilter, limit: int, cancelled: Cancelled) -> ServerAnswer:
        start = time.perf_counter()
        matches: list[StudyMatch] = []
        error: DicomFabError | None = None
        try:
            peer = peer_for(server, Capability.FIND)
            # One more than shown, so that "there may be more" is known and not guessed.
            found = self.find(peer, QueryModel.STUDY_ROOT, search.identifier(), limit=limit + 1, cancelled=cancelled)
            for match in found:
                matches.append(_study_match(server, match))
            if cancelled():
                return replace(_stopped(server), matches=tuple(matches[:limit]), seconds=time.perf_counter() - start)
        except DicomFabError as problem:
            error = problem
        return ServerAnswer(server, tuple(matches[:limit]), error, len(matches) > limit, time.perf_counter() - start)

    def series(self, actor: Actor, server: PacsServer, study_instance_uid: str) -> list[SeriesMatch]:
        """The series of one study.

        Raises:
            AccessDenied: QUERY is not allowed in the server's environment.
            PeerError: the query failed.
        """
        require(actor, Action.QUERY, server.environment)
        matches = [_series_match(server, match) for match in _series_of(self.find, server, study_instance_uid)]
        return sorted(matches, key=lambda s: (s.series_number is None, s.series_number or 0, s.series_instance_uid))

    def instances(self, actor: Actor, server: PacsServer, study_instance_uid: str) -> frozenset[str]:
        """The SOP instance UIDs of one study on a server; empty only if the server says so.

        Raises:
            AccessDenied: QUERY is not allowed in the server's environment.
            PeerError: a query failed.
        """
        require(actor, Action.QUERY, server.environment)
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
        matches = self.find(
            peer_for(server, Capability.FIND),
            QueryModel.STUDY_ROOT,
            StudyFilter(accession_number=_literal(reference, "study")).identifier(),
        )
        found = {_text(match, "StudyInstanceUID") for match in matches}
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


def _stopped(server: PacsServer) -> ServerAnswer:
    error = Interrupted(
        f"{server.name} had not answered when the query was stopped.",
        cause="the query was cancelled",
        remedy="ask again",
    )
    return ServerAnswer(server, error=error)


def instances_held(find: Find, server: PacsServer, study_instance_uid: str) -> frozenset[str]:
    """The SOP instance UIDs of one study on one server, series by series (PS3.4 C.4.1.2.1).

    Raises:
        Conflict: C-FIND is switched off for this server.
        PeerError: any of the queries failed; never answered by an empty set.
    """
    peer: Peer = peer_for(server, Capability.FIND)
    held: set[str] = set()
    for series in _series_of(find, server, study_instance_uid):
        identifier = Dataset()
        identifier.QueryRetrieveLevel = str(Level.IMAGE)
        identifier.StudyInstanceUID = study_instance_uid
        identifier.SeriesInstanceUID = series.SeriesInstanceUID
        identifier.SOPInstanceUID = ""
        held.update(
            str(match.SOPInstanceUID)
            for match in find(peer, QueryModel.STUDY_ROOT, identifier)
            if match.get("SOPInstanceUID")
        )
    return frozenset(held)


def sop_classes_held(find: Find, server: PacsServer, study_instance_uid: str) -> frozenset[str]:
    """The SOP classes of a study, where the server says so (SOPClassesInStudy is an optional key); else empty."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = str(Level.STUDY)
    identifier.StudyInstanceUID = study_instance_uid
    identifier.SOPClassesInStudy = ""
    classes: set[str] = set()
    for match in find(peer_for(server, Capability.FIND), QueryModel.STUDY_ROOT, identifier):
        classes.update(_texts(match, "SOPClassesInStudy"))
    return frozenset(classes)


def _series_of(find: Find, server: PacsServer, study_instance_uid: str) -> Iterable[Dataset]:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = str(Level.SERIES)
    identifier.StudyInstanceUID = uid(study_instance_uid, field="study_instance_uid")
    for keyword in _SERIES_KEYS:
        setattr(identifier, keyword, "" if keyword != "SeriesNumber" else None)
    identifier.NumberOfSeriesRelatedInstances = None
    return list(find(peer_for(server, Capability.FIND), QueryModel.STUDY_ROOT, identifier))


def _study_match(server: PacsServer, match: Dataset) -> StudyMatch:
    _assume_character_set(server, match)
    return StudyMatch(
        server_id=server.id,
        study_instance_uid=_text(match, "StudyInstanceUID"),
        patient_name=_text(match, "PatientName"),
        patient_id=_text(match, "PatientID"),
        patient_birth_date=_text(match, "PatientBirthDate"),
        patient_sex=_text(match, "PatientSex"),
        accession_number=_text(match, "AccessionNumber"),
        study_date=_text(match, "StudyDate"),
        study_time=_text(match, "StudyTime"),
        study_description=_text(match, "StudyDescription"),
        referring_physician=_text(match, "ReferringPhysicianName"),
        modalities=_texts(match, "ModalitiesInStudy"),
        series=_number(match, "NumberOfStudyRelatedSeries"),
        instances=_number(match, "NumberOfStudyRelatedInstances"),
    )


def _series_match(server: PacsServer, match: Dataset) -> SeriesMatch:
    _assume_character_set(server, match)
    return SeriesMatch(
        series_instance_uid=_text(match, "SeriesInstanceUID"),
        series_number=_number(match, "SeriesNumber"),
        modality=_text(match, "Modality"),
        series_description=_text(match, "SeriesDescription"),
        instances=_number(match, "NumberOfSeriesRelatedInstances"),
    )


def _assume_character_set(server: PacsServer, match: Dataset) -> None:
    """Read the text of a server that sends no Specific Character Set as its registry entry says.

    Text values are decoded when they are first asked for, so this has to come before.
    """
    if server.fallback_charset and not match.get("SpecificCharacterSet"):
        implicit, little_endian = match.original_encoding
        match.set_original_encoding(implicit, little_endian, convert_encodings(server.fallback_charset))


def _text(match: Dataset, keyword: str) -> str:
    return str(match.get(keyword) or "").strip()


def _texts(match: Dataset, keyword: str) -> tuple[str, ...]:
    value = match.get(keyword)
    if not value:
        return ()
    several = isinstance(value, Iterable) and not isinstance(value, str)
    return tuple(map(str, value)) if several else (str(value),)


def _number(match: Dataset, keyword: str) -> int | None:
    text = str(match.get(keyword) if match.get(keyword) is not None else "").strip()
    return int(text) if re.fullmatch(r"[0-9]{1,12}", text) else None


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
