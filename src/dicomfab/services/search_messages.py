"""The messages of a search: what was sent to one server and what it answered, with the identifiers, bounded.

They hold patients' data, so they are kept where the answers are kept, as long as these, and go into no log.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydicom import Dataset

from dicomfab.dimse.explain import rejection_words, uid_name
from dicomfab.dimse.status import Category, category, meaning
from dicomfab.dimse.trace import Trace
from dicomfab.services.search_match import Reader

#: Matches of which the identifiers are kept whole; all others are counted.
KEPT_MATCHES: Final = 20
_RESPONSE: Final = "C-FIND-RSP"
_REQUEST: Final = "C-FIND-RQ"
_BY_WEB: Final = "QIDO-RS"
_DATA_SET: Final = "data set"
_PENDING: Final = ("FF00", "FF01")
_RESULTS: Final = {
    0: "accepted",
    1: "rejected by the user",
    2: "rejected, no reason",
    3: "rejected, abstract syntax not supported",
    4: "rejected, transfer syntaxes not supported",
}
_LABELS: Final = {
    "address": "Address",
    "why": "Why",
    "awaited": "Awaited",
    "first_bytes": "First bytes",
    "called": "Called AE title",
    "calling": "Calling AE title",
    "max_pdu_length": "Maximum PDU length, bytes",
    "implementation": "Implementation",
    "context": "Presentation context",
    "transfer_syntax": "Transfer syntax",
    "AffectedSOPClassUID": "SOP class",
    "MessageID": "Message ID",
    "MessageIDBeingRespondedTo": "In answer to message",
    "Status": "Status",
    "ErrorComment": "Error comment",
    "bytes": "Identifier, bytes",
    "seconds": "Time taken",
    "method": "Method",
    "parameters": "Parameters",
    "http_status": "Status of HTTP",
    "media_type": "Media type",
    "length": "Content length, bytes",
    "code": "Code",
}
_UIDS: Final = frozenset({"transfer_syntax", "AffectedSOPClassUID"})


class MessageLog(Trace):
    """Filled while one server is asked."""

    def __init__(self) -> None:
        super().__init__(with_patient_data=True)
        self._began = datetime.datetime.now().astimezone()
        self._request: list[dict[str, Any]] = []
        self._matches: list[list[dict[str, Any]]] = []
        self._pending = 0
        self._last_pending_s = 0.0
        self._is_skipped = False

    def asked(self, identifier: Dataset, reader: Reader) -> None:
        """The identifier of the request."""
        self._request = reader.attributes(identifier)

    def matched(self, identifier: Dataset, reader: Reader) -> None:
        """The identifier of a pending response, in the order in which they came."""
        if len(self._matches) < KEPT_MATCHES:
            self._matches.append(reader.attributes(identifier))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for :func:`steps`."""
        return {
            "began": self._began.isoformat(timespec="milliseconds"),
            "entries": self.as_dicts(),
            "omitted": self.omitted,
            "request": self._request,
            "matches": self._matches,
            "pending": self._pending,
            "last_pending_s": self._last_pending_s,
        }

    def _add(self, direction: str, what: str, details: Mapping[str, Any]) -> None:
        if what == _RESPONSE and details.get("Status") in _PENDING:
            self._pending += 1
            self._is_skipped = self._pending > KEPT_MATCHES
        elif what != _DATA_SET:
            self._is_skipped = False
        if self._is_skipped:
            self._last_pending_s = time.monotonic() - (self._start or 0.0)
        else:
            super()._add(direction, what, details)


@dataclass(frozen=True, slots=True)
class Step:
    """One message, or something else that happened.

    Args:
        seconds: since the first one.
        direction: ``sent``, ``received`` or ``local``.
        title: name of the message.
        facts: label and value.
        contexts: presentation contexts, a line each.
        attributes: of the identifier: tag, keyword, vr, value, depth.
        note: what else is to be said.
    """

    seconds: float
    direction: str
    title: str
    facts: tuple[tuple[str, str], ...] = ()
    contexts: tuple[str, ...] = ()
    attributes: Sequence[Mapping[str, Any]] = ()
    note: str = ""


