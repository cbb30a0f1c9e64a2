"""``dicomfab monitor``, with real servers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from dicomfab.app.build import Application, build
from dicomfab.app.settings import Settings, load_settings
from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.scp.server import Server
from dicomfab.model.errors import InvalidInput
from dicomfab.model.job import WorkerInfo
from dicomfab.testpacs.ports import free_ports
from tests.unit.dimse.memory_pacs import MemoryPacs
from tests.unit.dimse.raw import eventually

Run = Callable[..., SimpleNamespace]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DICOMFAB_WORKER_IDLE_S", "0")
    return tmp_path / "home"


@pytest.fixture
def server(dicomfab: Run, home: Path) -> Iterator[Server]:
    """Registered as Alpha; Beta is a production server where nothing listens."""
    with Server(ServerConfig("ALPHA"), MemoryPacs()) as running:
        for name, port, environment in (("Alpha", running.port, "test"), ("Beta", *free_ports(1, "127.0.0.1"), "prod")):
            words = ("--name", name, "--host", "127.0.0.1", "--port", str(port), "--aec", name.upper())
            assert dicomfab("pacs", "add", *words, "--environment", environment).code == 0
        yield running


def test_from_nothing_to_a_history(dicomfab: Run, server: Server) -> None:
    first = dicomfab("monitor", "status", "--json")
    assert first.code == 0
    assert [(one["server"], one["is_monitored"], one["state"]) for one in json.loads(first.out)] == [
        ("alpha", True, "unknown"),
        ("beta", False, "unknown"),
    ]
    assert "Some servers are not being checked" in dicomfab("monitor", "status").out
    assert "No monitored server" not in dicomfab("monitor", "events").out
    once = dicomfab("monitor", "run", "--once", "--json")
    assert once.code == 0
    (checked,) = json.loads(once.out)
    assert (checked["server"], checked["ok"], checked["error"]) == ("alpha", True, None)
    assert dicomfab("monitor", "run", "--once").out == "No server is due.\n"
    (alpha, _) = json.loads(dicomfab("monitor", "status", "--json").out)
    assert (alpha["state"], alpha["checks"], alpha["failures"]) == ("up", 1, 0)
    told = dicomfab("monitor", "history", "Alpha", "--json")
    days = json.loads(told.out)["days"]
    assert len(days) == 30
    assert (days[-1]["day"], days[-1]["checks"]) == (datetime.now(UTC).date().isoformat(), 1)
    assert "alpha" in dicomfab("monitor", "status").out
    assert "has not been checked" in dicomfab("monitor", "history", "beta").out
    assert datetime.now(UTC).date().isoformat() in dicomfab("monitor", "history", "alpha").out


def test_a_server_that_is_down_is_an_exit_code(dicomfab: Run, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DICOMFAB_MONITOR_DOWN_AFTER", "1")
    said = dicomfab("monitor", "set", "beta", "--on", "--every", "2m")
    assert (said.code, said.out) == (
        0,
        "Beta (prod) is checked every 120 s: one association with one C-ECHO, which reads and changes nothing there\n",
    )
    once = dicomfab("monitor", "run", "--once")
    assert once.code == 4
    assert "beta: Connection failed" in once.out
    assert dicomfab("monitor", "status").code == 4
    assert dicomfab("monitor", "status", "--json").code == 4
    (event,) = json.loads(dicomfab("monitor", "events", "--json").out)
    assert (event["server"], event["state"], event["error"]) == ("beta", "down", "Connection failed")
    assert "Connection failed" in dicomfab("monitor", "events", "Beta").out
    assert dicomfab("monitor", "events", "alpha", "--json").out.strip() == "[]"
    assert dicomfab("monitor", "set", "beta", "--off").out == "Beta is not checked\n"
    assert dicomfab("monitor", "status").code == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("beta", "--on", "--every", "30s"), 2, "is not an interval for Beta"),
        (("beta", "--every", "soon"), 2, "is not a time"),
        (("beta", "--on", "--off"), 2, "one of --on, --off and --usual"),
        (("beta",), 2, "one of --on, --off and --usual"),
        (("nobody", "--on"), 3, "nobody"),
    ],
)
def test_what_cannot_be_set_changes_nothing(
    dicomfab: Run, server: Server, words: tuple[str, ...], code: int, said: str
) -> None:
    answer = dicomfab("monitor", "set", *words)
    assert answer.code == code
    assert said in answer.err
    assert json.loads(dicomfab("monitor", "status", "--json").out)[1]["switch"] == "usual"
    assert json.loads(dicomfab("monitor", "set", *words, "--json").out)["error"]["what"]


def test_metrics_are_printed_as_they_are_scraped(dicomfab: Run, server: Server) -> None:
    dicomfab("monitor", "run", "--once")
    assert 'dicomfab_pacs_up{environment="test",server="alpha"} 1.0' in dicomfab("monitor", "metrics").out
    plain = json.loads(dicomfab("monitor", "metrics", "--json").out)
    assert {"name": "dicomfab_workers", "labels": {}, "value": 0.0} in plain


def test_in_the_foreground_it_goes_on_until_it_is_told_to_stop(dicomfab: Run, server: Server, home: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "dicomfab", "monitor", "run"],
        env={**os.environ, "DICOMFAB_HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline().startswith("Monitoring until Ctrl-C")
            assert eventually(lambda: checks(home) == 1, 20)
        finally:
            running.send_signal(signal.SIGTERM)
            running.communicate(timeout=20)
    assert running.returncode == 0


def test_beside_the_pages_it_ends_with_them(dicomfab: Run, server: Server, home: Path) -> None:
    command = [sys.executable, "-m", "dicomfab", "monitor", "run", "--until-input-ends"]
    environment = {**os.environ, "DICOMFAB_HOME": str(home)}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert eventually(lambda: checks(home) == 1, 20)
        said, _ = running.communicate(timeout=20)
    assert (running.returncode, said) == (0, b"")
    assert (home / "logs" / "monitor.log").exists()


def test_a_worker_monitors_beside_its_jobs_and_stays_for_what_is_switched_on(
    dicomfab: Run, server: Server, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DICOMFAB_WORKER_IDLE_S", "0.5")
    assert dicomfab("monitor", "set", "alpha", "--on").code == 0
    application = build(Settings(home))
    try:
        assert eventually(lambda: checks(home) == 1, 20)
        (alive,) = application.jobs.workers()
        assert stays(application, alive)
        assert dicomfab("monitor", "set", "alpha", "--usual").code == 0
        assert eventually(lambda: not application.jobs.workers(), 20)
    finally:
        application.close()


def stays(application: Application, worker: WorkerInfo) -> bool:
    """Whether it is seen again long after it would have ended for idleness."""
    seen_at = worker.seen_at.timestamp()
    return eventually(lambda: any(one.seen_at.timestamp() > seen_at + 2 for one in application.jobs.workers()), 20)


def checks(home: Path) -> int:
    application = build(Settings(home))
    try:
        return sum(row.checks for row in application.monitoring.repository.states().values())
    finally:
        application.close()


@pytest.mark.parametrize(
    "address",
    [
        "ftp://example.com/",
        "example.com",
        "https://",
        "https://ada:s3cret@example.com/",
        "http://h:99999/s3cret",
        "http://a b/",
    ],
)
def test_an_address_that_cannot_be_told_is_refused_without_being_shown(address: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_settings({"DICOMFAB_HOME": "x", "DICOMFAB_MONITOR_WEBHOOK": address})
    assert caught.value.field == "DICOMFAB_MONITOR_WEBHOOK"
    assert "s3cret" not in f"{caught.value} {caught.value.as_dict()}"


def test_settings_of_monitoring() -> None:
    given = {"WEBHOOK": " https://example.com:8443/a?b=c ", "KEEP_DAYS": "30", "DOWN_AFTER": "3"}
    found = load_settings({"DICOMFAB_HOME": "x", **{f"DICOMFAB_MONITOR_{k}": v for k, v in given.items()}})
    assert (found.monitor_webhook, found.monitor_keep_days, found.monitor_down_after) == (
        "https://example.com:8443/a?b=c",
        30,
        3,
    )
    assert "example.com" not in repr(found)
    for name in ("KEEP_DAYS", "DOWN_AFTER"):
        for wrong in ("0", "-1", "2.5", "401", "many"):
            with pytest.raises(InvalidInput):
                load_settings({"DICOMFAB_HOME": "x", f"DICOMFAB_MONITOR_{name}": wrong})
