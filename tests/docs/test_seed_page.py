"""The setup guide is a contract: every command on it works as printed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from dicomfab.testpacs.lab import Lab
from dicomfab.testpacs.spec import SERVERS, EngineName
from tests.peers.programs import program

CLONE = Path(__file__).resolve().parents[2]
TEST_PACS = CLONE / "test-pacs"
PAGE = (CLONE / "docs" / "user-guides" / "pacs-setup.md").read_text("utf-8")
NOT_SET_UP = "Run 'make setup' (or 'make run')"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


START, CONFIGURE, MANAGE, PORTS = blocks("bash")
ONE_SERVER, AE_TITLES, ROUTING = blocks("json")


@dataclass(frozen=True)
class Step:
    """One command of a block as it was printed, and how it ended."""

    command: str
    code: int


@dataclass(frozen=True)
class Guide:
    """A shell of someone who follows the page, with a home of their own.

    Args:
        home: DICOMFAB_HOME; its lab is on free ports, so that a lab in use is not disturbed.
    """

    home: Path

    @property
    def lab(self) -> Lab:
        return Lab(self.home / "lab")

    def run(self, script: str, folder: Path) -> tuple[list[Step], str]:
        """Type the lines of a block into one shell, looking at the exit code of each."""
        typed = []
        for line in script.splitlines():
            typed.append(line)
            if line.strip() and not line.startswith("#"):
                typed.append(f'echo "@@ $? {line.replace("$", "")}"')
        done = subprocess.run(
            ["bash"],
            input="\n".join(typed),
            cwd=folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        steps = [
            Step(command, int(code)) for code, command in re.findall(r"^@@ (\d+) (.*)$", done.stdout, re.MULTILINE)
        ]
        return steps, done.stdout + done.stderr

    def environment(self) -> dict[str, str]:
        """The one of a user who has activated nothing."""
        path = [folder for folder in os.environ["PATH"].split(os.pathsep) if not folder.startswith(str(CLONE))]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
        return {**kept, "PATH": os.pathsep.join(path), "DICOMFAB_HOME": str(self.home)}

    def neutral(self, text: str) -> str:
        """Output without what is this machine's: the ports as they are printed, and no folder, pid or colour."""
        config = self.lab.config
        for server, printed in zip(config.servers, SERVERS, strict=True):
            for port, default in (
                (server.dicom_port, printed.dicom_port),
                (server.web_port, printed.web_port),
            ):
                text = re.sub(rf"\b{port}\b", str(default), text)
        text = text.replace(str(self.home), "~/dicomfabricator").replace(str(CLONE), "~/dicom-fabricator")
        text = re.sub(r"(running\s+)\d+(\s+\d+:\d\d:\d\d)", r"\1PID\2", text)
        return re.sub(r"\x1b\[[0-9;]*m", "", text)

    def dicomfab(self, *words: str) -> str:
        command = [str(CLONE / ".venv" / "bin" / "python"), "-m", "dicomfab", *words]
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def guide(tmp_path: Path) -> Iterator[Guide]:
    made = Guide(tmp_path / "home")
    made.lab.use_free_ports()
    yield made
    made.lab.stop()


def commands(script: str) -> list[str]:
    return [line for line in script.splitlines() if line.strip() and not line.startswith("#")]


def failed(steps: list[Step]) -> list[Step]:
    """Steps that did not succeed; `lsof` finds nothing where nothing listens, and says so with 1."""
    return [s for s in steps if s.code != 0 and not (s.command.startswith("lsof") and s.code == 1)]


@pytest.mark.full
def test_each_block_from_its_evident_directory(guide):
    for script, folder in ((START, CLONE), (CONFIGURE, CLONE), (PORTS, CLONE), (MANAGE, TEST_PACS)):
        steps, output = guide.run(script, folder)
        assert [s.command for s in steps] == commands(script)
        assert failed(steps) == [], output
    assert [str(s.state) for s in guide.lab.status()] == ["stopped"] * 4  # the last command printed is clean


