"""Rows of a list: which study each one means, and when the next may be asked for."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Protocol

from pydicom import Dataset

from dicomfab.model.errors import NotFound
from dicomfab.model.job import ItemOutcome, ItemState, JobItem
from dicomfab.model.query import Level, QueryModel
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.services import search_keys
from dicomfab.services.peers import peer_for
from dicomfab.services.query import Find
from dicomfab.services.search_match import Reader
from dicomfab.services.study_list import ListedStudy
from dicomfab.services.transfer_reports import Part

#: Between the UIDs of a study and of a series, in the key of an item.
SEPARATOR: Final = "/"
_CANDIDATES: Final = 20
#: What a server is asked for: the field of a row, and its name for people.
_ASKED: Final = {
    "AccessionNumber": ("accession_number", "accession number"),
    "PatientID": ("patient_id", "patient ID"),
    "StudyDate": ("study_date", "study date"),
}
_LOOK_S: Final = 0.2
_SHOWN: Final = ("StudyInstanceUID", "StudyDate", "ModalitiesInStudy", "StudyDescription", "AccessionNumber")


class Later(Exception):
    """Work that must wait: nothing failed.

    Args:
        not_before: when it may go on, with time zone.
        why: for people.
    """

    def __init__(self, not_before: datetime, why: str) -> None:
        super().__init__(why)
        self.not_before = not_before
        self.why = why


def part_of(item: JobItem, find: Find, source: PacsServer) -> Part | ItemOutcome:
    """What an item means.

    Args:
        item: with a row of a list as its request; else its key is the study, or ``study/series``.
        find: C-FIND.
        source: the server that is asked.

    Returns:
        A study or a series; or how the item ends: failed since the server knows no such study, or heeds not all of the
        row, or held since it knows several.

    Raises:
        PeerError: the server could not be asked.
    """
    if not item.request:
        return Part(*item.key.split(SEPARATOR, 1))
    row = ListedStudy.of(dict(item.request))
    if row.study_instance_uid:
        return Part(row.study_instance_uid)
    identifier = row.filter().identifier()
    matches = list(find(peer_for(source, Capability.FIND), QueryModel.STUDY_ROOT, identifier, limit=_CANDIDATES))
    others = [_contradicted(row, match, source) for match in matches]
    fitting = [match for match, other in zip(matches, others, strict=True) if not other]
    found = {str(match.StudyInstanceUID): match for match in fitting if match.get("StudyInstanceUID")}
    ignored = next(filter(None, others), "")
    if ignored and (not found or (len(found) == 1 and len(matches) == _CANDIDATES)):
        error = _ignored(source, item.label, ignored)
        return ItemOutcome(item.number, ItemState.FAILED, detail={"error": error.as_dict()})
    if len(found) == 1:
        return Part(next(iter(found)))
    if not found:
        error = NotFound(
            f"{source.name} knows no study as in {item.label}.",
            cause="the study is on another server, or the row is not exact",
            remedy="look for it: dicomfab query",
        )
        return ItemOutcome(item.number, ItemState.FAILED, detail={"error": error.as_dict()})
    candidates = [{keyword: _text(match.get(keyword)) for keyword in _SHOWN} for match in found.values()]
    return ItemOutcome(item.number, ItemState.HELD, detail={"candidates": candidates})


def _contradicted(row: ListedStudy, match: Dataset, source: PacsServer) -> str:
    """Which key of a row an answer states another value of; blank if none. What an answer leaves blank, it fits."""
    said = Reader(source.id, Level.STUDY, tuple(_ASKED), search_keys.codecs(source.fallback_charset)).read(match)
    for keyword, (field, name) in _ASKED.items():
        wanted, stated = getattr(row, field).strip(), said.text(keyword).strip(" \0")
        if keyword == "StudyDate":
            stated = stated.replace(".", "")  # as before DICOM (PS3.5 6.2)
        if wanted and stated and stated != wanted:
            return name
    return ""


def _ignored(source: PacsServer, label: str, name: str) -> NotFound:
    return NotFound(
        f"{source.name} was asked for {label} and answers with studies of another {name}: nothing was transferred.",
        cause=f"the server ignores the {name} when it is asked for it, or matches it in a way of its own",
        remedy="write the UID of the study into the list: study_instance_uid",
    )


class Stoppable(Protocol):
    """Work that can be stopped, such as a :class:`~dicomfab.services.jobs.run.JobRun`."""

    @property
    def stopped(self) -> Callable[[], bool]:
        """Whether to stop before the next item."""


class Pace:
    """Keeps a job within what its server permits: some hours of the day, and so many studies a minute.

    Args:
        server: whom the work burdens.
        now: the moment, with time zone.
        pause: waits so many seconds.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        server: PacsServer,
        now: Callable[[], datetime],
        *,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._now = now
        self._pause = pause
        self._clock = clock
        self._next = clock()

    def wait(self, run: Stoppable) -> None:
        """Wait until the next item may be begun, or the job is to stop.

        Raises:
            Later: not in this hour.
        """
        now = self._now()
        hours = self._server.permitted_hours
        if not hours.allows(now):
            opening = hours.next_opening(now)
            raise Later(opening, f"{self._server.name} may be asked again at {opening:%H:%M}")
        while (left := self._next - self._clock()) > 0 and not run.stopped():
            self._pause(min(left, _LOOK_S))
        if self._server.rate_per_minute:
            self._next = self._clock() + 60 / self._server.rate_per_minute


def _text(value: Any) -> str:
    if value is None:
        return ""
    several = not isinstance(value, str) and hasattr(value, "__iter__")
    return "/".join(map(str, value)) if several else str(value)
