"""What the examination of a C-MOVE asks of source and destination, one small function for each question."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from pydicom import Dataset

from dicomfab.dimse import command as dimse_command
from dicomfab.dimse.association import associate
from dicomfab.dimse.contexts import PLAIN_SYNTAXES
from dicomfab.dimse.explain import uid_name
from dicomfab.dimse.messages import ProposedContext, Response
from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.dimse.scu import echo as c_echo
from dicomfab.dimse.scu.query import Query
from dicomfab.dimse.sop_classes import MOVE
from dicomfab.dimse.status import SUCCESS
from dicomfab.model.errors import DicomFabError, PeerError
from dicomfab.model.query import Level, QueryModel
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.services.peers import peer_for
from dicomfab.services.progress import Cancelled, never
from dicomfab.services.query import Find

#: A study of more instances is not moved as a whole, only one instance of it.
FEW: Final = 10
_MAX_SERIES: Final = 50
_SIDE_BY_SIDE: Final = Timeouts(1.0, 1.0, 2.0, 2.0)
_MODEL: Final = QueryModel.STUDY_ROOT


@dataclass(frozen=True, slots=True)
class Content:
    """What is to be moved.

    Args:
        study: Study Instance UID.
        series: of the only instance; blank if it is the whole study.
        instances: SOP Instance UIDs.
        total: how many instances the source lists of the study, as far as they were counted.
        kinds: SOP class UID -> the transfer syntaxes that the source says it has them in; none if it does not say.
    """

    study: str
    series: str
    instances: frozenset[str]
    total: int
    kinds: dict[str, frozenset[str]]

    def identifier(self) -> Dataset:
        """The unique keys of a C-MOVE (PS3.4 C.4.2.2.1)."""
        if not self.series:
            return study_keys(self.study)
        return _keys(Level.IMAGE, self.study, self.series, next(iter(self.instances)))


def study_keys(study: str) -> Dataset:
    """A C-MOVE of a whole study."""
    return _keys(Level.STUDY, study)


def nobodys_uid() -> str:
    """A new UID (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid4().int}"


def _keys(level: Level, study: str, series: str = "", instance: str = "") -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = str(level)
    identifier.StudyInstanceUID = study
    if level in (Level.SERIES, Level.IMAGE):
        identifier.SeriesInstanceUID = series
    if level is Level.IMAGE:
        identifier.SOPInstanceUID = instance
    return identifier


def any_peer(server: PacsServer) -> Peer:
    """The server, to be called for an association whatever our entry allows."""
    able = dataclasses.replace(server, capabilities=server.capabilities | {Capability.ECHO})
    return peer_for(able, Capability.ECHO)


# ---------------------------------------------------------------------- C-FIND


def content_of(find: Find, peer: Peer, study: str) -> Content:
    """What a source lists of a study, counted no further than need be.

    Raises:
        PeerError: a query failed.
    """
    identifier = _keys(Level.SERIES, study)
    series = [str(match.get("SeriesInstanceUID", "")) for match in find(peer, _MODEL, identifier, limit=_MAX_SERIES)]
    found: dict[str, str] = {}
    kinds: dict[str, set[str]] = {}
    for uid in filter(None, series):
        wanted = _keys(Level.IMAGE, study, uid)
        wanted.SOPClassUID = wanted.AvailableTransferSyntaxUID = ""
        for match in find(peer, _MODEL, wanted, limit=FEW + 1):
            found[str(match.get("SOPInstanceUID", ""))] = uid
            if match.get("SOPClassUID"):
                kinds.setdefault(str(match.SOPClassUID), set()).update(_texts(match.get("AvailableTransferSyntaxUID")))
    found.pop("", None)
    known = {sop_class: frozenset(syntaxes) for sop_class, syntaxes in kinds.items()}
    if len(found) <= FEW and len(series) < _MAX_SERIES:
        return Content(study, "", frozenset(found), len(found), known)
    one, its_series = next(iter(found.items()))
    return Content(study, its_series, frozenset({one}), len(found), known)


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, str):
        return (value,) if value else ()
    return map(str, value) if isinstance(value, Iterable) else ()


def listed(find: Find, peer: Peer, content: Content) -> frozenset[str]:
    """Which of the instances a server lists.

    Raises:
        PeerError: a query failed.
    """
    if content.series:
        identifiers = [_keys(Level.IMAGE, content.study, content.series, next(iter(content.instances)))]
    else:
        series = find(peer, _MODEL, _keys(Level.SERIES, content.study))
        identifiers = [_keys(Level.IMAGE, content.study, str(match.get("SeriesInstanceUID", ""))) for match in series]
    held = {
        str(match.get("SOPInstanceUID", "")) for identifier in identifiers for match in find(peer, _MODEL, identifier)
    }
    return content.instances & held


