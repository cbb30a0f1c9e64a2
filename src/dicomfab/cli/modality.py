"""``dicomfab modality``: a simulated modality."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from dicomfab.cli import output
from dicomfab.cli.session import actor, application
from dicomfab.model import values

if TYPE_CHECKING:
    from dicomfab.model.study import Patient
    from dicomfab.services.ordering.modality import ModalityConfig

app = typer.Typer(no_args_is_help=True, add_completion=False, help="A simulated modality: worklist, run.")

Ris = Annotated[
    str,
    Option(
        "--ris",
        metavar="HOST:PORT:AE",
        help="Whose worklist: a registered server, or host, port and AE title. [default: our own RIS here]",
    ),
]
Pacs = Annotated[str, Option("--pacs", help="Where images go: a registered server of test.")]
Ae = Annotated[str, Option("--ae", help="AE title of the modality.")]
Accession = Annotated[str, Option("--accession", help="Only the item with this accession number.")]
Accessions = Annotated[
    list[str] | None,
    Option("--accession", help="Only the item with this accession number. Several are performed together, as one."),
]
Kind = Annotated[str, Option("--modality", help="Only items of this modality, such as CT.")]
Timing = Annotated[
    str,
    Option(
        "--timing",
        metavar="fast|real|10x",
        help="How fast time goes: without any waiting; as long as it takes in reality; or so many times as fast.",
    ),
]
_PACS = "test-pacs-1"
#: What the service calls a value -> the option that gives it.
_OPTIONS = {
    "is_appended": "--append",
    "is_wrong_item": "--wrong-item",
    "is_grouped": "--group",
    "group_with": "--accession",
    "unscheduled": "--unscheduled",
    "reason": "--reason",
    "kind": "--kind",
    "pacs": "--pacs",
}


@app.command()
def worklist(
    ris: Ris = "",
    pacs: Pacs = _PACS,
    ae_title: Ae = "MODALITY1",
    accession: Accession = "",
    modality: Kind = "",
    as_json: output.Json = False,
) -> None:
    """List what the worklist offers to the modality."""
    config = _config(ris, pacs, ae_title, accession, modality)
    with _ris_hint(config):
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
    ris: Ris = "",
    pacs: Pacs = _PACS,
    ae_title: Ae = "MODALITY1",
    port: Annotated[int, Option(min=0, max=65535, help="Where the PACS reports on commitments.")] = 11113,
    bind: Annotated[
        str, Option(metavar="ADDRESS", help="Address to listen on for that; 0.0.0.0 for all of this computer's.")
    ] = "127.0.0.1",
    accession: Accessions = None,
    modality: Kind = "",
    kind: Annotated[str, Option(help="What is made; else it follows from the item.")] = "",
    poll: Annotated[
        float, Option(metavar="SECONDS", min=0, help="Item after item until Ctrl-C, asking again every so often.")
    ] = 0.0,
    count: Annotated[int, Option(min=0, help="End after so many items; 0 is one, or no end with --poll.")] = 0,
    timing: Timing = "fast",
    group: Annotated[
        bool, Option("--group", help="Perform all items of the patient that are of the same modality, as one.")
    ] = False,
    append: Annotated[
        bool, Option("--append", help="Add series to a study that was made here (--accession; else the newest).")
    ] = False,
    wrong_item: Annotated[
        bool, Option("--wrong-item", help="Take the next item by mistake first; notice it after the images.")
    ] = False,
    unscheduled: Annotated[
        bool, Option("--unscheduled", help="An examination that nobody ordered, of --patient, of --kind.")
    ] = False,
    patient: Annotated[
        str, Option(metavar="ID", help="Of --unscheduled: a registered patient; of another, the name is invented.")
    ] = "",
    discontinue: Annotated[bool, Option("--discontinue", help="Break off after the images.")] = False,
    reason: Annotated[str, Option(metavar="CODE", help="Of --discontinue: a code of CID 9301, such as 110505.")] = "",
    no_commitment: Annotated[bool, Option("--no-commitment", help="Do not ask for storage commitment.")] = False,
    announce: Annotated[
        bool, Option("--announce", help="At last tell the RIS in the name of the PACS that the images are available.")
    ] = False,
    as_json: Annotated[bool, Option("--json", help="Print one JSON document a line instead of text.")] = False,
) -> None:
    """Perform the next item: MPPS in progress, images and dose report, MPPS completed, storage commitment.

    Ctrl-C ends it in good order: an examination under way is reported as discontinued.
    """
    from dicomfab.services.ordering.modality import COMMIT_S
    from dicomfab.services.ordering.modality_config import pace_of

    first, *others = accession or [""]
    config = dataclasses.replace(
        _config(ris, pacs, ae_title, first, modality),
        host=values.host(bind, field="--bind"),
        port=port,
        kind=kind,
        poll_s=poll,
        count=count,
        pace=pace_of(timing, field="--timing"),
        is_grouped=group,
        group_with=tuple(others),
        is_appended=append,
        is_wrong_item=wrong_item,
        unscheduled=_patient(patient, is_wanted=unscheduled),
        is_discontinued=discontinue,
        reason=reason,
        commit_s=0.0 if no_commitment else COMMIT_S,
        announce=announce,
    )
    with _stoppable() as stopped, _by_option(), _ris_hint(config):
        for told in application().modality.perform(actor(), config, stopped):
            if as_json:
                print(json.dumps(dataclasses.asdict(told)), flush=True)
            else:
                output.print_text(f"{told.step:13} {told.text}")
                sys.stdout.flush()


@contextlib.contextmanager
def _by_option() -> Iterator[None]:
    """Within it, what cannot be done is refused by the names of the options."""
    from dicomfab.model.errors import InvalidInput

    try:
        yield
    except InvalidInput as error:
        if error.field in _OPTIONS:
            error.what = error.what.replace(f"{error.field}: ", f"{_OPTIONS[error.field]}: ", 1)
            error.field = _OPTIONS[error.field]
            words = error.cause.split(" ")
            error.cause = " ".join(_OPTIONS.get(word, word) if "_" in word else word for word in words)
        raise


@contextlib.contextmanager
def _ris_hint(config: ModalityConfig) -> Iterator[None]:
    """Within it, a RIS of this computer that does not answer comes with how to start one."""
    from dicomfab.model.errors import ConnectionFailed

    try:
        yield
    except ConnectionFailed as error:
        ris = config.worklist
        if ris.label in error.what and ris.host in ("127.0.0.1", "localhost", "::1"):
            error.remedy = "start it: dicomfab ris run --test --any-caller; or say where it is: --ris HOST:PORT:AE"
        raise


@contextlib.contextmanager
def _stoppable() -> Iterator[Callable[[], bool]]:
    """Have Ctrl-C end the work in good order; a second one ends the program at once."""
    stop = threading.Event()

    def interrupt(_signal: int, _frame: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield stop.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def _config(ris: str, pacs: str, ae_title: str, accession: str, modality: str) -> ModalityConfig:
    from dicomfab.model import values
    from dicomfab.services.ordering.modality import ModalityConfig
    from dicomfab.services.ordering.ris_address import own_ris, ris_peer

    def resolve(reference: str) -> Any:
        return application().pacs.resolve(actor(), reference)

    return ModalityConfig(
        worklist=ris_peer(ris or own_ris(application().settings.worklist_port), resolve, field="--ris"),
        pacs=resolve(pacs),
        ae_title=values.ae_title(ae_title, field="--ae"),
        accession_number=accession,
        modality=modality,
    )


def _patient(patient_id: str, *, is_wanted: bool) -> Patient | None:
    """Whose unscheduled examination it is; ``None`` if it is none."""
    from dicomfab.model.errors import InvalidInput, NotFound
    from dicomfab.model.study import Patient

    if is_wanted != bool(patient_id):
        raise InvalidInput(
            "--patient: goes with --unscheduled, and the other way round",
            field="--patient",
            value=patient_id,
            cause="the patient of a scheduled examination stands in the worklist",
            remedy="name both: --unscheduled --patient ID",
        )
    if not is_wanted:
        return None
    try:
        return application().patients.resolve_reference(actor(), patient_id).data.patient
    except NotFound:
        return Patient("", patient_id)
