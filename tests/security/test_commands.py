"""Commands from afar over a real socket: what they print, what they may not do, and that none is left behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from dicomfab.app.build import Application
from dicomfab.fabricate.recipe import StudyRecipe
from dicomfab.model.account import Account
from dicomfab.model.actor import Role
from dicomfab.model.job import JobEvent
from dicomfab.web import commands, door
from tests.security.served import Clock, environment, person, program, signed_in, token
from tests.unit.dimse.raw import eventually
from tests.unit.web.people import OWNER

PATH = "/api/v1/commands"
WAIT_S = 60.0


@pytest.fixture
def ben(application: Application) -> Account:
    """An administrator: what is refused is refused for being from afar, not for the role."""
    return person(application, "ben", Role.ADMIN)


@pytest.fixture
def job(application: Application) -> int:
    """A job that waits, for there is no worker."""
    recipe = application.studies.resolve_recipe(OWNER, StudyRecipe(("text-card",), seed=1))
    return application.jobs.fabricate(OWNER, [recipe]).id


@pytest.fixture
def shown(application: Application, ben: Account) -> str:
    return token(application, ben)


@pytest.fixture
def api(url: str, shown: str) -> Iterator[httpx.Client]:
    yield program(url, shown)
    assert eventually(lambda: running() == [], WAIT_S)


def running() -> list[psutil.Process]:
    """The commands from afar that this process, as the server, has started."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if "jobs" in child.cmdline() and "watch" in child.cmdline() and "--server" not in child.cmdline():
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


@contextmanager
def begun(api: httpx.Client, *words: str) -> Iterator[Iterator[dict[str, Any]]]:
    """A command that runs; yields what it says."""
    with api.stream("POST", PATH, json={"arguments": list(words)}, timeout=WAIT_S) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/x-ndjson"
        yield (json.loads(line) for line in answer.iter_lines())


def run(api: httpx.Client, *words: str, **more: Any) -> tuple[int, str, str]:
    """A command to its end: exit code, output, errors."""
    answer = api.post(PATH, json={"arguments": list(words), **more}, timeout=WAIT_S)
    assert answer.status_code == 200, answer.text
    said = [json.loads(line) for line in answer.text.splitlines()]
    return said[-1]["exit"], "".join(one.get("out", "") for one in said), "".join(one.get("err", "") for one in said)


def test_what_is_printed_comes_while_the_command_runs(api: httpx.Client, application: Application, job: int) -> None:
    with begun(api, "jobs", "watch", str(job)) as said:
        assert next(one["out"] for one in said if one.get("out"))
        assert len(running()) == 1
        application.jobs.ask(OWNER, job, JobEvent.CANCEL)
        rest = list(said)
    assert "exit" in rest[-1]
    assert [one for one in rest[:-1] if "exit" in one] == []


def test_the_exit_code_is_that_of_the_command(api: httpx.Client) -> None:
    assert run(api, "recipe", "kinds")[0] == 0
    code, out, err = run(api, "pacs", "show", "nowhere")
    assert (code, out) == (3, "")
    assert "nowhere" in err
    assert run(api, "no-such-command")[0] == 2


def test_standard_input_is_given_and_what_is_no_command_is_refused(api: httpx.Client) -> None:
    code, _out, _ = run(api, "pacs", "import", "-", "--json", standard_input="WzFd")  # [1]
    assert code == 2
    for wrong in ({}, {"arguments": []}, {"arguments": ["pacs"], "columns": 5}, {"arguments": ["x" * 10_001]}):
        assert api.post(PATH, json=wrong).status_code == 422
    answer = api.post(PATH, json={"arguments": ["pacs", "list"], "standard_input": "no base 64"})
    assert answer.status_code == 400
    assert "this is not base 64" in answer.text


def test_a_session_is_no_token_and_nobody_runs_nothing(url: str, ben: Account) -> None:
    refused = signed_in(url, "ben").post(PATH, json={"arguments": ["pacs", "list"]})
    assert refused.status_code == 403
    assert "API token" in refused.text
    wrong = program(url, "dfl_01234567_" + "x" * 43).post(PATH, json={"arguments": ["pacs", "list"]})
    assert wrong.status_code == 401


