"""Traces as people read them: one line for each PDU and message, with time and direction."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from dicomfab.cli import output

if TYPE_CHECKING:
    from dicomfab.dimse.trace import Entry, Trace

_ARROWS: Final = {"sent": "->", "received": "<-", "local": "  "}
_TIME: Final = "{:>11.1f} ms  "
_INDENT: Final = " " * 18
_RESULTS: Final = {
    0: "accepted",
    1: "rejected by the user",
    2: "rejected, no reason",
    3: "rejected, abstract syntax not supported",
    4: "rejected, transfer syntaxes not supported",
}
_SHOWN_CONTEXTS: Final = 8


def print_traces(traces: Sequence[tuple[str, Trace]], *, as_json: bool) -> None:
    """Print timelines on standard error."""
    if as_json:
        import json

        document = [{"title": title, "omitted": trace.omitted, "entries": trace.as_dicts()} for title, trace in traces]
        print(json.dumps({"traces": document}, indent=2, default=str), file=sys.stderr)
        return
    for title, trace in traces:
        print(output.clean(f"\n{title}"), file=sys.stderr)
        for line in lines(trace):
            print(output.clean(line), file=sys.stderr)


def lines(trace: Trace) -> Iterator[str]:
    """The lines of one timeline."""
    for entry in trace.entries:
        head = f"{_TIME.format(entry.seconds * 1000)}{_ARROWS[entry.direction]}  {entry.what}"
        contexts = entry.details.get("contexts", ())
        words = _words(entry)
        yield f"{head}{' ' * max(1, 42 - len(head))}{words}".rstrip()
        for context in contexts[:_SHOWN_CONTEXTS]:
            yield f"{_INDENT}{_context(context)}"
        if len(contexts) > _SHOWN_CONTEXTS:
            yield f"{_INDENT}and {len(contexts) - _SHOWN_CONTEXTS} more contexts (see --json)"
    if trace.omitted:
        yield f"{_INDENT}{trace.omitted} entries in the middle are left out"


def _words(entry: Entry) -> str:
    if entry.what == "A-ASSOCIATE-RJ":
        return _rejection(entry.details)
    words = [_word(key, value) for key, value in entry.details.items() if key != "contexts" and value not in ("", None)]
    return ", ".join(words)


def _word(key: str, value: Any) -> str:
    if key in _NAMED:
        return f"{_NAMED[key]} {_uid_name(str(value))}".strip()
    if key == "seconds":
        return f"{value * 1000:.1f} ms"
    return f"{_LABELS.get(key, key)} {value}".strip()


_NAMED: Final = {"transfer_syntax": "in", "AffectedSOPClassUID": "", "RequestedSOPClassUID": ""}
_LABELS: Final = {
    "address": "",
    "why": "",
    "awaited": "awaited:",
    "first_bytes": "first bytes",
    "max_pdu_length": "max PDU",
    "MessageID": "message",
    "MessageIDBeingRespondedTo": "to message",
    "Status": "status",
    "AffectedSOPInstanceUID": "instance",
    "RequestedSOPInstanceUID": "instance",
    "MoveDestination": "to",
    "NumberOfRemainingSuboperations": "remaining",
    "NumberOfCompletedSuboperations": "completed",
    "NumberOfFailedSuboperations": "failed",
    "NumberOfWarningSuboperations": "warning",
}


def _context(context: Mapping[str, Any]) -> str:
    name = _uid_name(context["abstract_syntax"])
    if "result" in context:
        syntax = f": {_uid_name(context['transfer_syntax'])}" if context["transfer_syntax"] else ""
        return f"{context['id']:>3} {name}: {_RESULTS.get(context['result'], context['result'])}{syntax}"
    syntaxes = [_uid_name(uid) for uid in context["transfer_syntaxes"]]
    more = f" and {len(syntaxes) - 3} more" if len(syntaxes) > 3 else ""
    return f"{context['id']:>3} {name}: {', '.join(syntaxes[:3])}{more}"


def _rejection(details: Mapping[str, Any]) -> str:
    from dicomfab.dimse.explain import rejection_words

    result, source, reason = details["result"], details["source"], details["reason"]
    return (
        f"{rejection_words(source, reason)} ({'permanent' if result == 1 else 'transient'}, {result}/{source}/{reason})"
    )


def _uid_name(uid: str) -> str:
    from dicomfab.dimse.explain import uid_name

    return uid_name(uid).replace(" Storage", "")
