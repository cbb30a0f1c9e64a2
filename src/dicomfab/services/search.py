"""Searches whose results are kept for a while: asked once, then sorted, filtered, merged and exported at will."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from dicomfab.access.policy import Action, require, visible
from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind
from dicomfab.model.errors import AccessDenied, DicomFabError, Interrupted, InvalidInput, NotFound
from dicomfab.model.values import Environment
from dicomfab.registry import fields
from dicomfab.registry.server import PacsServer
from dicomfab.services import search_export, search_keys
from dicomfab.services.pacs import PacsService
from dicomfab.services.progress import Cancelled, never
from dicomfab.services.query import Asked, QueryService, ServerAnswer, Unseen, check
from dicomfab.services.search_found import Found, MergedFound
from dicomfab.services.search_match import Match
from dicomfab.services.search_saved import SavedSearches
from dicomfab.services.study_filter import StudyFilter
from dicomfab.storage.search_rows import MergedMatch, StoredMatch, Wanted
from dicomfab.storage.searches import SearchStore, StoredAnswer, StoredSearch

PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class View:
    """What of the results is wanted, and in which order.

    Args:
        server: id of one server; blank means all.
        text: each word occurs somewhere in a row.
        sort: a column; blank is the order in which the answers came.
        descending: from the largest.
        merged: the same study on several servers is one row.
        page: counted from 1.
        size: rows of a page.
        skip: rows that are left out before the first page.
    """

    server: str = ""
    text: str = ""
    sort: str = ""
    descending: bool = False
    merged: bool = False
    page: int = 1
    size: int = PAGE_SIZE
    skip: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """A page of results.

    Args:
        total: rows on all pages.
        rows: of a list.
        merged: of the merged view.
    """

    search: StoredSearch
    view: View
    total: int
    rows: tuple[Found, ...] = ()
    merged: tuple[MergedFound, ...] = ()

    @property
    def pages(self) -> int:
        """How many pages there are, one at least."""
        return max(1, -(-self.total // self.view.size))


@dataclass(slots=True)
class SearchService:
    """Begins searches, runs them, and reads their results again.

    Results belong to whoever searched, and of every environment only those are read that he may query now.

    Args:
        queries: asks the servers.
        pacs: knows them.
        store: keeps the results.
        saved: keeps searches by name, without results.
    """

    queries: QueryService
    pacs: PacsService
    store: SearchStore
    saved: SavedSearches
    _failures: dict[str, DicomFabError] = field(default_factory=dict)

    def targets(self, actor: Actor, labels: Sequence[str]) -> list[Asked]:
        """The servers that ids or names mean, each once; one that the actor may not see stands for itself.

        Raises:
            NotFound: there is no such server.
        """
        found: dict[str, Asked] = {}
        for label in labels:
            try:
                server: Asked = self.pacs.resolve(actor, label)
            except AccessDenied as error:
                server = Unseen(label, error)
            found.setdefault(server.id, server)
        return list(found.values())

    def begin(
        self,
        actor: Actor,
        servers: Sequence[Asked],
        search: StudyFilter,
        limit: int,
        search_id: str = "",
        *,
        via: str = "",
    ) -> str:
        """Note a search; :meth:`run` makes it. What is older than a day is removed.

        Args:
            actor: who asks.
            servers: whom to ask.
            search: what for.
            limit: matches per server.
            search_id: the id that it was promised, if one was.
            via: the way that all are asked, ``dimse`` or ``web``; blank means each its own.

        Returns:
            The id under which its results are read.

        Raises:
            InvalidInput: as :meth:`dicomfab.services.query.QueryService.search`.
            LocalFailure: it cannot be kept.
        """
        check(actor, servers, search, limit)
        if via:
            fields.via(via, "via")
        self.store.purge()
        columns = search.columns
        numeric = frozenset(filter(search_keys.is_numeric, columns))
        waiting = [StoredAnswer(n, s.id, s.name, str(s.environment)) for n, s in enumerate(servers)]
        spec = {"filter": asdict(search), "limit": limit, "at": _now().isoformat(timespec="seconds"), "via": via}
        return self.store.create(actor.name, spec, columns, numeric, waiting, search_id)

    def run(self, actor: Actor, search_id: str, *, cancelled: Cancelled = never) -> Iterator[ServerAnswer]:
        """Ask the servers, keep what they say, and yield each answer without its matches.

        A search is made once: for one that was begun before, nothing is yielded.

        Raises:
            NotFound: no such search of this actor.
            LocalFailure: the results cannot be kept.
        """
        search = self.get(actor, search_id)
        with self.store.asking(search_id):
            if self.store.claim(search_id):
                servers = self.targets(actor, [answer.server_id for answer in search.answers])
                yield from self._ask(actor, search, servers, cancelled)

    def ask_again(
        self, actor: Actor, search_id: str, servers: Sequence[Asked], *, cancelled: Cancelled = never
    ) -> Iterator[ServerAnswer]:
        """Ask some servers of a search, whatever they said before; what the others said stays.

        Raises:
            NotFound: no such search of this actor, or not any more.
            InvalidInput: as :meth:`dicomfab.services.query.QueryService.search`.
            LocalFailure: the results cannot be kept.
        """
        search = self.get(actor, search_id)
        places = {answer.server_id: answer.place for answer in search.answers}
        with self.store.asking(search_id):
            self.store.reopen(search, [places[server.id] for server in servers])
            yield from self._ask(actor, search, servers, cancelled)

    def _ask(
        self, actor: Actor, search: StoredSearch, servers: Sequence[Asked], cancelled: Cancelled
    ) -> Iterator[ServerAnswer]:
        places = {answer.server_id: answer for answer in search.answers}

        def keep(server: PacsServer, matches: Sequence[Match]) -> None:
            rows = [(match.key, [match.values[column] for column in search.columns]) for match in matches]
            self.store.keep(search, places[server.id].place, str(server.environment), rows)

        wanted, limit = filter_of(search), int(search.spec["limit"])
        asked = [asked_by(server, str(search.spec.get("via", ""))) for server in servers]
        try:
            found = self.queries.search(actor, asked, wanted, limit=limit, cancelled=cancelled, keep=keep)
            for answer in found:
                self.store.answered(search.id, _stored(answer, places[answer.server.id]), answer.messages)
                yield answer
        finally:
            self.store.finish(search)

    def start(self, actor: Actor, search_id: str) -> None:
        """Have :meth:`run` done beside whoever asked for it; what it finds is read by :meth:`get`."""

        def work() -> None:
            try:
                for _ in self.run(actor, search_id):
                    pass
            except DicomFabError as error:
                self._failures[search_id] = error

        # A daemon, as those that ask the servers: a program that is told to end does not wait for the slowest.
        threading.Thread(target=work, name="search", daemon=True).start()

    def failure(self, search: StoredSearch) -> DicomFabError | None:
        """Why a search could not be made or kept, or was broken off, if so."""
        if search.id in self._failures:
            return self._failures[search.id]
        if not self.store.is_abandoned(search):
            return None
        return Interrupted(
            "the search was broken off: not all servers have answered.",
            cause="the program that asked them was ended, for example because it was started anew",
            remedy="search again",
        )

    def get(self, actor: Actor, search_id: str) -> StoredSearch:
        """A search and how far it is.

        Raises:
            NotFound: no such search of this actor, or not any more.
        """
        search = self.store.find(search_id)
        if search.owner != actor.name:
            raise NotFound(
                "there are no results of such a search.",
                cause="results are kept for a day, and are seen by whoever searched only",
                remedy="search again",
            )
        return search

    def page(self, actor: Actor, search_id: str, view: View) -> Page:
        """Some of the results; no server is asked.

        Raises:
            NotFound: no such search of this actor, or not any more.
        """
        search = self.get(actor, search_id)
        wanted = _wanted(actor, search, view)
        offset = (max(1, view.page) - 1) * view.size + view.skip
        if view.merged:
            total, merged = self.store.merged(search, wanted, view.size, offset)
            return Page(search, view, total, merged=tuple(map(_Reading(search).merged, merged)))
        total, rows = self.store.page(search, wanted, view.size, offset)
        return Page(search, view, total, rows=tuple(map(_Reading(search).found, rows)))

    def rows(self, actor: Actor, search_id: str, view: View | None = None) -> Iterator[Found]:
        """All results of a view, one by one, not merged."""
        search = self.get(actor, search_id)
        yield from map(_Reading(search).found, self.store.rows(search, _wanted(actor, search, view or View())))

    def merged(self, actor: Actor, search_id: str, view: View | None = None) -> Iterator[MergedFound]:
        """All results of a view, one by one, merged."""
        search = self.get(actor, search_id)
        yield from map(_Reading(search).merged, self.store.all_merged(search, _wanted(actor, search, view or View())))

    def export(
        self,
        actor: Actor,
        search_id: str,
        kind: str,
        view: View | None = None,
        *,
        only: frozenset[tuple[str, str]] | None = None,
    ) -> Iterator[bytes]:
        """The results of a view as a file, piece by piece.

        Args:
            actor: who asks.
            search_id: whose results.
            kind: ``csv``, ``json`` or ``xlsx``.
            view: which of them, merged or not; all pages of it.
            only: server ids and keys of those that are wanted; all if not given.

        Raises:
            InvalidInput: another kind.
            NotFound: no such search of this actor, or not any more.
        """
        view = view or View()
        write = search_export.writer(kind)
        search = self.get(actor, search_id)
        what = f"results of a search as {kind}"
        self.queries.record(AuditEvent.by(actor, EventKind.EXPORT, subject=what, detail={"search": search_id}))
        if view.merged:
            merged = self.merged(actor, search_id, view)
            return write(
                search_export.merged_table(search, (m for m in merged if any(_is_of(f, only) for f in m.found)))
            )
        rows = self.rows(actor, search_id, view)
        return write(search_export.table(search, (row for row in rows if _is_of(row, only))))

    def held(self, actor: Actor, search_id: str, keys: Sequence[str]) -> dict[str, list[Found]]:
        """What the servers that answered have of these studies, by key; no server is asked.

        Raises:
            NotFound: no such search of this actor, or not any more.
        """
        search = self.get(actor, search_id)
        found: dict[str, list[Found]] = {}
        for row in self.store.of_keys(search, _wanted(actor, search, View()), keys):
            found.setdefault(row.key, []).append(_Reading(search).found(row))
        return found

    def messages(self, actor: Actor, search_id: str, server_id: str) -> Mapping[str, Any] | None:
        """What was sent to one server and what it answered; ``None`` if it was not asked, or not yet.

        Returns:
            For :func:`dicomfab.services.search_messages.steps`.

        Raises:
            NotFound: no such search of this actor, or not any more, or it did not ask this server.
            AccessDenied: the actor may not query the server's environment any more.
        """
        search = self.get(actor, search_id)
        answer = next((one for one in search.answers if one.server_id == server_id), None)
        if answer is None:
            raise NotFound(
                f"this search did not ask a server {server_id[:64]!r}.",
                cause="the address is mistyped",
                remedy="open the messages from the answers of the search",
            )
        if not answer.environment:  # a server that the searcher may not see
            return None
        require(actor, Action.QUERY, Environment(answer.environment))
        return self.store.messages(search_id, answer.place)

    def forget(self, actor: Actor, search_id: str) -> None:
        """Remove the results of a search."""
        self.get(actor, search_id)
        self.store.remove(search_id)


def asked_by(server: Asked, via: str) -> Asked:
    """The server, to be asked this way; one that cannot be is answered for with why."""
    try:
        return server.by(via) if isinstance(server, PacsServer) else server
    except InvalidInput as error:
        return Unseen(server.id, error)


def _is_of(row: Found, only: frozenset[tuple[str, str]] | None) -> bool:
    return only is None or (row.answer.server_id, row.match.key) in only


def filter_of(search: StoredSearch) -> StudyFilter:
    """What a kept search asked for."""
    given: Mapping[str, Any] = search.spec["filter"]
    return StudyFilter(**{**given, "keys": tuple(given["keys"])})


def _wanted(actor: Actor, search: StoredSearch, view: View) -> Wanted:
    environments = frozenset(str(e) for e in visible(actor, Action.QUERY))
    place = next((a.place for a in search.answers if a.server_id == view.server), -1) if view.server else None
    return Wanted(environments, place, view.text, view.sort, view.descending)


class _Reading:
    """From rows to matches."""

    def __init__(self, search: StoredSearch) -> None:
        self._search = search
        self._level = filter_of(search).query_level

    def found(self, row: StoredMatch) -> Found:
        answer = self._search.answers[row.place]
        values = dict(zip(self._search.columns, row.values, strict=True))
        return Found(Match(answer.server_id, self._level, values), answer)

    def merged(self, row: MergedMatch) -> MergedFound:
        return MergedFound(tuple(map(self.found, row.matches)), row.differs)


def _stored(answer: ServerAnswer, waiting: StoredAnswer) -> StoredAnswer:
    return StoredAnswer(
        waiting.place,
        waiting.server_id,
        waiting.name,
        waiting.environment,
        state=str(answer.state),
        error=answer.error.as_dict() if answer.error else None,
        warning=answer.warning,
        notes=answer.notes,
        found=answer.found,
        truncated=answer.truncated,
        seconds=answer.seconds,
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now().astimezone()
