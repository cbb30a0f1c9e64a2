"""The protocol machine of one association: PS3.8 section 9.2 over the bytes of section 9.3."""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from dicomfab.ul import events as ev
from dicomfab.ul.errors import NOT_SPECIFIED, UNEXPECTED_PDU, UNRECOGNIZED_PDU, LocalProtocolError, ProtocolError
from dicomfab.ul.pdata import COMMAND, LAST, MIN_PDU_LENGTH, PDV_HEADER_BYTES, Chunk, fragments
from dicomfab.ul.pdu import (
    DICOM_APPLICATION_CONTEXT,
    MAX_BODY_BYTES,
    P_DATA_TF,
    PDU_HEADER_BYTES,
    PROTOCOL_VERSION,
    Abort,
    AssociateAC,
    AssociateRJ,
    AssociateRQ,
    Pdu,
    ReleaseRP,
    ReleaseRQ,
    decode_pdu,
    encode_pdu,
)
from dicomfab.ul.states import TRANSITIONS, Action, Happening, State, Transition

BUFFER_BYTES: Final = 128 << 10
_PDU_HEADER: Final = struct.Struct(">BxI")
_PDV_HEADER: Final = struct.Struct(">IBB")
_MIN_FREE_BYTES: Final = 16 << 10

_PERMANENT: Final = 1
_ACSE: Final = 2
_APPLICATION_CONTEXT_NOT_SUPPORTED: Final = (1, 2)  # source, reason (PS3.8 table 9-21)
_PROTOCOL_VERSION_NOT_SUPPORTED: Final = (_ACSE, 2)

_HAPPENING_OF: Final[dict[type, Happening]] = {
    AssociateAC: Happening.EVT3,
    AssociateRJ: Happening.EVT4,
    AssociateRQ: Happening.EVT6,
    ReleaseRQ: Happening.EVT12,
    ReleaseRP: Happening.EVT13,
    Abort: Happening.EVT16,
}


class Role(enum.Enum):
    """Who asked for the association."""

    REQUESTOR = "requestor"
    ACCEPTOR = "acceptor"


class _Step(NamedTuple):
    """One transition on its way.

    Args:
        found: where indications go.
        detail: the PDU that came, or what is wrong with it.
    """

    happening: Happening
    transition: Transition
    found: list[ev.Event]
    detail: Pdu | ProtocolError | None


