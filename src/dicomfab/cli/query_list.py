"""``dicomfab query --list``: which servers hold the studies of a list."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, NoReturn

from dicomfab.cli import output
from dicomfab.cli.exports import write_export
from dicomfab.cli.files import read_text
from dicomfab.cli.progress import shown
from dicomfab.cli.query_text import exit_code
from dicomfab.cli.session import actor, application

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dicomfab.services.query import Asked
    from dicomfab.services.query_list import LookedUp, RowAnswer


def query_list(servers: Sequence[Asked], list_file: str, export: Path | None, kind: str, *, as_json: bool) -> NoReturn:
    """Look up every row of a list, print what each server says of it, and leave.

    The exit code is 130 if it was stopped, 4 if a server failed for any row, 5 if one may not be asked, 9 if one
    answered with a warning, else 0.

    Args:
        servers: whom to ask.
        list_file: a CSV file, or ``-`` for standard input.
        export: a file to write the table to.
        kind: of that file.
        as_json: print JSON.

    Raises:
        InvalidInput: the list cannot be used; nobody was asked.
    """
    from dicomfab.services import search_export
    from dicomfab.services.query_list import ListQuery, table
    from dicomfab.services.study_list import read_list

    rows = read_list(read_text(list_file, remedy="save it as CSV UTF-8"), source=list_file)
    built = application()
    with shown("query", quiet=as_json) as view:
        found = ListQuery(built.queries, built.database.now).look_up(
            actor(), rows, servers, on_progress=view.on_progress, cancelled=view.cancelled
        )
    if as_json:
        output.print_json(_document(servers, found))
    else:
        _print(servers, found)
    if export is not None:
        write_export(export, search_export.writer(kind)(table(servers, found)))
    sys.exit(exit_code(answer.state for one in found for answer in one.answers))


def _print(servers: Sequence[Asked], found: Sequence[LookedUp]) -> None:
    columns = ("line", "accession", "id", "date", *(server.name for server in servers), "study UID")
    output.print_table(columns, [_cells(one) for one in found])
    for place, server in enumerate(servers):
        failed = [one.answers[place] for one in found if one.answers[place].error is not None]
        for (word, why), count in Counter((answer.word, answer.why) for answer in failed).items():
            output.print_text(f"{server.name}: {output.counted(count, 'row')} {word.upper()}: {why}")
        for warning in dict.fromkeys(one.answers[place].warning for one in found if one.answers[place].warning):
            output.print_text(f"{server.name}: {warning}")
    held = sum(any(answer.studies for answer in one.answers) for one in found)
    output.print_text(f"{held} of {output.counted(len(found), 'row')} found on a server")


def _cells(one: LookedUp) -> tuple[str, ...]:
    row = one.row
    studies = list(dict.fromkeys(study for answer in one.answers for study in answer.studies))
    said = [_word(answer) for answer in one.answers]
    uids = row.study_instance_uid or "\n".join(studies[:3] + (["..."] if len(studies) > 3 else []))
    return str(row.line), row.accession_number, row.patient_id, row.study_date, *said, uids


def _word(answer: RowAnswer) -> str:
    if answer.error is not None:
        return answer.word.upper()
    if answer.word != "several":
        return answer.word
    return f"several: {len(answer.studies)}{' or more' if answer.truncated else ''}"


def _document(servers: Sequence[Asked], found: Sequence[LookedUp]) -> dict[str, Any]:
    return {
        "servers": [{"server": s.id, "name": s.name, "environment": str(s.environment)} for s in servers],
        "rows": [
            {
                "line": one.row.line,
                "accession_number": one.row.accession_number,
                "patient_id": one.row.patient_id,
                "study_instance_uid": one.row.study_instance_uid,
                "study_date": one.row.study_date,
                "servers": {
                    server.id: {
                        "outcome": answer.word,
                        "studies": list(answer.studies),
                        "truncated": answer.truncated,
                        "warning": answer.warning,
                        "error": answer.error.as_dict() if answer.error is not None else None,
                    }
                    for server, answer in zip(servers, one.answers, strict=True)
                },
            }
            for one in found
        ],
    }