def test_the_whole_page_in_one_shell(guide):
    script = "\n".join(blocks("bash"))
    steps, output = guide.run(script, CLONE)
    assert [s.command for s in steps] == commands(script)
    assert failed(steps) == [], output
    for line in re.findall(r"^- \*\*(.*) PACS (\d)\*\*: localhost:\d+ \(DICOM\)", PAGE, re.MULTILINE):
        assert f"{line[0]} PACS {line[1]}: localhost:" in output
    assert "Added prod-pacs-1" in output


def test_the_printed_ports_are_the_default():
    from dicomfab.testpacs.spec import SERVERS

    printed = re.findall(r"^- \*\*(.*)\*\*: localhost:(\d+) \(DICOM\), localhost:(\d+) \(Web\)$", PAGE, re.MULTILINE)
    assert printed == [(s.name, str(s.dicom_port), str(s.web_port)) for s in SERVERS]
    logins = set(re.findall(r"\(username: (\w+), password: (\w+)\)", PAGE))
    assert logins == {("test", "test123")}


# pytest-playwright empties test-results whenever tests begin.
RECORDS = CLONE / "test-records"
MAIN_JOB = """\
dicomfab study create --kind ct-chest --slices 5 --seed 7 --accession GUIDE1
dicomfab send latest --to test-pacs-1
dicomfab query --accession GUIDE1
dicomfab move GUIDE1 --from test-pacs-1 --to prod-pacs-1 --yes-production
dicomfab query --accession GUIDE1
"""


@pytest.mark.full
@pytest.mark.parametrize("engine", list(EngineName), ids=str)
def test_the_quick_start_first_command_to_last(guide, engine):
    """As one who follows it: start, configure, look, send, search, move, and the commands of Server Management.

    What was typed and what came is kept in ``test-records/quick-start-ENGINE.txt``.
    """
    start = START
    if engine is EngineName.ORTHANC:
        program("Orthanc")
        start = START.replace("./setup_all_pacs.sh start", "./setup_all_pacs.sh start --engine orthanc")
        assert start != START
    record = Record(guide, engine)
    record.typed(start, CLONE)
    record.typed(CONFIGURE, CLONE)
    assert record.pages() == [200] * 4
    record.typed(MAIN_JOB, CLONE)
    record.typed(MANAGE, TEST_PACS)
    record.keep()
    assert "Added prod-pacs-1" in record.text
    assert record.text.count("Test PACS 1: localhost:4242 (DICOM), localhost:8042 (Web) - started") == 2
    assert record.text.count("VERIFIED   all 5 instances") == 2  # sent, and moved
    assert f"Engine: {engine}." in record.text
    assert str(guide.home) not in record.text
    assert [str(s.state) for s in guide.lab.status()] == ["stopped"] * 4
    assert guide.lab.engines_with_data() == ()


