"""A comparison of two servers as people and programs read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dicomfab.cli import output
from dicomfab.cli.session import actor, application
from dicomfab.model.job import Job, JobItem

_SHOWN: Final = 20
_SHOWN_UIDS: Final = 5


def print_comparison(job: Job) -> None:
    """Print what was found out: a line for each study that is not the same, the first ones of each kind."""
    told = job.report["comparison"]
    names = {one: told[one]["name"] for one in ("a", "b")}
    found = application().compare_jobs.findings(actor(), job, most=_SHOWN)
    output.print_text(f"compare: {names['a']} and {names['b']}")
    for one in ("a", "b"):
        counted = output.counted(told[one]["studies"], "study", "studies")
        unknown = f", {told[one]['uncounted']} without a number of instances" if told[one]["uncounted"] else ""
        output.print_text(f"  {names[one]}: {counted}{unknown}")
        if told[one]["not_returned"]:
            output.print_text(f"    not compared, since it does not return it: {', '.join(told[one]['not_returned'])}")
    for one in ("a", "b"):
        _print_kind(f"only at {names[one]}", told[one]["only"], found[f"only_{one}"], names)
    _print_kind("different", told["differ"], found["differs"], names)
    if any(min(told[one]["only"], _SHOWN) < told[one]["only"] for one in ("a", "b")) or told["differ"] > _SHOWN:
        output.print_text(f"  All of them: dicomfab jobs outcomes {job.id}, or --json")
    if job.report["verdict"] == "unverified":
        output.print_text(f"  {output.counted(told['failed'], 'study', 'studies')} could not be compared")
        return
    is_equal = job.report["verdict"] == "verified"
    line = output.verdict_text(is_equal, "  EQUAL" if is_equal else "  NOT EQUAL")
    same = output.counted(told["same"], "study", "studies")
    line.append(f"   {same} of {told['both']} on both are the same", style="not bold default")
    output.print_styled(line)
    for one in ("a", "b"):
        if told[one]["lacking"]:
            output.print_text(
                f"  Move what is missing at {names[one]}: dicomfab compare --fix {job.id} --to {told[one]['id']}"
            )


def differences(job: Job) -> list[dict[str, Any]]:
    """Every study that is not the same, as plain values: what it is, and what was found out about it."""
    found = application().compare_jobs.findings(actor(), job)
    return [{"study_instance_uid": item.key, **item.detail} for items in found.values() for item in items]


def _print_kind(what: str, number: int, items: list[JobItem], names: Mapping[str, str]) -> None:
    if not number:
        return
    output.print_text(f"  {what}: {output.counted(number, 'study', 'studies')}")
    for item in items:
        output.print_text(f"    {item.key}  {item.detail['why'].removeprefix(f'{what}: ')}")
        if item.detail["kind"] == "differs":
            _print_missing(item.detail, names)


def _print_missing(detail: Mapping[str, Any], names: Mapping[str, str]) -> None:
    for one in detail["attributes"]:
        if one["a"] is not None:
            output.print_text(f"      {one['keyword']}: {one['a'] or '(empty)'} and {one['b'] or '(empty)'}")
    for side, lacks in detail["missing"].items():
        for series in lacks["series"].values():
            for uid in series["instances"][:_SHOWN_UIDS]:
                output.print_text(f"      missing at {names[side]}  {uid}")
            if series["missing"] > _SHOWN_UIDS:
                output.print_text(f"      and {series['missing'] - _SHOWN_UIDS} more of the same series")
