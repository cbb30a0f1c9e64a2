"""The last test of each route, on every database."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dicomfab.registry.registry import Registry
from dicomfab.registry.route_test import RouteOutcome, RouteTest
from dicomfab.registry.server import PacsServer
from dicomfab.storage.database import Database
from dicomfab.storage.registry import RegistryRepository
from dicomfab.storage.route_tests import RouteTestRepository

WHEN = datetime(2026, 5, 1, 12, 0, 1, tzinfo=UTC)


def server(server_id: str) -> PacsServer:
    return PacsServer(id=server_id, name=server_id, host="localhost", port=104, aec="X", environment="test")  # type: ignore[arg-type]


@pytest.fixture
def tests(database: Database) -> RouteTestRepository:
    RegistryRepository(database).change(lambda _: Registry((server("a"), server("b"))))
    return RouteTestRepository(database)


def test_the_last_test_of_a_pair_is_kept(tests: RouteTestRepository, database: Database) -> None:
    assert tests.all() == {}
    first = RouteTest("a", "b", RouteOutcome.FAILS, WHEN, {"what": "größer"}, {"ae_title": "B", "source": ["h", 1]})
    last = RouteTest("a", "b", RouteOutcome.WORKS, WHEN, {"what": "it came"}, {"ae_title": "B"})
    back = RouteTest("b", "a", RouteOutcome.UNCLEAR, WHEN)
    assert [tests.record(one) for one in (first, last, back)] == [True, True, True]
    database.close()
    assert tests.all() == {("a", "b"): last, ("b", "a"): back}


def test_a_server_that_goes_takes_its_tests_along(tests: RouteTestRepository, database: Database) -> None:
    tests.record(RouteTest("a", "b", RouteOutcome.WORKS, WHEN))
    RegistryRepository(database).change(lambda registry: registry.remove("b"))
    assert tests.all() == {}
    assert not tests.record(RouteTest("a", "b", RouteOutcome.WORKS, WHEN))
    assert tests.all() == {}
