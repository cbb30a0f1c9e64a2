"""One request to the web port of a lab's server, as its user."""

from __future__ import annotations

import base64
import http.client
from typing import Final

from dicomfab.testpacs.spec import WEB_PASSWORD, WEB_USER, LabConfig, ServerSpec

_TIMEOUT_S: Final = 2.0


def ask(
    config: LabConfig, server: ServerSpec, method: str, path: str, body: str | None = None, *, timeout_s: float = 0.0
) -> tuple[int, bytes]:
    """Ask a server.

    Args:
        config: of its lab.
        server: which one.
        method: of HTTP.
        path: below its web port.
        body: what is sent with the request, as plain text.
        timeout_s: seconds to wait for each answer of the network; 0 for two.

    Returns:
        Status and content.

    Raises:
        OSError, http.client.HTTPException: it does not answer.
    """
    password = base64.b64encode(f"{WEB_USER}:{WEB_PASSWORD}".encode()).decode()
    headers = {"Authorization": f"Basic {password}"}
    if body is not None:
        headers["Content-Type"] = "text/plain"
    connection = http.client.HTTPConnection(config.connect_host, server.web_port, timeout=timeout_s or _TIMEOUT_S)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
