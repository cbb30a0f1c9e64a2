"""Does a server really answer: one C-ECHO, and one request to its web page."""

from __future__ import annotations

import base64
import http.client
import json
from dataclasses import dataclass

from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.testpacs.spec import WEB_PASSWORD, WEB_USER, LabConfig, ServerSpec

_TIMEOUTS = Timeouts(connect_s=2.0, association_s=2.0, dimse_s=2.0)
_WEB_TIMEOUT_S = 2.0


class NoAnswer(Exception):
    """The server does not answer as it should; the text says how."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a server says that it holds; ``size_bytes`` counts data sets."""

    patients: int
    studies: int
    series: int
    instances: int
    size_bytes: int


def probe(config: LabConfig, server: ServerSpec) -> Holdings:
    """Ask a server both ways.

    Raises:
        NoAnswer: one of them fails, or another server answers.
    """
    holdings = _web(config.connect_host, server)
    _echo(config.connect_host, server)
    return holdings


def _echo(host: str, server: ServerSpec) -> None:
    from dicomfab.dimse.scu.echo import echo
    from dicomfab.model.errors import PeerError

    try:
        echo(Peer(host, server.dicom_port, server.ae_title, timeouts=_TIMEOUTS, name=server.name))
    except PeerError as error:
        raise NoAnswer(f"no C-ECHO on port {server.dicom_port}: {error.what}") from error


def _web(host: str, server: ServerSpec) -> Holdings:
    credentials = base64.b64encode(f"{WEB_USER}:{WEB_PASSWORD}".encode()).decode()
    connection = http.client.HTTPConnection(host, server.web_port, timeout=_WEB_TIMEOUT_S)
    try:
        connection.request("GET", "/api/summary", headers={"Authorization": f"Basic {credentials}"})
        answer = connection.getresponse()
        document = json.loads(answer.read())
        if answer.status != http.HTTPStatus.OK or document["id"] != server.id:
            raise NoAnswer(f"another web server answers on port {server.web_port} ({answer.status})")
        return Holdings(**document["storage"])
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(f"no web page on port {server.web_port}: {error or type(error).__name__}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise NoAnswer(f"another web server answers on port {server.web_port}") from error
    finally:
        connection.close()
