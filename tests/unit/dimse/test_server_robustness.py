"""Clients that misbehave towards our server: each ends in a defined way, and the server serves the next."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from dicomfab.dimse.command import encode
from dicomfab.dimse.link import Link
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scp.session import Session
from dicomfab.dimse.tls_settings import TlsServerSettings
from dicomfab.ul import Abort, RoleSelection, UpperLayer
from dicomfab.ul.pdu import encode_pdu
from tests.unit.dimse import raw
from tests.unit.dimse.clients import (
    ECHO,
    FIND,
    HASTY,
    NO_KEYS,
    PATIENT,
    STORE,
    asked,
    client,
    idle,
    no_thread_fails,
    still_serves,
)
from tests.unit.dimse.memory_pacs import CT, EXPLICIT, MemoryPacs
from tests.unit.dimse.raw import (
    IMPLICIT,
    MARGIN_S,
    STUDY_ROOT_FIND,
    VERIFICATION,
    Wire,
    eventually,
    message,
    pdata,
)
from tests.unit.dimse.transport.secure_peers import Authority
from tests.unit.ul.strategies import pdus


@pytest.fixture(autouse=True)
def nothing_fails(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a client does, it is no failure of ours."""
    with no_thread_fails():
        yield
    assert not [record.getMessage() for record in caplog.get_records("call") if record.levelno >= logging.ERROR]


@pytest.fixture
def pacs() -> MemoryPacs:
    return MemoryPacs()


@pytest.fixture
def hasty(pacs: MemoryPacs) -> Iterator[Server]:
    with Server(HASTY, pacs) as server:
        yield server


@pytest.fixture
def server(pacs: MemoryPacs) -> Iterator[Server]:
    with Server(PATIENT, pacs) as running:
        yield running


# ---------------------------------------------------------------------- anything at all


def said(server: Server, data: bytes) -> bytes:
    """What the server says to some bytes and the end of them, until it hangs up."""
    with raw.connect(server.port) as wire, contextlib.suppress(ConnectionError):
        wire.send(data)
        wire.sock.shutdown(1)
        return wire.rest()
    return b""


ASSOCIATION = encode_pdu(raw.request((VERIFICATION, IMPLICIT), (CT, EXPLICIT), (STUDY_ROOT_FIND, IMPLICIT)))
fuzzing = settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
keywords = st.sampled_from(
    ["MessageID", "MessageIDBeingRespondedTo", "Priority", "CommandDataSetType", "Status", "ActionTypeID"]
)
commands = st.builds(
    lambda field, numbers, uid: encode({"CommandField": field, "AffectedSOPClassUID": uid, **numbers}),
    st.sampled_from([0x30, 0x01, 0x20, 0x21, 0x10, 0x0FFF, 0x8001, 0x100, 0x110, 0x120, 0x130, 0x140, 0x150, 0x7777]),
    st.dictionaries(keywords, st.integers(0, 3), max_size=4),
    st.sampled_from([VERIFICATION, CT, "1.2", "x" * 64]),
)
fragments = st.builds(
    pdata, st.sampled_from([1, 3, 5, 7, 0]), st.integers(0, 7), commands | st.binary(max_size=60) | st.just(NO_KEYS)
)
conversations = st.lists(fragments | pdus.map(encode_pdu) | st.binary(max_size=30), max_size=6).map(b"".join)


@fuzzing
@given(data=st.binary(max_size=400))
def test_any_bytes_end_the_connection(hasty: Server, data: bytes) -> None:
    answer = said(hasty, data)
    if answer:
        assert answer[0] in (2, 3, 7)


@fuzzing
@given(data=conversations)
def test_any_bytes_on_an_association_end_it(hasty: Server, data: bytes) -> None:
    assert said(hasty, ASSOCIATION + data)[:1] in (b"\x02", b"\x07", b"")


@fuzzing
@given(request=pdus, rest=conversations)
def test_any_pdu_ends_the_connection_or_opens_an_association(hasty: Server, request: Any, rest: bytes) -> None:
    said(hasty, encode_pdu(request) + rest)


def test_after_all_that_nothing_is_left(hasty: Server) -> None:
    for data in (b"", b"\x01", ASSOCIATION, ASSOCIATION[:50], ASSOCIATION + pdata(1, 3, encode(ECHO)), raw.HTTP):
        said(hasty, data)
    assert eventually(lambda: idle(hasty))
    still_serves(hasty)


def test_more_proposals_than_an_answer_has_room_for(server: Server) -> None:
    """Role selections that fill an item of 64 KB to the last byte: the answer would need one more."""
    roles = tuple(RoleSelection(f"1.2.{number:09d}", scu=True, scp=True) for number in range(3119))
    wire = raw.connect(server.port)
    wire.send(encode_pdu(raw.request(roles=roles)))
    assert wire.rejected() == (1, 1, 1)
    wire.sock.close()
    still_serves(server)


