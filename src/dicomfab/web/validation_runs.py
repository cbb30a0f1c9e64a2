"""Validations that pages follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from dicomfab.access.policy import Action, visible
from dicomfab.web.background import Kept, Work

if TYPE_CHECKING:
    from dicomfab.archive.records import StudySummary
    from dicomfab.model.actor import Actor
    from dicomfab.services.progress import Progress
    from dicomfab.services.validation import ValidationService
    from dicomfab.validity.report import FileResult, Report

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


class ValidationRun(Work):
    """One validation, as far as it has come.

    Args:
        actor: who wants it.
        studies: what is validated.
        service: validates.
    """

    NAME = "validation"

    def __init__(self, actor: Actor, studies: Sequence[StudySummary], service: ValidationService) -> None:
        super().__init__(actor.name)
        self.studies = tuple(studies)
        #: One for each study that is done.
        self.reports: list[Report] = []
        #: Instances checked, of ``total``.
        self.done = 0
        self._actor, self._service = actor, service

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

    def count(self, severity: str) -> int:
        """Findings of a severity."""
        return sum(report.as_counts()[severity] for report in self.reports)

    def view(self, severity: str) -> list[StudyView]:
        """What is shown of each study that is done; instances of one severity alone, or of all."""
        if not self.has_ended:
            return []
        pairs = zip(self.studies, self.reports, strict=False)
        return [_view(study, report, severity) for study, report in pairs]

    def is_for(self, actor: Actor) -> bool:
        """Whether it is the actor's, and of studies that the actor may still view."""
        seen = visible(actor, Action.VIEW)
        return super().is_for(actor) and all(study.environment in seen for study in self.studies)

    def _do(self) -> None:
        for study in self.studies:
            before = self.done
            self.reports.append(
                self._service.study(
                    self._actor,
                    study.study_instance_uid,
                    on_progress=partial(self._note, before),
                    cancelled=lambda: self.is_stopped,
                )
            )
            self.done = before + study.instance_count
            if self.is_stopped:
                return

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


class ValidationRuns(Kept[ValidationRun]):
    """The latest validations."""

    KEPT = 30
    AT_ONCE = 2
    MANY = ("validations", "each takes all processors")
    GONE = (
        "validation",
        "validations are kept for a while, for whoever asked for them",
        "validate again, from the list of studies",
    )
