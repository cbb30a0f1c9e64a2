"""``dicomfab compare``: what differs is named, the exit code says so, and ``--fix`` makes the servers equal."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from dicomfab.archive.archive import Archive
from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.scp.server import Server
from dicomfab.model.values import Environment
from dicomfab.testpacs.pacs import PacsHandlers
from tests.peers.programs import free_port

Run = Callable[..., SimpleNamespace]


@pytest.fixture
def two(dicomfab: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Archive]]:
    """Two servers, of which *one* has a study more; no worker is started."""
    monkeypatch.setenv("DICOMFAB_WORKER_IDLE_S", "0")
    archives: dict[str, Archive] = {}
    known: dict[str, tuple[str, int]] = {}
    with contextlib.ExitStack() as stack:
        for name in ("ONE", "TWO"):
            archives[name] = Archive(tmp_path / name)
            stack.callback(archives[name].close)
            handlers = PacsHandlers(archives[name], name, Environment.TEST, {})
            handlers._destinations = known
            port = stack.enter_context(Server(ServerConfig(name), handlers)).port
            known[name] = "127.0.0.1", port
            add(dicomfab, name, port)
        for seed, servers in (("1", ("one", "two")), ("2", ("one",))):
            made = dicomfab("study", "create", "--kind", "text-card:2", "--seed", seed, "--accession", f"A{seed}")
            assert made.code == 0, made.err
            for server in servers:
                assert dicomfab("study", "send", "latest", "--to", server).code == 0
        yield archives


def add(dicomfab: Run, name: str, port: int, environment: str = "test") -> None:
    words = ("--name", name, "--host", "127.0.0.1", "--port", str(port), "--aec", name, "--environment", environment)
    assert dicomfab("pacs", "add", *words).code == 0


def test_what_differs_is_printed_and_fixed(dicomfab: Run, two: dict[str, Archive]) -> None:
    differing = dicomfab("compare", "one", "two")
    assert differing.code == 6
    assert "only at ONE: 1 study" in differing.out
    assert "NOT EQUAL   1 study of 1 on both are the same" in differing.out
    plain = dicomfab("compare", "one", "two", "--json")
    assert plain.code == 6
    told = json.loads(plain.out)
    ((difference),) = told["differences"]
    assert (difference["kind"], difference["instances"], told["verdict"]) == ("only_a", {"a": 2}, "mismatch")
    assert difference["study_instance_uid"] in differing.out
    job = str(told["id"])
    assert f"dicomfab compare --fix {job} --to two" in dicomfab("jobs", "show", job).out
    assert difference["study_instance_uid"] in dicomfab("jobs", "outcomes", job).out

    refused = dicomfab("compare", "--fix", job, "--to", "two")
    assert (refused.code, "C-MOVE failed" in refused.err) == (2, True)
    assert dicomfab("pacs", "route", "one", "two", "--ae", "TWO").code == 0
    fixed = dicomfab("compare", "--fix", job, "--to", "two", "--verify-wait", "0")
    assert (fixed.code, "VERIFIED" in fixed.out) == (0, True), fixed.out
    equal = dicomfab("compare", "one", "two")
    assert (equal.code, "  EQUAL   2 studies of 2 on both are the same" in equal.out) == (0, True), equal.out
    assert dicomfab("jobs", "watch", job).code == 6


def test_options_narrow_it(dicomfab: Run, two: dict[str, Archive]) -> None:
    assert dicomfab("compare", "one", "two", "--accession", "A1").code == 0
    assert dicomfab("compare", "one", "two", "--accession", "A2", "--modality", "OT", "--date", "today").code == 6
    assert dicomfab("compare", "one", "two", "--date", "2001-01-01").code == 0
    told = dicomfab("compare", "one", "two", "--accession", "A1", "--instances", "--detach", "--json")
    assert json.loads(told.out)["kind"] == "compare"


def test_a_server_that_is_away_is_no_empty_one(dicomfab: Run, two: dict[str, Archive]) -> None:
    add(dicomfab, "AWAY", free_port())
    away = dicomfab("compare", "one", "away")
    assert (away.code, "Connection failed" in away.err, "only at" in away.out) == (4, True, False)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("one",),
        ("one", "one"),
        ("one", "prod"),
        ("--fix", "1"),
        ("--to", "one"),
        ("one", "two", "--fix", "1", "--to", "two"),
        ("one", "two", "--date", "someday"),
    ],
)
def test_what_cannot_be_compared_is_refused(dicomfab: Run, words: tuple[str, ...]) -> None:
    for name, environment in (("ONE", "test"), ("TWO", "test"), ("PROD", "prod")):
        add(dicomfab, name, free_port(), environment)
    done = dicomfab("compare", *words)
    assert (done.code, "Invalid input" in done.err) == (2, True)
    assert json.loads(dicomfab("jobs", "list", "--json").out)["total"] == 0
