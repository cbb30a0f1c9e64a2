"""``dicomfab send``: files, folders, zips or local studies to a PACS server, changed on the way if wanted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from dicomfab.cli import output
from dicomfab.cli.carry_out import ATTEMPTS, Detach, Priority, finish
from dicomfab.cli.progress import shown
from dicomfab.cli.session import actor, application
from dicomfab.cli.study_import import as_dict, print_imported, taken
from dicomfab.cli.transfer_options import NoTranscode, To, Via, Wait, YesProduction
from dicomfab.model.errors import Interrupted, NotFound

if TYPE_CHECKING:
    from dicomfab.services.change_request import Changes

app = typer.Typer(add_completion=False)

What: TypeAlias = Annotated[
    list[str],
    typer.Argument(help="Files, folders, zips; or local studies: Study Instance UIDs, accession numbers, 'latest'."),
]


@app.command()
def send(
    what: What,
    destination: To,
    new_uids: Annotated[
        bool, typer.Option("--new-uids", help="Under new UIDs, alike in all that is sent; as a new local study.")
    ] = False,
    patient_id: Annotated[str | None, typer.Option("--patient-id", help="Change the Patient ID.")] = None,
    patient_name: Annotated[str | None, typer.Option("--patient-name", help="Change the name, FAMILY^GIVEN.")] = None,
    accession: Annotated[str | None, typer.Option("--accession", help="Change the accession number.")] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEYWORD=VALUE", help="Change an attribute, such as StationName=CT1; repeatable."
        ),
    ] = None,
    salt: Annotated[str, typer.Option("--salt", help="With --new-uids: another word gives other UIDs.")] = "",
    yes_production: YesProduction = False,
    wait: Wait = 30.0,
    detach: Detach = False,
    priority: Priority = 5,
    no_transcode: NoTranscode = False,
    via: Via = "",
    _trace: output.Trace = False,
    as_json: output.Json = False,
) -> None:
    """Send files, folders, zips or local studies to a PACS server (C-STORE, STOW-RS), and prove that they are there.

    Files are first taken into the local store, as with 'dicomfab study import'. With --new-uids a changed copy is made
    there as a study of its own, and that is sent. The same command again makes the same copy.
    """
    from dicomfab.services.change_request import requested
    from dicomfab.services.jobs.service import Options
    from dicomfab.services.transfer import may_write

    changes = requested(
        new_uids=new_uids,
        patient_id=patient_id,
        patient_name=patient_name,
        accession=accession,
        assignments=assignments or (),
        salt=salt,
    )
    built = application()
    server = built.pacs.resolve(actor(), destination).by(via)
    may_write(actor(), server, yes_production)  # before anything is imported
    also: dict[str, Any] = {}
    studies = _studies(what, also, as_json=as_json)
    if changes:
        studies = _changed(studies, changes, also, as_json=as_json)
    job = built.jobs.send(
        actor(),
        studies,
        server,
        confirm_production=yes_production,
        transcode=not no_transcode,
        via=via,
        options=Options(wait, priority, ATTEMPTS[detach]),
    )
    finish(job, f"send to {server.name}", detach=detach, as_json=as_json, also=also)


def _studies(what: list[str], also: dict[str, Any], *, as_json: bool) -> list[str]:
    """The local studies that are meant; what is a path is imported before."""
    built = application()
    paths = [Path(one) for one in what if Path(one).exists()]
    studies = [_local(one) for one in what if not Path(one).exists()]
    if paths:
        made = taken(paths, as_json=as_json)
        also["imported"] = as_dict(made)
        if not as_json:
            print_imported(made)
        if made.stopped:
            raise Interrupted("the import was stopped; nothing was sent", remedy="the same command goes on")
        made.must_be_complete()
        for one in made.studies.values():
            more = built.local_archive.study(one.study_instance_uid).summary.instance_count - one.new - one.already
            if more > 0 and not as_json:
                output.print_text(f"  The local study {one.study_instance_uid} has {more} more, which are sent too.")
        studies += made.studies
    return list(dict.fromkeys(studies))


def _local(reference: str) -> str:
    try:
        return application().studies.resolve_reference(actor(), reference)
    except NotFound as error:
        raise NotFound(
            f"there is neither a file or folder nor a local study {reference!r}.",
            cause="the path is mistyped, or the study is not in the local store",
            remedy="see what there is: dicomfab study list",
        ) from error


def _changed(studies: list[str], changes: Changes, also: dict[str, Any], *, as_json: bool) -> list[str]:
    with shown("change", quiet=as_json) as view:
        made = application().changing.make(
            actor(), studies, changes, on_progress=view.on_progress, cancelled=view.cancelled
        )
    also["changed"] = [
        {"source": one.source_study_instance_uid, "study": one.study_instance_uid, "instances": one.instances}
        for one in made
    ]
    if not as_json:
        for one in made:
            output.print_text(f"Changed {one.source_study_instance_uid}")
            output.print_text(f"  into  {one.study_instance_uid}, {output.counted(one.instances, 'instance')}")
    return [one.study_instance_uid for one in made]
