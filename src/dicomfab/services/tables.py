"""Tables as CSV: read with what is wrong of each row, and safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dicomfab.model.errors import InvalidInput

_SHOWN: Final = 20
# What a spreadsheet would take for a formula; and the mark that is put before it, which must be marked itself.
_MARKED: Final = ("=", "+", "-", "@", "'")


@dataclass(frozen=True, slots=True)
class CsvRow:
    """One row.

    Args:
        line: of the file, where the row begins, counted from 1.
        values: column -> text of the cell.
    """

    line: int
    values: dict[str, str]


@dataclass(frozen=True, slots=True)
class RowProblem:
    """Why a row cannot be used."""

    line: int
    field: str
    what: str


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that a table may have.

    Args:
        names: of all.
        aliases: other spellings, in small letters and digits only -> name.
        needed: at least one of these has to be there.
    """

    names: tuple[str, ...]
    aliases: Mapping[str, str]
    needed: tuple[str, ...]

    def find(self, heading: str) -> str:
        """The column that a heading means; empty if there is none."""
        key = re.sub(r"[^a-z0-9]", "", heading.casefold())
        return {name.replace("_", ""): name for name in self.names}.get(key) or self.aliases.get(key, "")


def read_rows(text: str, columns: Columns, *, source: str, undone: str) -> tuple[list[CsvRow], list[RowProblem]]:
    """Read a table with a heading line; comma, semicolon or tab, whichever the heading line has.

    Args:
        text: the file; a byte order mark in front is passed over.
        columns: which there may be.
        source: what errors call the file.
        undone: what did not happen if it cannot be used, such as ``nothing was imported``.

    Returns:
        The rows that have a cell for each column, and what is wrong with the others.

    Raises:
        InvalidInput: there is no heading line, or one with a column that is unknown or stands twice.
    """
    text = text.removeprefix("\ufeff")
    first = text.partition("\n")[0]
    delimiter = next((d for d in ";\t" if d in first), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[CsvRow] = []
    problems: list[RowProblem] = []
    found: list[str] = []
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if not found:
                    found = _found(cells, line, columns, source, undone)
                elif len(cells) != len(found):
                    what = f"the row has {len(cells)} cells, the heading line has {len(found)}"
                    problems.append(RowProblem(line, "row", what))
                else:
                    rows.append(CsvRow(line, dict(zip(found, map(_plain, cells), strict=True))))
            line = reader.line_num + 1
    except csv.Error as error:
        problems.append(RowProblem(line, "row", f"it cannot be read ({error})"))
    if not found:
        raise unusable(problems or [RowProblem(1, "heading", "the file is empty")], source, undone)
    return rows, problems


def unusable(problems: Sequence[RowProblem], source: str, undone: str) -> InvalidInput:
    """The error that names every row at fault (the first 20 in full)."""
    said = [f"line {p.line}, {p.field}: {p.what}" for p in problems[:_SHOWN]]
    more = len(problems) - len(said)
    if more:
        rest = ", ".join(str(p.line) for p in problems[_SHOWN : _SHOWN + 200])
        said.append(f"{more} more, in line{'s' if more > 1 else ''} {rest}{' and so on' if more > 200 else ''}")
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return InvalidInput(
        f"{source}: {count}, {undone}: {'; '.join(said)}",
        field=problems[0].field,
        value=problems[0].line,
        source=source,
        remedy="correct these lines and give the whole file again",
    )


def _found(cells: Sequence[str], line: int, columns: Columns, source: str, undone: str) -> list[str]:
    found, problems = [], []
    for cell in cells:
        column = columns.find(cell)
        if not column:
            problems.append(RowProblem(line, "heading", f"{cell!r} is no column (known: {', '.join(columns.names)})"))
        elif column in found:
            problems.append(RowProblem(line, "heading", f"{cell!r} stands twice"))
        found.append(column)
    if not problems and not set(found) & set(columns.needed):
        problems.append(RowProblem(line, "heading", f"there is no column {' or '.join(columns.needed)}"))
    if problems:
        raise unusable(problems, source, undone)
    return found


def guarded(value: object) -> str:
    """The cell of a value: what a spreadsheet would run gets an apostrophe in front, which reading takes away."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_MARKED) else text


def _plain(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_MARKED) else cell
