"""``dicomfab query`` against servers of this machine."""

from __future__ import annotations

import contextlib
import csv
import json
import signal
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset

from dicomfab.app.build import build
from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.scp.server import Server
from tests.unit.dimse import raw
from tests.unit.dimse.memory_pacs import MemoryPacs
from tests.unit.services.test_query_answers import answers_with


class Studies(MemoryPacs):
    def __init__(self, *uids: str, instances: str = "3") -> None:
        super().__init__()
        for uid in uids:
            match = Dataset()
            match.QueryRetrieveLevel = "STUDY"
            match.StudyInstanceUID, match.PatientName, match.PatientSex = uid, "Doe^Jane", "F"
            match.NumberOfStudyRelatedInstances = instances
            self.matches.append(match)


@pytest.fixture
def lab(dicomfab) -> Iterator[dict[str, MemoryPacs]]:
    """Two servers that answer and one that is down."""
    pacs = {"ONE": Studies("1.1", "1.2"), "TWO": Studies("1.2", "1.3", instances="4")}
    with contextlib.ExitStack() as stack:
        for name, handlers in pacs.items():
            port = stack.enter_context(Server(ServerConfig(name), handlers)).port
            add(dicomfab, name, port)
        yield pacs


def add(dicomfab, name: str, port: int, environment: str = "test") -> None:
    words = ("--name", name, "--host", "127.0.0.1", "--port", str(port), "--aec", name, "--environment", environment)
    assert dicomfab("pacs", "add", *words).code == 0


def test_every_server_is_printed_and_the_exit_code_is_0(dicomfab, lab) -> None:
    done = dicomfab("query", "--patient-name", "Doe")
    assert done.code == 0
    assert "4 studies on 2 servers" in done.out
    assert done.out.count("Doe^Jane") == 4
    assert done.out.count("unknown") >= 4  # series and modalities, which nobody returned


def test_a_server_that_is_down_makes_the_exit_code_4(dicomfab, lab) -> None:
    add(dicomfab, "DOWN", 1)
    done = dicomfab("query", "--json")
    assert done.code == 4
    servers = {server["name"]: server for server in json.loads(done.out)["servers"]}
    assert {name: server["state"] for name, server in servers.items()} == {"ONE": "ok", "TWO": "ok", "DOWN": "failed"}
    assert servers["DOWN"]["error"]["heading"] == "Connection failed"
    assert [match["instances"] for match in servers["TWO"]["matches"]] == [4, 4]
    assert servers["ONE"]["matches"][0]["series"] is None


def test_a_warning_makes_the_exit_code_9(dicomfab) -> None:
    with raw.peer(answers_with(0xB000)) as peer:
        add(dicomfab, "WARNS", peer.port)
        done = dicomfab("query")
    assert done.code == 9
    assert "B000" in done.out


def test_the_limit_is_said(dicomfab, lab) -> None:
    done = dicomfab("query", "--limit", "1", "--pacs", "one")
    assert done.code == 0
    assert "the first 1 of more" in done.out


def test_merged_names_the_servers_of_a_study_and_what_differs(dicomfab, lab) -> None:
    done = dicomfab("query", "--merged", "--json")
    rows = {row["values"]["StudyInstanceUID"]: row for row in json.loads(done.out)["merged"]}
    assert {uid: [s["server"] for s in row["servers"]] for uid, row in rows.items()} == {
        "1.1": ["one"], "1.2": ["one", "two"], "1.3": ["two"],
    }  # fmt: skip
    assert rows["1.2"]["differs"] == ["instances"]
    assert "DIFFERS" in dicomfab("query", "--merged").out


