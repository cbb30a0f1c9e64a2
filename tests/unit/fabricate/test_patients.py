from __future__ import annotations

import datetime as dt

import pytest

from dicomfab.fabricate.patients import PatientData, folded, invented, patient_data
from dicomfab.fabricate.people import GIVEN, ISSUER, invent
from dicomfab.model.errors import InvalidInput

TODAY = dt.date(2026, 3, 1)
GIVEN_FIELDS = {"patient_id": "SYN1", "name": "Doe^Jane"}


def test_fields_are_cleaned_and_numbers_may_be_text():
    made = patient_data(
        {
            **GIVEN_FIELDS,
            "birth_date": "2000-02-29",
            "sex": "f",
            "size_m": "1,75",
            "weight_kg": 70,
            "notes": " a\r\nb ",
        },
        today=TODAY,
    )
    assert made == PatientData("SYN1", "Doe^Jane", "20000229", "F", ISSUER, 1.75, 70.0, notes="a\nb")
    assert (made.patient.patient_id, made.patient.issuer) == ("SYN1", ISSUER)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("patient_id", ""),
        ("patient_id", "A*"),
        ("patient_id", "A\\B"),
        ("patient_id", "x" * 65),
        ("patient_id", 7),
        ("name", ""),
        ("name", "^^"),
        ("birth_date", "20250229"),
        ("birth_date", "20260302"),
        ("birth_date", "18751231"),
        ("birth_date", "soon"),
        ("sex", "X"),
        ("issuer", "x" * 65),
        ("size_m", "tall"),
        ("size_m", 175),
        ("size_m", True),
        ("weight_kg", -1),
        ("weight_kg", "nan"),
        ("notes", "\x00"),
        ("notes", "x" * 20_000),
        ("colour", "red"),
    ],
)
def test_a_field_that_cannot_be_used_is_refused_by_name(field, value):
    with pytest.raises(InvalidInput) as caught:
        patient_data({**GIVEN_FIELDS, field: value}, today=TODAY)
    assert caught.value.field == field


def test_an_invented_patient_is_consistent_and_follows_from_the_seed():
    for seed in range(50):
        made = invented("SYN1", seed, 3, today=TODAY)
        assert made == invented("SYN1", seed, 3, today=TODAY)
        assert made.name.split("^")[1] in GIVEN[made.sex]
        assert made.birth_date[:4] <= "2008"
        assert 17 < made.weight_kg / made.size_m**2 < 36
        assert patient_data(made.as_dict(), today=TODAY) == made


def test_the_first_of_a_seed_is_the_person_of_a_study_with_that_seed():
    assert invented("SYN1", 7, 0, today=TODAY).name == invent(7, TODAY).name
    assert len({invented("SYN1", 7, number, today=TODAY).name for number in range(20)}) > 15
    person = invent(7, TODAY, "greek", contact=True)
    asked = invented("SYN1", 7, 0, today=TODAY, script="greek", contact=True)
    assert (asked.name, asked.address, asked.phone) == (person.name, person.address, person.phone)
    assert (asked.patient.address, asked.patient.phone) == (person.address, person.phone)


@pytest.mark.parametrize(
    ("text", "plain"), [("Sørensen", "sorensen"), ("KRÜGER", "kruger"), ("Groß", "gross"), ("Łukasz", "lukasz")]
)
def test_folding(text, plain):
    assert folded(text) == plain
