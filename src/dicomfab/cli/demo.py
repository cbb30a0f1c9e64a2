"""``dicomfab demo``: the main job of the product, done before your eyes on the test PACS servers."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from dicomfab.cli import output
from dicomfab.cli.progress import shown
from dicomfab.cli.report import VERDICT_EXIT_CODES
from dicomfab.cli.session import actor, application
from dicomfab.model.study import Patient

if TYPE_CHECKING:
    from rich.text import Text

    from dicomfab.app.build import Application
    from dicomfab.registry.server import PacsServer
    from dicomfab.services.transfer import TransferReport

app = typer.Typer(add_completion=False)

SOURCE, DESTINATION = "test-pacs-1", "test-pacs-2"
SHOWN = (SOURCE, DESTINATION, "prod-pacs-1", "prod-pacs-2")
# Everything is fixed, so that doing it again makes the same instances and nothing twice.
SEED = 20260105
PATIENT = Patient("Synthetic^Ada", "SYN0000000001", "19610204", "F", "SYN-DICOMFAB")
STUDIES = (("ct-chest", "SYNDEMO-CT"), ("dx-chest", "SYNDEMO-DX"))
STUDY_DATE, STUDY_TIME = "20260105", "101500"


@dataclass(frozen=True, slots=True)
class _Row:
    kind: str
    study_instance_uid: str
    fabricated: int
    sent: str
    moved: str
    counts: dict[str, str]


@app.command()
def demo(as_json: output.Json = False) -> None:
    """Fabricate a patient with CT and DX, send to Test PACS 1, find it on all four, move to Test PACS 2, verify.

    Needs the test servers: dicomfab lab start, dicomfab lab configure. Doing it again duplicates nothing.
    """
    built = application()
    servers = {name: built.pacs.resolve(actor(), name) for name in SHOWN}
    rows: list[_Row] = []
    for kind, accession in STUDIES:
        study_uid, made = _fabricate(built, kind, accession, quiet=as_json)
        made_uids = frozenset(i.identity.sop_instance_uid for i in built.local_archive.instances(study_uid))
        verdicts = []
        for transfer, destination in ((_send, SOURCE), (_move, DESTINATION)):
            held = built.queries.instances(actor(), servers[destination], study_uid)
            if made_uids <= held:
                _say(f"  {servers[destination].name} has all {made} instances already", quiet=as_json)
                verdicts.append("verified")
            else:
                verdicts.append(str(transfer(built, study_uid, servers, quiet=as_json).verdict.kind))
        counts = _counts(built, study_uid, servers)
        sent, moved = verdicts
        rows.append(_Row(kind, study_uid, made, sent, moved, counts))
    if as_json:
        output.print_json([dataclasses.asdict(row) for row in rows])
    else:
        _print(rows, servers)
    sys.exit(max(VERDICT_EXIT_CODES[verdict] for row in rows for verdict in (row.sent, row.moved)))


def _fabricate(built: Application, kind: str, accession: str, *, quiet: bool) -> tuple[str, int]:
    from dicomfab.fabricate.recipe import StudyRecipe

    recipe = StudyRecipe(
        series=(kind,),
        patient=PATIENT,
        seed=SEED,
        accession_number=accession,
        study_date=STUDY_DATE,
        study_time=STUDY_TIME,
    )
    resolved = built.studies.resolve_recipe(actor(), recipe)
    study_uid = resolved.study_instance_uid
    if built.local_archive.has_study(study_uid):
        instances = built.studies.brief(actor(), study_uid).summary.instance_count
        _say(f"{kind}: {instances} instances are in the local store already", quiet=quiet)
        return study_uid, instances
    with shown(f"fabricate {kind}", quiet=quiet) as view:
        made = built.studies.create(actor(), resolved, on_progress=view.on_progress, cancelled=view.cancelled)
    rate = f"{made.instances} instances, {made.size_bytes / 1e6:.0f} MB in {made.seconds:.1f} s"
    _say(f"{kind}: fabricated {rate}", quiet=quiet)
    return study_uid, made.instances


def _send(built: Application, study_uid: str, servers: dict[str, PacsServer], *, quiet: bool) -> TransferReport:
    from dicomfab.services.transfer import Watch

    with shown("send", quiet=quiet) as view:
        watch = Watch(view.on_progress, view.cancelled)
        report = built.transfers.send(actor(), study_uid, servers[SOURCE], watch=watch)
    _say_report(report, quiet=quiet)
    return report


def _move(built: Application, study_uid: str, servers: dict[str, PacsServer], *, quiet: bool) -> TransferReport:
    from dicomfab.services.transfer import Watch

    route = built.pacs.route(actor(), SOURCE, DESTINATION)
    with shown("move", quiet=quiet) as view:
        watch = Watch(view.on_progress, view.cancelled)
        ends = (servers[SOURCE], servers[DESTINATION])
        report = built.transfers.move(actor(), study_uid, *ends, route, watch=watch)
    _say_report(report, quiet=quiet)
    return report


def _counts(built: Application, study_uid: str, servers: dict[str, PacsServer]) -> dict[str, str]:
    """Instances of the study on each server, in the server's own words."""
    from dicomfab.services.study_filter import StudyFilter

    counts = {}
    search = StudyFilter(study_instance_uid=study_uid)
    for answer in built.queries.studies(actor(), list(servers.values()), search):
        if answer.error is not None:
            counts[answer.server.id] = "FAILED"
        elif not answer.matches:
            counts[answer.server.id] = "-"
        else:
            reported = answer.matches[0].instances
            counts[answer.server.id] = "unreported" if reported is None else str(reported)
    return counts


def _print(rows: list[_Row], servers: dict[str, PacsServer]) -> None:
    columns = ("study", "fabricated", *(servers[name].name for name in SHOWN), "sent", "moved")
    cells: list[tuple[str | Text, ...]] = [
        (row.kind, str(row.fabricated), *(row.counts[name] for name in SHOWN), _verdict(row.sent), _verdict(row.moved))
        for row in rows
    ]
    output.print_table(columns, cells)


def _verdict(kind: str) -> Text:
    return output.verdict_text(kind == "verified", kind)


def _say_report(report: TransferReport, *, quiet: bool) -> None:
    verdict = report.verdict
    new = "" if verdict.arrived is None else f", {verdict.arrived} new"
    line = f"{report.operation} {report.source} -> {report.destination}: {report.instances} instances"
    _say(f"  {line}{new} in {report.seconds:.1f} s, {verdict.kind}", quiet=quiet)


def _say(text: str, *, quiet: bool) -> None:
    if not quiet:
        output.print_text(text)