def test_ctrl_c_here_ends_the_command_there(url: str, shown: str, job: int, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dicomfab", "--server", url, "jobs", "watch", str(job)]
    settings = environment(tmp_path / "elsewhere", DICOMFAB_TOKEN=shown)
    with subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        assert client.stdout.readline()
        (there,) = running()
        client.send_signal(signal.SIGINT)
        client.communicate(timeout=WAIT_S)
    assert client.returncode == 130
    assert eventually(lambda: not there.is_running() and running() == [], WAIT_S)


def test_the_command_ends_when_its_caller_is_gone(api: httpx.Client, job: int) -> None:
    with begun(api, "jobs", "watch", str(job)) as said:
        assert next(said)
        (there,) = running()
    assert eventually(lambda: not there.is_running(), WAIT_S)


def test_so_many_run_at_once_and_no_more(
    application: Application, api: httpx.Client, url: str, ben: Account, job: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "_AT_ONCE_EACH", 2)
    monkeypatch.setattr(commands, "_AT_ONCE", 3)
    second, third = (program(url, token(application, ben)) for _ in range(2))
    words = {"arguments": ["recipe", "kinds"]}
    with ExitStack() as open_ones:
        # Held on to: a stream that nobody holds is closed.
        said = [open_ones.enter_context(begun(caller, "jobs", "watch", str(job))) for caller in (api, api, second)]
        assert all(next(one) for one in said)
        for caller in (api, third):  # one of its own too many, and one of all too many
            refused = caller.post(PATH, json=words)
            assert refused.status_code == 409
            assert "too many commands" in refused.text
        assert len(running()) == 3
    assert eventually(lambda: running() == [] and not commands._running, WAIT_S)
    assert run(api, "recipe", "kinds")[0] == 0


@pytest.mark.parametrize(
    "end", ["revoked", *(pytest.param(end, marks=pytest.mark.full) for end in ("expired", "disabled"))]
)
def test_a_command_ends_with_its_token(
    application: Application, url: str, clock: Clock, job: int, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setattr(door, "LOOKED_AGAIN_AFTER_S", 0.2)
    carla = person(application, "carla", Role.TEST_READ)
    shown = token(application, carla)
    with begun(program(url, shown), "jobs", "watch", str(job)) as said:
        assert next(said)
        if end == "expired":
            clock.move(days=90)
        elif end == "revoked":
            application.api_tokens.revoke(OWNER, shown[4:12])
        else:
            application.accounts.disable(OWNER, carla.id)
        assert [one for one in said if "exit" in one] == []
    assert eventually(lambda: running() == [] and not commands._running, WAIT_S)


@pytest.mark.full
def test_words_that_are_not_for_afar(api: httpx.Client) -> None:
    for words in (
        ["users", "list"],
        ["token", "create", "ben", "admin", "--label", "x"],
        ["serve"],
        ["lab", "start"],
        ["worker"],
        ["audit", "purge", "--older-than", "1", "--yes"],
    ):
        code, _, err = run(api, *words)
        assert code == 5, words
        assert "works only on the machine itself" in err
    for words in (["--server", "http://localhost:1", "pacs", "list"], ["--install-completion"]):
        assert run(api, *words)[0] == 2


def test_files_of_the_server_are_neither_read_nor_written(api: httpx.Client, tmp_path: Path) -> None:
    secret = tmp_path / "secret.yaml"
    secret.write_text("kinds: [not yours]")
    new = tmp_path / "new"
    for words in (
        ["recipe", "show", str(secret)],
        ["recipe", "show", "../secret"],
        ["study", "create", f"--recipe={secret}"],
        ["study", "create", "--kind", "text-card", "--out", str(new)],
        ["query", "--list", str(secret)],
        ["pacs", "import", str(secret)],
        ["jobs", "outcomes", "1", "--out", str(new)],
    ):
        code, out, err = run(api, *words)
        assert code == 2, words
        assert "not yours" not in out + err
        assert "server's machine" in err
    assert not new.exists()
