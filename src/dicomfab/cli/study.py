"""``dicomfab study``: fabricate studies, and look after the local study store."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dicomfab.app.plain import study_dict
from dicomfab.cli import output
from dicomfab.cli.carry_out import ATTEMPTS, Detach, Priority, finish
from dicomfab.cli.progress import shown
from dicomfab.cli.session import actor, application
from dicomfab.cli.study_attributes import attributes, diff, export_zip
from dicomfab.cli.study_create import create
from dicomfab.cli.study_derive import derive
from dicomfab.cli.study_import import import_files
from dicomfab.cli.study_report import report
from dicomfab.cli.transfer_options import NoTranscode, To, Via, Wait, YesProduction

if TYPE_CHECKING:
    from dicomfab.archive.records import StudySummary

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Studies: create, import, list, show, send, export, delete."
)

Study = Annotated[str, typer.Argument(help="Study Instance UID, accession number, or 'latest'.")]


app.command()(create)
app.command()(derive)
app.command()(report)
app.command("import")(import_files)
app.command()(attributes)
app.command()(diff)


@app.command("list")
def list_studies(
    search: Annotated[str, typer.Argument(help="Part of a name, id, accession number or description.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Rows at most.")] = 100,
    as_json: output.Json = False,
) -> None:
    """List the studies of the local store, the newest first."""
    from dicomfab.archive.records import StudyFilter

    built = application()
    page = built.studies.page(actor(), StudyFilter(search=search), limit=limit)
    if as_json:
        output.print_json({"total": page.total, "studies": [study_dict(study, built.copies) for study in page.studies]})
        return
    if not page.total:
        output.print_text("No local studies. Make one: dicomfab study create")
        return
    columns = ("patient", "id", "accession", "date", "modalities", "series", "instances", "MB", "from", "study UID")
    output.print_table(columns, [_summary_cells(study) for study in page.studies])
    if page.total > len(page.studies):
        output.print_text(f"{len(page.studies)} of {page.total} shown; see --limit")


@app.command()
def show(study: Study, as_json: output.Json = False) -> None:
    """Show one local study with its series."""
    built = application()
    detail = built.studies.show(actor(), built.studies.resolve_reference(actor(), study))
    plain = study_dict(detail.summary, built.copies)
    if as_json:
        output.print_json({**plain, "series_list": [dataclasses.asdict(s) for s in detail.series]})
        return
    output.print_table(("attribute", "value"), [(k, str(v)) for k, v in plain.items()])
    columns = ("series", "modality", "description", "instances", "series UID")
    rows = [
        (s.series_number, s.modality, s.description, str(s.instance_count), s.series_instance_uid)
        for s in detail.series
    ]
    output.print_table(columns, rows)


@app.command()
def send(
    studies: Annotated[list[str], typer.Argument(help="Study Instance UIDs, accession numbers, or 'latest'.")],
    destination: To,
    yes_production: YesProduction = False,
    wait: Wait = 30.0,
    detach: Detach = False,
    priority: Priority = 5,
    no_transcode: NoTranscode = False,
    via: Via = "",
    _trace: output.Trace = False,
    as_json: output.Json = False,
) -> None:
    """Send local studies to a PACS server (C-STORE, STOW-RS), and prove that they are there."""
    from dicomfab.services.jobs.service import Options

    built = application()
    uids = [built.studies.resolve_reference(actor(), one) for one in studies]
    server = built.pacs.resolve(actor(), destination)
    job = built.jobs.send(
        actor(),
        uids,
        server,
        confirm_production=yes_production,
        transcode=not no_transcode,
        via=via,
        options=Options(wait, priority, ATTEMPTS[detach]),
    )
    finish(job, f"send to {server.name}", detach=detach, as_json=as_json)


@app.command()
def export(
    study: Study,
    out: Annotated[Path, typer.Option(help="A new or empty folder, or with --zip a new file.")],
    as_zip: Annotated[
        bool, typer.Option("--zip", help="One zip with a DICOMDIR at its root, for viewers and CDs.")
    ] = False,
    as_json: output.Json = False,
) -> None:
    """Copy the files of a local study into a folder, or into a zip with a DICOMDIR."""
    if as_zip:
        export_zip(study, out, as_json=as_json)
        return
    service = application().studies
    study_uid = service.resolve_reference(actor(), study)
    with shown("export", quiet=as_json) as view:
        paths = service.export(actor(), study_uid, out, on_progress=view.on_progress)
    if as_json:
        output.print_json({"study_instance_uid": study_uid, "files": [str(path) for path in paths]})
    else:
        output.print_text(f"{output.counted(len(paths), 'file')} in {out}")


@app.command()
def delete(
    study: Study,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Delete a local study with its files. What was sent to servers stays there."""
    service = application().studies
    study_uid = service.resolve_reference(actor(), study)
    summary = service.show(actor(), study_uid).summary
    question = f"Delete the local study {study_uid} ({summary.instance_count} instances)?"
    output.confirm(question, yes=yes, as_json=as_json)
    service.delete(actor(), study_uid)
    if as_json:
        output.print_json({"deleted": study_uid, "instances": summary.instance_count})
    else:
        output.print_text(f"Deleted {output.counted(summary.instance_count, 'instance')} of {study_uid}")


@app.command()
def reindex(as_json: output.Json = False) -> None:
    """Rebuild the index of the local store from its files, for when it is damaged."""
    report = application().studies.reindex(actor())
    unusable = [str(path) for path in report.unusable]
    if as_json:
        output.print_json({"instances": report.instances, "unusable": unusable})
        return
    output.print_text(f"{output.counted(report.instances, 'instance')} indexed")
    for path in unusable:
        output.print_text(f"  not usable, left where it is: {path}")


def _summary_cells(study: StudySummary) -> tuple[Any, ...]:
    return (
        study.patient_name,
        study.patient_id,
        study.accession_number,
        study.study_date,
        "/".join(study.modalities),
        str(study.series_count),
        str(study.instance_count),
        f"{study.size_bytes / 1e6:.1f}",
        _from(study),
        study.study_instance_uid,
    )


def _from(study: StudySummary) -> Any:
    expiry, environment = application().copies.said(study), output.environment_text(str(study.environment))
    return f"{study.environment}, {expiry}" if expiry else environment
