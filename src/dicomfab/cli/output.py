"""What commands print.

People get tables on standard output and errors on standard error. With ``--json`` there is exactly one JSON document
on standard output, whether the command succeeded or not: a failure prints ``{"error": {...}}`` there and nothing on
standard error. (A command line that cannot be parsed is explained on standard error, with or without.)

Exit codes: 0 done, 1 a fault of this machine, 2 input that cannot be used, 3 not found, 4 the peer or the road to it
failed, 5 not allowed or not confirmed, 130 stopped by the user. 6 to 8 are verdicts: see :mod:`.report`,
:mod:`.validate`.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dicomfab.cli import session
from dicomfab.model.errors import ConfirmationRequired, DicomFabError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


def _traced(wanted: bool) -> bool:
    if wanted:
        session.start_tracing()
    return wanted


Trace = Annotated[
    bool,
    typer.Option(
        "--trace",
        callback=_traced,
        help="Show on standard error what was said on the network: PDUs and messages with their times, without patient "
        "data. With --json as JSON.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]

# Never colour alone: the word stands beside it.
_ENVIRONMENT_STYLES = {"test": "bold cyan", "prod": "bold magenta"}
_PIPE_COLUMNS = 200


def print_json(document: object) -> None:
    """Print one JSON document; ASCII, so that no terminal or pipe can fail on it."""
    print(json.dumps(document, indent=2, default=str))


def print_text(text: str) -> None:
    """Print a line as it is, but for what could steer a terminal."""
    _console().print(_styled(text, ""), soft_wrap=True)


def print_styled(text: Text) -> None:
    """Print a line that has its styles already."""
    _console().print(text, soft_wrap=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """Print rows under headings; long cells are folded, nothing is cut off."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_styled(cell, "") if isinstance(cell, str) else cell for cell in row))
    _console().print(table)


def environment_text(environment: str) -> Text:
    """``test`` in teal, ``prod`` in purple."""
    return _styled(environment, _ENVIRONMENT_STYLES[environment])


def verdict_text(ok: bool, words: str) -> Text:
    """Words in green or red."""
    return _styled(words, "green" if ok else "bold red")


def print_error(error: DicomFabError, *, as_json: bool) -> None:
    """Print a failure where the reader of this command looks for it."""
    if as_json:  # in one line: some commands print a document a line
        print(json.dumps({"error": error.as_dict()}, default=str), flush=True)
        return
    heading, _, rest = str(error).partition(":")
    text = _styled(f"{heading}:", "bold red")
    text.append(clean(rest), style="")
    _console(stderr=True).print(text, soft_wrap=True)


def confirm(question: str, *, yes: bool, as_json: bool, flag: str = "--yes") -> None:
    """Ask before something that cannot be taken back.

    Args:
        question: what would happen.
        yes: it was confirmed on the command line.
        as_json: a program is reading, so nobody can be asked.
        flag: the option that confirms.

    Raises:
        ConfirmationRequired: there is nobody to ask, or the answer was no.
    """
    if yes:
        return
    asked = not as_json and sys.stdin.isatty()
    if asked and typer.confirm(clean(question), err=True):
        return
    raise ConfirmationRequired(
        f"not confirmed: {question} Nothing was done",
        cause="the answer was no" if asked else "there is no terminal to ask on",
        remedy=f"repeat the command with {flag} if that is what you want",
    )


def counted(number: int, one: str, many: str = "") -> str:
    """``1 study``, ``2 studies``."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def clean(text: str) -> str:
    """Without the control characters by which text from a peer could steer the terminal."""
    return "".join(
        c if c == "\n" or unicodedata.category(c) not in {"Cc", "Cs"} else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def _styled(text: str, style: str) -> Text:
    from rich.text import Text

    return Text(clean(text), style=style)


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    options: dict[str, Any] = {} if stream.isatty() else {"width": _PIPE_COLUMNS}
    return Console(file=stream, highlight=False, **options)


def log_to_stderr() -> None:
    """Have standard error say what goes on, from INFO up: for commands that stay."""
    import logging

    from dicomfab.model.log_lines import LogLines

    handler = logging.StreamHandler()
    handler.setFormatter(LogLines("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
