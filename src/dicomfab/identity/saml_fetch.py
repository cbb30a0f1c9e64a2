"""Get metadata from a file or an address: bounded in size and in time, and only from who can prove who it is."""

from __future__ import annotations

import ipaddress
import logging
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from dicomfab import __version__
from dicomfab.model.errors import DirectoryUnavailable

#: The longest metadata, in bytes.
MAX_BYTES: Final = 2 << 20
#: How long a server may take for all of it, in seconds.
WHOLE_S: Final = 10.0
_STEP_S: Final = 5.0

# They log addresses.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


def is_address(place: str) -> bool:
    """Whether metadata are at an address; else in a file."""
    return place.lower().startswith(("https://", "http://"))


def from_file(place: str) -> bytes:
    """The content of a file.

    Raises:
        DirectoryUnavailable: it cannot be read, or is too long.
    """
    try:
        with Path(place).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise unusable(place, f"the file cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return _bounded(place, data)


def from_address(place: str, ca_file: str, whole_s: float = WHOLE_S) -> bytes:
    """The answer of a server.

    Args:
        place: its address.
        ca_file: PEM of who may have signed its certificate; blank for those whom the system trusts.
        whole_s: seconds for all of it.

    Raises:
        DirectoryUnavailable: there is none, or its certificate is not trusted.
    """
    if not place.lower().startswith("https://") and not _is_here(place):
        raise unusable(
            place,
            "it is not encrypted, so that anybody on the way could put other certificates into it",
            remedy="Give an address with https, or the path of a file.",
        )
    deadline = _Deadline(whole_s)
    headers = {"User-Agent": f"dicomfab/{__version__}", "Accept-Encoding": "identity"}
    context = _context(place, ca_file)
    try:
        with (
            deadline,
            httpx.Client(
                verify=context, trust_env=False, follow_redirects=False, headers=headers, timeout=_STEP_S
            ) as client,
            client.stream("GET", place, extensions={"trace": deadline.trace}) as response,
        ):
            if response.status_code != httpx.codes.OK:
                raise unusable(place, f"the server answers with status {response.status_code}")
            data = b""
            for piece in response.iter_raw():
                data = _bounded(place, data + piece)
            return data
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        why = f"no answer within {whole_s:.0f} s" if deadline.is_over else str(error) or type(error).__name__
        raise unusable(place, why, remedy=_remedy(error)) from error


def _remedy(error: Exception) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "Give the certificate of who signed the server's certificate as the CA file of this identity provider."
    return "Look whether the identity provider can be reached from this machine."


class _Deadline:
    """Ends a connection when its time is over, also while it says a little now and then."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._ends

    def trace(self, event: str, about: Mapping[str, Any]) -> None:
        """Told by httpcore of what it does; keeps the connection."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            with self._lock:
                self._socket = about["return_value"].get_extra_info("socket")
            if self.is_over:
                self._end()

    def _end(self) -> None:
        with self._lock:
            if self._socket is not None:
                try:
                    # Not the method of the TLS socket: that would let a thread which reads now go on without TLS.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
                except OSError:
                    return


def _is_here(place: str) -> bool:
    try:
        host = urlsplit(place).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _context(place: str, ca_file: str) -> ssl.SSLContext:
    if not place.lower().startswith("https://"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ValueError) as error:
        raise unusable(place, f"the CA file {ca_file} cannot be read: {error}") from error


def _bounded(place: str, data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise unusable(place, f"they are longer than {MAX_BYTES} bytes")
    return data


def unusable(place: str, why: str, *, remedy: str = "") -> DirectoryUnavailable:
    """What to raise about metadata."""
    return DirectoryUnavailable(
        f"The metadata of the identity provider, {place}, cannot be used.",
        cause=f"{why[:300]}.",
        remedy=remedy or "Correct the metadata, or where they are taken from.",
    )
