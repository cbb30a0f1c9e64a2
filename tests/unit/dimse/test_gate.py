"""A server whose associations a gate admits, each with handlers of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from dicomfab.dimse.association import associate
from dicomfab.dimse.handlers import Handlers, Requestor, ServerConfig
from dicomfab.dimse.messages import ProposedContext
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.scp.gate import StoreOnly
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.echo import echo
from dicomfab.dimse.scu.store import store
from dicomfab.model.errors import AssociationAborted, AssociationRejected, PeerError
from dicomfab.ul import AssociateRJ
from tests.unit.dimse.memory_pacs import MemoryPacs, make_instance
from tests.unit.dimse.raw import HOST, IMPLICIT, PATIENT, VERIFICATION

WAIT_S = 20.0


@dataclass
class Recording:
    """Admits everybody but STRANGER, and keeps what it is told."""

    admitted: list[MemoryPacs] = field(default_factory=list)
    told: queue.SimpleQueue[tuple[Any, ...]] = field(default_factory=queue.SimpleQueue)
    fails: bool = False

    def admit(self, requestor: Requestor) -> Handlers | str:
        if self.fails:
            raise OSError("no registry")
        if requestor.ae_title == "STRANGER":
            return "a stranger"
        self.admitted.append(MemoryPacs())
        return self.admitted[-1]

    def rejected(self, requestor: Requestor, called_ae_title: str, rejection: AssociateRJ, why: str) -> None:
        code = (rejection.result, rejection.source, rejection.reason)
        self.told.put(("rejected", requestor.ae_title, called_ae_title, code, why))

    def ended(self, requestor: Requestor, handlers: Handlers, how: str) -> None:
        self.told.put(("ended", requestor.ae_title, handlers, how))


@pytest.fixture
def gate() -> Recording:
    return Recording()


@pytest.fixture
def server(gate: Recording) -> Iterator[Server]:
    with Server(ServerConfig("GATED", max_associations=2), StoreOnly(), gate=gate) as running:
        yield running


def caller(server: Server, calling: str = "CALLER", called: str = "GATED") -> Peer:
    return Peer(HOST, server.port, called, calling, timeouts=PATIENT)


def test_each_association_has_handlers_of_its_own(server: Server, gate: Recording, tmp_path: Any) -> None:
    for number in (1, 2):
        [outcome] = store(caller(server), [make_instance(tmp_path, number)])
        assert outcome.accepted
        assert gate.told.get(timeout=WAIT_S) == ("ended", "CALLER", gate.admitted[-1], "")
    assert [list(handlers.stored) for handlers in gate.admitted] == [["1.2.3.1"], ["1.2.3.2"]]


@pytest.mark.parametrize(
    ("calling", "called", "code", "why"),
    [("STRANGER", "GATED", (1, 1, 3), "a stranger"), ("CALLER", "OTHER", (1, 1, 7), "")],
)
def test_rejections_are_told(
    server: Server, gate: Recording, calling: str, called: str, code: tuple[int, int, int], why: str
) -> None:
    with pytest.raises(AssociationRejected) as caught:
        echo(caller(server, calling, called))
    assert (caught.value.result, caught.value.source, caught.value.reason) == code
    assert gate.told.get(timeout=WAIT_S) == ("rejected", calling, called, code, why)
    assert gate.told.empty()


def test_the_limit_holds_and_those_that_end_make_room(server: Server, gate: Recording) -> None:
    contexts = [ProposedContext(VERIFICATION, (IMPLICIT,))]
    for _ in range(3):
        with associate(caller(server), contexts), associate(caller(server), contexts):
            assert server.associations == 2
            with pytest.raises(AssociationRejected) as caught:
                echo(caller(server))
            assert (caught.value.result, caught.value.source, caught.value.reason) == (2, 3, 2)
    echo(caller(server))


def test_strangers_take_no_room(server: Server, gate: Recording) -> None:
    for _ in range(5):
        with pytest.raises(AssociationRejected):
            echo(caller(server, "STRANGER"))
        assert gate.told.get(timeout=WAIT_S)[0] == "rejected"
    echo(caller(server))


def test_a_gate_that_fails_ends_the_association_and_not_the_server(server: Server, gate: Recording) -> None:
    gate.fails = True
    with pytest.raises(PeerError):
        echo(caller(server))
    gate.fails = False
    echo(caller(server))


def test_ending_the_server_aborts_and_tells(gate: Recording) -> None:
    aborted = threading.Event()
    with Server(ServerConfig("GATED"), StoreOnly(), gate=gate) as server:

        def ask() -> None:
            with associate(caller(server), [ProposedContext(VERIFICATION, (IMPLICIT,))]) as association:
                opened.set()
                association.response_to(1, "C-ECHO", WAIT_S)

        def hold() -> None:
            with pytest.raises(AssociationAborted):
                ask()
            aborted.set()

        opened = threading.Event()
        thread = threading.Thread(target=hold)
        thread.start()
        assert opened.wait(WAIT_S)
    assert aborted.wait(WAIT_S)
    thread.join(WAIT_S)
    kind, _, _, how = gate.told.get(timeout=WAIT_S)
    assert (kind, how.partition(":")[0]) == ("ended", "AbortedHere")
