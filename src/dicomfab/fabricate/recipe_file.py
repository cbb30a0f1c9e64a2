"""Recipes as files: YAML (or JSON, which is YAML too) checked against a schema that is published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dicomfab.fabricate import yaml_text
from dicomfab.fabricate.defects.table import DEFECTS
from dicomfab.fabricate.kinds import ALL_KINDS
from dicomfab.fabricate.recipe import STYLES, SeriesRecipe, StudyRecipe
from dicomfab.fabricate.scripts import LATIN, SCRIPTS
from dicomfab.fabricate.yaml_text import YamlText
from dicomfab.model.errors import InvalidInput, NotFound
from dicomfab.model.study import Patient

SCHEMA_ID: Final = "https://dicom-fabricator.example/recipe.schema.json"
MAX_CHARS: Final = 1 << 20

_STRICT: Final = ConfigDict(extra="forbid", frozen=True)
_SYNTAX_HELP: Final = "Transfer syntax, by name or UID."


class SeriesEntry(BaseModel):
    """One kind of series."""

    model_config = _STRICT

    kind: str = Field(description="What to make.", json_schema_extra={"enum": [*sorted(ALL_KINDS)]})
    count: int | None = Field(default=None, ge=1, description="How many slices, frames or images; the kind says which.")
    transfer_syntax: str | None = Field(default=None, description=_SYNTAX_HELP)
    quality: int | None = Field(default=None, ge=1, description="Of a lossy transfer syntax, on its own scale.")
    style: str | None = Field(
        default=None, description="A body, cards of text, or small pictures.", json_schema_extra={"enum": [*STYLES]}
    )
    description: str | None = Field(default=None, max_length=64, description="SeriesDescription (0008,103E).")


class PatientEntry(BaseModel):
    """The patient; what is left out is invented."""

    model_config = _STRICT

    id: str = Field(default="", max_length=64, description="PatientID (0010,0020).")
    name: str = Field(default="", description="PatientName (0010,0010), FAMILY^GIVEN.")
    birth_date: str = Field(default="", description="YYYYMMDD or YYYY-MM-DD.")
    sex: str = Field(default="", description="PatientSex (0010,0040).", json_schema_extra={"enum": ["", "F", "M", "O"]})
    address: str = Field(default="", max_length=64, description="PatientAddress (0010,1040), in one line.")
    phone: str = Field(default="", max_length=16, description="PatientTelephoneNumbers (0010,2154), one.")


class RecipeFile(BaseModel):
    """A recipe for one study, to be used again and again; what is left out is invented or left to the kind."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"$id": SCHEMA_ID, "title": "DICOM Fabricator recipe"}
    )

    title: str = Field(default="", max_length=100, description="What people call it.")
    about: str = Field(default="", max_length=1000, description="What it is good for.")
    series: tuple[SeriesEntry | str, ...] = Field(
        min_length=1, max_length=200, description="What the study holds, in order: entries, or kinds as KIND[:COUNT]."
    )
    patient: PatientEntry | None = None
    seed: int | None = Field(default=None, ge=0, lt=2**63, description="Same recipe, seed and date: same bytes.")
    accession_number: str | None = Field(default=None, max_length=16, description="AccessionNumber (0008,0050).")
    accession_pattern: str | None = Field(
        default=None, description="Where accession numbers come from, such as SYN{10digits}; never one twice."
    )
    patient_id_pattern: str | None = Field(default=None, description="The same for the IDs of patients who have none.")
    script: str | None = Field(
        default=None,
        description="That an invented name is written in; the study has the character set of it.",
        json_schema_extra={"enum": [LATIN, *SCRIPTS]},
    )
    contact: bool = Field(default=False, description="Invent an address and a telephone number too.")
    course_months: int = Field(
        default=0, ge=0, le=600, description="Since the lesions were first seen: some have grown, shrunk or gone."
    )
    study_date: str | None = Field(default=None, description="YYYYMMDD or YYYY-MM-DD; today if left out.")
    study_time: str | None = Field(default=None, description="HHMMSS.")
    study_description: str | None = Field(default=None, max_length=64, description="StudyDescription (0008,1030).")
    study_id: str | None = Field(default=None, max_length=16, description="StudyID (0020,0010).")
    referring_physician: str = Field(default="", description="ReferringPhysicianName (0008,0090), FAMILY^GIVEN.")
    transfer_syntax: str | None = Field(default=None, description=f"{_SYNTAX_HELP} Of entries that name none.")
    style: str | None = Field(
        default=None, description="Of entries that name none.", json_schema_extra={"enum": [*STYLES]}
    )
    defects: tuple[str, ...] = Field(
        default=(),
        description="What is to be wrong, by name; nothing else is. Such a study is written into a folder.",
        json_schema_extra={"items": {"type": "string", "enum": [*DEFECTS]}, "uniqueItems": True},
    )

    def study(self) -> StudyRecipe:
        """The recipe, still to be resolved, which checks the values themselves.

        Raises:
            InvalidInput: an entry in its short form that is none.
        """
        return StudyRecipe(
            series=tuple(
                SeriesRecipe.parse(one) if isinstance(one, str) else SeriesRecipe(**one.model_dump())
                for one in self.series
            ),
            patient=self._patient(),
            seed=self.seed,
            accession_number=self.accession_number,
            study_date=self.study_date and self.study_date.replace("-", ""),
            study_time=self.study_time,
            study_description=self.study_description,
            referring_physician=self.referring_physician,
            study_id=self.study_id,
            transfer_syntax=self.transfer_syntax,
            style=self.style,
            accession_pattern=self.accession_pattern,
            patient_id_pattern=self.patient_id_pattern,
            script=self.script,
            contact=self.contact,
            course_months=self.course_months,
            defects=self.defects,
        )

    def _patient(self) -> Patient | None:
        given = self.patient
        if given is None or given == PatientEntry():
            return None
        return Patient(
            given.name.strip(),
            given.id.strip(),
            given.birth_date.replace("-", ""),
            given.sex,
            address=given.address,
            phone=given.phone,
        )

    def text(self) -> str:
        """As YAML; :func:`read` takes it back."""
        values = self.model_dump(mode="json", exclude_defaults=True)
        return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100))


