"""``dicomfab query``: search many PACS servers at once."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from dicomfab.cli import output
from dicomfab.cli.carry_out import ATTEMPTS, Detach, Priority, finish
from dicomfab.cli.exports import export_kind, write_export
from dicomfab.cli.progress import shown
from dicomfab.cli.query_text import (
    document,
    exit_code,
    matches_of,
    print_answer,
    print_merged,
    print_messages,
    print_summary,
)
from dicomfab.cli.session import actor, application
from dicomfab.cli.transfer_options import Via
from dicomfab.model.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from dicomfab.app.build import Application
    from dicomfab.services.query import Asked
    from dicomfab.services.search_saved import SavedSearch
    from dicomfab.services.study_filter import StudyFilter
    from dicomfab.storage.searches import StoredAnswer

app = typer.Typer(add_completion=False)

_LIMIT = 500

Pacs = Annotated[list[str] | None, typer.Option("--pacs", help="Id or name of a server; again for more. All active.")]
Key = Annotated[
    list[str] | None,
    typer.Option(
        "--key",
        help="A further key, KEYWORD=VALUE or GGGG,EEEE=VALUE; without a value it is only shown. Again for more.",
    ),
]
ListFile = Annotated[
    str,
    typer.Option(
        "--list",
        metavar="FILE",
        help="Look up each row of a CSV with a heading line of accession_number, patient_id, study_instance_uid, "
        "study_date; - is standard input. Says which servers hold it.",
    ),
]
KeptSearch = Annotated[
    str, typer.Option("--search", metavar="ID", help="Show the kept results of a search that a job made; asks nobody.")
]
Messages = Annotated[
    bool,
    typer.Option(
        "--messages",
        help="Show the DICOM messages with each server too: what was sent and answered. They name patients.",
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
    list_file: ListFile = "",
    search_id: KeptSearch = "",
    messages: Messages = False,
    via: Via = "",
    detach: Detach = False,
    priority: Priority = 5,
    _trace: output.Trace = False,
    as_json: output.Json = False,
) -> None:
    """Search patients, studies, series or instances on many PACS servers at once (C-FIND, QIDO-RS).

    Servers answer side by side: one that is down or hangs is reported as failed and delays no other. The exit code is
    4 when any server failed, 5 when one may not be asked, 9 when one answered with a warning, 130 when it was stopped,
    and a failed server is never shown as an empty one. Without a patient, accession number, UID or date, a search that
    has a production server among its servers is refused, and nobody is asked.

    --detach leaves the search to a worker: servers that fail for a reason that may pass are asked again, and the
    results are kept for a day. --list asks for each row of a file, within the hours and the rate of each server.
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
    kind = export_kind(export)
    if list_file or search_id:
        _alone(given, "list" if list_file else "search", saved, save, detach=detach or bool(list_file and search_id))
    if list_file:
        from dicomfab.cli.query_list import query_list
        from dicomfab.services.search import asked_by

        asked = [asked_by(server, via) for server in _servers(built, tuple(pacs or ()))]
        query_list(asked, list_file, export, kind, as_json=as_json)
    if search_id:
        kept = built.searches.get(actor(), search_id)
        _shown(built, search_id, export, kind, merged=merged, as_json=as_json, is_new=False, messages=messages)
        sys.exit(exit_code(answer.state for answer in kept.answers))
    wanted = _wanted(built, saved, given, pacs, limit)
    if save:
        built.searches.saved.save(actor(), dataclasses.replace(wanted, name=save))
    servers = _servers(built, wanted.servers)
    if detach:
        options: dict[str, Any] = {
            "limit": wanted.limit,
            "via": via,
            "priority": priority,
            "max_attempts": ATTEMPTS[True],
        }
        job = built.query_jobs.submit(actor(), servers, wanted.filter, **options)
        finish(job, "query", detach=True, as_json=as_json)
    _search(built, wanted, servers, export, kind, via=via, merged=merged, as_json=as_json, messages=messages)


def _search(
    built: Application,
    wanted: SavedSearch,
    servers: list[Asked],
    export: Path | None,
    kind: str,
    *,
    via: str,
    merged: bool,
    as_json: bool,
    messages: bool,
) -> NoReturn:
    """Ask at once, print what is said, keep nothing, and leave."""
    search_id = built.searches.begin(actor(), servers, wanted.filter, wanted.limit, via=via)
    try:
        _ask(built, search_id, wanted, merged=merged, as_json=as_json)
        _shown(built, search_id, export, kind, merged=merged, as_json=as_json, is_new=True, messages=messages)
        answers = built.searches.get(actor(), search_id).answers
    finally:
        built.searches.forget(actor(), search_id)
    sys.exit(exit_code(answer.state for answer in answers))


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


def _ask(built: Application, search_id: str, wanted: SavedSearch, *, merged: bool, as_json: bool) -> None:
    """Have the servers asked, and print what each says when it says it."""
    with shown("query", quiet=as_json) as view:
        for answer in built.searches.run(actor(), search_id, cancelled=view.cancelled):
            if not as_json:
                kept = {one.server_id: one for one in built.searches.get(actor(), search_id).answers}
                _print(built, search_id, kept[answer.server.id], wanted.filter, wanted.limit, merged=merged)


def _shown(
    built: Application,
    search_id: str,
    export: Path | None,
    kind: str,
    *,
    merged: bool,
    as_json: bool,
    is_new: bool,
    messages: bool,
) -> None:
    """Print what is kept, or what is still to be said of what was printed already, and export it."""
    from dicomfab.services.search import View, filter_of

    kept = built.searches.get(actor(), search_id)
    wanted = filter_of(kept)
    if as_json:
        output.print_json(document(built, search_id, kept.answers, merged=merged, messages=messages))
    else:
        if not is_new:
            for answer in kept.answers:
                _print(built, search_id, answer, wanted, int(kept.spec["limit"]), merged=merged)
        if merged:
            print_merged(built, search_id, wanted)
        if messages:
            print_messages(built, search_id, kept.answers)
        print_summary(kept.answers, wanted)
    if export is not None:
        write_export(export, built.searches.export(actor(), search_id, kind, View(merged=merged)))


def _print(
    built: Application, search_id: str, answer: StoredAnswer, wanted: StudyFilter, limit: int, *, merged: bool
) -> None:
    print_answer(answer, [] if merged else list(matches_of(built, search_id, answer)), wanted, limit)


def _alone(given: StudyFilter, option: str, saved: str, save: str, *, detach: bool) -> None:
    """Refuse what would be ignored beside a list, or beside results that are kept."""
    from dicomfab.services.study_filter import StudyFilter

    if dataclasses.replace(given, level="study") != StudyFilter() or saved or save or detach:
        raise InvalidInput(
            f"{option}: given together with another search, or with --detach",
            field=option,
            cause="one of them would be ignored",
            remedy="leave out the others; --pacs, --merged, --export and --json say whom to ask and what to show",
        )
