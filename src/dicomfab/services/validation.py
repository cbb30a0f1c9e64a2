"""Whether files, or studies of the local store, are valid DICOM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dicomfab.access.policy import Action, Scope, require
from dicomfab.model.actor import Actor
from dicomfab.model.errors import InvalidInput, NotFound
from dicomfab.services.progress import Cancelled, OnProgress, Progress, ignore, never

if TYPE_CHECKING:
    from dicomfab.services.studies import StudyService
    from dicomfab.validity.report import Report


@dataclass(slots=True)
class ValidationService:
    """Runs the validators of :mod:`dicomfab.validity`."""

    studies: StudyService

    def files(
        self,
        actor: Actor,
        paths: Sequence[Path],
        *,
        jobs: int | None = None,
        strict: bool = False,
        strict_all: bool = False,
        on_progress: OnProgress = ignore,
        cancelled: Cancelled = never,
    ) -> Report:
        """Validate files, and folders with everything below them.

        Args:
            actor: who asks. Nobody knows where plain files come from, so they count as production.
            paths: files and folders.
            jobs: files checked at a time; one for each processor by default.
            strict: let warnings count as errors; expected ones do not.
            strict_all: let expected warnings count as well, and so all others.
            on_progress: told how many files are done.
            cancelled: asked before each file.

        Raises:
            InvalidInput: no path, or less than one job.
            NotFound: there is not one DICOM file.
        """
        require(actor, Action.VIEW, Scope.PROD)
        return _validated(paths, jobs, strict, strict_all, on_progress, cancelled)

    def study(
        self,
        actor: Actor,
        reference: str,
        *,
        jobs: int | None = None,
        strict: bool = False,
        strict_all: bool = False,
        on_progress: OnProgress = ignore,
        cancelled: Cancelled = never,
    ) -> Report:
        """Validate a study of the local store.

        Args:
            actor: who asks; must be allowed to view the study.
            reference: Study Instance UID, accession number or ``latest``.
            jobs: as in :meth:`files`.
            strict: as in :meth:`files`.
            strict_all: as in :meth:`files`.
            on_progress: as in :meth:`files`.
            cancelled: as in :meth:`files`.

        Raises:
            NotFound: no such study.
        """
        detail = self.studies.show(actor, self.studies.resolve_reference(actor, reference))
        instances = self.studies.local.instances(detail.summary.study_instance_uid)
        return _validated([instance.path for instance in instances], jobs, strict, strict_all, on_progress, cancelled)


def _validated(
    paths: Sequence[Path],
    jobs: int | None,
    strict: bool,
    strict_all: bool,
    on_progress: OnProgress,
    cancelled: Cancelled,
) -> Report:
    from dicomfab.validity.run import validate

    if jobs is not None and jobs < 1:
        raise InvalidInput(
            f"jobs: {jobs} is not possible", field="jobs", value=jobs, remedy="give a whole number of at least 1"
        )
    if not paths:
        raise InvalidInput("path: nothing to validate was named", field="path", remedy="name files, folders or a study")

    def report_on(stage: str, done: int, total: int) -> None:
        on_progress(Progress(stage, done, total))

    report = validate(
        paths, jobs=jobs, strict=strict, strict_all=strict_all, on_progress=report_on, cancelled=cancelled
    )
    if not report.files and not report.stopped:
        raise _nothing(paths, report)
    return report


def _nothing(paths: Sequence[Path], report: Report) -> NotFound:
    names = ", ".join(str(path) for path in paths[:3]) + (" ..." if len(paths) > 3 else "")
    if report.unreadable:
        path, reason = report.unreadable[0]
        return NotFound(
            f"nothing could be validated: {path}: {reason}",
            cause="the path is wrong, or you may not read it",
            remedy="check the path and its permissions",
        )
    return NotFound(
        f"there is no DICOM file in {names}",
        cause=f"{len(report.skipped)} other files were seen; a DICOM file has DICM at byte 128 (PS3.10 7.1)",
        remedy="name the folder that has the DICOM files",
    )
