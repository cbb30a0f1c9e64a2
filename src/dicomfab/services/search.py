"""Searches whose results are kept for a while: asked once, then sorted, filtered, merged and exported at will."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from dicomfab.access.policy import Action, visible
from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind
from dicomfab.model.errors import AccessDenied, DicomFabError, NotFound
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
    """

    server: str = ""
    text: str = ""
    sort: str = ""
    descending: bool = False
    merged: bool = False
    page: int = 1


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
        return max(1, -(-self.total // PAGE_SIZE))


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
        self, actor: Actor, servers: Sequence[Asked], search: StudyFilter, limit: int, search_id: str = ""
    ) -> str:
        """Note a search; :meth:`run` makes it. What is older than a day is removed.

        Args:
            actor: who asks.
            servers: whom to ask.
            search: what for.
            limit: matches per server.
            search_id: the id that it was promised, if one was.

        Returns:
            The id under which its results are read.

        Raises:
            InvalidInput: as :meth:`dicomfab.services.query.QueryService.search`.
            LocalFailure: it cannot be kept.
        """
        check(actor, servers, search, limit)
        self.store.purge()
        columns = search.columns
        numeric = frozenset(filter(search_keys.is_numeric, columns))
        waiting = [StoredAnswer(n, s.id, s.name, str(s.environment)) for n, s in enumerate(servers)]
        spec = {"filter": asdict(search), "limit": limit, "at": _now().isoformat(timespec="seconds")}
        return self.store.create(actor.name, spec, columns, numeric, waiting, search_id)

    def run(self, actor: Actor, search_id: str, *, cancelled: Cancelled = never) -> Iterator[ServerAnswer]:
        """Ask the servers, keep what they say, and yield each answer without its matches.

        A search is made once: for one that was begun before, nothing is yielded.

        Raises:
            NotFound: no such search of this actor.
            LocalFailure: the results cannot be kept.
        """
        search = self.get(actor, search_id)
        if self.store.claim(search_id):
            yield from self._ask(actor, search, self.targets(actor, [a.server_id for a in search.answers]), cancelled)

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
        try:
            found = self.queries.search(actor, servers, wanted, limit=limit, cancelled=cancelled, keep=keep)
            for answer in found:
                self.store.answered(search.id, _stored(answer, places[answer.server.id]))
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

    def failure(self, search_id: str) -> DicomFabError | None:
        """Why a search that was started here could not be made or kept, if so."""
        return self._failures.get(search_id)

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
        offset = (max(1, view.page) - 1) * PAGE_SIZE
        if view.merged:
            total, merged = self.store.merged(search, wanted, PAGE_SIZE, offset)
            return Page(search, view, total, merged=tuple(map(_Reading(search).merged, merged)))
        total, rows = self.store.page(search, wanted, PAGE_SIZE, offset)
        return Page(search, view, total, rows=tuple(map(_Reading(search).found, rows)))

    def rows(self, actor: Actor, search_id: str, view: View | None = None) -> Iterator[Found]:
        """All results of a view, one by one, not merged."""
        search = self.get(actor, search_id)
        yield from map(_Reading(search).found, self.store.rows(search, _wanted(actor, search, view or View())))

    def merged(self, actor: Actor, search_id: str, view: View | None = None) -> Iterator[MergedFound]:
        """All results of a view, one by one, merged."""
        search = self.get(actor, search_id)
        yield from map(_Reading(search).merged, self.store.all_merged(search, _wanted(actor, search, view or View())))

    def export(self, actor: Actor, search_id: str, kind: str, view: View | None = None) -> Iterator[bytes]:
        """The results of a view as a file, piece by piece.

        Args:
            actor: who asks.
            search_id: whose results.
            kind: ``csv``, ``json`` or ``xlsx``.
            view: which of them, merged or not; all pages of it.

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
            table = search_export.merged_table(search, self.merged(actor, search_id, view))
        else:
            table = search_export.table(search, self.rows(actor, search_id, view))
        return write(table)

    def forget(self, actor: Actor, search_id: str) -> None:
        """Remove the results of a search."""
        self.get(actor, search_id)
        self.store.remove(search_id)


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