# ---------------------------------------------------------------------- too slow


def hung_up_after(wire: Wire) -> float:
    """Seconds until the server closes the connection."""
    start = time.monotonic()
    wire.rest()
    return time.monotonic() - start


@pytest.mark.parametrize("data", [b"", ASSOCIATION[:1], ASSOCIATION[:60]], ids=["nothing", "one byte", "half"])
def test_a_client_that_asks_for_no_association_is_hung_up_on(hasty: Server, data: bytes) -> None:
    with raw.connect(hasty.port) as wire:
        wire.send(data)
        assert HASTY.artim_s * 0.9 < hung_up_after(wire) < HASTY.artim_s + MARGIN_S
    assert eventually(lambda: idle(hasty))


@pytest.mark.parametrize(
    "data",
    [
        b"\x04\0",
        pdata(1, 3, encode(ECHO))[:30],
        pdata(3, 3, encode(STORE)) + pdata(3, 0, bytes(100)),
        pdata(3, 3, encode(STORE)),
    ],
    ids=["header", "half a PDU", "half a data set", "no data set"],
)
def test_a_client_that_falls_silent_in_a_message_is_aborted(hasty: Server, pacs: MemoryPacs, data: bytes) -> None:
    with client(hasty, (VERIFICATION, IMPLICIT), (CT, EXPLICIT)) as wire:
        wire.send(data)
        start = time.monotonic()
        assert wire.aborted() == (0, 0)
        assert HASTY.pdu_timeout_s * 0.9 < time.monotonic() - start < HASTY.pdu_timeout_s + MARGIN_S
        assert wire.rest() == b""
    assert eventually(lambda: idle(hasty))
    assert not pacs.stored


def test_an_idle_association_is_aborted(pacs: MemoryPacs) -> None:
    with Server(replace(PATIENT, idle_s=0.3), pacs) as server, client(server) as wire:
        assert wire.aborted() == (0, 0)
        assert eventually(lambda: idle(server))


def drip(wire: Wire, data: bytes, pause_s: float) -> float:
    """Say one byte at a time; seconds until the server would not hear any more."""
    start = time.monotonic()
    wire.sock.settimeout(pause_s)
    for byte in data:
        with contextlib.suppress(TimeoutError):
            try:
                wire.send(bytes((byte,)))
                if wire.sock.recv(1000):  # an A-ABORT
                    break
            except ConnectionError:
                break
            break  # closed
    return time.monotonic() - start


@pytest.mark.parametrize("pause_s", [0.001, 0.05, 0.2])
def test_a_client_that_drips_its_request(hasty: Server, pause_s: float) -> None:
    with raw.connect(hasty.port) as wire:
        assert drip(wire, ASSOCIATION + ASSOCIATION, pause_s) < 2 * HASTY.artim_s + MARGIN_S
    assert eventually(lambda: idle(hasty))


@pytest.mark.parametrize("pause_s", [0.001, 0.05, 0.2])
def test_a_client_that_drips_a_message(hasty: Server, pause_s: float) -> None:
    with client(hasty, (CT, EXPLICIT)) as wire:
        wire.send(pdata(1, 3, encode(STORE)))
        assert drip(wire, pdata(1, 2, bytes(2000)), pause_s) < 2 * HASTY.pdu_timeout_s + MARGIN_S
    assert eventually(lambda: idle(hasty))


def test_a_pause_between_requests_costs_no_deadline(pacs: MemoryPacs) -> None:
    """The deadline of a PDU that comes in pieces is its own, not that of the one before the pause."""
    with Server(replace(HASTY, idle_s=20.0), pacs) as server, client(server) as wire:
        for _ in range(2):
            whole = message(1, ECHO)
            for piece in (whole[:4], whole[4:40], whole[40:]):
                wire.send(piece)
                wire.over.wait(0.02)
            assert wire.message()[1]["Status"] == 0
            wire.over.wait(2 * HASTY.pdu_timeout_s)
        wire.send(raw.RELEASE_REQUEST[:3])
        wire.over.wait(0.02)
        wire.send(raw.RELEASE_REQUEST[3:])
        assert wire.pdu() == raw.RELEASE_RESPONSE


def test_a_client_that_reads_no_matches(pacs: MemoryPacs) -> None:
    match = Dataset()
    match.PatientComments = "x" * 5000
    pacs.matches = [match] * 10_000
    with Server(HASTY, pacs) as server:
        wire = client(server, (STUDY_ROOT_FIND, IMPLICIT), receive_buffer=4096)
        with wire:
            wire.send(message(1, FIND, NO_KEYS))
            assert eventually(lambda: pacs.identifiers != [])
            assert eventually(lambda: idle(server), HASTY.pdu_timeout_s + MARGIN_S)
        still_serves(server)


