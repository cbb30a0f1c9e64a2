"""Asks as people do, by pages, API and commands, and looks through everything that comes back."""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch
from urllib.parse import urlencode

from dicomfab.app.acting import as_environment
from dicomfab.cli.main import run
from tests.wall.world import CANARY, HIDDEN_UIDS, PROD_STUDY, Credentials, World

BOUNDARY = "wallwallwall"
_LISTENED_S = 0.15  # to a stream of events that need not end
_COMMAND_S = 30.0
_STUCK_S = 4  # what waits for another's doing is interrupted, as by Ctrl-C
#: Not within another UID: people type UIDs that begin alike.
_SECRET = re.compile(
    rb"(?i)" + CANARY.encode() + b"|" + b"|".join(rb"(?<![0-9.])" + re.escape(one.encode()) for one in HIDDEN_UIDS)
)


@dataclass(frozen=True)
class Answer:
    """What came back.

    Args:
        asked: for whoever reads a failure.
        status: of HTTP, or a command's exit code.
        body: all bytes; standard output and error of a command.
        kind: content type.
        location: where it leads.
    """

    asked: str
    status: int
    body: bytes
    kind: str = ""
    location: str = ""

    def secrets(self) -> list[bytes]:
        """What it tells of production's patients, also inside of archives."""
        return [found[0] for part in _parts(self.body) for found in _SECRET.finditer(part)]

    @property
    def is_picture_of_production(self) -> bool:
        """Pixels name nobody, so whose they are is told by the address."""
        return self.kind.startswith("image/") and self.status == 200 and f"/studies/{PROD_STUDY}/" in self.asked


def _parts(body: bytes) -> Iterator[bytes]:
    yield body
    if body.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(body)) as members:
            for name in members.namelist():
                yield from _parts(members.read(name))


@dataclass
class Asker:
    """Keeps a connection, counts what is asked and answered.

    Args:
        world: whom to ask.
        counted: answers by door and class.
    """

    world: World
    counted: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", self.world.port, timeout=_COMMAND_S)

    def page(
        self,
        who: Credentials | None,
        method: str,
        path: str,
        given: Mapping[str, Any] | None = None,
        *,
        by_token: bool = False,
        file: bytes | None = None,
        as_json: bool = False,
    ) -> Answer:
        """One request by a session's cookie or a token; a redirect is not followed."""
        headers = {"Sec-Fetch-Site": "same-origin"}
        if who is not None and by_token and who.token:
            headers = {"Authorization": f"Bearer {who.token}"}
        elif who is not None:
            headers["Cookie"] = f"dicomfab-session-{self.world.port}={who.session}"
        target, body = path, None
        if method in {"GET", "HEAD", "DELETE"}:
            query = urlencode(dict(given or {}), doseq=True)
            target = f"{path}{'&' if '?' in path else '?'}{query}" if query else path
        elif file is not None:
            headers["Content-Type"], body = f"multipart/form-data; boundary={BOUNDARY}", _multipart(given or {}, file)
        elif as_json:
            headers["Content-Type"], body = "application/json", json.dumps(given).encode()
        else:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            body = urlencode(dict(given or {}), doseq=True).encode()
        answer = self._asked(method, target, body, headers, said=f"{method} {target} {given if body else ''}")
        self.counted["calls of pages and API"] += 1
        self.counted[f"HTTP {answer.status // 100}xx" if answer.status != 403 else "HTTP 403"] += 1
        return answer

    def _asked(self, method: str, target: str, body: bytes | None, headers: dict[str, str], said: str) -> Answer:
        try:
            self._connection.request(method, target, body, headers)
            response = self._connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self._connection.close()  # an idle connection was closed at the other side
            self._connection.request(method, target, body, headers)
            response = self._connection.getresponse()
        kind = response.headers.get("content-type", "")
        content = self._listened(response) if kind.startswith("text/event-stream") else response.read()
        return Answer(said, response.status, content, kind, response.headers.get("location", ""))

    def _listened(self, response: http.client.HTTPResponse) -> bytes:
        end, heard = time.monotonic() + _LISTENED_S, bytearray()
        assert self._connection.sock is not None
        self._connection.sock.settimeout(_LISTENED_S)
        with contextlib.suppress(TimeoutError):
            while (piece := response.read1(1 << 16)) and time.monotonic() < end:
                heard += piece
        self._connection.close()
        return bytes(heard)

    def close(self) -> None:
        self._connection.close()

    def remote(self, who: Credentials, words: Sequence[str], *, standard_input: str = "") -> Answer:
        """A command sent to the server, as a process of its own here and there."""
        environment = {
            **os.environ,
            "DICOMFAB_TOKEN": who.token,
            "DICOMFAB_HOME": str(self.world.folder / "elsewhere"),
        }
        command = [sys.executable, "-m", "dicomfab", "--server", f"http://127.0.0.1:{self.world.port}", *words]
        done = subprocess.run(
            command, env=environment, capture_output=True, input=standard_input.encode(), timeout=60, check=False
        )
        self._count_command(done.returncode, "commands from afar, as processes")
        return Answer(f"dicomfab --server {words}", done.returncode, done.stdout + done.stderr)

    def posted(self, who: Credentials, words: Sequence[str], *, standard_input: str = "") -> Answer:
        """A command sent to the server by whoever speaks its API; the server does it in a process of its own."""
        given = {"arguments": list(words), "standard_input": base64.b64encode(standard_input.encode()).decode()}
        answer = self.page(who, "POST", "/api/v1/commands", given, by_token=True, as_json=True)
        if answer.status != 200:
            return answer
        lines = [json.loads(line) for line in answer.body.splitlines()]
        said = "".join(str(line.get("out", "")) for line in lines), "".join(str(line.get("err", "")) for line in lines)
        self._count_command(lines[-1]["exit"], "commands posted to the API")
        return replace(answer, status=lines[-1]["exit"], body="\0".join(said).encode())

    def command(self, who: Credentials, words: Sequence[str], *, standard_input: str = "") -> Answer:
        """What the server does with a command sent to it, in this process: confined, with the token's roles."""
        out, err = io.StringIO(), io.StringIO()
        home = {"DICOMFAB_HOME": str(self.world.folder / "home"), "DICOMFAB_WORKER_IDLE_S": "0"}
        port = {"DICOMFAB_SCP_PORT": str(self.world.application.settings.scp_port)}
        given = io.TextIOWrapper(io.BytesIO(standard_input.encode()))
        logger = logging.getLogger("dicomfab")
        handlers = list(logger.handlers)
        try:
            with (
                patch.dict(os.environ, {**home, **port, **as_environment(who.actor)}),
                patch("sys.stdin", given),
                contextlib.redirect_stdout(out),
                contextlib.redirect_stderr(err),
                _interrupted_after(_STUCK_S),
            ):
                run(list(words))
            code = 0
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else int(left.code is not None)
        except KeyboardInterrupt:
            code = 130
        finally:
            logger.handlers = handlers
        self._count_command(code, "commands in this process")
        return Answer(f"dicomfab {words}", code, (out.getvalue() + err.getvalue()).encode())

    def _count_command(self, code: int, how: str) -> None:
        self.counted[how] += 1
        self.counted[f"exit code {code}"] += 1


@contextlib.contextmanager
def _interrupted_after(seconds: float) -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _multipart(given: Mapping[str, Any], file: bytes) -> bytes:
    lines = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in given.items()
        if name != "file"
    ]
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="given.txt"\r\n\r\n'.encode()
    return b"".join(lines) + head + file + f"\r\n--{BOUNDARY}--\r\n".encode()