class Record:
    """What somebody types who follows the page, what comes, and how each command ends."""

    def __init__(self, guide: Guide, engine: EngineName) -> None:
        self.guide = guide
        self.text = f"The quick start of the PACS Setup Guide, first command to last, with the engine {engine}.\n"
        self._path = RECORDS / f"quick-start-{engine}.txt"

    def typed(self, script: str, folder: Path) -> None:
        """Type the lines of a block; each has to succeed."""
        for number, line in enumerate(commands(script)):
            if line.startswith("cd "):
                folder = folder / line.removeprefix("cd ")
                self._note(line, "", 0)
                continue
            words = line.replace("dicomfab ", f"{CLONE / '.venv' / 'bin' / 'dicomfab'} ", 1)
            done = subprocess.run(
                ["bash", "-c", words],
                cwd=folder,
                env=self.guide.environment() | {"COLUMNS": "160"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=300,
                check=False,
            )
            self._note(line, done.stdout, done.returncode)
            if done.returncode:
                self.keep()
                pytest.fail(f"command {number + 1} of its block: {line}\n{done.stdout}")

    def pages(self) -> list[int]:
        """Open each server's page as its user, and without a password."""
        found = []
        for server, printed in zip(self.guide.lab.config.servers, SERVERS, strict=True):
            url = f"http://localhost:{server.web_port}/"
            page = httpx.get(url, auth=("test", "test123"), follow_redirects=True)
            self._note(f"a browser opens http://localhost:{printed.web_port}", f"{page.status_code}\n", 0)
            assert httpx.get(url).status_code == 401
            found.append(page.status_code)
        return found

    def keep(self) -> None:
        RECORDS.mkdir(exist_ok=True)
        self._path.write_text(self.text)

    def _note(self, command: str, output: str, code: int) -> None:
        self.text += f"\n$ {command}\n{self.guide.neutral(output)}[exit code {code}]\n"


@pytest.mark.full
def test_configuring_twice_changes_nothing(guide):
    first, _ = guide.run(CONFIGURE, CLONE)
    exported = guide.dicomfab("pacs", "export")
    second, output = guide.run(CONFIGURE, CLONE)
    assert failed(first + second) == []
    assert "configured already" in output
    assert guide.dicomfab("pacs", "export") == exported
    servers = json.loads(exported)
    aec = {server_id: server["aec"] for server_id, server in servers.items()}
    assert aec == {
        "test-pacs-1": "TESTPACS",
        "test-pacs-2": "TESTPACS2",
        "prod-pacs-1": "PRODPACS",
        "prod-pacs-2": "PRODPACS2",
    }
    for server_id, server in servers.items():
        assert server["move_routing"] == {other: title for other, title in aec.items() if other != server_id}
        assert server["port"] == guide.lab.config.server(server_id).dicom_port


def test_the_json_blocks_can_be_imported(guide, tmp_path):
    others = {f"pacs-{n}-id": {**json.loads(ONE_SERVER), "name": f"PACS {n}", "port": 104 + n} for n in (2, 3)}
    for name, text in (("others", json.dumps(others)), ("one", ONE_SERVER), ("titles", AE_TITLES), ("routes", ROUTING)):
        (tmp_path / f"{name}.json").write_text(text)
    guide.dicomfab("pacs", "import", str(tmp_path / "others.json"))
    guide.dicomfab("pacs", "import", str(tmp_path / "one.json"))
    for fragment in ("titles", "routes"):
        guide.dicomfab("pacs", "import", str(tmp_path / f"{fragment}.json"), "--into", "my-pacs-server")
    server = json.loads(guide.dicomfab("pacs", "export"))["my-pacs-server"]
    assert {name: server[name] for name in json.loads(ONE_SERVER)} == json.loads(ONE_SERVER)
    assert {name: server[name] for name in json.loads(AE_TITLES)} == json.loads(AE_TITLES)
    assert server["move_routing"] == json.loads(ROUTING)["move_routing"]


@pytest.mark.parametrize(
    "command", ["test-pacs/setup_all_pacs.sh start", "python3 test-pacs/scripts/setup_pacs_config.py"]
)
def test_without_setup_it_says_what_to_run(tmp_path, command):
    guide = Guide(tmp_path / "home")
    shutil.copytree(TEST_PACS, tmp_path / "clone" / "test-pacs", symlinks=True)
    (step,), output = guide.run(command, tmp_path / "clone")
    assert step.code == 1
    assert NOT_SET_UP in output
    assert str(tmp_path / "clone") in output
    assert not guide.home.exists()


def test_an_unknown_command_gets_the_usage(tmp_path):
    guide = Guide(tmp_path / "home")
    for command in ("./setup_all_pacs.sh", "./setup_all_pacs.sh begin"):
        (step,), output = guide.run(command, TEST_PACS)
        assert step.code == 2
        assert "start|status|stop|restart|clean" in output
    (step,), _ = guide.run("./setup_all_pacs.sh --help", TEST_PACS)
    assert step.code == 0
