"""Reads settings from the environment, and gathers everything that cannot be used, to be told at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from dicomfab.model.errors import InvalidInput

T = TypeVar("T")


class Reader:
    """One reading of the environment.

    Args:
        environ: names and values.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.problems: list[InvalidInput] = []

    def read(self, name: str, parse: Callable[[str], T], default: T) -> T:
        """A setting, parsed; the default if it is not there, or cannot be used."""
        text = self.environ.get(name, "").strip()
        if not text:
            return default
        try:
            return parse(text)
        except InvalidInput as error:
            self.problems.append(error)
            return default

    def text(self, name: str, default: str = "") -> str:
        """A setting as it stands there."""
        return self.environ.get(name, "").strip() or default

    def needed(self, name: str, why: str) -> str:
        """A setting that has to be there.

        Args:
            name: of the setting.
            why: what needs it.
        """
        found = self.text(name)
        if not found:
            self.problems.append(InvalidInput(f"{name}: it is not set", field=name, cause=why, remedy=f"set {name}"))
        return found

    def finish(self) -> None:
        """Raise if anything cannot be used.

        Raises:
            InvalidInput: naming everything, a line each.
        """
        if len(self.problems) == 1:
            raise self.problems[0]
        if self.problems:
            lines = [f"{problem.what} ({problem.remedy})" for problem in self.problems]
            raise InvalidInput(
                f"{len(lines)} settings cannot be used:\n  - " + "\n  - ".join(lines),
                field=", ".join(problem.field for problem in self.problems),
                remedy="mend each of them; nothing was started",
            )


def readable_file(name: str) -> Callable[[str], Path | None]:
    """Parses a setting that names a file which this user may read."""

    def parse(text: str) -> Path:
        path = Path(text).expanduser().absolute()
        try:
            with path.open("rb"):
                return path
        except OSError as error:
            raise InvalidInput(
                f"{name}: {text!r} cannot be read",
                field=name,
                value=text,
                cause=error.strerror or str(error),
                remedy="check the path, and whether this user may read it",
            ) from error

    return parse
