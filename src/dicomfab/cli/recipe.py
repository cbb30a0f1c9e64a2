"""``dicomfab recipe``: what can be fabricated, and recipes to do it again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dicomfab.cli import output
from dicomfab.cli.session import actor, application

if TYPE_CHECKING:
    from dicomfab.fabricate.preview import Preview
    from dicomfab.services.recipes import NamedRecipe

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Recipes: list, show, save, remove, preview, kinds, defects.",
)

Recipe = Annotated[str, typer.Argument(help="Name of a recipe, or a YAML or JSON file.")]


@app.command("list")
def list_recipes(as_json: output.Json = False) -> None:
    """List the recipes that come with the software and those that were saved."""
    found = application().recipes.every(actor())
    if as_json:
        output.print_json([_as_dict(one) for one in found])
        return
    rows = [(one.name, one.origin, one.recipe.title, str(len(one.recipe.series))) for one in found]
    output.print_table(("recipe", "origin", "title", "entries"), rows)


@app.command()
def show(recipe: Recipe, as_json: output.Json = False) -> None:
    """Print a recipe, to be changed and used as a file."""
    found = application().recipes.load(actor(), recipe)
    if as_json:
        output.print_json(_as_dict(found))
    else:
        output.print_text(found.recipe.text().rstrip())


@app.command()
def save(
    name: Annotated[str, typer.Argument(help="Small letters, digits and hyphens.")],
    source: Annotated[str, typer.Argument(help="A YAML or JSON file, or - for standard input, or another recipe.")],
    replace: Annotated[bool, typer.Option("--replace", help="Replace a saved recipe of this name.")] = False,
    as_json: output.Json = False,
) -> None:
    """Check a recipe and keep it under a name."""
    from dicomfab.fabricate.recipe_file import read

    service = application().recipes
    typed = source == "-"
    recipe = read(sys.stdin.read(), source="standard input") if typed else service.load(actor(), source).recipe
    path = service.save(actor(), name, recipe, replace=replace)
    if as_json:
        output.print_json({"name": name, "file": str(path)})
    else:
        output.print_text(f"Saved. Use it: dicomfab study create --recipe {name}")


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="Of a saved recipe.")],
    as_json: output.Json = False,
) -> None:
    """Forget a saved recipe."""
    application().recipes.remove(actor(), name)
    if as_json:
        output.print_json({"removed": name})
    else:
        output.print_text(f"Removed {name}.")


@app.command()
def kinds(as_json: output.Json = False) -> None:
    """List the kinds of series that can be made, and what can be counted in each."""
    from dicomfab.fabricate.kinds import ALL_KINDS

    if as_json:
        output.print_json(
            [
                {
                    "kind": name,
                    "title": kind.title,
                    "modality": kind.modality,
                    "counted": kind.counted and kind.counted.unit,
                    "default": kind.counted and kind.counted.default,
                    "most": kind.counted and kind.counted.most,
                    "styles": kind.looks,
                    "needs": kind.needs,
                }
                for name, kind in ALL_KINDS.items()
            ]
        )
        return
    rows = [
        (name, kind.modality, kind.title, str(kind.counted) if kind.counted else "-")
        for name, kind in ALL_KINDS.items()
    ]
    output.print_table(("kind", "modality", "title", "by default"), rows)


@app.command()
def defects(as_json: output.Json = False) -> None:
    """List what can be made wrong on purpose, what a careful receiver does with it, and who notices."""
    import dataclasses

    from dicomfab.fabricate.defects import DEFECTS, noticed

    if as_json:
        output.print_json(
            [
                {**dataclasses.asdict(one), "kinds": one.kinds, "noticed": noticed()[one.name]}
                for one in DEFECTS.values()
            ]
        )
        return
    rows = [(one.name, str(one.needs), one.wrong) for one in DEFECTS.values()]
    output.print_table(("defect", "needs", "what is wrong"), rows)


@app.command()
def truth_schema() -> None:
    """Print the JSON Schema of truth files."""
    from dicomfab.fabricate.truth_schema import json_schema

    output.print_json(json_schema())


@app.command()
def schema() -> None:
    """Print the JSON Schema of a recipe file."""
    from dicomfab.fabricate.recipe_file import json_schema

    output.print_json(json_schema())


@app.command()
def preview(
    recipe: Recipe,
    series: Annotated[int, typer.Option(min=1, help="Which series, counted from 1.")] = 1,
    seed: Annotated[int | None, typer.Option(min=0, help="As for study create.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the picture here, as PNG.")] = None,
    as_json: output.Json = False,
) -> None:
    """Show the attributes of one series in advance, and a picture of it; nothing is kept."""
    import dataclasses

    from dicomfab.model.errors import NotFound
    from dicomfab.pixels.picture import png
    from dicomfab.services.previews import resolve_preview

    wanted = application().recipes.load(actor(), recipe).recipe.study()
    wanted = dataclasses.replace(wanted, seed=wanted.seed if seed is None else seed)
    studies = application().studies
    shown = studies.preview(actor(), resolve_preview(studies, actor(), wanted))
    if series > len(shown):
        raise NotFound(
            f"{recipe} has {len(shown)} series, not {series}", remedy=f"give --series from 1 to {len(shown)}"
        )
    one = shown[series - 1]
    if out is not None:
        out.write_bytes(png(one.picture()))
    if as_json:
        output.print_json(_preview_dict(one, len(shown), out))
        return
    output.print_text(f"series {series} of {len(shown)}: {one.instances} instances, {one.frames} frames in each")
    output.print_text(str(one.dataset))
    if out is not None:
        output.print_text(f"picture: {out}")


def _as_dict(named: NamedRecipe) -> dict[str, Any]:
    return {
        "name": named.name,
        "origin": named.origin,
        "recipe": named.recipe.model_dump(mode="json", exclude_defaults=True),
    }


def _preview_dict(shown: Preview, of: int, out: Path | None) -> dict[str, Any]:
    return {
        "series_count": of,
        "instances": shown.instances,
        "frames": shown.frames,
        "attributes": shown.dataset.to_json_dict(),
        "picture": out and str(out),
    }
