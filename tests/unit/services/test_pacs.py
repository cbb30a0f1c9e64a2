from __future__ import annotations

import json
import threading
from dataclasses import dataclass

import pytest

from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.dimse.tls_settings import TlsProfile, TlsSettings
from dicomfab.model.actor import Actor, Role
from dicomfab.model.errors import (
    AccessDenied,
    ConfirmationRequired,
    Conflict,
    ConnectionFailed,
    InvalidInput,
    NotFound,
    RouteMissing,
)
from dicomfab.registry.fields import TLS_PROFILES, Capability
from dicomfab.registry.server import server_from
from dicomfab.services.pacs import PacsService, RemovedServer
from dicomfab.services.peers import peer_for
from dicomfab.storage.database import Database
from dicomfab.storage.registry import RegistryRepository

ADMIN = Actor("root", frozenset({Role.ADMIN}))
NOBODY = Actor("nobody")

SERVERS = {
    "t1": {"name": "Test One", "host": "t1", "port": 104, "aec": "T1", "environment": "test"},
    "t2": {"name": "Test Two", "host": "t2", "port": 104, "aec": "T2", "environment": "test"},
    "p1": {"name": "Prod One", "host": "p1", "port": 104, "aec": "P1", "environment": "prod"},
}
ELSEWHERE = server_from({**SERVERS["t1"], "name": "Removed", "host": "t3"}, server_id="t3")
ROUTES = {"t1": {"t2": "TO_T2", "p1": "TO_P1"}, "p1": {"t1": "TO_T1"}}


@dataclass(frozen=True)
class Answer:
    latency_s: float = 0.0125
    implementation_class_uid: str = "1.2.3"
    implementation_version: str = "PEER_1"


class Network:
    """Answers C-ECHO at every host but those that are down, and remembers who called."""

    def __init__(self) -> None:
        self.down: set[str] = set()
        self.called: list[Peer] = []

    def echo(self, called: Peer) -> Answer:
        self.called.append(called)
        if called.host in self.down:
            raise ConnectionFailed(f"{called.label} refused the connection", cause="not running", remedy="start it")
        return Answer()


@pytest.fixture
def network():
    return Network()


@pytest.fixture
def service(tmp_path, network):
    database = Database(tmp_path / "x.sqlite3")
    made = PacsService(RegistryRepository(database), network.echo)
    document = {i: {**fields, "move_routing": ROUTES.get(i, {})} for i, fields in SERVERS.items()}
    made.import_json(ADMIN, json.dumps(document), source="setup")
    yield made
    database.close()


def ids(servers) -> set[str]:
    return {s.id for s in servers}


# Who may do what: each method, and the roles that may; written out, not computed from the policy.

