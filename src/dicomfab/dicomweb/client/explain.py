"""Turn what went wrong on the way to a DICOMweb service into the error that the user sees: what, likely cause, remedy.

Nothing of what a server writes into a failure is repeated: it may name a patient.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

import httpx

from dicomfab.dicomweb.client.peer import WebPeer
from dicomfab.model.errors import (
    AnswerIncomplete,
    ConnectionFailed,
    ConnectionLost,
    DicomFabError,
    HttpFailure,
    InvalidInput,
    PeerTimeout,
    ProtocolViolation,
    TlsFailed,
)

_WRONG_ROOT: Final = "the DICOMweb address is not that of the services, or a sign-in page stands before them"
_CHECK_ROOT: Final = "check the DICOMweb address: dicomfab pacs edit --dicomweb-root URL"
_LOOK: Final = "look at the server's log at this moment"
# status -> (what, cause, remedy)
_STATUS: Final[dict[int, tuple[str, str, str]]] = {
    400: ("does not understand the request", "it does not know a key or a parameter", "drop keys one by one"),
    401: (
        "does not let us in",
        "user or password are wrong or missing, or a token has expired",
        "check them: dicomfab pacs edit --dicomweb-user NAME --dicomweb-secret-file FILE",
    ),
    403: (
        "does not allow it to this user",
        "the user lacks a right there",
        "ask the server's administrator for the permission",
    ),
    404: ("knows no such resource", "it does not hold this, or the DICOMweb address is another one", _CHECK_ROOT),
    405: ("does not offer this service", "it is switched off, or the DICOMweb address is another one", _CHECK_ROOT),
    406: (
        "has it in no representation that we can read",
        "it cannot convert the instances, or does not answer in DICOM JSON",
        "ask for it over DIMSE instead: --via dimse",
    ),
    409: ("took none of the instances", "it refuses them, and does not say why", _LOOK),
    411: ("demands a length that we have sent", "a device in between changes the requests", _LOOK),
    413: ("takes no request of this size", "a limit of the server, or of a proxy before it", "have the limit raised"),
    414: ("takes no address of this length", "too many keys or UIDs are asked for", "narrow the search"),
    415: ("takes no instances of this kind", "it does not take DICOM files by STOW-RS", "send over DIMSE: --via dimse"),
    429: ("has been asked too often", "a limit of the server, or of a proxy before it", "try again later"),
    501: ("does not offer this service", "it is not part of the server", "use DIMSE instead: --via dimse"),
    502: ("is not reached by the proxy before it", "the server behind the proxy is down", "try again later; " + _LOOK),
    503: ("is not available at the moment", "it is overloaded, or being started", "try again later"),
    504: ("did not answer the proxy before it in time", "the server hangs or is overloaded", _LOOK),
    507: ("is out of space", "its disk is full", "free space at the server, then send again"),
}
_ANY_STATUS: Final = ("answered with a failure", "see the status", _LOOK)
_SERVER_FAILED: Final = ("failed", "an error in the server's software", _LOOK)


def status(peer: WebPeer, operation: str, code: int, location: str = "") -> HttpFailure:
    """A status of HTTP that is no success.

    Args:
        peer: who answered.
        operation: ``QIDO-RS``, ``WADO-RS`` or ``STOW-RS``.
        code: the status.
        location: where the server sends us, if it does.
    """
    if 300 <= code < 400:
        return HttpFailure(
            f"{peer.label} sends us elsewhere{_where(location)} (status {code}); we did not follow.",
            operation=operation,
            http_status=code,
            cause="the services have moved, or a sign-in page stands before them",
            remedy="if that is their address, enter it: dicomfab pacs edit --dicomweb-root URL",
        )
    what, cause, remedy = _STATUS.get(code, _SERVER_FAILED if code >= 500 else _ANY_STATUS)
    return HttpFailure(
        f"{peer.label} {what} (status {code}).", operation=operation, http_status=code, cause=cause, remedy=remedy
    )


def failed(
    peer: WebPeer, operation: str, error: httpx.HTTPError | httpx.InvalidURL, *, began: bool = False
) -> DicomFabError:
    """What kept a request from being answered, or, if that began, an answer from being whole."""
    causes = list(_causes(error))
    secure = next((one for one in causes if isinstance(one, ssl.SSLError)), None)
    if secure is not None:
        connected = not isinstance(error, httpx.ConnectError)
        told = peer.explain_tls(secure, connected) or (None if connected else _tls(peer, secure))
        if told is not None:
            return told
    if isinstance(error, httpx.ConnectTimeout):
        return ConnectionFailed(
            f"{peer.label} did not answer the connection within {peer.connect_s:g} s.",
            cause="a firewall drops the traffic, or the address is wrong",
            remedy="verify network connectivity, and ensure the firewall allows traffic to this port",
        ).coded("no-answer")
    if isinstance(error, httpx.ConnectError):
        return _not_connected(peer, next((one for one in causes if isinstance(one, OSError)), None))
    if isinstance(error, httpx.TimeoutException):
        return _late(peer, operation, error, began)
    if isinstance(error, httpx.RemoteProtocolError) and "isconnect" not in str(error) and "closed" not in str(error):
        return violated(peer, operation, "it did not answer in HTTP", "the port belongs to something else")
    if isinstance(error, httpx.DecodingError):
        return violated(peer, operation, "what it compressed cannot be decompressed", "a fault in its software")
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol | httpx.LocalProtocolError):
        return InvalidInput(
            f"dicomweb_root: {peer.root!r} cannot be asked ({type(error).__name__})",
            field="dicomweb_root",
            value=peer.root,
            remedy=_CHECK_ROOT,
        )
    return lost(peer, operation)


def lost(peer: WebPeer, operation: str) -> ConnectionLost:
    """The connection ended before the answer did."""
    return ConnectionLost(
        f"{peer.label} ended the connection during {operation}, before its answer was whole.",
        cause="the server's process ended, it expects https, or a device in between cut the connection",
        remedy=f"try again; {_LOOK}; check the DICOMweb address",
    ).coded("closed")


def late(peer: WebPeer, operation: str, seconds: float) -> PeerTimeout:
    """An answer that began and did not come to its end."""
    return PeerTimeout(
        f"{peer.label} did not end its answer to {operation} within {seconds:g} s.",
        stage="pdu",
        timeout_s=seconds,
        cause="the server hangs, or is very slow",
        remedy=f"narrow the request; {_LOOK}",
    )


def violated(peer: WebPeer, operation: str, what: str, cause: str = "") -> ProtocolViolation:
    """What came is not what DICOMweb says."""
    return ProtocolViolation(
        f"{peer.label} broke the protocol of DICOMweb during {operation}: {what}.",
        cause=cause or "a fault in the server's software, or the DICOMweb address is not that of the services",
        remedy=_CHECK_ROOT,
    ).coded("violation")


def other_content(peer: WebPeer, operation: str, media_type: str) -> ProtocolViolation:
    """An answer of a media type that was not asked for."""
    page = media_type in ("text/html", "application/xhtml+xml")
    what = "a web page" if page else f"{media_type[:60]!r}" if media_type else "something of no media type"
    error = violated(peer, operation, f"it answered with {what}", _WRONG_ROOT if page else "")
    return error.coded("web-page" if page else "other-content")


def incomplete(peer: WebPeer, why: str) -> AnswerIncomplete:
    """An answer that does not hold all that there is."""
    return AnswerIncomplete(
        f"{peer.label} did not give its whole answer: {why}.",
        cause="a limit of the server, which cannot be asked for the rest",
        remedy="narrow the search; ask over DIMSE instead: --via dimse; have the limit raised",
    ).coded("incomplete")


def untold(peer: WebPeer, sop_instance_uid: str) -> AnswerIncomplete:
    """An instance that an answer to a store says nothing of."""
    return AnswerIncomplete(
        f"{peer.label} did not say what became of SOP instance {sop_instance_uid}.",
        cause="a fault in the server's software: every instance has to be in its answer",
        remedy="see whether it is there with a query; send it again",
    ).coded("untold")


def _late(peer: WebPeer, operation: str, error: httpx.TimeoutException, began: bool) -> PeerTimeout:
    is_write = isinstance(error, httpx.WriteTimeout)
    what = "stopped reading what was sent to it" if is_write else f"did not answer {operation}, or fell silent,"
    is_long = operation in ("WADO-RS", "STOW-RS") and not is_write and not began
    seconds = peer.retrieve_s if is_long else peer.read_s
    return PeerTimeout(
        f"{peer.label} {what} within {seconds:g} s.",
        stage="sending" if is_write else "dimse",
        timeout_s=seconds,
        cause="the server hangs or is overloaded",
        remedy=f"{_LOOK}; raise the timeout if it is known to be slow",
    )


def _not_connected(peer: WebPeer, error: OSError | None) -> ConnectionFailed:
    if isinstance(error, socket.gaierror):
        return ConnectionFailed(
            f"the host name of {peer.label} is not known ({error.strerror}).",
            cause="a typing error in the DICOMweb address, or this machine's DNS does not know it",
            remedy=_CHECK_ROOT,
        ).coded("name-unknown")
    if error is not None and error.errno == errno.ECONNREFUSED:
        return ConnectionFailed(
            f"nothing listens on {peer.label}: the connection was refused.",
            cause="the server is not running, or its DICOMweb port is another one",
            remedy=f"check if the server is running; {_CHECK_ROOT}",
        ).coded("refused")
    return ConnectionFailed(
        f"{peer.label} cannot be reached: {error.strerror if error is not None else 'no connection'}.",
        cause="no network route from this machine to the server",
        remedy="verify network connectivity (VPN, cable, routing)",
    ).coded("unreachable")


def _tls(peer: WebPeer, error: ssl.SSLError) -> TlsFailed:
    detail = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else error.reason
    return TlsFailed(
        f"the TLS handshake with {peer.label} failed: {detail}.",
        cause="its certificate is not trusted, or the two sides' settings of TLS do not go together",
        remedy=_LOOK,
    ).coded("tls-else")


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        yield at
        at = at.__cause__ or at.__context__


def _where(location: str) -> str:
    try:
        url = urlsplit(location)
        return f", to {url.scheme}://{url.netloc.rpartition('@')[2]}" if url.netloc else ""
    except ValueError:
        return ""
