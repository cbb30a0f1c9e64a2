"""``dicomfab audit`` as it is called."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest

from tests.unit.services.audit_schema import problems


def test_list_shows_that_it_was_read(dicomfab):
    first = dicomfab("audit", "list")
    assert first.code == 0
    assert "audit read list" in first.out
    again = json.loads(dicomfab("audit", "list", "--json").out)
    assert again["total"] == 2
    assert [entry["seq"] for entry in again["entries"]] == [2, 1]
    assert again["entries"][0]["door"] == "cli"


def test_list_filters_and_goes_back(dicomfab):
    for _ in range(4):
        dicomfab("audit", "list")
    found = dicomfab("audit", "list", "--kind", "audit-read", "--limit", "2")
    assert "2 of 5; older ones: --before 4" in found.out
    older = json.loads(dicomfab("audit", "list", "--limit", "2", "--before", "4", "--json").out)
    assert [entry["seq"] for entry in older["entries"]] == [3, 2]
    assert dicomfab("audit", "list", "--actor", "nobody-of-this-name").out == "No such entries.\n"
    assert "No such entries" in dicomfab("audit", "list", "--since", "2999-01-01").out
    assert "No such entries" in dicomfab("audit", "list", "--until", "2001-01-01T10:00").out


@pytest.mark.parametrize("option", ["--since", "--until"])
def test_a_moment_that_is_none_is_explained(dicomfab, option: str):
    refused = dicomfab("audit", "list", option, "yesterday", "--json")
    assert refused.code == 2
    assert json.loads(refused.out)["error"]["field"] == option.removeprefix("--")


def test_show(dicomfab):
    dicomfab("audit", "list", "--actor", "anna")
    shown = dicomfab("audit", "show", "1")
    assert shown.code == 0
    assert "audit-read" in shown.out
    assert "anna" in shown.out
    assert json.loads(dicomfab("audit", "show", "1", "--json").out)["detail"] == {"actor": "anna"}
    assert problems(fromstring(dicomfab("audit", "show", "1", "--xml").out)) == []
    assert dicomfab("audit", "show", "99").code == 3


@pytest.mark.parametrize("kind", ["csv", "json", "xml"])
def test_export_writes_a_file(dicomfab, tmp_path: Path, kind: str):
    file = tmp_path / f"log.{kind}"
    assert dicomfab("audit", "export", str(file)).code == 0
    assert b"audit" in file.read_bytes().lower()


def test_export_of_another_kind_writes_nothing(dicomfab, tmp_path: Path):
    assert dicomfab("audit", "export", str(tmp_path / "log.doc")).code == 2
    assert not (tmp_path / "log.doc").exists()


def test_verify_of_a_good_log_prints_an_anchor(dicomfab):
    dicomfab("audit", "list")
    good = dicomfab("audit", "verify")
    assert good.code == 0
    assert "as it was written: 1 entry checked" in good.out
    found = json.loads(dicomfab("audit", "verify", "--json").out)
    assert (found["ok"], found["entries"], found["broken"]) == (True, 2, None)
    assert dicomfab("audit", "verify", "--anchor", found["anchor"]).code == 0
    assert dicomfab("audit", "verify", "--anchor", "2:no").code == 2


def test_verify_after_a_hand_edit_names_the_first_broken_entry(dicomfab, tmp_path: Path):
    for _ in range(5):
        dicomfab("audit", "list")
    assert dicomfab("audit", "verify").code == 0
    database = sqlite3.connect(tmp_path / "home" / "dicomfab.sqlite3", isolation_level=None)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        database.execute("UPDATE audit_entry SET body = '{}' WHERE seq = 3")
    database.execute("DROP TRIGGER audit_entry_update")
    database.execute("UPDATE audit_entry SET body = replace(body, 'success', 'serious') WHERE seq = 3")
    edited = dicomfab("audit", "verify")
    assert edited.code == 6
    assert "broken at entry 3" in edited.out
    assert "its text was changed after it was written" in edited.out
    database.execute("UPDATE audit_entry SET body = replace(body, 'serious', 'success') WHERE seq = 3")
    anchor = json.loads(dicomfab("audit", "verify", "--json").out)["anchor"]
    database.execute("DROP TRIGGER audit_entry_delete")
    database.execute("DELETE FROM audit_entry WHERE seq > 5")
    database.close()
    cut = dicomfab("audit", "verify", "--json", "--anchor", anchor)
    assert cut.code == 6
    broken = json.loads(cut.out)["broken"]
    assert (broken["entry"], broken["through"], broken["what"]) == (6, 8, "cut")


def test_purge_asks_first(dicomfab):
    dicomfab("audit", "list")
    assert dicomfab("audit", "purge", "--older-than", "30").code == 5
    done = dicomfab("audit", "purge", "--older-than", "30", "--yes", "--json")
    assert (done.code, json.loads(done.out)) == (0, {"taken_out": 0, "not_delivered": 0})


def test_a_new_key_is_begun_and_verify_tells_where(dicomfab, tmp_path: Path):
    dicomfab("audit", "list")
    assert dicomfab("audit", "rekey", "--json").code == 5  # it asks, and nobody can answer
    assert json.loads(dicomfab("audit", "rekey", "--yes", "--json").out) == {"first_entry": 4}
    good = dicomfab("audit", "verify")
    assert good.code == 0
    assert "up to entry 3: checked with an earlier key" in good.out
    (tmp_path / "home" / "audit.key").unlink()
    assert dicomfab("audit", "rekey", "--yes").code == 1
    assert "From entry" in dicomfab("audit", "rekey", "--lost", "--yes").out
    told = dicomfab("audit", "verify")
    assert told.code == 0
    assert "not checked: their key is lost" in told.out
    found = json.loads(dicomfab("audit", "verify", "--json").out)
    assert [one["checked"] for one in found["earlier_keys"]] == [True, False]


def test_a_server_that_cannot_be_recorded_is_not_added_and_the_user_is_told(dicomfab, tmp_path: Path):
    dicomfab("audit", "list")
    with sqlite3.connect(tmp_path / "home" / "dicomfab.sqlite3") as database:
        database.execute("CREATE TRIGGER full BEFORE INSERT ON audit_entry BEGIN SELECT RAISE(ABORT, 'no'); END")
    database.close()
    port = ("--host", "127.0.0.1", "--port", "104", "--aec", "WARD", "--environment", "test")
    refused = dicomfab("pacs", "add", "--name", "Ward", *port, "--json")
    assert refused.code == 1
    assert "audit log takes no entry" in json.loads(refused.out)["error"]["what"]
    assert json.loads(dicomfab("pacs", "list", "--json").out) in ([], {"servers": []})
