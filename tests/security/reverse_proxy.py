"""A small reverse proxy on loopback: ends TLS, says who called, and passes all else on."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

#: The address from which it connects to what is behind it.
ADDRESS = "127.0.0.5"
_END = b"\r\n\r\n"


@dataclass
class ReverseProxy:
    """One request for each connection.

    Args:
        target: the port behind it.
        pair: certificate and key.
        proto: what it says about TLS.
    """

    target: int
    pair: tuple[Path, Path]
    proto: str = "https"
    _sockets: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*self.pair)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        """Hang up, and wait for the threads."""
        for one in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                plain, caller = self._listener.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._serve, args=(plain, caller[0])))
            self._threads[-1].start()

    def _serve(self, plain: socket.socket, caller: str) -> None:
        try:
            with self._context.wrap_socket(plain, server_side=True) as client:
                self._sockets.append(client)
                head = b""
                while _END not in head:
                    piece = client.recv(65536)
                    if not piece:
                        return
                    head += piece
                with socket.create_connection(("127.0.0.1", self.target), source_address=(ADDRESS, 0)) as behind:
                    self._sockets.append(behind)
                    behind.sendall(self._told(head, caller))
                    back = threading.Thread(target=_pump, args=(client, behind))
                    back.start()
                    _pump(behind, client)
                    with contextlib.suppress(OSError):
                        client.shutdown(socket.SHUT_RDWR)
                    back.join()
        except OSError:
            plain.close()

    def _told(self, head: bytes, caller: str) -> bytes:
        """The request, with the caller after those that it names itself (as nginx's $proxy_add_x_forwarded_for)."""
        first, _, rest = head.partition(b"\r\n")
        lines, _, body = rest.partition(_END)
        kept, named = [], []
        for line in lines.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"x-forwarded-for":
                named.append(value.strip())
            elif name.lower() not in {b"connection", b"x-forwarded-proto"}:
                kept.append(line)
        kept.append(b"X-Forwarded-For: " + b", ".join([*named, caller.encode()]))
        kept += [b"X-Forwarded-Proto: " + self.proto.encode(), b"Connection: close"]
        return b"\r\n".join([first, *kept]) + _END + body


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)


@contextmanager
def proxied(target: int, pair: tuple[Path, Path], proto: str = "https") -> Iterator[ReverseProxy]:
    """A proxy before a port of this machine."""
    proxy = ReverseProxy(target, pair, proto)
    try:
        yield proxy
    finally:
        proxy.close()
