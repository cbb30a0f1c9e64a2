"""Fabricate jobs: an item for each study, resolved when submitted: the same bytes are made whenever it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dicomfab.access.policy import Action, Scope, require
from dicomfab.fabricate import unfinished
from dicomfab.fabricate.kinds import ALL_KINDS
from dicomfab.fabricate.recipe import ResolvedStudy
from dicomfab.model.actor import Actor
from dicomfab.model.errors import DicomFabError, DiskFull, Interrupted, LocalFailure, Recorded
from dicomfab.model.job import ItemOutcome, ItemState, Job, JobEvent, JobItem, JobKind, NewItem, NewJob
from dicomfab.model.values import Environment
from dicomfab.services.declared_defects import refuse_defects
from dicomfab.services.jobs.run import JobRun, Result
from dicomfab.services.studies import Fabricated, StudyService

LOCAL_QUEUE = "local"


def fabricate_job(
    actor: Actor,
    studies: Sequence[ResolvedStudy],
    *,
    store_id: str,
    out: Path | None = None,
    priority: int = 5,
    then: Mapping[str, Any] | None = None,
) -> tuple[NewJob, Iterator[NewItem]]:
    """A job that makes studies, to be submitted.

    Args:
        actor: needs FABRICATE.
        studies: with nothing left open.
        store_id: of the local store.
        out: a folder for files instead of the local store; a folder below it for each study if there are several.
        priority: 1 (first) to 9.
        then: what is done with the studies, see :mod:`~dicomfab.services.jobs.send_after`.

    Raises:
        AccessDenied: the actor may not fabricate.
        InvalidInput: a study with declared defects, and no folder.
    """
    require(actor, Action.FABRICATE, Scope.SYSTEM)
    if out is None:
        refuse_defects(studies)
    kinds = list(dict.fromkeys(ALL_KINDS[kind].title for study in studies for kind in study.kinds))
    what = " and ".join(kinds) if len(kinds) < 4 else f"{len(kinds)} kinds of series"
    several = f": {len(studies)} studies" if len(studies) > 1 else ""
    job = NewJob(
        kind=JobKind.FABRICATE,
        title=f"Fabricate {what}{several}"[:200],
        owner=actor.name,
        roles=tuple(sorted(actor.roles)),
        door=actor.door,
        account_id=actor.account_id,
        environment=str(Environment.TEST),
        queue=LOCAL_QUEUE,
        request={"out": "" if out is None else str(out.absolute()), **({"then": dict(then)} if then else {})},
        store_id=store_id,
        priority=priority,
    )
    return job, (NewItem(one.study_instance_uid, _modalities(one), one.as_dict()) for one in studies)


def _modalities(study: ResolvedStudy) -> str:
    return "/".join(sorted({ALL_KINDS[kind].modality for kind in study.kinds}))


@dataclass(frozen=True, slots=True)
class FabricateExecutor:
    """Does fabricate jobs.

    Args:
        studies: makes them.
        send: submits the sending of what was made, if the job asks for it.
    """

    studies: StudyService
    send: Callable[[Job, Actor, Sequence[str]], Job] | None = None

    def __call__(self, run: JobRun) -> Result:
        """Make study after study; the local store takes each whole or not at all.

        Raises:
            DiskFull: no space is left; files that are complete are kept.
            LocalFailure: nothing more can be made.
        """
        several = run.job.counts.total > 1
        for item in run.open_items():
            if run.stopped():
                return Result(None)
            run.note([], begin=[item.number])
            try:
                made = self._made(run, item, several=several)
            except (Interrupted, DiskFull) as error:
                run.note([ItemOutcome(item.number, ItemState.PENDING)])
                if isinstance(error, DiskFull):
                    raise
                return Result(None)
            except DicomFabError as error:
                run.note([ItemOutcome(item.number, ItemState.FAILED, detail={"error": error.as_dict()})])
                continue
            run.note([ItemOutcome(item.number, ItemState.DONE, detail=made_dict(made), size_bytes=made.size_bytes)])
        return self._then(run, _result(run))

    def _then(self, run: JobRun, made: Result) -> Result:
        """Have sent what was made, if that is asked for; the job has not succeeded unless that is under way."""
        if self.send is None or "then" not in run.job.request:
            return made
        studies = [str(item.detail["study_instance_uid"]) for item in run.items((ItemState.DONE,))]
        if not studies:
            return made
        try:
            job = self.send(run.job, run.actor, studies)
        except DicomFabError as error:
            return Result(JobEvent.FAIL, error=made.error or error)
        return replace(made, report={**made.report, "sent_by": job.id})

    def _made(self, run: JobRun, item: JobItem, *, several: bool) -> Fabricated:
        resolved, out = ResolvedStudy.from_dict(dict(item.request)), run.job.request["out"]
        if not out:
            return self.studies.create(run.actor, resolved, on_progress=run.progress, cancelled=run.stopped)
        folder = Path(out, resolved.study_instance_uid) if several else Path(out)
        if item.attempts:
            if folder.is_dir() and not (folder / unfinished.MARKER).exists():
                unfinished.begin(folder, resolved)  # it was complete, or not begun: what is there is looked at
            if folder.is_dir():
                return self.studies.resume_files(run.actor, folder, on_progress=run.progress, cancelled=run.stopped)
        return self.studies.write_files(run.actor, resolved, folder, on_progress=run.progress, cancelled=run.stopped)


def _result(run: JobRun) -> Result:
    failed = run.items((ItemState.FAILED,))
    if not failed:
        return Result(JobEvent.SUCCEED)
    first, total = Recorded(failed[0].detail["error"]), run.job.counts.total
    if total == 1:
        return Result(JobEvent.FAIL, error=first)
    error = LocalFailure(
        f"{len(failed)} of {total} studies could not be made; the first: {first.what}",
        cause=first.cause,
        remedy=first.remedy,
    )
    return Result(JobEvent.FAIL, error=error)


def made_dict(made: Fabricated) -> dict[str, Any]:
    """What was made, as plain values."""
    resolved = made.resolved
    return {
        "study_instance_uid": resolved.study_instance_uid,
        "accession_number": resolved.accession_number,
        "seed": resolved.seed,
        "instances": made.instances,
        "size_bytes": made.size_bytes,
        "seconds": round(made.seconds, 3),
        "directory": str(made.directory) if made.directory is not None else None,
    }
