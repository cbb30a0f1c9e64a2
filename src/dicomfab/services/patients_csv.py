"""Patients as CSV, for spreadsheets and back again without loss."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from dicomfab.fabricate.patients import FIELD_NAMES
from dicomfab.model.errors import InvalidInput
from dicomfab.storage.patients import StoredPatient

COLUMNS: Final = (*FIELD_NAMES, "revision")
_SHOWN: Final = 20
# What a spreadsheet would take for a formula; and the mark that is put before it, which must be marked itself.
_MARKED: Final = ("=", "+", "-", "@", "'")
_ALIASES: Final = {
    "id": "patient_id",
    "issuerofpatientid": "issuer",
    "patientname": "name",
    "dateofbirth": "birth_date",
    "patientbirthdate": "birth_date",
    "patientsex": "sex",
    "patientsize": "size_m",
    "patientweight": "weight_kg",
    **{name.replace("_", ""): name for name in COLUMNS},
}


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


def read_rows(text: str, *, source: str) -> tuple[list[CsvRow], list[RowProblem]]:
    """Read a table with a heading line; comma, semicolon or tab, whichever the heading line has.

    Args:
        text: the file; a byte order mark in front is passed over.
        source: what errors call the file.

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
    columns: list[str] = []
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if not columns:
                    columns = _columns(cells, line, source)
                elif len(cells) != len(columns):
                    what = f"the row has {len(cells)} cells, the heading line has {len(columns)}"
                    problems.append(RowProblem(line, "row", what))
                else:
                    rows.append(CsvRow(line, dict(zip(columns, map(_plain, cells), strict=True))))
            line = reader.line_num + 1
    except csv.Error as error:
        problems.append(RowProblem(line, "row", f"it cannot be read ({error})"))
    if not columns and not problems:
        raise unusable([RowProblem(1, "heading", "the file is empty")], source)
    return rows, problems


def write_rows(patients: Iterable[StoredPatient]) -> str:
    """The table of the patients; :func:`read_rows` gives back the same values.

    A value that a spreadsheet would run as a formula (it begins with ``=``, ``+``, ``-`` or ``@``) gets an apostrophe
    in front, and so does one that begins with an apostrophe; reading takes it away.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for one in patients:
        values = {**one.data.as_dict(), "revision": one.revision}
        writer.writerow(_guarded(values[name]) for name in COLUMNS)
    return out.getvalue()


def unusable(problems: Sequence[RowProblem], source: str) -> InvalidInput:
    """The error that names every row at fault (the first 20 in full)."""
    said = [f"line {p.line}, {p.field}: {p.what}" for p in problems[:_SHOWN]]
    more = len(problems) - len(said)
    if more:
        rest = ", ".join(str(p.line) for p in problems[_SHOWN : _SHOWN + 200])
        said.append(f"{more} more, in line{'s' if more > 1 else ''} {rest}{' and so on' if more > 200 else ''}")
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return InvalidInput(
        f"{source}: {count}, nothing was imported: {'; '.join(said)}",
        field=problems[0].field,
        value=problems[0].line,
        source=source,
        remedy="correct these lines and import the whole file again",
    )


def _columns(cells: Sequence[str], line: int, source: str) -> list[str]:
    columns, problems = [], []
    for cell in cells:
        column = _ALIASES.get(re.sub(r"[^a-z0-9]", "", cell.casefold()), "")
        if not column:
            problems.append(RowProblem(line, "heading", f"{cell!r} is no column (known: {', '.join(COLUMNS)})"))
        elif column in columns:
            problems.append(RowProblem(line, "heading", f"{cell!r} stands twice"))
        columns.append(column)
    if not problems and "patient_id" not in columns:
        problems.append(RowProblem(line, "heading", "there is no column patient_id"))
    if problems:
        raise unusable(problems, source)
    return columns


def _guarded(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_MARKED) else text


def _plain(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_MARKED) else cell
