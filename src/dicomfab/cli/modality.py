"""``dicomfab modality``: a simulated modality."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from dicomfab.cli import output
from dicomfab.cli.session import actor, application

if TYPE_CHECKING:
    from dicomfab.services.ordering.modality import ModalityConfig

app = typer.Typer(no_args_is_help=True, add_completion=False, help="A simulated modality: worklist, run.")

Ris = Annotated[
    str,
    Option("--ris", metavar="HOST:PORT:AE", help="Whose worklist: a registered server, or host, port and AE title."),
]
Pacs = Annotated[str, Option("--pacs", help="Where images go: a registered server of test.")]
Ae = Annotated[str, Option("--ae", help="AE title of the modality.")]
Accession = Annotated[str, Option("--accession", help="Only the item with this accession number.")]
Kind = Annotated[str, Option("--modality", help="Only items of this modality, such as CT.")]
_RIS = "127.0.0.1:11114:DICOMFAB"
_PACS = "test-pacs-1"


@app.command()
def worklist(
    ris: Ris = _RIS,
    pacs: Pacs = _PACS,
    ae_title: Ae = "MODALITY1",
    accession: Accession = "",
    modality: Kind = "",
    as_json: output.Json = False,
) -> None:
    """List what the worklist offers to the modality."""
    config = _config(ris, pacs, ae_title, accession, modality)
    found = application().modality.items(actor(), config)
    if as_json:
        output.print_json({"items": [item.to_json_dict() for item in found]})
        return
    head = ("patient", "accession", "step", "modality", "scheduled", "state", "procedure")
    rows = []
    for item in found:
        step = item.ScheduledProcedureStepSequence[0]
        when = f"{step.get('ScheduledProcedureStepStartDate', '')} {step.get('ScheduledProcedureStepStartTime', '')}"
        values = [item.get("PatientName"), item.get("AccessionNumber"), step.get("ScheduledProcedureStepID")]
        values += [step.get("Modality"), when, step.get("ScheduledProcedureStepStatus")]
        values.append(item.get("RequestedProcedureDescription"))
        rows.append(tuple("" if value is None else str(value) for value in values))
    if rows:
        output.print_table(head, rows)
    else:
        output.print_text("The worklist offers nothing that matches.")


@app.command()
def run(
    ris: Ris = _RIS,
    pacs: Pacs = _PACS,
    ae_title: Ae = "MODALITY1",
    port: Annotated[int, Option(min=0, max=65535, help="Where the PACS reports on commitments.")] = 11113,
    accession: Accession = "",
    modality: Kind = "",
    kind: Annotated[str, Option(help="What is made; else it follows from the item.")] = "",
    discontinue: Annotated[bool, Option("--discontinue", help="Break off after the images.")] = False,
    no_commitment: Annotated[bool, Option("--no-commitment", help="Do not ask for storage commitment.")] = False,
    as_json: Annotated[bool, Option("--json", help="Print one JSON document a line instead of text.")] = False,
) -> None:
    """Perform the next item: MPPS in progress, images and dose report, MPPS completed, storage commitment."""
    import dataclasses

    from dicomfab.services.ordering.modality import COMMIT_S

    config = dataclasses.replace(
        _config(ris, pacs, ae_title, accession, modality),
        port=port,
        kind=kind,
        is_discontinued=discontinue,
        commit_s=0.0 if no_commitment else COMMIT_S,
    )
    for told in application().modality.perform(actor(), config):
        if as_json:
            print(json.dumps(dataclasses.asdict(told)), flush=True)
        else:
            output.print_text(f"{told.step:12} {told.text}")


def _config(ris: str, pacs: str, ae_title: str, accession: str, modality: str) -> ModalityConfig:
    from dicomfab.model import values
    from dicomfab.services.ordering.modality import ModalityConfig

    return ModalityConfig(
        worklist=_peer(ris),
        pacs=application().pacs.resolve(actor(), pacs),
        ae_title=values.ae_title(ae_title, field="--ae"),
        accession_number=accession,
        modality=modality,
    )


def _peer(ris: str) -> Any:
    from dicomfab.dimse.peer import Peer
    from dicomfab.model import values
    from dicomfab.registry.fields import Capability
    from dicomfab.services.peers import peer_for

    host, _, rest = ris.partition(":")
    port, _, title = rest.partition(":")
    if not rest:
        return peer_for(application().pacs.resolve(actor(), ris), Capability.FIND)
    return Peer(
        values.host(host, field="--ris"),
        values.port(port, field="--ris"),
        values.ae_title(title or "DICOMFAB", field="--ris"),
    )
