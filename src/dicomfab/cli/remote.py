"""Commands against a running server: sent there by one side, and confined to what may be done from afar by the other.

``dicomfab --server URL ...`` sends its words to the server, which runs them in a process of its own with the roles of
the token. There, a command may not name files: they would be those of the server's machine.
"""

from __future__ import annotations

import base64
import enum
import functools
import http.client
import json
import os
import re
import shutil
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from dicomfab.model.errors import AccessDenied, DicomFabError, InvalidInput, PeerError

SERVER: Final = "DICOMFAB_SERVER"
TOKEN: Final = "DICOMFAB_TOKEN"  # noqa: S105 (the variable's name)
TOKEN_FILE: Final = "DICOMFAB_TOKEN_FILE"  # noqa: S105
COMMANDS_PATH: Final = "/api/v1/commands"
MAX_INPUT_BYTES: Final = 16 << 20
_INTERRUPTED: Final = 130
_TIMEOUT_S: Final = 30.0  # the server says something every few seconds while a command runs
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_RECIPE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class Files(enum.StrEnum):
    """What an option that can name a file may hold in a command from afar."""

    NONE = "none"
    STREAM = "stream"  # only -, the standard input or output of the caller
    NAME = "name"  # only the name of a recipe
    NUMBER = "number"  # only the number of something that is kept


_SERVER_FILES: Final = dict.fromkeys(
    ("tls_ca_file", "tls_certificate_file", "tls_key_file", "dicomweb_secret_file"), Files.NONE
)
_LIST: Final = {"list_file": Files.STREAM}
#: What works from another machine -> its options that can name files. All else works only on the machine itself.
FROM_AFAR: Final[Mapping[str, Mapping[str, Files]]] = {
    "study create": {
        "recipe": Files.NAME,
        "order": Files.NUMBER,
        "out": Files.NONE,
        "truth": Files.NONE,
        "resume": Files.NONE,
    },
    **{f"study {verb}": {} for verb in ("derive", "list", "show", "send", "delete")},
    "recipe list": {},
    "recipe show": {"recipe": Files.NAME},
    "recipe remove": {},
    "recipe kinds": {},
    "recipe schema": {},
    **{f"patient {verb}": {} for verb in ("list", "show", "add", "invent", "edit", "remove", "export")},
    "patient import": {"file": Files.STREAM},
    "order add": {"file": Files.STREAM},
    "order list": {},
    "order show": {},
    "query": {"export": Files.NONE, **_LIST},
    "move": _LIST,
    "get": _LIST,
    "verify": {},
    **{f"pacs {verb}": {} for verb in ("list", "show", "remove", "test", "route", "export")},
    "pacs add": _SERVER_FILES,
    "pacs edit": _SERVER_FILES,
    "pacs import": {"file": Files.STREAM},
    **{f"jobs {verb}": {} for verb in ("list", "show", "watch", "cancel", "pause", "resume", "retry", "prefer")},
    **{f"jobs {verb}": {} for verb in ("forget", "workers", "release")},
    "jobs outcomes": {"out": Files.STREAM},
    **{f"schedule {verb}": {} for verb in ("list", "pause", "resume", "remove", "run")},
    **{f"schedule add {kind}": {} for kind in ("send", "move", "get", "query")},
    "schedule add fabricate": {"recipe": Files.NAME},
    "compare": {},
    "doctor move": {},
    "doctor server": {},
    **{f"monitor {verb}": {} for verb in ("status", "history", "events", "set", "metrics")},
    **{f"audit {verb}": {} for verb in ("list", "show", "verify")},
    "access matrix": {},
    "settings": {},
}


# ---------------------------------------------------------------------- on the server


def confine(command: Any, path: str) -> None:
    """Let a command of this process, and those below it, do only what may be done from afar.

    Args:
        command: as Typer made it.
        path: its words, such as ``pacs``.
    """
    below = getattr(command, "commands", None)
    if below:
        for name, one in below.items():
            confine(one, f"{path} {name}")
    else:
        command.callback = _confined(path, command.callback)


