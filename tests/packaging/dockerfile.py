"""Just enough of the Dockerfile's language to carry one out in a plain folder, where there is no engine."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_LIMIT_S = 1200
_FLAG = re.compile(r"^--([a-z-]+)=(\S+)$")


@dataclass(frozen=True)
class Instruction:
    """One instruction, its continued lines joined.

    Args:
        word: such as ``RUN``.
        rest: what follows it.
    """

    word: str
    rest: str


def instructions(text: str) -> Iterator[Instruction]:
    """All instructions in order."""
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n", " ", kept).splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield Instruction(word, " ".join(rest.split()))


@dataclass
class Plain:
    """A folder in which every absolute path of the Dockerfile is a path below it.

    All stages share it, so what one stage copies from another is there already. What needs root (owners) is left out.

    Args:
        root: the folder.
        context: what would be sent to the engine.
        python: stands for the Python of the base image.
        mapped: paths of the Dockerfile that lie below the root.
    """

    root: Path
    context: Path
    python: Path
    mapped: tuple[str, ...]
    environ: dict[str, str] = field(default_factory=dict)
    folder: Path = field(init=False)
    told: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder = self.root
        bin_folder = self.root / "base" / "bin"
        bin_folder.mkdir(parents=True)
        (bin_folder / "python3").symlink_to(self.python)
        # How this machine reaches package indexes stays; nothing of the environment of the tests does.
        foreign = ("DICOMFAB", "PYTHON", "NUMBA", "VIRTUAL_ENV", "PYTEST")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        self.environ = {**kept, "PATH": f"{bin_folder}:/usr/bin:/bin"}

    def here(self, text: str) -> str:
        """The text with the paths of the Dockerfile where they are here."""
        for path in self.mapped:
            text = re.sub(rf"(?<![\w./-]){re.escape(path)}(?=[/\s:\"']|$)", f"{self.root}{path}", text)
        return text

    def carry_out(self, instruction: Instruction) -> None:
        """Do what an instruction says; ENV, ENTRYPOINT and the like are remembered."""
        method = getattr(self, f"_{instruction.word.lower()}", None)
        self.told[instruction.word] = instruction.rest
        if method is not None:
            method(instruction.rest)

    def _workdir(self, path: str) -> None:
        self.folder = Path(self.here(path))
        self.folder.mkdir(parents=True, exist_ok=True)

    def _copy(self, rest: str) -> None:
        words = shlex.split(rest)
        if _FLAG.match(words[0]):
            assert words[0].startswith("--from=")
            assert words[1] == words[2], "all stages share one folder"
            assert Path(self.here(words[1])).is_dir()
            return
        source, target = words
        shutil.copytree(self.context / source, self.folder / target, symlinks=True, dirs_exist_ok=True)

    def _env(self, rest: str) -> None:
        for name, value in (word.split("=", 1) for word in shlex.split(rest)):
            self.environ[name] = self.here(value).replace("$PATH", self.environ["PATH"])

    def _run(self, rest: str) -> None:
        script = re.sub(r" -[og] \d+", "", self.here(rest))
        done = subprocess.run(
            ["sh", "-ec", script],
            cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=_LIMIT_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
