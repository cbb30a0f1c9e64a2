"""The audit log in the database: entries are added and read, and nothing else; see :mod:`.audit_chain`."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, bindparam, delete, func, insert, select
from sqlalchemy import exc as sql_errors

from dicomfab.model.audit import FREQUENT, MAX_NAME, AuditEvent, EventKind, Outcome, canonical, harmless
from dicomfab.model.errors import Conflict, LocalFailure, NotFound
from dicomfab.storage.audit_anchors import Anchor, AnchorFile
from dicomfab.storage.audit_chain import (
    START,
    Break,
    BreakKind,
    Keys,
    Verification,
    check,
    entry_mac,
    segment_seal,
)
from dicomfab.storage.audit_key import KeyFile, mark_of
from dicomfab.storage.audit_statements import IN_TURN, KEY_SUBJECT, statements_of
from dicomfab.storage.database import Database
from dicomfab.storage.tables import audit_entry, audit_segment, revision

log = logging.getLogger(__name__)

ANCHOR_EVERY_S: Final = 3600.0
Transaction = Connection
"""What :meth:`AuditLog.append_in` takes, for those who may not know the database library."""

_LOOK_EVERY_S: Final = 60.0
_BATCH: Final = 2000

# Put together once: that costs more than executing it.
_NEWEST_SEGMENT: Final = select(audit_segment).order_by(audit_segment.c.through_seq.desc()).limit(1)
_AFTER: Final = (
    select(audit_entry)
    .where(audit_entry.c.seq > bindparam("after"), audit_entry.c.seq <= bindparam("through"))
    .order_by(audit_entry.c.seq)
    .limit(_BATCH)
)
_LAST_POSSIBLE: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the log.

    Args:
        seq: its number; the first one is 1.
        event: what it says. If the text in the database cannot be read any more, an event that says so.
        mac: 64 hexadecimal digits.
    """

    seq: int
    event: AuditEvent
    mac: str


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries are wanted; what is blank does not narrow.

    Args:
        actor: part of the name, in any case.
        kinds: any of these.
        outcomes: any of these.
        since: not before this moment, with time zone.
        until: before this moment, with time zone.
        environment: ``test`` or ``prod``.
        text: part of anything that the entry says, in any case: a server, a UID, a Patient ID.
    """

    actor: str = ""
    kinds: frozenset[EventKind] = frozenset()
    outcomes: frozenset[Outcome] = frozenset()
    since: datetime | None = None
    until: datetime | None = None
    environment: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the entries that a filter finds, the newest first.

    Args:
        entries: those of this page.
        total: how many there are on all pages.
    """

    entries: tuple[Entry, ...]
    total: int


@dataclass(frozen=True, slots=True)
class _Stored:
    """A row as the chain sees it."""

    seq: int
    at: datetime
    body: str
    mac: str
    columns: dict[str, object]


