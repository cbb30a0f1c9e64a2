"""Results of a search as CSV, JSON or XLSX, written while they are read."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from dicomfab.model.errors import InvalidInput

if TYPE_CHECKING:
    from dicomfab.services.search_found import Found, MergedFound
    from dicomfab.storage.searches import StoredSearch

#: What a value is called that a server did not return.
UNKNOWN: Final = "unknown"
#: Kind -> media type.
KINDS: Final = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
# What a spreadsheet would take for a formula, or skips before looking for one.
_MARKED: Final = ("=", "+", "-", "@", "\t", "\r", "'")
_PIECE: Final = 1 << 16
_MOST_SHEET_ROWS: Final = 1_048_575
_MOST_CELL_CHARS: Final = 32_767

Cells = Sequence[str | None]


@dataclass(frozen=True, slots=True)
class Table:
    """What is written.

    Args:
        about: the search and what each server said, for JSON.
        columns: keywords, with those of the table itself in front.
        rows: ``None`` is a value that is not known.
    """

    about: dict[str, Any]
    columns: Sequence[str]
    rows: Iterable[Cells]


def table(search: StoredSearch, found: Iterable[Found]) -> Table:
    """A row for each match of each server."""

    def cells(one: Found) -> Cells:
        return one.answer.name, one.answer.environment, *(one.match.values[c] for c in search.columns)

    return Table(_about(search), ("Server", "Environment", *search.columns), map(cells, found))


def merged_table(search: StoredSearch, found: Iterable[MergedFound]) -> Table:
    """A row for each patient, study, series or instance, with the servers that have it."""

    def cells(one: MergedFound) -> Cells:
        servers = "; ".join(dict.fromkeys(f.answer.name for f in one.found))
        counts = "; ".join(_count(f) for f in one.found)
        differs = " and ".join(one.differs)
        return servers, counts, differs, *(one.match.values[c] for c in search.columns)

    columns = ("Servers", "InstancesByServer", "Differing", *search.columns)
    return Table(_about(search), columns, map(cells, found))


def writer(kind: str) -> Callable[[Table], Iterator[bytes]]:
    """What writes a kind of file.

    Raises:
        InvalidInput: another kind.
    """
    known: dict[str, Callable[[Table], Iterator[bytes]]] = {"csv": _csv, "json": _json, "xlsx": _xlsx}
    if kind not in known:
        raise InvalidInput(
            f"export: {kind!r} is no kind of file that results are written to",
            field="export",
            value=kind,
            remedy=f"use {', '.join(known)}",
        )
    return known[kind]


def guarded(value: str) -> str:
    """A cell that no spreadsheet takes for a formula: with an apostrophe in front where it would."""
    return f"'{value}" if value.startswith(_MARKED) else value


def _csv(table: Table) -> Iterator[bytes]:
    out = io.StringIO(newline="")
    write = csv.writer(out)
    write.writerow(table.columns)
    for row in table.rows:
        write.writerow([UNKNOWN if cell is None else guarded(cell) for cell in row])
        if out.tell() > _PIECE:
            yield out.getvalue().encode()
            out.seek(0)
            out.truncate()
    yield out.getvalue().encode()


def _json(table: Table) -> Iterator[bytes]:
    head = json.dumps(table.about, indent=2, ensure_ascii=False, default=str)
    yield head.removesuffix("\n}").encode() + b',\n  "matches": ['
    separator = "\n    "
    for row in table.rows:
        yield (separator + json.dumps(dict(zip(table.columns, row, strict=True)), ensure_ascii=False)).encode()
        separator = ",\n    "
    yield b"\n  ]\n}\n"


def _xlsx(table: Table) -> Iterator[bytes]:
    from xlsxwriter import Workbook

    with tempfile.TemporaryFile() as file:
        # In constant memory rows go to the disk as they are written. Every cell is a text: what a server says is never
        # a formula.
        with Workbook(file, {"constant_memory": True}) as book:
            sheet = book.add_worksheet("Matches")
            sheet.freeze_panes(1, 0)
            bold = book.add_format({"bold": True})
            for place, column in enumerate(table.columns):
                sheet.write_string(0, place, column, bold)
            for number, row in zip(range(1, _MOST_SHEET_ROWS + 1), table.rows, strict=False):
                for place, cell in enumerate(row):
                    sheet.write_string(number, place, UNKNOWN if cell is None else cell[:_MOST_CELL_CHARS])
        file.seek(0)
        while piece := file.read(_PIECE):
            yield piece


def _about(search: StoredSearch) -> dict[str, Any]:
    return {"search": dict(search.spec), "servers": [asdict(answer) for answer in search.answers]}


def _count(found: Found) -> str:
    count = found.match.instances
    return f"{found.answer.name}: {UNKNOWN if count is None else count}"
