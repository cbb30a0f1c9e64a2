"""The wheel and the source distribution: what they hold, and that the wheel works where there is nothing else."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from dicomfab import __version__
from dicomfab.testpacs.ports import free_ports
from tests.packaging.made import ASSETS, User, build, copy_of_tracked_files, environment, uv

WHEEL = f"dicom_fabricator-{__version__}-py3-none-any.whl"
SDIST = f"dicom_fabricator-{__version__}.tar.gz"
MOST_BYTES = 45 << 20
_STATIC = re.compile(r'(?:href|src)="(/static/[^"]+)"')
_VIEWER = re.compile(r'"(/ohif/assets/[^"]+[^"/])"')
_PICTURE = re.compile(r'<img[^>]* src="([^"]+\.png)"')


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This working copy as it is now; other tests may be taking its pictures anew."""
    return copy_of_tracked_files(tmp_path_factory.mktemp("tree") / "copy", assets=True)


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this working copy; of the front-end packages, what set-up has made is used."""
    return build(tree, tmp_path_factory.mktemp("wheel"), "--wheel")


@pytest.fixture(scope="module")
def user(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """Somebody with the wheel in an empty environment; whatever they start is ended."""
    folder = tmp_path_factory.mktemp("user")
    programs = environment(folder / "environment", "runtime.txt")
    uv("pip", "install", "--python", programs / "python", "--no-deps", "--no-index", wheel)
    (folder / "elsewhere").mkdir()
    someone = User(programs, folder / "elsewhere")
    try:
        yield someone
    finally:
        if (someone.folder / "home").exists():
            someone.run("lab", "stop")


def test_the_wheel_holds_what_runs_and_nothing_else(wheel: Path) -> None:
    assert wheel.name == WHEEL
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
    assert {name.partition("/")[0] for name in names} == {"dicomfab", f"dicom_fabricator-{__version__}.dist-info"}
    for wanted in (
        "dicomfab/py.typed",
        "dicomfab/guide/docs/README.md",
        "dicomfab/guide/CHANGELOG.md",
        "dicomfab/web/viewer/build.json",
        "dicomfab/web/static/vendor/bootstrap/bootstrap.min.css",
        "dicomfab/storage/migrations/versions/v0001_registry.py",
        f"dicom_fabricator-{__version__}.dist-info/licenses/LICENSE",
    ):
        assert wanted in names
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".nbi", ".nbc"))]
    assert wheel.stat().st_size < MOST_BYTES


def test_the_source_distribution_holds_the_repository_and_nothing_of_others(tree: Path, tmp_path: Path) -> None:
    sdist = build(tree, tmp_path / "dist", "--sdist")
    assert sdist.name == SDIST
    with tarfile.open(sdist) as packed:
        names = [name.partition("/")[2] for name in packed.getnames()]
    for wanted in (
        "Makefile",
        "packaging/Dockerfile",
        "requirements/runtime.txt",
        "tests/packaging/made.py",
        "LICENSE",
    ):
        assert wanted in names
    parts = {part for name in names for part in name.split("/")}
    assert not parts & {"__pycache__", "node_modules", ".venv", ".git", ".ci", "test-results", "vendor"}
    assert not [name for name in names if name.startswith(("src/dicomfab/web/viewer/", "fuzz/found/"))]
    assert sdist.stat().st_size < MOST_BYTES


def test_it_does_the_main_job_in_an_empty_environment(user: User) -> None:
    assert user.run("--version").split()[-1] == __version__
    assert "study" in user.run("--help")
    user.run("lab", "start", "--free-ports")
    user.run("lab", "configure")
    user.run("study", "create", "--kind", "dx-chest")
    sent = json.loads(user.run("study", "send", "latest", "--to", "test-pacs-1", "--json"))
    assert "verified" in json.dumps(sent)
    with served(user) as web:
        page = web.get("/")
        assert page.status_code == 200
        assert web.get("/api/v1/openapi.json").json()["info"]["version"] == __version__
        assert _all_answer(web, _STATIC.findall(page.text)) > 3
        viewer = web.get("/ohif/viewer")
        assert viewer.status_code == 200
        assert _all_answer(web, _VIEWER.findall(viewer.text)) > 1
        guide = web.get("/help/docs/user-guides/web-interface.md")
        assert guide.status_code == 200
        picture = web.get(str(httpx.URL("/help/docs/user-guides/").join(_PICTURE.search(guide.text)[1])))
        assert picture.content.startswith(b"\x89PNG")
    user.run("lab", "stop")
    assert not _left(user)


@pytest.mark.full
def test_the_source_distribution_makes_the_same_wheel_twice(tree: Path, wheel: Path, tmp_path: Path) -> None:
    """From tracked files alone: the front-end packages come from npm, checked against their hashes."""
    source = Path(shutil.copytree(tree, tmp_path / "copy", symlinks=True))
    for made in ASSETS:
        shutil.rmtree(source / made)
    first = build(source, tmp_path / "first")
    shutil.rmtree(source)
    again = build(tmp_path / "first" / SDIST, tmp_path / "again", "--wheel")
    assert first.name == again.name == WHEEL
    assert first.read_bytes() == again.read_bytes()
    assert first.read_bytes() == wheel.read_bytes()


@pytest.mark.full
def test_pipx_installs_and_removes_it(wheel: Path, tmp_path: Path) -> None:
    pipx = environment(tmp_path / "tools", "packaging.txt") / "pipx"
    someone = User(tmp_path / "bin", tmp_path / "elsewhere")
    someone.folder.mkdir()
    places = {"PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(someone.programs), "PIPX_MAN_DIR": str(tmp_path)}

    def call(*words: object) -> None:
        environ = {**someone.environ, **places}
        done = subprocess.run([pipx, *map(str, words)], env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    call("install", "--python", sys.executable, wheel)
    assert someone.run("--version").split()[-1] == __version__
    someone.run("study", "create", "--kind", "text-card")
    call("uninstall", "dicom-fabricator")
    assert not (someone.programs / "dicomfab").exists()


@contextmanager
def served(user: User) -> Iterator[httpx.Client]:
    """The pages of an installation, ended by Ctrl-C."""
    (port,) = free_ports(1, "127.0.0.1")
    process = user.begin("serve", "--port", str(port))
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert f"http://localhost:{port}" in line, line + (process.stdout.read() if process.poll() is not None else "")
        with httpx.Client(base_url=f"http://localhost:{port}", trust_env=False, timeout=60) as web:
            yield web
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0


def _all_answer(web: httpx.Client, addresses: list[str]) -> int:
    for address in addresses:
        assert web.get(address).status_code == 200, address
    return len(addresses)


def _left(user: User) -> list[str]:
    """Command lines of processes of this installation that still run, after those that end by themselves had time."""
    ours = [one for one in psutil.process_iter() if str(user.programs) in " ".join(_words(one))]
    _, alive = psutil.wait_procs(ours, timeout=90)
    return [" ".join(_words(one)) for one in alive]


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
