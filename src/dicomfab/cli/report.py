"""Print what a transfer did, and leave with an exit code that says how it ended.

0 verified, 4 broken off by the peer or the road to it, 6 mismatch, 7 unverified, 130 stopped by the user.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from dicomfab.app.plain import job_dict
from dicomfab.cli import output
from dicomfab.cli.progress import counters_text
from dicomfab.model.errors import Recorded
from dicomfab.model.job import Job, JobKind, JobState

EXIT_CODES: Final = {JobState.SUCCEEDED: 0, JobState.UNVERIFIED: 7, JobState.CANCELLED: 130}
#: The same for a verdict alone.
VERDICT_EXIT_CODES: Final = {"verified": 0, "mismatch": 6, "unverified": 7}
#: Of a search: a server ended its answer with a warning.
WITH_RESERVATION: Final = 9
_SHOWN_FAILURES: Final = 10


def finish(job: Job, *, as_json: bool, also: Mapping[str, Any] | None = None) -> NoReturn:
    """Print what a job has found out, and leave.

    Args:
        job: as it ended.
        as_json: print JSON.
        also: further values for the JSON.

    Raises:
        Recorded: it failed before there was anything to report.
    """
    studies = job.report.get("studies", [])
    if job.error and not studies:
        if not as_json:
            print_studies(job)
        raise Recorded(job.error)
    if as_json and job.kind is JobKind.COMPARE and "comparison" in job.report:
        from dicomfab.cli.comparison_text import differences

        output.print_json({**job_dict(job), "differences": differences(job), **(also or {})})
    elif as_json:
        found = {**studies[0], "job": job_dict(job)} if len(studies) == 1 else job_dict(job)
        output.print_json({**found, **(also or {})})
    else:
        print_studies(job)
        if job.state is JobState.CANCELLED:
            done = f"{job.counts.done} of {job.counts.total} items were done"
            output.print_text(f"Stopped on request: {done}. Go on with it: dicomfab jobs retry {job.id}")
    sys.exit(exit_code(job))


def print_studies(job: Job) -> None:
    """Print what a job has found out about each study that it transferred, or how to look at what it searched for."""
    for server in job.report.get("servers", []):
        more = f", the first {server['found']} of more" if server["truncated"] else f", {server['found']} found"
        output.print_text(f"{server['name']}: {server['state']}{'' if server['error'] else more}")
    if job.kind is JobKind.QUERY and job.started_at is not None:
        output.print_text(f"Look at the results: dicomfab query --search {job.request['search']}")
    if "comparison" in job.report:
        from dicomfab.cli.comparison_text import print_comparison

        print_comparison(job)
    for study in job.report.get("studies", []):
        if study["operation"] == "verify":
            from dicomfab.cli.verification_text import print_verification

            print_verification(study)
        else:
            _print(study)


def exit_code(job: Job) -> int:
    """How a command ends that waited for a job. A comparison that did its work has a verdict beside its state."""
    if job.kind is JobKind.COMPARE and job.state is JobState.SUCCEEDED:
        return VERDICT_EXIT_CODES[job.report["verdict"]]
    if job.kind is JobKind.QUERY and job.state is JobState.UNVERIFIED:
        return WITH_RESERVATION
    if job.state in EXIT_CODES:
        return EXIT_CODES[job.state]
    return Recorded(job.error).exit_code if job.error else 1


def _print(report: Mapping[str, Any]) -> None:
    from dicomfab.dimse.explain import uid_name

    verdict, seconds = report["verdict"], report["seconds"]
    accepted = "unreported" if report["accepted"] is None else str(report["accepted"])
    done_now = (report["accepted"] or 0) - report["accepted_before"]
    rate = f", {done_now / seconds:.0f} instances/s" if done_now and seconds > 0 else ""
    output.print_text(f"{report['operation']}: {report['source']} -> {report['destination']}")
    output.print_text(f"  study      {report['study_instance_uid']}")
    if report.get("series_instance_uid"):
        output.print_text(f"  series     {report['series_instance_uid']}")
    output.print_text(f"  instances  {report['instances']}, accepted by the peer {accepted}, {seconds:.1f} s{rate}")
    if report["suboperations"] is not None:
        output.print_text(f"  counters   {counters_text(report['suboperations'])}")
    if report.get("detour"):
        output.print_text(f"  way        {report['detour']}")
    if report["resent"]:
        output.print_text(f"  resent     {report['resent']} (no response came at first, or the sender was killed)")
    for syntax, count in report["transcoded"].items():
        output.print_text(f"  converted  {count} to {uid_name(syntax)}, which the peer takes; same decoded pixels")
    if report.get("identifiers"):
        output.print_text(f"  caution    {report['identifiers']}")
    for failed in report["failed"][:_SHOWN_FAILURES]:
        output.print_text(f"  failed     {failed['sop_instance_uid']}: {failed['reason']}")
    if len(report["failed"]) > _SHOWN_FAILURES:
        output.print_text(f"  failed     and {len(report['failed']) - _SHOWN_FAILURES} more (see --json)")
    if report["error"] is not None:
        output.print_text(f"  broken off {Recorded(report['error'])}")
    already = f", {verdict['before']} of them before this transfer" if verdict["before"] else ""
    line = output.verdict_text(verdict["kind"] == "verified", f"  {verdict['kind'].upper()}")
    line.append(f"   {verdict['why']}{already}", style="not bold default")
    output.print_styled(line)
