"""Use cases on the audit log: record, read, export, verify, and take out what is older than it has to be kept."""

from __future__ import annotations

import csv
import io
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from xml.etree.ElementTree import indent, tostring

from dicomfab.access.policy import Action, Scope, require
from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind, Outcome
from dicomfab.model.errors import AccessDenied, Conflict, DicomFabError, InvalidInput, NotFound
from dicomfab.services.audit_delivery import AuditDelivery, Gauge
from dicomfab.services.audit_message import element
from dicomfab.services.search_export import guarded
from dicomfab.storage.audit import AuditFilter, AuditLog, Entry, Page
from dicomfab.storage.audit_anchors import Anchor
from dicomfab.storage.audit_chain import Verification

if TYPE_CHECKING:
    from dicomfab.storage.audit import Transaction

log = logging.getLogger(__name__)

#: Kind of export -> media type.
EXPORTS: Final = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "xml": "application/xml",
}
COLUMNS: Final = (
    "seq",
    "at",
    "kind",
    "outcome",
    "reason",
    "actor",
    "source",
    "roles",
    "door",
    "address",
    "environment",
    "sender",
    "receiver",
    "subject",
    "study_uids",
    "patient_ids",
    "query_sop_class",
    "detail",
    "host",
    "process",
)
_PIECE: Final = 1 << 16
_DAY_S: Final = 86_400.0


