"""Requests of HTTP to one server: bounded in time and size, followed nowhere else, every failure explained."""

from __future__ import annotations

import base64
import functools
import logging
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self
from urllib.parse import urljoin, urlsplit

import httpx

from dicomfab import __version__
from dicomfab.dicomweb.client import explain
from dicomfab.dicomweb.client.peer import WebPeer
from dicomfab.dicomweb.media_types import MediaType, parse_media_type
from dicomfab.model.errors import InvalidInput

#: The longest answer that is read into memory, in bytes.
MAX_BODY_BYTES: Final = 64 << 20
_MAX_REDIRECTIONS: Final = 3
_CHUNK: Final = 256 << 10
# A whole answer may take so many times what is waited for between two of its pieces.
_WHOLE_ANSWER: Final = 10
_REDIRECTIONS: Final = (301, 302, 303, 307, 308)

# They log addresses with their queries, which name patients, and headers, which hold credentials.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response whose content has not been read yet.

    Args:
        peer: who answered.
        operation: to what.
        response: as it comes in.
    """

    peer: WebPeer
    operation: str
    response: httpx.Response

    @property
    def status(self) -> int:
        """The status of HTTP."""
        return self.response.status_code

    @property
    def media_type(self) -> MediaType:
        """Of the content; of no name if there is none that can be read."""
        try:
            return parse_media_type(self.response.headers.get("content-type", ""))
        except InvalidInput:
            return MediaType("")

    def header(self, name: str) -> str:
        """A header's value; blank if it was not sent."""
        return str(self.response.headers.get(name, ""))

    def pieces(self) -> Iterator[bytes]:
        """The content as it comes.

        Raises:
            PeerError: it does not come to its end.
        """
        try:
            yield from self.response.iter_bytes(_CHUNK)
        except httpx.HTTPError as error:
            raise explain.failed(self.peer, self.operation, error, began=True) from error

    def body(self) -> bytes:
        """The whole content.

        Raises:
            PeerError: it does not come to its end, or not in time, or is longer than what is read into memory.
        """
        allowed_s = self.peer.read_s * _WHOLE_ANSWER
        deadline = time.monotonic() + allowed_s
        held = bytearray()
        for piece in self.pieces():
            held += piece
            if len(held) > MAX_BODY_BYTES:
                raise explain.incomplete(self.peer, f"it is longer than {MAX_BODY_BYTES >> 20} MB")
            if time.monotonic() > deadline:
                raise explain.late(self.peer, self.operation, allowed_s)
        return bytes(held)

    def failure(self) -> Exception:
        """What its status says, when that is no success."""
        return explain.status(self.peer, self.operation, self.status, self.header("location"))


class WebConnection:
    """Connections to one server, kept open from one request to the next. For one thread.

    Args:
        peer: the server.
    """

    def __init__(self, peer: WebPeer) -> None:
        self.peer = peer
        headers = {"User-Agent": f"dicomfab/{__version__}", "Accept-Encoding": "identity", **_authorization(peer)}
        self._client = httpx.Client(
            verify=_context(peer), trust_env=False, follow_redirects=False, headers=headers, timeout=peer.read_s
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    @contextmanager
    def asking(
        self,
        operation: str,
        path: str,
        headers: Mapping[str, str],
        *,
        method: str = "GET",
        content: Iterable[bytes] | None = None,
        read_s: float | None = None,
    ) -> Iterator[Answer]:
        """One request; its answer can be read while the context is open.

        Args:
            operation: ``QIDO-RS``, ``WADO-RS``, ``STOW-RS`` or what else it is called in messages.
            path: below the root, with the query.
            headers: beside those that every request has.
            method: of HTTP. Only a GET is followed elsewhere on the same server.
            content: what is sent, in pieces.
            read_s: seconds to wait for the answer to begin, if not the peer's ``read_s``.

        Raises:
            PeerError: no answer. An answer with a failure status is one.
        """
        peer, url = self.peer, f"{self.peer.root}{path}"
        timeout = httpx.Timeout(peer.read_s, connect=peer.connect_s, read=read_s or peer.read_s)
        waits = timeout.as_dict()
        extensions = {"timeout": waits, **({"sni_hostname": peer.tls_name} if peer.tls_name else {})}
        for _ in range(_MAX_REDIRECTIONS + 1):
            self._note_sent(operation, method, url)
            waits["read"] = timeout.read
            try:
                request = self._client.build_request(
                    method, url, headers=dict(headers), content=content, extensions=extensions
                )
                response = self._client.send(request, stream=True)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                failure = explain.failed(peer, operation, error)
                if peer.notes is not None:
                    peer.notes.local(f"{operation} failed", why=failure.heading, code=getattr(failure, "code", ""))
                raise failure from error
            try:
                if peer.notes is not None:
                    peer.notes.received(f"{operation} response", **_facts(response))
                target = _redirected(response, url) if method == "GET" else ""
                if not target:
                    waits["read"] = peer.read_s  # httpcore looks here again when the content is read
                    yield Answer(peer, operation, response)
                    return
                url = target
            finally:
                response.close()
        raise explain.status(peer, operation, 310, url)

    def _note_sent(self, operation: str, method: str, url: str) -> None:
        """The values of a query name patients, and stay out."""
        if self.peer.notes is not None:
            parts = urlsplit(url)
            names = ", ".join(one.partition("=")[0] for one in parts.query.split("&") if one)
            address = f"{parts.scheme}://{parts.netloc}{parts.path}"
            self.peer.notes.sent(f"{operation} request", method=method, address=address, parameters=names)


def _facts(response: httpx.Response) -> dict[str, str]:
    return {
        "http_status": str(response.status_code),
        "media_type": response.headers.get("content-type", "")[:100],
        "length": response.headers.get("content-length", "")[:20],
    }


def _redirected(response: httpx.Response, url: str) -> str:
    """Where a redirection leads that stays on the same server; blank if there is none."""
    location = response.headers.get("location", "")
    if response.status_code not in _REDIRECTIONS or not location:
        return ""
    try:
        target = urljoin(url, location)
        is_same = urlsplit(target)[:2] == urlsplit(url)[:2]
    except ValueError:
        return ""
    return target if is_same else ""


def _authorization(peer: WebPeer) -> dict[str, str]:
    if not peer.secret:
        return {}
    if not peer.user:
        return {"Authorization": f"Bearer {peer.secret}"}
    pair = base64.b64encode(f"{peer.user}:{peer.secret}".encode()).decode("ascii")
    return {"Authorization": f"Basic {pair}"}


def _context(peer: WebPeer) -> ssl.SSLContext:
    if not peer.is_secure:
        return _unused_context()
    return ssl.create_default_context() if peer.tls is None else peer.tls


@functools.cache
def _unused_context() -> ssl.SSLContext:
    """Trusts nobody. Without it, httpx would read a file of certificates for connections that have none."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
