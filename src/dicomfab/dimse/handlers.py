"""What a server of DIMSE services is told, and what it must be able to do: one small protocol per service.

A handler refuses by raising :class:`Refusal` with the status to answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from dicomfab.dimse.tls_settings import TlsServerSettings
from dicomfab.dimse.trace import TraceBook
from dicomfab.dimse.transport.faults import FaultPlan
from dicomfab.model.query import QueryModel
from dicomfab.model.study import Buffer, InstanceFile, InstanceIdentity
from dicomfab.ul import UserIdentity

if TYPE_CHECKING:
    from pydicom import Dataset


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """How a server presents itself.

    Args:
        ae_title: its own; another called AE title is rejected 1/1/7 (PS3.8 9.3.4).
        host: the address to bind to.
        port: 0 takes a free one.
        known_calling_ae_titles: if given, any other calling AE title is rejected 1/1/3.
        max_associations: further ones are rejected 2/3/2.
        max_pdu_length: the longest P-DATA-TF variable field taken, in bytes; 0 is no limit.
        artim_s: how long a caller may take to ask for an association, and to close after the last word (PS3.8 9.1.4).
        pdu_timeout_s: how long the rest of a PDU that has begun may take, and how long a caller may leave unread what
            is sent to it.
        idle_s: how long an association may stay open between two requests.
        tls: how callers have to secure the connection; none means plain TCP.
        identify: judges the user identity that a caller gives: the server response (may be empty), or ``None`` to
            reject. Left out, any is accepted (PS3.7 D.3.3.7).
        faults: what to do wrong on purpose; none for a server that behaves.
        traces: where to note what happens on each association, if anywhere.
    """

    ae_title: str
    host: str = "127.0.0.1"
    port: int = 0
    known_calling_ae_titles: frozenset[str] | None = None
    max_associations: int = 50
    max_pdu_length: int = 128 << 10
    artim_s: float = 30.0
    pdu_timeout_s: float = 30.0
    idle_s: float = 600.0
    tls: TlsServerSettings | None = None
    identify: Callable[[UserIdentity], bytes | None] | None = None
    faults: FaultPlan | None = None
    traces: TraceBook | None = None


class Refusal(Exception):
    """Answer the request with this status (PS3.7 annex C).

    Args:
        status: a failure or warning status.
        comment: goes into ErrorComment (0000,0902), cut at 64 characters; never a patient's name.
        error_id: goes into ErrorID (0000,0903), where the SOP class defines one (PS3.7 C.5.20).
    """

    def __init__(self, status: int, comment: str = "", *, error_id: int | None = None) -> None:
        super().__init__(f"{status:04X} {comment}")
        self.status = status
        self.comment = comment[:64]
        self.error_id = error_id


@dataclass(frozen=True, slots=True)
class Requestor:
    """Who asks.

    Args:
        ae_title: its calling AE title.
        address: its IP address.
    """

    ae_title: str
    address: str


class StoreSink(Protocol):
    """Takes one data set in pieces, as it comes over the wire."""

    def write(self, chunk: Buffer) -> None:
        """Take the next bytes of the encoded data set."""

    def finish(self) -> int:
        """Keep the instance safely; returns the C-STORE status. May raise :class:`Refusal`."""

    def discard(self) -> None:
        """Forget the instance: the association ended before it was whole."""


class StoreHandler(Protocol):
    """C-STORE (PS3.4 annex B)."""

    def begin_store(self, requestor: Requestor, identity: InstanceIdentity) -> StoreSink:
        """Open a sink for one instance. May raise :class:`Refusal`."""


class FindHandler(Protocol):
    """C-FIND (PS3.4 C.4.1)."""

    def find(self, requestor: Requestor, model: QueryModel, identifier: Dataset) -> Iterator[Dataset]:
        """Yield the identifier of each match. May raise :class:`Refusal`."""


@runtime_checkable
class WorklistHandler(Protocol):
    """C-FIND of the Modality Worklist (PS3.4 K.4.1); a server offers it if its handlers have this method."""

    def worklist(self, requestor: Requestor, identifier: Dataset) -> Iterator[Dataset]:
        """Yield the identifier of each scheduled procedure step that matches. May raise :class:`Refusal`."""


class RetrieveHandler(Protocol):
    """What C-MOVE and C-GET send (PS3.4 C.4.2, C.4.3)."""

    def select(self, requestor: Requestor, model: QueryModel, identifier: Dataset) -> Sequence[InstanceFile]:
        """The instances that the identifier names. May raise :class:`Refusal`."""

    def destination(self, requestor: Requestor, move_destination: str) -> tuple[str, int] | None:
        """Host and port of a move destination; ``None`` if this server does not know the AE title (A801)."""


@dataclass(frozen=True, slots=True)
class NormalizedRequest:
    """An N-CREATE, N-SET, N-GET, N-ACTION, N-EVENT-REPORT or N-DELETE (PS3.7 10.1).

    Args:
        operation: its name.
        sop_class_uid: of the request.
        sop_instance_uid: empty if an N-CREATE leaves it to us.
        number: the action type ID or event type ID; 0 for the other operations.
        tags: the attributes that an N-GET wants; none means all.
        attributes: the data set that came with it.
    """

    operation: str
    sop_class_uid: str
    sop_instance_uid: str
    number: int = 0
    tags: tuple[int, ...] = ()
    attributes: Dataset | None = None


@dataclass(frozen=True, slots=True)
class NormalizedReply:
    """What is answered.

    Args:
        status: PS3.7 annex C.
        sop_instance_uid: the one made by an N-CREATE that left it open.
        attributes: the data set to send along.
    """

    status: int = 0x0000
    sop_instance_uid: str = ""
    attributes: Dataset | None = None


class NormalizedHandler(Protocol):
    """The N-services of one SOP class (PS3.7 section 10)."""

    def perform(self, requestor: Requestor, request: NormalizedRequest) -> NormalizedReply:
        """Do it. May raise :class:`Refusal`; 0211 for an operation that the SOP class does not have."""


class Handlers(StoreHandler, FindHandler, RetrieveHandler, Protocol):
    """All of them: what a PACS answers."""