class AuditService:
    """The audit log of one installation.

    Args:
        log: where the entries are.
        source_id: names this installation in audit messages (AuditSourceID, PS3.15 A.5.2).
        now: the moment, with time zone.
        keep_days: entries that are older are taken out by what runs for long; 0: never.
        delivery: to a syslog receiver. What it has not delivered is never taken out.
    """

    def __init__(
        self,
        log: AuditLog,
        source_id: str,
        now: Callable[[], datetime],
        *,
        keep_days: float = 0,
        delivery: AuditDelivery | None = None,
    ) -> None:
        self._log = log
        self._source_id = source_id
        self._now = now
        self._keep_days = keep_days
        self._delivery = delivery
        self._retain_at = 0.0

    def record(self, *events: AuditEvent, within: Transaction | None = None) -> None:
        """Add events to the log. Whoever does something has it recorded, so nobody has to be allowed to.

        Args:
            events: in order; see :meth:`AuditEvent.by`. Without any, only whether that is possible is found out.
            within: a transaction of :class:`~dicomfab.storage.database.Database` that the events are to share the fate
                of. They belong to its end: until it is committed nobody else can add an entry.

        Raises:
            LocalFailure: nothing was recorded. What was to be recorded must then not go on.
        """
        if not events:
            self._log.check()
        elif within is None:
            self._log.append(*events)
        else:
            self._log.append_in(within, *events)

    def started(self, actor: Actor, what: str) -> None:
        """Record that a part of the application has started, and note an anchor.

        Args:
            actor: who started it.
            what: ``serve``, ``worker``, ``receive``...
        """
        self.record(AuditEvent.by(actor, EventKind.START, subject=what))
        self._log.anchor()

    def stopped(self, actor: Actor, what: str) -> None:
        """Record that a part of the application ends in good order, and note an anchor."""
        self.record(AuditEvent.by(actor, EventKind.STOP, subject=what))
        self._log.anchor()

    @contextmanager
    def running(self, actor: Actor, what: str) -> Iterator[None]:
        """Record that a part of the application runs during the block, and deliver entries meanwhile.

        Raises:
            InvalidInput: they are to be delivered, and the files for that cannot be used.
        """
        with self._delivery.running() if self._delivery is not None else nullcontext():
            self.started(actor, what)
            try:
                yield
            finally:
                self.stopped(actor, what)

    def beat(self) -> None:
        """For what runs for long: note an anchor each hour in which something was recorded, and apply retention."""
        self._log.anchor_if_due()
        if not self._keep_days or time.monotonic() < self._retain_at:
            return
        self._retain_at = time.monotonic() + _DAY_S
        try:
            self.retain()
            left = self.held_back(self.now() - timedelta(days=self._keep_days))
            if left:
                log.warning("%d entries of the audit log are kept for longer: they were not delivered yet", left)
        except DicomFabError as error:
            log.error("nothing was taken out of the audit log by retention: %s", error.what)

    def retain(self) -> int:
        """Take out what is older than it is kept; nothing if all is kept. Returns how many entries.

        Raises:
            Conflict: as :meth:`purge`.
        """
        if not self._keep_days:
            return 0
        before = self.now() - timedelta(days=self._keep_days)
        detail = {"before": before.isoformat(timespec="seconds"), "why": f"kept for {self._keep_days:g} days"}
        return self._purged(before, AuditEvent(kind=EventKind.AUDIT_PURGE, door="job", detail=detail))

    def page(self, actor: Actor, wanted: AuditFilter, *, limit: int = 50, before: int | None = None) -> Page:
        """Some entries, the newest first; that they were read is recorded.

        Args:
            actor: who reads.
            wanted: which entries.
            limit: at most so many.
            before: only entries with a smaller number than this.

        Raises:
            AccessDenied: reading the audit log is for administrators; the refusal is recorded.
        """
        self._admit(actor, "list", _words(wanted))
        return self._log.page(wanted, limit=limit, before=before)

    def show(self, actor: Actor, seq: int) -> Entry:
        """One entry; that it was read is recorded.

        Raises:
            AccessDenied: as :meth:`page`.
            NotFound: there is none of this number.
        """
        self._admit(actor, "show", {"entry": str(seq)})
        return self._log.entry(seq)

    def message(self, entry: Entry, *, for_reading: bool = False) -> str:
        """The audit message of an entry that was read: XML as of PS3.15 A.5.

        Args:
            entry: what was read.
            for_reading: a line for each element; else as it is delivered.
        """
        root = element(entry.event, self._source_id)
        if for_reading:
            indent(root)
        return tostring(root, encoding="unicode")

    def export(self, actor: Actor, wanted: AuditFilter, kind: str) -> Iterator[bytes]:
        """All entries that a filter finds, the oldest first, as a file; it is written while it is read.

        Args:
            actor: who reads.
            wanted: which entries.
            kind: of :data:`EXPORTS`. XML holds an ``AuditMessage`` (PS3.15 A.5.1) for each entry below one root.

        Raises:
            AccessDenied: as :meth:`page`.
            InvalidInput: another kind.
        """
        writers = {"csv": _csv, "json": _json, "xml": self._xml}
        if kind not in writers:
            raise InvalidInput(
                f"{kind!r} is no kind of file that audit entries are written to",
                field="format",
                value=kind,
                remedy=f"use {', '.join(writers)}",
            )
        self._admit(actor, "export", {"format": kind, **_words(wanted)})
        return writers[kind](self._log.entries(wanted))

    def verify(self, actor: Actor, *anchors: Anchor) -> Verification:
        """Whether the log is as it was written. That it was asked is recorded, and a break that is found is as well.

        Args:
            actor: who asks.
            anchors: that were kept elsewhere.

        Raises:
            AccessDenied: as :meth:`page`.
        """
        self._require(actor, "verify")
        # Before anything is added: a new entry would take the number of the first one that is cut off.
        found = self._log.verify(*anchors)
        self._note_reading(actor, "verify", {})
        if found.broken is not None:
            detail = {"first broken entry": str(found.broken.seq), "what was done": str(found.broken.kind)}
            why = found.broken.explanation
            event = AuditEvent.by(actor, EventKind.CHAIN_BREAK, outcome=Outcome.MAJOR, reason=why, detail=detail)
            self.record(event)
        return found

    def purge(self, actor: Actor, before: datetime) -> int:
        """Take out entries that no longer have to be kept; what stays is chained to the last of them.

        Args:
            actor: who does it.
            before: with time zone; everything up to the first entry that is not older.

        Returns:
            How many entries were taken out.

        Raises:
            AccessDenied: as :meth:`page`.
            Conflict: the chain is broken among them; nothing was taken out.
        """
        self._admit(actor, "purge", {"before": before.isoformat(timespec="seconds")})
        detail = {"before": before.isoformat(timespec="seconds")}
        return self._purged(before, AuditEvent.by(actor, EventKind.AUDIT_PURGE, detail=detail))

    def held_back(self, before: datetime) -> int:
        """How many entries :meth:`purge` leaves only because they were not delivered yet.

        Args:
            before: as of :meth:`purge`.
        """
        delivered = self._delivered()
        return self._log.count_older(before, after=delivered) if delivered is not None else 0

    def delivery(self, actor: Actor) -> Gauge:
        """How far delivery is. Looking at it is no entry: that would be one more to deliver, each time.

        Raises:
            AccessDenied: as :meth:`page`.
        """
        self._require(actor, "delivery")
        return self.gauge()

    def gauge(self) -> Gauge:
        """The same for what shows figures only."""
        return self._delivery.gauge() if self._delivery is not None else Gauge("", ())

    def deliver(self, actor: Actor, *, again_from: int | None = None) -> int:
        """Deliver now what waits; see :meth:`AuditDelivery.deliver`.

        Args:
            actor: who wants it.
            again_from: number of an entry; it and all after it are delivered again, which becomes an entry.

        Returns:
            How many entries were delivered.

        Raises:
            AccessDenied: as :meth:`page`.
            Conflict: no receiver is set.
            PeerError, InvalidInput: the receiver did not take everything; the rest waits.
        """
        self._require(actor, "deliver")
        delivery = self._set_up()
        if again_from is not None and delivery.destination:
            detail = {"setting": "delivery of the audit log", "again from entry": str(again_from)}
            self.record(AuditEvent.by(actor, EventKind.SETTINGS_CHANGE, subject=delivery.destination, detail=detail))
        return delivery.deliver(again_from=again_from)

    def end_delivery(self, actor: Actor, destination: str) -> None:
        """Keep entries no longer for a receiver that is set no more; that becomes an entry.

        Args:
            actor: who does it.
            destination: the receiver, as host:port.

        Raises:
            AccessDenied: as :meth:`page`.
            Conflict: it is set.
            NotFound: there is none of this name.
        """
        self._require(actor, "end delivery")
        delivery = self._set_up()
        if destination == delivery.destination:
            raise Conflict(
                f"{destination} is the receiver that is set, and would be delivered to again from the beginning",
                remedy="unset DICOMFAB_AUDIT_SYSLOG, or set another, wherever it is set; then end what is left",
            )
        if destination not in {one.destination for one in delivery.gauge().standings}:
            raise NotFound(f"nothing is kept for a syslog receiver {destination}", remedy="dicomfab audit delivery")
        detail = {"setting": "delivery of the audit log ended"}
        self.record(AuditEvent.by(actor, EventKind.SETTINGS_CHANGE, subject=destination, detail=detail))
        delivery.forget(destination)

    def rekey(self, actor: Actor, *, is_lost: bool = False) -> int:
        """Begin a new key: for when somebody may have the old one, or nobody has it any more.

        Args:
            actor: who does it.
            is_lost: that the old one is lost, so that its last entry cannot be made.

        Returns:
            The number of the first entry of the new key.

        Raises:
            AccessDenied: as :meth:`page`.
            Conflict, LocalFailure: nothing was changed; see :meth:`AuditLog.rekey`.
        """
        self._require(actor, "rekey")
        closing, opening = (
            AuditEvent.by(actor, EventKind.KEY_CHANGE, subject=f"{which} key", detail={"change": change})
            for which, change in (("old", "its last entry"), ("new", "its first entry"))
        )
        if is_lost:
            opening = replace(opening, reason="the old key is lost")
        first = self._log.rekey(closing, opening, is_lost=is_lost)
        self._log.anchor()
        return first

    def _purged(self, before: datetime, event: AuditEvent) -> int:
        delivered = self._delivered()
        if delivered is None:
            taken = self._log.purge(before, event)
        else:
            taken = self._log.purge(before, event, through=delivered)
        if taken:
            self._log.anchor()
        return taken

    def _delivered(self) -> int | None:
        """Number of the last entry that every receiver has; ``None`` if there are no receivers."""
        return self._delivery.delivered_to_all() if self._delivery is not None else None

    def _set_up(self) -> AuditDelivery:
        if self._delivery is None:
            raise RuntimeError("this audit log was made without delivery")
        return self._delivery

    def anchor(self, actor: Actor) -> Anchor | None:
        """Note outside the database where the log stands, and tell it, to be kept elsewhere; ``None`` if it is empty.

        Raises:
            AccessDenied: as :meth:`page`.
        """
        self._admit(actor, "anchor", {})
        return self._log.anchor()

    def now(self) -> datetime:
        """The moment by which entries are dated, with time zone."""
        return self._now()

    def _admit(self, actor: Actor, what: str, detail: dict[str, str]) -> None:
        """Let an administrator read, and record it; record a refusal as well."""
        self._require(actor, what)
        self._note_reading(actor, what, detail)

    def _require(self, actor: Actor, what: str) -> None:
        try:
            require(actor, Action.READ_AUDIT, Scope.SYSTEM)
        except AccessDenied as error:
            refused = {"subject": f"audit {what}", "outcome": Outcome.SERIOUS, "reason": error.cause}
            self.record(AuditEvent.by(actor, EventKind.REFUSAL, **refused))
            error.is_recorded = True
            raise

    def _note_reading(self, actor: Actor, what: str, detail: dict[str, str]) -> None:
        self.record(AuditEvent.by(actor, EventKind.AUDIT_READ, subject=what, detail=detail))

    def _xml(self, entries: Iterable[Entry]) -> Iterator[bytes]:
        yield b'<?xml version="1.0" encoding="utf-8"?>\n<AuditMessages>\n'
        for entry in entries:
            yield tostring(element(entry.event, self._source_id), encoding="utf-8") + b"\n"
        yield b"</AuditMessages>\n"


