"""``dicomfab validate``: whether DICOM files are valid, by dciodvfy, dcentvfy and our own rules."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dicomfab.cli import output
from dicomfab.cli.progress import shown
from dicomfab.cli.session import actor, application
from dicomfab.model.errors import InvalidInput

if TYPE_CHECKING:
    from dicomfab.validity.report import Group, Report

app = typer.Typer(add_completion=False)

EXIT_CODES = {"valid": 0, "invalid": 8, "incomplete": 1}
_UNREADABLE = 3
_STOPPED = 130
_SHOWN_FILES = 3
_SHOWN_INVALID = 20


@app.command()
def validate(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH]...", help="Files, and folders with everything below them.")
    ] = None,
    study: Annotated[
        str, typer.Option("--study", help="A local study instead: Study Instance UID, accession number, or 'latest'.")
    ] = "",
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Files checked at a time; one for each processor if not given.")
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Count warnings as errors, but no expected ones: those have a reason."),
    ] = False,
    strict_all: Annotated[
        bool, typer.Option("--strict-all", help="Count all warnings as errors, expected ones too.")
    ] = False,
    as_json: output.Json = False,
) -> None:
    """Check DICOM files with dciodvfy, dcentvfy and rules of our own; every frame is decoded.

    Exit codes: 0 valid, 8 not valid, 3 a path cannot be read, 1 a part of the checks could not run.
    """
    if bool(paths) == bool(study):
        raise InvalidInput(
            "path: name files and folders, or a study with --study (one of the two)",
            field="path",
            remedy="for instance: dicomfab validate FOLDER, or dicomfab validate --study latest",
        )
    service = application().validation
    with shown("validate", quiet=as_json) as view:
        options: dict[str, Any] = {"jobs": jobs, "strict": strict, "strict_all": strict_all}
        options |= {"on_progress": view.on_progress, "cancelled": view.cancelled}
        report = service.study(actor(), study, **options) if study else service.files(actor(), paths or [], **options)
    if as_json:
        output.print_json(report.as_dict())
    else:
        _print(report)
    sys.exit(exit_code(report))


def exit_code(report: Report) -> int:
    """What the command leaves with: a fault found weighs more than something that could not be looked at."""
    if report.stopped:
        return _STOPPED
    if report.verdict == "incomplete" and report.unreadable:
        return _UNREADABLE
    return EXIT_CODES[report.verdict]


def _print(report: Report) -> None:
    _print_studies(report)
    _print_families(report)
    for group in report.groups():
        _print_group(group, report)
    _print_left_out(report)
    _print_verdict(report)


def _print_studies(report: Report) -> None:
    rows = []
    for uid, results in report.studies():
        invalid = sum(report.fails(result.findings) for result in results)
        together = report.fails(shared.finding for shared in report.shared if shared.study_instance_uid == uid)
        verdict = output.verdict_text(not invalid and not together, "invalid" if invalid or together else "valid")
        rows.append((uid or "(none)", str(len(results)), str(invalid), verdict))
    output.print_table(("study", "files", "invalid", "verdict"), rows)


def _print_families(report: Report) -> None:
    columns = ("family", "transfer syntax", "files", "invalid", "errors", "warnings", "expected")
    rows = [
        (r.family, r.transfer_syntax, *map(str, (r.files, r.invalid, r.errors, r.warnings, r.expected)))
        for r in report.rows()
    ]
    output.print_table(columns, rows)


def _print_group(group: Group, report: Report) -> None:
    finding = group.finding
    where = f" ({finding.attribute})" if finding.attribute and finding.attribute not in finding.message else ""
    heading = f"{str(finding.severity).upper():<8}  {finding.rule}: {finding.message}{where}"
    output.print_styled(output.verdict_text(not report.fails([finding]), heading))
    names = ", ".join("/".join(path.parts[-2:]) for path in group.paths[:_SHOWN_FILES])
    more = f" and {group.count - _SHOWN_FILES} more" if group.count > _SHOWN_FILES else ""
    lines = (
        ("in", f"{output.counted(group.count, 'file')}: {names}{more}"),
        ("value", finding.detail),
        ("standard", finding.reference),
        ("why expected", finding.reason),
        ("what to do", finding.remedy),
    )
    for label, text in lines:
        if text:
            output.print_text(f"          {label:<13} {text}")


def _print_left_out(report: Report) -> None:
    for path in report.skipped[:_SHOWN_INVALID]:
        output.print_text(f"skipped, no DICOM file: {path}")
    if len(report.skipped) > _SHOWN_INVALID:
        output.print_text(f"skipped, no DICOM file: {len(report.skipped) - _SHOWN_INVALID} more (see --json)")
    for path, reason in report.unreadable:
        output.print_text(f"cannot be read: {path}: {reason}")
    for reason in report.not_run:
        output.print_styled(output.verdict_text(False, f"NOT RUN   {reason}"))


def _print_verdict(report: Report) -> None:
    invalid = [result.path for result in report.files if report.fails(result.findings)]
    for path in invalid[:_SHOWN_INVALID]:
        output.print_text(f"invalid: {path}")
    if len(invalid) > _SHOWN_INVALID:
        output.print_text(f"invalid: {len(invalid) - _SHOWN_INVALID} more (see --json)")
    counts = report.as_counts()
    rate = f"{len(report.files) / report.seconds:.0f} files/s" if report.seconds else ""
    stopped = "; stopped on request, before the end" if report.stopped else ""
    line = output.verdict_text(report.verdict == "valid", report.verdict.upper())
    line.append(
        f"   {output.counted(len(report.files), 'file')}, {len(invalid)} invalid; "
        f"{output.counted(counts['error'], 'error')}, {output.counted(counts['warning'], 'warning')}, "
        f"{counts['expected']} expected; {report.seconds:.1f} s, {rate}{stopped}",
        style="not bold default",
    )
    output.print_styled(line)
