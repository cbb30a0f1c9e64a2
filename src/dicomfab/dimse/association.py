"""The association as the SCU services see it, whatever wire lies below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from pydicom import Dataset

from dicomfab.dimse.handlers import StoreHandler
from dicomfab.dimse.messages import Implementation, ProposedContext, Response
from dicomfab.dimse.peer import Peer
from dicomfab.model.study import InstanceFile


class Association(Protocol):
    """An established association, requested by us. Every method raises a ``PeerError`` when no response comes."""

    @property
    def implementation(self) -> Implementation:
        """Who the peer says it is."""

    def accepted(self, abstract_syntax: str) -> frozenset[str]:
        """The transfer syntaxes that the peer accepted for an abstract syntax."""

    def echo(self) -> Response:
        """C-ECHO (PS3.7 9.1.5)."""

    def store(self, instance: InstanceFile) -> Response:
        """C-STORE of one file as it is, unless the peer wants the other little endian encoding (PS3.7 9.1.1)."""

    def find(self, sop_class_uid: str, identifier: Dataset) -> Iterator[tuple[Response, Dataset | None]]:
        """C-FIND (PS3.7 9.1.2): every response, the last one final."""

    def move(self, sop_class_uid: str, identifier: Dataset, move_destination: str) -> Iterator[Response]:
        """C-MOVE (PS3.7 9.1.4): every response, the last one final."""

    def get(self, sop_class_uid: str, identifier: Dataset) -> Iterator[Response]:
        """C-GET (PS3.7 9.1.3): every response, the last one final; instances go to the store handler."""

    def cancel(self, sop_class_uid: str) -> None:
        """Send C-CANCEL for the request under way (PS3.7 9.3.2.3)."""


def associate(
    peer: Peer, contexts: Sequence[ProposedContext], *, store_handler: StoreHandler | None = None
) -> AbstractContextManager[Association]:
    """Request an association; released on leaving, aborted when left by an exception.

    Args:
        peer: whom to call, and as whom.
        contexts: at most 128 presentation contexts.
        store_handler: takes what the peer stores on this association (C-GET).

    Raises:
        ConnectionFailed: no TCP connection.
        AssociationRejected: A-ASSOCIATE-RJ.
        PeerTimeout: no answer in time.
        AssociationAborted: the peer hung up.
        ContextRejected: none of the contexts was accepted.
    """
    from dicomfab.dimse.pynetdicom_wire import request

    return request(peer, contexts, store_handler=store_handler)
