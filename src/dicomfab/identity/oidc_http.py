"""Requests of HTTP to an OpenID provider: each bounded in time and size, none followed elsewhere.

httpcore is used below httpx, because httpx bounds each wait and not all of them together: a server that sends a byte
now and then would hold us for ever.
"""

from __future__ import annotations

import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

import httpcore

from dicomfab import __version__
from dicomfab.model.errors import DirectoryUnavailable

#: The longest answer that is read, in bytes.
MAX_BODY_BYTES: Final = 1 << 20
#: Seconds for a request with its answer, to the last byte. Looking up the name counts, and cannot be cut short.
WHOLE_S: Final = 5.0
_RETRY: Final = "try again; if it stays, look at the provider's log and at the network between"

# They may log headers, which hold credentials.
logging.getLogger("httpcore").setLevel(logging.WARNING)


class Http:
    """Asks one provider. For any thread; each request has a connection of its own.

    Args:
        label: the provider, for messages.
        ca_file: certificates to trust; those of the system if empty.
        whole_s: seconds for a request with its answer.
    """

    def __init__(self, label: str, ca_file: str, whole_s: float = WHOLE_S) -> None:
        self._label = label
        self._ca_file = ca_file
        self._whole_s = whole_s
        self._context: ssl.SSLContext | None = None
        self._lock = threading.Lock()

    def ask(self, what: str, address: str, headers: Mapping[str, str], form: bytes | None = None) -> tuple[int, bytes]:
        """GET, or POST of a form.

        Args:
            what: is asked for, for messages.
            address: where.
            headers: beside those that every request has.
            form: what is sent, encoded.

        Returns:
            status and content.

        Raises:
            DirectoryUnavailable: no whole answer in time, none that may be read, or a redirection.
        """
        sent = {"User-Agent": f"dicomfab/{__version__}", "Accept": "application/json", "Accept-Encoding": "identity"}
        sent |= headers
        if form is not None:
            sent |= {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(form))}
        context = self._trusting() if address.startswith("https:") else _nobody()
        try:
            status, body = _exchange(_Until(self._whole_s), context, address, sent, form)
        except (httpcore.TimeoutException, TimeoutError) as error:
            raise self._late(what) from error
        except _TooLong as error:
            raise self.nonsense(what, f"the answer is longer than {MAX_BODY_BYTES >> 20} MB") from error
        except (httpcore.NetworkError, OSError, UnicodeError) as error:  # the last of a name that no host can have
            raise self._unreached(what, error) from error
        except (httpcore.ProtocolError, httpcore.UnsupportedProtocol) as error:
            raise self.nonsense(what, "what came is not HTTP, or was cut off") from error
        if 300 <= status < 400:
            raise self.nonsense(what, f"it sends us elsewhere (status {status}); that is never followed")
        if status >= 500:
            raise self.nonsense(what, f"it failed (status {status})")
        return status, body

    def json(self, what: str, address: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """GET a JSON object; arguments as of :meth:`ask`.

        Raises:
            DirectoryUnavailable: there is none.
        """
        status, body = self.ask(what, address, headers or {})
        found = object_of(body) if status == 200 else None
        if found is None:
            said = "the answer is no JSON object" if status == 200 else f"the status is {status}"
            raise self.nonsense(what, said)
        return found

    def nonsense(self, what: str, said: str, remedy: str = _RETRY) -> DirectoryUnavailable:
        """The error of an answer that nobody can be let in with."""
        return DirectoryUnavailable(f"{self._label} did not give {what}", cause=said, remedy=remedy)

    def _late(self, what: str) -> DirectoryUnavailable:
        return self.nonsense(what, f"no whole answer within {self._whole_s:.0f} s: it hangs, or a firewall drops it")

    def _unreached(self, what: str, error: BaseException) -> DirectoryUnavailable:
        secure = next((one for one in _chain(error) if isinstance(one, ssl.SSLError)), None)
        if secure is None:
            return self.nonsense(what, "it cannot be reached: not running, another address, or the name is not known")
        said = "no secure connection came about"
        if isinstance(secure, ssl.SSLCertVerificationError):
            said = f"its certificate is not trusted: {secure.verify_message}"
        return self.nonsense(
            what,
            said,
            "give the file of the certificate authority that signed its certificate, and check its name and dates",
        )

    def _trusting(self) -> ssl.SSLContext:
        with self._lock:
            if self._context is None:
                try:
                    self._context = ssl.create_default_context(cafile=self._ca_file or None)
                except (OSError, ssl.SSLError) as error:
                    raise DirectoryUnavailable(
                        f"{self._label} cannot be asked: the certificates to trust cannot be read",
                        cause=f"{self._ca_file} is missing, not readable for us, or not in PEM form",
                        remedy="give the file of the certificate authority in PEM form",
                    ) from error
            return self._context


def object_of(body: bytes) -> dict[str, Any] | None:
    """The JSON object in it; none if there is none. A number that is none, such as NaN, is no JSON."""
    try:
        found = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _refuse(name: str) -> float:
    raise ValueError(name)


class _TooLong(Exception):
    pass


class _Until(httpcore.NetworkBackend):
    """The network until a moment: every wait is cut to what is left."""

    def __init__(self, whole_s: float) -> None:
        self._end = time.monotonic() + whole_s
        self._below = httpcore.SyncBackend()

    def left(self) -> float:
        """Seconds.

        Raises:
            TimeoutError: none.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """To the first address that answers; each gets its share of what is left."""
        found = dict.fromkeys(str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        failure: Exception = OSError(f"no address of {host}")
        for number, address in enumerate(found):
            try:
                below = self._below.connect_tcp(
                    address, port, self.left() / (len(found) - number), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _StreamUntil(below, self)
        raise failure


class _StreamUntil(httpcore.NetworkStream):
    """A connection until that moment."""

    def __init__(self, below: httpcore.NetworkStream, until: _Until) -> None:
        self._below = below
        self._until = until

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._below.read(max_bytes, self._until.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._below.write(buffer, self._until.left())

    def close(self) -> None:
        self._below.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _StreamUntil(self._below.start_tls(ssl_context, server_hostname, self._until.left()), self._until)

    def get_extra_info(self, info: str) -> Any:
        return self._below.get_extra_info(info)


def _exchange(
    until: _Until, context: ssl.SSLContext, address: str, headers: Mapping[str, str], form: bytes | None
) -> tuple[int, bytes]:
    host = httpcore.URL(address)
    sent = [("Host", _authority(host)), *headers.items()]
    with (
        httpcore.ConnectionPool(ssl_context=context, network_backend=until, max_keepalive_connections=0) as pool,
        pool.stream("GET" if form is None else "POST", host, headers=sent, content=form) as response,
    ):
        held = bytearray()
        for piece in response.iter_stream():
            held += piece
            if len(held) > MAX_BODY_BYTES:
                raise _TooLong
        return response.status, bytes(held)


def _authority(address: httpcore.URL) -> str:
    name = address.host.decode("ascii")
    name = f"[{name}]" if ":" in name else name
    return name if address.port is None else f"{name}:{address.port}"


def _nobody() -> ssl.SSLContext:
    """Trusts nobody: for plain http, where it is not used."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _chain(error: BaseException | None) -> Iterable[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
