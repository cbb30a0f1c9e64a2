"""What the command line and the pages have in common about the audit log: filters from text, and entries in words."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Iterable, Mapping
from typing import TypeVar

from dicomfab.model.audit import AuditEvent, EventKind, Node, Outcome
from dicomfab.model.errors import InvalidInput
from dicomfab.storage.audit import AuditFilter

Word = TypeVar("Word", bound=enum.StrEnum)

OUTCOME_WORDS: Mapping[Outcome, str] = {
    Outcome.SUCCESS: "success",
    Outcome.MINOR: "minor failure",
    Outcome.SERIOUS: "serious failure",
    Outcome.MAJOR: "major failure",
}


def audit_filter(
    *,
    actor: str = "",
    kinds: Iterable[str] = (),
    outcomes: Iterable[str] = (),
    since: str = "",
    until: str = "",
    environment: str = "",
    text: str = "",
) -> AuditFilter:
    """A filter from what was typed; what is blank does not narrow.

    Args:
        actor: part of a name.
        kinds: words of :class:`EventKind`.
        outcomes: words of :class:`Outcome`.
        since: a day or a moment, as ISO 8601, in local time if it names no zone.
        until: the same; a day is meant to its end.
        environment: ``test`` or ``prod``.
        text: part of anything that an entry says.

    Raises:
        InvalidInput: a word or a moment that is none.
    """
    if environment not in ("", "test", "prod"):
        raise InvalidInput(
            f"environment: {environment!r} is no environment",
            field="environment",
            value=environment,
            remedy="use test or prod",
        )
    return AuditFilter(
        actor=actor.strip(),
        kinds=frozenset(_word(EventKind, one, "kind") for one in kinds if one),
        outcomes=frozenset(_word(Outcome, one, "outcome") for one in outcomes if one),
        since=_moment(since, "since"),
        until=_moment(until, "until", is_end=True),
        environment=environment,
        text=text.strip(),
    )


def what(event: AuditEvent) -> str:
    """What happened, in a line: the kind, between whom, to what, and why not."""
    words = [str(event.kind).replace("-", " ")]
    if event.sender is not None:
        words.append(f"from {_node(event.sender)}")
    if event.receiver is not None:
        words.append(f"{'of' if event.kind is EventKind.QUERY else 'to'} {_node(event.receiver)}")
    if event.subject:
        words.append(event.subject)
    parts = [" ".join(words)]
    if event.study_uids:
        parts.append(_counted(len(event.study_uids), "study", "studies"))
    instances = sum(event.sop_classes.values())
    if instances:
        parts.append(_counted(instances, "instance", "instances"))
    line = ", ".join(parts)
    return f"{line}: {event.reason}" if event.reason else line


def facts(event: AuditEvent) -> list[tuple[str, str]]:
    """Everything that an event says, as labels and texts."""
    at = event.at.astimezone() if event.at else None
    rows = [
        ("When", f"{at:%Y-%m-%d %H:%M:%S %Z}" if at else ""),
        ("What", str(event.kind)),
        ("Outcome", OUTCOME_WORDS[event.outcome]),
        ("Reason", event.reason),
        ("Who", event.actor),
        ("Account of", event.source),
        ("Roles", ", ".join(event.roles)),
        ("Came in by", event.door),
        ("From address", event.address),
        ("Environment", event.environment),
        ("Sender", _node(event.sender) if event.sender else ""),
        ("Receiver", _node(event.receiver) if event.receiver else ""),
        ("Subject", event.subject),
        *(("Study Instance UID", uid) for uid in event.study_uids),
        *((f"SOP class {uid}", _counted(number, "instance", "instances")) for uid, number in event.sop_classes.items()),
        *(("Patient ID", patient) for patient in event.patient_ids),
        ("Query", f"{len(event.query)} bytes, in the XML message" if event.query else ""),
        ("SOP class of the query", event.query_sop_class),
        *((_label(key), text) for key, text in sorted(event.detail.items())),
        ("Machine and process", f"{event.host}, {event.process}" if event.host else ""),
    ]
    return [(label, text) for label, text in rows if text]


def _node(node: Node) -> str:
    return node.name or node.ae_title or node.host


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _word(kind: type[Word], text: str, field: str) -> Word:
    try:
        return kind(text)
    except ValueError:
        raise InvalidInput(
            f"{field}: {text!r} is none", field=field, value=text, remedy=f"use one of: {', '.join(kind)}"
        ) from None


def _moment(text: str, field: str, *, is_end: bool = False) -> datetime.datetime | None:
    given = text.strip()
    if not given:
        return None
    try:
        if len(given) == len("2026-03-02"):
            day = datetime.date.fromisoformat(given)
            if is_end:
                day += datetime.timedelta(days=1)
            return datetime.datetime.combine(day, datetime.time()).astimezone()
        return datetime.datetime.fromisoformat(given).astimezone()
    except (ValueError, OverflowError):
        raise InvalidInput(
            f"{field}: {text!r} is no day and no moment",
            field=field,
            value=text,
            remedy="write 2026-03-02, or 2026-03-02T08:30",
        ) from None


def _label(key: str) -> str:
    """A key of what an entry holds beside the usual, for reading."""
    return "AEC" if key == "aec" else key.replace("_", " ").capitalize()