@pytest.mark.parametrize("last", [raw.RELEASE_REQUEST, encode_pdu(raw.request(called="OTHER"))])
def test_a_client_that_floods_instead_of_hanging_up(hasty: Server, last: bytes) -> None:
    """After the last word it has until ARTIM, however much it says."""
    wire = client(hasty) if last == raw.RELEASE_REQUEST else raw.connect(hasty.port)
    over = threading.Event()
    flood = pdata(1, 0, b"ab") * 50_000

    def talk() -> None:
        with contextlib.suppress(OSError):
            wire.send(last)
            while not over.is_set():
                wire.send(flood)

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        assert eventually(lambda: idle(hasty), HASTY.artim_s + MARGIN_S)
    finally:
        over.set()
        with contextlib.suppress(OSError):
            wire.sock.shutdown(2)
        thread.join(raw.PATIENCE_S)
        wire.sock.close()


# ---------------------------------------------------------------------- in one go


@pytest.mark.parametrize("called", ["MEMORY", "OTHER"])
@pytest.mark.parametrize(
    "more",
    [encode_pdu(Abort(0)), raw.HTTP, raw.RELEASE_REQUEST, pdata(1, 3, encode(ECHO)), b"\x04\0\xff\xff\xff\xff"],
    ids=["abort", "HTTP", "release", "data", "bad PDU"],
)
def test_a_request_for_an_association_with_something_behind_it(server: Server, called: str, more: bytes) -> None:
    answer = said(server, encode_pdu(raw.request(called=called)) + more)
    assert answer[:1] in (b"\x07", b"")
    assert eventually(lambda: idle(server))


@pytest.mark.parametrize("more", [encode_pdu(Abort(0)), raw.HTTP, b"\x04\0\xff\xff\xff\xff"])
@pytest.mark.parametrize(
    ("command", "data"), [(ECHO, None), (FIND, NO_KEYS), (STORE, bytes(100)), ({"CommandField": 0x7777}, None)]
)
def test_a_request_with_an_end_behind_it(
    server: Server, pacs: MemoryPacs, command: dict[str, Any], data: bytes | None, more: bytes
) -> None:
    pacs.matches = [Dataset()] * 3
    with client(server, (VERIFICATION, IMPLICIT), (CT, EXPLICIT), (STUDY_ROOT_FIND, IMPLICIT)) as wire:
        context_id = {0x30: 1, 0x01: 3, 0x20: 5}.get(command["CommandField"], 1)
        wire.send(message(context_id, command, data) + more)
        wire.rest()
    assert eventually(lambda: idle(server))


def test_requests_and_a_release_in_one_go_are_all_answered(server: Server) -> None:
    with client(server) as wire:
        wire.send(message(1, ECHO) + message(1, {**ECHO, "MessageID": 2}) + raw.RELEASE_REQUEST)
        assert [wire.message()[1]["MessageIDBeingRespondedTo"] for _ in range(2)] == [1, 2]
        assert wire.pdu() == raw.RELEASE_RESPONSE


def test_a_cancel_and_an_abort_in_one_go(server: Server, pacs: MemoryPacs) -> None:
    pacs.matches = [Dataset()] * 1000
    cancel = {"CommandField": 0x0FFF, "MessageIDBeingRespondedTo": 1}
    with client(server, (STUDY_ROOT_FIND, IMPLICIT)) as wire:
        wire.send(message(1, FIND, NO_KEYS) + message(1, cancel) + encode_pdu(Abort(0)))
        wire.rest()
    assert eventually(lambda: idle(server))


# ---------------------------------------------------------------------- many


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def wire_objects() -> int:
    gc.collect()
    return sum(isinstance(one, Link | Session | UpperLayer) for one in gc.get_objects())


