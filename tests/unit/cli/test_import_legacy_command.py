"""``dicomfab import-legacy``."""

from __future__ import annotations

import json

import pytest

from tests.unit.services.legacy.predecessor import HASH, everything, patient, server, written


@pytest.fixture
def old(tmp_path):
    return written(tmp_path / "old", everything())


def counted(dicomfab):
    return [
        len(json.loads(dicomfab("pacs", "list", "--json").out)),
        json.loads(dicomfab("patient", "list", "--json").out)["total"],
        len(json.loads(dicomfab("users", "list", "--json").out)),
    ]


def test_without_apply_nothing_is_changed_and_it_says_how(dicomfab, old):
    shown = dicomfab("import-legacy", str(old))
    assert shown.code == 0
    assert "Would add: 2 servers, 2 routes, 2 patients, 2 accounts" in shown.out
    assert "repeat the command with --apply" in shown.out
    assert counted(dicomfab) == [0, 0, 0]


def test_apply_adds_and_names_who_needs_a_password_and_repeating_adds_nothing(dicomfab, old):
    done = dicomfab("import-legacy", str(old), "--apply")
    assert done.code == 0
    assert "Added: 2 servers, 2 routes, 2 patients, 2 accounts" in done.out
    assert "dicomfab users password anna" in done.out.splitlines()[-1]
    assert counted(dicomfab) == [2, 2, 2]
    again = dicomfab("import-legacy", str(old), "--apply")
    assert again.code == 0
    assert "Added: nothing" in again.out
    assert "The same already: 2 servers, 2 routes, 2 patients, 1 group, 2 accounts" in again.out
    assert "users password" not in again.out
    assert counted(dicomfab) == [2, 2, 2]


def test_json_is_one_document_with_every_entry_and_no_name_of_a_patient(dicomfab, old):
    shown = dicomfab("import-legacy", str(old), "--json")
    document = json.loads(shown.out)
    assert document["is_applied"] is False
    assert document["counts"]["patient"]["add"] == 2
    assert document["need_a_password"] == ["admin", "anna"]
    assert {one["verdict"] for one in document["findings"]} == {"add", "same"}
    assert "DEMO" not in shown.out
    assert HASH not in shown.out
    assert json.loads(dicomfab("import-legacy", str(old), "--apply", "--json").out)["is_applied"] is True


def test_what_is_left_out_is_told_and_is_an_exit_code_of_its_own(dicomfab, old):
    written(old, {"data/pacs_config.json": {"a": server("A", port=999999), "b": server("\x1b[2J")}})
    left = dicomfab("import-legacy", str(old), "--apply")
    assert left.code == 6
    assert "NOT TAKEN" in left.out
    assert "999999 is not a port number" in left.out
    assert "\x1b" not in left.out
    assert "Left out: 2 entries" in left.out
    assert counted(dicomfab) == [0, 2, 2]


def test_many_patients_are_not_all_listed_but_all_that_are_left_out(dicomfab, tmp_path):
    many = {f"SYN{i:04}": patient(f"SYN{i:04}", sex="M" if i % 2 else "?") for i in range(100)}
    shown = dicomfab("import-legacy", str(written(tmp_path / "old", {"patient_registry.json": many})))
    assert shown.code == 6
    assert shown.out.count("NOT TAKEN") == 50
    assert "and 25 more" in shown.out


def test_a_folder_that_is_not_there_is_explained(dicomfab, tmp_path):
    missing = dicomfab("import-legacy", str(tmp_path / "none"), "--json")
    assert missing.code == 3
    assert json.loads(missing.out)["error"]["error"] == "NotFound"
    (tmp_path / "empty").mkdir()
    assert "pacs_config.json" in dicomfab("import-legacy", str(tmp_path / "empty")).err
