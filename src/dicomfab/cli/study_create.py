"""``dicomfab study create``: fabricate studies from options or a recipe."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from dicomfab.cli import output
from dicomfab.cli.carry_out import Priority, finish
from dicomfab.cli.progress import shown
from dicomfab.cli.session import actor, application
from dicomfab.model.errors import InvalidInput

if TYPE_CHECKING:
    from dicomfab.fabricate.recipe import ResolvedStudy, StudyRecipe
    from dicomfab.model.study import Patient
    from dicomfab.services.studies import Fabricated
    from dicomfab.storage.orders import StoredOrder


def create(
    recipe: Annotated[
        str, typer.Option(help="A recipe by name (see: dicomfab recipe list), or a YAML or JSON file.")
    ] = "",
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", help="A kind, or KIND:COUNT (see: dicomfab recipe kinds); again for more in one study."),
    ] = None,
    order: Annotated[
        str, typer.Option(help="Make what an order asks for: its number (see: dicomfab order list), or an HL7 file.")
    ] = "",
    order_is_test: Annotated[
        bool, typer.Option("--test-order", help="With a file: no real person is in it. Else it counts as production.")
    ] = False,
    count: Annotated[int, typer.Option(min=1, help="How many studies.")] = 1,
    patient: Annotated[str, typer.Option(help="Patient ID of a registered patient (see: dicomfab patient list).")] = "",
    patient_name: Annotated[str, typer.Option(help="FAMILY^GIVEN; invented if not given.")] = "",
    patient_id: Annotated[str, typer.Option(help="Invented if not given.")] = "",
    script: Annotated[
        str, typer.Option(help="Write the invented name in japanese, korean, chinese, cyrillic, greek, arabic, ...")
    ] = "",
    contact: Annotated[bool, typer.Option("--contact", help="Invent an address and a telephone number too.")] = False,
    birth_date: Annotated[str, typer.Option(help="YYYYMMDD or YYYY-MM-DD.")] = "",
    sex: Annotated[str, typer.Option(help="M, F or O.")] = "",
    accession: Annotated[str, typer.Option(help="Accession number; invented if not given.")] = "",
    accession_pattern: Annotated[
        str, typer.Option(help="Take a new accession number of a pattern, such as SYN{10digits}; never one twice.")
    ] = "",
    patient_id_pattern: Annotated[str, typer.Option(help="The same for the Patient ID of an invented patient.")] = "",
    study_date: Annotated[str, typer.Option(help="YYYYMMDD or YYYY-MM-DD; today if not given.")] = "",
    description: Annotated[str, typer.Option(help="Study description.")] = "",
    defect: Annotated[
        list[str] | None,
        typer.Option("--defect", help="Make this wrong (see: dicomfab recipe defects); again for more. Needs --out."),
    ] = None,
    slices: Annotated[int | None, typer.Option(min=1, help="Slices of each kind that has slices.")] = None,
    course_months: Annotated[
        int | None, typer.Option(min=0, max=600, help="Since the lesions were first seen: some grow, shrink or go.")
    ] = None,
    style: Annotated[str, typer.Option(help="image, or card for text cards instead of a body.")] = "",
    transfer_syntax: Annotated[str, typer.Option(help="Name or UID; explicit VR little endian if not given.")] = "",
    seed: Annotated[int | None, typer.Option(min=0, help="Same seed, options and date: same bytes.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write plain files into this folder instead.")] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Write what is to be found in it (lesions, objects, defects) into this file.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads; the bytes do not depend on it. By default one per processor.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the folder of --out where it was broken off.")
    ] = False,
    detach: Annotated[
        bool, typer.Option("--detach/--wait", help="Leave it to a worker and return at once, or make it here and now.")
    ] = False,
    priority: Priority = 5,
    as_json: output.Json = False,
) -> None:
    """Fabricate studies: valid, synthetic, marked as such.

    The patient is given or invented; the seed is given or drawn, and printed either way. What an option says goes
    before what the recipe says.
    """
    from dicomfab.services.studies import patient_given

    if detach:
        _refuse_with_detach(resume=resume, workers=workers is not None)
    if resume:
        _resume(out, workers, as_json=as_json)
        return
    wanted = _recipe(recipe, kind, slices) if not order or recipe or kind else None
    behind = _order(order, is_test=order_is_test, count=count) if order else None
    if behind is not None:
        wanted = _as_ordered(behind, wanted, slices)
    assert wanted is not None
    given: dict[str, Any] = {
        "patient": _registered(patient)
        or patient_given(patient_name, patient_id, birth_date.replace("-", ""), sex.upper()),
        "seed": seed,
        "accession_number": accession or None,
        "accession_pattern": accession_pattern or None,
        "patient_id_pattern": patient_id_pattern or None,
        "script": script or None,
        "contact": contact or None,
        "study_date": study_date.replace("-", "") or None,
        "study_description": description or None,
        "style": style or None,
        "course_months": course_months,
        "transfer_syntax": transfer_syntax or None,
        "defects": tuple(defect) if defect else None,
    }
    wanted = dataclasses.replace(wanted, **{name: value for name, value in given.items() if value is not None})
    studies = application().studies.resolve_several(actor(), wanted, count)
    if behind is not None:
        studies = iter(_noted(behind, list(studies)))
    if detach:
        _leave_to_worker(list(studies), out, truth, priority, as_json=as_json)
    made: list[Fabricated] = []
    for number, resolved in enumerate(studies, 1):
        folder = out / f"study-{number:0{len(str(count))}d}" if out and count > 1 else out
        what = f"study {number} of {count}" if count > 1 else "study"
        made.append(_make(resolved, folder, what, workers, quiet=as_json))
        if not as_json:
            _print_made(made[-1])
    if truth is not None:
        _write_truth(truth, [(one.resolved, one.directory) for one in made])
    if as_json:
        output.print_json(_made_dict(made[0]) if count == 1 else {"studies": [_made_dict(one) for one in made]})


def _order(reference: str, *, is_test: bool, count: int) -> StoredOrder:
    from dicomfab.cli.order import order_to_make

    if count > 1:
        raise InvalidInput(
            f"count: {count} studies of one order",
            field="count",
            value=count,
            cause="an order asks for one study, with identifiers of its own",
            remedy="leave --count out",
        )
    return order_to_make(reference, is_test=is_test)


def _as_ordered(behind: StoredOrder, wanted: StudyRecipe | None, slices: int | None) -> StudyRecipe:
    """What an order asks for; of the series that options name, if they name some."""
    from dicomfab.fabricate.recipe import SeriesRecipe, with_slices
    from dicomfab.services.order_study import proposal, recipe_values

    found = proposal(behind.order, behind.environment)
    if wanted is not None:
        return dataclasses.replace(wanted, **recipe_values(found.values))
    asked = found.recipe()
    series = (SeriesRecipe.parse(one) if isinstance(one, str) else one for one in asked.series)
    return dataclasses.replace(asked, series=tuple(with_slices(one, slices) for one in series))


def _noted(behind: StoredOrder, studies: list[ResolvedStudy]) -> list[ResolvedStudy]:
    from dicomfab.storage.orders import MadeStudy

    made = tuple(MadeStudy(one.study_instance_uid) for one in studies)
    application().orders.note_studies(actor(), behind.number, made)
    return studies


def _refuse_with_detach(**given: bool) -> None:
    for option in (name for name, is_given in given.items() if is_given):
        raise InvalidInput(
            f"{option}: not together with --detach",
            field=option,
            value=True,
            cause="a worker makes the studies, in its own way, and goes on by itself with what was broken off",
            remedy=f"leave --{option} or --detach out",
        )


def _leave_to_worker(
    studies: list[ResolvedStudy], out: Path | None, truth: Path | None, priority: int, *, as_json: bool
) -> NoReturn:
    job = application().jobs.fabricate(actor(), studies, out=out, priority=priority)
    if truth is not None:
        _write_truth(truth, [(one, None) for one in studies])
    finish(job, "fabricate", detach=True, as_json=as_json)


def _registered(patient_id: str) -> Patient | None:
    if not patient_id:
        return None
    return application().patients.resolve_reference(actor(), patient_id).data.patient


def _recipe(reference: str, kinds: list[str] | None, slices: int | None) -> StudyRecipe:
    from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe, with_slices

    if not reference:
        return StudyRecipe(tuple(with_slices(SeriesRecipe.parse(one), slices) for one in kinds or ["ct-chest"]))
    if kinds:
        raise InvalidInput(
            "kind: a recipe is given too",
            field="kind",
            value=", ".join(kinds),
            cause="the recipe says what the study holds",
            remedy="leave --kind or --recipe out",
        )
    found = application().recipes.load(actor(), reference).recipe.study()
    series = (SeriesRecipe.parse(one) if isinstance(one, str) else one for one in found.series)
    return dataclasses.replace(found, series=tuple(with_slices(one, slices) for one in series))


def _write_truth(file: Path, studies: list[tuple[ResolvedStudy, Path | None]]) -> None:
    import json

    from dicomfab.fabricate.truth import checksums_of, truth

    told = [truth(one, checksums_of(sorted(folder.glob("*.dcm")) if folder else ())) for one, folder in studies]
    file.write_text(json.dumps({"studies": told}, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _make(resolved: ResolvedStudy, folder: Path | None, what: str, workers: int | None, *, quiet: bool) -> Fabricated:
    service = application().studies
    with shown(what, quiet=quiet) as view:
        if folder is None:
            return service.create(
                actor(), resolved, on_progress=view.on_progress, cancelled=view.cancelled, workers=workers
            )
        return service.write_files(
            actor(), resolved, folder, on_progress=view.on_progress, cancelled=view.cancelled, workers=workers
        )


def _resume(out: Path | None, workers: int | None, *, as_json: bool) -> None:
    if out is None:
        raise InvalidInput(
            "out: --resume needs the folder", field="out", value="", remedy="name it: --out FOLDER --resume"
        )
    with shown("study", quiet=as_json) as view:
        made = application().studies.resume_files(
            actor(), out, on_progress=view.on_progress, cancelled=view.cancelled, workers=workers
        )
    if as_json:
        output.print_json(_made_dict(made))
    else:
        _print_made(made)


def _print_made(made: Fabricated) -> None:
    resolved = made.resolved
    where = made.directory if made.directory is not None else "local store"
    size = f"{made.size_bytes / 1e6:.1f} MB"
    output.print_text(f"Fabricated {output.counted(made.instances, 'instance')} ({size}) in {made.seconds:.1f} s")
    output.print_text(f"  study      {resolved.study_instance_uid}")
    output.print_text(f"  patient    {resolved.patient.name}  {resolved.patient.patient_id}")
    output.print_text(f"  accession  {resolved.accession_number}")
    output.print_text(f"  seed       {resolved.seed}")
    output.print_text(f"  kept in    {where}")
    if made.directory is None:
        output.print_text(f"Send it:     dicomfab study send {resolved.accession_number} --to SERVER")


def _made_dict(made: Fabricated) -> dict[str, Any]:
    resolved = made.resolved
    return {
        "study_instance_uid": resolved.study_instance_uid,
        "patient": dataclasses.asdict(resolved.patient),
        "accession_number": resolved.accession_number,
        "seed": resolved.seed,
        "instances": made.instances,
        "size_bytes": made.size_bytes,
        "seconds": round(made.seconds, 3),
        "directory": str(made.directory) if made.directory is not None else None,
    }
