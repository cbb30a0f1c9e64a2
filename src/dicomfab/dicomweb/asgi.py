"""The handlers behind any server that speaks ASGI: bodies come and go in pieces, the work is done in threads."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl

import anyio
from anyio import from_thread, to_thread
from anyio.lowlevel import RunVar

from dicomfab.dicomweb.errors import problem
from dicomfab.dicomweb.messages import OpenFile, Piece, Request, Response
from dicomfab.dicomweb.multipart import MultipartError
from dicomfab.model.errors import DicomFabError

Message: TypeAlias = "MutableMapping[str, Any]"
Receive: TypeAlias = "Callable[[], Awaitable[Message]]"
Send: TypeAlias = "Callable[[Message], Awaitable[None]]"
#: What answers a request, in a thread.
Answer: TypeAlias = "Callable[[Request], Response]"

#: So much is read in a thread before it is sent: more changes between threads cost more than the reading.
_AT_ONCE_BYTES: Final = 1 << 20
#: So many files are opened in a thread; what of them is in memory is read without one.
_OPEN_AT_ONCE: Final = 32
#: Whoever sends or reads slowly has a thread for as long.
_THREADS: Final = 64


def request_of(scope: Mapping[str, Any], path: str, root: str) -> Request:
    """What an ASGI scope asks for, still without its body.

    Args:
        scope: of the connection.
        path: below the root, decoded.
        root: the address of the root as the client sees it.
    """
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return Request(scope["method"], path.strip("/"), root.rstrip("/"), query, headers)


def root_of(scope: Mapping[str, Any], mounted_at: str, *, is_behind_proxy: bool = False) -> str:
    """The address of the root as the client sees it.

    Args:
        scope: of the connection.
        mounted_at: path of the root.
        is_behind_proxy: the port that is listened on is none of the client's business.
    """
    host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
    server = scope.get("server") or ("localhost", None)
    host = host or str(server[0])
    is_default = server[1] in (None, 443 if scope["scheme"] == "https" else 80)
    has_port = ":" in host.rpartition("]")[2]
    # There are clients that send their Host without the port.
    if not (is_behind_proxy or has_port or is_default):
        host = f"{host}:{server[1]}"
    return f"{scope['scheme']}://{host}{mounted_at}"


def decoded_path(scope: Mapping[str, Any], mounted_at: str) -> str:
    """The path below the root; servers have decoded it."""
    return str(scope["path"]).removeprefix(mounted_at).strip("/")


async def respond(answer: Answer, asked: Request, receive: Receive, send: Send) -> None:
    """Have a request answered, and send that.

    When the client has gone, nothing more is read for it. When reading fails in the middle of an answer, the connection
    is cut: what was sent until then must not look whole.

    Args:
        answer: gives the response; called in a thread, as is everything that it reads from.
        asked: the request without its body.
        receive: of ASGI.
        send: of ASGI.
    """
    body, threads = _Body(receive), _threads()
    # Whoever sends slowly takes no thread from those who read.
    begins = _threads(for_bodies=True) if asked.method == "POST" else threads
    request = Request(asked.method, asked.path, asked.root, asked.query, asked.headers, iter(body))
    response, pieces, is_last = await to_thread.run_sync(_begun, answer, request, limiter=begins)
    gone: asyncio.Task[None] | None = None
    is_sent = False
    try:
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()
        ]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        if not is_last:
            gone = asyncio.create_task(body.gone())
        while True:
            while pieces and (gone is None or not gone.done()):
                piece = pieces.popleft()
                content = piece if isinstance(piece, bytes) else await _read(piece, threads)
                more = bool(pieces) or not is_last
                await send({"type": "http.response.body", "body": content, "more_body": more})
                is_sent = not more
            if is_last or (gone is not None and gone.done()):
                break
            pieces, is_last = await to_thread.run_sync(_some, response.body, limiter=threads)
        if is_last and not is_sent:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        if gone is not None:
            gone.cancel()
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(response.close, limiter=threads)


_limiters: RunVar[tuple[anyio.CapacityLimiter, anyio.CapacityLimiter]] = RunVar("dicomweb-threads")


def _threads(*, for_bodies: bool = False) -> anyio.CapacityLimiter:
    """Those of this event loop; those that take in bodies are others."""
    try:
        limiters = _limiters.get()
    except LookupError:
        limiters = anyio.CapacityLimiter(_THREADS), anyio.CapacityLimiter(_THREADS)
        _limiters.set(limiters)
    return limiters[for_bodies]


async def _read(file: OpenFile, threads: anyio.CapacityLimiter) -> bytes:
    if file.will_not_wait():
        return file.read()
    return await to_thread.run_sync(file.read, limiter=threads)


def _begun(answer: Answer, request: Request) -> tuple[Response, deque[Piece], bool]:
    response = answer(request)
    try:
        return response, *_some(response.body)
    except DicomFabError as error:  # nothing has been sent yet
        response.close()
        response = problem(error)
        return response, *_some(response.body)


def _some(body: Iterator[Piece]) -> tuple[deque[Piece], bool]:
    """The next pieces of a body, and whether they were the last."""
    pieces: deque[Piece] = deque()
    size = 0
    for piece in body:
        if piece:
            pieces.append(piece)
            size += len(piece) if isinstance(piece, bytes) else _AT_ONCE_BYTES // _OPEN_AT_ONCE
        if size >= _AT_ONCE_BYTES:
            return pieces, False
    return pieces, True


class _Body:
    """The body of a request, read by a thread while the loop goes on."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._is_over = False

    def __iter__(self) -> Iterator[bytes]:
        while not self._is_over:
            message = from_thread.run(self._next)
            if message["type"] == "http.disconnect":
                self._is_over = True
                raise MultipartError(
                    "the body broke off", field="body", cause="the connection ended", remedy="send it again"
                )
            self._is_over = not message.get("more_body", False)
            yield bytes(message.get("body", b""))

    async def _next(self) -> Message:
        return await self._receive()

    async def gone(self) -> None:
        """Wait until the client is not there any more."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
