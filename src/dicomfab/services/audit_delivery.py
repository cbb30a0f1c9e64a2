"""Delivers the audit log to a syslog receiver: in order, each entry until it is known that the receiver has read it.

The log itself is what waits, so nothing is kept twice or in memory, and no restart loses anything. Several processes
may deliver from one log: who sends holds the delivery for a while, and others look whether he has let go.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final
from xml.etree.ElementTree import tostring

from dicomfab.model.audit import AuditEvent
from dicomfab.model.errors import Conflict, InvalidInput, LocalFailure, PeerError
from dicomfab.services.audit_message import element
from dicomfab.storage.audit import AuditLog, Entry
from dicomfab.storage.audit_delivery import AuditDeliveries, Held, Standing
from dicomfab.syslog.message import MAX_BYTES, Header, framed, message
from dicomfab.syslog.receiver import SyslogReceiver

log = logging.getLogger(__name__)

_LOOK_S: Final = 1.0
_BESIDE_S: Final = 0.2
_BATCH_ENTRIES: Final = 200
_BATCH_BYTES: Final = 256 * 1024
#: So long messages are made for a batch: one of thousands of studies takes a second.
_MAKING_S: Final = 2.0
#: A batch that is not read by then is broken off, and sent again later.
_BATCH_S: Final = 15.0
#: So long a delivery is held for a batch; longer than a batch may take. Who is killed holds it no longer than that.
_HOLD: Final = timedelta(seconds=20)
_LONGEST_PAUSE_S: Final = 300
_JOIN_S: Final = 5.0
#: Of a message that is too long, so many of each list and so many characters of each text are tried in turn.
_SHORTER: Final = ((50, 500), (10, 200), (1, 60))

#: Sends frames to a receiver within so many seconds; it has read them all when this returns.
Send = Callable[[SyslogReceiver, list[bytes], float], None]


@dataclass(frozen=True, slots=True)
class Gauge:
    """How far delivery is.

    Args:
        destination: the receiver that is set, as host:port; blank if none is.
        standings: of that one, and of others that were set before or are set elsewhere: entries are kept for them, too.
    """

    destination: str
    standings: tuple[Standing, ...]


class AuditDelivery:
    """The delivery of one installation's audit log.

    Args:
        audit_log: the entries.
        rows: how far delivery is.
        receiver: to whom; ``None``: nothing is delivered.
        source_id: names this installation in audit messages (AuditSourceID, PS3.15 A.5.2).
        send: over TLS.
        check: finds out whether our files for that can be used.
    """

    def __init__(
        self,
        audit_log: AuditLog,
        rows: AuditDeliveries,
        receiver: SyslogReceiver | None,
        source_id: str,
        *,
        send: Send,
        check: Callable[[SyslogReceiver], object],
    ) -> None:
        self._log = audit_log
        self._rows = rows
        self._receiver = receiver
        self._source_id = source_id
        self._send = send
        self._check = check
        self._holder = secrets.token_hex(16)

    @property
    def destination(self) -> str:
        """The receiver that is set, as host:port; blank if none is."""
        return str(self._receiver) if self._receiver is not None else ""

    def gauge(self) -> Gauge:
        """How far delivery is."""
        return Gauge(self.destination, self._rows.standings(*self._own()))

    def delivered_to_all(self) -> int | None:
        """Number of the last entry that every receiver has; ``None`` if there are no receivers."""
        return self._rows.delivered_to_all(*self._own())

    def forget(self, destination: str) -> bool:
        """Keep entries no longer for a receiver; false if there is none of this name."""
        return self._rows.forget(destination)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Deliver in a thread during the block; at its end, what has waited since.

        Raises:
            InvalidInput: certificate, key or CA file cannot be used.
        """
        if self._receiver is None:
            yield
            return
        self._check(self._receiver)
        over = threading.Event()
        thread = threading.Thread(target=self._run, args=(self._receiver, over), name="audit-delivery", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(_JOIN_S)

    def deliver(self, *, again_from: int | None = None) -> int:
        """Deliver now what is in the log, also when it was to be tried later.

        Args:
            again_from: number of an entry; it and all after it are delivered again, if they were.

        Returns:
            How many entries had waited; all of them were delivered, by whichever process.

        Raises:
            Conflict: no receiver is set.
            PeerError, InvalidInput: the receiver did not take everything; the rest waits.
        """
        if self._receiver is None:
            raise Conflict(
                "no syslog receiver is set that the audit log is delivered to",
                remedy="set DICOMFAB_AUDIT_SYSLOG, DICOMFAB_AUDIT_SYSLOG_CERTIFICATE and DICOMFAB_AUDIT_SYSLOG_KEY",
            )
        while again_from is not None and not self._rows.go_back(self.destination, again_from - 1):
            time.sleep(_BESIDE_S)
        before = self._own_standing()
        while True:
            self._round(self._receiver, at_once=True)
            now = self._own_standing()
            if now.delivered >= before.newest:
                return before.waiting
            time.sleep(_BESIDE_S)  # another process delivers

    def _run(self, receiver: SyslogReceiver, over: threading.Event) -> None:
        is_last = False
        while not is_last:
            is_last = over.wait(_LOOK_S)
            try:
                if self._rows.is_due(str(receiver)):
                    self._round(receiver)
            except (PeerError, InvalidInput) as error:
                log.warning("the audit log is not delivered: %s", error.what)
            except LocalFailure as error:
                log.error("the audit log is not delivered: %s", error.what)

    def _round(self, receiver: SyslogReceiver, *, at_once: bool = False) -> None:
        """Deliver until nothing waits that was there when the last batch began; nothing if another process does."""
        destination = str(receiver)
        held = self._rows.hold(destination, self._holder, _HOLD, at_once=at_once)
        try:
            while held is not None and held.delivered < held.newest:
                held = self._one_batch(receiver, held)
        except (PeerError, InvalidInput) as error:
            attempts = held.attempts + 1 if held is not None else 1
            pause = timedelta(seconds=min(_LONGEST_PAUSE_S, 2 ** min(attempts - 1, 16)))
            problem = {"what": error.what, "cause": error.cause, "remedy": error.remedy}
            self._rows.put_off(destination, self._holder, self._rows.now() + pause, attempts, problem)
            raise
        if held is not None:
            self._rows.release(destination, self._holder)

    def _one_batch(self, receiver: SyslogReceiver, held: Held) -> Held | None:
        frames: list[bytes] = []
        size, last, began = 0, held.delivered, time.monotonic()
        for entry in self._log.after(held.delivered, through=held.newest, limit=_BATCH_ENTRIES):
            frame = self._frame(entry)
            if frames and (size + len(frame) > _BATCH_BYTES or time.monotonic() - began > _MAKING_S):
                break
            frames.append(frame)
            size, last = size + len(frame), entry.seq
        if not frames:  # retention took them out before there was a receiver
            return self._rows.confirm(str(receiver), self._holder, held.newest, _HOLD)
        self._send(receiver, frames, _BATCH_S)
        return self._rows.confirm(str(receiver), self._holder, last, _HOLD)

    def _frame(self, entry: Entry) -> bytes:
        event = entry.event
        # Somebody may have taken the moment out of the text in the database: even that goes out.
        at = event.at or self._rows.now()
        event = replace(event, at=at)
        whole = self._xml(event)
        header = Header(entry.seq, at, event.host, event.process, self._source_id, entry.mac)
        made = message(header, whole)
        for items, characters in _SHORTER:
            if len(made) <= MAX_BYTES:
                break
            short = self._xml(_shortened(event, items, characters))
            made = message(replace(header, full_bytes=len(whole)), short)
        return framed(made)

    def _xml(self, event: AuditEvent) -> bytes:
        """Without a line feed, so that a receiver that writes lines writes one."""
        document: bytes = tostring(element(event, self._source_id), encoding="utf-8")
        return b'<?xml version="1.0" encoding="UTF-8"?>' + document

    def _own(self) -> tuple[str, ...]:
        return (self.destination,) if self.destination else ()

    def _own_standing(self) -> Standing:
        return next(one for one in self.gauge().standings if one.destination == self.destination)


def _shortened(event: AuditEvent, items: int, characters: int) -> AuditEvent:
    """The same with so many of each list and so many characters of each text; a query is left out."""
    return replace(
        event,
        query=b"",
        reason=event.reason[:characters],
        subject=event.subject[:characters],
        roles=event.roles[:items],
        study_uids=event.study_uids[:items],
        patient_ids=event.patient_ids[:items],
        sop_classes=dict(sorted(event.sop_classes.items())[:items]),
        detail={name: text[:characters] for name, text in sorted(event.detail.items())[:items]},
    )
