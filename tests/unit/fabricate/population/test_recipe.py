"""What cannot be used is refused by name before any work starts."""

from __future__ import annotations

from typing import Any

import pytest

from dicomfab.fabricate.population import text
from dicomfab.fabricate.population.file import json_schema, read
from dicomfab.fabricate.population.recipe import DEFAULT_MIX, PopulationRecipe
from dicomfab.model.errors import InvalidInput
from tests.unit.fabricate.population.people import population

REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("mix", {"mix": ()}),
    ("mix", {"mix": (("CT", 0.0), ("MR", 0.0))}),
    ("mix", {"mix": (("CT", -1.0), ("MR", 2.0))}),
    ("mix", {"mix": (("CT", float("nan")),)}),
    ("mix", {"mix": (("QQ", 1.0),)}),
    ("mix", {"mix": (("ct-toe", 1.0),)}),
    ("mix", {"mix": (("sr-report", 1.0),)}),
    ("mix", {"mix": (("CT", 1.0), ("CT", 2.0))}),
    ("scripts", {"scripts": (("klingon", 1.0),)}),
    ("scripts", {"scripts": (("latin", 0.0),)}),
    ("studies_per_patient", {"studies_per_patient": (5, 1)}),
    ("studies_per_patient", {"studies_per_patient": (0, 1)}),
    ("studies_per_patient", {"studies_per_patient": (1, 1000)}),
    ("years", {"years": 0}),
    ("years", {"years": 41}),
    ("years", {"years": 40, "end_date": "19800101"}),
    ("end_date", {"end_date": "20260231"}),
    ("patients", {"patients": 0}),
    ("patients", {"patients": 10**7}),
    ("seed", {"seed": -1}),
    ("images", {"images": "huge"}),
    ("slices", {"slices": 0}),
    ("sites", {"sites": 5}),
    ("defects", {"defects": (("no-such-defect", 0.1),)}),
    ("defects", {"defects": (("missing-type-1", 1.5),)}),
    ("defects", {"defects": (("pixels-truncated", 0.1),), "mix": (("ECG", 1.0),)}),
]


@pytest.mark.parametrize(("field", "values"), REFUSED, ids=[f"{field}-{n}" for n, (field, _) in enumerate(REFUSED)])
def test_it_is_refused_by_the_name_of_its_field(field: str, values: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as refused:
        population(**values)
    assert refused.value.field == field
    assert refused.value.remedy


def test_shares_need_not_sum_to_anything_and_kinds_go_with_modalities() -> None:
    exams = {exam.name: share for exam, share in population(mix=(("CT", 3.0), ("ct-head", 1.0), ("sc-rgb", 4.0))).exams}
    assert sum(exams.values()) == pytest.approx(1)
    assert exams["sc-rgb"] == pytest.approx(0.5)
    assert exams["ct-head"] > exams["ct-chest"]


@pytest.mark.parametrize(("typed", "found"), [("1-5", (1, 5)), ("3", (3, 3)), (" 2 - 2 ", (2, 2))])
def test_a_range_as_people_type_it(typed: str, found: tuple[int, int]) -> None:
    assert text.studies(typed) == found


def test_shares_as_people_type_them() -> None:
    assert text.mix(["CT=40, dx=30", "ct-head=.5"]) == (("CT", 40.0), ("DX", 30.0), ("ct-head", 0.5))
    for typed in ("CT", "CT=", "CT=many", "CT=inf"):
        with pytest.raises(InvalidInput) as refused:
            text.mix([typed])
        assert refused.value.field == "mix"
    for typed in ("", "1-", "-5", "a-b", "1-2-3"):
        with pytest.raises(InvalidInput):
            text.studies(typed)


def test_a_file_says_what_options_say() -> None:
    found = read(
        "title: Ward\npatients: 7\nstudies_per_patient: 2-3\nmix:\n  CT: 4\n  MG: 1\nyears: 3\nend_date: 2026-01-31\n"
        "scripts: {latin: 80, greek: 20}\ndefects: {missing-type-1: 0.01}\nimages: small\nseed: 9\n",
        source="ward.yaml",
    )
    assert found == PopulationRecipe(
        patients=7,
        studies_per_patient=(2, 3),
        mix=(("CT", 4.0), ("MG", 1.0)),
        years=3,
        seed=9,
        end_date="20260131",
        scripts=(("latin", 80.0), ("greek", 20.0)),
        defects=(("missing-type-1", 0.01),),
        images="small",
    )
    assert read("patients: 3", source="x").mix == DEFAULT_MIX
    assert read('{"studies_per_patient": [1, 2]}', source="x").studies_per_patient == (1, 2)


@pytest.mark.parametrize(
    ("written", "field", "line"),
    [
        ("patients: 3\npatient: 4\n", "patient", "line 2"),
        ("patients: many\n", "patients", "line 1"),
        ("patients: 3\nmix:\n  CT: -1\n", "mix", "line 3"),
        ("patients: 3\npatients: 4\n", "file", "line 2"),
        ("a: [", "file", "line"),
        ("- a\n", "file", ""),
        ("studies_per_patient: few\n", "studies_per_patient", "line 1"),
        ("defects: {x: 2}\n", "defects", "line 1"),
    ],
)
def test_a_mistake_in_a_file_is_said_with_its_line(written: str, field: str, line: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(written, source="ward.yaml")
    assert refused.value.field == field
    assert line in refused.value.what
    assert "ward.yaml" in refused.value.what


def test_the_schema_names_every_field_of_the_recipe() -> None:
    fields = set(PopulationRecipe.__dataclass_fields__)
    assert fields <= set(json_schema()["properties"])
