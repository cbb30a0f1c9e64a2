"""Evidence: what happened on an association, in order, without patients' data."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from dicomfab.dimse.command import name_of
from dicomfab.dimse.endings import (
    ConnectionDropped,
    Ending,
    PeerAborted,
    PeerReleased,
    PeerViolated,
    Stage,
    TimedOut,
)
from dicomfab.ul import AssociateAC, AssociateRJ, AssociateRQ

if TYPE_CHECKING:
    from dicomfab.ul.negotiation import AcceptedContext

SENT: Final = "sent"
RECEIVED: Final = "received"
LOCAL: Final = "local"

#: Fields of a command set that name no patient. A comment of the peer might, and stays out.
_SHOWN: Final = (
    "MessageID",
    "MessageIDBeingRespondedTo",
    "AffectedSOPClassUID",
    "RequestedSOPClassUID",
    "AffectedSOPInstanceUID",
    "RequestedSOPInstanceUID",
    "MoveDestination",
    "EventTypeID",
    "ActionTypeID",
    "NumberOfRemainingSuboperations",
    "NumberOfCompletedSuboperations",
    "NumberOfFailedSuboperations",
    "NumberOfWarningSuboperations",
    "MoveOriginatorApplicationEntityTitle",
    "MoveOriginatorMessageID",
)
_AWAITED: Final = {
    Stage.ASSOCIATION: "an answer to the association request",
    Stage.RESPONSE: "a response",
    Stage.PDU: "the rest of a message that had begun",
    Stage.SENDING: "that it reads what we send",
    Stage.RELEASE: "an answer to the release request",
    Stage.IDLE: "a request",
}
#: A trace is for reading; a long transfer keeps its beginning and its end.
MAX_ENTRIES: Final = 2000


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a timeline.

    Args:
        seconds: since the first one.
        direction: ``sent``, ``received`` or ``local``.
        what: a PDU, a message, or something that happened here.
        details: plain values.
    """

    seconds: float
    direction: str
    what: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "seconds": round(self.seconds, 6),
            "direction": self.direction,
            "what": self.what,
            **({"details": dict(self.details)} if self.details else {}),
        }


