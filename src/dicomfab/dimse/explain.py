"""Turn what happened on the road to a peer into the error that the user sees: what, likely cause, remedy."""

from __future__ import annotations

import errno
import socket

from dicomfab.dimse.messages import ProposedContext
from dicomfab.dimse.peer import Peer
from dicomfab.model.errors import (
    AssociationAborted,
    AssociationRejected,
    ConnectionFailed,
    ContextRejected,
    PeerTimeout,
)

# PS3.8 table 9-21: (source, reason) -> (meaning, likely cause, remedy)
_REJECTIONS: dict[tuple[int, int], tuple[str, str, str]] = {
    (1, 1): (
        "no reason given",
        "the server does not know this AE title from this address, or is paused",
        "have the server's administrator register our AE title and IP address",
    ),
    (1, 2): (
        "application context name not supported",
        "the port belongs to something that is not a DICOM server",
        "check the DICOM port",
    ),
    (1, 3): (
        "calling AE title not recognized",
        "the server does not know our AE title {calling!r} (case and spaces count)",
        "check your application's AE Titles, and have the server's administrator add {calling!r}",
    ),
    (1, 7): (
        "called AE title not recognized",
        "the server on this port does not go by the AE title {called!r} (case counts)",
        "verify the server's AE Title (AEC) with its administrator",
    ),
    (2, 1): ("no reason given", "a router or proxy in between refuses us", "look at the server's log"),
    (2, 2): ("protocol version not supported", "the peer is not a DICOM server", "check the DICOM port"),
    (3, 1): ("temporary congestion", "the server is busy or restarting", "try again in a moment"),
    (3, 2): (
        "local limit exceeded",
        "the server has as many associations open as it allows",
        "try again in a moment; lower the number of parallel associations",
    ),
}


def rejected(peer: Peer, result: int, source: int, reason: int) -> AssociationRejected:
    """An A-ASSOCIATE-RJ, in words."""
    text, cause, remedy = _REJECTIONS.get(
        (source, reason), ("unknown reason", "not a combination of the standard", "look at the server's log")
    )
    names = {"calling": peer.calling_ae_title, "called": peer.called_ae_title}
    permanence = "permanently" if result == 1 else "for now"
    return AssociationRejected(
        f"{peer.label} refuses the association {permanence}: {text} "
        f"(called {peer.called_ae_title!r}, calling {peer.calling_ae_title!r}, code {result}/{source}/{reason}).",
        result=result,
        source=source,
        reason=reason,
        cause=cause.format(**names),
        remedy=remedy.format(**names),
    )


def name_unknown(peer: Peer, error: OSError) -> ConnectionFailed:
    """The host name could not be resolved."""
    return ConnectionFailed(
        f"the host name {peer.host!r} of {peer.label} is not known ({error.strerror or error}).",
        cause="a typing error in the server address, or this machine's DNS does not know it",
        remedy="check server address and port; try the IP address instead",
    )


def not_connected(peer: Peer, error: OSError) -> ConnectionFailed:
    """No TCP connection, by the operating system's reason."""
    if isinstance(error, ConnectionRefusedError) or error.errno == errno.ECONNREFUSED:
        return ConnectionFailed(
            f"nothing listens on {peer.label}: the connection was refused.",
            cause="the server is not running, or the DICOM port is another one",
            remedy="check server address and port, and check if the server is running",
        )
    if isinstance(error, TimeoutError | socket.timeout):
        return ConnectionFailed(
            f"{peer.label} did not answer the TCP connection within {peer.timeouts.connect_s:g} s.",
            cause="a firewall drops the traffic, or the address is wrong",
            remedy="verify network connectivity, and ensure the firewall allows DICOM traffic to this port",
        )
    return ConnectionFailed(
        f"{peer.label} cannot be reached: {error.strerror or error}.",
        cause="no network route from this machine to the server",
        remedy="verify network connectivity (VPN, cable, routing)",
    )


def silent(peer: Peer, stage: str, timeout_s: float) -> PeerTimeout:
    """Connected, then nothing."""
    waited = {
        "association": "accepted the connection but did not answer the association request",
        "dimse": "accepted the association but did not answer the request",
    }[stage]
    return PeerTimeout(
        f"{peer.label} {waited} within {timeout_s:g} s.",
        stage=stage,
        timeout_s=timeout_s,
        cause=(
            "the port belongs to something that is not a DICOM server, expects TLS, or the server hangs"
            if stage == "association"
            else "the server hangs or is overloaded"
        ),
        remedy=(
            "check the DICOM port (not the web port); restart the server if it hangs"
            if stage == "association"
            else "look at the server's log; raise the timeout if it is known to be slow"
        ),
    )


def aborted(peer: Peer, doing: str) -> AssociationAborted:
    """A-ABORT, or the connection dropped."""
    return AssociationAborted(
        f"{peer.label} ended the connection {doing}.",
        cause="the server's application failed, its own timeout ran out, or the port is not a DICOM port",
        remedy="look at the server's log at this moment; try again",
    )


def no_context(peer: Peer, wanted: tuple[ProposedContext, ...] | str) -> ContextRejected:
    """The association stands, but without a context for what we want to do."""
    what = wanted if isinstance(wanted, str) else ", ".join(sorted({_uid_name(c.abstract_syntax) for c in wanted}))
    return ContextRejected(
        f"{peer.label} accepts no presentation context for {what}.",
        cause="the server does not offer this service or object type on this port and AE title",
        remedy="check that this is the right server and port, or have its administrator enable the SOP class",
    )


def _uid_name(uid: str) -> str:
    from pydicom.uid import UID

    return UID(uid).name
