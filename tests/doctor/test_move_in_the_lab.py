"""``dicomfab doctor move`` between servers of a lab that runs as the user's does: and nothing stays there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from dicomfab.cli.main import run
from dicomfab.testpacs.lab import Lab
from dicomfab.testpacs.spec import WEB_PASSWORD, WEB_USER
from tests.unit.testpacs.labs import running_lab


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home")
    with running_lab(folder / "lab"):
        yield folder


@pytest.fixture
def call(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("DICOMFAB_HOME", str(home))

    def command(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as left:
            run(list(words))
        return int(left.value.code or 0), capsys.readouterr().out

    command("lab", "configure")
    return command


def held(home: Path) -> list[int]:
    return [status.holdings.instances for status in Lab(home / "lab").status() if status.holdings is not None]


ENDS = ("doctor", "move", "--from", "Test PACS 1", "--to", "Prod PACS 2")


def test_healthy_and_nothing_stays(home: Path, call) -> None:
    before = held(home)
    code, out = call(*ENDS, "--yes-production", "--json")
    found = json.loads(out)
    assert (code, found["verdict"], found["causes"]) == (0, "nothing wrong", [])
    assert found["checks"][-1]["seen"] == "removed from Test PACS 1 and Prod PACS 2"
    assert held(home) == before


def test_production_is_asked_for_no_more_than_allowed(home: Path, call) -> None:
    before = held(home)
    code, out = call(*ENDS)
    assert code == 7
    assert "dicomfab doctor move --from test-pacs-1 --to prod-pacs-2 --yes-production" in " ".join(out.split())
    assert held(home) == before


def test_the_page_deletes_no_other_study(home: Path, call) -> None:
    config = Lab(home / "lab").config
    assert call("study", "create", "--kind", "text-card", "--count", "1", "--json")[0] == 0
    assert call("study", "send", "latest", "--to", "test-pacs-2")[0] == 0
    study = json.loads(call("query", "--pacs", "test-pacs-2", "--json")[1])
    uid = study["servers"][0]["matches"][0]["study_instance_uid"]
    root = f"http://127.0.0.1:{config.server('test-pacs-2').web_port}"
    with httpx.Client(base_url=root, auth=(WEB_USER, WEB_PASSWORD), trust_env=False) as client:
        assert client.delete(f"/studies/{uid}").status_code == 403
        assert client.delete("/studies/1.2.3").status_code == 404
        assert client.get(f"/studies/{uid}").status_code == 200
        client.auth = None
        assert client.delete(f"/studies/{uid}").status_code == 401
