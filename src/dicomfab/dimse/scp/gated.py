"""A server that looks at who calls, and answers each association with handlers of its own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Final, NoReturn, Protocol

from pydicom import Dataset

from dicomfab.dimse.endings import Ending
from dicomfab.dimse.handlers import Handlers, Refusal, Requestor, ServerConfig, StoreSink
from dicomfab.dimse.link import Message
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scp.services import answer
from dicomfab.dimse.scp.session import Session
from dicomfab.dimse.transport.channel import Channel
from dicomfab.model.query import QueryModel
from dicomfab.model.study import InstanceIdentity
from dicomfab.ul import AssociateRJ, AssociateRQ

_SOP_CLASS_NOT_SUPPORTED: Final = 0x0122
_NOT_RECOGNIZED: Final = AssociateRJ(1, 1, 3)  # permanent, service user, calling AE title (PS3.8 table 9-21)


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


class GatedServer(Server):
    """A running DIMSE server whose associations a :class:`Gate` admits; use as a context manager.

    Args:
        config: how it presents itself; whom it knows is the gate's business.
        gate: admits callers, from the thread of each.
    """

    def __init__(self, config: ServerConfig, gate: Gate) -> None:
        super().__init__(config, StoreOnly())
        self._gate = gate

    def _serve(self, connection: socket.socket, address: str) -> None:
        thread = threading.current_thread()
        thread.name = f"dimse-{address}"
        admitted = threading.Event()
        try:
            channel = self._channel(connection, address)
            if channel is not None:
                slot = (lambda: self._enter(admitted), lambda: self._leave(admitted))
                session = _GatedSession(self._gate, channel, address, self._config, *slot)
                self._ended_by(session.abort)
                session.serve(answer)
        finally:
            connection.close()
            self._leave(admitted)
            with self._lock:
                del self._sessions[thread]

    def _enter(self, admitted: threading.Event) -> bool:
        with self._lock:
            if self._admitted < self._config.max_associations:
                self._admitted += 1
                admitted.set()
            return admitted.is_set()

    def _leave(self, admitted: threading.Event) -> None:
        with self._lock:
            if admitted.is_set():
                self._admitted -= 1
                admitted.clear()


class _GatedSession(Session):
    def __init__(
        self,
        gate: Gate,
        channel: Channel,
        address: str,
        config: ServerConfig,
        admit: Callable[[], bool],
        leave: Callable[[], None],
    ) -> None:
        super().__init__(channel, address, config, StoreOnly(), {}, admit, leave)
        self._gate = gate
        self._leave = leave
        self._is_admitted = False
        self._how = ""

    def serve(self, answer: Callable[[Session, Message], None]) -> None:
        try:
            super().serve(answer)
        finally:
            if self._is_admitted:
                self._gate.ended(self.requestor, self.handlers, self._how)

    def _judged(self, request: AssociateRQ) -> tuple[bytes | None, AssociateRJ | None]:
        identity_answer, refusal = super()._judged(request)
        why = ""
        if refusal is None:
            admission = self._gate.admit(self.requestor)
            if isinstance(admission, str):
                refusal, why = _NOT_RECOGNIZED, admission
                self._leave()  # at once: whoever is rejected may take its time to hang up
            else:
                self.handlers, self._is_admitted = admission, True
        if refusal is not None:
            self._gate.rejected(self.requestor, request.called_ae_title, refusal, why)
        return identity_answer, refusal

    def _log_ending(self, ending: Ending) -> None:
        self._how = f"{type(ending).__name__}: {ending}"
        super()._log_ending(ending)
