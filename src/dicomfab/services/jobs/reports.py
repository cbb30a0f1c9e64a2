"""What transfers found out, as values that the ledger keeps."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from dicomfab.model.errors import DicomFabError, Recorded, TransferIncomplete
from dicomfab.model.job import JobEvent
from dicomfab.services.jobs.run import Result
from dicomfab.services.transfer import TransferReport
from dicomfab.services.verification import Verdict, VerdictKind


def report_dict(report: TransferReport) -> dict[str, Any]:
    """The report as plain values; a counter that was not reported is null."""
    plain = dataclasses.asdict(dataclasses.replace(report, error=None))
    plain["error"] = report.error.as_dict() if report.error is not None else None
    plain["verdict"] = verdict_dict(report.verdict)
    return plain


def verdict_dict(verdict: Verdict) -> dict[str, Any]:
    """The verdict as plain values."""
    return {**dataclasses.asdict(verdict), "kind": str(verdict.kind), "arrived": verdict.arrived}


def result_of(
    studies: Sequence[Mapping[str, Any]],
    error: DicomFabError | None = None,
    *,
    refused: Sequence[Mapping[str, Any]] = (),
) -> Result:
    """How a job ended whose studies were all dealt with.

    Args:
        studies: reports as :func:`report_dict` gives them.
        error: what broke one off.
        refused: why other studies could not even be begun, as :meth:`DicomFabError.as_dict` gives it.

    Returns:
        Succeeded if every study is verified; to be doubted if the rest could only not be checked; else failed.
    """
    kinds = [VerdictKind(study["verdict"]["kind"]) for study in studies]
    if refused:
        kinds.append(VerdictKind.MISMATCH)
        error = error or _not_begun(refused, len(kinds) - 1 + len(refused))
    worst = next((kind for kind in (VerdictKind.MISMATCH, VerdictKind.UNVERIFIED) if kind in kinds), None)
    report = {"verdict": str(worst or VerdictKind.VERIFIED), "studies": list(studies)} if studies else {}
    if error is not None:
        return Result(JobEvent.FAIL, report, error)
    if worst is VerdictKind.MISMATCH:
        return Result(JobEvent.FAIL, report, _incomplete(studies))
    return Result(JobEvent.DOUBT if worst else JobEvent.SUCCEED, report)


def stopped_with(studies: Sequence[Mapping[str, Any]]) -> Result:
    """That a job was stopped, and what it had found out until then."""
    return Result(None, result_of(studies).report)


def _not_begun(refused: Sequence[Mapping[str, Any]], of: int) -> DicomFabError:
    first = Recorded(refused[0])
    if of == 1:
        return first
    return TransferIncomplete(
        f"{len(refused)} of {of} studies could not be transferred; the first: {first.what}",
        cause=first.cause,
        remedy=first.remedy,
    )


def _incomplete(studies: Sequence[Mapping[str, Any]]) -> TransferIncomplete:
    wrong = [study for study in studies if study["verdict"]["kind"] == VerdictKind.MISMATCH]
    first = wrong[0]
    of_several = f" ({len(wrong)} of {len(studies)} studies)" if len(studies) > 1 else ""
    return TransferIncomplete(
        f"not everything is at {first['destination']}{of_several}: {first['verdict']['why']}",
        cause=_likely_cause(wrong),
        remedy="see the items that failed: dicomfab jobs show; mend the cause, then: dicomfab jobs retry",
    )


def _likely_cause(wrong: Sequence[Mapping[str, Any]]) -> str:
    for study in wrong:
        if study["failed"]:
            return str(study["failed"][0]["reason"])
        if study["operation"] == "C-MOVE" and study["accepted"] == 0 and study["error"] is None:
            return f"{study['source']} ended the C-MOVE with success and says that it sent nothing at all"
    return "the destination lists less than it was sent"
