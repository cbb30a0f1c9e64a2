"""Does a server really answer: one C-ECHO, and one request to its web port."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any

from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.testpacs.spec import LabConfig, ServerSpec
from dicomfab.testpacs.web_port import ask

_TIMEOUTS = Timeouts(connect_s=2.0, association_s=2.0, dimse_s=2.0)


class NoAnswer(Exception):
    """The server does not answer as it should; the text says how."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a server says that it holds; ``size_bytes`` counts data sets, or files where only these are counted."""

    patients: int
    studies: int
    series: int
    instances: int
    size_bytes: int


def asked(config: LabConfig, server: ServerSpec, path: str) -> dict[str, Any]:
    """The JSON object that is at a path of a server's web port.

    Raises:
        NoAnswer: there is none.
    """
    try:
        status, content = ask(config, server, "GET", path)
        document = json.loads(content) if status == http.HTTPStatus.OK else None
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(f"no web page on port {server.web_port}: {error or type(error).__name__}") from error
    except ValueError as error:
        raise another(server) from error
    if not isinstance(document, dict):
        raise another(server, status)
    return document


def another(server: ServerSpec, status: int | None = None) -> NoAnswer:
    """The error for a web port that answers as another server would."""
    said = "" if status is None else f" ({status})"
    return NoAnswer(f"another web server answers on port {server.web_port}{said}")


def require_echo(config: LabConfig, server: ServerSpec) -> None:
    """Send a C-ECHO.

    Raises:
        NoAnswer: it is not answered with success.
    """
    from dicomfab.dimse.scu.echo import echo
    from dicomfab.model.errors import PeerError

    try:
        echo(Peer(config.connect_host, server.dicom_port, server.ae_title, timeouts=_TIMEOUTS, name=server.name))
    except PeerError as error:
        raise NoAnswer(f"no C-ECHO on port {server.dicom_port}: {error.what}") from error
