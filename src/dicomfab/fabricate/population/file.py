"""Populations as files: YAML (or JSON, which is YAML too) checked against a schema that is published."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from dicomfab.fabricate import yaml_text
from dicomfab.fabricate.population import text as typed
from dicomfab.fabricate.population.exams import MODALITIES
from dicomfab.fabricate.population.recipe import (
    DEFAULT_MIX,
    IMAGES,
    MAX_PATIENTS,
    MAX_SITES,
    MAX_STUDIES_EACH,
    MAX_YEARS,
    PopulationRecipe,
)
from dicomfab.fabricate.scripts import LATIN, SCRIPTS
from dicomfab.fabricate.seeds import SEED_LIMIT
from dicomfab.fabricate.yaml_text import YamlText
from dicomfab.model.errors import InvalidInput

SCHEMA_ID: Final = "https://dicom-fabricator.example/population.schema.json"
MAX_CHARS: Final = 1 << 20

_NULL: Final = ("", "~", "null", "Null", "NULL")  # as YAML 1.2 writes it


def _digits(value: object) -> object:
    """Digits alone: YAML of old takes ``1_0`` for 10."""
    if isinstance(value, str) and not re.fullmatch("-?[0-9]+", value):
        raise ValueError("a whole number is written in digits")
    return value


def _number(value: object) -> object:
    if isinstance(value, str) and "_" in value:
        raise ValueError("a number is written in digits")
    return value


def _left_out(value: object) -> object:
    return None if value in _NULL else value


def _range(value: object) -> object:
    """``1-5`` or ``3`` as a list of two."""
    if not isinstance(value, str):
        return value
    try:
        return typed.studies(value)
    except InvalidInput as error:
        raise ValueError(error.remedy) from None


Share = Annotated[float, Field(ge=0), BeforeValidator(_number)]
Rate = Annotated[float, Field(ge=0, le=1), BeforeValidator(_number)]
Whole = Annotated[int, BeforeValidator(_digits)]
Studies = Annotated[int, Field(ge=1, le=MAX_STUDIES_EACH), BeforeValidator(_digits)]
Seed = Annotated[int, Field(ge=0, lt=SEED_LIMIT), BeforeValidator(_digits)]
Slices = Annotated[int, Field(ge=1, le=1000), BeforeValidator(_digits)]
_EACH: Final = {"type": "integer", "minimum": 1, "maximum": MAX_STUDIES_EACH}
Range = Annotated[
    tuple[Studies, Studies],
    BeforeValidator(_range),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": "^ *[0-9]+ *(- *[0-9]+ *)?$"},
                _EACH,
                {"type": "array", "prefixItems": [_EACH, _EACH], "minItems": 2, "maxItems": 2},
            ]
        }
    ),
]


class PopulationFile(BaseModel):
    """A population: patients with studies over years. What is left out is as the command has it by default."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"$id": SCHEMA_ID, "title": "DICOM Fabricator population"}
    )

    title: str = Field(default="", max_length=100, description="What people call it.")
    about: str = Field(default="", max_length=1000, description="What it is good for.")
    patients: Whole = Field(default=100, ge=1, le=MAX_PATIENTS, description="How many.")
    studies_per_patient: Range = Field(default=(1, 5), description="Fewest and most, such as 1-5.")
    mix: dict[str, Share] = Field(
        default=dict(DEFAULT_MIX),
        description=f"Modality ({', '.join(MODALITIES)}) or kind of images, and its share of the studies.",
    )
    years: Whole = Field(default=10, ge=1, le=MAX_YEARS, description="That the studies lie in, up to the last day.")
    end_date: Annotated[str | None, BeforeValidator(_left_out)] = Field(
        default=None,
        pattern="^([0-9]{8}|[0-9]{4}-[0-9]{2}-[0-9]{2})$",
        description="The last day, YYYYMMDD or YYYY-MM-DD; today if left out.",
    )
    seed: Annotated[Seed | None, BeforeValidator(_left_out)] = Field(
        default=None, description="Same file, seed and last day: same bytes."
    )
    scripts: dict[str, Share] = Field(
        default={LATIN: 1.0},
        description=f"That names are written in ({', '.join((LATIN, *SCRIPTS))}), and their shares.",
    )
    defects: dict[str, Rate] = Field(
        default={}, description="What is to be wrong, by name, and the part of the studies that has it."
    )
    images: str = Field(
        default="full",
        description="Bodies, or small pictures without anatomy, of which many are made in little time.",
        json_schema_extra={"enum": [*IMAGES]},
    )
    slices: Annotated[Slices | None, BeforeValidator(_left_out)] = Field(
        default=None, description="Of each series of slices."
    )
    sites: Whole = Field(default=3, ge=1, le=MAX_SITES, description="Institutions.")

    def recipe(self) -> PopulationRecipe:
        """The recipe, still to be resolved, which checks the values themselves."""
        return PopulationRecipe(
            patients=self.patients,
            studies_per_patient=self.studies_per_patient,
            mix=tuple((typed.mixed(name), share) for name, share in self.mix.items()),
            years=self.years,
            seed=self.seed,
            end_date=self.end_date and self.end_date.replace("-", ""),
            scripts=tuple(self.scripts.items()),
            defects=tuple(self.defects.items()),
            images=self.images,
            slices=self.slices,
            sites=self.sites,
        )


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a population."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **PopulationFile.model_json_schema()}


def read(text: str, *, source: str) -> PopulationRecipe:
    """Read a population.

    Args:
        text: YAML or JSON.
        source: what to call it in messages, such as the name of its file.

    Raises:
        InvalidInput: no YAML, or not what the schema says; names the field and its line.
    """
    if len(text) > MAX_CHARS:
        raise _refused(source, f"has {len(text)} characters", f"{MAX_CHARS} are the most that is read")
    try:
        parsed = yaml_text.parsed(text)
    except yaml_text.NotYaml as error:
        place = "" if error.line is None else f", line {error.line},"
        raise _refused(f"{source}{place}", "is not YAML", error.problem) from None
    if not isinstance(parsed.values, Mapping):
        raise _refused(source, "is no population", "a population is a list of names and values")
    if twice := parsed.repeated():
        name, line = twice
        why = "the second would silently replace the first"
        raise _refused(f"{source}, line {line},", f"has {name!r} twice", why)
    try:
        return PopulationFile.model_validate(parsed.values).recipe()
    except ValidationError as error:
        raise _problem(source, parsed, error.errors()[0]) from None


def _problem(source: str, parsed: YamlText, error: Any) -> InvalidInput:
    path: Sequence[int | str] = error["loc"]
    said = {
        "extra_forbidden": "is not a name that a population knows",
    }.get(error["type"], f"{error['input']!r} cannot be used: {error['msg']}")
    return InvalidInput(
        f"{source}, line {parsed.line(path)}: {'.'.join(map(str, path))}: {said}",
        field=str(path[0]),
        value=error.get("input"),
        cause=f"names that can be used: {', '.join(PopulationFile.model_fields)}",
        remedy="correct the file; its schema: dicomfab population schema",
    )


def _refused(source: str, problem: str, cause: str) -> InvalidInput:
    return InvalidInput(f"file: {source} {problem}", field="file", value=source, cause=cause, remedy="correct the file")
