"""Print what a transfer did, and leave with an exit code that says how it ended.

0 verified, 4 broken off by the peer or the road to it, 6 mismatch, 7 unverified, 130 stopped by the user.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Any

from dicomfab.cli import output
from dicomfab.cli.progress import counters_text

if TYPE_CHECKING:
    from dicomfab.services.transfer import TransferReport

EXIT_CODES = {"verified": 0, "mismatch": 6, "unverified": 7}
_SHOWN_FAILURES = 10


def finish(report: TransferReport, *, as_json: bool) -> None:
    """Print the report and leave."""
    if as_json:
        output.print_json(report_dict(report))
    else:
        _print(report)
    if report.cancelled:
        sys.exit(130)
    sys.exit(report.error.exit_code if report.error is not None else EXIT_CODES[str(report.verdict.kind)])


def report_dict(report: TransferReport) -> dict[str, Any]:
    """The report as plain values; a counter that was not reported is null."""
    plain = dataclasses.asdict(dataclasses.replace(report, error=None))
    plain["error"] = report.error.as_dict() if report.error is not None else None
    plain["verdict"]["kind"] = str(report.verdict.kind)
    plain["verdict"]["arrived"] = report.verdict.arrived
    return plain


def _print(report: TransferReport) -> None:
    from dicomfab.dimse.explain import uid_name

    verdict = report.verdict
    accepted = "unreported" if report.accepted is None else str(report.accepted)
    rate = f"{report.instances / report.seconds:.0f} instances/s" if report.seconds > 0 else ""
    output.print_text(f"{report.operation}: {report.source} -> {report.destination}")
    output.print_text(f"  study      {report.study_instance_uid}")
    output.print_text(
        f"  instances  {report.instances}, accepted by the peer {accepted}, {report.seconds:.1f} s, {rate}"
    )
    if report.suboperations is not None:
        output.print_text(f"  counters   {counters_text(report.suboperations)}")
    if report.resent:
        output.print_text(f"  resent     {report.resent} (no response came at first)")
    for syntax, count in report.transcoded.items():
        output.print_text(f"  converted  {count} to {uid_name(syntax)}, which the peer takes; same decoded pixels")
    for failed in report.failed[:_SHOWN_FAILURES]:
        output.print_text(f"  failed     {failed.sop_instance_uid}: {failed.reason}")
    if len(report.failed) > _SHOWN_FAILURES:
        output.print_text(f"  failed     and {len(report.failed) - _SHOWN_FAILURES} more (see --json)")
    if report.cancelled:
        output.print_text("  stopped    on request, before the end")
    if report.error is not None:
        output.print_text(f"  broken off {report.error}")
    already = f", {verdict.before} of them before this transfer" if verdict.before else ""
    line = output.verdict_text(verdict.kind == "verified", f"  {str(verdict.kind).upper()}")
    line.append(f"   {verdict.why}{already}", style="not bold default")
    output.print_styled(line)