@pytest.mark.parametrize("merged", [(), ("--merged",)])
def test_results_are_exported(dicomfab, lab, tmp_path: Path, merged: tuple[str, ...]) -> None:
    for kind in ("csv", "json", "xlsx"):
        assert dicomfab("query", *merged, "--export", str(tmp_path / f"found.{kind}")).code == 0
    rows = list(csv.DictReader((tmp_path / "found.csv").read_text("utf-8").splitlines()))
    assert len(rows) == len(json.loads((tmp_path / "found.json").read_text())["matches"]) == (3 if merged else 4)
    assert zipfile.is_zipfile(tmp_path / "found.xlsx")
    assert sorted(path.suffix for path in tmp_path.glob("found*")) == [".csv", ".json", ".xlsx"]
    assert not list((tmp_path / "home" / "queries" / "results").iterdir())


def test_a_file_that_cannot_be_written_asks_nobody_or_says_so(dicomfab, lab, tmp_path: Path) -> None:
    refused = dicomfab("query", "--export", str(tmp_path / "found.doc"))
    assert refused.code == 2
    assert lab["ONE"].identifiers == []
    failed = dicomfab("query", "--export", str(tmp_path / "nowhere" / "found.csv"))
    assert failed.code == 1
    assert "cannot be written" in failed.err


def test_levels_and_keys_reach_the_server(dicomfab, lab) -> None:
    words = ("--level", "series", "--study", "1.2", "--modality", "ct", "--key", "BodyPartExamined=HEAD")
    assert dicomfab("query", *words, "--pacs", "one").code == 0
    [identifier] = lab["ONE"].identifiers
    assert (identifier.QueryRetrieveLevel, identifier.StudyInstanceUID) == ("SERIES", "1.2")
    assert (identifier.Modality, identifier.BodyPartExamined) == ("CT", "HEAD")
    assert "F" in dicomfab("query", "--key", "0010,0040", "--pacs", "one").out.split("study UID")[1]
    assert dicomfab("query", "--level", "series").code == 2
    assert dicomfab("query", "--key", "NoSuchKey=1").code == 2


def test_production_without_a_narrowing_key_is_refused(dicomfab, lab) -> None:
    add(dicomfab, "LIVE", 1, "prod")
    refused = dicomfab("query", "--modality", "CT")
    assert refused.code == 2
    assert "too wide for LIVE (prod)" in refused.err
    assert lab["ONE"].identifiers == []
    assert dicomfab("query", "--date", "today").code == 4


def test_a_search_is_saved_asked_again_and_forgotten(dicomfab, lab) -> None:
    assert dicomfab("query", "--pacs", "two", "--patient-name", "Doe", "--limit", "1", "--save", "doe").code == 0
    lab["TWO"].identifiers.clear()
    again = dicomfab("query", "--saved", "doe", "--modality", "CT")
    assert again.code == 0
    assert "the first 1 of more" in again.out
    [identifier] = lab["TWO"].identifiers
    assert (str(identifier.PatientName), identifier.ModalitiesInStudy) == ("Doe*", "CT")
    assert dicomfab("query", "--forget", "doe").code == 0
    assert dicomfab("query", "--saved", "doe").code == 3


