"""The examples of a document: what a reader would type, in order, and how it went."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import psutil

from dicomfab.testpacs.lab import Lab
from tests.peers.programs import free_port

T = TypeVar("T")

CLONE = Path(__file__).resolve().parents[2]
LIMIT_S = 900
READY_S = 120

_FENCE = re.compile(r"^```([a-z]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LAB = ("4242", "4243", "4245", "4246", "8042", "8043", "8045", "8046")
_OURS = {
    "5001": "DICOMFAB_WEB_PORT",
    "2575": "DICOMFAB_HL7_PORT",
    "11114": "DICOMFAB_WORKLIST_PORT",
    "11112": "DICOMFAB_SCP_PORT",
}


@dataclass(frozen=True)
class World:
    """What a page supposes of its reader.

    Args:
        before: shell lines typed before the page begins.
        right_before: command of the page -> shell lines that are typed right before it.
        files: number of a block that is no shell (from 0) -> the file that a reader would save it as.
        swaps: what stands for something of the reader's own -> what it is here. Patterns, applied in order.
        ends: command -> exit code, where that is not 0.
        serves: command that runs until it is ended -> text that it prints when ready, or ``:PORT`` that it opens.
        types: command -> what comes on its standard input.
        answers: command -> what is answered to its questions, in a terminal.
        ports: printed ports that stand for free ones here, beside ours and the lab's.
        elsewhere: command or block, by its first line -> the test that runs it.
        lab: whether four test servers run, and are in the registry.
    """

    before: str = ""
    right_before: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[int, str] = field(default_factory=dict)
    swaps: Mapping[str, str] = field(default_factory=dict)
    ends: Mapping[str, int] = field(default_factory=dict)
    serves: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[str, ...] = ()
    lab: bool = True

    @staticmethod
    def of(named: Mapping[str, T], command: str) -> T | None:
        """What a mapping holds of a command, which may be named by its beginning."""
        return next((value for start, value in named.items() if command.startswith(start)), None)


@dataclass(frozen=True)
class Block:
    """A fenced block of a document."""

    language: str
    text: str


@dataclass(frozen=True)
class Ran:
    """A command as it stands on the page, and how it ended."""

    command: str
    code: int
    output: str


def blocks(document: Path) -> list[Block]:
    """The fenced blocks of a document, in order."""
    return [Block(language, text) for language, text in _FENCE.findall(document.read_text("utf-8"))]


def commands(script: str) -> list[str]:
    """The commands of a block: a line, with those that belong to it."""
    found, open_lines = [], list[str]()
    for line in script.splitlines():
        if not open_lines and (not line.strip() or line.lstrip().startswith("#")):
            continue
        open_lines.append(line)
        text = "\n".join(open_lines)
        if not _is_open(text):
            found.append(text)
            open_lines = []
    assert not open_lines, f"no end of: {open_lines[0]}"
    return found


def _is_open(text: str) -> bool:
    if text.rstrip().endswith(("\\", "|", "&&")):
        return True
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return True
    return False


class Reader:
    """Someone who types what a page shows, with a home and ports of their own.

    Args:
        folder: where everything goes.
        world: what the page supposes.
    """

    def __init__(self, folder: Path, world: World) -> None:
        self.world = world
        self.folder = folder
        self.home = folder / "home"
        self.ports = {printed: str(free_port()) for printed in (*_OURS, *world.ports)}
        self.lab = Lab(self.home / "lab")
        if world.lab:
            servers = self.lab.use_free_ports().servers
            ports = [s.dicom_port for s in servers] + [s.web_port for s in servers]
            self.ports |= dict(zip(_LAB, map(str, ports), strict=True))

    def environment(self) -> dict[str, str]:
        """The one of a reader who has activated the environment."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DICOMFAB"))}
        path = os.pathsep.join((str(self.folder / "bin"), kept["PATH"], "/usr/sbin"))
        ours = {name: self.ports[printed] for printed, name in _OURS.items()} | {"DICOMFAB_WORKER_IDLE_S": "1"}
        return {**kept, **ours, "PATH": path, "HOME": str(self.folder), "DICOMFAB_HOME": str(self.home)}

    def swapped(self, text: str) -> str:
        """The text with what is the reader's own."""
        for pattern, own in self.world.swaps.items():
            text = re.sub(pattern, own, text)
        return re.sub(r"\b\d{4,5}\b", lambda found: self.ports.get(found[0], found[0]), text)

    def read(self, page: Sequence[Block]) -> list[Ran]:
        """Type the commands of all blocks into one shell, and save the files that the page shows."""
        working = self.folder / "work"
        working.mkdir()
        self._install(self.folder / "bin")
        for entry in CLONE.iterdir():
            if entry.name not in {".git", "test-results"}:
                (working / entry.name).symlink_to(entry)
        others = [block for block in page if block.language != "bash"]
        for number, name in self.world.files.items():
            (working / name).write_text(self.swapped(others[number].text), "utf-8")
        typed = [one for block in page for one in self._typed(block)]
        script = self.folder / "script"
        script.write_text("\n".join([*self._beginning(), *self._lines(typed)]), "utf-8")
        self._shell(script, working)
        return [self._ran(number, command) for number, command in enumerate(typed)]

    @staticmethod
    def _install(programs: Path) -> None:
        """What an environment without the tests' own programs has; some of those have names of DCMTK's."""
        programs.mkdir()
        for name in ("dicomfab", "python", "dicomweb_client"):
            program = programs / name
            program.write_text(f'#!/bin/sh\nexec "{CLONE}/.venv/bin/{name}" "$@"\n', "utf-8")
            program.chmod(0o755)

    def _typed(self, block: Block) -> list[str]:
        if block.language == "python" and self.world.of(self.world.elsewhere, block.text) is None:
            return [block.text]
        if block.language != "bash":
            return []
        return [one for one in commands(block.text) if self.world.of(self.world.elsewhere, one) is None]

    def _beginning(self) -> Iterator[str]:
        yield "set -m"  # what runs in the background is a group, which is ended as a whole
        yield "ended() { for group in $(jobs -p); do kill -- -$group; done; wait; }"
        yield "trap 'ended 2>/dev/null' EXIT"
        lines = [self.swapped(self.world.before)]
        if self.world.lab:
            lines = ["dicomfab lab start", "dicomfab lab configure", *lines]
        text = "\n".join(lines)
        yield f'{{ set -e\n{text}\nset +e; }} > "{self.folder}/before" 2>&1 < /dev/null'

    def _lines(self, typed: Sequence[str]) -> Iterator[str]:
        for number, command in enumerate(typed):
            text = self.swapped(command)
            if right_before := self.world.of(self.world.right_before, command):
                yield f'{{ {self.swapped(str(right_before))}\n}} >> "{self.folder}/before" 2>&1 < /dev/null'
            if command.startswith(("from ", "import ")):
                (self.folder / f"{number}.py").write_text(text, "utf-8")
                text = f'python "{self.folder}/{number}.py"'
            if answers := self.world.of(self.world.answers, command):
                words = shlex.join((text, *answers))
                text = f'python "{CLONE}/tests/docs/terminal.py" {words}'
            words = self.world.of(self.world.types, command)
            source = "/dev/null"
            if words is not None:
                source = str(self.folder / f"typed.{number}")
                Path(source).write_text(str(words), "utf-8")
            output = f'"{self.folder}/output.{number}"'
            ready = self.world.of(self.world.serves, command)
            yield f'{{ {text}\n}} < "{source}" > {output} 2>&1{" &" if ready else ""}'
            if ready:
                yield self._await(self.swapped(str(ready)), output)
            yield f'echo $? > "{self.folder}/code.{number}"'

    @staticmethod
    def _await(ready: str, output: str) -> str:
        look = f"grep -q {shlex.quote(ready)} {output}"
        if ready.startswith(":"):
            look = f"(exec 3<>/dev/tcp/127.0.0.1/{ready[1:]}) 2>/dev/null"
        tries = READY_S * 10
        return f"for try in $(seq {tries}); do {look} && break; kill -0 $! || break; sleep 0.1; done; {look}"

    def _shell(self, script: Path, working: Path) -> None:
        with subprocess.Popen(
            ["bash", str(script)],
            cwd=working,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as shell:
            try:
                shell.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                for process in [*psutil.Process(shell.pid).children(recursive=True), shell]:
                    process.kill()

    def leave(self) -> None:
        """End what still runs of this home: the lab, and workers that commands of the page have left."""
        self.lab.stop()
        left = [process for process in psutil.process_iter() if self._is_ours(process)]
        for process in left:
            process.terminate()
        psutil.wait_procs(left, READY_S)

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get("DICOMFAB_HOME", "").startswith(str(self.folder))
        except psutil.Error:
            return False

    def _ran(self, number: int, command: str) -> Ran:
        code, output = self.folder / f"code.{number}", self.folder / f"output.{number}"
        if not code.is_file():
            before = self.folder / "before"
            return Ran(command, -1, before.read_text("utf-8", "replace") if before.is_file() else "did not begin")
        return Ran(command, int(code.read_text()), output.read_text("utf-8", "replace"))
