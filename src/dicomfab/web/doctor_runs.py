"""Diagnoses that pages follow: begun by a form, made while somebody looks, kept for a while to be looked at again."""

from __future__ import annotations

import secrets
import shlex
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dicomfab.access.policy import Action, visible
from dicomfab.diagnosis.checks import Check
from dicomfab.diagnosis.reason import Diagnosis
from dicomfab.model.actor import Actor
from dicomfab.model.errors import Conflict, DicomFabError, NotFound
from dicomfab.model.values import Environment
from dicomfab.web.errors import unexpected

if TYPE_CHECKING:
    from dicomfab.app.build import Application
    from dicomfab.registry.server import PacsServer

KEPT: Final = 100
AT_ONCE: Final = 8
#: A page starts its diagnosis at once; a form's yes to production is not good for later.
START_WITHIN_S: Final = 60.0

Examine = Callable[[Actor, Callable[[Check], None], Callable[[], bool]], Diagnosis]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be examined: one server by id, or a C-MOVE.

    Args:
        pacs: the one server.
        source: of a C-MOVE.
        destination: of a C-MOVE.
        study: Study Instance UID of what is to be moved; blank for an instance of the doctor's own.
        confirmed: a yes to more than C-ECHO and C-FIND in production.
    """

    pacs: str = ""
    source: str = ""
    destination: str = ""
    study: str = ""
    confirmed: bool = False

    @property
    def is_move(self) -> bool:
        """Whether it is about a C-MOVE."""
        return not self.pacs and bool(self.source or self.destination or self.study)

    @property
    def parameters(self) -> dict[str, str]:
        """Of the address at which the form is filled in with it."""
        if self.pacs:
            return {"pacs": self.pacs}
        return {"from": self.source, "to": self.destination, "study": self.study}

    @property
    def command(self) -> str:
        """The same on the command line."""
        if self.is_move:
            ends = f"--from {shlex.quote(self.source or 'SERVER')} --to {shlex.quote(self.destination or 'SERVER')}"
            study = f" --study {shlex.quote(self.study)}" if self.study else ""
            return f"dicomfab doctor move {ends}{study}{' --yes-production' if self.confirmed else ''}"
        server = shlex.quote(self.pacs or "SERVER")
        return f"dicomfab doctor {'server ' if server in ('move', 'server') else ''}{server}"


class Run:
    """One diagnosis, as far as it has come.

    Args:
        owner: name of the actor who wanted it.
        wanted: what is examined.
        title: the same for reading.
        examine: makes the diagnosis.
        environments: of the servers that it is about; only for those who may view them.
    """

    def __init__(
        self, owner: str, wanted: Wanted, title: str, examine: Examine, environments: Iterable[Environment] = ()
    ) -> None:
        self.owner, self.wanted, self.title = owner, wanted, title
        self.environments = frozenset(environments)
        self.checks: list[Check] = []
        self.diagnosis: Diagnosis | None = None
        self.failure: DicomFabError | None = None
        self.has_ended = False
        self.is_stopped = False
        self._examine = examine
        self._begun: float | None = None
        self._wanted_at = time.monotonic()
        self._changed = threading.Condition()

    @property
    def is_running(self) -> bool:
        """Whether it has begun and not ended."""
        return self._begun is not None and not self.has_ended

    @property
    def is_stale(self) -> bool:
        """Whether nobody has started it in time."""
        return self._begun is None and time.monotonic() - self._wanted_at > START_WITHIN_S

    @property
    def seconds(self) -> float:
        """Since it began."""
        if self.diagnosis is not None:
            return self.diagnosis.seconds
        return 0.0 if self._begun is None else time.monotonic() - self._begun

    def start(self, actor: Actor) -> None:
        """Begin, in a thread of its own, if it has not begun.

        Args:
            actor: with the rights of now.
        """
        with self._changed:
            if self._begun is not None:
                return
            self._begun = time.monotonic()
        # It is waited for when this process ends, so that it can remove what it has stored.
        threading.Thread(target=self._work, args=(actor,), name="doctor").start()

    def stop(self) -> None:
        """Have it end after the step under way."""
        if not self.has_ended:
            self.is_stopped = True

    def wait(self, seen: int, seconds: float) -> None:
        """Until there are other than so many checks, or it has ended, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.checks) != seen or self.has_ended, seconds)

    def _note(self, check: Check) -> None:
        with self._changed:
            self.checks.append(check)
            self._changed.notify_all()

    def _work(self, actor: Actor) -> None:
        try:
            self.diagnosis = self._examine(actor, self._note, lambda: self.is_stopped)
        except DicomFabError as error:
            self.failure = error
        finally:
            if self.diagnosis is None and self.failure is None:
                self.failure = unexpected()
            with self._changed:
                self.has_ended = True
                self._changed.notify_all()


def of_server(application: Application, actor: Actor, server: PacsServer) -> Run:
    """One server to be examined."""
    return Run(
        actor.name,
        Wanted(pacs=server.id),
        server.name,
        lambda who, note, stopped: application.doctor.server(who, server.id, note, stopped),
        (server.environment,),
    )


def of_move(
    application: Application,
    actor: Actor,
    source: PacsServer,
    destination: PacsServer,
    *,
    study: str,
    is_confirmed: bool,
) -> Run:
    """A C-MOVE to be examined.

    Args:
        application: the installation.
        actor: who wants it.
        source: of the C-MOVE.
        destination: of the C-MOVE.
        study: Study Instance UID; blank for an instance of the doctor's own.
        is_confirmed: a yes to more than C-ECHO and C-FIND in production.
    """
    return Run(
        actor.name,
        Wanted("", source.id, destination.id, study, is_confirmed),
        f"a C-MOVE from {source.name} to {destination.name}",
        lambda who, note, stopped: application.move_doctor.diagnose(
            who,
            application.pacs.get(who, source.id),
            application.pacs.get(who, destination.id),
            study=study,
            confirm_production=is_confirmed,
            on_check=note,
            stopped=stopped,
        ),
        (source.environment, destination.environment),
    )


class Runs:
    """The latest diagnoses, each for whoever wanted it."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, run: Run) -> str:
        """Keep one; its id, which nobody can guess.

        Raises:
            Conflict: too many are being made at this moment.
        """
        with self._lock:
            if sum(one.is_running for one in self._runs.values()) >= AT_ONCE:
                raise Conflict(
                    f"{AT_ONCE} diagnoses are being made already",
                    cause="each one calls servers",
                    remedy="try again in a moment",
                )
            run_id = secrets.token_urlsafe(16)
            self._runs[run_id] = run
            ended = [one for one, kept in self._runs.items() if kept.has_ended or kept.is_stale]
            for one in ended[: max(0, len(self._runs) - KEPT)]:
                del self._runs[one]
        return run_id

    def get(self, actor: Actor, run_id: str) -> Run:
        """One of the actor's.

        Raises:
            NotFound: there is none, or it is another's, or it was not started in time, or it is about a server that the
                actor may not view any more.
        """
        run = self._runs.get(run_id)
        is_seen = run is not None and run.environments <= visible(actor, Action.VIEW)
        if run is None or run.owner != actor.name or run.is_stale or not is_seen:
            raise NotFound(
                "this diagnosis is not kept any more",
                cause="diagnoses are kept for a while, for whoever asked for them",
                remedy="diagnose again; the form is filled in",
            )
        return run
