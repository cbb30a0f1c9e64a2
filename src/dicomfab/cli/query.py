"""``dicomfab query``: search many PACS servers at once."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dicomfab.cli import output
from dicomfab.cli.progress import shown
from dicomfab.cli.session import actor, application
from dicomfab.model.errors import NotFound

if TYPE_CHECKING:
    from dicomfab.registry.server import PacsServer
    from dicomfab.services.query import ServerAnswer, StudyMatch

app = typer.Typer(add_completion=False)

Pacs = Annotated[list[str] | None, typer.Option("--pacs", help="Id or name of a server; again for more. All active.")]


@app.command()
def query(
    pacs: Pacs = None,
    patient_name: Annotated[
        str, typer.Option(help="FAMILY^GIVEN; * and ? are wildcards, one is added at the end.")
    ] = "",
    patient_id: Annotated[str, typer.Option(help="Exact, or with wildcards.")] = "",
    accession: Annotated[str, typer.Option(help="Accession number; exact, or with wildcards.")] = "",
    date_from: Annotated[str, typer.Option(help="First study date, YYYY-MM-DD.")] = "",
    date_to: Annotated[str, typer.Option(help="Last study date, YYYY-MM-DD.")] = "",
    modality: Annotated[str, typer.Option(help="One modality of the study, such as CT.")] = "",
    description: Annotated[str, typer.Option(help="Study description; wildcards are added on both sides.")] = "",
    study: Annotated[str, typer.Option(help="Study Instance UID.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Matches per server at most.")] = 500,
    _trace: output.Trace = False,
    as_json: output.Json = False,
) -> None:
    """Search studies on many PACS servers at once (C-FIND).

    Servers answer side by side: one that is down or hangs is reported as failed and delays no other. The exit code is
    4 when any server failed, and a failed server is never shown as an empty one.
    """
    from dicomfab.services.study_filter import StudyFilter

    search = StudyFilter(patient_name, patient_id, accession, date_from, date_to, modality, description, study)
    built = application()
    servers = _servers(built.pacs, pacs)
    answers: list[ServerAnswer] = []
    with shown("query", quiet=as_json) as view:
        for answer in built.queries.studies(actor(), servers, search, limit=limit, cancelled=view.cancelled):
            answers.append(answer)
            if not as_json:
                _print_answer(answer)
    if as_json:
        output.print_json({"servers": [_answer_dict(answer) for answer in answers]})
    else:
        found = sum(len(answer.matches) for answer in answers)
        failed = sum(answer.error is not None for answer in answers)
        asked = f"{output.counted(found, 'study', 'studies')} on {output.counted(len(answers), 'server')}"
        output.print_text(asked + (f", {output.counted(failed, 'server')} FAILED" if failed else ""))
    sys.exit(4 if any(answer.error for answer in answers) else 0)


def _servers(service: Any, names: list[str] | None) -> list[PacsServer]:
    if names:
        return list({s.id: s for s in (service.resolve(actor(), name) for name in names)}.values())
    active = [server for server in service.servers(actor()) if server.is_active]
    if not active:
        raise NotFound(
            "there is no active PACS server to ask.",
            cause="the registry is empty, or every server in it is switched off",
            remedy="add one (dicomfab pacs add), or use the test servers (dicomfab lab start, dicomfab lab configure)",
        )
    return active


def _print_answer(answer: ServerAnswer) -> None:
    from rich.text import Text

    head = Text(f"{answer.server.name} ", style="bold")
    head.append_text(output.environment_text(str(answer.server.environment)))
    if answer.error is not None:
        head.append(f"  FAILED after {answer.seconds:.1f} s", style="bold red")
        output.print_styled(head)
        print("\n".join(f"  {line}" for line in output.clean(str(answer.error)).splitlines()))
    else:
        more = ", limit reached: there may be more" if answer.truncated else ""
        head.append(f"  {output.counted(len(answer.matches), 'study', 'studies')} in {answer.seconds:.2f} s{more}")
        output.print_styled(head)
    if answer.matches:
        columns = (
            "patient",
            "id",
            "accession",
            "date",
            "modalities",
            "series",
            "instances",
            "description",
            "study UID",
        )
        output.print_table(columns, [_cells(match) for match in answer.matches])


def _cells(match: StudyMatch) -> tuple[str, ...]:
    return (
        match.patient_name,
        match.patient_id,
        match.accession_number,
        match.study_date,
        "/".join(match.modalities),
        "unreported" if match.series is None else str(match.series),
        "unreported" if match.instances is None else str(match.instances),
        match.study_description,
        match.study_instance_uid,
    )


def _answer_dict(answer: ServerAnswer) -> dict[str, Any]:
    return {
        "server": answer.server.id,
        "name": answer.server.name,
        "environment": str(answer.server.environment),
        "seconds": round(answer.seconds, 3),
        "truncated": answer.truncated,
        "error": answer.error.as_dict() if answer.error else None,
        "matches": [dataclasses.asdict(match) for match in answer.matches],
    }
