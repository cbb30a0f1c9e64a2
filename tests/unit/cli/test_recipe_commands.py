"""``dicomfab recipe`` and ``dicomfab study create``, as people call them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydicom import dcmread

from dicomfab.fabricate.kinds import ALL_KINDS
from dicomfab.fabricate.recipe_file import shipped
from dicomfab.fabricate.unfinished import MARKER

CARDS = "title: Two cards\nseries:\n  - text-card:2\nseed: 7\nstudy_date: 2026-01-31\n"


@pytest.fixture
def cards(tmp_path: Path) -> Path:
    file = tmp_path / "cards.yaml"
    file.write_text(CARDS)
    return file


def test_recipes_are_listed_and_shown(dicomfab):
    listed = json.loads(dicomfab("recipe", "list", "--json").out)
    assert {one["name"] for one in listed} == set(shipped())
    assert "trauma-ct" in dicomfab("recipe", "list").out
    assert "kind: ct-head" in dicomfab("recipe", "show", "trauma-ct").out


def test_a_recipe_is_saved_used_replaced_and_removed(dicomfab, cards):
    saved = dicomfab("recipe", "save", "my-cards", str(cards))
    assert (saved.code, saved.err) == (0, "")
    again = dicomfab("recipe", "save", "my-cards", "-", stdin=CARDS)
    assert again.code == 2
    assert "--replace" in again.err
    assert dicomfab("recipe", "save", "my-cards", "-", "--replace", stdin=CARDS.replace("Two", "Some")).code == 0
    assert "Some cards" in dicomfab("recipe", "show", "my-cards").out
    made = json.loads(dicomfab("study", "create", "--recipe", "my-cards", "--json").out)
    assert (made["instances"], made["seed"]) == (2, 7)
    assert dicomfab("recipe", "remove", "my-cards").code == 0
    assert dicomfab("recipe", "show", "my-cards").code == 3


@pytest.mark.parametrize("name", ["../x", "A", "", "a b", "a" * 65])
def test_a_name_that_is_no_file_name_is_refused(dicomfab, cards, name):
    refused = dicomfab("recipe", "save", "--", name, str(cards))
    assert refused.code == 2
    assert "name" in refused.err


def test_what_cannot_be_made_is_not_saved(dicomfab):
    refused = dicomfab("recipe", "save", "bad", "-", stdin="series:\n  - ct-toe\n")
    assert refused.code == 2
    assert "ct-toe" in refused.err
    assert "bad" not in dicomfab("recipe", "list").out.split()


def test_a_mistake_in_a_file_is_said_with_its_line(dicomfab, tmp_path):
    file = tmp_path / "wrong.yaml"
    file.write_text("series:\n  - kind: ct-chest\n    cuont: 3\n")
    refused = dicomfab("study", "create", "--recipe", str(file))
    assert refused.code == 2
    assert "line 3" in refused.err
    assert "count" in refused.err


def test_kinds_are_listed(dicomfab):
    assert [one["kind"] for one in json.loads(dicomfab("recipe", "kinds", "--json").out)] == list(ALL_KINDS)
    assert "200 slices" in dicomfab("recipe", "kinds").out


def test_the_schema_knows_the_kinds(dicomfab):
    schema = json.loads(dicomfab("recipe", "schema").out)
    assert schema["$defs"]["SeriesEntry"]["properties"]["kind"]["enum"] == sorted(ALL_KINDS)


def test_a_preview_keeps_nothing_and_makes_a_picture(dicomfab, tmp_path):
    picture = tmp_path / "card.png"
    shown = json.loads(dicomfab("recipe", "preview", "text-cards", "--out", str(picture), "--json").out)
    assert shown["instances"] == 10
    assert shown["attributes"]["00080060"]["Value"] == ["OT"]
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert dicomfab("study", "list").out.startswith("No local studies")
    assert dicomfab("recipe", "preview", "text-cards", "--series", "2").code == 3


def test_many_studies_have_seeds_and_patients_of_their_own(dicomfab, cards, tmp_path):
    out = tmp_path / "out"
    made = json.loads(
        dicomfab("study", "create", "--recipe", str(cards), "--count", "3", "--out", str(out), "--json").out
    )["studies"]
    assert made[0]["seed"] == 7
    assert len({one["seed"] for one in made}) == len({one["patient"]["patient_id"] for one in made}) == 3
    assert sorted(path.name for path in out.iterdir()) == ["study-1", "study-2", "study-3"]
    assert all(len(list(folder.iterdir())) == 2 for folder in out.iterdir())


def test_one_accession_number_is_not_given_to_many_studies(dicomfab):
    refused = dicomfab("study", "create", "--kind", "text-card", "--count", "2", "--accession", "A1")
    assert refused.code == 2
    assert "accession_number" in refused.err


def test_options_go_before_the_recipe(dicomfab, cards, tmp_path):
    out = tmp_path / "out"
    words = [
        "--recipe",
        str(cards),
        "--seed",
        "8",
        "--accession",
        "A1",
        "--transfer-syntax",
        "jpeg-ls",
        "--out",
        str(out),
    ]
    made = json.loads(dicomfab("study", "create", *words, "--json").out)
    assert (made["seed"], made["accession_number"]) == (8, "A1")
    assert {dcmread(file).file_meta.TransferSyntaxUID for file in out.iterdir()} == {"1.2.840.10008.1.2.4.80"}


def test_a_transfer_syntax_that_cannot_hold_the_pixels_is_refused_before_anything_is_made(dicomfab, tmp_path):
    out = tmp_path / "out"
    refused = dicomfab("study", "create", "--kind", "ct-chest:1", "--transfer-syntax", "jpeg", "--out", str(out))
    assert refused.code == 2
    assert "transfer_syntax" in refused.err
    assert not out.exists()


def test_a_folder_that_was_broken_off_is_gone_on_with(dicomfab, cards, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    words = ["study", "create", "--recipe", str(cards), "--out"]
    assert dicomfab(*words, str(whole)).code == 0
    broken.mkdir()
    foreign = broken / "OT_001_00002.dcm"
    foreign.write_text("in the way")
    assert "exists already" in dicomfab(*words, str(broken)).err
    assert foreign.read_text() == "in the way"
    refused = dicomfab(*words, str(broken))
    assert refused.code == 2
    assert "--resume" in refused.err
    foreign.unlink()
    (broken / f".OT_001_00002.dcm.{2**22 + 1}.part").write_bytes(b"half")  # of a process that was killed
    assert dicomfab("study", "create", "--out", str(broken), "--resume").code == 0
    assert {file.name: file.read_bytes() for file in broken.iterdir()} == {
        file.name: file.read_bytes() for file in whole.iterdir()
    }
    assert not (broken / MARKER).exists()
    assert dicomfab("study", "create", "--out", str(broken), "--resume").code == 3


def test_identifiers_come_from_patterns_and_never_twice(dicomfab, cards):
    words = ["study", "create", "--recipe", str(cards), "--count", "3", "--json"]
    words += ["--accession-pattern", "HSP{5digits}", "--patient-id-pattern", "SYN{1digit}X"]
    first = json.loads(dicomfab(*words).out)["studies"]
    second = json.loads(dicomfab(*words, "--seed", "99").out)["studies"]
    accessions = [one["accession_number"] for one in first + second]
    ids = [one["patient"]["patient_id"] for one in first + second]
    assert len(set(accessions)) == len(set(ids)) == 6
    assert all(one.startswith("HSP") and len(one) == 8 for one in accessions)
    empty = dicomfab(*words, "--seed", "100", "--count", "5")
    assert empty.code == 2
    assert "patient_id_pattern" in empty.out or "pattern" in empty.out


def test_address_and_phone_are_invented_if_asked_for(dicomfab, cards, tmp_path):
    words = ("study", "create", "--recipe", str(cards), "--seed", "5", "--script", "korean", "--json", "--out")
    plain, asked = (
        json.loads(dicomfab(*words, str(tmp_path / folder), *more).out)["patient"]
        for folder, more in (("plain", ()), ("asked", ("--contact",)))
    )
    assert (plain["address"], plain["phone"]) == ("", "")
    assert asked["phone"].startswith("+82 2-0")
    assert {**asked, "address": "", "phone": ""} == plain


def test_a_registered_patient_is_used(dicomfab, cards):
    added = dicomfab("patient", "add", "--name", "Roe^Max", "--id", "SYN77", "--birth-date", "1980-02-03", "--sex", "M")
    assert added.code == 0, added.err
    made = json.loads(dicomfab("study", "create", "--recipe", str(cards), "--patient", "SYN77", "--json").out)
    assert made["patient"]["name"] == "Roe^Max"
    assert made["patient"]["birth_date"] == "19800203"
    assert dicomfab("study", "create", "--patient", "SYN78").code == 3
