"""Does compare jobs: both servers list their studies side by side, and what differs is looked at more closely.

Nothing is said to be missing that was not asked for by its own UID: a server that limits its answers, or matches a key
in its own way, must not look like one that lacks something.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias, TypeVar

from pydicom import Dataset

from dicomfab.dimse.messages import Response
from dicomfab.dimse.status import Category, category
from dicomfab.model.errors import AnswerIncomplete, DicomFabError, Interrupted, PeerError, Recorded, StatusFailure
from dicomfab.model.job import ItemOutcome, ItemState, JobEvent, NewItem
from dicomfab.model.query import Level, QueryModel
from dicomfab.registry.fields import Capability
from dicomfab.registry.registry import Registry
from dicomfab.registry.server import PacsServer
from dicomfab.services import search_keys
from dicomfab.services import server_comparison as comparison
from dicomfab.services.jobs.compare import OTHER, SIDES
from dicomfab.services.jobs.listed import Later, Pace
from dicomfab.services.jobs.query import filter_of
from dicomfab.services.jobs.run import JobRun, Result
from dicomfab.services.peers import peer_for
from dicomfab.services.query import QueryService
from dicomfab.services.search_match import Match, Reader
from dicomfab.services.server_comparison import ATTRIBUTES, UNTOLD, Counts, Entry
from dicomfab.services.study_filter import StudyFilter

_ALL: Final = 10**9
#: UIDs that one question asks for (PS3.4 C.2.2.2.2).
_UIDS_AT_ONCE: Final = 100
_NOTED_AT_ONCE: Final = 500
#: UIDs of missing instances that an item names for each series; the others are counted.
MOST_NAMED: Final = 1000

Detail: TypeAlias = dict[str, Any]
T = TypeVar("T")


@dataclass(slots=True)
class Side:
    """One of the two servers, and what it lists.

    Args:
        server: whom to ask.
        entries: Study Instance UID -> what it says of the study.
        nameless: studies that it lists without their UID.
        knows_lists: whether it answers for several UIDs at once (PS3.4 C.2.2.2.2), as far as is known.
    """

    server: PacsServer
    entries: dict[str, Entry] = field(default_factory=dict)
    nameless: int = 0
    knows_lists: bool = True

    def take(self, matches: Iterable[Match]) -> None:
        """Note studies."""
        for match in matches:
            uid, entry = match.study_instance_uid, comparison.entry_of(match)
            if not uid:
                self.nameless += 1
            else:
                before = self.entries.get(uid)
                self.entries[uid] = entry if before is None else comparison.merged(before, entry)

    def check(self) -> None:
        """Refuse a listing in which studies have no UID.

        Raises:
            AnswerIncomplete: so it is.
        """
        if self.nameless:
            raise AnswerIncomplete(
                f"{self.server.name} listed {self.nameless} studies without their UID",
                cause="the server does not answer as the standard demands (PS3.4 C.4.1.2.2.1)",
                remedy="tell its administrator; such studies cannot be compared",
            )


@dataclass(frozen=True, slots=True)
class CompareExecutor:
    """Does compare jobs.

    Args:
        queries: asks the servers.
        registry: the servers as they are now.
        now: the moment, with time zone.
    """

    queries: QueryService
    registry: Callable[[], Registry]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __call__(self, run: JobRun) -> Result:
        """Compare; begun again, it looks at everything anew, and what is the same by then is noted as such.

        Raises:
            DicomFabError: a server could not be asked to the end, so that nothing can be said.
        """
        registry, request = self.registry(), run.job.request
        sides = {one: Side(registry.get(request[one])) for one in SIDES}
        paces = [Pace(side.server, self.now) for side in sides.values()]
        work = _Comparing(run, self.queries, sides, filter_of(request["filter"]), paces)
        try:
            return work.result(every=bool(request["instances"]))
        except Interrupted:
            return Result(None)
        except Later as later:
            return Result(JobEvent.POSTPONE, not_before=later.not_before)


class _Comparing:
    """One run.

    Args:
        run: the job.
        queries: asks the servers.
        sides: by their names in reports.
        wanted: which studies.
        paces: of both servers, for what is asked study by study.
    """

    def __init__(
        self, run: JobRun, queries: QueryService, sides: dict[str, Side], wanted: StudyFilter, paces: list[Pace]
    ) -> None:
        self._run = run
        self._queries = queries
        self._sides = sides
        self._wanted = wanted
        self._paces = paces
        self._noted: set[str] = set()
        self._failures: list[DicomFabError] = []
        self._lacking = dict.fromkeys(SIDES, 0)

    def result(self, *, every: bool) -> Result:
        """Compare, and note each study that differs as an item."""
        self._list()
        for one in SIDES:
            self._confirm(one)
        a, b = (self._sides[one].entries for one in SIDES)
        only = {"a": comparison.only_in(a, b), "b": comparison.only_in(b, a)}
        self._run.stage(f"noting {len(only['a']) + len(only['b'])} studies that only one server has")
        for one in SIDES:
            self._note({uid: self._only(one, uid) for uid in only[one]})
        differing = self._look_at_both(every=every)
        self._note_what_is_the_same_now()
        report = self._report(only, differing)
        if self._failures:
            return Result(JobEvent.FAIL, {**report, "verdict": "unverified"}, self._first_failure())
        return Result(JobEvent.SUCCEED, report)

    # ---- listing -----------------------------------------------------------------------------------------------

    def _list(self) -> None:
        """Have both servers list their studies, side by side."""
        taking = threading.Lock()
        by_id = {side.server.id: side for side in self._sides.values()}

        def keep(server: PacsServer, matches: Sequence[Match]) -> None:
            by_id[server.id].take(matches)
            with taking:
                told = " and ".join(f"{len(s.entries)} of {s.server.name}" for s in self._sides.values())
                self._run.stage(f"listing studies: {told}")

        self._run.stage("listing studies")
        self._ask(list(by_id.values()), self._wanted, keep)
        modality = self._wanted.modality.strip().upper()
        for side in self._sides.values():
            side.check()
            # An optional key (PS3.4 C.6.2.1.2): a server that ignores it lists the others too.
            side.entries = {uid: entry for uid, entry in side.entries.items() if _fits(entry, modality)}

    def _ask(
        self, sides: Sequence[Side], wanted: StudyFilter, keep: Callable[[PacsServer, Sequence[Match]], None]
    ) -> None:
        """Ask servers side by side.

        Raises:
            Interrupted: the job is to stop.
            DicomFabError: one did not answer, or not to the end.
        """
        servers = [side.server for side in sides]
        for answer in self._queries.search(
            self._run.actor, servers, wanted, limit=_ALL, cancelled=self._run.stopped, keep=keep
        ):
            if answer.error is not None:
                raise answer.error
            if answer.warning:
                raise _cut_off(answer.server.name, answer.warning)

    def _confirm(self, one: str) -> None:
        """Ask a server by UID for the studies that only the other one listed.

        Raises:
            AnswerIncomplete: it has studies that it does not list.
        """
        there, here = self._sides[OTHER[one]], self._sides[one]
        candidates = comparison.only_in(there.entries, here.entries)
        modality = self._wanted.modality.strip().upper()
        unexplained = []
        for number, uids in enumerate(_parts(candidates, _UIDS_AT_ONCE)):
            done = f"{number * _UIDS_AT_ONCE} of {len(candidates)} studies"
            self._run.stage(f"asking {here.server.name} for what it did not list: {done}")
            for uid, entry in self._held(here, uids).items():
                if not _fits(entry, modality) and there.entries[uid].value("ModalitiesInStudy") is None:
                    del there.entries[uid]  # the other one cannot say that it was not asked for
                    continue
                here.entries[uid] = entry
                if not set(comparison.differing(entry, there.entries[uid])) & _narrowed_by(self._wanted):
                    unexplained.append(uid)
        if unexplained:
            self._check_that_they_are_new(here, unexplained)

    def _check_that_they_are_new(self, here: Side, uids: Sequence[str]) -> None:
        """Studies that arrived in the meantime are listed by now; those that a limit hides are not."""
        again = Side(here.server)
        self._ask([again], self._wanted, lambda _server, matches: again.take(matches))
        hidden = [uid for uid in uids if uid not in again.entries]
        if hidden:
            raise _cut_off(
                here.server.name,
                f"it listed {len(again.entries)} studies, but it also holds {len(hidden)} others that it was asked for",
            )

    def _held(self, side: Side, uids: Sequence[str]) -> dict[str, Entry]:
        """Which of these studies a server holds.

        All are asked for at once, together with one that it surely holds. If it does not return that one, it does not
        know lists of UIDs, and each study is asked for by itself.
        """
        known = next(iter(side.entries), None)
        found: dict[str, Entry] = {}
        if side.knows_lists:
            try:
                found = self._studies(side, [*uids, known] if known else uids)
                side.knows_lists = known in found if known else bool(found or not self._studies(side, uids[:1]))
            except StatusFailure:
                side.knows_lists = False
        if not side.knows_lists:
            for uid in uids:
                found |= self._studies(side, [uid])
        return {uid: found[uid] for uid in uids if uid in found}

    def _studies(self, side: Side, uids: Sequence[str]) -> dict[str, Entry]:
        """Ask for studies by UID, unnarrowed by anything else."""
        wanted = StudyFilter()
        charset = side.server.fallback_charset
        identifier = wanted.identifier(charset)
        identifier.StudyInstanceUID = list(uids)
        reader = Reader(side.server.id, Level.STUDY, wanted.columns, search_keys.codecs(charset))
        found = Side(side.server)
        found.take(map(reader.read, self._find(side.server, identifier)))
        return found.entries

    def _find(self, server: PacsServer, identifier: Dataset) -> Iterator[Dataset]:
        warned: list[int] = []

        def report(response: Response) -> None:
            if category(response.status) is Category.WARNING:
                warned.append(response.status)

        peer = peer_for(server, Capability.FIND)
        stopped = self._run.stopped
        yield from self._queries.find(peer, QueryModel.STUDY_ROOT, identifier, cancelled=stopped, report=report)
        if stopped():
            raise Interrupted("the comparison was stopped")
        if warned:
            raise _cut_off(server.name, f"it ended its answer with the warning {warned[0]:04X}")

    # ---- studies that both have --------------------------------------------------------------------------------

    def _look_at_both(self, *, every: bool) -> int:
        """Note what differs of the studies that both have; how many."""
        a, b = (self._sides[one].entries for one in SIDES)
        both = [(uid, comparison.counts_of(a[uid], b[uid])) for uid in a if uid in b]
        closely = {uid for uid, counts in both if every or counts is not Counts.SAME}
        found: dict[str, Detail] = {}
        differing = looked_at = 0
        for uid, counts in both:
            attributes = comparison.differing(a[uid], b[uid])
            missing: dict[str, dict[str, list[str]]] = {}
            if uid in closely:
                self._run.stage(f"comparing instances: {looked_at} of {len(closely)} studies")
                looked_at += 1
                try:
                    missing = self._instances(uid, every=every)
                except PeerError as error:
                    if error.transient:
                        raise
                    self._fail(uid, error)
                    continue
            if attributes or missing or counts is Counts.DIFFER:
                differing += 1
                found[uid] = self._differs(uid, attributes, missing)
            if len(found) == _NOTED_AT_ONCE:
                self._note(found)
                found = {}
        self._note(found)
        return differing

    def _instances(self, study: str, *, every: bool) -> dict[str, dict[str, list[str]]]:
        """What each side lacks of a study, by series; sides that lack nothing are not in it."""
        for pace in self._paces:
            pace.wait(self._run)
        if self._run.stopped():
            raise Interrupted("the comparison was stopped")
        series = self._below(StudyFilter(level="series", study_instance_uid=study), SIDES)
        counted = {
            one: {m.series_instance_uid: m.number("NumberOfSeriesRelatedInstances") for m in matches}
            for one, matches in series.items()
        }
        for one in SIDES:
            self._check_count(one, study, "series", len(counted[one]), self._sides[one].entries[study].series)
        held: dict[str, dict[str, str]] = {one: {} for one in SIDES}
        for uid in comparison.series_to_list(counted["a"], counted["b"], every=every):
            having = [one for one in SIDES if uid in counted[one]]
            wanted = StudyFilter(level="instance", study_instance_uid=study, series_instance_uid=uid)
            for one, matches in self._below(wanted, having).items():
                listed = {match.text("SOPInstanceUID"): uid for match in matches}
                self._check_count(one, study, "instances", len(listed), counted[one][uid])
                held[one] |= listed
        found = {one: comparison.missing(held[OTHER[one]], held[one]) for one in SIDES}
        return {one: series for one, series in found.items() if series}

    def _below(self, wanted: StudyFilter, sides: Sequence[str]) -> dict[str, list[Match]]:
        """What servers hold below a study."""
        found: dict[str, list[Match]] = {one: [] for one in sides}
        names = {self._sides[one].server.id: one for one in sides}
        self._ask(
            [self._sides[one] for one in sides],
            wanted,
            lambda server, matches: found[names[server.id]].extend(matches),
        )
        return found

    def _check_count(self, one: str, study: str, what: str, listed: int, counted: int | None) -> None:
        if counted is not None and listed < counted:
            name = self._sides[one].server.name
            raise _cut_off(name, f"it counts {counted} {what} in study {study}, and lists {listed}")

    # ---- what is noted -----------------------------------------------------------------------------------------

    def _only(self, one: str, uid: str) -> Detail:
        """A study that only one side has."""
        entry = self._sides[one].entries[uid]
        told = "it does not say how many instances" if entry.instances is None else _number(entry.instances)
        modalities = (entry.value("ModalitiesInStudy") or "").replace("\\", "/")
        told = ", ".join(filter(None, (_day(entry.value("StudyDate") or ""), modalities, told)))
        return {
            "kind": f"only_{one}",
            "why": f"only at {self._sides[one].server.name}: {told}",
            "series": {one: entry.series},
            "instances": {one: entry.instances},
            "missing": {OTHER[one]: {"series": {}}},
        }

    def _differs(
        self, uid: str, attributes: Sequence[str], missing: Mapping[str, Mapping[str, Sequence[str]]]
    ) -> Detail:
        """A study that both sides have, and not in the same way."""
        entries = {one: self._sides[one].entries[uid] for one in SIDES}
        words = []
        for what in ("series", "instances"):
            counts = [getattr(entry, what) for entry in entries.values()]
            if None not in counts and counts[0] != counts[1]:
                words.append(f"{counts[0]} {what} at {self._name('a')}, {counts[1]} at {self._name('b')}")
        lacks: dict[str, Any] = {}
        for one, series in missing.items():
            words.append(f"{_number(sum(map(len, series.values())))} missing at {self._name(one)}")
            self._lacking[one] += 1
            lacks[one] = {
                "series": {
                    key: {"missing": len(uids), "instances": sorted(uids)[:MOST_NAMED]} for key, uids in series.items()
                }
            }
        if attributes:
            words.append(f"not the same: {', '.join(attributes)}")
        return {
            "kind": "differs",
            "why": "; ".join(words),
            "series": {one: entry.series for one, entry in entries.items()},
            "instances": {one: entry.instances for one, entry in entries.items()},
            "missing": lacks,
            "attributes": [
                {"keyword": name, **{s: None if name in UNTOLD else entries[s].value(name) for s in SIDES}}
                for name in attributes
            ],
        }

    def _note(self, details: Mapping[str, Detail], state: ItemState = ItemState.DONE) -> None:
        """Note studies as items; those that an earlier run noted get what is so now."""
        for part in _parts(list(details.items()), _NOTED_AT_ONCE):
            if self._run.stopped():
                raise Interrupted("the comparison was stopped")
            self._run.add_items([NewItem(uid, uid) for uid, _ in part])
            wanted = dict(part)
            there = [brief for brief in self._run.briefs() if brief.key in wanted]
            new = [ItemOutcome(i.number, state, detail=wanted[i.key]) for i in there if i.state is not ItemState.DONE]
            old = [ItemOutcome(i.number, state, detail=wanted[i.key]) for i in there if i.state is ItemState.DONE]
            if new:
                self._run.note(new)
            if old:
                self._run.revise(old)
            self._noted |= wanted.keys()

    def _fail(self, uid: str, error: DicomFabError) -> None:
        self._failures.append(error)
        self._note({uid: {"kind": "unknown", "error": error.as_dict()}}, ItemState.FAILED)

    def _note_what_is_the_same_now(self) -> None:
        before = [brief.key for brief in self._run.briefs() if brief.key not in self._noted]
        self._note({key: {"kind": "same", "why": "the same by now", "missing": {}} for key in before})

    def _report(self, only: Mapping[str, Sequence[str]], differing: int) -> dict[str, Any]:
        both = len(self._sides["a"].entries) - len(only["a"])
        told: dict[str, Any] = {
            one: {
                "id": side.server.id,
                "name": side.server.name,
                "environment": str(side.server.environment),
                "studies": len(side.entries),
                "only": len(only[one]),
                "lacking": self._lacking[one] + len(only[OTHER[one]]),
                "uncounted": sum(entry.instances is None for entry in side.entries.values()),
                "not_returned": list(comparison.silent_on(side.entries.values())),
            }
            for one, side in self._sides.items()
        }
        failed = len(self._failures)
        told |= {"both": both, "differ": differing, "same": both - differing - failed, "failed": failed}
        return {"verdict": "mismatch" if only["a"] or only["b"] or differing else "verified", "comparison": told}

    def _first_failure(self) -> DicomFabError:
        first, number = self._failures[0], len(self._failures)
        if number == 1:
            return first
        what = f"{number} studies could not be compared; the first: {first.what}"
        return Recorded({**first.as_dict(), "what": what})

    def _name(self, one: str) -> str:
        return self._sides[one].server.name


def _parts(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (values[start : start + size] for start in range(0, len(values), size))


def _fits(entry: Entry, modality: str) -> bool:
    """Whether a study has a modality, as far as is known."""
    held = entry.value("ModalitiesInStudy")
    return not modality or held is None or modality in held.split("\\")


def _narrowed_by(wanted: StudyFilter) -> set[str]:
    """The attributes that decide whether a study is listed at all."""
    dates = wanted.date or wanted.date_from or wanted.date_to
    keyed = zip(ATTRIBUTES, (wanted.patient_id, "", wanted.accession_number, dates, wanted.modality), strict=True)
    return {name for name, value in keyed if value.strip()}


def _day(value: str) -> str:
    """DA for reading."""
    return f"{value[:4]}-{value[4:6]}-{value[6:]}" if len(value) == 8 and value.isdigit() else value


def _number(instances: int) -> str:
    return f"{instances} instance{'' if instances == 1 else 's'}"


def _cut_off(name: str, why: str) -> AnswerIncomplete:
    return AnswerIncomplete(
        f"{name} did not list everything: {why}",
        cause="the server limits how much it answers, or matches a key in a way of its own",
        remedy="narrow the comparison, for example by date, or have the limit of the server raised",
    )
