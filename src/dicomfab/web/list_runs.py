"""Look-ups of lists that pages follow."""

from __future__ import annotations

from collections.abc import Sequence

from dicomfab.access.policy import Action, require
from dicomfab.model.actor import Actor
from dicomfab.registry.server import PacsServer
from dicomfab.services.progress import Progress
from dicomfab.services.query import Asked
from dicomfab.services.query_list import ListQuery, LookedUp
from dicomfab.services.study_list import ListedStudy
from dicomfab.web.background import Kept, Work


class ListRun(Work):
    """One look-up, as far as it has come.

    Args:
        actor: who wants it.
        rows: of the list.
        servers: whom is asked.
        service: asks.
    """

    NAME = "list-look-up"

    def __init__(self, actor: Actor, rows: Sequence[ListedStudy], servers: Sequence[Asked], service: ListQuery) -> None:
        super().__init__(actor.name)
        self.rows, self.servers = tuple(rows), tuple(servers)
        #: In the order of the rows, once it has ended.
        self.found: list[LookedUp] = []
        #: Questions answered, of ``total``.
        self.done = 0
        self._actor, self._service = actor, service

    @property
    def total(self) -> int:
        """Questions: one for each row and server."""
        return len(self.rows) * len(self.servers)

    @property
    def held(self) -> int:
        """Rows that a server holds a study of."""
        return sum(any(answer.studies for answer in one.answers) for one in self.found)

    def _do(self) -> None:
        self.found = self._service.look_up(
            self._actor, self.rows, self.servers, on_progress=self._note, cancelled=lambda: self.is_stopped
        )

    def _note(self, progress: Progress) -> None:
        self.done = progress.done


class ListRuns(Kept[ListRun]):
    """The latest look-ups."""

    KEPT = 20
    AT_ONCE = 4
    IS_FOR_EACH_OWNER = True  # one that keeps to a rate takes hours
    MANY = ("look-ups", "each asks servers many times")
    GONE = (
        "look-up",
        "the last few are kept until the web interface is restarted, and are seen by whoever began them",
        "look the list up again: /query/list",
    )

    def get(self, actor: Actor, work_id: str) -> ListRun:
        """One that the actor may look at.

        Raises:
            NotFound: there is none, or it is another's.
            AccessDenied: the actor may not query a server of it any more.
        """
        run = super().get(actor, work_id)
        for server in run.servers:
            if isinstance(server, PacsServer):
                require(actor, Action.QUERY, server.environment)
        return run
