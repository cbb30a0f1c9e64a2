"""What the upper layer reports: the indication and confirmation primitives of PS3.8 section 7."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from dicomfab.ul.pdu import AssociateAC, AssociateRJ, AssociateRQ


@dataclass(frozen=True, slots=True)
class AssociationRequested:
    """A-ASSOCIATE indication: accept it or reject it."""

    request: AssociateRQ


@dataclass(frozen=True, slots=True)
class RequestRefused:
    """The service provider itself rejected an A-ASSOCIATE-RQ (protocol version, application context)."""

    request: AssociateRQ
    rejection: AssociateRJ


@dataclass(frozen=True, slots=True)
class AssociationAccepted:
    """A-ASSOCIATE confirmation: established."""

    answer: AssociateAC


@dataclass(frozen=True, slots=True)
class AssociationRejected:
    """A-ASSOCIATE confirmation: rejected."""

    rejection: AssociateRJ


class Fragment(NamedTuple):
    """P-DATA indication: bytes of a presentation data value (PS3.8 9.3.5.1, annex E.2).

    Args:
        context_id: the presentation context.
        is_command: of a command set, else of a data set.
        is_last: nothing of this command set or data set follows.
        data: valid only until the next :meth:`~dicomfab.ul.layer.UpperLayer.get_buffer`.
    """

    context_id: int
    is_command: bool
    is_last: bool
    data: memoryview


@dataclass(frozen=True, slots=True)
class ReleaseRequested:
    """A-RELEASE indication: answer it with ``release_response``.

    After a release collision the acceptor's answer waits for :class:`Released` (Sta10, PS3.8 table 9-10).
    """


@dataclass(frozen=True, slots=True)
class Released:
    """A-RELEASE confirmation: the association ended in order."""


@dataclass(frozen=True, slots=True)
class Aborted:
    """A-ABORT or A-P-ABORT indication from the peer.

    Args:
        source: 0 the peer's user, 2 its service provider (PS3.8 table 9-26).
        reason: significant for source 2 only.
    """

    source: int
    reason: int


@dataclass(frozen=True, slots=True)
class ProtocolViolated:
    """A-P-ABORT indication of our own provider: the peer broke the protocol and was sent an A-ABORT.

    Args:
        what: one clause.
        reason: of table 9-26; sent but in Sta2, where our A-ABORT names the service user and has none (AA-1).
        first_bytes: the first bytes of what is no PDU (at most 16), to tell TLS and HTTP by; else empty.
    """

    what: str
    reason: int
    first_bytes: bytes = b""


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """A-P-ABORT indication: the transport connection closed before the association had ended."""


Event: TypeAlias = (
    AssociationRequested
    | RequestRefused
    | AssociationAccepted
    | AssociationRejected
    | Fragment
    | ReleaseRequested
    | Released
    | Aborted
    | ProtocolViolated
    | ConnectionLost
)
