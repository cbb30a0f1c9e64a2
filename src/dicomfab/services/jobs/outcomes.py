"""How each item of a job ended, as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any, Final

from dicomfab.model.job import JobItem
from dicomfab.model.values import is_uid
from dicomfab.services.tables import guarded

_GIVEN: Final = ("accession_number", "patient_id", "study_instance_uid", "study_date")
_COLUMNS: Final = ("item", *_GIVEN, "state", "study", "instances", "verdict", "status", "why", "attempts", "resent")


def outcome_rows(items: Iterable[JobItem]) -> str:
    """A table with a heading line and a row for each item; what was given comes back as it was."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    for item in items:
        writer.writerow(guarded(value) for value in _cells(item))
    return out.getvalue()


def _cells(item: JobItem) -> list[Any]:
    report = item.detail.get("report", {})
    verdict = report.get("verdict", {})
    key = item.key.split("/")[0]  # of a series: study/series
    study = report.get("study_instance_uid", key if is_uid(key) and not item.request else "")
    given = [item.request.get(name, "") for name in _GIVEN]
    counts = report.get("instances", ""), verdict.get("kind", ""), item.status
    return [item.label, *given, str(item.state), study, *counts, _why(item), item.attempts, item.resent]


def _why(item: JobItem) -> str:
    if "error" in item.detail:
        return str(item.detail["error"]["what"])
    if "candidates" in item.detail:
        fitting = ", ".join(one["StudyInstanceUID"] for one in item.detail["candidates"])
        return f"several studies fit: {fitting}"
    return str(item.detail.get("report", {}).get("verdict", {}).get("why", "")) or str(item.detail.get("why", ""))