class AuditLog:
    """The audit log of one installation, shared by all processes that use its database.

    Args:
        database: where the entries are.
        key: where the key of the chain is; not in the database.
        anchors: where anchors are noted.
        now: the moment, with time zone; the database's clock if left out.
    """

    def __init__(
        self, database: Database, key: KeyFile, anchors: AnchorFile, *, now: Callable[[], datetime] | None = None
    ) -> None:
        self._database = database
        self._key_file = key
        self._anchors = anchors
        self._now = now or database.now
        self._host = harmless(socket.gethostname(), MAX_NAME)
        self._key: bytes | None = None
        self._added: Anchor | None = None
        self._look_at = 0.0
        self._looking = threading.Lock()

    def append(self, *events: AuditEvent) -> Anchor:
        """Add events as the newest entries; from now on the end of any process cannot lose them.

        Events of a kind that is not :data:`~dicomfab.model.audit.FREQUENT` are on the disk when this returns. Of the
        frequent ones a power cut may take the newest.

        Raises:
            LocalFailure: nothing was added. What was to be recorded must then not go on.
        """
        if not events:
            raise ValueError("no event to add")
        synced = any(event.kind not in FREQUENT for event in events)
        with self._database.write(synced=synced) as connection:
            newest = self.append_in(connection, *events)
        self.anchor_if_due()
        return newest

    def append_in(self, connection: Transaction, *events: AuditEvent) -> Anchor:
        """Add events in a transaction that is open: they are recorded if it is committed, and only then.

        From here to the end of the transaction no other process can add an entry, so this belongs to its end.

        Args:
            connection: of :meth:`Database.write` or :meth:`Database.changing`.
            events: in order.

        Raises:
            LocalFailure: as :meth:`append`.
        """
        _wait_for_turn(connection)
        newest = _newest(connection)
        # A new key begins with an entry: where nobody else has added one, the key is the same.
        key = self._key if self._key is not None and newest == self._added else self._key_for(connection)
        now, place = self._now().astimezone(UTC), {"host": self._host, "process": os.getpid()}
        statements = statements_of(connection.dialect)
        rows = []
        for event in events:
            at = event.at or now
            body = canonical({**event.as_dict(), "at": at.isoformat(timespec="microseconds"), **place})
            newest = Anchor(newest.seq + 1, entry_mac(key, newest.mac, newest.seq + 1, body))
            rows.append(statements.row(newest, event, at, body))
        try:
            connection.exec_driver_sql(statements.add, rows[0] if len(rows) == 1 else rows)
        except sql_errors.IntegrityError as error:
            raise LocalFailure(
                "the audit log takes no entry; what was to be recorded was not done",
                cause=f"the database refuses it: {error.orig}",
                remedy="dicomfab audit verify; somebody may have changed the table or its triggers",
            ) from error
        self._added = newest
        return newest

    def check(self) -> None:
        """Find out whether entries can be added: write in vain, as :meth:`append` would.

        Raises:
            LocalFailure: they cannot.
        """
        with self._database.write(synced=False) as connection:
            connection.exec_driver_sql(statements_of(connection.dialect).in_turn)
            self._key_for(connection)

    def anchor(self) -> Anchor | None:
        """Note outside the database where the log stands; ``None`` if it is empty.

        Raises:
            LocalFailure: database or file cannot be written.
        """
        # An entry that a power cut can still take must not be named. To write something else with a sync first puts
        # everything before it on the disk as well.
        with self._database.write() as connection:
            connection.execute(IN_TURN)
            newest = _newest(connection)
        if newest == START:
            return None
        self._anchors.add(newest, self._now())
        return newest

    def page(self, wanted: AuditFilter, *, limit: int, before: int | None = None) -> Page:
        """Some entries, the newest first.

        Args:
            wanted: which.
            limit: at most so many.
            before: only entries with a smaller number than this; the number of the last one on the page before.
        """
        query = _narrowed(select(audit_entry), wanted).order_by(audit_entry.c.seq.desc()).limit(limit)
        if before is not None:
            query = query.where(audit_entry.c.seq < before)
        counting = _narrowed(select(func.count()).select_from(audit_entry), wanted)
        with self._database.read() as connection:
            found = tuple(_entry(row) for row in connection.execute(query))
            return Page(found, connection.execute(counting).scalar_one())

    def entry(self, seq: int) -> Entry:
        """One entry.

        Raises:
            NotFound: there is none of this number.
        """
        with self._database.read() as connection:
            row = connection.execute(select(audit_entry).where(audit_entry.c.seq == seq)).first()
        if row is None:
            raise NotFound(
                f"there is no audit entry {seq}",
                cause="it was not written yet, or retention took it out",
                remedy="dicomfab audit list",
            )
        return _entry(row)

    def entries(self, wanted: AuditFilter) -> Iterator[Entry]:
        """All entries that a filter finds, the oldest first; some at a time are held."""
        query = _narrowed(select(audit_entry), wanted).where(audit_entry.c.seq > bindparam("after"))
        query = query.order_by(audit_entry.c.seq).limit(_BATCH)
        after = 0
        while True:
            with self._database.read() as connection:
                rows = connection.execute(query, {"after": after}).all()
            yield from (_entry(row) for row in rows)
            if len(rows) < _BATCH:
                return
            after = rows[-1].seq

    def after(self, seq: int, *, through: int, limit: int) -> tuple[Entry, ...]:
        """The entries after one, the oldest first.

        Args:
            seq: its number.
            through: number of the last one that is wanted.
            limit: at most so many, of 2000.
        """
        with self._database.read() as connection:
            rows = connection.execute(_AFTER.limit(min(limit, _BATCH)), {"after": seq, "through": through}).all()
        return tuple(_entry(row) for row in rows)

    def verify(self, *known: Anchor) -> Verification:
        """Follow the whole chain and compare it with the anchors; some entries at a time are held.

        Args:
            known: anchors that were kept elsewhere, besides those of the file.

        Raises:
            LocalFailure: the database, the key or the anchors cannot be read.
        """
        anchors = sorted({*self._anchors.read(), *known})
        while True:
            start, segment_break = self._start()
            if segment_break is not None:
                return Verification(0, start.seq + 1, None, 0, segment_break)
            found = check(self._keys(), start, self._stored(start.seq, _LAST_POSSIBLE), anchors)
            # Retention may have taken out entries in the meantime; then the check begins anew behind them.
            if found.broken is None or found.broken.kind is not BreakKind.REMOVED or self._start()[0] == start:
                earlier = [one for one in self._key_file.earlier() if one.through > start.seq]
                return replace(found, given_up=tuple((one.through, one.key is not None) for one in earlier))

    def count_older(self, before: datetime, *, after: int) -> int:
        """How many of the entries up to the first one that is not older come after one.

        Args:
            before: the moment, with time zone.
            after: number of that one.
        """
        is_one = audit_entry.c.seq.between(after + 1, self._end_of(before))
        with self._database.read() as connection:
            return connection.execute(select(func.count()).select_from(audit_entry).where(is_one)).scalar_one()

    def purge(self, before: datetime, event: AuditEvent, *, through: int = _LAST_POSSIBLE) -> int:
        """Take out the oldest entries, up to the first one that is not older; the rest is chained to the last of them.

        Args:
            before: with time zone.
            event: records who did it; it is added as the newest entry.
            through: number of the last entry that may be taken out.

        Returns:
            How many entries were taken out.

        Raises:
            Conflict: the chain is broken among them; nothing was taken out, for they are evidence.
        """
        start, segment_break = self._start()
        end = min(self._end_of(before), through)
        if end <= start.seq:
            return 0
        found = check(self._keys(), start, self._stored(start.seq, end), [])
        broken = segment_break or found.broken
        if broken is not None or found.last is None:
            raise Conflict(
                f"nothing was taken out of the audit log: {broken.explanation if broken else 'it is empty'}",
                cause="somebody has changed the log in the database",
                remedy="export it and keep the copy as evidence; dicomfab audit verify says more",
            )
        now = self._now()
        seal = segment_seal(self._known_key(), found.last, now)
        values = {"through_seq": found.last.seq, "mac": found.last.mac, "closed_at": now, "seal": seal}
        with self._database.write() as connection:
            _wait_for_turn(connection)
            segment = connection.execute(_NEWEST_SEGMENT).first()
            if segment is not None and segment.through_seq >= found.last.seq:
                return 0  # another process was faster
            connection.execute(insert(audit_segment).values(values))
            connection.execute(delete(audit_entry).where(audit_entry.c.seq <= found.last.seq))
            self.append_in(connection, event)
        return found.entries

    def _end_of(self, before: datetime) -> int:
        with self._database.read() as connection:
            younger = select(func.min(audit_entry.c.seq)).where(audit_entry.c.at >= before)
            first = connection.execute(younger).scalar()
            return first - 1 if first is not None else _newest(connection).seq

    def _stored(self, after: int, through: int) -> Iterator[_Stored]:
        while True:
            with self._database.read() as connection:
                rows = connection.execute(_AFTER, {"after": after, "through": through}).all()
            for row in rows:
                columns = {name: getattr(row, name) for name in ("at", "kind", "outcome", "actor", "environment")}
                yield _Stored(row.seq, row.at, row.body, row.mac, columns)
            if len(rows) < _BATCH:
                return
            after = rows[-1].seq

    def _start(self) -> tuple[Anchor, Break | None]:
        """Where the chain begins, and what is wrong with the segment that ends there."""
        with self._database.read() as connection:
            segment = connection.execute(_NEWEST_SEGMENT).first()
        if segment is None:
            return START, None
        end = Anchor(segment.through_seq, segment.mac)
        keys = [self._known_key(), *(one.key for one in self._key_file.earlier() if one.through >= end.seq)]
        if any(key is None or segment_seal(key, end, segment.closed_at) == segment.seal for key in keys):
            return end, None  # with a key that is lost nobody can tell
        words = f"entries up to {end.seq} were taken out, but not by retention: the seal of the segment is wrong"
        return end, Break(end.seq, end.seq, BreakKind.SEGMENT, words, segment.closed_at)

    def rekey(self, closing: AuditEvent, opening: AuditEvent, *, is_lost: bool) -> int:
        """Begin a new key; entries that were made with the old one stay checked with it, unless it is lost.

        Args:
            closing: the last entry of the old key; not written if that is lost.
            opening: the first entry of the new key.
            is_lost: that nobody has the old key any more.

        Returns:
            The number of the first entry of the new key.

        Raises:
            Conflict: it is said to be lost, and is there.
            LocalFailure: the files cannot be written; or the old key is not there. Nothing was changed.
        """
        try:
            with self._database.write() as connection:
                _wait_for_turn(connection)
                old = None
                if not is_lost:
                    self.append_in(connection, closing)
                    old = self._key
                elif self._key_file.read() is not None:
                    raise Conflict(
                        f"the key of the audit log is there: {self._key_file.path}", remedy="leave out --lost"
                    )
                new = self._key = self._key_file.draft(_newest(connection).seq, old)
                connection.execute(delete(revision).where(revision.c.subject == KEY_SUBJECT))
                connection.execute(insert(revision).values(subject=KEY_SUBJECT, number=mark_of(new)))
                first = self.append_in(connection, opening)
        except BaseException:
            self._key = None
            raise
        # Should this fail, whoever needs the key next does it.
        self._key_file.adopt(mark_of(new))
        return first.seq

    def _keys(self) -> Keys:
        current, earlier = self._known_key(), self._key_file.earlier()
        return lambda seq: next((one.key for one in earlier if seq <= one.through), current)

    def _known_key(self) -> bytes:
        with self._database.write() as connection:
            _wait_for_turn(connection)
            return self._key_for(connection)

    def _key_for(self, connection: Connection) -> bytes:
        """The key, made when the log is empty; the caller is alone with the log."""
        wanted = connection.exec_driver_sql(statements_of(connection.dialect).mark).scalar()
        if self._key is None or (wanted is not None and mark_of(self._key) != wanted):
            key = self._key_file.read()
            if wanted is not None and (key is None or mark_of(key) != wanted):
                key = self._key_file.adopt(wanted)
            if key is None and _newest(connection) != START:
                raise LocalFailure(
                    f"the key of the audit log, {self._key_file.path}, is gone, and entries were made with it",
                    cause="the file was deleted or is another one, or this machine has no copy of the key of all",
                    remedy="put a copy of the key there; if nobody has one any more: dicomfab audit rekey --lost",
                )
            self._key = key or self._key_file.create()
        return self._key

    def anchor_if_due(self) -> None:
        """Note an anchor if the last one is an hour old; called again and again, it costs nothing."""
        if time.monotonic() < self._look_at or not self._looking.acquire(blocking=False):
            return
        try:
            self._look_at = time.monotonic() + _LOOK_EVERY_S
            if self._anchors.age_s() >= ANCHOR_EVERY_S:
                self.anchor()
        except LocalFailure as error:
            # The entry is in the log; that no anchor can be noted must not undo what it records.
            log.warning("no anchor of the audit log was noted: %s", error.what)
        finally:
            self._looking.release()


