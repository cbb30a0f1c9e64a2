from __future__ import annotations

import io
import json
from types import SimpleNamespace

import pytest

from dicomfab.cli.main import run
from dicomfab.testpacs.ports import free_ports
from tests.unit.hl7.messages import OMI_JAPANESE, ORM


@pytest.fixture
def dicomfab(tmp_path, monkeypatch, capsys):
    """Run a command; gives its exit code, standard output and standard error."""
    monkeypatch.setenv("DICOMFAB_HOME", str(tmp_path / "home"))

    def call(*words: str, stdin: bytes = b"") -> SimpleNamespace:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as left:
            run(list(words))
        out, err = capsys.readouterr()
        return SimpleNamespace(code=left.value.code or 0, out=out, err=err)

    return call


def printed(result):
    assert (result.code, result.err) == (0, "")
    return json.loads(result.out)


def test_an_order_is_added_listed_shown_and_made(dicomfab):
    (order,) = printed(dicomfab("order", "add", "-", "--test", "--json", stdin=ORM.encode("latin-1")))["orders"]
    assert (order["environment"], order["state"]) == ("test", "open")
    assert {"keyword": "AccessionNumber", "value": "ACC1", "origin": "OBR-18.1", "note": ""} in order["fields"]
    assert printed(dicomfab("order", "list", "--search", "astrid", "--json"))["total"] == 1
    assert "OBR-18.1" in dicomfab("order", "show", "1").out
    assert dicomfab("order", "show", "1", "--message").out == ORM.replace("\r", "\n")
    made = printed(dicomfab("study", "create", "--order", "1", "--kind", "text-card", "--json"))
    assert (made["accession_number"], made["study_instance_uid"]) == ("ACC1", "1.2.826.0.1.3680043.8.498.77")
    assert printed(dicomfab("order", "show", "1", "--json"))["state"] == "made"


def test_a_file_of_unknown_origin_gives_only_its_kind(dicomfab, tmp_path):
    file = tmp_path / "order.hl7"
    file.write_bytes(OMI_JAPANESE.encode())
    made = printed(dicomfab("study", "create", "--order", str(file), "--style", "card", "--json"))
    assert made["accession_number"] != "ACC9"
    found = printed(dicomfab("order", "list", "--json"))
    assert [one["environment"] for one in found["orders"]] == ["prod", "prod"]


def test_what_is_no_message_is_refused(dicomfab, tmp_path):
    assert dicomfab("order", "add", "-", stdin=b"hello").code == 2
    assert dicomfab("order", "add", str(tmp_path / "absent")).code == dicomfab("order", "show", "9").code != 0
    (tmp_path / "o").write_bytes(ORM.encode())
    several = dicomfab("study", "create", "--order", str(tmp_path / "o"), "--count", "2")
    assert several.code == 2
    assert "an order asks for one study" in several.err


def test_procedures_are_listed_and_shown(dicomfab):
    assert dicomfab("hl7", "take", "-", "--test", stdin=ORM.encode("latin-1")).code == 0
    listed = printed(dicomfab("order", "procedures", "--json"))
    assert (listed["total"], listed["procedures"][0]["accession_number"]) == (1, "ACC1")
    assert "ACC1" in dicomfab("order", "procedures").out
    shown = printed(dicomfab("order", "procedure", "1", "--json"))
    assert [step["state"] for step in shown["steps"]] == ["SCHEDULED"]
    assert [event["kind"] for event in shown["events"]] == ["ordered"]
    assert {"keyword": "AccessionNumber", "value": "ACC1", "origin": "OBR-18.1", "note": ""} in shown["fields"]
    assert shown["study_instance_uid"] in dicomfab("order", "procedure", "1").out
    assert dicomfab("order", "procedure", "2").code == 3


def test_a_loop_is_checked_as_far_as_it_can_be(dicomfab):
    assert dicomfab("hl7", "take", "-", "--test", stdin=ORM.encode("latin-1")).code == 0
    (port,) = free_ports(1, "127.0.0.1")
    place = ("--host", "127.0.0.1", "--port", str(port), "--aec", "GONE", "--environment", "test")
    assert dicomfab("pacs", "add", "--name", "Gone", *place).code == 0
    told = dicomfab("orders", "check", "ACC1", "--pacs", "gone", "--json")
    [found] = json.loads(told.out)["procedures"]
    assert {step["name"]: step["state"] for step in found["loop"]} == {
        "ordered": "equal",
        "scheduled": "equal",
        "performed": "missing",
        "stored": "unknown",
        "committed": "unknown",
        "findable": "unknown",
        "retrievable": "unknown",
    }
    assert told.code == 6
    assert "could not be asked" in dicomfab("orders", "check", "ACC1", "--pacs", "gone").out
    assert dicomfab("orders", "check", "NOPE", "--pacs", "gone").code == 3
