"""Packages made from a clean copy of the repository, and environments that hold nothing but them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: What set-up made for this working copy, and nobody tracks. With it a wheel needs no npm.
ASSETS = ("src/dicomfab/web/static/vendor", "src/dicomfab/web/viewer")
#: A date for all entries of an archive, as packagers set it.
EPOCH = "1700000000"
LIMIT_S = 600
_NO_NETWORK = ("Failed to fetch", "error sending request", "npm registry cannot be reached")


def copy_of_tracked_files(folder: Path, *, assets: bool = False) -> Path:
    """What a fresh clone would hold after the next commit, in a new folder.

    Args:
        folder: where it goes; made.
        assets: also what set-up has built of the front-end packages.
    """
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("this is no git working copy: nobody knows which files belong to it")
    for name in filter(None, listed.stdout.split("\0")):
        if not (ROOT / name).is_symlink() and not (ROOT / name).is_file():
            continue  # deleted, and not committed yet
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target, follow_symlinks=False)
    for name in ASSETS if assets else ():
        shutil.copytree(ROOT / name, folder / name)
    return folder


def uv(*arguments: object, cwd: Path | None = None) -> str:
    """Run the uv of this environment; what it says. Without a network the test is skipped, but in CI it fails."""
    program = Path(sysconfig.get_path("scripts"), "uv")
    if not program.exists():
        pytest.skip("there is no uv beside this Python: run make setup")
    environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH}
    done = subprocess.run(
        [program, *map(str, arguments)],
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    if done.returncode and any(words in done.stderr for words in _NO_NETWORK) and not os.environ.get("CI"):
        pytest.skip(f"needs what the network did not give: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def build(source: Path, out: Path, *kinds: str) -> Path:
    """Build ``--sdist``, ``--wheel`` or, without a kind, the first and from it the second; the last file made."""
    uv("build", "--no-build-isolation", "--python", sys.executable, *kinds, "--out-dir", out, source)
    return newest(out)


def newest(folder: Path) -> Path:
    """The package that was written last; a wheel after its source distribution."""
    return max((*folder.glob("*.whl"), *folder.glob("*.tar.gz")), key=lambda path: path.stat().st_mtime_ns)


def environment(folder: Path, *requirements: str) -> Path:
    """An environment with pinned requirements, each checked against its hash, and nothing else; its programs."""
    uv("venv", "--python", sys.executable, folder)
    for name in requirements:
        pinned = ROOT / "requirements" / name
        uv("pip", "install", "--python", folder / "bin" / "python", "--require-hashes", "-r", pinned)
    return folder / "bin"


@dataclass(frozen=True)
class User:
    """Somebody with an installed product and a new home, who stands in a folder of their own.

    Args:
        programs: where ``dicomfab`` is.
        folder: theirs; empty at first.
    """

    programs: Path
    folder: Path

    @property
    def environ(self) -> dict[str, str]:
        """Nothing of the environment of the tests."""
        path = os.pathsep.join((str(self.programs), "/usr/bin", "/bin"))
        return {"PATH": path, "HOME": str(self.folder), "DICOMFAB_HOME": str(self.folder / "home"), "LANG": "C.UTF-8"}

    def run(self, *words: str, exit_code: int = 0) -> str:
        """Run a command of the product; what it prints."""
        done = subprocess.run(
            ["dicomfab", *words],
            env=self.environ, cwd=self.folder, executable=self.programs / "dicomfab",
            capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
        assert done.returncode == exit_code, f"dicomfab {' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Start a command that stays; its lines are read from its standard output."""
        return subprocess.Popen(
            [self.programs / "dicomfab", *words],
            env=self.environ, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
