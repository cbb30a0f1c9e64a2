"""The commands that need no running server; the others are run by tests/docs and tests/unit/testpacs."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from dicomfab.cli.main import run
from dicomfab.testpacs import spec


@pytest.fixture
def dicomfab(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DICOMFAB_HOME", str(tmp_path))

    def call(*words: str) -> SimpleNamespace:
        try:
            run(list(words))
            code = 0
        except SystemExit as left:
            code = left.code or 0
        out, err = capsys.readouterr()
        return SimpleNamespace(code=code, out=out, err=err)

    return call


def test_status_leaves_with_3_unless_all_run(dicomfab):
    result = dicomfab("lab", "status", "--json")
    assert result.code == 3
    document = json.loads(result.out)
    assert [(s["id"], s["state"], s["dicom_port"]) for s in document["servers"]] == [
        (s.id, "stopped", s.dicom_port) for s in spec.SERVERS
    ]
    assert dicomfab("lab", "status").code == 3


def test_stop_says_that_nothing_ran(dicomfab):
    assert "Test PACS 1: was not running" in dicomfab("lab", "stop").out
    assert json.loads(dicomfab("lab", "stop", "--json").out) == {"stopped": []}


def test_clean_asks_and_without_a_terminal_does_nothing(dicomfab, tmp_path):
    data = tmp_path / "lab" / "data" / "test-pacs-1"
    data.mkdir(parents=True)
    refused = dicomfab("lab", "clean")
    assert refused.code == 5
    assert "--yes" in refused.err
    assert data.exists()
    assert json.loads(dicomfab("lab", "clean", "--yes", "--json").out)["deleted"] == list(spec.IDS)
    assert not data.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--dicom-ports", "1,2,3"], "3 ports for 4 servers"),
        (["--web-ports", "1,2,3,x"], "--web-ports: 'x' is not a port"),
        (["--dicom-ports", "5,5,6,7"], "is also ports.test-pacs-1.dicom"),
        (["--bind", "everywhere"], "not an IPv4 address"),
        (["--free-ports", "--web-ports", "1,2,3,4"], "--free-ports was given together with ports"),
    ],
)
def test_settings_that_cannot_be_used_start_nothing(dicomfab, tmp_path, options, words):
    result = dicomfab("lab", "start", *options)
    assert result.code == 2
    assert words in " ".join(result.err.split())
    assert not (tmp_path / "lab" / spec.CONFIG_NAME).exists()


def test_configure_says_what_it_did(dicomfab):
    assert json.loads(dicomfab("lab", "configure", "--json").out)["added"] == sorted(spec.IDS)
    assert json.loads(dicomfab("lab", "configure", "--json").out) == {"added": [], "changed": {}}
    dicomfab("pacs", "edit", "test-pacs-1", "--port", "99")
    assert "Changed test-pacs-1: port 99 -> 4242" in dicomfab("lab", "configure").out


@pytest.mark.full
def test_starting_and_configuring_go_in_one(dicomfab):
    try:
        started = dicomfab("lab", "start", "--free-ports", "--configure")
        assert started.code == 0
        assert "The four test PACS servers are configured, with C-MOVE routes between all of them." in started.out
        assert dicomfab("pacs", "test", "--all").code == 0
        assert "are configured already" in dicomfab("lab", "start", "--configure").out
        assert json.loads(dicomfab("lab", "start", "--configure", "--json").out)["servers"]
    finally:
        dicomfab("lab", "stop")