def steps(log: Mapping[str, Any]) -> list[Step]:
    """What happened, in order, ready to be read.

    Args:
        log: as :meth:`MessageLog.as_dict` gives it.
    """
    found: list[Step] = []
    matches = iter(log["matches"])
    shown = 0
    for entry in log["entries"]:
        details = entry.get("details", {})
        is_pending = entry["what"] == _RESPONSE and details.get("Status") in _PENDING
        if shown == KEPT_MATCHES and not is_pending and entry["what"] != _DATA_SET:
            found += _left_out(log)
            shown += 1
        if entry["what"] == _DATA_SET and found and found[-1].title == _RESPONSE:
            found[-1] = _with_size(found[-1], details)
            continue
        attributes: Sequence[Mapping[str, Any]] = (
            log["request"] if entry["what"] in (_REQUEST, f"{_BY_WEB} request") else ()
        )
        if is_pending:
            shown += 1
            attributes = next(matches, ())
        found.append(_step(entry, details, attributes))
    if _is_web(log):  # its answers come many at once
        at = found[-1].seconds
        found += [Step(at, "received", f"Match {n}", attributes=one) for n, one in enumerate(matches, 1)]
    if log["omitted"]:
        found.append(Step(0.0, "local", f"{log['omitted']} entries in the middle are left out"))
    return found


def lines(name: str, log: Mapping[str, Any]) -> Iterator[str]:
    """The same as text, a line each; what a server said may hold any character.

    Args:
        name: of the server.
        log: as :meth:`MessageLog.as_dict` gives it.
    """
    arrows = {"sent": "->", "received": "<-", "local": "  "}
    yield f"{_BY_WEB if _is_web(log) else 'C-FIND'} messages with {name}, begun {log['began']}"
    for step in steps(log):
        yield f"{step.seconds * 1000:>11.1f} ms  {arrows[step.direction]}  {step.title}"
        for label, value in step.facts:
            yield f"{'':20}{label}: {value}"
        for context in step.contexts:
            yield f"{'':20}{context}"
        for one in step.attributes:
            yield f"{'':20}{'  ' * one['depth']}{one['tag']} {one['vr']} {one['keyword']:<32} {one['value']}".rstrip()
        if step.note:
            yield f"{'':20}{step.note}"


def _is_web(log: Mapping[str, Any]) -> bool:
    return any(entry["what"].startswith(_BY_WEB) for entry in log["entries"])


def _left_out(log: Mapping[str, Any]) -> list[Step]:
    more = log["pending"] - KEPT_MATCHES
    if more <= 0:
        return []
    note = f"{more} more pending responses of the same kind are counted, not repeated here"
    return [Step(log["last_pending_s"], "received", f"{_RESPONSE}, {more} more", note=note)]


def _with_size(step: Step, details: Mapping[str, Any]) -> Step:
    facts = (*step.facts, (_LABELS["bytes"], str(details.get("bytes", ""))))
    return Step(step.seconds, step.direction, step.title, facts, step.contexts, step.attributes, step.note)


def _step(entry: Mapping[str, Any], details: Mapping[str, Any], attributes: Sequence[Mapping[str, Any]]) -> Step:
    if entry["what"] == "A-ASSOCIATE-RJ":
        duration = "permanent" if details["result"] == 1 else "transient"
        facts: tuple[tuple[str, str], ...] = (
            ("Why", f"{rejection_words(details['source'], details['reason'])} ({duration})"),
        )
    else:
        facts = tuple(
            (_LABELS.get(key, key), _value(key, value))
            for key, value in details.items()
            if key != "contexts" and value not in ("", None)
        )
    contexts = tuple(_context(context) for context in details.get("contexts", ()))
    return Step(entry["seconds"], entry["direction"], entry["what"], facts, contexts, attributes)


def _value(key: str, value: Any) -> str:
    if key in _UIDS:
        return f"{uid_name(str(value))} ({value})" if uid_name(str(value)) != value else str(value)
    if key == "Status":
        return f"{value}, {_status(int(value, 16))}"
    if key == "seconds":
        return f"{value * 1000:.1f} ms"
    return str(value)


def _status(status: int) -> str:
    kind = category(status)
    if kind is not Category.FAILURE:
        return str(kind)
    return f"failure: {meaning('C-FIND', status).text}"


def _context(context: Mapping[str, Any]) -> str:
    name = f"{context['id']}: {uid_name(context['abstract_syntax'])}"
    if "result" not in context:
        return f"{name}, offered in {', '.join(map(uid_name, context['transfer_syntaxes']))}"
    syntax = f", in {uid_name(context['transfer_syntax'])}" if context["transfer_syntax"] else ""
    return f"{name}, {_RESULTS.get(context['result'], context['result'])}{syntax}"
