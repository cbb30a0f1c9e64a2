"""Names in nine scripts are written in the character set of their script, and nothing is ever a question mark."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread

from dicomfab.fabricate import checks
from dicomfab.fabricate.people import invent
from dicomfab.fabricate.recipe import ResolvedStudy, StudyRecipe
from dicomfab.fabricate.recipe_file import read
from dicomfab.fabricate.resolve import resolve
from dicomfab.fabricate.scripts import LATIN, SCRIPTS
from dicomfab.fabricate.sinks import write_files
from dicomfab.model.errors import InvalidInput
from dicomfab.model.study import Patient

NOW = dt.datetime(2026, 1, 5, 10, 15, tzinfo=dt.UTC)
DAY = dt.date(2026, 1, 5)


def made(**recipe: object) -> ResolvedStudy:
    return resolve(StudyRecipe(("text-card",), **{"seed": 3, **recipe}), now=NOW, draw_seed=lambda: 3)  # type: ignore[arg-type]


@given(seed=st.integers(0, 2**63 - 1), script=st.sampled_from(sorted(SCRIPTS)))
def test_every_name_can_be_written(seed: int, script: str) -> None:
    patient, latin = invent(seed, DAY, script), invent(seed, DAY)
    assert checks.holds(SCRIPTS[script].character_set, patient.name)
    assert len({group.count("^") for group in patient.name.split("=")}) == 1
    assert all(len(group) <= 64 for group in patient.name.split("="))
    assert (patient.sex, patient.birth_date, patient.patient_id) == (latin.sex, latin.birth_date, latin.patient_id)


@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_the_file_has_the_name_and_its_character_set(tmp_path: Path, script: str) -> None:
    study = made(script=script)
    (file,) = write_files(study, tmp_path)[:1]
    ds = dcmread(file.path)
    terms = ds.SpecificCharacterSet if isinstance(ds.SpecificCharacterSet, str) else "\\".join(ds.SpecificCharacterSet)
    assert terms == SCRIPTS[script].character_set
    assert str(ds.PatientName) == study.patient.name
    assert "?" not in str(ds.PatientName)


def test_without_a_script_nothing_is_different() -> None:
    assert made().as_dict() == made(script=LATIN).as_dict()
    assert "written_in" not in made().as_dict()
    assert made().character_set == "ISO_IR 100"


def test_a_resolved_study_can_be_taken_back() -> None:
    study = made(script="greek")
    assert ResolvedStudy.from_dict(study.as_dict()) == study


def test_an_unknown_script_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match="klingon") as refused:
        made(script="klingon")
    assert refused.value.field == "script"


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("patient.name", {"patient": Patient("Попов^Юрий", "SYN1")}),
        ("referring_physician", {"referring_physician": "Müller^Jörg"}),
        ("study_description", {"study_description": "胸部CT"}),
    ],
)
def test_what_the_character_set_lacks_is_refused_before_anything_is_made(field: str, given: dict[str, object]) -> None:
    with pytest.raises(InvalidInput) as refused:
        made(script="greek", **given)
    assert refused.value.field == field
    assert "ISO_IR 126" in refused.value.what


@pytest.mark.parametrize(
    ("terms", "text", "held"),
    [
        ("", "Müller", False),
        ("ISO_IR 6", "Müller", False),
        ("ISO_IR 100", "Müller", True),
        ("ISO_IR 13", "ﾔﾏﾀﾞ^ﾀﾛｳ", True),
        ("ISO_IR 13", "ﾔﾏﾀﾞ ﾀﾛｳ", False),
        ("ISO_IR 13", "山田", False),
        (r"ISO 2022 IR 13\ISO 2022 IR 87", "ﾔﾏﾀﾞ 山田", True),
        (r"\ISO 2022 IR 87", "髙", False),
        (r"\ISO 2022 IR 87", "Müller", False),
        (r"\ISO 2022 IR 58", "王", False),
        ("ISO_IR 999", "é", False),
        ("ISO_IR 999", "e", True),
    ],
)
def test_what_a_character_set_holds(terms: str, text: str, held: bool) -> None:
    assert checks.holds(terms, text) is held


def test_a_recipe_names_it() -> None:
    recipe = read("series: [text-card]\nscript: japanese\n", source="r.yaml").study()
    assert recipe.script == "japanese"


@given(text=st.text(max_size=30), terms=st.sampled_from([one.character_set for one in SCRIPTS.values()]))
def test_what_holds_a_text_gives_it_back(text: str, terms: str) -> None:
    from pydicom.charset import decode_bytes, encode_string, python_encoding

    if not checks.holds(terms, text) or any(ord(c) < 0x20 or ord(c) == 0x7F for c in text):
        return
    encodings = [python_encoding[term] for term in terms.split("\\")]
    assert decode_bytes(encode_string(text, encodings), encodings, set()) == text
