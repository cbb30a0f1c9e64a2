"""Our own Storage SCP: who may send to it, what it keeps, and what it says about each association."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.dimse.scu.echo import echo
from dicomfab.dimse.scu.find import find
from dicomfab.dimse.scu.store import store
from dicomfab.model.actor import Role
from dicomfab.model.errors import AccessDenied, AssociationRejected, Interrupted, PortInUse, StatusFailure
from dicomfab.model.query import QueryModel
from dicomfab.model.values import Environment
from dicomfab.registry.registry import Registry
from dicomfab.services.progress import never
from dicomfab.services.receiving import AE_TITLE, ReceivingService, Reception, is_at
from dicomfab.services.transfer import Part
from tests.unit.dimse import raw
from tests.unit.services.hospital import ADMIN, Hospital, actor

WAIT_S = 20.0


class Ours:
    """The service over a local store of its own, with a registry that the test changes."""

    def __init__(self, site: Hospital, folder: Path) -> None:
        self.archive = site.archive("received")
        self.servers: list[Any] = []
        self.lock = folder / "receiver.lock"
        self.over: queue.SimpleQueue[Reception] = queue.SimpleQueue()
        self.service = self.another()

    def another(self, port: int = 0) -> ReceivingService:
        """As in another process of the installation."""
        registry = lambda: Registry(tuple(self.servers))  # noqa: E731
        return ReceivingService(self.archive, registry, self.lock, host="127.0.0.1", port=port)

    def listening(self, who: Any = ADMIN, **options: Any) -> Any:
        return self.service.listening(who, on_reception=self.over.put, **options)

    def told(self) -> Reception:
        return self.over.get(timeout=WAIT_S)


@pytest.fixture
def ours(site: Hospital, tmp_path: Path) -> Ours:
    return Ours(site, tmp_path)


def caller(port: int, calling: str = "SENDER", called: str = AE_TITLE) -> Peer:
    return Peer("127.0.0.1", port, called, calling, timeouts=Timeouts(dimse_s=10.0))


def files(site: Hospital, study: str) -> list[Any]:
    return [instance.file for instance in site.local.instances(study)]


@pytest.mark.parametrize("environment", ["test", "prod"])
def test_what_a_registered_server_sends_is_kept_in_its_environment(
    site: Hospital, ours: Ours, environment: str
) -> None:
    study = site.make()
    ours.servers = [site.entry("SENDER", 104, environment)]
    with ours.listening() as port:
        assert all(outcome.accepted for outcome in store(caller(port), files(site, study)))
        told = ours.told()
    assert site.held("received", study) == site.held("local", study)
    assert ours.archive.study(study).summary.environment is Environment(environment)
    assert (told.server_id, told.environment, told.stored, told.kept, told.not_stored) == (
        "sender", environment, 3, 0, 0,
    )  # fmt: skip
    assert (told.calling_ae_title, told.address, told.rejected, told.why) == ("SENDER", "127.0.0.1", "", "")
    assert "3 instances" in str(told)


def test_echo_is_answered_and_counts_no_instances(site: Hospital, ours: Ours) -> None:
    ours.servers = [site.entry("SENDER", 104)]
    with ours.listening() as port:
        echo(caller(port))
        assert ours.told().stored == 0


def test_nothing_can_be_searched_there(site: Hospital, ours: Ours) -> None:
    ours.servers = [site.entry("SENDER", 104)]
    with ours.listening() as port, pytest.raises(StatusFailure) as caught:
        list(find(caller(port), QueryModel.STUDY_ROOT, Part("1.2.3").identifier()))
    assert caught.value.status == 0x0122


def rejected(port: int, **who: str) -> AssociationRejected:
    with pytest.raises(AssociationRejected) as caught:
        echo(caller(port, **who))
    return caught.value


def test_an_unknown_calling_ae_title_is_rejected_and_explained(site: Hospital, ours: Ours) -> None:
    ours.servers = [site.entry("SENDER", 104)]
    with ours.listening() as port:
        error = rejected(port, calling="STRANGER")
        told = ours.told()
    assert (error.result, error.source, error.reason) == (1, 1, 3)
    assert (told.calling_ae_title, told.rejected) == ("STRANGER", "1/1/3")
    assert "no server that may send to us is registered with the AE title 'STRANGER'" in told.why


def test_a_wrong_called_ae_title_is_rejected_and_explained(site: Hospital, ours: Ours) -> None:
    ours.servers = [site.entry("SENDER", 104)]
    with ours.listening() as port:
        error = rejected(port, called="OTHER")
        told = ours.told()
    assert (error.result, error.source, error.reason) == (1, 1, 7)
    assert told.rejected == "1/1/7"
    assert "it called 'OTHER', and we are 'DICOMFAB'" in told.why


def test_a_registered_ae_title_from_another_host_is_rejected_and_explained(site: Hospital, ours: Ours) -> None:
    ours.servers = [replace(site.entry("SENDER", 104), host="192.0.2.7")]
    with ours.listening() as port:
        error = rejected(port)
        told = ours.told()
    assert (error.result, error.source, error.reason) == (1, 1, 3)
    assert "sender at 192.0.2.7" in told.why
    assert "127.0.0.1 is not its host" in told.why


def test_servers_of_two_environments_that_cannot_be_told_apart_are_rejected(site: Hospital, ours: Ours) -> None:
    one = site.entry("SENDER", 104)
    ours.servers = [one, replace(one, id="live", name="Live", port=105, environment="prod")]
    with ours.listening() as port:
        rejected(port)
        assert "of different environments" in ours.told().why


def test_the_registry_is_looked_at_for_each_association(site: Hospital, ours: Ours) -> None:
    with ours.listening() as port:
        rejected(port)
        ours.servers = [site.entry("SENDER", 104)]
        echo(caller(port))


@pytest.mark.parametrize("role", list(Role))
def test_who_receives_decides_from_which_environments(site: Hospital, ours: Ours, role: Role) -> None:
    ours.servers = [site.entry("SENDER", 104, "prod")]
    may = role in {Role.ADMIN, Role.PROD_READ, Role.PROD_WRITE}
    with ours.listening(actor(role)) as port:
        if may:
            echo(caller(port))
        else:
            rejected(port)
            assert "may not take instances from prod" in ours.told().why


def test_whoever_may_retrieve_nowhere_may_not_receive(ours: Ours) -> None:
    with pytest.raises(AccessDenied), ours.listening(actor()):
        pytest.fail("must not listen")


def test_an_instance_that_is_there_with_other_content_stays_and_is_counted(site: Hospital, ours: Ours) -> None:
    study = site.make()
    ours.servers = [site.entry("SENDER", 104)]
    [first, *_] = files(site, study)
    changed = first.path.read_bytes().replace(b"SYNTHETIC", b"synthetic")
    assert changed != first.path.read_bytes()
    other = first.path.with_name("changed.dcm")
    other.write_bytes(changed)
    with ours.listening() as port:
        list(store(caller(port), [first]))
        assert ours.told().kept == 0
        list(store(caller(port), [replace(first, path=other)]))
        told = ours.told()
    assert (told.stored, told.kept) == (1, 1)
    assert "was kept" in str(told)


def test_an_association_that_breaks_off_is_told_with_what_came(site: Hospital, ours: Ours) -> None:
    ours.servers = [site.entry("RAWCLIENT", 104)]
    ct, explicit = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
    request = {
        "AffectedSOPClassUID": ct, "CommandField": 1, "MessageID": 1, "Priority": 0, "CommandDataSetType": 1,
        "AffectedSOPInstanceUID": "1.2.3.4",
    }  # fmt: skip
    with ours.listening() as port, raw.connect(port) as wire:
        wire.associate((ct, explicit), called=AE_TITLE)
        wire.send(raw.message(1, request) + raw.pdata(1, 0, b"\x08\x00"))
        wire.reset()
        told = ours.told()
    assert (told.stored, told.not_stored) == (0, 1)
    assert told.why.startswith("ConnectionDropped")


def test_a_taken_port_is_explained(ours: Ours) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortInUse) as caught, ours.listening(port=port):
            pytest.fail("must not listen")
    assert str(port) in caught.value.what
    assert "DICOMFAB_SCP_PORT" in caught.value.remedy


def test_one_process_receives_for_an_installation(ours: Ours) -> None:
    with ours.listening() as port:
        with pytest.raises(PortInUse) as caught, ours.another().listening(ADMIN):
            pytest.fail("must not listen")
        assert f"on port {port}" in caught.value.what
    with ours.another().listening(ADMIN):
        pass  # the lock is free again


def test_a_lock_file_of_a_process_that_was_killed_does_no_harm(ours: Ours) -> None:
    ours.lock.write_text('{"pid": 1, "port": 11112, "for_one_transfer": false}')
    with ours.listening(), pytest.raises(PortInUse):
        ours.another().listening(ADMIN).__enter__()


# ---------------------------------------------------------------------- for one transfer


def test_for_one_transfer_only_its_source_is_admitted(site: Hospital, ours: Ours) -> None:
    source, other = site.entry("SENDER", 104), site.entry("OTHER", 105)
    ours.servers = [source, other]
    port = free_port()
    with ours.another(port).arrival(ADMIN, source, never) as arrival:
        assert arrival.ae_title == AE_TITLE
        echo(caller(port))
        rejected(port, calling="OTHER")
        with pytest.raises(PortInUse) as caught, ours.listening():
            pytest.fail("must not listen")
    assert caught.value.transient
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5).close()


def test_a_process_that_receives_already_is_made_use_of(site: Hospital, ours: Ours) -> None:
    study, source = site.make(), site.entry("SENDER", 104)
    ours.servers = [source]
    with ours.listening() as port:
        with ours.another(port).arrival(ADMIN, source, never) as arrival:
            list(store(caller(port), files(site, study)))
            assert arrival.kept() is None  # the other process alone knows what was there before
        echo(caller(port))  # it goes on after the transfer
    assert site.held("received", study) == site.held("local", study)


def test_transfers_take_turns(site: Hospital, ours: Ours) -> None:
    source = site.entry("SENDER", 104)
    port = free_port()
    listening, go = threading.Event(), threading.Event()
    order: list[str] = []

    def first() -> None:
        with ours.another(port).arrival(ADMIN, source, never):
            listening.set()
            go.wait(WAIT_S)
            order.append("first")

    def asked() -> bool:
        go.set()  # the second has found the port taken
        return False

    thread = threading.Thread(target=first)
    thread.start()
    assert listening.wait(WAIT_S)
    with ours.another(port).arrival(ADMIN, source, asked):
        order.append("second")
    thread.join(WAIT_S)
    assert order == ["first", "second"]


def test_waiting_for_ones_turn_can_be_cancelled(site: Hospital, ours: Ours) -> None:
    source = site.entry("SENDER", 104)
    port = free_port()
    with ours.another(port).arrival(ADMIN, source, never), pytest.raises(Interrupted):
        ours.another(port).arrival(ADMIN, source, lambda: True).__enter__()


def test_who_may_not_retrieve_from_the_source_gets_no_arrival(site: Hospital, ours: Ours) -> None:
    source = site.entry("SENDER", 104, "prod")
    with pytest.raises(AccessDenied):
        ours.service.arrival(actor(Role.TEST_READ), source, never).__enter__()


# ---------------------------------------------------------------------- hosts


@pytest.mark.parametrize(
    ("host", "address", "same"),
    [
        ("localhost", "127.0.0.1", True),
        ("127.0.0.1", "::1", True),
        ("::1", "127.0.0.5", True),
        ("LOCALHOST", "::ffff:127.0.0.1", True),
        ("10.1.2.3", "::ffff:10.1.2.3", True),
        ("10.1.2.3", "10.1.2.4", False),
        ("localhost", "10.1.2.3", False),
        ("10.1.2.3", "127.0.0.1", False),
        ("name.invalid", "10.1.2.3", False),
    ],
)
def test_hosts_and_addresses(host: str, address: str, same: bool) -> None:
    assert is_at(host, address) is same


def test_a_name_is_what_it_resolves_to() -> None:
    name = socket.gethostname()
    addresses = {entry[4][0] for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
    assert all(is_at(name, str(address)) for address in addresses)


@given(st.ip_addresses(), st.ip_addresses())
def test_an_address_is_at_itself_and_nowhere_else(one: Any, other: Any) -> None:
    assert is_at(str(one), str(one))
    loopback = all(address.is_loopback or address.is_unspecified for address in (one, other))
    mapped = any(getattr(address, "ipv4_mapped", None) for address in (one, other))
    if not (loopback or mapped):
        assert is_at(str(one), str(other)) is (one == other)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(autouse=True)
def no_thread_fails(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    problems: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", problems.append)
    yield
    assert problems == []