def _confined(path: str, callback: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(callback)
    def call(**given: Any) -> Any:
        if path not in FROM_AFAR:
            raise AccessDenied(
                f"dicomfab {path} works only on the machine itself",
                cause="it starts or stops something there, or reads and writes its files",
                remedy="sign in on that machine and run it there",
            )
        for option, files in FROM_AFAR[path].items():
            _check(path, option, files, given[option])
        return callback(**given)

    return call


def _check(path: str, option: str, files: Files, value: object) -> None:
    if not value:
        return
    if (files is Files.STREAM and str(value) == "-") or (files is Files.NAME and _RECIPE_NAME.fullmatch(str(value))):
        return
    if files is Files.NUMBER and str(value).isascii() and str(value).isdigit():
        return
    remedies = {
        Files.STREAM: "give - for standard input or output",
        Files.NUMBER: "keep it first, and give its number",
        Files.NAME: "save it as a recipe first, and give its name",
        Files.NONE: "leave the option out, or run the command on that machine",
    }
    raise InvalidInput(
        f"{option}: dicomfab {path} names a file, which would be one of the server's machine",
        field=option,
        value=str(value),
        cause="the command runs on the server that --server names",
        remedy=remedies[files],
    )


# ---------------------------------------------------------------------- on this side


def split(words: Sequence[str], environ: Mapping[str, str] = os.environ) -> tuple[str, list[str]]:
    """The server that is meant, blank if none, and the words without it.

    Raises:
        InvalidInput: ``--server`` without an address.
    """
    address, rest = environ.get(SERVER, "").strip(), list(words)
    if rest and rest[0] == "--server":
        if len(rest) < 2:
            raise InvalidInput("--server: no address is given", field="--server", remedy="dicomfab --server URL ...")
        address, rest = rest[1], rest[2:]
    elif rest and rest[0].startswith("--server="):
        address, rest = rest[0].removeprefix("--server="), rest[1:]
    return address, rest


def run(address: str, words: Sequence[str]) -> int:
    """Run a command on a server, showing what it prints as it comes.

    Args:
        address: of the server, ``https://host:port``.
        words: after ``dicomfab``.

    Returns:
        The command's exit code.

    Raises:
        InvalidInput: an address or token that cannot be used; nothing was sent.
        PeerError: the server cannot be reached, or broke off.
        AccessDenied: it does not take the token.
    """
    target = _checked(address)
    request = urllib.request.Request(  # noqa: S310 (the scheme is checked)
        f"{target}{COMMANDS_PATH}",
        data=json.dumps(
            {
                "arguments": list(words),
                "columns": min(max(shutil.get_terminal_size((100, 24)).columns, 20), 1000),
                "standard_input": _standard_input(words),
            }
        ).encode(),
        headers={"Authorization": f"Bearer {_token()}", "Content-Type": "application/json"},
    )
    # No proxy sees a token that has no TLS around it.
    proxies = [urllib.request.ProxyHandler({})] if target.startswith("http://") else []
    opener = urllib.request.build_opener(_NoRedirect, *proxies)
    try:
        response = opener.open(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        raise _refused(address, error) from None
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(address, error) from error
    try:
        with response:
            return _shown(response, address)
    except KeyboardInterrupt:
        return _INTERRUPTED  # the server sees that nobody reads any more, and interrupts the command
    except BrokenPipeError:  # whoever reads our output has enough, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A token is never carried to another address."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _shown(lines: Iterator[bytes] | Any, address: str) -> int:
    for event in _events(lines):
        if "exit" in event:
            return int(event["exit"])
        stream = sys.stderr if "err" in event else sys.stdout
        stream.write(event.get("err", event.get("out", "")))
        stream.flush()
    raise PeerError(
        f"{address} broke off before the command had ended",
        cause="the server was stopped, the token is not valid any more, or the connection was cut",
        remedy="see what became of it: dicomfab --server URL jobs list",
    )


def _events(lines: Iterator[bytes] | Any) -> Iterator[dict[str, Any]]:
    """What the server says, up to where it breaks off."""
    with suppress(OSError, http.client.HTTPException, ValueError):
        for line in lines:
            yield json.loads(line)


def _checked(address: str) -> str:
    parts = urlsplit(address)
    problem = ""
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        problem = "is not an address like https://host:port"
    elif parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        problem = "would send the token unprotected"
    elif parts.username or parts.password or parts.query or parts.fragment:
        problem = "holds more than scheme, host, port and path"
    if problem:
        raise InvalidInput(
            f"--server: {address!r} {problem}",
            field="--server",
            value=address,
            cause="a token goes over TLS, or not beyond this machine",
            remedy="give the address of the web interface, such as https://dicomfab.example.com",
        )
    return address.rstrip("/")


def _token() -> str:
    token = os.environ.get(TOKEN, "").strip()
    if not token and (file := os.environ.get(TOKEN_FILE, "").strip()):
        try:
            token = Path(file).expanduser().read_text("ascii").strip()
        except (OSError, UnicodeError) as error:
            raise InvalidInput(
                f"{TOKEN_FILE}: {file!r} cannot be read", field=TOKEN_FILE, value=file, cause=str(error)
            ) from error
    if not token:
        raise InvalidInput(
            "no token is given for the server",
            field=TOKEN,
            cause=f"neither {TOKEN} nor {TOKEN_FILE} is set",
            remedy=f"make a token on your account's page, and put it into {TOKEN}, or a file that {TOKEN_FILE} names",
        )
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise InvalidInput("the token cannot be one", field=TOKEN, remedy="copy it again: dfl_, and 52 characters")
    return token


def _standard_input(words: Sequence[str]) -> str:
    if not any(word == "-" or word.endswith("=-") for word in words):
        return ""
    data = sys.stdin.buffer.read(MAX_INPUT_BYTES + 1)
    if len(data) > MAX_INPUT_BYTES:
        raise InvalidInput(
            f"standard input is longer than {MAX_INPUT_BYTES >> 20} MB", field="standard input", remedy="split the file"
        )
    return base64.b64encode(data).decode("ascii")


def _refused(address: str, error: urllib.error.HTTPError) -> DicomFabError:
    try:
        read = json.loads(error.read(100_000))  # a problem, RFC 9457
    except (ValueError, OSError):
        read = None
    said = read if isinstance(read, dict) else {}
    what = str(said.get("detail") or f"{address} answered with HTTP {error.code}")
    cause, remedy = str(said.get("cause", "")), str(said.get("remedy", ""))
    if error.code in {401, 403}:
        return AccessDenied(
            what,
            cause=cause or "the token is unknown, has expired or was revoked",
            remedy=remedy or "make a new one on your account's page",
        )
    if error.code in {400, 409, 422}:
        return InvalidInput(what, cause=cause, remedy=remedy)
    return PeerError(what, cause=cause or "it is no DICOM Fabricator, or another version", remedy=remedy)


def _unreachable(address: str, error: OSError | http.client.HTTPException) -> PeerError:
    reason = getattr(error, "reason", error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return PeerError(
            f"the certificate of {address} is not trusted: {reason.verify_message}",
            cause="it is signed by an authority that this machine does not know, or is made for another name",
            remedy="have that authority's certificate added to this machine's trust store (or SSL_CERT_FILE)",
        )
    return PeerError(
        f"{address} cannot be reached: {reason}",
        cause="the server does not run there, or a firewall is in between",
        remedy="check the address; on that machine: dicomfab serve",
    )
