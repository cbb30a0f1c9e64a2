"""``dicomfab population``: many patients with studies over years."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dicomfab.cli import output
from dicomfab.cli.session import actor, application
from dicomfab.model.errors import InvalidInput

if TYPE_CHECKING:
    from dicomfab.fabricate.population.recipe import PopulationRecipe
    from dicomfab.services.populations import PopulationMade

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Populations: create, show, schema.")

File = Annotated[Path | None, typer.Option("--file", help="A YAML or JSON file that says it; options go before it.")]
Patients = Annotated[int | None, typer.Option(help="How many; 100 if not given.")]
Studies = Annotated[str, typer.Option("--studies-per-patient", help="Fewest and most, such as 1-5.")]
Mix = Annotated[
    list[str] | None, typer.Option(help="Modalities or kinds and their shares: CT=40,DX=30,ct-head=5; again for more.")
]
Years = Annotated[int | None, typer.Option(help="That the studies lie in, up to the last day; 10 if not given.")]
EndDate = Annotated[str, typer.Option(help="The last day, YYYYMMDD or YYYY-MM-DD; today if not given.")]
Seed = Annotated[int | None, typer.Option(help="Same seed, options and last day: same bytes.")]
Script = Annotated[
    list[str] | None, typer.Option("--script", help="That names are written in, and shares: latin=80,japanese=20.")
]
Defect = Annotated[
    list[str] | None, typer.Option("--defect", help="NAME=RATE: what is wrong in this part of the studies; again.")
]
Small = Annotated[
    bool, typer.Option("--small", help="Small pictures without anatomy, and few of them: for many studies quickly.")
]
Slices = Annotated[int | None, typer.Option(help="Slices of each series that has slices.")]
Sites = Annotated[int | None, typer.Option(help="Institutions, 1 to 4; 3 if not given.")]


@app.command()
def create(
    out: Annotated[Path, typer.Option(help="An empty folder, or one that does not exist yet.")],
    file: File = None,
    patients: Patients = None,
    studies_per_patient: Studies = "",
    mix: Mix = None,
    years: Years = None,
    end_date: EndDate = "",
    seed: Seed = None,
    script: Script = None,
    defect: Defect = None,
    small: Small = False,
    slices: Slices = None,
    sites: Sites = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; the bytes do not depend on it. By default one per processor.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the folder where it was broken off.")] = False,
    as_json: output.Json = False,
) -> None:
    """Make patients with their studies in a folder: PATIENT/STUDY with instances and truth.json in each.

    Ctrl-C leaves complete studies only; go on with them by --resume.
    """
    from dicomfab.cli.progress import shown

    service = application().populations
    options = _Options(
        file, patients, studies_per_patient, mix, years, end_date, seed, script, defect, small, slices, sites
    )
    if resume:
        _refuse_with_resume(options)
    recipe = None if resume else service.resolve(actor(), _wanted(options))
    with shown("population", quiet=as_json) as view:
        if recipe is None:
            made = service.resume(actor(), out, on_progress=view.on_progress, cancelled=view.cancelled, workers=workers)
        else:
            made = service.create(
                actor(), recipe, out, on_progress=view.on_progress, cancelled=view.cancelled, workers=workers
            )
    if as_json:
        output.print_json(_made_dict(made))
    else:
        _print_made(made)


@app.command()
def show(
    path: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="A YAML or JSON file that says it.")] = None,
    patients: Patients = None,
    studies_per_patient: Studies = "",
    mix: Mix = None,
    years: Years = None,
    end_date: EndDate = "",
    seed: Seed = None,
    script: Script = None,
    defect: Defect = None,
    small: Small = False,
    slices: Slices = None,
    sites: Sites = None,
    as_json: output.Json = False,
) -> None:
    """Say what a population would be: how many studies and instances, of what. Nothing is made."""
    service = application().populations
    options = _Options(
        path, patients, studies_per_patient, mix, years, end_date, seed, script, defect, small, slices, sites
    )
    recipe = service.resolve(actor(), _wanted(options))
    plan = service.plan(actor(), recipe)
    if as_json:
        output.print_json({"population": recipe.as_dict(), **plan})
        return
    output.print_text(
        f"{output.counted(plan['patients'], 'patient')}, {plan['studies']} studies, "
        f"{output.counted(plan['instances'], 'instance')}, seed {recipe.seed}, last day {recipe.end_date}"
    )
    for name in ("modalities", "exams", "years", "sexes", "defects"):
        if plan[name]:
            output.print_table((name, "number"), [(one, str(number)) for one, number in plan[name].items()])


@app.command()
def schema() -> None:
    """Print the JSON Schema of a population file."""
    from dicomfab.fabricate.population.file import json_schema

    output.print_json(json_schema())


@dataclasses.dataclass(frozen=True, slots=True)
class _Options:
    """What was typed."""

    file: Path | None
    patients: int | None
    studies_per_patient: str
    mix: list[str] | None
    years: int | None
    end_date: str
    seed: int | None
    script: list[str] | None
    defect: list[str] | None
    small: bool
    slices: int | None
    sites: int | None


def _wanted(options: _Options) -> PopulationRecipe:
    from dicomfab.fabricate.population import text
    from dicomfab.fabricate.population.recipe import PopulationRecipe

    recipe = PopulationRecipe()
    if options.file is not None:
        recipe = application().populations.load(actor(), options.file)
    given: dict[str, Any] = {
        "patients": options.patients,
        "studies_per_patient": text.studies(options.studies_per_patient) if options.studies_per_patient else None,
        "mix": text.mix(options.mix) if options.mix else None,
        "years": options.years,
        "end_date": options.end_date or None,
        "seed": options.seed,
        "scripts": text.weights(options.script, "scripts") if options.script else None,
        "defects": text.weights(options.defect, "defects") if options.defect else None,
        "images": "small" if options.small else None,
        "slices": options.slices,
        "sites": options.sites,
    }
    return dataclasses.replace(recipe, **{name: value for name, value in given.items() if value is not None})


def _refuse_with_resume(options: _Options) -> None:
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if value is not None and value is not False and value != "":
            raise InvalidInput(
                f"{field.name}: not together with --resume",
                field=field.name,
                value=value,
                cause="the folder says what its population is to be",
                remedy=f"leave --{field.name.replace('_', '-')} out",
            )


def _print_made(made: PopulationMade) -> None:
    size = f"{made.size_bytes / 1e6:.1f} MB"
    kept = f", of which {made.kept} were there already" if made.kept else ""
    output.print_text(f"Fabricated {output.counted(made.instances, 'instance')} ({size}) in {made.seconds:.1f} s")
    output.print_text(f"  patients   {made.patients}")
    output.print_text(f"  studies    {made.studies}{kept}")
    output.print_text(f"  seed       {made.recipe.seed}")
    output.print_text(f"  kept in    {made.directory}")
    output.print_text(f"Check them:  dicomfab validate {made.directory}")


def _made_dict(made: PopulationMade) -> dict[str, Any]:
    return {
        "directory": str(made.directory),
        "seed": made.recipe.seed,
        "patients": made.patients,
        "studies": made.studies,
        "instances": made.instances,
        "size_bytes": made.size_bytes,
        "kept": made.kept,
        "seconds": round(made.seconds, 3),
    }
