"""The listener over real sockets: how messages are cut, how many connections there are, how long one may be silent."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomfab.hl7.listener import Listener, ListenerConfig
from dicomfab.hl7.mllp import Fault, Frame, Framer, Wrong, framed
from dicomfab.hl7.sender import Sender
from dicomfab.model.errors import ConnectionFailed, ConnectionLost, PeerTimeout

DEADLINE_S = 20.0


class Log:
    """Answers each message with itself, and keeps what came."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.faults: list[Fault] = []
        self.fault_came = threading.Event()

    def answer(self, data: bytes, peer: str) -> bytes:
        assert peer == "127.0.0.1"
        self.messages.append(data)
        return b"ACK " + data

    def on_fault(self, fault: Fault, peer: str) -> bytes:
        self.faults.append(fault)
        self.fault_came.set()
        return b"NAK"


@pytest.fixture
def log() -> Log:
    return Log()


@contextmanager
def connected(listener: Listener) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", listener.port), DEADLINE_S) as connection:
        yield connection


def answers(connection: socket.socket, count: int) -> list[bytes]:
    """As many answers; fewer if the connection ends before."""
    framer = Framer()
    found: list[bytes] = []
    while len(found) < count:
        data = connection.recv(65536)
        if not data:
            break
        found += [one.data for one in framer.feed(data) if isinstance(one, Frame)]
    return found


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side ends the connection, saying nothing more."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_two_messages_in_one_write_are_answered_in_order(log: Log) -> None:
    with Listener(ListenerConfig(), log.answer, log.on_fault) as listener, connected(listener) as connection:
        connection.sendall(framed(b"one") + framed(b"two"))
        assert answers(connection, 2) == [b"ACK one", b"ACK two"]
    assert (log.messages, log.faults) == ([b"one", b"two"], [])


def test_a_message_in_many_writes_is_one_message(log: Log) -> None:
    whole = framed(b"MSH|in pieces")
    with Listener(ListenerConfig(), log.answer, log.on_fault) as listener, connected(listener) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for place in range(len(whole)):
            connection.sendall(whole[place : place + 1])
        assert answers(connection, 1) == [b"ACK MSH|in pieces"]
    assert (log.messages, log.faults) == ([b"MSH|in pieces"], [])


def test_what_is_broken_off_or_too_long_is_answered_and_the_connection_goes_on(log: Log) -> None:
    config = ListenerConfig(max_bytes=10)
    with Listener(config, log.answer, log.on_fault) as listener, connected(listener) as connection:
        connection.sendall(b"\x0bhalf" + framed(b"x" * 11) + framed(b"good"))
        assert answers(connection, 3) == [b"NAK", b"NAK", b"ACK good"]
    assert [(one.what, one.size) for one in log.faults] == [(Wrong.CUT, 4), (Wrong.TOO_LONG, 11)]


def test_bytes_outside_of_a_frame_are_told_but_not_answered(log: Log) -> None:
    with Listener(ListenerConfig(), log.answer, log.on_fault) as listener, connected(listener) as connection:
        connection.sendall(b"GET / HTTP/1.1" + framed(b"good"))
        assert answers(connection, 1) == [b"ACK good"]
    assert [one.what for one in log.faults] == [Wrong.STRAY]


def test_a_frame_that_the_end_of_the_connection_cuts_is_told(log: Log) -> None:
    with Listener(ListenerConfig(), log.answer, log.on_fault) as listener:
        with connected(listener) as connection:
            connection.sendall(b"\x0bhalf")
        assert log.fault_came.wait(DEADLINE_S)
    assert [(one.what, one.data) for one in log.faults] == [(Wrong.CUT, b"half")]


def test_further_connections_are_closed_and_those_there_go_on(log: Log) -> None:
    config = ListenerConfig(max_connections=1)
    with Listener(config, log.answer, log.on_fault) as listener:
        with connected(listener) as first:
            first.sendall(framed(b"one"))
            assert answers(first, 1) == [b"ACK one"]
            with connected(listener) as second:
                assert is_closed(second)
            first.sendall(framed(b"two"))
            assert answers(first, 1) == [b"ACK two"]
        _until_taken(listener)
    assert log.messages[:2] == [b"one", b"two"]


def test_without_a_thread_to_be_had_a_connection_is_closed_and_the_next_one_is_served(log: Log) -> None:
    with Listener(ListenerConfig(), log.answer, log.on_fault) as listener:
        usual = threading.stack_size(1 << 47)  # more than the system has, so that no thread can be started
        try:
            with connected(listener) as connection:
                assert is_closed(connection)
        finally:
            threading.stack_size(usual)
        with connected(listener) as connection:
            connection.sendall(framed(b"one"))
            assert answers(connection, 1) == [b"ACK one"]


def _until_taken(listener: Listener) -> None:
    """The place of a connection that ended is free again: soon, since its thread has to see the end."""
    for _ in range(1000):
        with connected(listener) as connection, contextlib.suppress(ConnectionError):
            connection.sendall(framed(b"three"))
            if answers(connection, 1) == [b"ACK three"]:
                return
    pytest.fail("the place is never free again")


def test_a_silent_connection_is_closed(log: Log) -> None:
    with Listener(ListenerConfig(idle_s=0.2), log.answer, log.on_fault) as listener, connected(listener) as connection:
        connection.sendall(framed(b"one"))
        assert answers(connection, 1) == [b"ACK one"]
        assert is_closed(connection)


