"""Write the command line reference from the commands themselves. Usage: tools/cli_reference.py OUT"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer

from dicomfab.cli.main import COMMANDS, app

INTRODUCTION = """\
# Command line reference

Generated from the commands by `tools/cli_reference.py`; do not edit it by hand.

Every command has `--help`. Commands with `--json` print one JSON document on standard output, also when they fail. Exit
codes are listed under [Common issues](../troubleshooting/common-issues.md#exit-codes).
"""


def reference() -> str:
    """The whole document."""
    root = typer.main.get_command(app)
    context = root.make_context("dicomfab", [], resilient_parsing=True)
    parts = [INTRODUCTION, _contents()]
    for name in COMMANDS:
        command = root.resolve_command(context, [name])[1]  # type: ignore[attr-defined]
        parts += _described(command, f"dicomfab {name}", level=2)
    return "\n".join(parts)


def _contents() -> str:
    lines = ["| Command | What it does |", "|---|---|"]
    lines += [f"| [{name}](#dicomfab-{name}) | {_cell(summary)} |" for name, (_, summary) in COMMANDS.items()]
    return "\n".join(lines) + "\n"


def _described(command: Any, path: str, *, level: int) -> Iterator[str]:
    yield f"{'#' * level} {path}\n"
    yield inspect.cleandoc(command.help or "").replace("\f", "") + "\n"
    children = getattr(command, "commands", None)
    if children is not None:
        for name, child in children.items():
            yield from _described(child, f"{path} {name}", level=level + 1)
        return
    context = command.make_context(path, [], resilient_parsing=True)
    shown = [p for p in command.params if not getattr(p, "hidden", False)]
    arguments = [p for p in shown if p.param_type_name == "argument"]
    options = [p for p in shown if p.param_type_name == "option"]
    pieces = [piece for p in arguments for piece in p.get_usage_pieces(context)]
    yield f"```text\n{' '.join([path, *(['[OPTIONS]'] if options else []), *pieces])}\n```\n"
    for heading, parameters in (("Argument", arguments), ("Option", options)):
        if parameters:
            yield _table(heading, [p.get_help_record(context) for p in parameters])


def _table(heading: str, rows: Sequence[tuple[str, str]]) -> str:
    lines = [f"| {heading} | |", "|---|---|"]
    lines += [f"| `{_cell(name)}` | {_cell(words)} |" for name, words in rows]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main(arguments: Sequence[str]) -> int:
    """Write the reference to the file named."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    out = Path(arguments[0])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(reference(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