def _newest(connection: Connection) -> Anchor:
    row = connection.exec_driver_sql(statements_of(connection.dialect).newest).first()
    if row is None:
        row = connection.execute(_NEWEST_SEGMENT).first()
    return START if row is None else Anchor(row[0], row[1])


def _wait_for_turn(connection: Connection) -> None:
    """From here on no other process can add an entry. SQLite lets one write at a time, from the first statement on."""
    if connection.dialect.name != "sqlite":
        connection.exec_driver_sql(statements_of(connection.dialect).in_turn)


def _entry(row: Row[Any]) -> Entry:
    try:
        event = AuditEvent.from_dict(json.loads(row.body))
    except (ValueError, TypeError, KeyError, AttributeError):
        words = "this entry cannot be read: its text was changed in the database"
        event = AuditEvent(kind=EventKind.CHAIN_BREAK, at=row.at, outcome=Outcome.MAJOR, reason=words)
    return Entry(row.seq, event, row.mac)


def _narrowed(query: Select[Any], wanted: AuditFilter) -> Select[Any]:
    column = audit_entry.c
    if wanted.actor:
        query = query.where(column.actor.icontains(wanted.actor, autoescape=True))
    if wanted.kinds:
        query = query.where(column.kind.in_(sorted(wanted.kinds)))
    if wanted.outcomes:
        query = query.where(column.outcome.in_(sorted(wanted.outcomes)))
    if wanted.since is not None:
        query = query.where(column.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(column.at < wanted.until)
    if wanted.environment:
        query = query.where(column.environment == wanted.environment)
    if wanted.text:
        text = json.dumps(wanted.text, ensure_ascii=False)[1:-1]  # as it stands in the body
        query = query.where(column.body.icontains(text, autoescape=True))
    return query