def test_the_end_of_the_block_ends_connections(log: Log) -> None:
    with Listener(ListenerConfig(), log.answer, log.on_fault) as listener:
        connection = socket.create_connection(("127.0.0.1", listener.port), DEADLINE_S)
        connection.sendall(framed(b"one"))
        assert answers(connection, 1) == [b"ACK one"]
        port = listener.port
    with connection:
        assert is_closed(connection)
    with pytest.raises(ConnectionFailed), Sender("127.0.0.1", port):
        pass


# ------------------------------------------------------------------ TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secured(authority: trustme.CA) -> ListenerConfig:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return ListenerConfig(tls=context)


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context


def test_messages_go_over_tls(log: Log, secured: ListenerConfig, authority: trustme.CA) -> None:
    with (
        Listener(secured, log.answer, log.on_fault) as listener,
        Sender("127.0.0.1", listener.port, timeout_s=DEADLINE_S, tls=trusting(authority)) as sender,
    ):
        assert [sender.send(b"one"), sender.send(b"two" * 100_000)] == [b"ACK one", b"ACK " + b"two" * 100_000]


def test_a_connection_at_which_the_application_fails_ends_and_others_go_on(
    log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    words = "DOE^JANE"

    def answer(data: bytes, peer: str) -> bytes:
        if data == b"bad":
            raise ValueError(words)
        return log.answer(data, peer)

    with Listener(ListenerConfig(), answer, log.on_fault) as listener:
        with connected(listener) as connection:
            connection.sendall(framed(b"bad"))
            assert is_closed(connection)
        with connected(listener) as connection:
            connection.sendall(framed(b"one"))
            assert answers(connection, 1) == [b"ACK one"]
    assert "answering 127.0.0.1 failed: ValueError" in caplog.text
    assert words not in caplog.text


def test_who_is_silent_in_the_handshake_holds_its_place_for_seconds_only(
    log: Log, secured: ListenerConfig, authority: trustme.CA
) -> None:
    with Listener(replace(secured, handshake_s=0.2), log.answer, log.on_fault) as listener:
        with connected(listener) as silent:
            assert is_closed(silent)
        with Sender("127.0.0.1", listener.port, timeout_s=DEADLINE_S, tls=trusting(authority)) as sender:
            assert sender.send(b"one") == b"ACK one"
    assert log.messages == [b"one"]


def test_a_listener_that_is_not_trusted_is_sent_nothing(log: Log, secured: ListenerConfig) -> None:
    with Listener(secured, log.answer, log.on_fault) as listener:
        stranger = Sender("127.0.0.1", listener.port, timeout_s=DEADLINE_S, tls=trusting(trustme.CA()))
        with pytest.raises(ConnectionFailed, match="is not trusted") as caught, stranger:
            pass
    assert "--tls-ca" in caught.value.remedy
    assert log.messages == []


def test_plain_bytes_to_a_listener_with_tls_are_no_message(
    log: Log, secured: ListenerConfig, authority: trustme.CA
) -> None:
    with Listener(secured, log.answer, log.on_fault) as listener:
        with Sender("127.0.0.1", listener.port, timeout_s=DEADLINE_S) as plain, pytest.raises(ConnectionLost):
            plain.send(b"one")
        with Sender("127.0.0.1", listener.port, timeout_s=DEADLINE_S, tls=trusting(authority)) as sender:
            assert sender.send(b"two") == b"ACK two"
    assert log.messages == [b"two"]


def test_tls_to_a_listener_without_it_is_told_so(log: Log, authority: trustme.CA) -> None:
    with Listener(ListenerConfig(), log.answer, log.on_fault) as listener:
        sender = Sender("127.0.0.1", listener.port, timeout_s=DEADLINE_S, tls=trusting(authority))
        with pytest.raises(ConnectionFailed, match="no secure connection") as caught, sender:
            pass
    assert "leave TLS out" in caught.value.remedy
    assert "_ssl.c" not in str(caught.value)


# ------------------------------------------------------------------ the sender


def test_the_sender_waits_no_longer_than_it_was_told(log: Log) -> None:
    over = threading.Event()

    def never(_data: bytes, _peer: str) -> bytes:
        over.wait(DEADLINE_S)
        return b""

    with Listener(ListenerConfig(), never, log.on_fault) as listener:
        with Sender("127.0.0.1", listener.port, timeout_s=0.2) as sender, pytest.raises(PeerTimeout) as caught:
            sender.send(b"one")
        over.set()
    assert caught.value.timeout_s == 0.2


# ------------------------------------------------------------------ however a stream is cut


@settings(max_examples=25, deadline=None)
@given(
    messages=st.lists(
        st.binary(min_size=1, max_size=40).map(lambda data: b"MSH" + data.translate(None, b"\x0b\x1c")),
        min_size=1, max_size=5,
    ),
    between=st.sampled_from([b"", b"\r", b"\n", b"\r\n", b"stray"]),
    cuts=st.lists(st.integers(0, 400), max_size=12),
)  # fmt: skip
def test_messages_are_answered_in_order_however_the_stream_arrives(
    messages: list[bytes], between: bytes, cuts: list[int]
) -> None:
    log = Log()
    stream = between.join(map(framed, messages))
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    with Listener(ListenerConfig(), log.answer, log.on_fault) as listener, connected(listener) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start, end in pairwise(places):
            connection.sendall(stream[start:end])
        assert answers(connection, len(messages)) == [b"ACK " + message for message in messages]
    assert log.messages == messages
    assert len(log.faults) == (len(messages) - 1 if between == b"stray" else 0)
