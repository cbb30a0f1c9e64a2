"""The doctor's examination of one server: who may have it, what it asks of the server, and how long it takes."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dicomfab.access import policy
from dicomfab.access.policy import Action, Scope
from dicomfab.diagnosis.checks import Check, Outcome, Role
from dicomfab.diagnosis.products import Product
from dicomfab.diagnosis.reason import Diagnosis, Verdict
from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.echo import echo
from dicomfab.dimse.trace import TraceBook
from dicomfab.dimse.transport.faults import Fault, FaultKind
from dicomfab.model.actor import Actor
from dicomfab.model.actor import Role as ActorRole
from dicomfab.model.errors import AccessDenied, NotFound
from dicomfab.registry.fields import Capability
from dicomfab.registry.registry import Registry
from dicomfab.services.doctor.examination import LIMIT_S
from dicomfab.services.doctor.service import DoctorService
from dicomfab.services.pacs import PacsService
from dicomfab.storage.database import Database
from dicomfab.storage.registry import RegistryRepository
from tests.doctor.site import Site, in_turn, offering
from tests.unit.dimse.memory_pacs import MemoryPacs
from tests.unit.dimse.raw import Wire
from tests.unit.services.hospital import ADMIN, actor

STALLS: dict[str, tuple[Fault, ...]] = {
    "nothing after the acceptance": (Fault(FaultKind.SILENCE, "C-ECHO-RSP"), Fault(FaultKind.SILENCE, "C-FIND-RSP")),
    "no answer to C-FIND": (Fault(FaultKind.SILENCE, "C-FIND-RSP"),),
    "half an acceptance": (Fault(FaultKind.HALF, "A-ASSOCIATE-AC"),),
    "no answer to the release": (Fault(FaultKind.SILENCE, "A-RELEASE-RP"),),
    "everything late": (Fault(FaultKind.DELAY, occurrence=0, seconds=0.4),),
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with contextlib.ExitStack() as stack:
        yield Site(tmp_path, stack, SimpleNamespace(), monkeypatch)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RegistryRepository]:
    database = Database(tmp_path / "registry.sqlite")
    yield RegistryRepository(database)
    database.close()


def doctor(registry: RegistryRepository, *servers: Any, book: TraceBook | None = None) -> DoctorService:
    registry.change(lambda _before: Registry(servers))
    pacs = PacsService(registry, echo)
    if book is None:
        return DoctorService(pacs, our_port=11112)
    return DoctorService(pacs, our_port=11112, open_trace=book.open)


# ---------------------------------------------------------------------- what comes out


def test_a_healthy_server(site: Site, registry: RegistryRepository) -> None:
    server = site.pacs()
    seen: list[Check] = []
    diagnosis = doctor(registry, server).server(ADMIN, "lab pacs", seen.append)
    assert (diagnosis.verdict, diagnosis.causes) == (Verdict.HEALTHY, ())
    assert diagnosis.checks == tuple(seen)
    assert {check.outcome for check in seen} == {Outcome.OK}
    assert {check.role for check in seen} == {Role.SERVER}


def test_checks_come_in_the_order_of_the_road(site: Site, registry: RegistryRepository) -> None:
    diagnosis = doctor(registry, site.pacs()).server(ADMIN, "pacs")
    stages = list(dict.fromkeys(str(check.stage) for check in diagnosis.checks))
    assert stages == ["entry", "name", "tcp", "association", "context", "echo", "find"]


def test_the_time_of_a_check_is_its_own(site: Site, registry: RegistryRepository) -> None:
    server = site.pacs(Fault(FaultKind.DELAY, "A-ASSOCIATE-AC", seconds=0.3))
    checks = doctor(registry, server).server(ADMIN, "pacs").checks
    took = {check.title: check.seconds for check in checks}
    assert took[f"TCP connection to port {server.port}"] == 0
    assert took["Association as DICOMFAB"] >= 0.3


def test_lines_to_give_the_administrator_name_us(site: Site, registry: RegistryRepository) -> None:
    server = site.pacs(
        config={"known_calling_ae_titles": frozenset({"NOBODY"})}, aet_find="STATION7", aet_echo="STATION7"
    )
    cause = doctor(registry, server).server(ADMIN, "pacs").causes[0]
    assert cause.rule == "ae-calling"
    assert ("Orthanc", '"STATION7" : [ "STATION7", "127.0.0.1", 11112 ]') in [(n.product, n.text) for n in cause.lines]
    assert not any("<" in line.place + line.text for line in cause.lines)


def test_a_server_that_rejects_us_is_known_by_its_last_test(site: Site, registry: RegistryRepository) -> None:
    server = site.pacs()
    pacs = PacsService(registry, echo)
    service = doctor(registry, server)
    pacs.test(ADMIN, "pacs")
    assert service.subject(ADMIN, server).product is Product.DICOMFAB
    untested = site.entry(server.port, name="other")
    assert doctor(registry, untested).subject(ADMIN, untested).product is Product.UNKNOWN


# ---------------------------------------------------------------------- who may


def test_no_such_server(site: Site, registry: RegistryRepository) -> None:
    with pytest.raises(NotFound):
        doctor(registry, site.pacs()).server(ADMIN, "nobody")


@pytest.mark.parametrize("roles", [(), (ActorRole.TEST_READ,), (ActorRole.TEST_WRITE,)])
def test_production_is_not_examined_for_everybody(
    site: Site, registry: RegistryRepository, roles: tuple[ActorRole, ...]
) -> None:
    with pytest.raises(AccessDenied):
        doctor(registry, site.pacs(environment="prod")).server(actor(*roles), "pacs")


def test_reading_is_enough_for_production(site: Site, registry: RegistryRepository) -> None:
    diagnosis = doctor(registry, site.pacs(environment="prod")).server(actor(ActorRole.PROD_READ), "pacs")
    assert diagnosis.verdict is Verdict.HEALTHY


def test_a_check_that_is_not_allowed_says_which_role_would_do(
    site: Site, registry: RegistryRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers = MemoryPacs()
    server = site.pacs(handlers=handlers, environment="prod")
    cell = (ActorRole.PROD_READ, Scope.PROD)
    monkeypatch.setitem(policy.POLICY, cell, policy.READ - {Action.QUERY})
    diagnosis = doctor(registry, server).server(actor(ActorRole.PROD_READ), "pacs")
    (skipped,) = [check for check in diagnosis.checks if check.outcome is Outcome.SKIPPED]
    assert "prod_write" in skipped.seen
    assert handlers.identifiers == []
    monkeypatch.setitem(policy.POLICY, cell, policy.READ - {Action.ECHO})
    (last,) = doctor(registry, server).server(actor(ActorRole.PROD_READ), "pacs").checks[1:]
    assert last.outcome is Outcome.SKIPPED
    assert "echo (prod) needs one of" in last.seen


def test_neighbours_that_the_actor_may_not_see_are_not_called(site: Site, registry: RegistryRepository) -> None:
    neighbour = site.pacs(name="hidden", environment="prod")
    server = site.entry(site.closed_port())
    diagnosis = doctor(registry, server, neighbour).server(actor(ActorRole.TEST_READ), "pacs")
    assert diagnosis.causes[0].rule == "tcp-refused"
    assert "HIDDEN" not in str(diagnosis.as_dict())
    assert doctor(registry, server, neighbour).server(ADMIN, "pacs").causes[0].rule == "tcp-refused-one-port"


# ---------------------------------------------------------------------- what it asks of a server


def test_nothing_is_stored_and_no_patient_is_asked_for(site: Site, registry: RegistryRepository) -> None:
    handlers = MemoryPacs()
    doctor(registry, site.pacs(handlers=handlers)).server(ADMIN, "pacs")
    assert (handlers.stored, handlers.requestors) == ({}, [])
    assert len(handlers.identifiers) == 7
    for identifier in handlers.identifiers:
        keywords = {element.keyword for element in identifier} - {"QueryRetrieveLevel", "SpecificCharacterSet"}
        assert keywords <= {"PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"}
        assert identifier.get("PatientID", "SYN-DOCTOR-").startswith("SYN-DOCTOR-")
        for keyword in keywords - {"PatientID"}:
            assert identifier[keyword].value.startswith("2.25.")


def test_only_configured_ae_titles_are_used(site: Site, registry: RegistryRepository) -> None:
    asked: list[str] = []

    def behave(wire: Wire) -> None:
        offering(lambda _uid: 0)(_noting(wire, asked))

    server = site.raw(behave, aet_echo="ECHO", aet_find="FIND", aet_store="STORE", aet_move="MOVE", aet_get="GET")
    doctor(registry, server).server(ADMIN, "pacs")
    assert set(asked) == {"ECHO", "FIND", "STORE", "MOVE", "GET"}


def _noting(wire: Wire, asked: list[str]) -> Wire:
    head = wire.sock.recv(42, socket.MSG_PEEK)
    asked.append(head[26:42].decode().strip())
    return wire


def test_every_connection_is_an_association(site: Site, registry: RegistryRepository) -> None:
    """Some servers keep a connection on which nothing is said for half a minute, and count it."""
    first_bytes: list[bytes] = []

    def behave(wire: Wire) -> None:
        first_bytes.append(wire.sock.recv(1, socket.MSG_PEEK))
        offering(lambda _uid: 0)(wire)

    doctor(registry, site.raw(behave)).server(ADMIN, "pacs")
    assert set(first_bytes) == {b"\x01"}
    assert len(first_bytes) <= 5


def test_no_port_is_tried_that_no_entry_has(site: Site, registry: RegistryRepository) -> None:
    tried: list[int] = []
    connect = socket.socket.connect

    def noting(self: socket.socket, address: Any) -> Any:
        if self.type == socket.SOCK_STREAM:
            tried.append(address[1])
        return connect(self, address)

    site.monkeypatch.setattr(socket.socket, "connect", noting)
    server = site.entry(site.closed_port())
    others = [site.entry(site.closed_port(), name=f"other{n}") for n in range(5)]
    doctor(registry, server, *others).server(ADMIN, "pacs")
    assert set(tried) <= {server.port, *(other.port for other in others)}
    assert 2 <= len(tried) <= 4


def test_operations_that_the_entry_does_not_have_are_not_tried(site: Site, registry: RegistryRepository) -> None:
    handlers = MemoryPacs()
    server = site.pacs(handlers=handlers, capabilities=[Capability.ECHO])
    diagnosis = doctor(registry, server).server(ADMIN, "pacs")
    assert diagnosis.verdict is Verdict.HEALTHY
    assert handlers.identifiers == []


def test_traces_are_kept_if_wanted(site: Site, registry: RegistryRepository) -> None:
    book = TraceBook()
    doctor(registry, site.pacs(), book=book).server(ADMIN, "pacs")
    titles = [title for title, _trace in book.take()]
    assert titles == ["Association as DICOMFAB", "C-ECHO as DICOMFAB", "C-FIND, study root", "C-FIND, patient root"]


# ---------------------------------------------------------------------- time


def stalled(site: Site, stall: str) -> Any:
    return site.pacs(*STALLS[stall])


@pytest.mark.parametrize("stall", STALLS)
def test_it_ends_in_time_whatever_stalls(site: Site, registry: RegistryRepository, stall: str) -> None:
    diagnosis = doctor(registry, stalled(site, stall)).server(ADMIN, "pacs", limit_s=2.0)
    assert diagnosis.limit_s == 2.0
    assert diagnosis.seconds < LIMIT_S  # the limit that is promised: it does not hang; its speed is for benchmarks


def test_it_ends_in_time_at_a_black_hole(site: Site, registry: RegistryRepository) -> None:
    others = [site.entry(site.black_hole(), name=f"other{n}") for n in range(3)]
    diagnosis = doctor(registry, site.entry(site.black_hole()), *others).server(ADMIN, "pacs", limit_s=2.0)
    assert diagnosis.seconds < LIMIT_S


@pytest.mark.full
@pytest.mark.parametrize("stall", STALLS)
def test_it_ends_in_time_with_default_timeouts(site: Site, registry: RegistryRepository, stall: str) -> None:
    assert doctor(registry, stalled(site, stall)).server(ADMIN, "pacs").seconds < 20.0


@pytest.mark.full
def test_it_ends_in_time_at_holes_with_default_timeouts(site: Site, registry: RegistryRepository) -> None:
    others = [site.entry(site.black_hole(), name=f"other{n}") for n in range(4)]
    assert doctor(registry, site.entry(site.black_hole()), *others).server(ADMIN, "pacs").seconds < 20.0
    assert doctor(registry, site.raw(Wire.hold)).server(ADMIN, "pacs").seconds < 20.0


def test_what_was_not_tried_is_said(site: Site, registry: RegistryRepository) -> None:
    diagnosis = doctor(registry, stalled(site, "everything late")).server(ADMIN, "pacs", limit_s=1.0)
    assert diagnosis.checks[-1].outcome is Outcome.SKIPPED
    assert diagnosis.checks[-1].facts["time"] == "over"


def test_it_stops_when_asked(site: Site, registry: RegistryRepository) -> None:
    seen: list[Check] = []
    diagnosis = doctor(registry, site.pacs()).server(ADMIN, "pacs", seen.append, lambda: len(seen) >= 2)
    assert [check.title for check in diagnosis.checks][2:] == ["The rest"]


# ---------------------------------------------------------------------- an actor's names


def test_a_server_that_comes_back_is_told_from_one_that_is_gone(site: Site, registry: RegistryRepository) -> None:
    """The first association is dropped, the second one is not: what is seen is what is said."""
    flaky = site.raw(in_turn(lambda wire: wire.sock.close(), offering(lambda _uid: 0)))
    service: DoctorService = doctor(registry, flaky)
    first: Diagnosis = service.server(ADMIN, "pacs")
    assert first.causes[0].rule == "port-hangs-up"
    assert service.server(ADMIN, "pacs").verdict is Verdict.HEALTHY


def test_an_actor_without_any_role_sees_nothing(site: Site, registry: RegistryRepository) -> None:
    with Server(ServerConfig("MEMORY"), MemoryPacs()) as running, pytest.raises(AccessDenied):
        doctor(registry, site.entry(running.port)).server(Actor("nobody"), "pacs")
