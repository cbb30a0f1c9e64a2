"""What works from afar, and that no option of it names a file of the server."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from dicomfab.app.acting import as_environment, for_nobody, from_environment
from dicomfab.cli.main import COMMANDS
from dicomfab.cli.remote import FROM_AFAR, Files, split
from dicomfab.model.actor import Actor, Role
from dicomfab.model.errors import InvalidInput

#: Says "file" or the like in its help, and names none. What is new here has been looked at.
NO_FILES = {
    ("study create", "workers"),
    ("study create", "order_is_test"),
    ("pacs import", "into"),
    ("pacs add", "tls"),
    ("pacs edit", "tls"),
}
HINT = re.compile(r"\b(files?|folders?|paths?|director(y|ies)|standard input|standard output|PEM|\.csv|\.json)\b", re.I)


def leaves(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", None)
    if below:
        for name, one in below.items():
            yield from leaves(one, f"{path} {name}")
    else:
        yield path, command


def every_command() -> dict[str, Any]:
    found = {}
    for name, (module, _) in COMMANDS.items():
        found |= dict(leaves(typer.main.get_command(importlib.import_module(module).app), name))
    return found


def names_a_file(parameter: Any) -> bool:
    said = f"{getattr(parameter, 'help', '') or ''} {parameter.metavar or ''} {parameter.name}"
    kind = type(getattr(parameter, "type", None)).__name__.lower()
    return "path" in kind or "file" in kind or bool(HINT.search(said.replace("_", " ")))


def test_every_entry_is_a_command_and_its_options_exist() -> None:
    commands = every_command()
    assert len(commands) > 90
    assert set(FROM_AFAR) <= set(commands)
    for path, options in FROM_AFAR.items():
        assert set(options) <= {one.name for one in commands[path].params}, path


def test_every_option_that_names_a_file_is_listed() -> None:
    unlisted = [
        (path, parameter.name)
        for path, command in every_command().items()
        if path in FROM_AFAR
        for parameter in command.params
        if names_a_file(parameter) and parameter.name not in FROM_AFAR[path]
    ]
    assert set(unlisted) - NO_FILES == set()


@pytest.mark.parametrize(
    "path",
    ["users list", "users add", "token create", "audit export", "audit purge", "serve", "worker", "lab start",
     "study import", "study export", "send", "receive", "validate", "monitor run", "sweep", "recipe save"],
)  # fmt: skip
def test_what_does_not_work_from_afar(dicomfab, monkeypatch, path: str) -> None:
    assert path in every_command()
    assert path not in FROM_AFAR


def test_a_command_from_afar_names_no_file(dicomfab, monkeypatch, tmp_path) -> None:
    secret = tmp_path / "secret.yaml"
    secret.write_text("not yours")
    acting = as_environment(Actor("ben", frozenset({Role.ADMIN}), "web", 1, "01234567"))
    monkeypatch.setenv(*next(iter(acting.items())))
    for words in (
        ("recipe", "show", str(secret)),
        ("study", "create", "--recipe", str(secret)),
        ("study", "create", "--kind", "text-card", "--out", str(tmp_path / "new")),
        ("query", "--list", str(secret)),
        ("pacs", "import", str(secret)),
        ("jobs", "outcomes", "1", "--out", str(tmp_path / "new.csv")),
    ):
        done = dicomfab(*words)
        assert done.code == 2, words
        assert "server's machine" in done.err
        assert "not yours" not in done.out + done.err
    for words in (("users", "list"), ("serve",)):
        assert dicomfab(*words).code == 5
    for words in (("--server", "http://localhost:1", "pacs", "list"), ("--install-completion",)):
        assert dicomfab(*words).code == 2
    assert sorted(one.name for one in tmp_path.iterdir() if one.name != "home") == ["secret.yaml"]


@pytest.mark.parametrize("words", [("pacs", "list", "--server", "URL"), ("query", "--server=URL")])
def test_the_server_comes_first(dicomfab, words: tuple[str, ...]) -> None:
    done = dicomfab(*words)
    assert done.code == 2
    assert "not the first word" in done.err


@pytest.mark.parametrize(
    "address",
    ["http://192.0.2.7:5001", "ftp://localhost", "fab.example", "https://u:p@fab.example", "https://a/?b", ""],
)
def test_addresses_that_would_give_the_token_away(dicomfab, monkeypatch, address: str) -> None:
    monkeypatch.setenv("DICOMFAB_TOKEN", "dfl_01234567_x")
    done = dicomfab(f"--server={address}", "pacs", "list")
    assert done.code == 2
    assert "dfl_" not in done.out + done.err


def test_a_server_that_is_not_there(dicomfab, monkeypatch) -> None:
    monkeypatch.setenv("DICOMFAB_TOKEN", "dfl_01234567_x")
    done = dicomfab("--server", "http://localhost:9", "pacs", "list", "--json")
    assert done.code == 4
    assert "cannot be reached" in json.loads(done.out)["error"]["what"]
    monkeypatch.delenv("DICOMFAB_TOKEN")
    assert dicomfab("--server", "http://localhost:9", "pacs", "list").code == 2


def test_help_needs_no_server(dicomfab) -> None:
    assert dicomfab("--server", "http://localhost:9", "pacs", "list", "--help").code == 0


def test_the_words_are_split() -> None:
    assert split(["--server", "U", "pacs"], {}) == ("U", ["pacs"])
    assert split(["--server=U", "pacs"], {"DICOMFAB_SERVER": "V"}) == ("U", ["pacs"])
    assert split(["pacs"], {"DICOMFAB_SERVER": " V "}) == ("V", ["pacs"])
    with pytest.raises(InvalidInput):
        split(["--server"], {})


def test_a_worker_acts_for_nobody() -> None:
    actor = Actor("ben", frozenset({Role.TEST_READ}), "web", 7, "01234567")
    environ = {
        "PATH": "x",
        "DICOMFAB_TOKEN": "t",
        "DICOMFAB_TOKEN_FILE": "f",
        "DICOMFAB_SERVER": "s",
        **as_environment(actor),
    }
    assert for_nobody(environ) == {"PATH": "x"}
    back = from_environment(environ)
    assert back is not None
    assert (back.name, back.roles, back.door, back.account_id, back.token_id) == (
        "ben",
        actor.roles,
        "remote",
        7,
        "01234567",
    )
    assert Files.STREAM in FROM_AFAR["pacs import"].values()
