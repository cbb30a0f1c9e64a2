"""Validations that pages follow: begun by a form, kept for a while for whoever began them."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from dicomfab.access.policy import Action, visible
from dicomfab.model.errors import Conflict, DicomFabError, NotFound
from dicomfab.web.errors import unexpected

if TYPE_CHECKING:
    from dicomfab.archive.records import StudySummary
    from dicomfab.model.actor import Actor
    from dicomfab.services.progress import Progress
    from dicomfab.services.validation import ValidationService
    from dicomfab.validity.report import FileResult, Report

KEPT: Final = 30
#: One at a time takes all processors.
AT_ONCE: Final = 2
#: Instances of a study that are listed.
LISTED: Final = 200


@dataclass(frozen=True, slots=True)
class StudyView:
    """What was found in one study.

    Args:
        study: itself.
        verdict: ``valid``, ``invalid`` or ``incomplete``.
        groups: findings, the same one once, with the number of instances.
        series: Series Instance UID -> its instances with findings of the wanted severity.
        left_out: instances with such findings that are not listed.
        files: how many instances were checked.
        invalid: how many of them are not valid.
    """

    study: StudySummary
    verdict: str
    groups: list[Any]
    series: dict[str, list[FileResult]]
    left_out: int
    files: int
    invalid: int


@dataclass(slots=True)
class ValidationRun:
    """One validation, as far as it has come.

    Args:
        owner: name of the actor who wanted it.
        studies: what is validated.
        reports: one for each study that is done.
        failure: why it ended before it was done.
        has_ended: whether it goes on no more.
        done: how far it has come, of ``total``.
        is_stopped: whether it has been asked to end.
    """

    owner: str
    studies: tuple[StudySummary, ...]
    reports: list[Report] = field(default_factory=list)
    failure: DicomFabError | None = None
    has_ended: bool = False
    done: int = 0
    is_stopped: bool = False

    @property
    def total(self) -> int:
        """Instances."""
        return sum(study.instance_count for study in self.studies)

    @property
    def verdict(self) -> str:
        """Of all together."""
        verdicts = {report.verdict for report in self.reports}
        is_whole = len(self.reports) == len(self.studies)
        return "invalid" if "invalid" in verdicts else "valid" if verdicts == {"valid"} and is_whole else "incomplete"

    def stop(self) -> None:
        """Have it end soon."""
        self.is_stopped = True

    def count(self, severity: str) -> int:
        """Findings of a severity."""
        return sum(report.as_counts()[severity] for report in self.reports)

    def view(self, severity: str) -> list[StudyView]:
        """What is shown of each study that is done; instances of one severity alone, or of all."""
        if not self.has_ended:
            return []
        pairs = zip(self.studies, self.reports, strict=False)
        return [_view(study, report, severity) for study, report in pairs]

    def work(self, actor: Actor, service: ValidationService) -> None:
        """Validate study after study."""
        try:
            for study in self.studies:
                before = self.done
                note = partial(self._note, before)
                uid = study.study_instance_uid
                self.reports.append(service.study(actor, uid, on_progress=note, cancelled=lambda: self.is_stopped))
                self.done = before + study.instance_count
                if self.is_stopped:
                    return
        except DicomFabError as error:
            self.failure = error
        except BaseException:
            self.failure = unexpected()
            raise
        finally:
            self.has_ended = True

    def _note(self, before: int, progress: Progress) -> None:
        if progress.stage == "checking files":
            self.done = before + progress.done


def _view(study: StudySummary, report: Report, severity: str) -> StudyView:
    series: dict[str, list[FileResult]] = {}
    listed = left_out = 0
    for result in report.files:
        if not any(severity in ("", str(finding.severity)) for finding in result.findings):
            continue
        if listed == LISTED:
            left_out += 1
            continue
        listed += 1
        series.setdefault(result.summary.series_instance_uid if result.summary else "", []).append(result)
    groups = [group for group in report.groups() if severity in ("", str(group.finding.severity))]
    return StudyView(study, report.verdict, groups, series, left_out, len(report.files), report.invalid_files)


class ValidationRuns:
    """The latest validations."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, ValidationRun] = OrderedDict()
        self._lock = threading.Lock()

    def start(self, actor: Actor, studies: Sequence[StudySummary], service: ValidationService) -> str:
        """Begin one in a thread of its own; its id, which nobody can guess.

        Raises:
            Conflict: too many are being made.
        """
        run = ValidationRun(actor.name, tuple(studies))
        with self._lock:
            if sum(not one.has_ended for one in self._runs.values()) >= AT_ONCE:
                raise Conflict(
                    f"{AT_ONCE} validations are being made already",
                    cause="each one takes all processors",
                    remedy="try again in a moment",
                )
            run_id = secrets.token_urlsafe(16)
            self._runs[run_id] = run
            ended = [one for one, kept in self._runs.items() if kept.has_ended]
            for one in ended[: max(0, len(self._runs) - KEPT)]:
                del self._runs[one]
        threading.Thread(target=run.work, args=(actor, service), name="validation", daemon=True).start()
        return run_id

    def get(self, actor: Actor, run_id: str) -> ValidationRun:
        """One of the actor's.

        Raises:
            NotFound: there is none, or it is another's, or of a study that the actor may not view any more.
        """
        run, seen = self._runs.get(run_id), visible(actor, Action.VIEW)
        if run is None or run.owner != actor.name or any(one.environment not in seen for one in run.studies):
            raise NotFound(
                "this validation is not kept any more",
                cause="validations are kept for a while, for whoever asked for them",
                remedy="validate again, from the list of studies",
            )
        return run
