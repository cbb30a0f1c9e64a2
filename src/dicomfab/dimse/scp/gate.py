"""Who judges the callers of a server, and handlers for one that only stores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NoReturn, Protocol

from pydicom import Dataset

from dicomfab.dimse.handlers import Handlers, Refusal, Requestor, StoreSink
from dicomfab.model.query import QueryModel
from dicomfab.model.study import InstanceIdentity
from dicomfab.ul import AssociateRJ

_SOP_CLASS_NOT_SUPPORTED: Final = 0x0122


class Gate(Protocol):
    """Judges callers, and is told how it went with each."""

    def admit(self, requestor: Requestor) -> Handlers | str:
        """The handlers of a caller's association; or why it is rejected 1/1/3, in a clause for the log."""

    def rejected(self, requestor: Requestor, called_ae_title: str, rejection: AssociateRJ, why: str) -> None:
        """An association was rejected; ``why`` is what :meth:`admit` said, if it was that."""

    def ended(self, requestor: Requestor, handlers: Handlers, how: str) -> None:
        """An association that was admitted is over; ``how`` is blank if it was released in order."""


class StoreOnly:
    """Handlers that hold nothing to search or retrieve: any C-FIND, C-MOVE and C-GET is refused with 0122."""

    def begin_store(self, requestor: Requestor, identity: InstanceIdentity) -> StoreSink:
        """Refuse, unless a subclass knows better."""
        self._refuse()

    def find(self, requestor: Requestor, model: QueryModel, identifier: Dataset) -> Iterator[Dataset]:
        """Refuse."""
        self._refuse()

    def select(self, requestor: Requestor, model: QueryModel, identifier: Dataset) -> NoReturn:
        """Refuse."""
        self._refuse()

    def destination(self, requestor: Requestor, move_destination: str) -> NoReturn:
        """Refuse."""
        self._refuse()

    @staticmethod
    def _refuse() -> NoReturn:
        raise Refusal(_SOP_CLASS_NOT_SUPPORTED, "only verification and storage here")
