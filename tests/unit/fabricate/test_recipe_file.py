"""Recipes as files: what is written comes back, what is wrong is named with its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomfab.fabricate.kinds import ALL_KINDS, KINDS
from dicomfab.fabricate.recipe import StudyRecipe
from dicomfab.fabricate.recipe_file import PatientEntry, RecipeFile, SeriesEntry, json_schema, read, shipped
from dicomfab.model.errors import InvalidInput
from tests.unit.fabricate.studies import resolved

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20)
entries = st.builds(
    SeriesEntry,
    kind=st.sampled_from(sorted(KINDS)),
    count=st.none() | st.integers(1, 10_000),
    description=st.none() | texts,
)
recipes = st.builds(
    RecipeFile,
    title=texts,
    series=st.lists(entries | st.sampled_from(["ct-chest:4", "dx-chest"]), min_size=1, max_size=5).map(tuple),
    patient=st.none() | st.builds(PatientEntry, id=texts, name=texts),
    seed=st.none() | st.integers(0, 2**63 - 1),
    accession_number=st.none() | st.sampled_from(["00123", "1e3", "0x10", "no", "2026-01-31", ""]),
    study_description=st.none() | texts,
)


@given(recipes)
def test_what_is_written_comes_back(recipe: RecipeFile) -> None:
    assert read(recipe.text(), source="r.yaml") == recipe


@given(st.text(max_size=200))
def test_any_text_is_a_recipe_or_refused(text: str) -> None:
    try:
        read(text, source="r.yaml")
    except InvalidInput as refused:
        said = refused.what
    else:
        said = "r.yaml is a recipe"
    assert "r.yaml" in said


@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        ("title: x\n", 1, "series"),
        ("series: []\n", 1, "series"),
        ("series:\n  - kind: ct-chest\n    count: -1\n", 3, "count"),
        ("series:\n  - kind: ct-chest\n    cuont: 1\n", 3, "cuont"),
        ("series: [ct-chest]\nseed: x\n", 2, "seed"),
        ("series: [ct-chest]\npatient:\n  nam: x\n", 3, "nam"),
        ("series: [ct-chest]\nseries: [dx-chest]\n", 2, "recipe"),
        ("series:\n- {kind: a, kind: b}\n", 2, "recipe"),
        ("a: [", 1, "recipe"),
    ],
)
def test_mistakes_are_named_with_their_line(text: str, line: int, field: str) -> None:
    with pytest.raises(InvalidInput, match=f"line {line}") as refused:
        read(text, source="r.yaml")
    assert refused.value.field == field
    assert refused.value.remedy


@pytest.mark.parametrize("text", ["", "- 1", "text", "[" * 5000, "x" * (1 << 20) + "x"])
def test_what_is_no_recipe_at_all_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        read(text, source="r.yaml")


def test_a_file_says_all_that_a_recipe_can() -> None:
    text = """
    series:
      - {kind: text-card, count: 2, transfer_syntax: rle, style: card, description: Cards}
      - dx-chest
    patient: {id: "0012", name: MÜLLER^Jürgen, birth_date: 1960-02-29, sex: M}
    seed: 5
    accession_number: 00123
    study_date: 2026-01-31
    study_time: "093000"
    study_description: Said
    study_id: 7
    referring_physician: Großmann^Åsa
    transfer_syntax: jpeg-ls
    """
    made = resolved(read(text, source="r.yaml").study())
    assert (made.accession_number, made.study_date, made.study_time) == ("00123", "20260131", "093000")
    assert (made.patient.patient_id, made.patient.birth_date, made.study_id) == ("0012", "19600229", "7")
    assert [one.transfer_syntax for one in made.series] == ["1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80"]
    assert made.series[0].count == 2


def test_the_schema_names_what_a_file_may_say() -> None:
    properties = json_schema()["properties"]
    assert set(properties) >= {"series", "patient", "seed", "accession_number", "transfer_syntax"}
    assert all("description" in one or "$ref" in str(one) for one in properties.values())


@pytest.mark.parametrize("name", sorted(shipped()))
def test_what_comes_with_the_software_can_be_made(name: str) -> None:
    recipe = shipped()[name]
    assert recipe.title
    assert recipe.about
    assert isinstance(recipe.study(), StudyRecipe)
    resolved(recipe.study())


def test_there_is_a_recipe_with_every_kind() -> None:
    assert set(resolved(shipped()["every-sop-class"].study()).kinds) == set(ALL_KINDS)
