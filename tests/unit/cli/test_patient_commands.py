from __future__ import annotations

import csv
import io
import json
from types import SimpleNamespace

import pytest

from dicomfab.cli.main import run


@pytest.fixture
def patient(tmp_path, monkeypatch, capsys):
    """Run ``dicomfab patient``; gives its exit code, standard output and standard error."""
    monkeypatch.setenv("DICOMFAB_HOME", str(tmp_path / "home"))

    def call(*words: str, stdin: bytes = b"") -> SimpleNamespace:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as left:
            run(["patient", *words])
        out, err = capsys.readouterr()
        return SimpleNamespace(code=left.value.code or 0, out=out, err=err)

    return call


def printed(result):
    assert (result.code, result.err) == (0, "")
    return json.loads(result.out)


def test_nobody_yet(patient):
    assert "patient invent" in patient("list").out
    assert printed(patient("list", "--json")) == {"total": 0, "patients": []}


def test_invented_patients_are_listed(patient):
    made = printed(patient("invent", "--count", "3", "--seed", "7", "--json"))
    assert made["warnings"] == []
    assert len({one["patient_id"] for one in made["patients"]}) == 3
    name = made["patients"][1]["name"]
    table = patient("list", "--search", name.split("^")[0].upper()).out
    assert name in table
    listed = printed(patient("list", "--limit", "2", "--offset", "2", "--sort", "changed", "--descending", "--json"))
    assert (listed["total"], len(listed["patients"])) == (3, 1)
    assert "2 of 3 patients" in patient("list", "--limit", "2").out
    assert "No patient matches" in patient("list", "--search", "nobody-at-all").out


def test_ids_by_pattern_with_a_warning_where_they_look_real(patient):
    words = ["--pattern", "{4digits}", "--prefix", "PID", "--suffix", "X", "--start", "10", "--increment", "5"]
    made = patient("invent", "--count", "2", *words)
    assert "Added PID0010X" in made.out
    assert "Added PID0015X" in made.out
    assert made.out.count("Warning: PID{4digits}X does not begin with SYN") == 1
    assert "PID0020X" in patient("add", "--name", "A^B", *words).out


def test_a_pattern_at_its_end_is_an_error_that_names_it(patient):
    result = patient("invent", "--count", "11", "--pattern", "SYN{1digits}", "--json")
    assert result.code == 2
    error = json.loads(result.out)["error"]
    assert (error["field"], error["value"]) == ("pattern", "SYN{1digits}")
    assert printed(patient("list", "--json"))["total"] == 0
    assert "position 4: '{6digts}'" in patient("invent", "--pattern", "SYN{6digts}").err


def test_every_field_is_an_option_and_stays_when_not_given(patient):
    words = ["--id", "SYN1", "--name", "Doe^Ann", "--birth-date", "2000-01-31", "--sex", "f", "--issuer", "ISS"]
    words += ["--size-m", "1.7", "--weight-kg", "60", "--notes", "n"]
    made = printed(patient("add", *words, "--json"))["patients"][0]
    given = {"patient_id": "SYN1", "name": "Doe^Ann", "birth_date": "20000131", "sex": "F", "issuer": "ISS"}
    assert made == {**made, **given, "size_m": 1.7, "weight_kg": 60.0, "notes": "n", "revision": 1}
    edited = printed(patient("edit", "SYN1", "--birth-date", "", "--id", "SYN2", "--json"))
    assert edited == {**made, "patient_id": "SYN2", "birth_date": "", "revision": 2, "changed_at": edited["changed_at"]}
    assert "Nothing to change" in patient("edit", "SYN2", "--sex", "F").out
    assert "Changed SYN2" in patient("edit", "SYN2", "--sex", "O").out
    stale = patient("edit", "SYN2", "--sex", "M", "--revision", "2")
    assert stale.code == 2
    assert "sex is now 'O', not 'M'" in stale.err
    shown = printed(patient("show", "SYN2", "--json"))
    assert (shown["sex"], shown["local_studies"]) == ("O", 0)
    assert "SYN2" in patient("show", "SYN2").out
    assert patient("show", "SYN1").code == 3


def test_address_and_phone(patient):
    words = ("--name", "Doe^Ann", "--id", "SYN1", "--address", "1 Fern Close", "--phone", "+44 1632 960001")
    made = printed(patient("add", *words, "--json"))["patients"][0]
    assert (made["address"], made["phone"]) == ("1 Fern Close", "+44 1632 960001")
    edited = printed(patient("edit", "SYN1", "--phone", "", "--json"))
    assert (edited["address"], edited["phone"]) == ("1 Fern Close", "")
    refused = patient("edit", "SYN1", "--phone", "1" * 17)
    assert refused.code == 2
    assert "phone" in refused.err
    assert "1 Fern Close" in patient("show", "SYN1").out


def test_patients_of_another_script_with_their_addresses(patient):
    made = printed(patient("invent", "--seed", "7", "--script", "japanese", "--contact", "--json"))["patients"][0]
    assert made["name"].count("=") == 2
    assert made["address"].startswith("〒000-")
    assert made["phone"].startswith("+81 3-0")
    assert printed(patient("invent", "--seed", "7", "--json"))["patients"][0]["address"] == ""
    refused = patient("invent", "--script", "klingon")
    assert refused.code == 2
    assert "klingon" in refused.err


def test_removing_asks_first(patient):
    patient("add", "--id", "SYN1", "--name", "Doe^Ann")
    assert patient("remove", "SYN1").code == 5
    assert "Removed SYN1" in patient("remove", "SYN1", "--yes").out
    assert patient("remove", "SYN1", "--yes").code == 3


def test_export_and_import(patient, tmp_path):
    patient("invent", "--count", "2", "--seed", "1")
    patient("add", "--id", "007", "--name", "Söderström^Ann")
    table = patient("export").out
    assert [row["patient_id"] for row in csv.DictReader(io.StringIO(table))].count("007") == 1
    file = tmp_path / "p.csv"
    file.write_bytes(b"\xef\xbb\xbf" + table.replace("Söderström", "Öberg").encode())
    assert printed(patient("import", str(file), "--json")) == {
        "added": [],
        "changed": ["007"],
        "unchanged": [one["patient_id"] for one in printed(patient("export", "--json")) if one["patient_id"] != "007"],
        "warnings": [],
    }
    added = patient("import", "-", stdin=b"Patient ID;Name\n0008;Doe^Bob\n")
    assert "added      1: 0008" in added.out
    assert "Warning: 1 of the IDs: 0008 does not begin" in added.out


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (None, 3, "is not there"),
        (b"patient_id,name\n\xff,X\n", 2, "byte 16 is not UTF-8"),
        (b"patient_id,name,sex\nSYN1,X,\nSYN2,X,Q\n", 2, "line 3, sex: 'Q'"),
    ],
)
def test_a_file_that_cannot_be_used_changes_nothing(patient, tmp_path, content, code, said):
    file = tmp_path / "p.csv"
    if content is not None:
        file.write_bytes(content)
    result = patient("import", str(file))
    assert result.code == code
    assert said in result.err
    assert printed(patient("list", "--json"))["total"] == 0