def elsewhere(find: Find, servers: Sequence[PacsServer], content: Content) -> Iterator[tuple[PacsServer, bool | None]]:
    """Which of the servers list any of the instances, asked side by side; ``None`` if one could not be asked."""

    def ask(server: PacsServer) -> bool | None:
        try:
            peer = dataclasses.replace(peer_for(server, Capability.FIND), timeouts=_SIDE_BY_SIDE)
            return bool(listed(find, peer, content))
        except DicomFabError:
            return None

    if servers:
        with ThreadPoolExecutor(min(len(servers), 16), thread_name_prefix="doctor") as pool:
            yield from zip(servers, pool.map(ask, servers), strict=True)


# ---------------------------------------------------------------------- the destination, as the source calls it


@dataclass(frozen=True, slots=True)
class Lacking:
    """What a destination does not take.

    Args:
        why: ``class`` or ``syntax``.
        all_of_it: whether nothing of what is to be moved is taken.
        words: which, for people.
    """

    why: str
    all_of_it: bool
    words: str


def called_as(peer: Peer, kinds: dict[str, frozenset[str]]) -> Lacking | None:
    """Associate, C-ECHO, release; the contexts are those that a sub-operation would need (PS3.4 C.4.2.2.1).

    Args:
        peer: the destination, with the calling AE title of the source.
        kinds: of what is to be moved, see :class:`Content`.

    Raises:
        PeerError: no association, or C-ECHO failed; not if C-ECHO is not offered.
    """
    contexts = [c_echo.CONTEXT]
    for sop_class, syntaxes in kinds.items():
        contexts.append(ProposedContext(sop_class, PLAIN_SYNTAXES))
        contexts += [ProposedContext(sop_class, (syntax,)) for syntax in sorted(syntaxes - set(PLAIN_SYNTAXES))]
    with associate(peer, contexts[:100], even_without_context=True) as association:
        if association.accepted(c_echo.CONTEXT.abstract_syntax):
            response = c_echo.send(association)
            if response.status != SUCCESS:
                raise _echo_failed(peer, response)
        classes = [sop_class for sop_class in kinds if not association.accepted(sop_class)]
        syntaxes_of = {
            sop_class: syntaxes - association.accepted(sop_class) - set(PLAIN_SYNTAXES)
            for sop_class, syntaxes in kinds.items()
            if sop_class not in classes
        }
    if classes:
        return Lacking("class", len(classes) == len(kinds), ", ".join(sorted(map(uid_name, classes))))
    lacking = {sop_class: syntaxes for sop_class, syntaxes in syntaxes_of.items() if syntaxes}
    if not lacking:
        return None
    words = [f"{uid_name(one)} in {uid_name(s)}" for one, several in sorted(lacking.items()) for s in sorted(several)]
    return Lacking("syntax", len(lacking) == len(kinds), ", ".join(words))


def _echo_failed(peer: Peer, response: Response) -> PeerError:
    from dicomfab.dimse.status import failure

    return failure("C-ECHO", response, peer.label)


# ---------------------------------------------------------------------- C-MOVE


@dataclass(frozen=True, slots=True)
class Moved:
    """How a C-MOVE went.

    Args:
        responses: all of them, the last one final unless there is an error.
        error: what kept the final response from coming.
    """

    responses: tuple[Response, ...]
    error: PeerError | None = None

    @property
    def final(self) -> Response | None:
        """The final response."""
        return self.responses[-1] if self.responses and self.error is None else None

    @property
    def code(self) -> str:
        """The final status in four hexadecimal digits, or the error's code."""
        if self.error is not None:
            return self.error.code
        return f"{self.responses[-1].status:04X}" if self.responses else "none"

    @property
    def delivered(self) -> int | None:
        """Instances that the source says it delivered."""
        return self.responses[-1].suboperations.delivered if self.responses else None


def move(
    peer: Peer,
    identifier: Dataset,
    move_destination: str,
    most_s: float,
    cancelled: Cancelled = never,
) -> Moved:
    """Ask a source for a C-MOVE and keep every response, that of a failure too.

    Args:
        peer: the source.
        identifier: unique keys.
        move_destination: as the source knows it.
        most_s: seconds between two responses.
        cancelled: asked after each response; true sends C-CANCEL.
    """
    responses: list[Response] = []
    sop_class = MOVE[_MODEL]
    try:
        with associate(peer, [ProposedContext(sop_class, PLAIN_SYNTAXES)]) as association:
            query = Query(association, "C-MOVE", sop_class)
            query.send(dimse_command.C_MOVE_RQ, identifier, {"MoveDestination": move_destination})
            for response, _ in query.responses(most_s):
                responses.append(response)
                if cancelled():
                    query.cancel()
    except PeerError as error:
        return Moved(tuple(responses), error)
    return Moved(tuple(responses))
