"""What cannot be used is refused by name before any work starts."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomfab.fabricate.population import text
from dicomfab.fabricate.population.file import json_schema, read
from dicomfab.fabricate.population.plan import studies
from dicomfab.fabricate.population.recipe import DEFAULT_MIX, IMAGES, PopulationRecipe
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
    ("defects", {"defects": (("missing-type-1", 0.1), ("missing-type-1", 0.2))}),
    ("defects", {"defects": (("pixels-truncated", 0.1),), "mix": (("ECG", 1.0),)}),
    ("defects", {"defects": (("duplicate-sop-uid", 1.0),), "mix": (("DX", 1.0),)}),
    ("defects", {"defects": (("patient-mismatch", 1.0),), "mix": (("dx-chest", 1.0),), "images": "full"}),
    ("defects", {"defects": (("duplicate-sop-uid", 1.0),), "mix": (("ct-chest", 1.0),), "slices": 1}),
    ("defects", {"defects": (("uid-in-two-series", 1.0),), "mix": (("ecg", 1.0), ("us-cine", 1.0))}),
    ("mix", {"mix": (("CT", 1e308), ("DX", 1e308))}),
    ("scripts", {"scripts": (("latin", 1e308), ("greek", 1e308))}),
    ("end_date", {"end_date": "2-0-260101"}),
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


@pytest.mark.parametrize(
    ("defect", "values"),
    [
        ("uid-in-two-series", {"mix": (("DX", 1.0),)}),  # two views, each a series
        ("uid-in-two-series", {"mix": (("ecg", 1.0), ("MR", 1.0))}),  # one of the mix is enough
        ("duplicate-sop-uid", {"mix": (("ct-chest", 1.0),)}),
    ],
)
def test_a_defect_that_is_not_refused_comes(defect: str, values: dict[str, Any]) -> None:
    recipe = population(patients=60, defects=((defect, 1.0),), **values)
    assert any(defect in one.study.defects for one in studies(recipe))


def test_shares_may_be_large_or_small_as_long_as_they_can_be_summed() -> None:
    for size in (1e307, 1e-300):
        recipe = population(
            patients=40, mix=(("CT", 3 * size), ("DX", size)), scripts=(("latin", size), ("greek", size))
        )
        assert sum(share for _, share in recipe.exams) == pytest.approx(1)
        assert len({one.study.written_in for one in studies(recipe)}) == 2


@pytest.mark.parametrize(("typed", "found"), [("1-5", (1, 5)), ("3", (3, 3)), (" 2 - 2 ", (2, 2))])
def test_a_range_as_people_type_it(typed: str, found: tuple[int, int]) -> None:
    assert text.studies(typed) == found


def test_shares_as_people_type_them() -> None:
    assert text.mix(["CT=40, dx=30", "ct-head=.5"]) == (("CT", 40.0), ("DX", 30.0), ("ct-head", 0.5))
    for typed in ("CT", "CT=", "CT=many", "CT=inf", "CT=1_0"):
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
    assert read("studies_per_patient: 3", source="x").studies_per_patient == (3, 3)
    assert read("mix: {ct: 5, ct-head: 1}", source="x").mix == (("CT", 5.0), ("ct-head", 1.0))


@pytest.mark.parametrize("nothing", ["", "null", "~"])
def test_what_is_null_is_left_out(nothing: str) -> None:
    assert read(f"seed: {nothing}\nend_date: {nothing}\nslices: {nothing}\n", source="x") == PopulationRecipe()


@given(
    st.builds(
        PopulationRecipe,
        patients=st.integers(1, 10**6),
        seed=st.none() | st.integers(0, 2**63 - 1),
        end_date=st.none() | st.just("20260131"),
        slices=st.none() | st.integers(1, 1000),
        defects=st.sampled_from([(), (("missing-type-1", 0.5),)]),
        images=st.sampled_from(IMAGES),
    )
)
def test_what_a_recipe_says_of_itself_can_be_read(recipe: PopulationRecipe) -> None:
    assert read(json.dumps(recipe.as_dict()), source="x") == recipe


@pytest.mark.parametrize(
    ("written", "field", "line"),
    [
        ("patients: 3\npatient: 4\n", "patient", "line 2"),
        ("patients: many\n", "patients", "line 1"),
        ("patients: 1_0\n", "patients", "line 1"),
        ("seed: 1_0\n", "seed", "line 1"),
        ("mix: {CT: 1_0}\n", "mix", "line 1"),
        ("patients: 3\nend_date: 2-0-260101\n", "end_date", "line 2"),
        ("studies_per_patient: 0-2\n", "studies_per_patient", "line 1"),
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


def test_the_schema_allows_what_is_read() -> None:
    of = json_schema()["properties"]
    text, number, both = of["studies_per_patient"]["anyOf"]
    assert re.search(text["pattern"], "1-2")
    assert re.search(text["pattern"], "3")
    assert not re.search(text["pattern"], "1-2-3")
    assert number["type"] == "integer"
    assert both["type"] == "array"
    for field in ("seed", "end_date", "slices"):
        assert {"type": "null"} in of[field]["anyOf"]
    day = of["end_date"]["anyOf"][0]["pattern"]
    assert [bool(re.search(day, one)) for one in ("20260131", "2026-01-31", "2026-0131")] == [True, True, False]