class RecipeRefused(InvalidInput):
    """A recipe in which some values cannot be used; it says the first.

    Args:
        problems: all of them, each with its line and field.
    """

    def __init__(self, problems: Sequence[InvalidInput]) -> None:
        first = problems[0]
        super().__init__(first.what, field=first.field, value=first.value, cause=first.cause, remedy=first.remedy)
        said = {(one.field, one.source): one for one in reversed(problems)}
        self.problems: tuple[InvalidInput, ...] = tuple(reversed(said.values()))


def read(text: str, *, source: str) -> RecipeFile:
    """Read a recipe.

    Args:
        text: YAML or JSON.
        source: what to call it in messages, such as the name of its file.

    Raises:
        InvalidInput: no YAML, or not what the schema says; names the field and its line.
    """
    if len(text) > MAX_CHARS:
        raise _refused(source, "", f"has {len(text)} characters", f"{MAX_CHARS} are the most that is read")
    try:
        parsed = yaml_text.parsed(text)
    except yaml_text.NotYaml as error:
        place = "" if error.line is None else f"line {error.line}"
        raise _refused(source, place, "is not YAML", error.problem) from None
    if not isinstance(parsed.values, Mapping):
        raise _refused(
            source, "", "is not a recipe", "a recipe is a list of names and values, with 'series' among them"
        )
    if twice := parsed.repeated():
        name, line = twice
        raise _refused(source, f"line {line}", f"has {name!r} twice", "the second would silently replace the first")
    try:
        return RecipeFile.model_validate(parsed.values)
    except ValidationError as error:
        found = [_problem(source, parsed, one) for one in _innermost(error.errors())]
        raise RecipeRefused(found) from None


def _innermost(errors: Sequence[Any]) -> list[Any]:
    """Without those that only follow from another within them, as that of a list from that of its entry."""
    paths = [_path(one) for one in errors]
    return [one for one, path in zip(errors, paths, strict=True) if not any(_is_within(p, path) for p in paths)]


def _is_within(inner: Sequence[int | str], outer: Sequence[int | str]) -> bool:
    return len(inner) > len(outer) and list(inner[: len(outer)]) == list(outer)


def _path(error: Any) -> list[int | str]:
    return [part for part in error["loc"] if part not in ("SeriesEntry", "str")]


def _problem(source: str, parsed: YamlText, error: Any) -> InvalidInput:
    path = _path(error)
    name = ".".join(str(part) for part in path)
    line = f"line {parsed.line(path)}"
    return InvalidInput(
        f"{source}, {line}: {name or 'recipe'}: {_said(error)}",
        field=str(path[-1]) if path else "recipe",
        value=error.get("input"),
        source=line,
        cause=f"names that can be used here: {', '.join(_names(path))}",
        remedy="correct the recipe; its schema: dicomfab recipe schema",
    )


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a recipe."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **RecipeFile.model_json_schema()}


def shipped() -> dict[str, RecipeFile]:
    """The recipes that come with the package, by name."""
    folder = resources.files("dicomfab.fabricate") / "recipes"
    files = sorted((one for one in folder.iterdir() if one.name.endswith(".yaml")), key=lambda one: one.name)
    return {one.name.removesuffix(".yaml"): read(one.read_text("utf-8"), source=one.name) for one in files}


def shipped_recipe(name: str) -> RecipeFile:
    """One of them.

    Raises:
        NotFound: there is none of this name.
    """
    found = shipped().get(name)
    if found is None:
        raise NotFound(
            f"there is no recipe {name!r}",
            cause="it is neither a file, nor a saved recipe, nor one that comes with the software",
            remedy="see what there is: dicomfab recipe list",
        )
    return found


def _said(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "is not a name that a recipe knows"
    if error["type"] == "missing":
        return "is missing"
    return f"{error['input']!r} cannot be used: {error['msg']}"


def _names(path: list[int | str]) -> list[str]:
    model: type[BaseModel] = RecipeFile
    if path[:1] == ["series"] and len(path) > 2:
        model = SeriesEntry
    elif path[:1] == ["patient"] and len(path) > 1:
        model = PatientEntry
    return list(model.model_fields)


def _refused(source: str, place: str, problem: str, cause: str) -> InvalidInput:
    where = f"{source}, {place}" if place else source
    return InvalidInput(
        f"recipe: {where} {problem}", field="recipe", value=source, cause=cause, remedy="correct the recipe"
    )