TEST_ROLES = {"test_read", "test_write", "admin"}
PROD_ROLES = {"prod_read", "prod_write", "admin"}
METHODS = {
    "get test": (TEST_ROLES, lambda s, a: s.get(a, "t1")),
    "get prod": (PROD_ROLES, lambda s, a: s.get(a, "p1")),
    "resolve test": (TEST_ROLES, lambda s, a: s.resolve(a, "test one")),
    "resolve prod": (PROD_ROLES, lambda s, a: s.resolve(a, "PROD ONE")),
    "routes of test": (TEST_ROLES, lambda s, a: s.routes(a, "t1")),
    "routes of prod": (PROD_ROLES, lambda s, a: s.routes(a, "p1")),
    "route within test": (TEST_ROLES, lambda s, a: s.route(a, "t1", "t2")),
    "route from test to prod": ({"admin"}, lambda s, a: s.route(a, "t1", "p1")),
    "route from prod to test": ({"admin"}, lambda s, a: s.route(a, "p1", "t1")),
    "test test": (TEST_ROLES, lambda s, a: s.test(a, "t1")),
    "test prod": (PROD_ROLES, lambda s, a: s.test(a, "p1")),
    "test both": ({"admin"}, lambda s, a: s.test_all(a, ["t1", "p1"])),
    "add": ({"admin"}, lambda s, a: s.add(a, {**SERVERS["t1"], "name": "New"})),
    "edit": ({"admin"}, lambda s, a: s.edit(a, "t1", {"port": 105})),
    "remove": ({"admin"}, lambda s, a: s.remove(a, "t1")),
    "take_out": ({"admin"}, lambda s, a: s.take_out(a, "t1")),
    "put_back": ({"admin"}, lambda s, a: s.put_back(a, RemovedServer(ELSEWHERE, (), is_favourite=False))),
    "set_routes": ({"admin"}, lambda s, a: s.set_routes(a, "t1", {"t2": ""})),
    "set_favourite test": (TEST_ROLES, lambda s, a: s.set_favourite(a, "t1", is_on=True)),
    "set_favourite prod": (PROD_ROLES, lambda s, a: s.set_favourite(a, "p1", is_on=True)),
    "changing_sides": ({"admin"}, lambda s, a: s.changing_sides(a, '{"t1": {"environment": "prod"}}', source="x")),
    "import": ({"admin"}, lambda s, a: s.import_json(a, '{"t1": {"port": 105}}', source="x")),
    "export": ({"admin"}, lambda s, a: s.export_json(a)),
    "export one": ({"admin"}, lambda s, a: s.export_json(a, "t1")),
}
LISTS = {"servers", "overview", "default", "favourites"}


def test_the_walk_meets_every_public_method():
    walked = {"import_json" if m == "import" else "export_json" if "export" in m else m.split()[0] for m in METHODS}
    public = {name for name, value in vars(PacsService).items() if callable(value) and not name.startswith("_")}
    assert public == walked | LISTS | {"test_all"}


@pytest.mark.parametrize("role", [*Role, None])
@pytest.mark.parametrize("method", METHODS)
def test_policy_walk(service, network, method, role):
    allowed, call = METHODS[method]
    before = service.export_json(ADMIN)
    actor = Actor("someone", frozenset({role} if role else ()))
    if role in allowed:
        call(service, actor)
        return
    with pytest.raises(AccessDenied, match="someone may not"):
        call(service, actor)
    assert service.export_json(ADMIN) == before
    assert network.called == []


@pytest.mark.parametrize(
    ("roles", "seen"),
    [
        ((), set()),
        (("test_read",), {"t1", "t2"}),
        (("prod_write",), {"p1"}),
        (("test_write", "prod_read"), {"t1", "t2", "p1"}),
        (("admin",), {"t1", "t2", "p1"}),
    ],
)
def test_lists_show_the_environments_that_the_actor_may_view(service, roles, seen):
    actor = Actor("someone", frozenset(map(Role, roles)))
    assert ids(service.servers(actor)) == seen
    overview = service.overview(actor)
    assert ids(row.server for row in overview) == seen
    assert all(set(row.routes) <= seen for row in overview)
    if "t1" in seen:
        assert ids(row.destination for row in service.routes(actor, "t1")) == seen - {"t1"}


def test_the_default_is_shown_to_those_who_may_see_it(service):
    assert service.default(ADMIN) is None
    service.edit(ADMIN, "p1", {"is_default": True})
    assert service.default(ADMIN).id == "p1"
    assert service.default(Actor("eva", frozenset({Role.TEST_READ}))) is None


def test_suggestions_do_not_tell_names_that_the_actor_may_not_see(service):
    tester = Actor("eva", frozenset({Role.TEST_READ}))
    with pytest.raises(NotFound) as caught:
        service.resolve(tester, "Prod On")
    assert "Prod One" not in str(caught.value)
    with pytest.raises(NotFound, match=r"(?s)did you mean 'Prod One'\?"):
        service.resolve(ADMIN, "Prod On")


