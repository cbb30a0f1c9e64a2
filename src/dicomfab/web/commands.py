"""The command line against this server: the words run here, in a process of their own, with the roles of the token."""

from __future__ import annotations

import asyncio
import base64
import binascii
import codecs
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import Annotated, Final

import anyio
from fastapi import APIRouter, Body
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from dicomfab.access.policy import Action
from dicomfab.app.acting import as_environment, for_nobody
from dicomfab.app.settings import Settings
from dicomfab.model.actor import Actor
from dicomfab.model.errors import AccessDenied, Conflict, InvalidInput
from dicomfab.web.access import CurrentActor, CurrentApplication, permission

router = APIRouter()

_AT_ONCE: Final = 8
_AT_ONCE_EACH: Final = 4
_SAY_SOMETHING_S: Final = 5.0
_ENDS_WITHIN_S: Final = 10.0
_PIECE: Final = 1 << 16
_running: Final[list[str]] = []  # the token of each command that runs here


class Command(BaseModel):
    """A command to run.

    Args:
        arguments: the words after ``dicomfab``.
        columns: of the caller's terminal.
        standard_input: what the command reads, in base 64.
    """

    arguments: Annotated[list[Annotated[str, Field(max_length=10_000)]], Field(min_length=1, max_length=1000)]
    columns: Annotated[int, Field(ge=20, le=1000)] = 100
    standard_input: Annotated[str, Field(max_length=24 << 20, repr=False)] = ""


@router.post("/api/v1/commands", dependencies=[permission(Action.VIEW)])
async def run(
    command: Annotated[Command, Body()], actor: CurrentActor, application: CurrentApplication
) -> StreamingResponse:
    """Run a command; what it prints comes as lines of JSON while it runs, the exit code last."""
    if not actor.token_id:
        raise AccessDenied(
            "commands from afar need an API token",
            cause="a browser's session, or mode none, is no token",
            remedy="make a token on the page of your account (DICOMFAB_AUTH=local)",
        )
    try:
        given = base64.b64decode(command.standard_input, validate=True)
    except binascii.Error as error:
        raise InvalidInput("standard_input: this is not base 64", field="standard_input") from error
    return _Running(command, given, actor, application.settings)


class _Running(StreamingResponse):
    """The answer to a command; a place among those that run is held until the process has ended."""

    def __init__(self, command: Command, given: bytes, actor: Actor, settings: Settings) -> None:
        if len(_running) >= _AT_ONCE or _running.count(actor.token_id) >= _AT_ONCE_EACH:
            raise Conflict(
                "too many commands from afar run already",
                cause=f"each is a process here: {_AT_ONCE} at most, {_AT_ONCE_EACH} of one token",
                remedy="try again in a moment",
            )
        _running.append(actor.token_id)
        self._token_id = actor.token_id
        self._lines = _lines(command, given, actor, settings)
        super().__init__(self._lines, media_type="application/x-ndjson")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what is printed; when nobody reads it any more, the command is interrupted as by Ctrl-C."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):  # whoever went away has cancelled all of this
                await self._lines.aclose()
            _running.remove(self._token_id)


async def _lines(command: Command, given: bytes, actor: Actor, settings: Settings) -> AsyncGenerator[bytes]:
    # An empty folder of its own: nothing there has a name that a command could take for a file.
    with tempfile.TemporaryDirectory(prefix="dicomfab-command-") as folder:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "dicomfab", *command.arguments,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            cwd=folder, env=_environment(command, actor, settings), start_new_session=True,
        )  # fmt: skip
        try:
            async for event in _events(child, given):
                yield json.dumps(event).encode() + b"\n"
        finally:
            with anyio.CancelScope(shield=True):
                await _end(child)


async def _events(child: asyncio.subprocess.Process, given: bytes) -> AsyncIterator[dict[str, str | int]]:
    events: asyncio.Queue[dict[str, str | int] | None] = asyncio.Queue(maxsize=64)

    async def read(stream: asyncio.StreamReader | None, name: str) -> None:
        assert stream is not None
        decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a piece may end within a character
        while piece := await stream.read(_PIECE):
            await events.put({name: decoder.decode(piece)})
        await events.put(None)

    async def write() -> None:
        assert child.stdin is not None
        with suppress(ConnectionError):
            child.stdin.write(given)
            await child.stdin.drain()
        child.stdin.close()

    tasks = [asyncio.create_task(task) for task in (read(child.stdout, "out"), read(child.stderr, "err"), write())]
    try:
        open_streams = 2
        while open_streams:
            try:
                event = await asyncio.wait_for(events.get(), _SAY_SOMETHING_S)
            except TimeoutError:
                yield {"out": ""}  # so that either side notices when the other is gone
                continue
            if event is None:
                open_streams -= 1
            else:
                yield event
        yield {"exit": await child.wait()}
    finally:
        for task in tasks:
            task.cancel()


async def _end(child: asyncio.subprocess.Process) -> None:
    for number in (signal.SIGINT, signal.SIGKILL):
        if child.returncode is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(child.pid, number)  # with what it started; workers have a group of their own
        with suppress(TimeoutError):
            await asyncio.wait_for(child.wait(), _ENDS_WITHIN_S)


def _environment(command: Command, actor: Actor, settings: Settings) -> dict[str, str]:
    return {
        **for_nobody(os.environ),
        **as_environment(actor),
        "DICOMFAB_HOME": str(settings.home),
        "DICOMFAB_WORKER_IDLE_S": f"{settings.worker_idle_s:g}",
        "COLUMNS": str(command.columns),
        "PYTHONIOENCODING": "utf-8",
    }
