"""Small real HTTP servers for the client: with answers of a test's own, with our handlers, or that misbehave."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from dicomfab.dicomweb.handler import Handler
from dicomfab.dicomweb.messages import Request
from dicomfab.dicomweb.ports import WebStore

JSON = "application/dicom+json"


@dataclass(frozen=True)
class Asked:
    """A request as it came in."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes

    def value(self, name: str) -> str:
        return dict(self.query).get(name, "")


@dataclass(frozen=True)
class Reply:
    """What to answer; with ``cut``, only so many bytes of the body, and then the connection is closed."""

    status: int = 200
    body: bytes = b"[]"
    media_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    states_length: bool = True


Answer = Callable[[Asked], Reply]


@dataclass
class WebServer:
    root: str
    asked: list[Asked] = field(default_factory=list)


@contextlib.contextmanager
def web_server(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[WebServer]:
    """A server below whose ``/dicom-web`` a test answers."""

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _do(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            path = url.path.removeprefix("/dicom-web/")
            asked = Asked(self.command, path, parse_qsl(url.query, keep_blank_values=True), headers, body)
            there.asked.append(asked)
            reply = answer(asked)
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.media_type)
            if reply.states_length:
                self.send_header("Content-Length", str(len(reply.body)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body if reply.cut is None else reply.body[: reply.cut])
            self.close_connection = reply.cut is not None or not reply.states_length

        do_GET = do_POST = do_DELETE = _do  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a handshake that fails is what is tested
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    scheme = "http" if tls is None else "https"
    there = WebServer(f"{scheme}://127.0.0.1:{server.server_address[1]}/dicom-web")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield there
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def by_handler(store: WebStore) -> Answer:
    """Answers as our own handlers do, for a store."""

    def answer(asked: Asked) -> Reply:
        request = Request(
            asked.method, asked.path, "http://here/dicom-web", asked.query, asked.headers, iter([asked.body])
        )
        response = Handler().answer(store, request)
        headers = {name: value for name, value in response.headers.items() if name != "Content-Length"}
        media_type = headers.pop("Content-Type", JSON)
        return Reply(response.status, b"".join(response.content()), media_type, headers)

    return answer


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """A port that answers no connection: it listens, and its backlog is full."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = int(listening.getsockname()[1])
        for _ in range(4):
            caller = stack.enter_context(socket.socket())
            caller.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                caller.connect(("127.0.0.1", port))
        yield port


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """A port that takes connections, and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(8)
        yield int(listening.getsockname()[1])


@contextlib.contextmanager
def saying(words: bytes) -> Iterator[int]:
    """A port that says the same to everybody, and hangs up."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(8)
        listening.settimeout(10)

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    caller, _ = listening.accept()
                    with caller:
                        caller.recv(65536)
                        caller.sendall(words)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(listening.getsockname()[1])
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@contextlib.contextmanager
def beginning(words: bytes) -> Iterator[int]:
    """A port that says something to its first caller, and then neither goes on nor hangs up."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1)
        listening.settimeout(10)
        done = threading.Event()

        def serve() -> None:
            with contextlib.suppress(OSError):
                caller, _ = listening.accept()
                with caller:
                    caller.recv(65536)
                    caller.sendall(words)
                    done.wait(60)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(listening.getsockname()[1])
        done.set()
        thread.join(5)
