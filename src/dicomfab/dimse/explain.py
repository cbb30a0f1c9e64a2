"""Turn what happened on the road to a peer into the error that the user sees: what, likely cause, remedy."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable

from dicomfab.dimse.endings import (
    AbortedHere,
    ConnectionDropped,
    Ending,
    PeerAborted,
    PeerReleased,
    PeerViolated,
    Stage,
    TimedOut,
)
from dicomfab.dimse.explain_tls import alert_after_handshake, looks_like_tls, peer_speaks_tls
from dicomfab.dimse.peer import Peer
from dicomfab.model.errors import (
    AssociationAborted,
    AssociationRejected,
    ConnectionFailed,
    ConnectionLost,
    ContextRejected,
    DicomFabError,
    Interrupted,
    PeerError,
    PeerTimeout,
    ProtocolViolation,
    TranscodingFailed,
)
from dicomfab.model.study import InstanceIdentity

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


def rejection_words(source: int, reason: int) -> str:
    """What an A-ASSOCIATE-RJ says (PS3.8 table 9-21)."""
    return _REJECTIONS[source, reason][0] if (source, reason) in _REJECTIONS else "unknown reason"


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


def name_unknown(peer: Peer, error: OSError | UnicodeError) -> ConnectionFailed:
    """The host name could not be resolved."""
    return ConnectionFailed(
        f"the host name {peer.host!r} of {peer.label} is not known ({getattr(error, 'strerror', None) or error}).",
        cause="a typing error in the server address, or this machine's DNS does not know it",
        remedy="check server address and port; try the IP address instead",
    ).coded("name-unknown")


def not_connected(peer: Peer, error: OSError) -> ConnectionFailed:
    """No TCP connection, by the operating system's reason."""
    if isinstance(error, ConnectionRefusedError) or error.errno == errno.ECONNREFUSED:
        return ConnectionFailed(
            f"nothing listens on {peer.label}: the connection was refused.",
            cause="the server is not running, or the DICOM port is another one",
            remedy="check server address and port, and check if the server is running",
        ).coded("refused")
    if isinstance(error, TimeoutError | socket.timeout):
        return ConnectionFailed(
            f"{peer.label} did not answer the TCP connection within {peer.timeouts.connect_s:g} s.",
            cause="a firewall drops the traffic, or the address is wrong",
            remedy="verify network connectivity, and ensure the firewall allows DICOM traffic to this port",
        ).coded("no-answer")
    if isinstance(error, ConnectionResetError):
        return ConnectionFailed(
            f"{peer.label} took the connection and reset it at once.",
            cause="the server allows no connections from this address, or the port is not a DICOM port",
            remedy="look at the server's log at this moment; check the DICOM port",
        ).coded("reset-unanswered")
    return ConnectionFailed(
        f"{peer.label} cannot be reached: {error.strerror or error}.",
        cause="no network route from this machine to the server",
        remedy="verify network connectivity (VPN, cable, routing)",
    ).coded("unreachable")


def ended(peer: Peer, ending: Ending, doing: str, *, answered: bool = True) -> DicomFabError:
    """Why an association ended, or never began.

    Args:
        peer: the other side.
        ending: as the wire saw it.
        doing: when, in words: ``during C-STORE``.
        answered: whether the peer had said anything before.
    """
    match ending:
        case TimedOut():
            return timed_out(peer, ending)
        case PeerAborted():
            return aborted(peer, ending, doing)
        case ConnectionDropped():
            return dropped(peer, ending, doing, answered=answered)
        case PeerViolated():
            return violated(peer, ending, doing)
        case PeerReleased():
            return AssociationAborted(
                f"{peer.label} released the association {doing}.",
                cause="the server's application gave up on the request, or its own timeout ran out",
                remedy="look at the server's log at this moment; try again",
            ).coded("released")
        case AbortedHere():
            return Interrupted(f"the association with {peer.label} was aborted from this side {doing}.")
    raise AssertionError(f"an ending that nobody explains: {ending!r}")


# stage -> (what the peer did not do, likely cause, remedy)
_TIMEOUTS: dict[Stage, tuple[str, str, str]] = {
    Stage.ASSOCIATION: (
        "accepted the connection but did not answer the association request",
        "the port belongs to something that is not a DICOM server, expects TLS, or the server hangs",
        "check the DICOM port (not the web port); restart the server if it hangs",
    ),
    Stage.RESPONSE: (
        "accepted the association but did not answer the request",
        "the server hangs or is overloaded",
        "look at the server's log; raise the timeout if it is known to be slow",
    ),
    Stage.PDU: (
        "began to answer and fell silent in the middle of a message",
        "the server's application hangs, or a firewall or router in between holds the rest back",
        "look at the server's log; check devices in between that inspect or limit traffic",
    ),
    Stage.SENDING: (
        "stopped reading what was sent to it",
        "the server's disk or application hangs, or a firewall in between dropped the connection",
        "look at the server's log and disk; check devices in between that inspect or limit traffic",
    ),
    Stage.RELEASE: (
        "did not answer the request to release the association",
        "the server hangs; what was done before stands",
        "look at the server's log",
    ),
    Stage.IDLE: (
        "asked for nothing on its open association",
        "it forgot to release the association, or hangs",
        "look at the log of the other side",
    ),
}


