"""Tell an address on the web what is news: one JSON document, by POST."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from dicomfab import __version__

TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where to tell it. The address may hold a secret, and so is never shown.

    Args:
        url: http or https.
        timeout_s: for connecting, and for the answer.
    """

    url: str = field(repr=False)
    timeout_s: float = TIMEOUT_S

    def post(self, document: Mapping[str, Any]) -> str:
        """Send a document, following no redirection and using no proxy.

        Returns:
            Why it was not taken; empty if it was, which is any status from 200 to 299.
        """
        url = urlsplit(self.url)
        made = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        connection = made(url.hostname or "", url.port, timeout=self.timeout_s)
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        headers = {"Content-Type": "application/json", "User-Agent": f"dicomfab/{__version__}"}
        try:
            connection.request("POST", target, json.dumps(document).encode(), headers)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        finally:
            connection.close()
        return "" if 200 <= status < 300 else f"status {status}"
