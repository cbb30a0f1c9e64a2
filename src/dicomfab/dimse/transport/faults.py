"""Faults on purpose: a channel that does what a plan says to what passes through it.

It sits between the protocol machine and the transport, so that the machine stays the reference: it believes that
everything went out as it said. What a fault is about is named by what is about to be sent: a PDU (``A-ASSOCIATE-AC``,
``A-RELEASE-RP``), a DIMSE message (``C-STORE-RSP``, ``C-FIND-RSP``) or ``data set`` for the data set of one.
"""

from __future__ import annotations

import enum
import os
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from dicomfab.dimse import command as dimse_command
from dicomfab.dimse.transport.channel import Channel, OnStall, ReceiveTimeout
from dicomfab.ul import Abort, AssociateRJ, FileRange
from dicomfab.ul import pdu as pdus
from dicomfab.ul.pdata import COMMAND, LAST, PDV_HEADER_BYTES, Chunk

DATA_SET: Final = "data set"
_PDU_NAMES: Final = {
    pdus.ASSOCIATE_RQ: "A-ASSOCIATE-RQ",
    pdus.ASSOCIATE_AC: "A-ASSOCIATE-AC",
    pdus.ASSOCIATE_RJ: "A-ASSOCIATE-RJ",
    pdus.RELEASE_RQ: "A-RELEASE-RQ",
    pdus.RELEASE_RP: "A-RELEASE-RP",
    pdus.ABORT: "A-ABORT",
}
_PDV: Final = pdus.PDU_HEADER_BYTES
_FRAGMENT: Final = _PDV + PDV_HEADER_BYTES


class FaultKind(enum.StrEnum):
    """What to do wrong."""

    DELAY = "delay"  # wait for ``seconds``, then go on
    SILENCE = "silence"  # say nothing from now on, and keep the connection open
    HALF = "half"  # send the first half of the PDU, then silence
    DEAF = "deaf"  # read nothing more
    DROP = "drop"  # end the TCP connection
    ABORT = "abort"  # send A-ABORT instead
    REJECT = "reject"  # send A-ASSOCIATE-RJ instead of A-ASSOCIATE-AC
    MALFORMED = "malformed"  # send a PDU of a type that does not exist
    WRONG_CONTEXT = "wrong-context"  # send in a presentation context that was not accepted
    STATUS = "status"  # answer another status
    TRUNCATE = "truncate"  # send half of the data set as if it were all of it


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Args:
        kind: what to do.
        at: what it is done to, as named above; empty for anything sent.
        occurrence: to which of them, counted from 1 for each connection; 0 to every one.
        after_bytes: DROP and DEAF only: when so many bytes were sent or received; ``at`` is not looked at then.
        seconds: for DELAY.
        status: for STATUS.
        result, source, reason: for REJECT; source and reason for ABORT.
    """

    kind: FaultKind
    at: str = ""
    occurrence: int = 1
    after_bytes: int | None = None
    seconds: float = 0.0
    status: int = 0x0110
    result: int = 1
    source: int = 1
    reason: int = 1


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Faults, each of which is looked for in everything that is sent."""

    faults: tuple[Fault, ...]