class Trace:
    """A timeline, filled by whoever works on the association.

    Args:
        with_patient_data: also keep the peer's comments, which may name patients.
        also: is told the same.
    """

    def __init__(self, *, with_patient_data: bool = False, also: Trace | None = None) -> None:
        self._also = also
        self.entries: list[Entry] = []
        #: Entries that were left out of the middle because there were too many.
        self.omitted = 0
        self._with_patient_data = with_patient_data
        self._start: float | None = None
        self._associated = False

    def as_dicts(self) -> list[dict[str, Any]]:
        """The entries as plain values."""
        return [entry.as_dict() for entry in self.entries]

    # ------------------------------------------------------------------ noting

    def sent(self, what: str, **details: Any) -> None:
        """Something went out."""
        self._add(SENT, what, details)

    def received(self, what: str, **details: Any) -> None:
        """Something came in."""
        self._add(RECEIVED, what, details)

    def local(self, what: str, **details: Any) -> None:
        """Something happened here: a connection, a handshake, a deadline."""
        self._add(LOCAL, what, details)

    def request(self, direction: str, request: AssociateRQ) -> None:
        """A-ASSOCIATE-RQ."""
        details = {
            "called": request.called_ae_title,
            "calling": request.calling_ae_title,
            "max_pdu_length": request.user.max_pdu_length,
            "implementation": _implementation(request),
            "contexts": [
                {
                    "id": c.context_id,
                    "abstract_syntax": c.abstract_syntax,
                    "transfer_syntaxes": list(c.transfer_syntaxes),
                }
                for c in request.contexts
            ],
        }  # fmt: skip
        self._add(direction, "A-ASSOCIATE-RQ", details)

    def answer(self, direction: str, answer: AssociateAC, request: AssociateRQ) -> None:
        """A-ASSOCIATE-AC."""
        self._associated = True
        proposed = {c.context_id: c.abstract_syntax for c in request.contexts}
        details = {
            "max_pdu_length": answer.user.max_pdu_length,
            "implementation": _implementation(answer),
            "contexts": [
                {
                    "id": r.context_id,
                    "abstract_syntax": proposed.get(r.context_id, ""),
                    "result": r.result,
                    "transfer_syntax": r.transfer_syntax if r.result == 0 else "",
                }
                for r in answer.results
            ],
        }
        self._add(direction, "A-ASSOCIATE-AC", details)

    def rejection(self, direction: str, rejection: AssociateRJ) -> None:
        """A-ASSOCIATE-RJ."""
        triple = {"result": rejection.result, "source": rejection.source, "reason": rejection.reason}
        self._add(direction, "A-ASSOCIATE-RJ", triple)

    def message_sent(self, context: AcceptedContext, command: Mapping[str, Any], data_bytes: int) -> None:
        """A DIMSE message went out."""
        self._add(SENT, name_of(command), self._details(context, command, data_bytes))

    def message_received(self, context: AcceptedContext, command: Mapping[str, Any]) -> None:
        """The command set of a DIMSE message came in."""
        self._add(RECEIVED, name_of(command), self._details(context, command, 0))

    def data_received(self, size: int) -> None:
        """The data set of the message came in."""
        self._add(RECEIVED, "data set", {"bytes": size})

    def ended(self, ending: Ending) -> None:
        """The association ended other than by release."""
        match ending:
            case PeerAborted():
                self._add(RECEIVED, "A-ABORT", {"source": ending.source, "reason": ending.reason})
                return
            case ConnectionDropped():
                what = "connection reset" if ending.reset else "connection closed"
                self._add(RECEIVED, f"{what}, without an abort", {})
                return
            case PeerViolated():
                details = {"why": ending.what}
                # On an association, what is no PDU may be the middle of a data set.
                if ending.first_bytes and not self._associated:
                    details["first_bytes"] = ending.first_bytes.hex(" ").upper()
                self._add(RECEIVED, "no valid DICOM", details)
            case TimedOut():
                self._add(LOCAL, f"nothing within {ending.timeout_s:g} s", {"awaited": _AWAITED[ending.stage]})
            case PeerReleased():
                self._add(RECEIVED, "A-RELEASE-RQ", {})
                return
        self._add(LOCAL, "hung up", {})

    def _details(self, context: AcceptedContext, command: Mapping[str, Any], data_bytes: int) -> dict[str, Any]:
        details: dict[str, Any] = {"context": context.context_id, "transfer_syntax": context.transfer_syntax}
        details |= {keyword: command[keyword] for keyword in _SHOWN if keyword in command}
        if "Status" in command:
            details["Status"] = f"{command['Status']:04X}"
        if self._with_patient_data and "ErrorComment" in command:
            details["ErrorComment"] = command["ErrorComment"]
        if data_bytes:
            details["bytes"] = data_bytes
        return details

    def _add(self, direction: str, what: str, details: Mapping[str, Any]) -> None:
        if self._also is not None:
            self._also._add(direction, what, details)
        now = time.monotonic()
        self._start = now if self._start is None else self._start
        if len(self.entries) >= MAX_ENTRIES:
            del self.entries[MAX_ENTRIES // 2]
            self.omitted += 1
        self.entries.append(Entry(now - self._start, direction, what, details))


class TraceBook:
    """The traces of everything that a process asks of peers, one for each operation. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._traces: list[tuple[str, Trace]] = []

    def open(self, title: str, also: Trace | None = None) -> Trace:
        """A new trace.

        Args:
            title: what it is about.
            also: is told the same.
        """
        trace = Trace(also=also)
        with self._lock:
            self._traces.append((title, trace))
        return trace

    def take(self) -> list[tuple[str, Trace]]:
        """All traces with their titles, in the order in which they began; the book is empty then."""
        with self._lock:
            taken, self._traces = self._traces, []
        return taken


def _implementation(pdu: AssociateRQ | AssociateAC) -> str:
    parts: Sequence[str] = (pdu.user.implementation_class_uid, pdu.user.implementation_version_name)
    return " ".join(part for part in parts if part)
