"""A way to a DICOM server on which what it answers to N-CREATE is lost, after it has done what it was asked."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

#: Command Field of an N-CREATE-RQ, as its command set holds it (PS3.7 E.1).
_N_CREATE = bytes.fromhex("0000 0001 0200 0000 4001")
_JOIN_S = 20.0


class LostAnswers:
    """Listens during a ``with`` block.

    Args:
        port: of the server.
        hangs_up: whether the connection ends in place of the answer; if not, nothing comes.
    """

    def __init__(self, port: int, *, hangs_up: bool) -> None:
        self._server = port
        self._hangs_up = hangs_up
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_JOIN_S)
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                thread = threading.Thread(target=self._serve, args=(near,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, near: socket.socket) -> None:
        with near, socket.create_connection(("127.0.0.1", self._server)) as far:
            created = threading.Event()
            back = threading.Thread(target=self._answer, args=(far, near, created))
            back.start()
            with contextlib.suppress(OSError):
                while data := near.recv(1 << 16):
                    if _N_CREATE in data:
                        created.set()
                    far.sendall(data)
            _end(far)
            back.join()

    def _answer(self, far: socket.socket, near: socket.socket, created: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := far.recv(1 << 16):
                if not created.is_set():
                    near.sendall(data)
                elif self._hangs_up:
                    break
        _end(near)


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
