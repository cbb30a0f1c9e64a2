"""Look-ups of lists that pages follow: begun by a form, kept in memory for a while for whoever began them."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from dicomfab.access.policy import Action, require
from dicomfab.model.actor import Actor
from dicomfab.model.errors import Conflict, DicomFabError, NotFound
from dicomfab.registry.server import PacsServer
from dicomfab.services.progress import Progress
from dicomfab.services.query import Asked
from dicomfab.services.query_list import ListQuery, LookedUp
from dicomfab.services.study_list import ListedStudy
from dicomfab.web.errors import unexpected

#: Look-ups that are kept; the oldest goes first.
KEPT: Final = 20
_AT_ONCE: Final = 4


@dataclass(slots=True)
class ListRun:
    """One look-up, as far as it has come.

    Args:
        owner: name of the actor who wanted it.
        servers: whom is asked.
        rows: of the list.
        found: in the order of the rows, once it has ended.
        failure: why it ended before it was done.
        has_ended: whether it goes on no more.
        done: how far it has come, of ``total``.
        is_stopped: whether it has been asked to end.
    """

    owner: str
    servers: tuple[Asked, ...]
    rows: tuple[ListedStudy, ...]
    found: list[LookedUp] = field(default_factory=list)
    failure: DicomFabError | None = None
    has_ended: bool = False
    done: int = 0
    is_stopped: bool = False

    @property
    def total(self) -> int:
        """Questions: one for each row and server."""
        return len(self.rows) * len(self.servers)

    @property
    def held(self) -> int:
        """Rows that a server holds a study of."""
        return sum(any(answer.studies for answer in one.answers) for one in self.found)

    def stop(self) -> None:
        """Have it end soon."""
        self.is_stopped = True

    def work(self, actor: Actor, service: ListQuery) -> None:
        """Ask for row after row."""
        try:
            self.found = service.look_up(
                actor, self.rows, self.servers, on_progress=self._note, cancelled=lambda: self.is_stopped
            )
        except DicomFabError as error:
            self.failure = error
        except BaseException:
            self.failure = unexpected()
            raise
        finally:
            self.has_ended = True

    def _note(self, progress: Progress) -> None:
        self.done = progress.done


class ListRuns:
    """The look-ups of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: OrderedDict[str, ListRun] = OrderedDict()

    def start(self, actor: Actor, rows: Sequence[ListedStudy], servers: Sequence[Asked], service: ListQuery) -> str:
        """Begin a look-up; its id, which cannot be guessed.

        Raises:
            Conflict: the actor has too many under way.
        """
        run = ListRun(actor.name, tuple(servers), tuple(rows))
        with self._lock:
            active = [one for one in self._runs.values() if one.owner == actor.name and not one.has_ended]
            if len(active) >= _AT_ONCE:
                raise Conflict(
                    f"{len(active)} look-ups of yours are under way",
                    cause="each asks servers many times",
                    remedy="wait until one has ended, or stop it",
                )
            run_id = secrets.token_urlsafe(12)
            self._runs[run_id] = run
            while len(self._runs) > KEPT:
                self._runs.popitem(last=False)[1].stop()
        threading.Thread(target=run.work, args=(actor, service), name="list-look-up", daemon=True).start()
        return run_id

    def get(self, actor: Actor, run_id: str) -> ListRun:
        """A look-up of this actor.

        Raises:
            NotFound: there is none, or none any more.
            AccessDenied: the actor may not query a server of it any more.
        """
        with self._lock:
            run = self._runs.get(run_id)
        if run is None or run.owner != actor.name:
            raise NotFound(
                "there is no such look-up.",
                cause="the last few are kept until the web interface is restarted, and are seen by whoever began them",
                remedy="look the list up again: /query/list",
            )
        for server in run.servers:
            if isinstance(server, PacsServer):
                require(actor, Action.QUERY, server.environment)
        return run
