"""Look up the rows of a list: which servers hold each study."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from dicomfab.model.actor import Actor
from dicomfab.model.errors import Conflict, DicomFabError, Interrupted, InvalidInput
from dicomfab.registry.server import PacsServer
from dicomfab.services.jobs.listed import Later, Pace
from dicomfab.services.progress import Cancelled, OnProgress, Progress, ignore, never
from dicomfab.services.query import AnswerState, Asked, QueryService, ServerAnswer, check
from dicomfab.services.search_export import Cells, Table
from dicomfab.services.study_list import ListedStudy

#: How many studies of a row are looked at on each server.
CANDIDATES: Final = 20
#: After so many failures in a row that no later row is likely to escape, a server is left alone.
GIVEN_UP_AFTER: Final = 3


@dataclass(frozen=True, slots=True)
class RowAnswer:
    """What one server says of one row.

    Args:
        state: how it answered.
        studies: Study Instance UIDs that fit, :data:`CANDIDATES` at most.
        truncated: more fit.
        error: why it did not answer.
        warning: it ended its answer with a warning: what it said.
    """

    state: AnswerState
    studies: tuple[str, ...] = ()
    truncated: bool = False
    error: DicomFabError | None = None
    warning: str = ""

    @property
    def word(self) -> str:
        """``found``, ``several``, ``none``, or how it failed."""
        if self.error is not None:
            return str(self.state)
        return "none" if not self.studies else "found" if len(self.studies) == 1 else "several"

    @property
    def why(self) -> str:
        """What else is to be said of it; blank if nothing is."""
        return self.error.what if self.error is not None else self.warning


@dataclass(frozen=True, slots=True)
class LookedUp:
    """A row, and what each server says of it, in the order of the servers."""

    row: ListedStudy
    answers: tuple[RowAnswer, ...]


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Asks servers for the rows of a list: a C-FIND for each row and server, within each server's hours and rate.

    Args:
        queries: asks a server.
        now: the moment, with time zone.
    """

    queries: QueryService
    now: Callable[[], datetime]

    def look_up(
        self,
        actor: Actor,
        rows: Sequence[ListedStudy],
        servers: Sequence[Asked],
        *,
        on_progress: OnProgress = ignore,
        cancelled: Cancelled = never,
    ) -> list[LookedUp]:
        """Which servers hold which rows. Servers are asked side by side, each for row after row.

        A server that fails for a reason that may pass three times in a row is not asked for the other rows, which
        fail with the same reason.

        Args:
            actor: who asks; what he may not ask is answered for with AccessDenied.
            rows: of a list.
            servers: whom to ask.
            on_progress: told of every answer.
            cancelled: asked between answers; rows that were not asked for then are stopped.

        Raises:
            InvalidInput: no server is named.
        """
        if not servers:
            raise InvalidInput("pacs: no server is named", field="pacs", value=[], remedy="name at least one")
        for row in rows:
            check(actor, servers, row.filter(), CANDIDATES)
        counting = threading.Lock()
        total, done = len(rows) * len(servers), 0
        on_progress(Progress("looking up", 0, total))

        def answered() -> None:
            nonlocal done
            with counting:
                done += 1
                on_progress(Progress("looking up", done, total))

        columns = [self._started(actor, rows, server, cancelled, answered) for server in servers]
        answers = [column.result() for column in columns]
        return [LookedUp(row, tuple(column[place] for column in answers)) for place, row in enumerate(rows)]

    def _started(
        self,
        actor: Actor,
        rows: Sequence[ListedStudy],
        server: Asked,
        cancelled: Cancelled,
        answered: Callable[[], None],
    ) -> Future[list[RowAnswer]]:
        """Begin to ask a server for all rows."""
        future: Future[list[RowAnswer]] = Future()

        def work() -> None:
            found = []
            try:
                for answer in self._column(actor, rows, server, cancelled):
                    found.append(answer)
                    answered()
                future.set_result(found)
            except BaseException as error:  # noqa: BLE001 (raised again where the answers are read)
                future.set_exception(error)

        # A daemon: a program that is told to end must not wait for the slowest server.
        threading.Thread(target=work, name=f"list-{server.id}", daemon=True).start()
        return future

    def _column(
        self, actor: Actor, rows: Sequence[ListedStudy], server: Asked, cancelled: Cancelled
    ) -> Iterator[RowAnswer]:
        pace = Pace(server, self.now) if isinstance(server, PacsServer) else None
        stop = _Stop(cancelled)
        failures, last = 0, RowAnswer(AnswerState.FAILED)
        for row in rows:
            if failures == GIVEN_UP_AFTER or last.state is AnswerState.NOT_ALLOWED:
                yield last
                continue
            try:
                if pace is not None:
                    pace.wait(stop)
            except Later as later:
                yield RowAnswer(AnswerState.REFUSED, error=_closed(server, later))
                continue
            if cancelled():
                yield RowAnswer(AnswerState.STOPPED, error=_stopped(server))
                continue
            [answer] = self.queries.search(actor, [server], row.filter(), limit=CANDIDATES, cancelled=cancelled)
            last = _row_answer(answer)
            failures = failures + 1 if last.error is not None and last.error.transient else 0
            yield last


@dataclass(frozen=True, slots=True)
class _Stop:
    """Whether to stop, as :class:`Pace` asks it."""

    stopped: Cancelled


def table(servers: Sequence[Asked], found: Sequence[LookedUp]) -> Table:
    """A row for each row of the list, to be exported: what it says, then what each server says of it."""
    given = ("Line", "AccessionNumber", "PatientID", "StudyInstanceUID", "StudyDate")
    said = [f"{server.name}{what}" for server in servers for what in ("", " studies", " why")]
    about = {"servers": [{"server": s.id, "name": s.name, "environment": str(s.environment)} for s in servers]}
    return Table(about, (*given, *said), map(_cells, found))


def _cells(one: LookedUp) -> Cells:
    row = one.row
    cells = [str(row.line), row.accession_number, row.patient_id, row.study_instance_uid, row.study_date]
    for answer in one.answers:
        cells += [answer.word, "; ".join(answer.studies), answer.why]
    return cells


def _row_answer(answer: ServerAnswer) -> RowAnswer:
    studies = (match.study_instance_uid for match in answer.matches)
    found = tuple(dict.fromkeys(study for study in studies if study))
    return RowAnswer(answer.state, found, answer.truncated, answer.error, answer.warning)


def _closed(server: Asked, later: Later) -> Conflict:
    return Conflict(
        f"{server.name} may not be asked for a list at this hour.",
        cause="its entry says at which hours work on lists may burden it",
        remedy=f"ask again: {later.why}",
    )


def _stopped(server: Asked) -> Interrupted:
    return Interrupted(
        f"{server.name} had not been asked for this row when the look-up was stopped.",
        cause="it was cancelled",
        remedy="ask again",
    )