class UpperLayer:
    """One association's upper layer service provider.

    Args:
        role: which side of the association this is.
        max_pdu_length: the longest P-DATA-TF variable field taken from the peer, in bytes; 0 is no limit. Whatever it
            is, memory stays at the size of the buffer: data values are handed on in the pieces in which they come.

    Attributes:
        state: of table 9-10.
        artim_running: whether the ARTIM timer runs; its owner calls :meth:`artim_expired` (PS3.8 9.1.5).
        closing: the transport connection is to be closed once everything is sent.
        peer_max_pdu_length: the longest P-DATA-TF variable field that the peer takes; 0 is no limit.
        pdu_count: how many PDUs have begun to come in, so that a deadline can be kept for each.
    """

    def __init__(self, role: Role, *, max_pdu_length: int = BUFFER_BYTES) -> None:
        self.role = role
        self.state = State.STA1
        self.artim_running = False
        self.closing = False
        self.peer_max_pdu_length = 0
        self._max_pdu_length = max_pdu_length
        self._request: AssociateRQ | None = None
        self._out: list[Chunk] = []
        self._buffer = bytearray(BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._start = 0  # of what is not read yet
        self._end = 0  # of what was received
        self._wanted = PDU_HEADER_BYTES
        self._pdu_left = 0  # bytes of the P-DATA-TF under way
        self._pdv_left = 0  # bytes of its data value under way
        self._pdv_context = 0
        self._pdv_flags = 0
        self._skipping = False  # the P-DATA-TF under way is ignored
        self.pdu_count = 0
        self._lost = False  # where the next PDU begins is not known any more

    # ------------------------------------------------------------------ service primitives

    def associate(self, request: AssociateRQ) -> None:
        """A-ASSOCIATE request: remembered until the transport connection is there.

        Raises:
            LocalProtocolError: not idle, or a request that cannot be encoded.
        """
        encode_pdu(request)
        self._request = request
        self._fire(Happening.EVT1)

    def accept(self, answer: AssociateAC) -> None:
        """A-ASSOCIATE response: accept.

        Raises:
            LocalProtocolError: nothing to accept, or an answer that cannot be encoded.
        """
        encoded = encode_pdu(answer)
        self._fire(Happening.EVT7)
        self._out.append(encoded)

    def reject(self, rejection: AssociateRJ) -> None:
        """A-ASSOCIATE response: reject.

        Raises:
            LocalProtocolError: nothing to reject, or a rejection that cannot be encoded.
        """
        encoded = encode_pdu(rejection)
        self._fire(Happening.EVT8)
        self._out.append(encoded)

    def data(self, context_id: int, command: bytes, dataset: Sequence[Chunk] = ()) -> Iterable[Chunk]:
        """P-DATA request: one DIMSE message, as chunks to send in order after what :meth:`data_to_send` gives.

        Raises:
            LocalProtocolError: there is no association to send on.
        """
        self._fire(Happening.EVT9)
        return fragments(context_id, command, dataset, self.peer_max_pdu_length)

    def release(self) -> None:
        """A-RELEASE request.

        Raises:
            LocalProtocolError: there is no association to release.
        """
        self._fire(Happening.EVT11)

    def release_response(self) -> None:
        """A-RELEASE response.

        Raises:
            LocalProtocolError: the peer did not ask for it.
        """
        self._fire(Happening.EVT14)

    def abort(self) -> None:
        """A-ABORT request; allowed at any time but when nothing is left to abort, which does no harm."""
        if self.state in TRANSITIONS[Happening.EVT15]:
            self._fire(Happening.EVT15)
            self._skipping = True  # the rest of a P-DATA-TF under way comes in Sta13, where it is ignored (AA-6)

    # ------------------------------------------------------------------ the transport

    def connected(self) -> None:
        """The transport connection is there: opened by us as the requestor, or by the peer.

        Raises:
            LocalProtocolError: it was there already.
        """
        self._fire(Happening.EVT2 if self.role is Role.REQUESTOR else Happening.EVT5)

    def data_to_send(self) -> list[Chunk]:
        """Take what is to be sent now, in order."""
        out, self._out = self._out, []
        return out

    def get_buffer(self) -> memoryview:
        """Where to receive into, never empty. Invalidates the data of all fragments handed out before."""
        unread = self._end - self._start
        if not unread:
            self._start = self._end = 0
        elif len(self._buffer) - self._end < max(_MIN_FREE_BYTES, self._wanted - unread):
            self._make_room(unread)
        return self._view[self._end :]

    def received(self, count: int) -> list[ev.Event]:
        """Take ``count`` bytes that were received into the buffer, and say what they mean.

        Whatever the bytes are, this ends in events; it never raises. After a :class:`ProtocolViolated` nothing more
        comes.

        Raises:
            LocalProtocolError: :meth:`connected` was not called yet, so there is nothing to receive from.
        """
        self._end += count
        found: list[ev.Event] = []
        try:
            while not (self._lost or self.closing) and self._read_one(found):
                pass
        except ProtocolError as error:
            self._lost = True
            if error.reason == UNRECOGNIZED_PDU:
                error.first_bytes = bytes(self._view[self._start : min(self._end, self._start + 16)])
            self._fire(Happening.EVT19, found, error)
        if self._lost or self.closing:
            self._start = self._end
            self._pdu_left = self._pdv_left = 0
        return found

    def connection_closed(self) -> list[ev.Event]:
        """The transport connection is gone, in whatever way."""
        found: list[ev.Event] = []
        if self.state in TRANSITIONS[Happening.EVT17]:
            self._fire(Happening.EVT17, found)
        return found

    def artim_expired(self) -> None:
        """The ARTIM timer ran out: the transport connection is to be closed."""
        if self.state in TRANSITIONS[Happening.EVT18]:
            self._fire(Happening.EVT18)

    @property
    def in_pdu(self) -> bool:
        """Whether part of a PDU has been received and the rest of it has not."""
        return self._pdu_left > 0 or self._end > self._start

    # ------------------------------------------------------------------ reading

    def _make_room(self, unread: int) -> None:
        needed = max(self._wanted, unread) + _MIN_FREE_BYTES
        if needed > len(self._buffer):
            grown = bytearray(needed)
            grown[:unread] = self._view[self._start : self._end]
            self._buffer, self._view = grown, memoryview(grown)
        else:
            self._buffer[:unread] = bytes(self._view[self._start : self._end])
        self._start, self._end = 0, unread

    def _read_one(self, found: list[ev.Event]) -> bool:
        """Read the next PDU, or what is there of a P-DATA-TF; false if more has to come first."""
        if self._pdu_left:
            self._read_data_values(found)
            return not self._pdu_left
        if self._end - self._start < PDU_HEADER_BYTES:
            self._wanted = PDU_HEADER_BYTES
            return False
        return self._read_pdu(found)

    def _read_data_values(self, found: list[ev.Event]) -> None:
        """Hand on what is there of the P-DATA-TF under way, without waiting for the rest of a data value."""
        start, received = self._start, self._end
        while self._pdu_left:
            if not self._pdv_left:
                if received - start < PDV_HEADER_BYTES:
                    break
                length, self._pdv_context, self._pdv_flags = _PDV_HEADER.unpack_from(self._buffer, start)
                rest = self._pdu_left - length - 4
                if length < 2 or rest < 0:
                    raise ProtocolError(f"a data value of {length} bytes in the last {self._pdu_left} of its PDU")
                if 0 < rest < PDV_HEADER_BYTES:
                    raise ProtocolError(f"{rest} bytes after the last data value of a PDU")
                start += PDV_HEADER_BYTES
                self._pdu_left -= PDV_HEADER_BYTES
                self._pdv_left = length - 2
            elif start == received:
                break
            end = min(received, start + self._pdv_left)
            self._pdv_left -= end - start
            self._pdu_left -= end - start
            if not self._skipping and (end > start or not self._pdv_left):
                flags = self._pdv_flags
                is_last = flags & LAST != 0 and not self._pdv_left
                found.append(ev.Fragment(self._pdv_context, flags & COMMAND != 0, is_last, self._view[start:end]))
            start = end
        self._start = start

    def _read_pdu(self, found: list[ev.Event]) -> bool:
        start = self._start
        kind, length = _PDU_HEADER.unpack_from(self._buffer, start)
        if kind == P_DATA_TF:
            if length < PDV_HEADER_BYTES or 0 < self._max_pdu_length < length:
                raise ProtocolError(f"a P-DATA-TF of {length} bytes; {self._max_pdu_length} is the most we take")
            self.pdu_count += 1
            self._start = start + PDU_HEADER_BYTES
            self._pdu_left = length
            self._skipping = self._fire(Happening.EVT10, found).action not in (Action.DT_2, Action.AR_6)
            return True
        most = MAX_BODY_BYTES.get(kind)
        if most is None:
            raise ProtocolError(f"PDU type {kind:02X}H", UNRECOGNIZED_PDU)
        if length > most:
            raise ProtocolError(f"a PDU of type {kind:02X}H with {length} bytes; {most} is the most")
        end = start + PDU_HEADER_BYTES + length
        if end > self._end:
            self._wanted = PDU_HEADER_BYTES + length
            return False
        self.pdu_count += 1
        self._start = end
        self._wanted = PDU_HEADER_BYTES
        pdu = decode_pdu(kind, bytes(self._view[start + PDU_HEADER_BYTES : end]))
        self._fire(_HAPPENING_OF[type(pdu)], found, pdu)
        return True

    # ------------------------------------------------------------------ the state machine

    def _fire(
        self, happening: Happening, found: list[ev.Event] | None = None, detail: Pdu | ProtocolError | None = None
    ) -> Transition:
        transition = TRANSITIONS[happening].get(self.state)
        if transition is None or self.closing:  # a layer has one association, and no second one after it
            raise LocalProtocolError(f"{happening.name} is not possible in {self.state.name.capitalize()}")
        before, self.state = self.state, transition.next_state
        perform = _ACTIONS.get(transition.action)
        if perform is not None:
            try:
                perform(self, _Step(happening, transition, [] if found is None else found, detail))
            except ProtocolError:
                self.state = before  # EVT19 happens in the state that the PDU came in
                raise
        return transition

    def _send_request(self, _step: _Step) -> None:
        if self._request is None:
            raise LocalProtocolError("a connection without a request")
        self._out.append(encode_pdu(self._request))

    def _confirm(self, step: _Step) -> None:
        if isinstance(step.detail, AssociateAC):
            self._take_limit(step.detail.user.max_pdu_length)
            step.found.append(ev.AssociationAccepted(step.detail))
        elif isinstance(step.detail, AssociateRJ):
            self.closing = True
            step.found.append(ev.AssociationRejected(step.detail))

    def _start_artim(self, _step: _Step) -> None:
        self.artim_running = True

    def _stop_artim(self, _step: _Step) -> None:
        self.artim_running = False
        self.closing = True

    def _indicate_request(self, step: _Step) -> None:
        request = step.detail
        if not isinstance(request, AssociateRQ):
            raise TypeError(request)
        self._take_limit(request.user.max_pdu_length)
        self.artim_running = False
        refusal = None
        if not request.protocol_version & PROTOCOL_VERSION:
            refusal = _PROTOCOL_VERSION_NOT_SUPPORTED
        elif request.application_context != DICOM_APPLICATION_CONTEXT:
            refusal = _APPLICATION_CONTEXT_NOT_SUPPORTED
        if refusal is None:
            step.found.append(ev.AssociationRequested(request))
            return
        rejection = AssociateRJ(_PERMANENT, *refusal)
        self._out.append(encode_pdu(rejection))
        self.artim_running = True
        self.state = step.transition.otherwise or self.state
        step.found.append(ev.RequestRefused(request, rejection))

    def _take_limit(self, max_pdu_length: int) -> None:
        if 0 < max_pdu_length < MIN_PDU_LENGTH:
            raise ProtocolError(f"a maximum PDU length of {max_pdu_length}, into which nothing fits")
        self.peer_max_pdu_length = max_pdu_length

    def _send_release_request(self, _step: _Step) -> None:
        self._out.append(encode_pdu(ReleaseRQ()))

    def _indicate_release(self, step: _Step) -> None:
        if step.transition.otherwise is not None and self.role is Role.ACCEPTOR:
            self.state = step.transition.otherwise
        step.found.append(ev.ReleaseRequested())

    def _confirm_release(self, step: _Step) -> None:
        self.closing = step.transition.action is Action.AR_3
        step.found.append(ev.Released())

    def _send_release_answer(self, step: _Step) -> None:
        self.artim_running = step.transition.action is Action.AR_4
        self._out.append(encode_pdu(ReleaseRP()))

    def _send_abort(self, step: _Step) -> None:
        error = step.detail if isinstance(step.detail, ProtocolError) else None
        reason = UNEXPECTED_PDU if error is None else error.reason
        # AA-1 names the service user as the source, whatever made it happen (PS3.8 table 9-9).
        as_user = step.transition.action is Action.AA_1
        self._out.append(encode_pdu(Abort(0, NOT_SPECIFIED) if as_user else Abort(2, reason)))
        self.artim_running = True
        if step.happening is not Happening.EVT15 and step.transition.action is not Action.AA_7:
            what = error.what if error else "a PDU that is not expected now"
            step.found.append(ev.ProtocolViolated(what, reason, error.first_bytes if error else b""))

    def _close(self, step: _Step) -> None:
        self.artim_running = False
        self.closing = True
        if step.transition.action is Action.AA_3 and isinstance(step.detail, Abort):
            step.found.append(ev.Aborted(step.detail.source, step.detail.reason))

    def _indicate_loss(self, step: _Step) -> None:
        self.closing = True
        step.found.append(ev.ConnectionLost())


_ACTIONS: Final[dict[Action, Callable[[UpperLayer, _Step], None]]] = {
    Action.AE_2: UpperLayer._send_request,
    Action.AE_3: UpperLayer._confirm,
    Action.AE_4: UpperLayer._confirm,
    Action.AE_5: UpperLayer._start_artim,
    Action.AE_6: UpperLayer._indicate_request,
    Action.AE_8: UpperLayer._start_artim,
    Action.AR_1: UpperLayer._send_release_request,
    Action.AR_2: UpperLayer._indicate_release,
    Action.AR_3: UpperLayer._confirm_release,
    Action.AR_4: UpperLayer._send_release_answer,
    Action.AR_5: UpperLayer._stop_artim,
    Action.AR_8: UpperLayer._indicate_release,
    Action.AR_9: UpperLayer._send_release_answer,
    Action.AR_10: UpperLayer._confirm_release,
    Action.AA_1: UpperLayer._send_abort,
    Action.AA_2: UpperLayer._close,
    Action.AA_3: UpperLayer._close,
    Action.AA_4: UpperLayer._indicate_loss,
    Action.AA_5: UpperLayer._stop_artim,
    Action.AA_7: UpperLayer._send_abort,
    Action.AA_8: UpperLayer._send_abort,
}
_CELLS: Final = {
    happening: {state: (transition, _ACTIONS.get(transition.action)) for state, transition in row.items()}
    for happening, row in TRANSITIONS.items()
}
