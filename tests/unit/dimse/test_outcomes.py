"""What goes wrong on the road to a peer: each has its own error, within the timeout, over real sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomfab.dimse import explain
from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.echo import echo
from dicomfab.model.errors import (
    AssociationAborted,
    AssociationRejected,
    ConnectionFailed,
    ContextRejected,
    DicomFabError,
    PeerTimeout,
)
from dicomfab.ul import AssociateAC, AssociateRQ, ContextResult, UserInformation
from dicomfab.ul import pdu as pdus
from tests.unit.dimse import raw
from tests.unit.dimse.memory_pacs import MemoryPacs

SHORT = Timeouts(connect_s=1.0, association_s=1.0, dimse_s=1.0)


@contextmanager
def tcp_server(behave: Callable[[socket.socket], None]) -> Iterator[int]:
    """Accept connections and let the test misbehave on each; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        held: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                held.append(connection)
                behave(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield int(listening.getsockname()[1])
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    for connection in held:
        connection.close()


def peer(port: int, called: str = "ANY", calling: str = "DICOMFAB") -> Peer:
    return Peer("127.0.0.1", port, called, calling, SHORT, name="My PACS")


@pytest.fixture
def server() -> Iterator[Server]:
    config = ServerConfig("MEMORY", known_calling_ae_titles=frozenset({"DICOMFAB"}))
    with Server(config, MemoryPacs()) as running:
        yield running


def test_closed_port() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionFailed, match="nothing listens") as caught:
            echo(peer(unused.getsockname()[1]))
    assert caught.value.heading == "Connection failed"
    assert "server is running" in caught.value.remedy


def test_unknown_host_name() -> None:
    with pytest.raises(ConnectionFailed, match="not known"):
        echo(Peer("no-such-host.invalid", 104, "ANY", timeouts=SHORT))


def test_peer_that_accepts_and_stays_silent() -> None:
    with tcp_server(lambda _connection: None) as port, pytest.raises(PeerTimeout) as caught:
        echo(peer(port))
    assert caught.value.stage == "association"
    assert caught.value.timeout_s == 1.0
    assert "within 1 s" in caught.value.what


def test_peer_that_hangs_up_at_once() -> None:
    with tcp_server(lambda connection: connection.close()) as port, pytest.raises(AssociationAborted):
        echo(peer(port))


def test_web_server_behind_the_port() -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connection.close()

    with tcp_server(answer) as port, pytest.raises(AssociationAborted) as caught:
        echo(peer(port))
    assert "not a DICOM port" in caught.value.cause


def test_wrong_called_ae_title(server: Server) -> None:
    with pytest.raises(AssociationRejected) as caught:
        echo(peer(server.port, called="OTHER"))
    error = caught.value
    assert (error.result, error.source, error.reason) == (1, 1, 7)
    assert error.heading == "AE Title not recognized"
    assert "'OTHER'" in error.cause
    assert "(AEC)" in error.remedy
    assert not error.transient


def test_unknown_calling_ae_title(server: Server) -> None:
    with pytest.raises(AssociationRejected) as caught:
        echo(peer(server.port, called="MEMORY", calling="STRANGER"))
    error = caught.value
    assert (error.result, error.source, error.reason) == (1, 1, 3)
    assert error.heading == "AE Title not recognized"
    assert "'STRANGER'" in error.remedy


def test_the_four_failures_read_differently(server: Server) -> None:
    with tcp_server(lambda _connection: None) as silent_port, socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        targets = (
            peer(unused.getsockname()[1]),
            peer(server.port, called="OTHER"),
            peer(silent_port),
            Peer("no-such-host.invalid", 104, "ANY", timeouts=SHORT),
        )
        texts = set()
        for target in targets:
            with pytest.raises(DicomFabError) as caught:
                echo(target)
            assert caught.value.cause
            assert caught.value.remedy
            texts.add(caught.value.cause)
    assert len(texts) == len(targets)


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_any_rejection_is_explained_with_its_code(result: int, source: int, reason: int) -> None:
    error = explain.rejected(Peer("host", 104, "CALLED", "CALLING"), result, source, reason)
    assert f"{result}/{source}/{reason}" in error.what
    assert error.cause
    assert error.remedy
    assert error.transient == (result == 2)


def test_no_context_names_the_service() -> None:
    error = explain.no_context(Peer("host", 104, "CALLED"), "C-FIND")
    assert isinstance(error, ContextRejected)
    assert "C-FIND" in error.what


def test_refused_transfer_syntaxes_are_told_from_a_refused_service() -> None:
    def behave(wire: raw.Wire) -> None:
        request = wire.pdu()
        asked = pdus.decode_pdu(request[0], request[6:])
        assert isinstance(asked, AssociateRQ)
        results = tuple(ContextResult(c.context_id, 4, c.transfer_syntaxes[0]) for c in asked.contexts)
        user = UserInformation(16384, "1.2.3")
        wire.send(pdus.encode_pdu(AssociateAC(asked.called_ae_title, asked.calling_ae_title, results, user)))
        wire.released()

    with raw.peer(behave, raw.PATIENT) as peer, pytest.raises(ContextRejected, match="none of the transfer syntaxes"):
        echo(peer)