def abandon_connections(server: Server, count: int) -> None:
    for _ in range(count // 50):
        wires = [raw.connect(server.port) for _ in range(50)]
        for number, wire in enumerate(wires):
            wire.send(ASSOCIATION[: 10 * (number % 7)])
            (Wire.reset if number % 2 else Wire.__exit__)(wire)


def abandon_associations(server: Server, count: int) -> None:
    for number in range(count):
        with contextlib.suppress(ConnectionError, EOFError):
            wire = client(server)
            wire.send(message(1, ECHO)[: number % 100])
            (Wire.reset if number % 2 else Wire.__exit__)(wire)


@pytest.mark.full
@pytest.mark.parametrize("abandon", [abandon_connections, abandon_associations])
def test_a_thousand_that_are_abandoned_leave_nothing(abandon: Callable[[Server, int], None], pacs: MemoryPacs) -> None:
    with Server(replace(PATIENT, max_associations=2000), pacs) as server:
        abandon(server, 100)
        assert eventually(lambda: idle(server))
        threads, open_before, objects = threading.active_count(), descriptors(), wire_objects()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        abandon(server, 1000)
        assert eventually(lambda: idle(server))
        assert eventually(lambda: threading.active_count() <= threads)
        assert eventually(lambda: descriptors() <= open_before)
        assert wire_objects() <= objects
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        assert grown < 300_000  # 300 bytes each; one buffer of one of them has more
        still_serves(server)


def test_above_the_limit_an_association_is_rejected_for_now(pacs: MemoryPacs) -> None:
    with Server(replace(PATIENT, max_associations=2), pacs) as server:
        first, second = client(server), client(server)
        for _ in range(3):
            with raw.connect(server.port) as third:
                third.send(ASSOCIATION)
                assert third.rejected() == (2, 3, 2)
        assert asked(first, ECHO)["Status"] == 0
        first.release()
        for _ in range(50):  # at once, each time: who has released makes room for the next
            client(server).release()
        fourth = client(server)
        assert asked(fourth, ECHO)["Status"] == 0
        assert asked(second, ECHO)["Status"] == 0
        fourth.reset()
        assert eventually(lambda: server.associations == 1)
        client(server).release()
        second.release()


def test_a_client_that_released_and_keeps_the_connection_takes_no_place(pacs: MemoryPacs) -> None:
    with Server(replace(PATIENT, max_associations=1), pacs) as server, client(server) as first:
        first.send(raw.RELEASE_REQUEST)
        assert first.pdu() == raw.RELEASE_RESPONSE
        client(server).release()


# ---------------------------------------------------------------------- the end


def idling(server: Server) -> list[Wire]:
    return [client(server) for _ in range(5)] + [raw.connect(server.port) for _ in range(5)]


def in_the_middle(server: Server) -> list[Wire]:
    wires = [client(server, (CT, EXPLICIT)) for _ in range(5)]
    for wire in wires:
        wire.send(pdata(1, 3, encode(STORE)) + pdata(1, 0, bytes(100)) + b"\x04\0")
    return wires


def not_reading(server: Server) -> list[Wire]:
    wires = [client(server, (STUDY_ROOT_FIND, IMPLICIT), receive_buffer=4096) for _ in range(5)]
    for wire in wires:
        wire.send(message(1, FIND, NO_KEYS))
    return wires


def lingering(server: Server) -> list[Wire]:
    wires = [client(server) for _ in range(5)]
    for wire in wires:
        wire.send(raw.RELEASE_REQUEST)
        wire.pdu()
    return wires


@pytest.mark.parametrize("clients", [idling, in_the_middle, not_reading, lingering])
def test_a_server_shuts_down_at_once_whatever_its_clients_do(
    clients: Callable[[Server], list[Wire]], pacs: MemoryPacs
) -> None:
    match = Dataset()
    match.PatientComments = "x" * 5000
    pacs.matches = [match] * 10_000
    with Server(PATIENT, pacs) as server:
        wires = clients(server)
        assert eventually(lambda: len(server._sessions) == len(wires))
        if clients is not_reading:
            assert eventually(lambda: len(pacs.identifiers) == len(wires))
        start = time.monotonic()
    assert time.monotonic() - start < MARGIN_S
    assert not server._sessions
    for wire in wires:
        wire.rest()
        wire.sock.close()
    assert not pacs.stored


def test_a_server_shuts_down_at_once_whatever_its_clients_do_about_tls(pacs: MemoryPacs, tmp_path: Path) -> None:
    pair = Authority(tmp_path, "Hospital").issue(raw.HOST)
    with Server(replace(PATIENT, tls=TlsServerSettings(pair.certificate, pair.key)), pacs) as server:
        silent, begun = raw.connect(server.port), raw.connect(server.port)
        begun.send(b"\x16\x03\x01")
        assert eventually(lambda: len(server._sessions) == 2)
        start = time.monotonic()
    assert time.monotonic() - start < MARGIN_S
    assert not server._sessions
    for wire in (silent, begun):
        wire.rest()
        wire.sock.close()


def test_a_server_that_shuts_down_says_so(pacs: MemoryPacs) -> None:
    with Server(PATIENT, pacs) as server:
        wire = client(server)
    with wire:
        assert wire.aborted() == (0, 0)


def test_a_server_can_be_started_again(pacs: MemoryPacs) -> None:
    server = Server(PATIENT, pacs)
    for _ in range(3):
        with server:
            still_serves(server)
