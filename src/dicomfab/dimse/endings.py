"""The ways in which an association ends other than as agreed: one class each, told apart at the wire.

They stay inside this package: the requesting side turns each into an error of :mod:`dicomfab.model.errors` (see
:func:`dicomfab.dimse.explain.ended`), the serving side into a line of the log.
"""

from __future__ import annotations

import enum


class Stage(enum.StrEnum):
    """What was being waited for when time ran out."""

    ASSOCIATION = "association"  # the answer to A-ASSOCIATE-RQ, or the request itself (ARTIM)
    RESPONSE = "dimse"  # a DIMSE response
    PDU = "pdu"  # the rest of a PDU that had begun
    SENDING = "sending"  # the peer to read what we send
    RELEASE = "release"  # the answer to A-RELEASE-RQ
    IDLE = "idle"  # the next request on an open association


class Ending(Exception):
    """Base of all of them."""


class TimedOut(Ending):
    """Nothing happened within the deadline; we hung up."""

    def __init__(self, stage: Stage, timeout_s: float) -> None:
        super().__init__(f"{stage}: {timeout_s:g} s")
        self.stage = stage
        self.timeout_s = timeout_s


class PeerAborted(Ending):
    """The peer sent A-ABORT (PS3.8 9.3.8)."""

    def __init__(self, source: int, reason: int) -> None:
        super().__init__(f"A-ABORT {source}/{reason}")
        self.source = source
        self.reason = reason


class ConnectionDropped(Ending):
    """The connection closed without A-ABORT or A-RELEASE.

    Args:
        reset: by RST, as a killed process or a firewall does it, rather than by FIN.
    """

    def __init__(self, *, reset: bool) -> None:
        super().__init__("reset" if reset else "closed")
        self.reset = reset


class PeerViolated(Ending):
    """The peer sent what the protocol does not allow; we sent A-ABORT.

    Args:
        what: one clause.
        first_bytes: of what is no PDU at all.
    """

    def __init__(self, what: str, first_bytes: bytes = b"") -> None:
        super().__init__(what)
        self.what = what
        self.first_bytes = first_bytes


class PeerReleased(Ending):
    """The peer released the association, in order; for a requestor in the middle of a request it is out of order."""


class AbortedHere(Ending):
    """Our own side aborted, from another thread or on shutdown."""
