"""The end of a connection whose peer is in the middle of sending."""

from __future__ import annotations

import socket
import sys
import threading
import time

import pytest

from dicomfab.dimse.transport.channel import PlainChannel

DEADLINE_S = 20.0


@pytest.mark.skipif(sys.platform != "linux", reason="TCP_LINGER2 is Linux's")
def test_a_peer_that_filled_our_window_is_let_go_when_we_hang_up() -> None:
    """Without more a closed connection whose window is full answers probes for a minute, and the peer waits for it."""
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()) as peer:
        connection, _ = listening.accept()
        channel = PlainChannel(connection)
        peer.setblocking(False)
        full_since = time.monotonic()
        while time.monotonic() < full_since + 0.3:  # nothing moves any more: the kernel on neither side takes it
            try:
                peer.send(bytes(1 << 20))
                full_since = time.monotonic()
            except BlockingIOError:
                continue
        channel.interrupt(b"goodbye")
        buffer = memoryview(bytearray(1 << 20))
        while channel.receive_into(buffer, time.monotonic() + DEADLINE_S):
            pass
        channel.close()
        peer.settimeout(DEADLINE_S)
        assert peer.recv(100) == b"goodbye"
        let_go = threading.Event()

        def send_on() -> None:
            try:
                peer.sendall(bytes(64 << 20))
            except ConnectionError:
                let_go.set()

        threading.Thread(target=send_on, daemon=True).start()
        assert let_go.wait(DEADLINE_S)
