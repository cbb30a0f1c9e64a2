from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest

from dicomfab.model.errors import Conflict, NotFound
from dicomfab.registry.fields import Capability
from dicomfab.registry.registry import Registry
from dicomfab.registry.server import ConnectionTest, MoveRoute, PacsServer
from dicomfab.storage.registry import RegistryRepository
from dicomfab.storage.tables import UtcDateTime

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def server(server_id: str, **changes: object) -> PacsServer:
    base = {"id": server_id, "name": f"Name {server_id}", "host": server_id, "port": 104, "aec": "PACS"}
    return PacsServer(**{"environment": "test", **base, **changes})


@pytest.fixture
def repository(database):
    return RegistryRepository(database)


@pytest.fixture
def pair(repository):
    registry = Registry((server("a"), server("b")), (MoveRoute("a", "b", "TO_B"), MoveRoute("b", "a", "TO_A")))
    return repository.change(lambda _: registry)


def test_a_new_registry_is_empty(repository):
    assert repository.load() == Registry()


def test_every_field_is_kept(repository, database):
    odd = server(
        "a",
        environment="prod",
        description="d",
        aet_find="F",
        aet_store="",
        aet_echo="E",
        aet_move="M",
        aet_get="G",
        capabilities=[Capability.FIND, Capability.GET],
        connect_timeout_s=1.5,
        association_timeout_s=2.5,
        dimse_timeout_s=3.5,
        retrieve_timeout_s=900.0,
        max_associations=5,
        max_pdu=65536,
        rate_per_minute=30,
        permitted_hours="18:00-06:00,12:00-13:00",
        fallback_charset="ISO_IR 100",
        dicomweb_root="https://a/dicom-web",
        tls=True,
        tls_ca_file="/ca.pem",
        tls_certificate_file="/c.pem",
        tls_key_file="/k.pem",
        tls_verify=False,
        tls_profile="modified-bcp-195",
        tls_server_name="pacs.example.com",
        is_default=True,
        is_active=False,
        notes="Größe\nzwei",
        group="Größe, zwei",
        dicomweb_user="us",
        dicomweb_secret_file="/secret",
        via="web",
    )
    repository.change(lambda registry: registry.add(odd))
    database.close()
    assert repository.load().get("a") == odd


def test_changes_of_every_kind_are_kept(repository, pair):
    assert repository.load() == pair

    def compute(registry: Registry) -> Registry:
        return registry.add(server("c")).edit("a", {"port": 105}).set_routes("a", {"b": "NEW", "c": "TO_C"})

    after = repository.change(compute)
    assert repository.load() == after
    assert after.routes_from("a") == {"b": "NEW", "c": "TO_C"}
    assert repository.change(lambda registry: registry.remove("a")) == repository.load()
    assert repository.load().routes == ()


def test_names_may_be_swapped_in_one_change(repository, pair):
    swapped = Registry((server("a", name="Name b"), server("b", name="Name a")), pair.routes)
    repository.change(lambda _: swapped)
    assert repository.load() == swapped


@pytest.mark.parametrize("error", [Conflict, NotFound, ZeroDivisionError])
def test_a_change_that_fails_changes_nothing(repository, pair, error):
    def compute(registry: Registry) -> Registry:
        registry.remove("a")
        raise error("no")

    with pytest.raises(error):
        repository.change(compute)
    assert repository.load() == pair


def test_edits_by_twenty_threads_all_count(repository):
    def add(number: int) -> None:
        repository.change(lambda registry: registry.add(server(f"s{number}")))
        repository.change(lambda registry: registry.edit("s0", {"notes": registry.get("s0").notes + "x"}))

    repository.change(lambda registry: registry.add(server("s0")))
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(add, range(1, 61)))
    after = repository.load()
    assert after.ids == {f"s{n}" for n in range(61)}
    assert after.get("s0").notes == "x" * 60


