"""What goes wrong at set-up is answered with what to do: by causing it, as far as that takes no real environment."""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.setup.clone import ROOT, Clone, end, programs, script_file

OLD = 'case "$*" in --version) echo "Python 3.10.12";; *) exit 1;; esac'
NO_VENV = f'case "$*" in *ensurepip*) exit 1;; *) exec {sys.executable} "$@";; esac'
# What programs said when these things were caused -> a word of the cause.
SAID = {
    "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device": "the disk is full",
    "error: Failed to install: numpy.whl\n  Caused by: failed to copy: No space left (os error 28)": "the disk is full",
    "npm error code ENOSPC\nnpm error syscall write": "the disk is full",
    "mkdir: cannot create directory '.venv': Permission denied": "may not write there: mkdir: cannot create",
    "error: failed to create directory `/home/ann/uv`: Read-only file system (os error 30)": "may not write there",
    "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.": "not what was pinned",
    "npm error code EINTEGRITY": "not what was pinned",
    "  Caused by: invalid peer certificate: UnknownIssuer": "a certificate of its own",
    "npm error code SELF_SIGNED_CERT_IN_CHAIN\nnpm error self-signed certificate": "a certificate of its own",
    "Failed to establish a new connection: [Errno -3] Temporary failure in name resolution\n"
    "ERROR: No matching distribution found for uv==0.13.9": "no way from here to the package index",
    "error: Failed to fetch: `https://index/simple/zxcvbn/`\n  Caused by: dns error": "no way from here",
    "npm error code ECONNREFUSED\nnpm error connect ECONNREFUSED 127.0.0.1:9": "no way from here",
    "W: Failed to fetch http://deb.example.org/  Could not connect to deb.example.org:80": "no way from here",
    "ERROR: No matching distribution found for uv==0.13.9": "does not have it: No matching distribution found for uv",
    "npm error code E404\nnpm error 404 Not Found": "does not have it",
    "npm error code E404\nRuntimeError: ohif.tgz is not what frontend/ohif.json pins: its hash is sha512-x": (
        "not what was pinned"
    ),
    "FileNotFoundError: no such file: data": "not one that we know: FileNotFoundError",
    "Segmentation fault": "not one that we know",
    "": "nothing was said",
}


@pytest.fixture
def clone(tmp_path):
    return Clone(tmp_path / "a clone with ümläuts")


def test_there_is_no_python(clone, tmp_path):
    said = clone.set_up(PYTHON="python3", PATH=programs(tmp_path / "bin"))
    said.failed("there is no python3", "not installed", "install Python 3.11, 3.12 or 3.13 with its venv module")
    assert not (clone.folder / ".venv").exists()


def test_python_is_too_old(clone, tmp_path):
    said = clone.set_up(PYTHON="python3", PATH=programs(tmp_path / "bin", python3=OLD))
    said.failed("Python 3.10.12 (python3) is not supported", "too old or too new", "make PYTHON=python3.12 run")


def test_a_python_that_would_do_is_named(clone, tmp_path):
    ours = f'exec {sys.executable} "$@"'
    path = programs(tmp_path / "bin", **{"python3": OLD, "python3.12": ours})
    clone.set_up(PYTHON="python3", PATH=path).failed("not supported", "", "python3.12 is here, use that: make PYTHON=")


def test_python_has_no_venv_module(clone, tmp_path):
    python = script_file(tmp_path / "python3", NO_VENV)
    said = clone.set_up(PYTHON=str(python), PATH=programs(tmp_path / "bin"))
    package = "python{}.{}-venv".format(*sys.version_info[:2])
    said.failed("cannot make virtual environments", "a package of its own on Debian", f"sudo apt-get install {package}")


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become somebody else")
def test_the_folder_belongs_to_somebody_else():
    with tempfile.TemporaryDirectory(prefix="dicomfab-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        clone = Clone(folder / "clone")
        python = script_file(folder / "python", "exit 0")  # root's own may be nothing that somebody else can see
        nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        said = clone.set_up(before=nobody, HOME="/nonexistent", PYTHON=str(python))
    said.failed(".venv could not be made", "may not write there: mkdir: cannot create", "a clone of your own")


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to mount a small disk")
def test_the_disk_is_full(tmp_path):
    clone = Clone(tmp_path / "clone")
    shutil.rmtree(clone.folder / "requirements")
    shutil.copytree(clone.folder, tmp_path / "copy")
    mount = ("mount", "-t", "tmpfs", "-o", "size=256k", "none", str(clone.folder))
    if subprocess.run(["unshare", "--mount", *mount], check=False).returncode:
        pytest.skip("nothing may be mounted here")
    script = f'{shlex.join(mount)} && cp -r copy/. clone; cat /dev/zero 2>/dev/null >clone/fill; exec "$0" "$@"'
    said = clone.set_up(before=("unshare", "--mount", f"--wd={tmp_path}", "bash", "-c", script))
    said.failed(".venv could not be made", "the disk is full", "make room (0 are free on ")


@pytest.mark.parametrize(("words", "cause"), SAID.items())
def test_what_programs_say_is_put_into_words(words, cause, tmp_path):
    script = f'source {ROOT}/tools/failures.sh; step "it failed" sh -c \'printf %s "$1"; exit 9\' - "$1"'
    command = ["bash", "-euo", "pipefail", "-c", script, "-", words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    what, why, how = done.stderr.strip().splitlines()
    assert what == "Setup failed: it failed."
    assert cause in why
    assert how.startswith("  What to do:   ")


def test_two_at_once_wait_for_each_other(clone):
    with (clone.folder / "tools" / "setup.sh").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        process = clone.started(PYTHON="no-such-python")
        assert process.stdout is not None
        assert process.stdout.readline() == "Another set-up of this clone is running: waiting for its end ...\n"
        assert process.poll() is None
    text, _ = process.communicate(timeout=60)
    assert "there is no no-such-python" in text


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_says_so_when_it_is_interrupted(clone, how):
    with (clone.folder / "tools" / "setup.sh").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        process = clone.started()
        assert process.stdout is not None
        assert "waiting" in process.stdout.readline()
        assert end(process, how).strip().endswith("Set-up was interrupted. Do the same again whenever you like.")
        assert process.returncode == 130
