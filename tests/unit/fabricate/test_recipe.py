from __future__ import annotations

import datetime as dt
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomfab.fabricate import checks, people
from dicomfab.fabricate.recipe import ResolvedStudy, SeriesRecipe, StudyRecipe
from dicomfab.fabricate.resolve import resolve
from dicomfab.fabricate.seeds import Draw, derive, uid
from dicomfab.fabricate.study import count
from dicomfab.model.errors import InvalidInput
from dicomfab.model.study import Patient
from tests.unit.fabricate.studies import NOW, resolved, study

CT = ("ct-chest",)


def test_resolve_decides_everything() -> None:
    made = resolved(StudyRecipe(CT))
    assert made.seed == 42
    assert made.study_date == "20260131"
    assert made.study_time == "093000"
    assert made.accession_number.startswith("SYN")
    assert made.patient.patient_id.startswith("SYN")
    assert made.patient.issuer.startswith("SYN")
    assert made.study_description == "CT CHEST W CONTRAST"


def test_a_seed_that_is_given_is_not_drawn() -> None:
    def never() -> int:
        raise AssertionError

    assert resolve(StudyRecipe(CT, seed=5), now=NOW, draw_seed=never).seed == 5


def test_a_patient_that_is_given_is_kept() -> None:
    given_patient = Patient("MÜLLER^Jürgen", "4711", "19600229", "M")
    kept = resolved(StudyRecipe(CT, patient=given_patient)).patient
    assert kept == Patient("MÜLLER^Jürgen", "4711", "19600229", "M", "SYN-DICOMFAB")
    assert resolved(StudyRecipe(CT, patient=Patient("A^B", "1", issuer="SYN-SITE"))).patient.issuer == "SYN-SITE"


