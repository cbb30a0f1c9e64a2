"""The registered patients: list, add, invent, edit, remove, import and export; and the identifiers that come next.

They are templates for fabrication. A study keeps its own copy of its patient, so editing or removing an entry changes
no study. All of them are synthetic, so the policy's cells for test data apply.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dicomfab.access.policy import Action, Scope, require, visible
from dicomfab.fabricate import checks
from dicomfab.fabricate.patients import FIELD_NAMES, PatientData, invented, patient_data
from dicomfab.fabricate.patterns import DEFAULT, Pattern, Purpose, parse, risk
from dicomfab.fabricate.seeds import SEED_LIMIT
from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind
from dicomfab.model.errors import Conflict, InvalidInput, NotFound
from dicomfab.services.patients_csv import read_rows, unusable, write_rows
from dicomfab.services.recording import Record, nobody
from dicomfab.services.tables import CsvRow, RowProblem
from dicomfab.storage.patients import PatientChanges, PatientPage, PatientRepository, PatientSort, StoredPatient

if TYPE_CHECKING:
    from dicomfab.archive.archive import Archive

MAX_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Registered:
    """Patients that were added.

    Args:
        patients: as they are in the registry now.
        warnings: what to know about their IDs, one sentence each.
    """

    patients: tuple[StoredPatient, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Removed:
    """A patient who was removed, and how many local studies carry the ID."""

    patient: StoredPatient
    studies: int


@dataclass(frozen=True, slots=True)
class IssuedId:
    """A new identifier that nobody else will get, and why it is risky, if it is."""

    value: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PatientImport:
    """What an import did, by patient ID."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    warnings: tuple[str, ...] = ()


