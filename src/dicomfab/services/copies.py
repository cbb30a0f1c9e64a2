"""Copies that are on this machine for a while only: of what production holds, and what was fetched to be looked at."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from dicomfab.access.policy import Action, require
from dicomfab.archive.archive import Archive
from dicomfab.archive.records import StudySummary
from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind
from dicomfab.model.errors import Conflict, DicomFabError, NotFound
from dicomfab.model.values import Environment
from dicomfab.services.recording import Record, nobody

log = logging.getLogger(__name__)

_EVERY_S: Final = 60.0
_HOUR_S: Final = 3600
_FETCHED_WITHIN_S: Final = 6 * _HOUR_S
_DAY_H: Final = 48  # up to so many hours are said as hours
_WHY: Final = {
    Environment.PROD: "copies from production expired",
    Environment.TEST: "copies that were fetched to be looked at expired",
}


class Fetched(Protocol):
    """What was fetched to be looked at, see :class:`dicomfab.storage.fetched.FetchedStudies`."""

    def note(self, study_instance_uid: str, moment: datetime) -> None:
        """A study is about to be fetched."""

    def viewed(self, study_instance_uid: str, moment: datetime) -> None:
        """Somebody looks at a study."""

    def forget(self, study_instance_uid: str) -> None:
        """It is gone, or here to stay."""

    def before(self, moment: datetime) -> Sequence[str]:
        """Those that nobody has looked at since."""

    def least_recent_first(self) -> Sequence[str]:
        """All of them."""


@dataclass(slots=True)
class ExpiringCopies:
    """Deletes copies in the local store when their time is over, or when those to look at take too much space.

    A study goes as a whole when the last of its copies has come so long ago. What came by another way as well never
    goes, and what is in use at the moment stays until the next round.

    Args:
        local: the local store.
        hours: for so long, by environment; 0 for ever. Of test, only what was fetched to be looked at is a copy.
        fetched: what was fetched to be looked at.
        most_bytes: so much of that is kept; of more the least recently seen goes first, but never the last one.
        now: the moment, with time zone.
        record: has each study recorded.
    """

    local: Archive
    hours: Mapping[Environment, float]
    fetched: Fetched
    most_bytes: int
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    record: Record = nobody
    _next_s: float = field(default=0.0, init=False)

    def beat(self) -> None:
        """For a worker: look once a minute."""
        if time.monotonic() < self._next_s:
            return
        self._next_s = time.monotonic() + _EVERY_S
        try:
            self.sweep()
        except DicomFabError as error:
            log.warning("copies could not be looked through: %s", error.heading)

    def need_a_worker(self) -> bool:
        """Whether the time of a copy is over."""
        return any(True for _ in self._over())

    def sweep(self) -> list[str]:
        """Delete all whose time is over, and what is too much. Gives their Study Instance UIDs.

        Raises:
            ArchiveFailure: disk or index failed; what was deleted before is gone.
        """
        gone = [study for study, limit, why in list(self._over()) if self._delete(study, limit, why)]
        for study in self.fetched.before(self.now() - timedelta(seconds=_FETCHED_WITHIN_S)):
            if not self.local.has_study(study):  # somebody deleted it, or it never came
                self.fetched.forget(study)
        return gone + self._make_room()

    def fetching(self, study_instance_uid: str) -> None:
        """A study is about to be fetched to be looked at."""
        try:
            is_copy = bool(self.local.study(study_instance_uid).summary.retrieved_at)
        except NotFound:
            is_copy = True
        if is_copy:
            self.fetched.note(study_instance_uid, self.now())

    def viewed(self, study_instance_uid: str) -> None:
        """Somebody looks at a study."""
        self.fetched.viewed(study_instance_uid, self.now())

    def is_to_look_at(self, study: StudySummary) -> bool:
        """Whether a study is here only because somebody wanted to look at it, and may stay if he likes."""
        return bool(study.retrieved_at) and study.environment is Environment.TEST

    def keep(self, actor: Actor, study_instance_uid: str) -> None:
        """Let a study stay that was fetched to be looked at.

        Raises:
            NotFound: it is not here any more.
            AccessDenied: the actor may not have it.
            Conflict: it is from production, of which copies always expire; or it is still on its way.
        """
        summary = self.local.study(study_instance_uid).summary
        require(actor, Action.RETRIEVE, summary.environment)
        if summary.environment is Environment.PROD:
            raise Conflict(
                "copies from production do not stay",
                cause="they are deleted after a while, so that nobody forgets them here",
                remedy="export what you need, or import it as files",
            )
        if not self.local.keep_study(study_instance_uid):
            raise Conflict(
                "the study is in use", cause="it is still being fetched, or sent", remedy="wait for that, and try again"
            )
        self.fetched.forget(study_instance_uid)

    def expires_at(self, study: StudySummary) -> datetime | None:
        """When a study expires, or not at all."""
        hours = self.hours[study.environment]
        if not (study.retrieved_at and hours):
            return None
        return datetime.fromisoformat(study.retrieved_at) + timedelta(hours=hours)

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

    def _over(self) -> Iterator[tuple[str, str, str]]:
        """Whose time is over: study, the moment before which its copies came, and why it goes."""
        for environment, hours in self.hours.items():
            if hours:
                limit = _iso(self.now() - timedelta(hours=hours))
                for study in self.local.retrieved_before(limit, environment):
                    yield study, limit, _WHY[environment]

    def _make_room(self) -> list[str]:
        sizes: dict[str, int] = {}
        for study in self.fetched.least_recent_first():
            try:
                summary = self.local.study(study).summary
            except NotFound:
                continue  # still on its way, or gone long ago
            if summary.retrieved_at:
                sizes[study] = summary.size_bytes
            else:
                self.fetched.forget(study)
        gone, too_much = [], sum(sizes.values()) - self.most_bytes
        for study in [*sizes][:-1]:
            if too_much <= 0:
                break
            if self._delete(study, _iso(self.now() + timedelta(seconds=1)), "there was no room for more to look at"):
                gone.append(study)
                too_much -= sizes[study]
        return gone

    def _delete(self, study: str, limit: str, why: str) -> bool:
        environment = self.local.study(study).summary.environment
        self.record()
        count = self.local.delete_expired(study, limit)
        if not count:
            return False
        self.fetched.forget(study)
        detail = {"instances": str(count), "why": why}
        self.record(
            AuditEvent(
                kind=EventKind.DELETION, door="job", environment=str(environment), study_uids=(study,), detail=detail
            )
        )
        log.info("%d instances of study %s deleted: %s", count, study, why)
        return True


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