def test_a_search_is_left_to_a_worker_and_looked_at_later(dicomfab, lab, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DICOMFAB_WORKER_IDLE_S", "0")
    add(dicomfab, "DOWN", 1)
    job = json.loads(dicomfab("query", "--patient-name", "Doe", "--detach", "--json").out)
    assert (job["kind"], job["state"], job["items"]) == ("query", "queued", 3)
    assert dicomfab("query", "--search", job["search"]).code == 3
    built = build()
    assert built.worker.run_one(job["id"])
    built.close()
    said = dicomfab("jobs", "show", str(job["id"]), "--items")
    assert f"dicomfab query --search {job['search']}" in said.out
    assert "2 found" in said.out
    lab["ONE"].identifiers.clear()
    kept = dicomfab("query", "--search", job["search"], "--export", str(tmp_path / "found.csv"))
    assert kept.code == 4
    assert "4 studies on 3 servers, 1 server FAILED" in kept.out
    assert len((tmp_path / "found.csv").read_text("utf-8").splitlines()) == 5
    assert lab["ONE"].identifiers == []
    assert dicomfab("query", "--search", job["search"], "--patient-id", "X").code == 2


def test_a_saved_search_is_scheduled(dicomfab, lab, monkeypatch) -> None:
    monkeypatch.setenv("DICOMFAB_WORKER_IDLE_S", "0")
    assert dicomfab("query", "--pacs", "two", "--patient-name", "Doe", "--save", "doe").code == 0
    made = json.loads(dicomfab("schedule", "add", "query", "doe", "--cron", "0 2 * * *", "--json").out)
    assert (made["parameters"]["servers"], made["parameters"]["limit"]) == (["two"], 500)
    job = json.loads(dicomfab("schedule", "run", str(made["id"]), "--json").out)
    built = build()
    assert built.worker.run_one(job["id"])
    built.close()
    assert json.loads(dicomfab("jobs", "show", str(job["id"]), "--json").out)["servers"][0]["found"] == 2
    assert dicomfab("schedule", "add", "query", "nothing", "--cron", "0 2 * * *").code == 3


def test_a_list_is_looked_up_and_its_exit_code_says_whether_a_server_failed(dicomfab, lab, tmp_path: Path) -> None:
    lab["TWO"].matches.clear()
    rows = tmp_path / "rows.csv"
    rows.write_text("accession,study uid\n007,1.1\n", "utf-8")
    said = dicomfab("query", "--list", str(rows), "--export", str(tmp_path / "found.csv"))
    assert said.code == 0
    assert "1 of 1 row found on a server" in said.out
    [row] = csv.DictReader((tmp_path / "found.csv").read_text("utf-8").splitlines())
    assert (row["AccessionNumber"], row["ONE"], row["TWO"]) == ("007", "several", "none")
    assert lab["ONE"].identifiers[0].AccessionNumber == "007"
    add(dicomfab, "DOWN", 1)
    plain = dicomfab("query", "--list", str(rows), "--json")
    assert plain.code == 4
    [row] = json.loads(plain.out)["rows"]
    assert {server: said["outcome"] for server, said in row["servers"].items()} == {
        "one": "several", "two": "none", "down": "failed",
    }  # fmt: skip
    assert dicomfab("query", "--list", str(rows), "--patient-id", "X").code == 2
    assert dicomfab("query", "--list", str(rows), "--detach").code == 2
    rows.write_text("accession\nA*\n", "utf-8")
    assert dicomfab("query", "--list", str(rows)).code == 2


def test_the_messages_are_printed_and_trace_shows_them_too(dicomfab, lab) -> None:
    add(dicomfab, "DOWN", 1)
    done = dicomfab("query", "--patient-name", "Doe", "--messages", "--trace")
    assert "C-FIND messages with ONE" in done.out
    assert "PatientName                      Doe*" in done.out
    assert "TCP connection failed" in done.out
    assert "C-FIND-RQ" in done.err
    assert "Doe" not in done.err
    plain = json.loads(dicomfab("query", "--pacs", "ONE", "--json", "--messages").out)
    assert plain["servers"][0]["messages"]["pending"] == 2
    assert "messages" not in json.loads(dicomfab("query", "--pacs", "ONE", "--json").out)["servers"][0]


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_whoever_ends_it_while_a_server_hangs_is_told_so_and_the_query_is_recorded(dicomfab, ending) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        add(dicomfab, "HUNG", silent.getsockname()[1])
        command = [sys.executable, "-m", "dicomfab", "query", "--patient-id", "P1", "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            silent.settimeout(60.0)
            connection, _ = silent.accept()
            with connection:
                process.send_signal(ending)
                out, err = process.communicate(timeout=60.0)
    assert process.returncode == 130, err
    assert [answer["state"] for answer in json.loads(out)["servers"]] == ["stopped"]
    entries = json.loads(dicomfab("audit", "list", "--kind", "query", "--json").out)["entries"]
    assert [(entry["outcome"], entry["reason"]) for entry in entries] == [("serious", "Stopped")]
