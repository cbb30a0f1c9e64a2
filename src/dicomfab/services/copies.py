"""Copies of what production holds, on this machine for a while only."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from dicomfab.archive.archive import Archive
from dicomfab.archive.records import StudySummary
from dicomfab.model.audit import AuditEvent, EventKind
from dicomfab.model.errors import DicomFabError
from dicomfab.services.recording import Record, nobody

log = logging.getLogger(__name__)

_EVERY_S: Final = 60.0
_HOUR_S: Final = 3600
_DAY_H: Final = 48  # up to so many hours are said as hours


@dataclass(slots=True)
class ProductionCopies:
    """Deletes what servers of production sent to the local store when its time is over.

    A study goes as a whole when the last of its copies has come so long ago. What was imported by hand or belongs to
    test never goes, and what is in use at the moment stays until the next round.

    Args:
        local: the local store.
        keep_hours: for so long; 0 for ever.
        now: the moment, with time zone.
        record: has each study recorded.
    """

    local: Archive
    keep_hours: float
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    record: Record = nobody
    _next_s: float = field(default=0.0, init=False)

    def beat(self) -> None:
        """For a worker: look once a minute."""
        if not self.keep_hours or time.monotonic() < self._next_s:
            return
        self._next_s = time.monotonic() + _EVERY_S
        try:
            self.sweep()
        except DicomFabError as error:
            log.warning("copies from production could not be looked through: %s", error.heading)

    def need_a_worker(self) -> bool:
        """Whether the time of a copy is over."""
        return bool(self.keep_hours and self.local.retrieved_before(self._limit()))

    def sweep(self) -> list[str]:
        """Delete all whose time is over. Gives their Study Instance UIDs.

        Raises:
            ArchiveFailure: disk or index failed; what was deleted before is gone.
        """
        if not self.keep_hours:
            return []
        limit = self._limit()
        gone = []
        for study in self.local.retrieved_before(limit):
            self.record()
            if count := self.local.delete_expired(study, limit):
                gone.append(study)
                detail = {"instances": str(count), "why": "copies from production expired"}
                self.record(
                    AuditEvent(
                        kind=EventKind.DELETION, door="job", environment="prod", study_uids=(study,), detail=detail
                    )
                )
                log.info("%d copies from production expired: study %s", count, study)
        return gone

    def expires_at(self, study: StudySummary) -> datetime | None:
        """When a study expires, or not at all."""
        if not (study.retrieved_at and self.keep_hours):
            return None
        return datetime.fromisoformat(study.retrieved_at) + timedelta(hours=self.keep_hours)

    def said(self, study: StudySummary) -> str:
        """For lists, such as ``expires in 5 h``; blank if it does not."""
        moment = self.expires_at(study)
        if moment is None:
            return ""
        left_s = (moment - self.now()).total_seconds()
        if left_s <= 0:
            return "expires now"
        if left_s < _HOUR_S:
            return f"expires in {max(round(left_s / 60), 1)} min"
        hours = round(left_s / _HOUR_S)
        return f"expires in {hours} h" if hours <= _DAY_H else f"expires in {round(hours / 24)} days"

    def _limit(self) -> str:
        return (self.now() - timedelta(hours=self.keep_hours)).astimezone(UTC).isoformat(timespec="seconds")
