"""The units for systemd: it takes them, they can do little, and they run commands that exist."""

from __future__ import annotations

import configparser
import re
import subprocess
from pathlib import Path

import pytest

from dicomfab.app.settings import load_settings
from dicomfab.app.web_settings import load_web_settings
from dicomfab.cli.main import COMMANDS
from tests.packaging.made import ROOT
from tests.peers.programs import program

FOLDER = ROOT / "packaging"
UNITS = sorted(FOLDER.glob("*.service"))
PROGRAM = "/opt/dicomfab/bin/dicomfab"
#: systemd's own measure, from 0 (nothing to do harm with) to 10.
MOST_EXPOSED = 2.0


def read(unit: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(unit.read_text("utf-8"))
    return parser


@pytest.fixture
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The unit with a program that is there: systemd looks whether it is."""
    unit = tmp_path / request.param.name
    unit.write_text(request.param.read_text("utf-8").replace(PROGRAM, "/bin/true"))
    return unit


@pytest.mark.parametrize("here", UNITS, ids=[unit.name for unit in UNITS], indirect=True)
def test_systemd_takes_it_and_finds_it_harmless(here: Path) -> None:
    analyze = program("systemd-analyze")
    done = subprocess.run([analyze, "verify", here], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    judged = subprocess.run(
        [analyze, "security", "--offline=true", here], capture_output=True, text=True, check=False
    ).stdout
    level = re.search(r"Overall exposure level for .*?: ([\d.]+)", judged)
    assert level, judged
    assert float(level[1]) <= MOST_EXPOSED


def test_systemd_sees_what_is_wrong(tmp_path: Path) -> None:
    unit = tmp_path / "dicomfab.service"
    unit.write_text(
        UNITS[0].read_text("utf-8").replace(PROGRAM, "/bin/true").replace("ProtectSystem=strict", "Protect=1")
    )
    done = subprocess.run([program("systemd-analyze"), "verify", unit], capture_output=True, text=True, check=False)
    assert "Unknown key" in done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_it_runs_a_command_that_exists_with_a_home_of_its_own(unit: Path) -> None:
    service = read(unit)["Service"]
    words = service["ExecStart"].split()
    assert words[0] == PROGRAM
    assert words[1] in COMMANDS
    own = dict(word.split("=", 1) for word in service["Environment"].split())
    assert str(load_settings(own).home) == f"/var/lib/{service['StateDirectory']}"
    assert own["NUMBA_CACHE_DIR"] == f"/var/cache/{service['CacheDirectory']}"
    assert service["User"] == "dicomfab"
    assert service["Restart"] == "on-failure"
    assert service["NoNewPrivileges"] == "yes"
    assert service["ProtectSystem"] == "strict"


def test_the_user_of_the_units_is_made() -> None:
    lines = (FOLDER / "dicomfab.sysusers").read_text("utf-8").splitlines()
    (made,) = [line.split()[:2] for line in lines if not line.startswith("#")]
    assert made == ["u", "dicomfab"]


def test_the_settings_that_are_suggested_go_together_but_for_their_files() -> None:
    suggested = re.findall(r"^#(DICOMFAB_\w+)=(\S+)$", (FOLDER / "dicomfab.env").read_text("utf-8"), re.MULTILINE)
    assert len(suggested) == 5
    given = {name: value for name, value in suggested if name not in ("DICOMFAB_WEB_CERTIFICATE", "DICOMFAB_WEB_KEY")}
    assert load_web_settings({**given, "DICOMFAB_WEB_PROXIES": "127.0.0.1"}).names == {"dicomfab.example.com"}
