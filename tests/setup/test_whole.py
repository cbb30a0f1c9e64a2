"""Whether what was installed is noticed to be there, by the folders that installers leave."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.setup.clone import ROOT, Clone

PINS = """\
Alpha==1.0 \\
    --hash=sha256:00
beta-two==2.0 \\
    --hash=sha256:00
only-there==3 ; sys_platform == 'win32' \\
    --hash=sha256:00
"""
RECORD = """\
{0}/sub/code.py,sha256=x,5
{0}/__pycache__/code.pyc,,
../../../bin/{0},,7
"{0}-1.0.dist-info/RECORD",,
"""


class Environment:
    """A ``.venv`` with packages that were made up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        version = "python{}.{}".format(*sys.version_info[:2])
        self.packages = folder / ".venv" / "lib" / version / "site-packages"
        (folder / "pins.txt").write_text(PINS)
        (folder / ".venv" / "bin").mkdir(parents=True)
        for name in ("alpha", "beta_two", "dicom_fabricator"):
            self.install(name)

    def install(self, name: str) -> None:
        """One package with a module in a folder, and a program."""
        (self.packages / name / "sub").mkdir(parents=True)
        (self.packages / name / "sub" / "code.py").write_text("12345")
        (self.folder / ".venv" / "bin" / name).write_text("program")
        info = self.packages / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "RECORD").write_text(RECORD.format(name))

    def broken(self, *options: str) -> list[str]:
        """What is not whole."""
        command = [sys.executable, "-IS", ROOT / "tools" / "whole.py", "pins.txt", *options]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=True)
        return done.stdout.split()


@pytest.fixture
def environment(tmp_path):
    return Environment(tmp_path)


def test_nothing_is_missing(environment):
    assert environment.broken() == []
    assert environment.broken("--every") == []


def test_a_package_was_deleted(environment):
    shutil.rmtree(environment.packages / "beta_two")
    assert environment.broken() == ["beta-two"]
    shutil.rmtree(environment.packages / "beta_two-1.0.dist-info")
    assert environment.broken() == ["beta-two"]


def test_our_own_program_was_deleted(environment):
    (environment.folder / ".venv" / "bin" / "dicom_fabricator").unlink()
    assert environment.broken() == ["dicom-fabricator"]


@pytest.mark.parametrize("text", ["1234", None])
def test_an_installation_was_cut_off_within_a_package(environment, text):
    file = environment.packages / "alpha" / "sub" / "code.py"
    file.unlink()
    if text:
        file.write_text(text)
    assert environment.broken() == []
    assert environment.broken("--every") == ["alpha"]


@pytest.mark.parametrize("record", [None, ""])
def test_an_installation_was_cut_off_before_its_list(environment, record):
    file = environment.packages / "alpha-1.0.dist-info" / "RECORD"
    file.unlink()
    if record is not None:
        file.write_text(record)
    assert environment.broken() == ["alpha"]


def test_what_is_not_whole_is_forgotten(environment):
    shutil.rmtree(environment.packages / "alpha")
    assert environment.broken("--forget") == ["alpha"]
    assert not (environment.packages / "alpha-1.0.dist-info").exists()
    assert (environment.packages / "beta_two-1.0.dist-info").exists()


def test_a_whole_environment_is_left_alone(environment):
    """And one that is not is not taken for whole."""
    clone = Clone(environment.folder / "clone", ("tools",))
    (clone.folder / "requirements").mkdir()
    shutil.copy(environment.folder / "pins.txt", clone.folder / "requirements" / "runtime.txt")
    shutil.move(environment.folder / ".venv", clone.folder)
    venv = clone.folder / ".venv"
    (venv / "bin" / "python").symlink_to(sys.executable)
    (venv / "pyvenv.cfg").write_text(f"command = python -m venv {venv}\n")
    nowhere = {"PYTHON": "no-such-python"}
    assert clone.set_up("runtime", "--if-needed", **nowhere).code == 0
    for spoil in (
        lambda: (venv / ".unfinished").touch(),
        lambda: (venv / "pyvenv.cfg").write_text("command = python -m venv /elsewhere/.venv\n"),
        lambda: (venv / "bin" / "python").unlink(),
    ):
        spoil()
        clone.set_up("runtime", "--if-needed", **nowhere).failed("there is no no-such-python", "", "")
