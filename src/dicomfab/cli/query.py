"""``dicomfab query``: search many PACS servers at once."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dicomfab.cli import output
from dicomfab.cli.progress import shown
from dicomfab.cli.session import actor, application
from dicomfab.model.errors import InvalidInput, LocalFailure, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dicomfab.app.build import Application
    from dicomfab.services.query import Asked, ServerAnswer
    from dicomfab.services.search_found import MergedFound
    from dicomfab.services.search_match import Match
    from dicomfab.services.search_saved import SavedSearch
    from dicomfab.services.study_filter import StudyFilter

app = typer.Typer(add_completion=False)

_LIMIT = 500
_WITH_RESERVATION = 9

Pacs = Annotated[list[str] | None, typer.Option("--pacs", help="Id or name of a server; again for more. All active.")]
Key = Annotated[
    list[str] | None,
    typer.Option(
        "--key",
        help="A further key, KEYWORD=VALUE or GGGG,EEEE=VALUE; without a value it is only shown. Again for more.",
    ),
]


@app.command()
def query(
    pacs: Pacs = None,
    patient_name: Annotated[
        str, typer.Option(help="FAMILY^GIVEN; * and ? are wildcards, one is added at the end.")
    ] = "",
    patient_id: Annotated[str, typer.Option(help="Exact, or with wildcards.")] = "",
    accession: Annotated[str, typer.Option(help="Accession number; exact, or with wildcards.")] = "",
    date: Annotated[
        str,
        typer.Option(help="Study date: YYYY-MM-DD, A..B, today, yesterday, 'last 7 days', 'this week', 'this month'."),
    ] = "",
    date_from: Annotated[str, typer.Option(help="First study date, YYYY-MM-DD.")] = "",
    date_to: Annotated[str, typer.Option(help="Last study date, YYYY-MM-DD.")] = "",
    modality: Annotated[str, typer.Option(help="One modality of the study, such as CT.")] = "",
    description: Annotated[str, typer.Option(help="Study description; a wildcard is added at the end.")] = "",
    study: Annotated[str, typer.Option(help="Study Instance UID.")] = "",
    series: Annotated[str, typer.Option(help="Series Instance UID, at series and instance level.")] = "",
    instance: Annotated[str, typer.Option(help="SOP Instance UID, at instance level.")] = "",
    level: Annotated[str, typer.Option(help="What is searched for: patient, study, series or instance.")] = "",
    key: Key = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Matches per server at most: 500, or as saved.", show_default=False)
    ] = None,
    merged: Annotated[bool, typer.Option("--merged", help="One row for what several servers hold.")] = False,
    export: Annotated[Path | None, typer.Option(help="Write the results to FILE.csv, .json or .xlsx too.")] = None,
    saved: Annotated[str, typer.Option(help="Search as saved under this name; other options add to it.")] = "",
    save: Annotated[str, typer.Option(help="Save the search under this name, without results.")] = "",
    forget: Annotated[str, typer.Option(help="Remove the saved search of this name, and search nothing.")] = "",
    _trace: output.Trace = False,
    as_json: output.Json = False,
) -> None:
    """Search patients, studies, series or instances on many PACS servers at once (C-FIND).

    Servers answer side by side: one that is down or hangs is reported as failed and delays no other. The exit code is
    4 when any server failed, 5 when one may not be asked, 9 when one answered with a warning, and a failed server is
    never shown as an empty one. Without a patient, accession number, UID or date, no production server is asked.
    """
    from dicomfab.services.study_filter import StudyFilter

    built = application()
    if forget:
        built.searches.saved.remove(actor(), forget)
        output.print_json({"forgotten": forget}) if as_json else output.print_text(f"Forgot the search {forget}.")
        return
    given = StudyFilter(
        patient_name, patient_id, accession, date_from, date_to, modality, description, study, date, level, series,
        instance, tuple(key or ()),
    )  # fmt: skip
    wanted = _wanted(built, saved, given, pacs, limit)
    if save:
        built.searches.saved.save(actor(), dataclasses.replace(wanted, name=save))
    kind = _kind(export)
    search_id = built.searches.begin(actor(), _servers(built, wanted.servers), wanted.filter, wanted.limit)
    try:
        answers = _asked(built, search_id, wanted, merged=merged, as_json=as_json)
        if as_json:
            output.print_json(_document(built, search_id, answers, merged=merged))
        elif merged:
            _print_merged(built, search_id, wanted.filter)
        if not as_json:
            _print_summary(answers, wanted.filter)
        if export is not None:
            _write(export, built.searches.export(actor(), search_id, kind, _view(merged=merged)))
    finally:
        built.searches.forget(actor(), search_id)
    sys.exit(exit_code(answers))


def exit_code(answers: Iterable[ServerAnswer]) -> int:
    """0 all answered; else the worst: 4 a server failed, 5 one may not be asked, 9 one answered with a warning."""
    states = {str(answer.state) for answer in answers}
    if states - {"ok", "warning", "not allowed"}:
        return 4
    if "not allowed" in states:
        return 5
    return _WITH_RESERVATION if "warning" in states else 0


def _wanted(
    built: Application, saved: str, given: StudyFilter, pacs: list[str] | None, limit: int | None
) -> SavedSearch:  # fmt: skip
    """The search: the saved one, if any, with what else was given."""
    from dicomfab.services.search_saved import SavedSearch
    from dicomfab.services.study_filter import StudyFilter

    base = built.searches.saved.load(actor(), saved) if saved else SavedSearch("", (), StudyFilter(), _LIMIT)
    changes: dict[str, Any] = {f.name: getattr(given, f.name) for f in dataclasses.fields(given)}
    changes = {name: value for name, value in changes.items() if value}
    changes["keys"] = (*base.filter.keys, *given.keys)
    wanted = dataclasses.replace(base.filter, **changes)
    return SavedSearch(saved, tuple(pacs or base.servers), wanted, limit or base.limit)


def _servers(built: Application, names: tuple[str, ...]) -> list[Asked]:
    if names:
        return built.searches.targets(actor(), names)
    active: list[Asked] = [server for server in built.pacs.servers(actor()) if server.is_active]
    if not active:
        raise NotFound(
            "there is no active PACS server to ask.",
            cause="the registry is empty, or every server in it is switched off",
            remedy="add one (dicomfab pacs add), or use the test servers (dicomfab lab start, dicomfab lab configure)",
        )
    return active


def _kind(export: Path | None) -> str:
    from dicomfab.services.search_export import KINDS

    kind = export.suffix.removeprefix(".").lower() if export else "csv"
    if kind not in KINDS:
        raise InvalidInput(
            f"export: {str(export)!r} is no file that results are written to",
            field="export",
            value=str(export),
            cause="the end of its name says what it will hold",
            remedy=f"give it a name that ends with {', '.join('.' + k for k in KINDS)}",
        )
    return kind


def _write(path: Path, pieces: Iterator[bytes]) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            file.writelines(pieces)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise LocalFailure(
            f"the results cannot be written to {path} ({error.strerror})",
            cause="the folder is not there or cannot be written, or the disk is full",
            remedy="name another file, and search again",
        ) from error


def _asked(
    built: Application, search_id: str, wanted: SavedSearch, *, merged: bool, as_json: bool
) -> list[ServerAnswer]:
    answers = []
    with shown("query", quiet=as_json) as view:
        for answer in built.searches.run(actor(), search_id, cancelled=view.cancelled):
            answers.append(answer)
            if not as_json:
                rows = [] if merged else list(_matches(built, search_id, answer))
                _print_answer(answer, rows, wanted.filter, wanted.limit)
    return answers


def _matches(built: Application, search_id: str, answer: ServerAnswer) -> Iterator[Match]:
    from dicomfab.services.search import View

    return (found.match for found in built.searches.rows(actor(), search_id, View(server=answer.server.id)))


def _view(*, merged: bool) -> Any:
    from dicomfab.services.search import View

    return View(merged=merged)


def _print_answer(answer: ServerAnswer, rows: list[Match], search: StudyFilter, limit: int) -> None:
    from rich.text import Text

    head = Text(f"{output.clean(answer.server.name)} ", style="bold")
    if answer.server.environment:
        head.append_text(output.environment_text(str(answer.server.environment)))
    if answer.error is not None:
        head.append(f"  {str(answer.state).upper()} after {answer.seconds:.1f} s", style="bold red")
        output.print_styled(head)
        print("\n".join(f"  {line}" for line in output.clean(str(answer.error)).splitlines()))
    else:
        more = f", the first {limit} of more: narrow the search" if answer.truncated else ""
        head.append(f"  {_counted(answer.found, search)} in {answer.seconds:.2f} s{more}")
        output.print_styled(head)
    for note in filter(None, (answer.warning, *answer.notes)):
        output.print_text(f"  Note: {note}")
    if rows:
        if answer.error is not None:
            output.print_text("  What had come before; there may be more:")
        columns = _columns(search)
        output.print_table(
            [heading for heading, _ in columns], [[_cell(m, column) for _, column in columns] for m in rows]
        )


def _print_merged(built: Application, search_id: str, search: StudyFilter) -> None:
    columns = [(heading, column) for heading, column in _columns(search) if heading not in ("series", "instances")]
    rows = []
    for found in built.searches.merged(actor(), search_id):
        values = [_cell(found.match, column) for _, column in columns]
        rows.append([_on(found), "DIFFERS" if found.differs else "", *values])
    output.print_table(["on", "counts", *(heading for heading, _ in columns)], rows)


def _on(merged: MergedFound) -> str:
    """The servers, with the instances that each says it has."""
    parts = []
    for one in merged.found:
        count = one.match.instances
        said = "unknown" if count is None else output.counted(count, "instance")
        parts.append(f"{one.answer.name}: {said}" if "Instances" in "".join(one.match.values) else one.answer.name)
    return "\n".join(parts)


def _print_summary(answers: list[ServerAnswer], search: StudyFilter) -> None:
    found = sum(answer.found for answer in answers)
    failed = sum(answer.error is not None for answer in answers)
    asked = f"{_counted(found, search)} on {output.counted(len(answers), 'server')}"
    output.print_text(asked + (f", {output.counted(failed, 'server')} FAILED" if failed else ""))


def _counted(count: int, search: StudyFilter) -> str:
    one = "instance" if search.query_level == "IMAGE" else str(search.query_level).lower()
    return output.counted(count, one, {"study": "studies", "series": "series"}.get(one, ""))


def _columns(search: StudyFilter) -> list[tuple[str, str]]:
    """Headings and columns for a terminal: the UID last, where it may fold."""
    from dicomfab.services.search_match import shown as shown_columns
    from dicomfab.services.study_filter import UNIQUE

    short = {"Patient ID": "id"}
    level = search.query_level
    columns = [(short.get(text, text.lower()), name) for name, text in shown_columns(search).items()]
    if level == "STUDY":
        columns.append(("study UID", UNIQUE[level]))
    return columns


def _cell(match: Match, column: str) -> str:
    value = match.values[column]
    if value is None or (not value and column.startswith("NumberOf")):
        return "unknown"
    return value.replace("\\", "/")


def _document(built: Application, search_id: str, answers: list[ServerAnswer], *, merged: bool) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "servers": [
            {
                "server": answer.server.id,
                "name": answer.server.name,
                "environment": str(answer.server.environment),
                "state": str(answer.state),
                "seconds": round(answer.seconds, 3),
                "found": answer.found,
                "truncated": answer.truncated,
                "error": answer.error.as_dict() if answer.error else None,
                "warning": answer.warning,
                "notes": list(answer.notes),
                "matches": [match.as_dict() for match in _matches(built, search_id, answer)],
            }
            for answer in answers
        ]
    }
    if merged:
        plain["merged"] = [
            {
                "values": dict(row.match.values),
                "differs": list(row.differs),
                "servers": [
                    {"server": one.answer.server_id, "series": one.match.series, "instances": one.match.instances}
                    for one in row.found
                ],
            }
            for row in built.searches.merged(actor(), search_id)
        ]
    return plain