def timed_out(peer: Peer, ending: TimedOut) -> PeerTimeout:
    """Connected, then nothing, by what was waited for."""
    what, cause, remedy = _TIMEOUTS[ending.stage]
    return PeerTimeout(
        f"{peer.label} {what} within {ending.timeout_s:g} s.",
        stage=str(ending.stage),
        timeout_s=ending.timeout_s,
        cause=cause,
        remedy=remedy,
    )


# PS3.8 table 9-26, for source 2
_ABORT_REASONS = {
    0: "reason not specified",
    1: "unrecognized PDU",
    2: "unexpected PDU",
    4: "unrecognized PDU parameter",
    5: "unexpected PDU parameter",
    6: "invalid PDU parameter value",
}


def aborted(peer: Peer, ending: PeerAborted, doing: str) -> AssociationAborted:
    """A-ABORT."""
    if ending.source == 2:
        why = f"its protocol layer, {_ABORT_REASONS.get(ending.reason, 'unknown reason')}"
        cause = "the server could not make sense of what we sent, or a device in between changed it"
        remedy = "look at the server's log at this moment; report it with a trace (--trace) if it happens again"
    else:
        why = "its application"
        cause = "the server's application failed, its own timeout ran out, or it refuses the object"
        remedy = "look at the server's log at this moment; try again"
    return AssociationAborted(
        f"{peer.label} aborted the association {doing} ({why}, code {ending.source}/{ending.reason}).",
        cause=cause,
        remedy=remedy,
    ).coded(f"abort-{ending.source}-{ending.reason}")


def dropped(peer: Peer, ending: ConnectionDropped, doing: str, *, answered: bool) -> PeerError:
    """The connection closed under the association."""
    if peer.tls is not None and not answered:
        cause = ending.__cause__
        refused = alert_after_handshake(peer, cause if isinstance(cause, OSError) else None)
        if refused is not None:
            return refused
    how = "reset" if ending.reset else "closed"
    return ConnectionLost(
        f"{peer.label} ended the connection {doing}: it was {how} without an abort.",
        cause="the server's process ended, or a device in between cut the connection"
        if answered
        else "the port expects TLS or is not a DICOM port, or the server allows no connections from this address",
        remedy="look at the server's log at this moment; check the DICOM port; try again",
    ).coded(how if answered else f"{how}-unanswered")


def violated(peer: Peer, ending: PeerViolated, doing: str) -> PeerError:
    """What came was not what the protocol allows."""
    if looks_like_tls(ending.first_bytes):
        return peer_speaks_tls(peer)
    if ending.first_bytes:
        # Only what begins like a known protocol is shown: bytes of an unknown one may be anything.
        speaks = next((name for start, name in _BANNERS.items() if ending.first_bytes.startswith(start)), "")
        what = f"answered in {speaks}" if speaks else "sent what is not DICOM"
        return ProtocolViolation(
            f"{peer.label} {what} {doing}.",
            cause="the port is not a DICOM port but that of another service",
            remedy="check the DICOM port (not the web port)",
        ).coded(f"speaks-{speaks}" if speaks else "not-dicom")
    return ProtocolViolation(
        f"{peer.label} broke the DICOM protocol {doing}: {ending.what}.",
        cause="a fault in the server's software, or a device in between that changes the traffic",
        remedy="report it to the server's maker with a trace (--trace)",
    ).coded("violation")


_BANNERS = {b"HTTP": "HTTP", b"SSH-": "SSH", b"220 ": "SMTP or FTP", b"<?xml": "XML", b"\x0bMSH": "HL7"}


def no_context(peer: Peer, wanted: Iterable[str] | str, *, only_syntaxes: bool = False) -> ContextRejected:
    """The association stands, but without a context for what we want to do.

    Args:
        peer: the other side.
        wanted: SOP class UIDs, or what for in words.
        only_syntaxes: the peer said that it knows the SOP classes, and none of the transfer syntaxes proposed.
    """
    what = wanted if isinstance(wanted, str) else ", ".join(sorted(map(uid_name, set(wanted))))
    if only_syntaxes:
        return ContextRejected(
            f"{peer.label} accepts {what} in none of the transfer syntaxes proposed.",
            cause="the server has no codec for them, or they are switched off there",
            remedy="have its administrator enable the transfer syntax, or let the instances be converted for it",
        ).coded("no-transfer-syntax")
    return ContextRejected(
        f"{peer.label} accepts no presentation context for {what}.",
        cause="the server does not offer this service or object type on this port and AE title",
        remedy="check that this is the right server and port, or have its administrator enable the SOP class",
    ).coded("no-context")


def not_taken(peer: Peer, identity: InstanceIdentity, why: TranscodingFailed | None = None) -> ContextRejected:
    """An instance that the peer takes in no transfer syntax that it is in, or can be brought into.

    Args:
        peer: the other side.
        identity: the instance.
        why: what went wrong when it was to be converted to one that the peer takes.
    """
    error = no_context(peer, f"{uid_name(identity.sop_class_uid)} in {uid_name(identity.transfer_syntax_uid)}")
    error.cause = "the server does not take this object type, or takes it in other transfer syntaxes only"
    error.remedy = (
        "have its administrator enable the SOP class or the transfer syntax, or let the instance be converted"
    )
    if why is not None:
        error.cause = f"the server does not take this transfer syntax, and converting it failed: {why.what}"
        error.remedy = why.remedy or error.remedy
    return error


def uid_name(uid: str) -> str:
    """What the standard calls a UID; itself if it calls it nothing."""
    from pydicom.uid import UID

    return UID(uid).name
