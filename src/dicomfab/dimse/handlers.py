"""What a server of DIMSE services is told, and what it must be able to do: one small protocol per service.

A handler refuses by raising :class:`Refusal` with the status to answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydicom import Dataset

from dicomfab.model.query import QueryModel
from dicomfab.model.study import Buffer, InstanceFile, InstanceIdentity


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """How a server presents itself.

    Args:
        ae_title: its own; another called AE title is rejected 1/1/7 (PS3.8 9.3.4).
        host: the address to bind to.
        port: 0 takes a free one.
        known_calling_ae_titles: if given, any other calling AE title is rejected 1/1/3.
        max_associations: further ones are rejected 2/3/2.
    """

    ae_title: str
    host: str = "127.0.0.1"
    port: int = 0
    known_calling_ae_titles: frozenset[str] | None = None
    max_associations: int = 50


class Refusal(Exception):
    """Answer the request with this status (PS3.7 annex C).

    Args:
        status: a failure or warning status.
        comment: goes into ErrorComment (0000,0902), cut at 64 characters; never a patient's name.
    """

    def __init__(self, status: int, comment: str = "") -> None:
        super().__init__(f"{status:04X} {comment}")
        self.status = status
        self.comment = comment[:64]


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


class RetrieveHandler(Protocol):
    """What C-MOVE and C-GET send (PS3.4 C.4.2, C.4.3)."""

    def select(self, requestor: Requestor, model: QueryModel, identifier: Dataset) -> Sequence[InstanceFile]:
        """The instances that the identifier names. May raise :class:`Refusal`."""

    def destination(self, requestor: Requestor, move_destination: str) -> tuple[str, int] | None:
        """Host and port of a move destination; ``None`` if this server does not know the AE title (A801)."""


class Handlers(StoreHandler, FindHandler, RetrieveHandler, Protocol):
    """All of them: what a PACS answers."""
