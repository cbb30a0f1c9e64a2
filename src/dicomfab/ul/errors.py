"""What can be wrong with bytes from the peer, and with calls from our own side."""

from __future__ import annotations

# A-ABORT reasons of the service provider (PS3.8 9.3.8, table 9-26).
NOT_SPECIFIED = 0
UNRECOGNIZED_PDU = 1
UNEXPECTED_PDU = 2
UNRECOGNIZED_PDU_PARAMETER = 4
UNEXPECTED_PDU_PARAMETER = 5
INVALID_PDU_PARAMETER_VALUE = 6


class ProtocolError(Exception):
    """The peer sent what PS3.8 does not allow.

    Args:
        what: one clause, without data of the peer other than numbers.
        reason: the A-ABORT reason that answers it (PS3.8 table 9-26).

    Attributes:
        first_bytes: of what is no PDU at all, to tell by what it is; else empty.
    """

    def __init__(self, what: str, reason: int = INVALID_PDU_PARAMETER_VALUE) -> None:
        super().__init__(what)
        self.what = what
        self.reason = reason
        self.first_bytes = b""


class LocalProtocolError(Exception):
    """Our own side asked for what the state of the association, or the standard, does not allow; nothing was sent."""
