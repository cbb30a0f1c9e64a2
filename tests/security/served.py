"""The web interface behind real sockets: in this process with a clock to be moved, or as ``dicomfab serve``."""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import httpx

from dicomfab.app.build import Application, build
from dicomfab.app.settings import Settings
from dicomfab.app.web_settings import WebSettings
from dicomfab.model.account import Account
from dicomfab.model.actor import Role
from dicomfab.testpacs.ports import free_ports, listening
from dicomfab.web.run import server_of
from tests.unit.web.people import LOCAL, OWNER, PASSWORD

NAME = "fab.example"
START_S = 120
SET_UP_CODE = re.compile(r"[A-Z2-7]{4}(-[A-Z2-7]{4}){3}")
OWN = {"Sec-Fetch-Site": "same-origin"}
_opened: list[httpx.Client] = []


@dataclass
class Clock:
    """The moment, as accounts, sessions, tokens and attempts see it."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def move(self, **how_far: float) -> None:
        self.ahead += timedelta(**how_far)


@contextmanager
def in_this_process(application: Application, web: WebSettings = LOCAL) -> Iterator[str]:
    """Serve an installation as ``dicomfab serve`` does; yields the address."""
    bound = listening(web.host, 0)
    bound.listen()
    server = server_of(application, web)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    try:
        yield f"http://localhost:{bound.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        bound.close()


@dataclass(frozen=True)
class Served:
    """A server in a process of its own.

    Args:
        port: where it listens.
        home: its installation.
        process: its process.
        said: the lines that it printed at the start.
    """

    port: int
    home: Path
    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)

    @property
    def code(self) -> str:
        """The set-up code that it printed."""
        found = SET_UP_CODE.search("".join(self.said))
        assert found, self.said
        return found[0]


@contextmanager
def in_a_process(
    home: Path, *, lines: int = 1, host: str = "127.0.0.1", port: int = 0, **settings: str
) -> Iterator[Served]:
    """``dicomfab serve`` on a free port; ended by Ctrl-C, which it must obey.

    Args:
        home: the installation.
        lines: that are printed at the start.
        host: where it listens.
        port: a free one if it is 0.
        settings: more of the environment.
    """
    port = port or free_ports(1, host)[0]
    with (
        (home.parent / f"serve-{port}.err").open("w") as errors,
        _started(home, port, host, settings, errors) as process,
    ):
        try:
            assert process.stdout is not None
            said = [process.stdout.readline() for _ in range(lines)]
            assert process.poll() is None, Path(errors.name).read_text()
            assert f":{port}" in said[0], said
            yield Served(port, home, process, said)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            try:
                process.communicate(timeout=START_S)
            finally:
                process.kill()
    assert process.returncode == 0


def _started(home: Path, port: int, host: str, settings: dict[str, str], errors: IO[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "dicomfab", "serve", "--port", str(port)],
        env=environment(home, DICOMFAB_WEB_HOST=host, **settings),
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
    )


def environment(home: Path, **settings: str) -> dict[str, str]:
    """That of a process of this installation, in which people sign in and no worker is started by itself."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DICOMFAB_")}
    own = {"DICOMFAB_HOME": str(home), "DICOMFAB_AUTH": "local", "DICOMFAB_WORKER_IDLE_S": "0"}
    return {**inherited, **own, **settings}


def refused_start(home: Path, **settings: str) -> str:
    """Start a server that must not start; what it says."""
    (port,) = free_ports(1, "127.0.0.1")
    done = subprocess.run(
        [sys.executable, "-m", "dicomfab", "serve", "--port", str(port)],
        env=environment(home, **settings), capture_output=True, text=True, timeout=START_S, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done
    assert "DICOM Fabricator is at" not in done.stdout
    return done.stderr


@contextmanager
def installation(home: Path) -> Iterator[Application]:
    """The installation of a home, opened beside whatever serves it."""
    application = build(Settings(home, worker_idle_s=0))
    try:
        yield application
    finally:
        application.close()


def person(application: Application, name: str, *roles: Role) -> Account:
    """Make an account."""
    return application.accounts.add(OWNER, name, roles, password=PASSWORD)


def token(application: Application, account: Account, *roles: Role) -> str:
    """Make a token of an account."""
    return application.api_tokens.create(OWNER, account.id, roles or account.roles, label="test")[0]


def browser(url: str, *, sender: str = "127.0.0.1", **headers: str) -> httpx.Client:
    """A browser that keeps its cookies.

    Args:
        url: of the server.
        sender: the address that it comes from; every one of 127.0.0.0/8 is this computer's.
        headers: that it sends with each request.
    """
    given = {**OWN, **{name.replace("_", "-"): value for name, value in headers.items()}}
    transport = httpx.HTTPTransport(local_address=sender)
    return _kept(httpx.Client(base_url=url, headers=given, transport=transport, trust_env=False, timeout=20))


def program(url: str, shown: str, **more: Any) -> httpx.Client:
    """A program that shows an API token."""
    headers = {"Authorization": f"Bearer {shown}"}
    return _kept(httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=20, **more))


def sign_in(client: httpx.Client, name: str, password: str = PASSWORD) -> httpx.Response:
    """Type name and password."""
    return client.post("/sign-in", data={"name": name, "password": password})


def signed_in(url: str, name: str, **more: Any) -> httpx.Client:
    """A browser in which somebody has signed in."""
    client = browser(url, **more)
    assert sign_in(client, name).status_code == 303
    return client


def certificate(folder: Path, *names: str) -> tuple[Path, Path]:
    """A self-signed certificate for these names, and its key."""
    folder.mkdir(parents=True, exist_ok=True)
    chain, key = folder / "chain.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", f"/CN={names[0]}", "-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in names),
         "-keyout", key, "-out", chain],
        check=True, capture_output=True,
    )  # fmt: skip
    return chain, key


class _AsNamed(httpx.HTTPTransport):
    """Goes to this computer, and asks there for a name as a browser would that resolves it so."""

    def __init__(self, name: str, **more: Any) -> None:
        super().__init__(**more)
        self._name = name

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        here = httpx.Request(
            request.method,
            request.url.copy_with(host="127.0.0.1"),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": self._name},
        )
        return super().handle_request(here)


def by_name(port: int, trusted: Path, *, name: str = NAME, sender: str = "127.0.0.1", **headers: str) -> httpx.Client:
    """A browser that calls the server by its name over TLS, and trusts this certificate alone."""
    context = ssl.create_default_context(cafile=str(trusted))
    context.check_hostname = name == NAME  # a name that is not ours has no certificate either
    transport = _AsNamed(name, verify=context, local_address=sender)
    given = {**OWN, **{key.replace("_", "-"): value for key, value in headers.items()}}
    address = f"https://{name}:{port}"
    return _kept(httpx.Client(base_url=address, headers=given, transport=transport, trust_env=False, timeout=20))


def hang_up() -> None:
    """Close what the browsers and programs of a test have left open."""
    while _opened:
        _opened.pop().close()


def _kept(client: httpx.Client) -> httpx.Client:
    _opened.append(client)
    return client