ADD_TEN = """
import sys
from dicomfab.registry.server import PacsServer
from dicomfab.app.build import build
from dicomfab.storage.registry import RegistryRepository

repository = RegistryRepository(build().database)
for number in range(10):
    name = f"p{sys.argv[1]}-{number}"
    made = PacsServer(id=name, name=name + " name", host=name, port=104, aec="PACS", environment="test")
    repository.change(lambda registry: registry.add(made).set_routes(name, {i: "X" for i in registry.ids}))
"""


def test_edits_by_four_processes_all_count(repository, database, share):
    share(database)
    command = [sys.executable, "-c", ADD_TEN]
    started = [subprocess.Popen([*command, str(n)], stderr=subprocess.PIPE, text=True) for n in range(4)]
    assert [process.communicate()[1] for process in started] == [""] * 4
    after = repository.load()
    assert after.ids == {f"p{p}-{n}" for p in range(4) for n in range(10)}
    assert len(after.routes) == 40 * 39 / 2


def test_the_last_test_of_each_server_is_kept(repository, pair, database):
    first = ConnectionTest("a", False, NOON, None, {"what": "refused", "heading": "Connection failed"})
    second = ConnectionTest("a", True, NOON + timedelta(microseconds=1), 1.25, {"what": "answered"})
    for result in (first, second):
        assert repository.record_test(pair.get("a"), result)
        assert repository.connection_tests() == {"a": result}
    database.close()
    assert repository.connection_tests() == {"a": second}


@pytest.mark.parametrize(
    "change",
    [
        {"host": "new"},
        {"port": 105},
        {"aec": "NEW"},
        {"aet_echo": "NEW"},
        {"tls": True},
        {"tls_ca_file": "/ca.pem"},
        {"tls_certificate_file": "/c.pem", "tls_key_file": "/k.pem"},
        {"tls_verify": False},
        {"tls_profile": "modified-bcp-195"},
        {"tls_server_name": "new"},
    ],
)
def test_a_test_of_another_way_to_the_server_is_forgotten_and_not_taken(repository, pair, change):
    result = ConnectionTest("a", True, NOON, 1.0)
    repository.record_test(pair.get("a"), result)
    repository.change(lambda registry: registry.edit("a", change))
    assert repository.connection_tests() == {}
    assert not repository.record_test(pair.get("a"), result)
    assert repository.connection_tests() == {}


def test_a_test_survives_edits_that_it_does_not_depend_on(repository, pair):
    result = ConnectionTest("a", True, NOON, 1.0)
    repository.record_test(pair.get("a"), result)
    repository.change(lambda registry: registry.edit("a", {"name": "New", "notes": "x"}))
    assert repository.connection_tests() == {"a": result}


def test_a_test_goes_with_its_server(repository, pair):
    repository.record_test(pair.get("a"), ConnectionTest("a", True, NOON, 1.0))
    repository.change(lambda registry: registry.remove("a"))
    assert repository.connection_tests() == {}
    assert not repository.record_test(pair.get("a"), ConnectionTest("a", True, NOON, 1.0))


def test_times_are_kept_in_utc_and_never_guessed(repository, pair):
    tokyo = NOON.astimezone(timezone(timedelta(hours=9)))
    repository.record_test(pair.get("a"), ConnectionTest("a", True, tokyo, 1.0))
    kept = repository.connection_tests()["a"].tested_at
    assert (kept, kept.utcoffset()) == (NOON, timedelta(0))
    with pytest.raises(ValueError, match="no time zone"):
        UtcDateTime().process_bind_param(NOON.replace(tzinfo=None), None)


def test_favourites_are_those_of_one_person(repository, pair):
    repository.set_favourite("ann", "a", is_on=True)
    repository.set_favourite("ann", "a", is_on=True)
    repository.set_favourite("bob", "b", is_on=True)
    repository.set_favourite("ann", "gone", is_on=True)
    assert repository.favourites("ann") == {"a"}
    assert repository.favourites("bob") == {"b"}
    repository.set_favourite("ann", "a", is_on=False)
    assert repository.favourites("ann") == frozenset()
    repository.change(lambda registry: registry.remove("b"))
    assert repository.favourites("bob") == frozenset()