class PatientService:
    """What may be done with registered patients, and by whom.

    Looking needs VIEW in test; adding, editing and drawing identifiers FABRICATE; removing DELETE in test.

    Args:
        repository: keeps the patients.
        local: the local studies, whose identifiers are not given out again.
        now: local time of the site.
        draw_seed: a seed for who is invented without one.
        record: has every change recorded.
    """

    def __init__(
        self,
        repository: PatientRepository,
        local: Archive,
        *,
        now: Callable[[], dt.datetime],
        draw_seed: Callable[[], int],
        record: Record = nobody,
    ) -> None:
        self._record = record
        self._repository = repository
        self._local = local
        self._now = now
        self._draw_seed = draw_seed

    def page(
        self,
        actor: Actor,
        search: str = "",
        *,
        sort: PatientSort = PatientSort.NAME,
        descending: bool = False,
        limit: int | None = 100,
        offset: int = 0,
    ) -> PatientPage:
        """One page of the patients; each word of ``search`` occurs in name or ID, accents and case aside."""
        require(actor, Action.VIEW, Scope.TEST)
        return self._repository.page(search, sort=sort, descending=descending, limit=limit, offset=offset)

    def get(self, actor: Actor, number: int) -> StoredPatient:
        """The patient with this number.

        Raises:
            NotFound: there is none.
        """
        require(actor, Action.VIEW, Scope.TEST)
        return self._repository.get(number)

    def resolve_reference(self, actor: Actor, patient_id: str, issuer: str | None = None) -> StoredPatient:
        """The patient with exactly this ID.

        Raises:
            NotFound: none.
            InvalidInput: several issuers have it, and none was named.
        """
        require(actor, Action.VIEW, Scope.TEST)
        having = self._repository.with_id(patient_id.strip())
        found = [one for one in having if issuer in (None, one.data.issuer)]
        if not found:
            raise NotFound(
                f"there is no patient {patient_id!r}{f' of issuer {issuer!r}' if issuer else ''} in the registry.",
                cause="a patient is named by the whole Patient ID, in the same case",
                remedy="see who is there: dicomfab patient list",
            )
        if len(found) > 1:
            raise InvalidInput(
                f"issuer: {patient_id!r} is an ID of several issuers",
                field="issuer",
                value=issuer,
                cause=f"issuers: {', '.join(one.data.issuer for one in found)}",
                remedy="name the issuer too",
            )
        return found[0]

    def add(self, actor: Actor, values: Mapping[str, object], *, pattern: Pattern | None = None) -> Registered:
        """Add a patient.

        Args:
            actor: who asks.
            values: names and values of :class:`~dicomfab.fabricate.patients.PatientData`.
            pattern: makes the ID if none is given; ``SYN{10digits}`` if left out.

        Raises:
            AccessDenied, InvalidInput, Conflict: nothing was added.
        """
        require(actor, Action.FABRICATE, Scope.SYSTEM)
        given = {name: value for name, value in values.items() if name != "patient_id" or value}
        if "patient_id" in given and pattern is not None:
            raise InvalidInput(
                "pattern: an ID is given as well",
                field="pattern",
                value=pattern.key,
                cause="a patient has one ID, given or made from a pattern",
                remedy="leave one of the two out",
            )
        today = self._today()
        # Checked before an ID is drawn, so that a mistake uses none up and waits for nobody.
        patient_data({"patient_id": "x", **given}, today=today)
        chosen = pattern or default_pattern(Purpose.PATIENT_ID)
        is_used = self._usage(Purpose.PATIENT_ID)
        with self._repository.change() as change:
            if "patient_id" not in given:
                given["patient_id"] = change.draw(chosen, 1, is_used=is_used)[0]
            added = change.add([patient_data(given, today=today)])
            self._note(actor, change, "added", added[0].data.patient_id)
        return Registered(added, _warnings(added[0].data.patient_id))

    def invent(
        self,
        actor: Actor,
        count: int = 1,
        *,
        seed: int | None = None,
        pattern: Pattern | None = None,
        script: str | None = None,
        contact: bool = False,
    ) -> Registered:
        """Invent patients and add them, all or none.

        Args:
            actor: who asks.
            count: 1 to 10,000.
            seed: the same seed gives the same persons, with new IDs; drawn if left out.
            pattern: makes the IDs; ``SYN{10digits}`` if left out.
            script: that the names are written in, see :mod:`dicomfab.fabricate.scripts`; Latin if left out.
            contact: with addresses and telephone numbers that go with the names.

        Raises:
            AccessDenied, InvalidInput: nothing was added.
        """
        require(actor, Action.FABRICATE, Scope.SYSTEM)
        checks.whole(count, field="count", low=1, high=MAX_AT_ONCE)
        seed = self._draw_seed() if seed is None else checks.whole(seed, field="seed", low=0, high=SEED_LIMIT - 1)
        chosen = pattern or default_pattern(Purpose.PATIENT_ID)
        today = self._today()
        people = [invented("", seed, number, today=today, script=script, contact=contact) for number in range(count)]
        is_used = self._usage(Purpose.PATIENT_ID)
        with self._repository.change() as change:
            ids = change.draw(chosen, count, is_used=is_used)
            pairs = zip(people, ids, strict=True)
            added = change.add([replace(person, patient_id=patient_id) for person, patient_id in pairs])
            self._note(actor, change, "invented", *ids)
        return Registered(added, _warnings(chosen.text))

    def edit(
        self, actor: Actor, number: int, changes: Mapping[str, object], *, revision: int | None = None
    ) -> StoredPatient:
        """Change fields of a patient; what is not named stays.

        Args:
            actor: who asks.
            number: of the patient.
            changes: names and new values.
            revision: the one that the changes were made on; if left out, whatever stands there now.

        Raises:
            AccessDenied, NotFound, InvalidInput: nothing was changed.
            Conflict: someone else has changed the patient since; it says what differs. Or the ID is taken.
        """
        require(actor, Action.FABRICATE, Scope.SYSTEM)
        require(actor, Action.VIEW, Scope.TEST)
        with self._repository.change() as change:
            before = change.get(number)
            after = patient_data({**before.data.as_dict(), **changes}, today=self._today())
            if after == before.data:
                return before
            if revision is not None and revision != before.revision:
                raise _stale(before, after)
            replaced = change.replace(before, after)
            self._note(actor, change, "edited", *dict.fromkeys((before.data.patient_id, after.patient_id)))
            return replaced

    def remove(self, actor: Actor, number: int) -> Removed:
        """Remove a patient from the registry. Studies keep their own copy, and the ID is not given out again.

        Raises:
            AccessDenied, NotFound: nothing was removed.
        """
        require(actor, Action.DELETE, Scope.TEST)
        with self._repository.change() as change:
            removed = change.remove(number)
            self._note(actor, change, "removed", removed.data.patient_id)
        return Removed(removed, self.studies_of(actor, removed))

    def put_back(self, actor: Actor, removed: StoredPatient) -> StoredPatient:
        """Add a patient who was removed, with the same number and revision.

        Raises:
            AccessDenied: the actor may not add patients.
            Conflict: the ID is another patient's by now, or the patient is there again already.
        """
        require(actor, Action.FABRICATE, Scope.SYSTEM)
        with self._repository.change() as change:
            change.put_back(removed)
            self._note(actor, change, "put back", removed.data.patient_id)
        return removed

    def studies_of(self, actor: Actor, patient: StoredPatient) -> int:
        """How many local studies that the actor may see carry the patient's ID."""
        from dicomfab.archive.records import StudyFilter

        wanted = StudyFilter(patient_id=patient.data.patient_id)
        return self._local.studies(wanted, environments=visible(actor, Action.VIEW), limit=1).total

    def import_csv(self, actor: Actor, text: str, *, source: str) -> PatientImport:
        """Add and change patients from a table, all of it or nothing (see :mod:`dicomfab.services.patients_csv`).

        A patient whose ID and issuer are there is changed in the columns that the file has. If the file says on which
        revision it was made and the patient has been changed since, the row is refused.

        Raises:
            AccessDenied, InvalidInput: nothing was imported; every line at fault is named.
        """
        require(actor, Action.FABRICATE, Scope.SYSTEM)
        require(actor, Action.VIEW, Scope.TEST)
        rows, problems = read_rows(text, source=source)
        with self._repository.change() as change:
            importing = _Import(change, self._today(), problems)
            importing.take(rows)
            if problems:
                raise unusable(sorted(problems, key=lambda one: one.line), source)
            done = importing.finish()
            self._note(actor, change, "imported", *done.added, *done.changed)
            return done

    def export_csv(self, actor: Actor, search: str = "") -> str:
        """The patients that fit the search as a table that :meth:`import_csv` reads.

        Raises:
            AccessDenied: the actor may not export test data.
        """
        require(actor, Action.EXPORT, Scope.TEST)
        patients = self._repository.page(search).patients
        detail = {"patients": str(len(patients))}
        self._record(AuditEvent.by(actor, EventKind.EXPORT, environment="test", subject="patients", detail=detail))
        return write_rows(patients)

    def next_patient_id(self, actor: Actor, pattern: Pattern | None = None) -> IssuedId:
        """A Patient ID that was never used here and will not be given out again; from ``SYN{10digits}`` if left out.

        Raises:
            AccessDenied.
            InvalidInput: the pattern can make no new one.
        """
        return self._next(actor, pattern or default_pattern(Purpose.PATIENT_ID), Purpose.PATIENT_ID)

    def next_accession(self, actor: Actor, pattern: Pattern | None = None) -> IssuedId:
        """The same for an accession number."""
        return self._next(actor, pattern or default_pattern(Purpose.ACCESSION), Purpose.ACCESSION)

    def _next(self, actor: Actor, pattern: Pattern, purpose: Purpose) -> IssuedId:
        require(actor, Action.FABRICATE, Scope.SYSTEM)
        if pattern.purpose is not purpose:
            raise ValueError(f"{pattern.key!r} was made for {pattern.purpose}, not for {purpose}")
        is_used = self._usage(purpose)
        with self._repository.change() as change:
            (value,) = change.draw(pattern, 1, is_used=is_used)
        return IssuedId(value, _warnings(pattern.text))

    def _note(self, actor: Actor, change: PatientChanges, what: str, *patient_ids: str) -> None:
        """One entry; the message is about one patient (PS3.15 A.5.3.8), so of several only how many is told."""
        if patient_ids:
            detail = {"change": what, "patients": str(len(patient_ids))}
            named = patient_ids if len(patient_ids) <= 2 else ()
            given = {"environment": "test", "patient_ids": named, "detail": detail}
            self._record(AuditEvent.by(actor, EventKind.PATIENT_CHANGE, **given), within=change.transaction)

    def _usage(self, purpose: Purpose) -> Callable[[str], bool]:
        """Whether a value stands in a local study, of whatever environment."""
        from dicomfab.archive.records import StudyFilter

        if purpose is Purpose.PATIENT_ID:
            return {one.patient_id for one in self._local.patients()}.__contains__
        return lambda value: self._local.studies(StudyFilter(accession_number=value), limit=1).total > 0

    def _today(self) -> dt.date:
        return self._now().date()


