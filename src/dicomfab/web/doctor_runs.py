"""Diagnoses that pages follow: made while somebody looks."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dicomfab.access.policy import Action, visible
from dicomfab.diagnosis.checks import Check
from dicomfab.diagnosis.reason import Diagnosis
from dicomfab.model.actor import Actor
from dicomfab.model.values import Environment
from dicomfab.web.background import Kept, Work

if TYPE_CHECKING:
    from dicomfab.app.build import Application
    from dicomfab.registry.server import PacsServer

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


class Run(Work):
    """One diagnosis, as far as it has come.

    Args:
        owner: name of the actor who wanted it.
        wanted: what is examined.
        title: the same for reading.
        examine: makes the diagnosis.
        environments: of the servers that it is about; only for those who may view them.
    """

    NAME = "doctor"
    IS_WAITED_FOR = True  # so that it can remove what it has stored

    def __init__(
        self, owner: str, wanted: Wanted, title: str, examine: Examine, environments: Iterable[Environment] = ()
    ) -> None:
        super().__init__(owner)
        self.wanted, self.title = wanted, title
        self.environments = frozenset(environments)
        self.checks: list[Check] = []
        self.diagnosis: Diagnosis | None = None
        self._examine = examine
        self._actor: Actor | None = None
        self._wanted_at = time.monotonic()

    @property
    def is_under_way(self) -> bool:
        """Whether it has not ended, or its page may still start it."""
        return not self.has_ended and not self.is_stale

    @property
    def is_stale(self) -> bool:
        """Whether nobody has started it in time."""
        return self._begun is None and time.monotonic() - self._wanted_at > START_WITHIN_S

    @property
    def seconds(self) -> float:
        """Since it began, until it ended."""
        return super().seconds if self.diagnosis is None else self.diagnosis.seconds

    def is_for(self, actor: Actor) -> bool:
        """Whether it is the actor's, was started in time, and is about servers that the actor may still view."""
        return super().is_for(actor) and not self.is_stale and self.environments <= visible(actor, Action.VIEW)

    def start_as(self, actor: Actor) -> None:
        """Begin, if it has not begun.

        Args:
            actor: with the rights of now.
        """
        self._actor = self._actor or actor
        self.start()

    def _do(self) -> None:
        if self._actor is None:
            raise RuntimeError("a diagnosis is started by start_as")
        self.diagnosis = self._examine(self._actor, self._note, lambda: self.is_stopped)

    def _note(self, check: Check) -> None:
        with self._changing():
            self.checks.append(check)


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


class Runs(Kept[Run]):
    """The latest diagnoses."""

    KEPT = 100
    AT_ONCE = 8
    MANY = ("diagnoses", "each calls servers")
    GONE = (
        "diagnosis",
        "diagnoses are kept for a while, for whoever asked for them",
        "diagnose again; the form is filled in",
    )