class FaultyChannel:
    """A channel under a fault plan (see :class:`~dicomfab.dimse.transport.channel.Channel`).

    Args:
        channel: the real one.
        plan: what to do wrong.
    """

    def __init__(self, channel: Channel, plan: FaultPlan) -> None:
        self._channel = channel
        self._plan = plan
        self._seen: Counter[Fault] = Counter()
        self._sent = 0
        self._received = 0
        self._silent = False
        self._deaf = False
        self._over = threading.Event()

    # ------------------------------------------------------------------ sending

    def send(self, chunks: Iterable[Chunk], timeout_s: float, on_stall: OnStall) -> None:
        """Send what the plan leaves of it."""
        for pdu in _whole_pdus(chunks):
            out = self._changed(pdu)
            if out and not self._silent:
                self._channel.send((out,), timeout_s, on_stall)
                self._sent += len(out)
            self._drop_when_due(self._sent)

    def _changed(self, pdu: bytes) -> bytes:
        name = name_of(pdu)
        for fault in self._plan.faults:
            if fault.after_bytes is not None or fault.at not in ("", name):
                continue
            self._seen[fault] += 1
            if fault.occurrence in (0, self._seen[fault]):
                pdu = self._done(fault, pdu)
        return pdu

    def _done(self, fault: Fault, pdu: bytes) -> bytes:
        match fault.kind:
            case FaultKind.DELAY:
                self._over.wait(fault.seconds)
            case FaultKind.SILENCE:
                self._silent = True
            case FaultKind.HALF:
                self._channel.send((pdu[: len(pdu) // 2],), 1.0, _nothing)
                self._silent = True
            case FaultKind.DEAF:
                self._deaf = True
            case FaultKind.DROP:
                self._channel.interrupt(b"")
                self._silent = True
            case _:
                return _rewritten(fault, pdu)
        return pdu

    def _drop_when_due(self, count: int) -> None:
        for fault in self._plan.faults:
            if fault.after_bytes is None or count < fault.after_bytes:
                continue
            if fault.kind is FaultKind.DROP:
                self._channel.interrupt(b"")
                self._silent = True
            elif fault.kind is FaultKind.DEAF:
                self._deaf = True

    # ------------------------------------------------------------------ receiving

    def receive_into(self, buffer: memoryview, deadline: float) -> int:
        """Receive, unless the plan says not to."""
        if self._deaf:
            self._over.wait(max(0.0, deadline - time.monotonic()))
            raise ReceiveTimeout
        count = self._channel.receive_into(buffer, deadline)
        self._received += count
        self._drop_when_due(self._received)
        return count

    def receive_now(self, buffer: memoryview) -> int | None:
        """Receive what is there, unless the plan says not to."""
        return None if self._deaf else self._channel.receive_now(buffer)

    # ------------------------------------------------------------------ ending

    def finish(self, last_words: bytes) -> None:
        """Pass it on, unless silent."""
        if not self._silent:
            self._channel.finish(last_words)

    def interrupt(self, last_words: bytes) -> None:
        """End waiting, and pass it on."""
        self._over.set()
        self._channel.interrupt(b"" if self._silent else last_words)

    def close(self) -> None:
        """Close the connection."""
        self._over.set()
        self._channel.close()


def name_of(pdu: bytes) -> str:
    """What a whole PDU is, by the names that a fault uses."""
    if pdu[0] != pdus.P_DATA_TF:
        return _PDU_NAMES.get(pdu[0], f"PDU {pdu[0]:02X}H")
    if not pdu[_FRAGMENT - 1] & COMMAND:
        return DATA_SET
    try:
        return dimse_command.name_of(dimse_command.decode(pdu[_FRAGMENT:]))
    except dimse_command.CommandError:
        return "part of a command set"


def _whole_pdus(chunks: Iterable[Chunk]) -> Iterator[bytes]:
    pending = bytearray()
    for chunk in chunks:
        pending += os.pread(chunk.fd, chunk.length, chunk.offset) if isinstance(chunk, FileRange) else chunk
        while len(pending) >= _PDV:
            size = _PDV + int.from_bytes(pending[2:6], "big")
            if len(pending) < size:
                break
            yield bytes(pending[:size])
            del pending[:size]


def _rewritten(fault: Fault, pdu: bytes) -> bytes:
    is_data = pdu[0] == pdus.P_DATA_TF
    match fault.kind:
        case FaultKind.ABORT:
            return pdus.encode_pdu(Abort(fault.source, fault.reason))
        case FaultKind.REJECT:
            return pdus.encode_pdu(AssociateRJ(fault.result, fault.source, fault.reason))
        case FaultKind.MALFORMED:
            return b"\x99" + pdu[1:]
        case FaultKind.WRONG_CONTEXT if is_data:
            return pdu[: _FRAGMENT - 2] + b"\xff" + pdu[_FRAGMENT - 1 :]
        case FaultKind.STATUS if is_data and pdu[_FRAGMENT - 1] & COMMAND:
            command = dimse_command.decode(pdu[_FRAGMENT:])
            return _pdata(pdu, dimse_command.encode({**command, "Status": fault.status}), pdu[_FRAGMENT - 1])
        case FaultKind.TRUNCATE if is_data and not pdu[_FRAGMENT - 1] & COMMAND:
            kept = pdu[_FRAGMENT : _FRAGMENT + (len(pdu) - _FRAGMENT) // 2]
            return _pdata(pdu, kept, pdu[_FRAGMENT - 1] | LAST)
    return pdu


def _pdata(like: bytes, fragment: bytes, flags: int) -> bytes:
    """A P-DATA-TF in the same context with another fragment."""
    length = len(fragment)
    return (
        bytes((pdus.P_DATA_TF, 0))
        + (length + PDV_HEADER_BYTES).to_bytes(4, "big")
        + (length + 2).to_bytes(4, "big")
        + bytes((like[_FRAGMENT - 2], flags))
        + fragment
    )


def _nothing() -> None:
    """Nobody is asked while half a PDU is sent."""