def default_pattern(purpose: Purpose) -> Pattern:
    """``SYN{10digits}``: nobody takes it for a real patient's."""
    return parse(DEFAULT, purpose)


class _Import:
    """Applies rows within one transaction and adds what is wrong with any of them to the problems."""

    def __init__(self, change: PatientChanges, today: dt.date, problems: list[RowProblem]) -> None:
        self._change = change
        self._today = today
        self._problems = problems
        self._lines: dict[tuple[str, str], int] = {}
        self._added: list[PatientData] = []
        self._changed: list[str] = []
        self._unchanged: list[str] = []

    def take(self, rows: Sequence[CsvRow]) -> None:
        """Change the patients who are there, and keep in mind to add the others."""
        keyed: list[tuple[CsvRow, tuple[str, str]]] = []
        for row in rows:
            with self._noting(row):
                keyed.append((row, self._key(row)))
        known = self._change.known([patient_id for _, (patient_id, _) in keyed])
        for row, key in keyed:
            with self._noting(row):
                self._apply(row, known.get(key))

    def finish(self) -> PatientImport:
        """Add the new ones and say what was done."""
        self._change.add(self._added)
        added = tuple(data.patient_id for data in self._added)
        risky = [patient_id for patient_id in added if risk(patient_id)]
        warnings = tuple(f"{len(risky)} of the IDs: {risk(one)}" for one in risky[:1])
        return PatientImport(added, tuple(self._changed), tuple(self._unchanged), warnings)

    @contextmanager
    def _noting(self, row: CsvRow) -> Iterator[None]:
        try:
            yield
        except InvalidInput as error:
            self._problems.append(RowProblem(row.line, error.field, error.what.removeprefix(f"{error.field}: ")))

    def _key(self, row: CsvRow) -> tuple[str, str]:
        """ID and issuer, if they can be used and no earlier row has them."""
        named = {name: row.values[name] for name in row.values.keys() & {"patient_id", "issuer"}}
        identity = patient_data({"name": "x", **named}, today=self._today)
        key = (identity.patient_id, identity.issuer)
        if self._lines.setdefault(key, row.line) != row.line:
            raise InvalidInput(f"{key[0]!r} stands in line {self._lines[key]} already", field="patient_id")
        return key

    def _apply(self, row: CsvRow, before: StoredPatient | None) -> None:
        given = {name: value for name, value in row.values.items() if name in FIELD_NAMES}
        if before is None:
            self._added.append(patient_data(given, today=self._today))
            return
        after = patient_data({**before.data.as_dict(), **given}, today=self._today)
        if after == before.data:
            self._unchanged.append(after.patient_id)
            return
        _must_be_current(before, row.values.get("revision", "").strip())
        self._change.replace(before, after)
        self._changed.append(after.patient_id)


def _must_be_current(before: StoredPatient, revision: str) -> None:
    if revision and revision != str(before.revision):
        raise InvalidInput(
            f"{before.data.patient_id!r} was changed since the file was made (revision {revision}, now"
            f" {before.revision}); export again, or leave the revision blank to overwrite",
            field="revision",
        )


def _stale(before: StoredPatient, after: PatientData) -> Conflict:
    now, yours = before.data.as_dict(), after.as_dict()
    differing = [
        f"{name} is now {now[name]!r}, not {yours[name]!r}" for name in FIELD_NAMES if now[name] != yours[name]
    ]
    when = before.changed_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return Conflict(
        f"patient {before.data.patient_id} was changed at {when}, after you had opened it; nothing was saved."
        f" There: {'; '.join(differing)}",
        cause="someone else saved the same patient in the meantime",
        remedy="look at the differences, then save again if yours is right",
    )


def _warnings(text: str) -> tuple[str, ...]:
    return (risk(text),) if risk(text) else ()