def test_add_makes_an_id_unless_one_is_given(service):
    new = {"name": "My PACS", "host": "h", "port": "104", "aec": "X", "environment": "test"}
    assert service.add(ADMIN, new).id == "my-pacs"
    assert service.add(ADMIN, {**new, "name": "Other", "id": "own"}).id == "own"
    assert service.add(ADMIN, {**new, "name": "Third", "id": ""}).id == "third"
    assert service.get(ADMIN, "my-pacs").port == 104


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({}, InvalidInput),
        ({**SERVERS["t1"], "name": 5}, InvalidInput),
        ({**SERVERS["t1"], "name": "New", "id": 5}, InvalidInput),
        ({**SERVERS["t1"], "name": "New", "id": "t1"}, Conflict),
        (SERVERS["t1"], Conflict),
        ({**SERVERS["t1"], "name": "New", "environment": "prod"}, Conflict),
    ],
)
def test_what_cannot_be_added_is_not(service, fields, error):
    with pytest.raises(error):
        service.add(ADMIN, fields)
    assert ids(service.servers(ADMIN)) == set(SERVERS)


def test_edit(service):
    assert service.edit(ADMIN, "t1", {"name": "Renamed", "port": 105}).name == "Renamed"
    with pytest.raises(ConfirmationRequired):
        service.edit(ADMIN, "t1", {"environment": "prod"})
    assert service.get(ADMIN, "t1").environment == "test"
    assert service.edit(ADMIN, "t1", {"environment": "prod"}, confirm_environment=True).environment == "prod"


def test_remove_returns_what_was_there(service):
    assert service.remove(ADMIN, "t2").name == "Test Two"
    assert [(row.destination.id, row.ae_title) for row in service.routes(ADMIN, "t1")] == [("p1", "TO_P1")]
    with pytest.raises(NotFound):
        service.remove(ADMIN, "t2")


def test_routes_show_every_other_server_also_those_without_a_route(service):
    assert [(r.destination.id, r.ae_title) for r in service.routes(ADMIN, "t2")] == [("p1", ""), ("t1", "")]
    rows = service.set_routes(ADMIN, "t2", {"t1": "BACK"})
    assert [(r.destination.id, r.ae_title) for r in rows] == [("p1", ""), ("t1", "BACK")]
    assert service.route(ADMIN, "t2", "t1") == "BACK"
    with pytest.raises(RouteMissing):
        service.route(ADMIN, "t2", "p1")


def test_export_and_import(service):
    everything = service.export_json(ADMIN)
    service.remove(ADMIN, "t1")
    report = service.import_json(ADMIN, everything, source="backup.json")
    assert (report.added, [c.id for c in report.changed], report.unchanged) == (("t1",), ["p1"], ("t2",))
    assert service.export_json(ADMIN) == everything
    assert json.loads(service.export_json(ADMIN, "t1"))["id"] == "t1"
    fragment = service.import_json(ADMIN, '{"aet_store": ""}', source="f.json", into="t1")
    assert fragment.changed[0].fields == {"aet_store": ("DICOMFAB", "")}


def test_a_successful_test_is_kept(service, network):
    service.edit(
        ADMIN, "t1", {"aet_echo": "ECHOER", "association_timeout_s": 2, "connect_timeout_s": 1, "dimse_timeout_s": 3}
    )
    result = service.test(ADMIN, "t1")
    assert network.called == [Peer("t1", 104, "T1", "ECHOER", Timeouts(1.0, 2.0, 3.0), "Test One")]
    assert (result.ok, result.latency_ms, result.message["implementation_version"]) == (True, 12.5, "PEER_1")
    assert {row.server.id: row.last_test for row in service.overview(ADMIN)} == {"t1": result, "t2": None, "p1": None}


def test_a_failed_test_is_an_outcome_and_kept_as_well(service, network):
    service.test(ADMIN, "t1")
    network.down = {"t1"}
    result = service.test(ADMIN, "t1")
    assert (result.ok, result.latency_ms) == (False, None)
    assert result.message["heading"] == "Connection failed"
    assert result.message["remedy"] == "start it"
    assert service.overview(ADMIN)[-2].last_test == result


