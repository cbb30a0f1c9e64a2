"""Schedules: jobs made again and again, at times that a cron expression names.

A schedule holds the parameters of a job, not words of a command. Each time it is due they are looked at anew, as whom
made the schedule: what was allowed then and is not any more makes no job, and the schedule says why.

=========== ==========================================================================================================
Kind        Parameters
=========== ==========================================================================================================
send        ``studies`` (Study Instance UIDs, accession numbers or ``latest``, looked up each time), ``destination``
move        ``studies`` (Study Instance UIDs), ``source``, ``destination``
get         ``studies`` (Study Instance UIDs), ``source``
fabricate   ``recipe`` (the text of a recipe file), ``count``
query       ``servers``, ``filter`` (fields of a search; ``today`` is looked up each time), ``limit``
=========== ==========================================================================================================

All: ``priority``. Send and move: ``confirm_production``, ``verify_wait_s``. Send: ``transcode``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from dicomfab.access.policy import Action, Scope, decide, require, visible
from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind, Outcome
from dicomfab.model.errors import AccessDenied, DicomFabError, InvalidInput, LocalFailure, NotFound
from dicomfab.model.job import Job, JobKind, NewItem, NewJob
from dicomfab.model.log_lines import log_failure
from dicomfab.model.query import DEFAULT_LIMIT
from dicomfab.model.schedule import NewSchedule, Schedule
from dicomfab.services.account_rules import text_for_people
from dicomfab.services.jobs.cron import local_time_zone, next_time
from dicomfab.services.jobs.run import submitted_by, unchanged
from dicomfab.services.jobs.service import IN_THE_BACKGROUND, JobService, priority_of
from dicomfab.services.recording import Record, nobody, recorded
from dicomfab.services.verification import DEFAULT_WAIT_S

if TYPE_CHECKING:
    from dicomfab.services.studies import StudyService
    from dicomfab.storage.audit import Transaction
    from dicomfab.storage.schedules import Note, ScheduleRepository

log = logging.getLogger(__name__)

#: A job and its items, ready to be submitted.
Draft: TypeAlias = tuple[NewJob, Iterable[NewItem]]

LONGEST_TITLE: Final = 120

_WANTED: Final = object()
_SENT: Final = {"confirm_production": False, "verify_wait_s": DEFAULT_WAIT_S}
#: The parameters of each kind, and what they are if they are left out.
PARAMETERS: Final[Mapping[JobKind, Mapping[str, Any]]] = {
    JobKind.SEND: {"studies": _WANTED, "destination": _WANTED, "transcode": True, "priority": 5, **_SENT},
    JobKind.MOVE: {"studies": _WANTED, "source": _WANTED, "destination": _WANTED, "priority": 5, **_SENT},
    JobKind.GET: {"studies": _WANTED, "source": _WANTED, "priority": 5},
    JobKind.FABRICATE: {"recipe": _WANTED, "count": 1, "priority": 5},
    JobKind.QUERY: {"servers": _WANTED, "filter": _WANTED, "limit": DEFAULT_LIMIT, "via": "", "priority": 5},
}


@dataclass(frozen=True, slots=True)
class ScheduleService:
    """Schedules of the installation, shown to those who may see their environment.

    Args:
        schedules: where they are kept.
        jobs: the local store, the registry, and where jobs are shown.
        studies: finds local studies, and fills in recipes.
        record: has changes recorded.
        present: as whom a schedule's jobs are made now, with the roles that are left of those that it was made with.
    """

    schedules: ScheduleRepository
    jobs: JobService
    studies: StudyService
    record: Record = nobody
    present: Callable[[Actor], Actor] = unchanged

    def add(
        self,
        actor: Actor,
        kind: JobKind,
        parameters: Mapping[str, Any],
        *,
        cron: str,
        time_zone: str = "",
        title: str = "",
    ) -> Schedule:
        """Keep a schedule, after everything that its job could be refused for has been looked at.

        Args:
            actor: as whom its jobs run.
            kind: of the jobs.
            parameters: see above.
            cron: five fields; see :mod:`dicomfab.services.jobs.cron`.
            time_zone: IANA name; this machine's if left out.
            title: for people, without a patient's name; that of the job if left out.

        Raises:
            InvalidInput: the expression, the zone, the title or a parameter cannot be used.
            AccessDenied, ConfirmationRequired, NotFound, RouteMissing, Conflict: the job would be refused now.
        """
        filled = _filled(kind, parameters)
        zone = time_zone or local_time_zone()
        next_at = next_time(cron, zone, self.schedules.now())
        job = self._title_only(actor, filled) if kind is JobKind.FABRICATE else self._draft(actor, kind, filled)[0]
        new = NewSchedule(
            title=text_for_people(title, "title", LONGEST_TITLE) or job.title,
            kind=kind,
            parameters=filled,
            cron=" ".join(cron.split()),
            time_zone=zone,
            owner=actor.name,
            roles=tuple(sorted(actor.roles)),
            door=actor.door,
            account_id=actor.account_id,
            environment=job.environment,
            store_id=job.store_id,
            next_at=next_at,
        )
        with recorded(self.record, _event(actor, "added", new.title), ahead=True):
            return self.schedules.add(new)

    def every(self, actor: Actor) -> list[Schedule]:
        """All schedules that the actor may see, the oldest first."""
        seen = {str(environment) for environment in visible(actor, Action.VIEW)}
        return [one for one in self.schedules.every() if one.environment in seen]

    def show(self, actor: Actor, schedule_id: int) -> Schedule:
        """One schedule.

        Raises:
            NotFound: there is none, or it is of an environment that the actor does not see.
        """
        found = self.schedules.find(schedule_id)
        if found.environment not in {str(environment) for environment in visible(actor, Action.VIEW)}:
            raise NotFound(
                f"there is no schedule {schedule_id}.", cause="the number is mistyped", remedy="dicomfab schedule list"
            )
        return found

    def pause(self, actor: Actor, schedule_id: int) -> Schedule:
        """Let a schedule make no jobs until it is resumed.

        Raises:
            NotFound: there is no such schedule.
            AccessDenied: it is another's, and the actor is no administrator.
        """
        self._mine(actor, schedule_id)
        with recorded(self.record, _event(actor, "paused", str(schedule_id)), ahead=True):
            return self.schedules.enable(schedule_id, None)

    def resume(self, actor: Actor, schedule_id: int) -> Schedule:
        """Let a schedule make jobs again; what it missed meanwhile it does not make up for.

        Raises:
            NotFound, AccessDenied: as :meth:`pause`.
        """
        found = self._mine(actor, schedule_id)
        next_at = next_time(found.cron, found.time_zone, self.schedules.now())
        with recorded(self.record, _event(actor, "resumed", str(schedule_id)), ahead=True):
            return self.schedules.enable(schedule_id, next_at)

    def remove(self, actor: Actor, schedule_id: int) -> Schedule:
        """Forget a schedule, and return it as it was; jobs that it made stay.

        Raises:
            NotFound, AccessDenied: as :meth:`pause`.
        """
        self._mine(actor, schedule_id)
        with recorded(self.record, _event(actor, "removed", str(schedule_id)), ahead=True):
            return self.schedules.remove(schedule_id)

    def put_back(self, actor: Actor, removed: Schedule) -> Schedule:
        """Keep a schedule that was removed, as it was; what it missed meanwhile it does not make up for.

        Raises:
            AccessDenied: it is another's, and the actor is no administrator; or he may not see it any more.
            Conflict: it is there again already.
        """
        require(actor, Action.VIEW, Scope(removed.environment))
        _check_owner(actor, removed)
        next_at = next_time(removed.cron, removed.time_zone, self.schedules.now())
        with recorded(self.record, _event(actor, "put back", str(removed.id)), ahead=True):
            return self.schedules.put_back(replace(removed, next_at=next_at))

    def run(self, actor: Actor, schedule_id: int) -> Job:
        """Make a schedule's job now, out of turn, as whom made the schedule.

        Raises:
            NotFound, AccessDenied: as :meth:`pause`.
            DicomFabError: the job was refused.
        """
        found = self._mine(actor, schedule_id)
        job, items = self._job_of(found)
        note = self._noting(_event(actor, "run out of turn", str(found.id)))
        return self.jobs.show(actor, self.schedules.make_now(found.id, job, items, note))

    def beat(self) -> bool:
        """Make the jobs that are due; for workers, every few seconds.

        A time that passed while nothing ran makes one job, however many times have passed. Of several workers one
        makes it.

        Returns:
            Whether a schedule is enabled, for which a worker has to stay. True also if that could not be told.
        """
        try:
            for due in self.schedules.due(self.jobs.store_id()):
                self._fire(due)
            return self.need_a_worker()
        except DicomFabError as error:
            log.warning("schedules could not be looked at: %s", error.heading)
            return True

    def need_a_worker(self) -> bool:
        """Whether a schedule is enabled, for which a worker on this computer has to stay."""
        return self.schedules.is_any_enabled(self.jobs.store_id())

    def _fire(self, due: Schedule) -> None:
        try:
            next_at = next_time(due.cron, due.time_zone, self.schedules.now())
        except InvalidInput as error:  # its time zone is not known on this machine; another one's worker may know it
            log.warning("schedule %d stays due: %s", due.id, error.what)
            return
        drafted, event = self._drafted(due), _event(submitted_by(due), "run when it was due", str(due.id))
        if isinstance(drafted, DicomFabError):
            log.warning("schedule %d made no job: %s", due.id, drafted.heading)
            missed = replace(event, outcome=Outcome.SERIOUS, reason=drafted.heading)
            self.schedules.miss(due, next_at, drafted.as_dict(), self._noting(missed))
        elif (made := self.schedules.fire(due, next_at, *drafted, self._noting(event))) is not None:
            log.info("schedule %d made job %d", due.id, made)

    def _noting(self, event: AuditEvent) -> Note:
        def note(within: Transaction, job: int | None) -> None:
            detail = event.detail if job is None else {**event.detail, "job": str(job)}
            self.record(replace(event, detail=detail), within=within)

        return note

    def _drafted(self, due: Schedule) -> Draft | DicomFabError:
        try:
            return self._job_of(due)
        except DicomFabError as error:
            return error
        except Exception as error:  # noqa: BLE001 (outermost door: one schedule's fault would end every worker)
            log_failure(log, f"schedule {due.id}", error)
            return LocalFailure(
                "an unexpected error occurred", cause="a fault in this program", remedy="see the log, and report it"
            )

    def _job_of(self, schedule: Schedule) -> Draft:
        actor = self.present(submitted_by(schedule))
        job, items = self._draft(actor, schedule.kind, _filled(schedule.kind, schedule.parameters))
        return replace(job, schedule=schedule.id, max_attempts=IN_THE_BACKGROUND.max_attempts), items

    def _draft(self, actor: Actor, kind: JobKind, parameters: Mapping[str, Any]) -> Draft:
        makers: Mapping[JobKind, Callable[[Actor, Mapping[str, Any]], Draft]] = {
            JobKind.SEND: self._send,
            JobKind.MOVE: self._move,
            JobKind.GET: self._get,
            JobKind.FABRICATE: self._fabricate,
            JobKind.QUERY: self._query,
        }
        return makers[kind](actor, parameters)

    def _send(self, actor: Actor, parameters: Mapping[str, Any]) -> Draft:
        from dicomfab.services.jobs.send import send_job

        return send_job(
            actor,
            self.jobs.local,
            [self.studies.resolve_reference(actor, one) for one in parameters["studies"]],
            self.jobs.registry().get(parameters["destination"]),
            confirm_production=parameters["confirm_production"],
            transcode=parameters["transcode"],
            verify_wait_s=parameters["verify_wait_s"],
            store_id=self.jobs.store_id(),
            priority=priority_of(parameters["priority"]),
            provenance=self.jobs.provenance,
        )

    def _move(self, actor: Actor, parameters: Mapping[str, Any]) -> Draft:
        from dicomfab.services.jobs.retrieve import move_job

        registry = self.jobs.registry()
        return move_job(
            actor,
            registry,
            parameters["studies"],
            registry.get(parameters["source"]),
            registry.get(parameters["destination"]),
            confirm_production=parameters["confirm_production"],
            verify_wait_s=parameters["verify_wait_s"],
            priority=priority_of(parameters["priority"]),
            provenance=self.jobs.provenance,
        )

    def _get(self, actor: Actor, parameters: Mapping[str, Any]) -> Draft:
        from dicomfab.services.jobs.retrieve import get_job

        return get_job(
            actor,
            parameters["studies"],
            self.jobs.registry().get(parameters["source"]),
            store_id=self.jobs.store_id(),
            priority=priority_of(parameters["priority"]),
        )

    def _fabricate(self, actor: Actor, parameters: Mapping[str, Any]) -> Draft:
        from dicomfab.fabricate.recipe_file import read
        from dicomfab.services.jobs.fabricate import fabricate_job

        recipe = read(parameters["recipe"], source="recipe").study()
        studies = list(self.studies.resolve_several(actor, recipe, parameters["count"]))
        priority = priority_of(parameters["priority"])
        return fabricate_job(actor, studies, store_id=self.jobs.store_id(), priority=priority)

    def _query(self, actor: Actor, parameters: Mapping[str, Any]) -> Draft:
        from dicomfab.services.jobs.query import filter_of, query_job

        registry = self.jobs.registry()
        return query_job(
            actor,
            [registry.get(server) for server in parameters["servers"]],
            filter_of(parameters["filter"]),
            limit=parameters["limit"],
            via=parameters.get("via", ""),  # a schedule that was made before there was a choice has none
            store_id=self.jobs.store_id(),
            priority=priority_of(parameters["priority"]),
        )

    def _title_only(self, actor: Actor, parameters: Mapping[str, Any]) -> NewJob:
        """A job to fabricate such studies, without the identifiers that the real ones will use up."""
        from dicomfab.fabricate.recipe_file import read

        recipe = read(parameters["recipe"], source="recipe")
        plain = recipe.model_copy(update={"accession_pattern": None, "patient_id_pattern": None})
        return self._fabricate(actor, {**parameters, "recipe": plain.text()})[0]

    def _mine(self, actor: Actor, schedule_id: int) -> Schedule:
        found = self.show(actor, schedule_id)
        _check_owner(actor, found)
        return found


def _check_owner(actor: Actor, found: Schedule) -> None:
    if found.owner != actor.name and not decide(actor, Action.CONFIGURE, Scope.SYSTEM).allowed:
        raise AccessDenied(
            f"schedule {found.id} belongs to {found.owner}",
            cause="only its owner and administrators may change a schedule",
            remedy=f"ask {found.owner}, or an administrator",
        )


def _filled(kind: JobKind, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters of a kind."""
    if kind not in PARAMETERS:
        raise InvalidInput(
            f"kind: {kind} jobs cannot be scheduled",
            field="kind",
            value=str(kind),
            remedy=f"one of: {', '.join(sorted(PARAMETERS))}",
        )
    filled = {**PARAMETERS[kind], **parameters}
    wrong = sorted(name for name in filled if name not in PARAMETERS[kind] or filled[name] is _WANTED)
    if wrong:
        raise InvalidInput(
            f"parameters: {wrong[0]!r} is {'missing' if wrong[0] in PARAMETERS[kind] else 'none'} of {kind} jobs",
            field="parameters",
            value=wrong[0],
            remedy=f"the parameters are: {', '.join(PARAMETERS[kind])}",
        )
    return filled


def _event(actor: Actor, change: str, schedule: str) -> AuditEvent:
    return AuditEvent.by(actor, EventKind.SETTINGS_CHANGE, subject=f"schedule {schedule}", detail={"change": change})
