"""What transfers found out, as values that the ledger keeps."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from dicomfab.model.errors import DicomFabError, TransferIncomplete
from dicomfab.model.job import JobEvent
from dicomfab.services.jobs.run import Result
from dicomfab.services.transfer import TransferReport
from dicomfab.services.verification import VerdictKind


def report_dict(report: TransferReport) -> dict[str, Any]:
    """The report as plain values; a counter that was not reported is null."""
    plain = dataclasses.asdict(dataclasses.replace(report, error=None))
    plain["error"] = report.error.as_dict() if report.error is not None else None
    plain["verdict"]["kind"] = str(report.verdict.kind)
    plain["verdict"]["arrived"] = report.verdict.arrived
    return plain


def result_of(studies: Sequence[Mapping[str, Any]], error: DicomFabError | None = None) -> Result:
    """How a job ended whose studies were all dealt with.

    Args:
        studies: reports as :func:`report_dict` gives them.
        error: what broke one off.

    Returns:
        Succeeded if every study is verified; to be doubted if the rest could only not be checked; else failed.
    """
    kinds = [VerdictKind(study["verdict"]["kind"]) for study in studies]
    worst = next((kind for kind in (VerdictKind.MISMATCH, VerdictKind.UNVERIFIED) if kind in kinds), None)
    report = {"verdict": str(worst or VerdictKind.VERIFIED), "studies": list(studies)}
    if error is not None:
        return Result(JobEvent.FAIL, report, error)
    if worst is VerdictKind.MISMATCH:
        return Result(JobEvent.FAIL, report, _incomplete(studies))
    return Result(JobEvent.DOUBT if worst else JobEvent.SUCCEED, report)


def _incomplete(studies: Sequence[Mapping[str, Any]]) -> TransferIncomplete:
    wrong = [study for study in studies if study["verdict"]["kind"] == VerdictKind.MISMATCH]
    refused = sum(len(study["failed"]) for study in wrong)
    first = wrong[0]
    of_several = f" ({len(wrong)} of {len(studies)} studies)" if len(studies) > 1 else ""
    return TransferIncomplete(
        f"not everything is at {first['destination']}{of_several}: {first['verdict']['why']}",
        cause=first["failed"][0]["reason"] if refused else "the destination lists less than it was sent",
        remedy="see the items that failed: dicomfab jobs show; mend the cause, then: dicomfab jobs retry",
    )