def test_a_server_without_echo_is_not_called(service, network):
    service.edit(ADMIN, "t1", {"capabilities": ["find"]})
    for call in (lambda: service.test(ADMIN, "t1"), lambda: service.test_all(ADMIN, ["t2", "t1"])):
        with pytest.raises(Conflict, match="C-ECHO is disabled"):
            call()
    assert network.called == []


def test_several_servers_are_tested_at_once(tmp_path, service):
    all_there = threading.Barrier(3, timeout=30)

    def echo(_called: Peer) -> Answer:
        all_there.wait()  # only passes when all three are being called at the same time
        return Answer()

    together = PacsService(service._repository, echo)
    results = together.test_all(ADMIN, ["t1", "p1", "t2"])
    assert [(r.server_id, r.ok) for r in results] == [("t1", True), ("p1", True), ("t2", True)]


def test_a_certificate_file_that_cannot_be_used_fails_the_test_of_its_server_alone(service, network):
    def echo(called: Peer) -> Answer:
        if called.tls is not None:
            raise InvalidInput("tls_ca_file: '/gone.pem' cannot be read", field="tls_ca_file", value="/gone.pem")
        return Answer()

    service.edit(ADMIN, "t2", {"tls": True, "tls_ca_file": "/gone.pem"})
    results = PacsService(service._repository, echo).test_all(ADMIN, ["t1", "t2", "p1"])
    assert [result.ok for result in results] == [True, False, True]
    assert results[1].message["what"] == "tls_ca_file: '/gone.pem' cannot be read"


def test_peer_is_secured_as_the_server_says(service):
    assert peer_for(service.get(ADMIN, "t1"), Capability.ECHO).tls is None
    files = {"tls_ca_file": "/ca.pem", "tls_certificate_file": "/c.pem", "tls_key_file": "/k.pem"}
    choices = {"tls_verify": False, "tls_profile": "non-downgrading-bcp-195", "tls_server_name": "pacs.example.com"}
    server = service.edit(ADMIN, "t1", {**files, **choices})
    assert peer_for(server, Capability.FIND).tls is None
    for operation in Capability:
        assert peer_for(service.edit(ADMIN, "t1", {"tls": True}), operation).tls == TlsSettings(
            ca_file="/ca.pem",
            certificate_file="/c.pem",
            key_file="/k.pem",
            verify=False,
            profile=TlsProfile.NON_DOWNGRADING_BCP_195,
            server_name="pacs.example.com",
        )


def test_the_registry_knows_every_profile_and_begins_with_the_same():
    assert tuple(TlsProfile) == TLS_PROFILES
    assert TlsSettings().profile == TLS_PROFILES[0]


def test_peer_has_the_title_of_the_operation(service):
    service.edit(ADMIN, "t1", {"aet_store": "", "aet_find": "FINDER"})
    server = service.get(ADMIN, "t1")
    assert peer_for(server, Capability.MOVE).calling_ae_title == "FINDER"
    with pytest.raises(Conflict):
        peer_for(server, Capability.STORE)


def test_favourites_are_shown_to_whoever_may_still_see_the_servers(service):
    reader = Actor("root", frozenset({Role.TEST_READ}))
    service.set_favourite(ADMIN, "t1", is_on=True)
    service.set_favourite(ADMIN, "p1", is_on=True)
    assert service.favourites(ADMIN) == {"t1", "p1"}
    assert service.favourites(reader) == {"t1"}
    with pytest.raises(AccessDenied):
        service.set_favourite(reader, "p1", is_on=False)
    with pytest.raises(NotFound):
        service.set_favourite(ADMIN, "no-such", is_on=True)
    assert service.favourites(NOBODY) == frozenset()
