"""Tests of routes: what they tell, and whom they call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dicomfab.archive.archive import Archive
from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.echo import echo
from dicomfab.dimse.scu.find import find
from dicomfab.dimse.scu.store import store
from dicomfab.model.actor import Actor, Role
from dicomfab.model.errors import AccessDenied, InvalidInput, NotFound, RouteMissing
from dicomfab.model.values import Environment
from dicomfab.registry.route_test import RouteOutcome
from dicomfab.services.doctor.move import MoveDoctor, Tools
from dicomfab.services.pacs import PacsService
from dicomfab.services.routes import How, RouteService
from dicomfab.storage.database import Database
from dicomfab.storage.registry import RegistryRepository
from dicomfab.storage.route_tests import RouteTestRepository
from dicomfab.testpacs.pacs import PacsHandlers

ADMIN = Actor("root", frozenset({Role.ADMIN}))
READER = Actor("reader", frozenset({Role.TEST_READ}))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def routes(tmp_path: Path, stack: ExitStack) -> RouteService:
    """*a* and *b* in test, *p* in production; each knows the others by their own AE titles, and there are no routes."""
    database = Database(tmp_path / "x.sqlite3")
    stack.callback(database.close)
    repository = RegistryRepository(database)
    pacs = PacsService(repository, echo)
    known: dict[str, tuple[str, int]] = {}
    for name, environment in (("A", "test"), ("B", "test"), ("P", "prod")):
        archive = Archive(tmp_path / name)
        stack.callback(archive.close)
        handlers = PacsHandlers(archive, name, Environment(environment), {})
        handlers._destinations = known
        known[name] = "127.0.0.1", stack.enter_context(Server(ServerConfig(name), handlers)).port
        entry = {"name": name, "host": "127.0.0.1", "port": known[name][1], "aec": name, "environment": environment}
        pacs.add(ADMIN, {**entry, "allow_synthetic": True})
    doctor = MoveDoctor(Tools(find, store, repository.load))
    return RouteService(pacs, RouteTestRepository(database), lambda: doctor)


def test_a_source_that_knows_the_name_accepts(routes: RouteService) -> None:
    routes.pacs.set_routes(ADMIN, "a", {"b": "B"})
    test = routes.test(ADMIN, "a", "b")
    assert test.outcome is RouteOutcome.ACCEPTED
    kept = routes.get(ADMIN, "a", "b")
    assert (kept.test, kept.is_stale, kept.state) == (test, False, "accepted")


def test_a_source_that_does_not_know_it_says_so(routes: RouteService) -> None:
    routes.pacs.set_routes(ADMIN, "a", {"b": "NO_SUCH"})
    test = routes.test(ADMIN, "a", "b")
    assert test.outcome is RouteOutcome.FAILS
    assert "A801" in test.message["what"]
    assert test.message["remedy"]


def test_a_moved_instance_proves_it_and_is_removed_again(routes: RouteService) -> None:
    routes.pacs.set_routes(ADMIN, "a", {"b": "B", "p": "P"})
    assert routes.test(ADMIN, "a", "b", how=How.MOVE).outcome is RouteOutcome.WORKS
    assert routes.test(ADMIN, "a", "p", how=How.MOVE).outcome is RouteOutcome.UNCLEAR
    assert routes.test(ADMIN, "a", "p", how=How.MOVE, confirm_production=True).outcome is RouteOutcome.WORKS


def test_an_instance_that_cannot_be_moved_names_the_cause(routes: RouteService) -> None:
    routes.pacs.set_routes(ADMIN, "a", {"b": "NO_SUCH"})
    test = routes.test(ADMIN, "a", "b", how=How.MOVE)
    assert test.outcome is RouteOutcome.FAILS
    assert test.message["remedy"]


def test_production_is_not_asked_for_a_move_without_a_yes(routes: RouteService) -> None:
    routes.pacs.set_routes(ADMIN, "p", {"a": "NO_SUCH"})
    test = routes.test(ADMIN, "p", "a")
    assert test.outcome is RouteOutcome.UNCLEAR
    assert "P (production)" in test.message["cause"]
    assert routes.test(ADMIN, "p", "a", confirm_production=True).outcome is RouteOutcome.FAILS


def test_who_may_not_store_calls_the_source_only(routes: RouteService) -> None:
    routes.pacs.set_routes(ADMIN, "a", {"b": "NO_SUCH", "p": "P"})
    test = routes.test(READER, "a", "b", how=How.MOVE)
    assert test.outcome is RouteOutcome.UNCLEAR
    assert test.message["cause"].startswith("not allowed: store")
    with pytest.raises(AccessDenied):
        routes.test(READER, "a", "p")
    with pytest.raises(AccessDenied):
        routes.get(READER, "p", "a")
    assert set(routes.all(READER)) == {("a", "b"), ("b", "a")}


@pytest.mark.parametrize(
    ("ends", "error"), [(("a", "a"), InvalidInput), (("a", "no"), NotFound), (("b", "a"), RouteMissing)]
)
def test_what_is_no_route(routes: RouteService, ends: tuple[str, str], error: type[Exception]) -> None:
    with pytest.raises(error):
        routes.test(ADMIN, *ends)
    assert routes.tests.all() == {}


@pytest.mark.parametrize(
    ("server", "change"),
    [("a", {"port": 1}), ("a", {"aet_move": "OTHER"}), ("a", {"tls": True}), ("b", {"aec": "OTHER"})],
)
def test_a_change_makes_a_test_stale(routes: RouteService, server: str, change: dict[str, object]) -> None:
    routes.pacs.set_routes(ADMIN, "a", {"b": "B"})
    routes.test(ADMIN, "a", "b")
    routes.pacs.edit(ADMIN, server, {"notes": "nothing to do with it"})
    assert routes.get(ADMIN, "a", "b").state == "accepted"
    routes.pacs.edit(ADMIN, server, change)
    assert routes.get(ADMIN, "a", "b").state == "stale"


def test_a_source_whose_c_move_is_off_fails_without_a_call(routes: RouteService) -> None:
    routes.pacs.set_routes(ADMIN, "a", {"b": "B"})
    routes.pacs.edit(ADMIN, "a", {"capabilities": ["echo", "find"]})
    assert "C-MOVE is disabled" in routes.test(ADMIN, "a", "b").message["what"]
