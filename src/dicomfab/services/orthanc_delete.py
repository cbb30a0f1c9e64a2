"""Deletion by Orthanc's own REST interface, instance by instance: what the caller names and nothing else."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

from dicomfab import __version__
from dicomfab.model.errors import InvalidInput
from dicomfab.model.values import uid
from dicomfab.registry.fields import web_root

_TIMEOUT_S: Final = 30.0
_LONGEST: Final = 1 << 20


class _Answered(Exception):
    """Another answer than was asked for."""


def rest_root(address: str) -> str:
    """The address of an Orthanc's REST interface, such as ``http://orthanc:8042``.

    Raises:
        InvalidInput: it is none.
    """
    root = web_root(address, "orthanc")
    if not isinstance(root, str) or not root:
        raise InvalidInput("orthanc: no address was given", field="orthanc", value=address)
    return root.rstrip("/")


def delete_from_orthanc(root: str, instances: Iterable[str]) -> str:
    """Look up each SOP instance and delete it, following no redirection.

    Args:
        root: the address of the REST interface.
        instances: SOP Instance UIDs; one that is not there is passed over.

    Returns:
        Blank, or what kept some from being deleted.
    """
    url = urlsplit(root)
    made = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = made(url.hostname or "", url.port, timeout=_TIMEOUT_S)
    try:
        for instance in instances:
            for found in _asked(connection, "POST", f"{url.path}/tools/lookup", uid(instance, field="instance")):
                if found.get("Type") == "Instance":
                    _asked(connection, "DELETE", f"{url.path}/instances/{_hex(found.get('ID'))}")
    except _Answered as answer:
        return f"its REST interface answers {answer}"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"its REST interface does not answer as Orthanc's ({type(error).__name__})"
    finally:
        connection.close()
    return ""


def _asked(connection: http.client.HTTPConnection, method: str, path: str, body: str | None = None) -> list[Any]:
    connection.request(method, path, body, {"User-Agent": f"dicomfab/{__version__}", "Content-Type": "text/plain"})
    response = connection.getresponse()
    content = response.read(_LONGEST)
    if not 200 <= response.status < 300:
        raise _Answered(f"{response.status} to {method} {path.rpartition('/')[0]}")
    answer = json.loads(content)
    return [one for one in answer if isinstance(one, dict)] if isinstance(answer, list) else []


def _hex(identifier: object) -> str:
    """Orthanc's identifiers are hexadecimal groups; anything else would be another path."""
    text = str(identifier)
    if not text or not all(c in "0123456789abcdef-" for c in text):
        raise ValueError(text)
    return text
