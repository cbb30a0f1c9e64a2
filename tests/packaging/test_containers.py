"""The Dockerfile and the compose file: valid, safe, and what they do is done, by an engine where there is one."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from dicomfab import __version__
from dicomfab.app.web_settings import Mode, load_web_settings
from dicomfab.cli.main import COMMANDS
from dicomfab.testpacs.ports import free_ports
from dicomfab.testpacs.spec import SERVERS
from tests.packaging.dockerfile import Plain, instructions
from tests.packaging.made import ROOT, copy_of_tracked_files, environment

DOCKERFILE = ROOT / "packaging" / "Dockerfile"
COMPOSE = ROOT / "packaging" / "compose.yaml"
MAPPED = ("/opt/dicomfab", "/opt/build", "/src", "/var/lib/dicomfab")


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """hadolint and compose, in an environment of their own."""
    return environment(tmp_path_factory.mktemp("tools") / "environment", "packaging.txt")


def services() -> dict[str, Any]:
    return yaml.safe_load(COMPOSE.read_text("utf-8"))["services"]


@pytest.mark.full
def test_the_dockerfile_is_valid_and_clean(tools: Path) -> None:
    done = subprocess.run([tools / "hadolint", DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
    bad = DOCKERFILE.read_text("utf-8").replace("ENTRYPOINT", "ENTRYPONT")
    assert subprocess.run([tools / "hadolint", "-"], input=bad, capture_output=True, text=True, check=False).returncode


@pytest.mark.full
def test_the_compose_file_is_valid(tools: Path, tmp_path: Path) -> None:
    """By compose itself, which needs no engine for it."""

    def configured(file: Path) -> subprocess.CompletedProcess[str]:
        command = [tools / "docker-compose", "-f", file, "config", "--format", "json"]
        environ = {**os.environ, "HOME": str(tmp_path)}
        return subprocess.run(command, capture_output=True, text=True, env=environ, check=False)

    done = configured(COMPOSE)
    assert done.stderr == ""
    project = json.loads(done.stdout)
    assert set(project["services"]) == set(services())
    assert Path(project["services"]["web"]["build"]["context"]) == ROOT
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(COMPOSE.read_text("utf-8").replace("network_mode:", "netwrok_mode:"))
    refused = configured(wrong)  # the exit code is that of a wrapper
    assert (refused.stdout, "not allowed" in refused.stderr) == ("", True)


def test_everything_is_published_for_this_computer_alone() -> None:
    published = [one for service in services().values() for one in service.get("ports", ())]
    wanted = {5001} | {port for server in SERVERS for port in (server.dicom_port, server.web_port)}
    assert sorted(published) == sorted(f"127.0.0.1:{port}:{port}" for port in wanted)


def test_services_run_commands_that_exist_as_somebody_who_can_do_little() -> None:
    for name, service in services().items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not {"privileged", "user", "environment"} & set(service), name
        if "entrypoint" not in service:
            assert service["command"][0] in COMMANDS, name
    assert {one["network_mode"] for name, one in services().items() if name in ("lab", "web")} == {"service:network"}


def test_the_image_runs_as_nobody_special_and_holds_no_secret() -> None:
    told = {one.word: one.rest for one in instructions(DOCKERFILE.read_text("utf-8"))}
    assert told["USER"] == "10001:10001"
    assert json.loads(told["ENTRYPOINT"]) == ["dicomfab"]
    assert json.loads(told["CMD"])[0] in COMMANDS
    assert told["VOLUME"] == "/var/lib/dicomfab"
    assert "/healthz" in told["HEALTHCHECK"]
    assert not re.search(r"PASSWORD|SECRET|TOKEN|KEY", told["ENV"])
    assert "--require-hashes" in DOCKERFILE.read_text("utf-8")


def test_settings_of_the_image_go_together() -> None:
    told = {one.word: one.rest for one in instructions(DOCKERFILE.read_text("utf-8"))}
    web = load_web_settings(dict(word.split("=", 1) for word in told["ENV"].split() if word.startswith("DICOMFAB_")))
    assert web.modes == (Mode.LOCAL,)
    assert not web.is_local
    assert web.answers_this_computer


@pytest.mark.full
def test_what_the_dockerfile_does_makes_an_installation_that_works(tmp_path: Path) -> None:
    """Each instruction is carried out in a plain folder; then the entry point is run with its settings."""
    context = _as_sent(copy_of_tracked_files(tmp_path / "copy"))
    plain = Plain(tmp_path / "image", context, Path(sys.executable).resolve(), MAPPED)
    for instruction in instructions(DOCKERFILE.read_text("utf-8")):
        plain.carry_out(instruction)
    (port,) = free_ports(1, "127.0.0.1")
    program = shutil.which("dicomfab", path=plain.environ["PATH"])
    assert program is not None
    assert program.startswith(str(plain.root))
    environ = {**plain.environ, "DICOMFAB_WEB_PORT": str(port), "DICOMFAB_WORKER_IDLE_S": "0"}
    version = subprocess.run([program, "--version"], env=environ, capture_output=True, text=True, check=True).stdout
    assert version.split()[-1] == __version__
    command = [program, *json.loads(plain.told["CMD"])]
    with subprocess.Popen(command, env=environ, cwd=plain.folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = [process.stdout.readline() for _ in range(3)]
            assert f"http://localhost:{port}" in said[0], said
            assert "/set-up" in said[1], said
            assert httpx.get(f"http://localhost:{port}/healthz", trust_env=False).text == "ok"
            assert httpx.get(f"http://localhost:{port}/sign-in", trust_env=False).status_code == 200
            by_another_name = httpx.get(f"http://127.0.0.1:{port}/", headers={"Host": "lab.example"}, trust_env=False)
            assert by_another_name.status_code == 403
            healthy = _health_check(plain.told["HEALTHCHECK"], port)
            assert subprocess.run(healthy, env=environ, check=False).returncode == 0
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
    assert process.returncode == 0
    assert subprocess.run(healthy, env=environ, stderr=subprocess.DEVNULL, check=False).returncode != 0


@pytest.fixture
def engine() -> list[str]:
    """A container engine that answers and knows compose files. Few machines with tests have one, and CI has none."""
    told = {one.word: one.rest for one in instructions(DOCKERFILE.read_text("utf-8"))}
    base = told["FROM"].replace("${PYTHON}", told["ARG"].partition("=")[2])
    for name in ("docker", "podman"):
        if shutil.which(name) and _goes(name, "info") and _goes(name, "compose", "version"):
            if not _goes(name, "pull", "--quiet", base):
                pytest.skip(f"{name} cannot get {base}")
            return [name]
    pytest.skip("no container engine answers here: the image was not built")


@pytest.mark.full
def test_an_engine_runs_the_lab_and_the_pages(engine: list[str], tmp_path: Path) -> None:
    """The compose file as printed in the guide, but on free ports and under a name of its own."""
    ports = free_ports(9, "127.0.0.1")
    text = COMPOSE.read_text("utf-8")
    for own, printed in zip(ports, re.findall(r'"127\.0\.0\.1:(\d+):', text), strict=True):
        text = text.replace(f'"127.0.0.1:{printed}:{printed}"', f'"127.0.0.1:{own}:{printed}"')
    file = tmp_path / "compose.yaml"
    file.write_text(text.replace("context: ..", f"context: {ROOT}"))
    compose = [*engine, "compose", "--project-name", f"dicomfab-test-{os.getpid()}", "--file", str(file)]

    def call(*words: str) -> str:
        done = subprocess.run([*compose, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    try:
        call("up", "--build", "--detach", "--wait")
        assert "/set-up" in call("logs", "web")
        call("exec", "-T", "lab", "dicomfab", "demo")
        assert httpx.get(f"http://localhost:{ports[0]}/sign-in", trust_env=False).status_code == 200
    finally:
        subprocess.run([*compose, "down", "--volumes"], capture_output=True, check=False)


def _as_sent(context: Path) -> Path:
    """The context without what ``Dockerfile.dockerignore`` keeps back."""
    lines = (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    sent = {line.removeprefix("!") for line in lines if line.startswith("!")}
    kept_back = [line for line in lines if line and not line.startswith(("#", "!")) and line != "*"]
    assert "*" in lines
    for entry in context.iterdir():
        if entry.name not in sent:
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    for path in [one for one in context.rglob("*") if one.is_dir()]:
        if any(fnmatch.fnmatch(str(path.relative_to(context)), one) for one in kept_back):
            shutil.rmtree(path)
    assert {entry.name for entry in context.iterdir()} == sent
    return context


def _goes(*command: str) -> bool:
    return not subprocess.run(command, capture_output=True, check=False).returncode


def _health_check(rest: str, port: int) -> list[str]:
    return json.loads(rest.partition(" CMD ")[2].replace("5001", str(port)))
