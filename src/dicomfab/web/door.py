"""The door, before anything of a request is read: who may send a body at all, how much, and until when one may listen.

A form or a file is read before a route can ask who sends it. Without the door, people who are not signed in could fill
memory and disk. And an answer that goes on for minutes must end when the session or the token behind it does.
"""

from __future__ import annotations

import asyncio
from typing import Final

import anyio.to_thread
from fastapi import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dicomfab.app.build import Application
from dicomfab.app.web_settings import WebSettings
from dicomfab.dicomweb.handler import MAX_BODY_BYTES
from dicomfab.model.account import SignedIn
from dicomfab.model.errors import DicomFabError
from dicomfab.web.errors import noted_failure
from dicomfab.web.problems import DICOMWEB, is_for_programs, refused
from dicomfab.web.security import SAFE_METHODS, SAML_ANSWERS
from dicomfab.web.signed_in import bearer_token, origin_of, who_asks

#: Where one becomes somebody, or nobody again.
OPEN_PATHS: Final = frozenset({"/sign-in", "/sign-out", "/set-up", SAML_ANSWERS})
OPEN_BYTES: Final = 64 << 10
#: An assertion with many groups, in base 64.
SAML_BYTES: Final = 512 << 10
MOST_BYTES: Final = 64 << 20
#: Instances are taken from the stream one by one, and never held.
MOST_DICOMWEB_BYTES: Final = MAX_BODY_BYTES + (1 << 20)  # the handler refuses first, and says so
LOOKED_AGAIN_AFTER_S: Final = 2.0
_GO_ON: Final = ("text/event-stream", "application/x-ndjson")


class DoorMiddleware:
    """Lets bodies in from those who are signed in, up to a size, and ends streams of those who are so no more.

    Args:
        app: what is behind the door.
        web: how the pages are served.
    """

    def __init__(self, app: ASGIApp, web: WebSettings) -> None:
        self._app = app
        self._asks = not web.asks_nobody

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        is_open = scope["path"] in OPEN_PATHS
        most = _most_bytes(scope["path"])
        if _announced(request) > most:
            await _too_much(scope["path"], most)(scope, receive, send)
            return
        if self._asks and not is_open and scope["method"] not in SAFE_METHODS:
            try:
                await anyio.to_thread.run_sync(who_asks, request)
            except DicomFabError as error:
                response = await anyio.to_thread.run_sync(noted_failure, request, error)
                await response(scope, receive, send)
                return
        stream = _Stream(request, receive, send, most)
        if not self._asks:
            await self._app(scope, stream.receive, send)
            return
        try:
            await self._app(scope, stream.receive, stream.send)
        finally:
            stream.look_no_more()
        await stream.finish()


class _Stream:
    """A request whose body is counted, and whose answer ends with the session or token behind it."""

    def __init__(self, request: Request, receive: Receive, send: Send, most_bytes: int) -> None:
        self._request, self._receive, self._send = request, receive, send
        self._left = most_bytes
        self._is_read = False
        self._is_finished = False
        self._over = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    async def receive(self) -> Message:
        """The next part of the body, or that nobody listens any more."""
        if not self._is_read:
            message = await self._receive()
            self._is_read = not message.get("more_body", False)
            self._left -= len(message.get("body", b""))
            return message if self._left >= 0 else {"type": "http.disconnect"}
        # Starlette waits here before it has sent the head, so before it is known whether the answer goes on.
        waiting = [asyncio.ensure_future(self._receive()), asyncio.ensure_future(self._over.wait())]
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        came = next(iter(done)).result()
        return {"type": "http.disconnect"} if self._over.is_set() or not isinstance(came, dict) else came

    async def send(self, message: Message) -> None:
        """A part of the answer; nothing any more when it is over."""
        if message["type"] == "http.response.start":
            kind = next((value for name, value in message["headers"] if name.lower() == b"content-type"), b"")
            if kind.decode("latin-1").startswith(_GO_ON):
                self._looking = asyncio.create_task(self._look_again_and_again())
        if not self._over.is_set():
            self._is_finished = message["type"] == "http.response.body" and not message.get("more_body", False)
            await self._send(message)

    async def _look_again_and_again(self) -> None:
        # Beside the answer, which may have nothing to say for a long time.
        try:
            await asyncio.sleep(LOOKED_AGAIN_AFTER_S)
            while await anyio.to_thread.run_sync(_is_still_there, self._request):
                await asyncio.sleep(LOOKED_AGAIN_AFTER_S)
        finally:
            self._over.set()  # also where looking fails: nobody would look any more

    def look_no_more(self) -> None:
        """The answer has ended, in whatever way."""
        if self._looking is not None:
            self._looking.cancel()

    async def finish(self) -> None:
        """Close an answer that was broken off here."""
        if self._over.is_set() and not self._is_finished:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def _is_still_there(request: Request) -> bool:
    """Whether who asked may still do so, with the same roles. It does not count as using the session."""
    who: SignedIn | None = getattr(request.state, "who", None)
    if who is None:
        return True
    application: Application = request.app.state.application
    try:
        if who.session is None:
            return application.api_tokens.by_token(bearer_token(request), origin_of(request)).actor == who.actor
        sessions = application.sign_in.sessions(who.actor, who.account.id)
    except DicomFabError:
        return False
    return who.session.id in {one.id for one in sessions}


def _most_bytes(path: str) -> int:
    if path in OPEN_PATHS:
        return SAML_BYTES if path == SAML_ANSWERS else OPEN_BYTES
    return MOST_DICOMWEB_BYTES if path.startswith(DICOMWEB) else MOST_BYTES


def _too_much(path: str, most_bytes: int) -> Response:
    what = f"Refused: more than {most_bytes >> 10} kB."
    return refused(413, what) if is_for_programs(path) else PlainTextResponse(what, status_code=413)


def _announced(request: Request) -> int:
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
