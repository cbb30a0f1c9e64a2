"""``dicomfab import-legacy``: move over from the predecessor."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from dicomfab.cli import output
from dicomfab.cli.session import actor, application
from dicomfab.model.errors import TransferIncomplete

if TYPE_CHECKING:
    from dicomfab.services.legacy.findings import Finding, Kind, Plan, Verdict

app = typer.Typer(add_completion=False)

#: Of what is added or the same, so many of a file are listed; of the rest, all.
_SHOWN: Final = 25
_WORDS: Final = {
    "add": "add",
    "same": "same already",
    "conflict": "CONFLICT",
    "refused": "NOT TAKEN",
    "aside": "left aside",
}


@app.command()
def import_legacy(
    folder: Annotated[Path, typer.Argument(help="The predecessor's folder, or its data or config.", metavar="DIR")],
    apply: Annotated[bool, typer.Option("--apply", help="Carry it out. Without, nothing is changed.")] = False,
    as_json: output.Json = False,
) -> None:
    """Move over from the predecessor: its servers and routes, patients, groups and accounts.

    Reads pacs_config.json, patient_registry.json, users.json and group_mappings.json, in DIR itself, DIR/data or
    DIR/config, and shows what would be added, what is the same already and what cannot be taken, and why. Passwords are
    never taken. What is here already stays as it is. Exit code 6: something was left out.
    """
    service = application().legacy
    plan = service.plan(actor(), folder)
    if apply and not plan.is_empty:
        service.carry_out(actor(), plan)
    if as_json:
        output.print_json({**plan.as_dict(), "is_applied": apply})
    else:
        _print_findings(plan, is_applied=apply)
        _print_end(plan, is_applied=apply)
    if plan.left_out:
        sys.exit(TransferIncomplete.exit_code)


def _print_findings(plan: Plan, *, is_applied: bool) -> None:
    words = {**_WORDS, "add": "added" if is_applied else "add"}
    for file in dict.fromkeys(one.file for one in plan.findings):
        found = [one for one in plan.findings if one.file == file]
        output.print_text(file)
        output.print_table(("", "", "entry", ""), [row for one in _listed(found) for row in _rows(one, words)])
        if hidden := len(found) - len(_listed(found)):
            output.print_text(f"and {hidden} more that are added or the same already (see --json)")


def _listed(found: list[Finding]) -> list[Finding]:
    from dicomfab.services.legacy.findings import Verdict

    plain = [one for one in found if one.verdict in (Verdict.ADD, Verdict.SAME)]
    hidden = {id(one) for one in plain[_SHOWN:]}
    return [one for one in found if id(one) not in hidden]


def _rows(one: Finding, words: Mapping[str, str]) -> Iterator[tuple[str, str, str, str]]:
    yield words[one.verdict], str(one.kind), one.entry, one.says
    for note in one.notes:
        yield "", "", "", f"- {note}"


def _print_end(plan: Plan, *, is_applied: bool) -> None:
    from dicomfab.services.legacy.findings import Kind, Verdict

    kinds = (Kind.SERVER, Kind.ROUTE, Kind.PATIENT, Kind.GROUP, Kind.ACCOUNT)
    done = "Added" if is_applied else "Would add"
    output.print_text(f"{done}: {_counts(plan, kinds, Verdict.ADD) or 'nothing'}")
    if same := _counts(plan, kinds, Verdict.SAME):
        output.print_text(f"The same already: {same}")
    if plan.left_out:
        output.print_text(f"Left out: {output.counted(len(plan.left_out), 'entry', 'entries')}, see above")
    if not is_applied and not plan.is_empty:
        output.print_text("Nothing was changed. To carry it out, repeat the command with --apply")
    if is_applied and plan.accounts:
        output.print_text("Nobody can sign in to these accounts before they have a new password:")
        for account in plan.accounts:
            output.print_text(f"  dicomfab users password {account.name}")


def _counts(plan: Plan, kinds: Iterable[Kind], verdict: Verdict) -> str:
    counts = ((plan.count(kind, verdict), str(kind)) for kind in kinds)
    return ", ".join(output.counted(number, word) for number, word in counts if number)
