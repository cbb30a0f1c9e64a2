"""The C-MOVE routes of all servers at once, and whether they work.

A test goes as far as it may:

- to the source: an association with C-MOVE; that is all in production without a yes, and for roles that may not store;
- ``ASK``: a C-MOVE of a study that nobody has. A801 says that the source does not know the move destination; success
  says that it does not mind it (see the table in :mod:`dicomfab.services.doctor.move`). Nothing is moved;
- ``MOVE``: the doctor's C-MOVE of one small synthetic instance, looked for at the destination and removed again.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from dicomfab.access.policy import Action, decide, require
from dicomfab.diagnosis.checks import Role
from dicomfab.diagnosis.reason import Diagnosis, Verdict
from dicomfab.dimse.association import associate
from dicomfab.dimse.contexts import PLAIN_SYNTAXES
from dicomfab.dimse.messages import ProposedContext
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.sop_classes import MOVE
from dicomfab.dimse.trace import Trace
from dicomfab.model.actor import Actor
from dicomfab.model.errors import DicomFabError, InvalidInput
from dicomfab.model.query import QueryModel
from dicomfab.registry.fields import Capability
from dicomfab.registry.route_test import RouteOutcome, RouteTest, way_of
from dicomfab.registry.server import PacsServer
from dicomfab.services.doctor import move_peers
from dicomfab.services.doctor.examination import Examination
from dicomfab.services.doctor.move import MoveDoctor
from dicomfab.services.pacs import PacsService
from dicomfab.services.peers import peer_for
from dicomfab.services.progress import Cancelled, never
from dicomfab.storage.route_tests import RouteTestRepository

ASK_LIMIT_S: Final = 10.0

Edge = tuple[str, str]
"""Ids of source and destination."""


class How(enum.StrEnum):
    """How far a test goes, where it may."""

    ASK = "ask"
    MOVE = "move"


@dataclass(frozen=True, slots=True)
class Route:
    """What is known of the way from one server to another.

    Args:
        source: the server that is asked to move.
        destination: where it would lead.
        ae_title: the move AE title; blank if there is no route.
        test: the last one of a route between them, if any.
        is_stale: the test was of another AE title, or one of the servers has changed since.
    """

    source: PacsServer
    destination: PacsServer
    ae_title: str
    test: RouteTest | None = None
    is_stale: bool = False

    @property
    def edge(self) -> Edge:
        """The ids of its ends."""
        return self.source.id, self.destination.id

    @property
    def is_production(self) -> bool:
        """Whether one of its ends stands in production."""
        return self.source.is_production or self.destination.is_production

    @property
    def state(self) -> str:
        """``none`` without a route, ``never``, ``stale``, or the outcome of the last test."""
        if not self.ae_title:
            return "none"
        if self.test is None:
            return "never"
        return "stale" if self.is_stale else str(self.test.outcome)


@dataclass(frozen=True, slots=True)
class RouteService:
    """What may be done with all routes, and by whom.

    Args:
        pacs: servers and routes, as far as an actor may see them.
        tests: keeps the last test of each route.
        move_doctor: moves an instance.
        open_trace: gives a trace for an association by its title, if anybody wants to see them.
    """

    pacs: PacsService
    tests: RouteTestRepository
    move_doctor: Callable[[], MoveDoctor]
    open_trace: Callable[[str], Trace | None] = lambda _title: None

    def all(self, actor: Actor) -> dict[Edge, Route]:
        """Every pair of different servers that the actor may see, with or without a route; sources by name."""
        rows = self.pacs.overview(actor)
        tests = self.tests.all()
        return {
            (row.server.id, other.server.id): _route(
                row.server, other.server, row.routes.get(other.server.id, ""), tests
            )
            for row in rows
            for other in rows
            if row.server.id != other.server.id
        }

    def get(self, actor: Actor, source_id: str, destination_id: str) -> Route:
        """One pair of servers.

        Raises:
            NotFound, AccessDenied: there is none of such an id, or the actor may not see it.
            InvalidInput: both are the same server.
        """
        source, destination = self.pacs.get(actor, source_id), self.pacs.get(actor, destination_id)
        if source.id == destination.id:
            raise InvalidInput(
                f"to: {destination.name} is the source itself",
                field="to",
                value=destination.id,
                remedy="name two different servers",
            )
        row = next(row for row in self.pacs.overview(actor) if row.server.id == source.id)
        return _route(source, destination, row.routes.get(destination.id, ""), self.tests.all())

    def test(
        self,
        actor: Actor,
        source_id: str,
        destination_id: str,
        *,
        how: How = How.ASK,
        confirm_production: bool = False,
        stopped: Cancelled = never,
    ) -> RouteTest:
        """Test one route and keep what came of it; a failure of a server is an outcome, not an error.

        Args:
            actor: needs QUERY at both ends; without STORE there, only the source is called.
            source_id: the server that moves.
            destination_id: where the route leads.
            how: how far to go.
            confirm_production: an explicit yes to a C-MOVE, for ends in production.
            stopped: whether to end early.

        Raises:
            NotFound, AccessDenied, InvalidInput: as :meth:`get`, and without QUERY.
            RouteMissing: there is no route to be tested.
        """
        route = self.get(actor, source_id, destination_id)
        for end in (route.source, route.destination):
            require(actor, Action.QUERY, end.environment)
        if not route.ae_title:
            self.pacs.route(actor, source_id, destination_id)
        barred = _barred(actor, route, confirmed=confirm_production)
        try:
            outcome, message = self._tried(actor, route, how, barred, confirm_production, stopped)
        except DicomFabError as error:
            outcome, message = RouteOutcome.FAILS, error.as_dict()
        tested = way_of(route.source, route.destination, route.ae_title)
        test = RouteTest(*route.edge, outcome, datetime.now(UTC), message, tested)
        self.tests.record(test)
        return test

    def _tried(
        self, actor: Actor, route: Route, how: How, barred: str, confirmed: bool, stopped: Cancelled
    ) -> tuple[RouteOutcome, Mapping[str, Any]]:
        if how is How.MOVE and not barred:
            ends = route.source, route.destination
            doctor = self.move_doctor()
            return _from(doctor.diagnose(actor, *ends, confirm_production=confirmed, stopped=stopped), route)
        limits = Examination(limit_s=ASK_LIMIT_S, stopped=stopped)
        title = f"route from {route.source.name} to {route.destination.name}"
        peer = _traced(limits.within(peer_for(route.source, Capability.MOVE)), self.open_trace(title))
        if barred:
            with associate(peer, [ProposedContext(MOVE[QueryModel.STUDY_ROOT], PLAIN_SYNTAXES)]):
                what = f"{route.source.name} takes C-MOVE requests. Whether it knows {route.ae_title} was not asked"
                return RouteOutcome.UNCLEAR, _said("Source answers", what, cause=barred)
        nothing = move_peers.study_keys(move_peers.nobodys_uid())
        return _answered(move_peers.move(peer, nothing, route.ae_title, peer.timeouts.retrieve_s), route)


def _route(source: PacsServer, destination: PacsServer, ae_title: str, tests: Mapping[Edge, RouteTest]) -> Route:
    test = tests.get((source.id, destination.id))
    is_stale = test is not None and dict(test.tested) != way_of(source, destination, ae_title)
    return Route(source, destination, ae_title, test, is_stale)


def _barred(actor: Actor, route: Route, *, confirmed: bool) -> str:
    """Why no C-MOVE may be asked for; blank if it may."""
    for end in (route.source, route.destination):
        decision = decide(actor, Action.STORE, end.environment)
        if not decision.allowed:
            return f"not allowed: {decision.reason}"
    live = [end.name for end in (route.source, route.destination) if end.is_production]
    return f"a C-MOVE with {' and '.join(live)} (production) wants its name typed" if live and not confirmed else ""


def _answered(moved: move_peers.Moved, route: Route) -> tuple[RouteOutcome, Mapping[str, Any]]:
    """What the answer to a C-MOVE of a study that nobody has tells."""
    if moved.error is not None:
        return RouteOutcome.FAILS, moved.error.as_dict()
    source, title, code = route.source.name, route.ae_title, moved.code
    if code == "0000":
        what = f"{source} took a C-MOVE to {title} of a study that nobody has; nothing was moved"
        return RouteOutcome.ACCEPTED, _said("Source accepts it", what)
    if code == "A801":
        return RouteOutcome.FAILS, _said(
            "Unknown destination",
            f"{source} answered A801: it does not know the move destination {title}",
            cause=f"{title} is not in its table of move destinations, or is written differently there",
            remedy=f"ask the administrator of {source} under which AE title it knows {route.destination.name}",
        )
    what = f"{source} answered {code}, which may be about the study that nobody has or about the destination {title}"
    return RouteOutcome.UNCLEAR, _said(f"Status {code}", what, remedy="move one small synthetic instance to be sure")


def _from(diagnosis: Diagnosis, route: Route) -> tuple[RouteOutcome, Mapping[str, Any]]:
    facts = {name: fact for check in diagnosis.checks if check.role is Role.MOVE for name, fact in check.facts.items()}
    if diagnosis.causes and diagnosis.verdict is Verdict.FOUND:
        cause = diagnosis.causes[0]
        return RouteOutcome.FAILS, _said(cause.heading, cause.cause, remedy=cause.remedy)
    if facts.get("arrived") == "all" and facts.get("move") == "0000":
        what = f"one small synthetic instance arrived on {route.destination.name} by way of {route.ae_title}"
        return RouteOutcome.WORKS, _said("Instance arrived", what)
    failed = [check.seen for check in diagnosis.checks if check.outcome in ("failed", "odd", "skipped")]
    remedy = "have the doctor examine it"
    return RouteOutcome.UNCLEAR, _said("Cannot tell", "; ".join(failed[-2:]) or str(diagnosis.verdict), remedy=remedy)


def _said(heading: str, what: str, *, cause: str = "", remedy: str = "") -> dict[str, Any]:
    return {"heading": heading, "what": what, "cause": cause, "remedy": remedy}


def _traced(peer: Peer, trace: Trace | None) -> Peer:
    return peer if trace is None else replace(peer, trace=trace)
