"""Addresses and telephone numbers of invented people: in the script of the name, its character set, and of nobody."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.charset import decode_bytes, encode_string, python_encoding

from dicomfab.fabricate import checks
from dicomfab.fabricate.addresses import PLACES
from dicomfab.fabricate.people import invent, with_contact
from dicomfab.fabricate.recipe import ResolvedStudy, StudyRecipe
from dicomfab.fabricate.recipe_file import read
from dicomfab.fabricate.resolve import resolve
from dicomfab.fabricate.scripts import LATIN, SCRIPTS, script_of
from dicomfab.fabricate.sinks import write_files
from dicomfab.model.errors import InvalidInput
from dicomfab.model.study import Patient
from tests.peers.dciodvfy import dciodvfy

NOW = dt.datetime(2026, 1, 5, 10, 15, tzinfo=dt.UTC)
DAY = dt.date(2026, 1, 5)
# How postal codes look in the country, of which none is given out.
CODES = {
    LATIN: r" ZZ\d \d[A-Z]{2}$",
    "japanese": r"^〒000-\d{4} ",
    "korean": r"^\(00\d{3}\) ",
    "chinese": r" 00\d{4}$",
    "cyrillic": r"^00\d{4}, ",
    "greek": r" 00\d \d\d ",
    "arabic": r" 00\d{3}$",
    "hebrew": r" 00\d{5}$",
    "thai": r" 00\d{3}$",
}
# Kept for drama, or of an exchange or area that there is not.
PHONES = {
    LATIN: r"\+44 1632 960\d{3}",
    "japanese": r"\+81 3-0\d{3}-\d{4}",
    "korean": r"\+82 2-0\d{3}-\d{4}",
    "chinese": r"\+86 10 0\d{3} \d{4}",
    "cyrillic": r"\+7 495 0\d\d-\d\d-\d\d",
    "greek": r"\+30 210 0\d\d \d{4}",
    "arabic": r"\+966 11 0\d\d \d{4}",
    "hebrew": r"\+972 3-0\d\d-\d{4}",
    "thai": r"\+66 40 0\d\d \d{3}",
}


def made(**recipe: object) -> ResolvedStudy:
    return resolve(StudyRecipe(("text-card",), **{"seed": 3, **recipe}), now=NOW, draw_seed=lambda: 3)  # type: ignore[arg-type]


def test_every_script_has_a_place() -> None:
    assert set(PLACES) == set(CODES) == {LATIN, *SCRIPTS}


@given(seed=st.integers(0, 2**63 - 1), script=st.sampled_from(sorted(PLACES)))
def test_every_address_can_be_written_and_changes_nothing_else(seed: int, script: str) -> None:
    person = invent(seed, DAY, script, contact=True)
    assert invent(seed, DAY, script) == dataclasses.replace(person, address="", phone="")
    assert script_of(person.name) == script
    assert re.search(CODES[script], person.address)
    assert re.fullmatch(PHONES[script], person.phone)
    assert checks.text(person.address, field="address", limit=64) == person.address
    assert checks.text(person.phone, field="phone", limit=16) == person.phone
    terms = SCRIPTS[script].character_set if script in SCRIPTS else checks.LATIN_1
    assert checks.holds(terms, person.address)
    encodings = [python_encoding[term] for term in terms.split("\\")]
    encoded = encode_string(person.address, encodings)
    assert decode_bytes(encoded, encodings, set()) == person.address
    assert b"\\" not in encoded  # which readers that know no other character set take for the end of a value


@pytest.mark.parametrize("script", sorted(PLACES))
def test_the_file_has_both(tmp_path: Path, script: str) -> None:
    study = made(script=script, contact=True)
    (file,) = write_files(study, tmp_path)[:1]
    ds = dcmread(file.path)
    assert (ds.PatientAddress, ds.PatientTelephoneNumbers) == (study.patient.address, study.patient.phone)
    assert study.patient.address
    verdict = dciodvfy(file.path)
    assert verdict.valid, verdict


def test_nobody_has_them_unasked_and_what_was_made_before_is_made_again(tmp_path: Path) -> None:
    plain = made()
    assert "address" not in plain.as_dict()["patient"]
    assert "phone" not in plain.as_dict()["patient"]
    assert plain.recipe_hash == "16b36665e30d27afd7f066e84aa81d38"
    assert "PatientAddress" not in dcmread(write_files(plain, tmp_path)[0].path)
    asked = made(contact=True)
    assert dataclasses.replace(asked.patient, address="", phone="") == plain.patient
    assert ResolvedStudy.from_dict(asked.as_dict()) == asked
    assert asked.recipe_hash != plain.recipe_hash


def test_a_given_patient_lives_in_one_place_that_goes_with_the_name() -> None:
    someone = Patient("Yamada^Tarou=山田^太郎=やまだ^たろう", "SYN2")
    one, other = (made(patient=someone, contact=True, seed=seed).patient for seed in (1, 2))
    assert one == other
    assert one.address.startswith("〒000-")
    assert made(patient=dataclasses.replace(someone, patient_id="SYN3"), contact=True).patient.address != one.address
    kept = made(patient=dataclasses.replace(someone, address="1 Fern Close", phone="+44 1632 960001"), contact=True)
    assert (kept.patient.address, kept.patient.phone) == ("1 Fern Close", "+44 1632 960001")
    assert made(patient=kept.patient).patient == kept.patient


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("address", "x" * 65),
        ("address", "a\\b"),
        ("address", "a\nb"),
        ("phone", "+44 1632 960 0000"),
        ("phone", "1\\2"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_its_field(field: str, value: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        made(patient=Patient("Doe^Jane", "SYN1", **{field: value}))
    assert refused.value.field == field


def test_an_address_that_the_character_set_lacks_is_refused() -> None:
    with pytest.raises(InvalidInput) as refused:
        made(script="greek", patient=Patient("Doe^Jane", "SYN1", address="ул. Лесная"))
    assert refused.value.field == "patient.address"


def test_a_recipe_asks_for_them_or_gives_them() -> None:
    recipe = read(
        "series: [text-card]\ncontact: true\npatient: {id: SYN1, phone: '+44 1632 960001'}", source="r"
    ).study()
    assert recipe.contact
    assert recipe.patient == Patient("", "SYN1", phone="+44 1632 960001")
    with pytest.raises(InvalidInput) as refused:
        read(f"series: [text-card]\npatient: {{address: {'x' * 65}}}", source="r")
    assert refused.value.field == "address"


@pytest.mark.parametrize(
    ("name", "script"), [("", LATIN), ("Doe^Jane", LATIN), ("王^伟", "chinese"), ("森^さくら", "japanese")]
)
def test_the_script_of_a_name(name: str, script: str) -> None:
    assert script_of(name) == script
    assert re.search(CODES[script], with_contact(Patient(name, "SYN1"), 1).address)
