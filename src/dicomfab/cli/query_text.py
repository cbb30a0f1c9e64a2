"""What ``dicomfab query`` prints: what each server said, merged or not, and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dicomfab.cli import output
from dicomfab.cli.report import WITH_RESERVATION
from dicomfab.cli.session import actor
from dicomfab.model.errors import AccessDenied, Interrupted, PeerError, Recorded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dicomfab.app.build import Application
    from dicomfab.services.search_found import MergedFound
    from dicomfab.services.search_match import Match
    from dicomfab.services.study_filter import StudyFilter
    from dicomfab.storage.searches import StoredAnswer


def exit_code(states: Iterable[str]) -> int:
    """0 all servers answered; 130 it was stopped; else the worst: 4 one failed, 5 it may not be asked, 9 it warned."""
    found = set(states)
    if "stopped" in found:
        return Interrupted.exit_code
    if found - {"ok", "warning", "not allowed"}:
        return PeerError.exit_code
    if "not allowed" in found:
        return AccessDenied.exit_code
    return WITH_RESERVATION if "warning" in found else 0


def matches_of(built: Application, search_id: str, answer: StoredAnswer) -> Iterator[Match]:
    """The matches of one server."""
    from dicomfab.services.search import View

    return (found.match for found in built.searches.rows(actor(), search_id, View(server=answer.server_id)))


def print_answer(answer: StoredAnswer, rows: list[Match], search: StudyFilter, limit: int) -> None:
    """Print what one server said, and its matches."""
    from rich.text import Text

    head = Text(f"{output.clean(answer.name)} ", style="bold")
    if answer.environment:
        head.append_text(output.environment_text(answer.environment))
    if answer.state == "waiting":
        head.append("  has not answered yet", style="yellow")
        output.print_styled(head)
    elif answer.error is not None:
        head.append(f"  {answer.state.upper()} after {answer.seconds:.1f} s", style="bold red")
        output.print_styled(head)
        print("\n".join(f"  {line}" for line in output.clean(str(Recorded(answer.error))).splitlines()))
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


def print_merged(built: Application, search_id: str, search: StudyFilter) -> None:
    """Print one row for what several servers hold."""
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


def print_summary(answers: Sequence[StoredAnswer], search: StudyFilter) -> None:
    """Print how much was found, and how many servers failed."""
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


def print_messages(built: Application, search_id: str, answers: Sequence[StoredAnswer]) -> None:
    """Print what was sent to each server and what it answered."""
    from dicomfab.services.search_messages import lines

    for answer in answers:
        log = built.searches.messages(actor(), search_id, answer.server_id)
        for line in lines(answer.name, log) if log is not None else ():
            print(output.clean(line.replace("\n", " ")))


def document(
    built: Application, search_id: str, answers: Sequence[StoredAnswer], *, merged: bool, messages: bool = False
) -> dict[str, Any]:
    """What every server said, as plain values."""
    from dicomfab.app.plain import answer_dict, merged_dict

    plain: dict[str, Any] = {
        "servers": [
            {
                **answer_dict(answer),
                "matches": [match.as_dict() for match in matches_of(built, search_id, answer)],
                **({"messages": built.searches.messages(actor(), search_id, answer.server_id)} if messages else {}),
            }
            for answer in answers
        ]
    }
    if merged:
        plain["merged"] = [merged_dict(row) for row in built.searches.merged(actor(), search_id)]
    return plain