def test_the_resolved_recipe_survives_json() -> None:
    made = study("ct-chest", "dx-chest", patient=Patient("山田^太郎", "1"))
    again = ResolvedStudy.from_dict(json.loads(json.dumps(made.as_dict())))
    assert again == made
    assert again.recipe_hash == made.recipe_hash


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"series": ()}, "series"),
        ({"series": ("ct-toe",)}, "kind"),
        ({"series": ("ct-chest",) * 201}, "series"),
        ({"series": (SeriesRecipe("dx-chest", 3),)}, "count"),
        ({"series": (SeriesRecipe("text-card", style="image"),)}, "style"),
        ({"series": (SeriesRecipe("ct-chest", style="photo"),)}, "style"),
        ({"style": "photo"}, "style"),
        ({"series": (SeriesRecipe("ct-chest", transfer_syntax="1.2.840.10008.1.2.4.100"),)}, "transfer_syntax"),
        ({"transfer_syntax": "zip"}, "transfer_syntax"),
        ({"series": (SeriesRecipe("ct-chest", description="x" * 65),)}, "description"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"accession_number": "A" * 17}, "accession_number"),
        ({"accession_number": "A\\B"}, "accession_number"),
        ({"study_id": "1\n2"}, "study_id"),
        ({"study_description": "x" * 65}, "study_description"),
        ({"study_date": "20260230"}, "study_date"),
        ({"study_date": "20260231"}, "study_date"),
        ({"study_time": "250000"}, "study_time"),
        ({"study_time": "٠٩٣٠٠٠"}, "study_time"),
        ({"series": (SeriesRecipe("ct-chest", 0),)}, "count"),
        ({"series": (SeriesRecipe("ct-chest", True),)}, "count"),
        ({"series": (SeriesRecipe("text-card", 10_001),)}, "count"),
        ({"referring_physician": "a=b=c=d"}, "referring_physician"),
        ({"patient": Patient("", "1")}, "patient_name"),
        ({"patient": Patient("^", "1")}, "patient_name"),
        ({"patient": Patient("A" * 65, "1")}, "patient_name"),
        ({"patient": Patient("A^B^C^D^E^F", "1")}, "patient_name"),
        ({"patient": Patient("\ud800", "1")}, "patient_name"),
        ({"patient": Patient("A", " ")}, "patient_id"),
        ({"patient": Patient("A", "1" * 65)}, "patient_id"),
        ({"patient": Patient("A", "1", birth_date="1.2.1960")}, "birth_date"),
        ({"patient": Patient("A", "1", birth_date="20270101")}, "birth_date"),
        ({"patient": Patient("A", "1", sex="X")}, "sex"),
        ({"patient": Patient("A", "1", issuer="\t")}, "issuer"),
    ],
)
def test_bad_values_are_refused_by_name(change: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        resolved(StudyRecipe(**{"series": CT, **change}))  # type: ignore[arg-type]
    assert refused.value.field == field
    assert refused.value.remedy


def test_the_character_set_holds_every_text() -> None:
    assert study("text-card").character_set == "ISO_IR 100"
    assert study("text-card", patient=Patient("Müller", "1")).character_set == "ISO_IR 100"
    assert study("text-card", patient=Patient("山田^太郎", "1")).character_set == "ISO_IR 192"
    assert study("text-card", study_description="Łódź").character_set == "ISO_IR 192"


def test_decomposed_text_is_composed() -> None:
    assert checks.person_name("Mu\u0308ller", field="patient_name") == "Müller"


@given(st.text(max_size=70))
def test_text_is_kept_or_refused_but_never_changed(value: str) -> None:
    try:
        kept = checks.text(value, field="f", limit=64)
    except InvalidInput:
        return
    character_set = checks.character_set([kept])
    encoding = {"ISO_IR 100": "iso-8859-1", "ISO_IR 192": "utf-8"}[character_set]
    assert kept.encode(encoding).decode(encoding) == kept
    assert len(kept) <= 64
    assert "\\" not in kept


@given(st.integers(0, 2**63 - 1), st.dates(dt.date(1990, 1, 1), dt.date(2100, 1, 1)))
def test_invented_patients_are_consistent_adults(seed: int, day: dt.date) -> None:
    patient = people.invent(seed, day)
    assert patient == people.invent(seed, day)
    family, given_name = patient.name.split("^")[:2]
    assert family in people.FAMILY
    assert given_name in people.GIVEN[patient.sex]
    assert re.fullmatch(r"SYN[0-9]{10}", patient.patient_id)
    assert int(people.age_string(patient.birth_date, day.strftime("%Y%m%d"))[:3]) >= 17
    assert patient == checked(patient)


def checked(patient: Patient) -> Patient:
    return resolved(StudyRecipe(CT, patient=patient, study_date="21000101")).patient


def test_the_same_seed_is_the_same_person_on_any_day() -> None:
    assert people.invent(9, dt.date(2026, 1, 1)) == people.invent(9, dt.date(2030, 7, 1))


@pytest.mark.parametrize(
    ("birth", "on", "age"),
    [
        ("19600229", "20260228", "065Y"),
        ("19600229", "20260301", "066Y"),
        ("20240131", "20260130", "023M"),
        ("20240131", "20260131", "002Y"),
        ("20260101", "20260131", "030D"),
        ("20260131", "20260131", "000D"),
        ("", "20260131", ""),
    ],
)
def test_age(birth: str, on: str, age: str) -> None:
    assert people.age_string(birth, on) == age


@given(st.lists(st.text(), min_size=1))
def test_uids_are_valid_and_of_one_width(names: list[str]) -> None:
    made = uid(*names)
    assert re.fullmatch(r"2\.25\.[1-9][0-9]{38}", made)
    number = int(made[5:])
    assert number < 2**128
    assert number >> 76 & 0xF == 8
    assert number >> 62 & 0x3 == 2


def test_uids_and_hash_follow_from_every_field() -> None:
    first = study("ct-chest")
    assert study("ct-chest").study_instance_uid == first.study_instance_uid
    others = [
        study("ct-chest", seed=8),
        study("ct-chest", slices=4),
        study("ct-chest", "text-card:2"),
        study("ct-chest", accession_number="X"),
        study("ct-chest", study_date="20260201"),
        study("ct-chest", study_time="100000"),
        study("ct-chest", patient=Patient("A", "1")),
        study("ct-chest", "text-card"),
    ]
    uids = {first.study_instance_uid, *(other.study_instance_uid for other in others)}
    assert len(uids) == len(others) + 1


def test_draws_of_different_purposes_are_independent() -> None:
    assert derive(1, "a", "b") != derive(1, "ab")
    assert [Draw(1, "x").below(1000)] != [Draw(1, "y").below(1000)]
    assert all(2.0 <= Draw(seed, "z").between(2.0, 3.0) < 3.0 for seed in range(50))


def test_count() -> None:
    assert count(study("ct-chest", "dx-chest", "text-card:4", slices=9)) == 9 + 2 + 4
