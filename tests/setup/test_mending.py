"""Real set-ups in copies of this clone: cut off, half deleted, moved, offline; done again, each mends itself."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.setup.clone import Clone, end, programs

pytestmark = pytest.mark.full

NEEDED = "CHANGELOG.md LICENSE README.md docs frontend hatch_build.py pyproject.toml requirements src tools".split()
# Nothing listens on port 9 of any machine in its senses.
NO_NETWORK = {
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "PIP_CONFIG_FILE": "/dev/null",
    "PIP_FIND_LINKS": "",
    "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple",
    "npm_config_registry": "http://127.0.0.1:9/",
}

#: What npm's packages become.
ASSETS = ("src/dicomfab/web/static/vendor", "src/dicomfab/web/viewer")
#: What has just been made when a set-up is cut off.
MOMENTS = ("pyvenv.cfg", "bin/pip", "bin/uv", "lib/python*/site-packages/numpy", "bin/dicomfab")


def copied(folder: Path) -> Clone:
    """A clone that has the assets of the web pages already, if this one has them."""
    return Clone(folder, NEEDED)


def works(clone: Clone) -> bool:
    """Whether the program is there, whole, and its own."""
    code = "import dicomfab, sqlalchemy, fastapi, numba, pydicom; print(dicomfab.__file__)"
    venv = clone.folder / ".venv" / "bin"
    found = subprocess.run([venv / "python", "-c", code], capture_output=True, text=True, check=False)
    told = subprocess.run([venv / "dicomfab", "settings"], capture_output=True, text=True, check=False)
    assert not told.returncode, told.stderr
    return Path(found.stdout.strip()).is_relative_to(clone.folder)


def packages(clone: Clone) -> Path:
    (found,) = clone.folder.glob(".venv/lib/python*/site-packages")
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    clone = copied(tmp_path_factory.mktemp("made") / "clone")
    assert clone.set_up().code == 0
    assert works(clone)
    return clone


@pytest.mark.parametrize(
    "gone", ["sqlalchemy", "typer*", "pydicom-*.dist-info", "../../../bin/uv", "../../../bin/dicomfab"]
)
def test_what_was_deleted_comes_back(made, gone):
    for path in packages(made).glob(gone):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert made.set_up("runtime", "--if-needed").code == 0
    assert works(made)


def test_the_python_was_taken_away(made):
    python = made.folder / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nonexistent/python3.11")
    said = made.set_up("runtime", "--if-needed")
    assert "making it anew" in said.text
    assert works(made)


def test_a_moved_clone_has_its_own_again(made, tmp_path):
    moved = Clone(tmp_path / "Müllers neue Kopie", ())
    shutil.copytree(made.folder, moved.folder, symlinks=True)
    assert "making it anew" in moved.set_up("runtime", "--if-needed").text
    assert works(moved)


def test_the_systems_python_is_left_alone(made, tmp_path):
    """uv believes of a path what its Python said when there was no ``pyvenv.cfg``: then it was the system's."""
    venv, cache = made.folder / ".venv", {"UV_CACHE_DIR": str(tmp_path / "cache")}
    config = (venv / "pyvenv.cfg").rename(venv / "away")
    ask = [venv / "bin" / "uv", "pip", "show", "--python", venv / "bin" / "python", "pip"]
    subprocess.run(ask, env={**os.environ, **cache}, capture_output=True, check=False)
    config.rename(venv / "pyvenv.cfg")
    believed = subprocess.run(ask, env={**os.environ, **cache}, capture_output=True, text=True, check=False).stdout
    assert str(venv) not in believed
    shutil.rmtree(packages(made) / "jinja2")
    said = made.set_up("runtime", "--if-needed", **cache)
    assert said.code == 0, said.text
    assert (packages(made) / "jinja2").is_dir()
    assert works(made)


def test_without_a_network_nothing_is_lost(made, tmp_path):
    shutil.rmtree(packages(made) / "jinja2")
    said = made.set_up("runtime", "--if-needed", UV_CACHE_DIR=str(tmp_path / "empty"), **NO_NETWORK)
    said.failed(
        "requirements/runtime.txt could not be installed", "no way from here to the package index", "HTTPS_PROXY"
    )
    assert (packages(made) / "sqlalchemy").is_dir()
    assert made.set_up().code == 0
    assert works(made)


def test_without_a_network_from_the_start(tmp_path):
    clone = copied(tmp_path / "clone")
    clone.set_up(**NO_NETWORK).failed(
        "uv, which installs the packages", "no way from here to the package index", "mirrors"
    )


@pytest.fixture
def bare(tmp_path):
    """A clone without the assets of the web pages, as it comes."""
    clone = copied(tmp_path / "clone")
    for assets in ASSETS:
        shutil.rmtree(clone.folder / assets, ignore_errors=True)
    return clone


def has_assets(clone: Clone) -> bool:
    return all((clone.folder / assets / ".stamp").is_file() for assets in ASSETS)


def test_without_npm_and_git_nodejs_comes_from_the_package_index(bare, tmp_path):
    said = bare.set_up(PATH=programs(tmp_path / "bin"))
    assert said.code == 0, said.text
    assert has_assets(bare)
    assert works(bare)


def test_without_a_way_to_npms_registry(bare, tmp_path):
    nowhere = {"npm_config_registry": NO_NETWORK["npm_config_registry"], "npm_config_cache": str(tmp_path / "empty")}
    bare.set_up(**nowhere).failed(
        "this package, with what its web pages need", "no way from here to the package index", "npm's registry"
    )
    assert not has_assets(bare)
    assert bare.set_up().code == 0
    assert has_assets(bare)
    assert works(bare)


@pytest.mark.parametrize(
    ("how", "moment"),
    [*((signal.SIGKILL, one) for one in MOMENTS), (signal.SIGINT, MOMENTS[3])],
)
def test_what_was_cut_off_is_mended(tmp_path, how, moment):
    clone = copied(tmp_path / "clone")
    process = clone.started()
    deadline = time.monotonic() + 300
    while process.poll() is None and not list((clone.folder / ".venv").glob(moment)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):
        end(process, how)
    said = clone.set_up("runtime", "--if-needed")
    assert said.code == 0, said.text
    assert works(clone)


def test_two_at_once(tmp_path):
    clone = copied(tmp_path / "clone")
    with clone.started() as first:
        while not (clone.folder / ".venv").exists():
            time.sleep(0.01)
        assert "waiting for its end" in clone.set_up().text
        assert first.wait(60) == 0
        assert first.stdout is not None
        assert "Installing" in first.stdout.read()
    assert works(clone)


def test_a_cache_that_cannot_be_written_is_no_reason_to_fail(tmp_path):
    clone, home = copied(tmp_path / "clone"), tmp_path / "home"
    home.touch()  # no folder: not even root can make one below it
    said = clone.set_up(HOME=str(home), XDG_CACHE_HOME="")
    assert said.code == 0, said.text
    assert works(clone)