def entry_values(entry: Entry) -> dict[str, Any]:
    """An entry as plain values for JSON."""
    return {"seq": entry.seq, **entry.event.as_dict(), "mac": entry.mac}


def _words(wanted: AuditFilter) -> dict[str, str]:
    """What was looked for, without a text that may name a patient."""
    words = {
        "actor": wanted.actor,
        "kinds": " ".join(sorted(wanted.kinds)),
        "outcomes": " ".join(sorted(wanted.outcomes)),
        "since": wanted.since.isoformat(timespec="seconds") if wanted.since else "",
        "until": wanted.until.isoformat(timespec="seconds") if wanted.until else "",
        "environment": wanted.environment,
        "text": "given" if wanted.text else "",
    }
    return {name: value for name, value in words.items() if value}


def _json(entries: Iterable[Entry]) -> Iterator[bytes]:
    separator = "[\n"
    for entry in entries:
        yield (separator + json.dumps(entry_values(entry), ensure_ascii=False)).encode()
        separator = ",\n"
    yield b"[]\n" if separator == "[\n" else b"\n]\n"


def _csv(entries: Iterable[Entry]) -> Iterator[bytes]:
    out = io.StringIO(newline="")
    write = csv.writer(out)
    write.writerow(COLUMNS)
    for entry in entries:
        values = entry_values(entry)
        write.writerow([guarded(_cell(values.get(column, ""))) for column in COLUMNS])
        if out.tell() > _PIECE:
            yield out.getvalue().encode()
            out.seek(0)
            out.truncate()
    yield out.getvalue().encode()


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(value)
    if isinstance(value, dict):
        return "; ".join(f"{name}={text}" for name, text in sorted(value.items()))
    return str(value)
