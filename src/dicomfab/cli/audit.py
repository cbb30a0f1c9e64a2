"""``dicomfab audit``: who did what, and whether the log of it is as it was written.

``verify`` leaves with 6 if it is not.
"""

from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from dicomfab.cli import output
from dicomfab.cli.session import actor, application
from dicomfab.model.audit import EventKind, Outcome
from dicomfab.model.values import Environment

if TYPE_CHECKING:
    from dicomfab.storage.audit import AuditFilter

BROKEN: Final = 6

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="The audit log: list, show, export, verify, deliver, purge what no longer has to be kept, begin a new key.",
)

Who = Annotated[str, typer.Option("--actor", help="Only those of users with this in their name.")]
Kinds = Annotated[list[EventKind] | None, typer.Option("--kind", help="Only of this kind; again for more.")]
Outcomes = Annotated[list[Outcome] | None, typer.Option("--outcome", help="Only with this outcome; again for more.")]
Since = Annotated[str, typer.Option(help="Not before this day or moment, as 2026-03-02 or 2026-03-02T08:30.")]
Until = Annotated[str, typer.Option(help="Not after this day, or before this moment.")]
Where = Annotated[Environment | None, typer.Option("--environment", help="Only what touched this environment.")]
Text = Annotated[str, typer.Option(help="Only with this anywhere in it: a server, a UID, a Patient ID.")]


@app.command("list")
def list_(
    who: Who = "",
    kind: Kinds = None,
    outcome: Outcomes = None,
    since: Since = "",
    until: Until = "",
    environment: Where = None,
    text: Text = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 30,
    before: Annotated[int | None, typer.Option(min=1, help="Only entries with a smaller number.")] = None,
    as_json: output.Json = False,
) -> None:
    """List entries, the newest first. That you read them becomes an entry, too."""
    from dicomfab.app.audit_words import OUTCOME_WORDS, what
    from dicomfab.services.audit import entry_values

    wanted = _filter(who, kind, outcome, since, until, environment, text)
    page = application().audit.page(actor(), wanted, limit=limit, before=before)
    if as_json:
        output.print_json({"total": page.total, "entries": [entry_values(entry) for entry in page.entries]})
        return
    if not page.entries:
        output.print_text("No such entries.")
        return
    rows = [
        (
            str(entry.seq),
            f"{entry.event.at.astimezone():%Y-%m-%d %H:%M:%S}" if entry.event.at else "",
            entry.event.actor,
            entry.event.address or entry.event.door,
            entry.event.environment,
            OUTCOME_WORDS[entry.event.outcome],
            what(entry.event),
        )
        for entry in page.entries
    ]
    output.print_table(("entry", "when", "who", "from", "environment", "outcome", "what"), rows)
    if page.total > len(page.entries):
        output.print_text(f"{len(page.entries)} of {page.total}; older ones: --before {page.entries[-1].seq}")


@app.command()
def show(
    entry: Annotated[int, typer.Argument(min=1, help="Number of the entry.")],
    as_xml: Annotated[bool, typer.Option("--xml", help="Print its audit message, as of DICOM PS3.15 A.5.")] = False,
    as_json: output.Json = False,
) -> None:
    """Show one entry: everything that was recorded."""
    from dicomfab.app.audit_words import facts
    from dicomfab.services.audit import entry_values

    found = application().audit.show(actor(), entry)
    if as_json:
        output.print_json(entry_values(found))
    elif as_xml:
        output.print_text(application().audit.message(found))
    else:
        output.print_text(f"Entry {found.seq}")
        for label, words in facts(found.event):
            output.print_text(f"  {label:<24} {words}")
        output.print_text(f"  {'MAC':<24} {found.mac}")


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="A file to write, by its end: .csv, .json, .xml.")],
    who: Who = "",
    kind: Kinds = None,
    outcome: Outcomes = None,
    since: Since = "",
    until: Until = "",
    environment: Where = None,
    text: Text = "",
    as_json: output.Json = False,
) -> None:
    """Write entries to a file, the oldest first: CSV, JSON, or the audit messages of DICOM PS3.15 A.5 as XML."""
    from dicomfab.cli.exports import write_export

    wanted = _filter(who, kind, outcome, since, until, environment, text)
    pieces = application().audit.export(actor(), wanted, file.suffix.removeprefix(".").lower())
    write_export(file, pieces)
    if as_json:
        output.print_json({"file": str(file)})
    else:
        output.print_text(f"Wrote {file}")


@app.command()
def verify(
    anchor: Annotated[
        list[str] | None,
        typer.Option(help="An anchor that was kept elsewhere, as SEQ:MAC; again for more."),
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Check that no entry was edited, removed or cut off; leave with 6 and name the first that was.

    An end that was cut off is only missed by an anchor that names a later entry: keep the one that this prints
    somewhere else, and give it with --anchor the next time.
    """
    from dicomfab.storage.audit_anchors import Anchor

    found = application().audit.verify(actor(), *(Anchor.parse(one) for one in anchor or ()))
    if as_json:
        from dicomfab.app.plain import verification_dict

        output.print_json(verification_dict(found))
    elif found.broken is None:
        checked = output.counted(found.entries, "entry", "entries")
        output.print_styled(output.verdict_text(True, f"The audit log is as it was written: {checked} checked"))
        output.print_text(f"  compared with {output.counted(found.anchors, 'anchor')}")
        for through, is_known in found.given_up:
            how = "checked with an earlier key" if is_known else "not checked: their key is lost"
            output.print_text(f"  up to entry {through}: {how}")
        output.print_text(f"  anchor now: {found.last}")
    else:
        broken = found.broken
        output.print_styled(output.verdict_text(False, f"The audit log is broken at entry {broken.seq}"))
        output.print_text(f"  what was done: {broken.kind}")
        output.print_text(f"  {broken.explanation}")
        if broken.at is not None:
            output.print_text(f"  time of the entry, or of the last one before it: {broken.at.astimezone():%F %T %Z}")
        output.print_text(f"  good before it: {output.counted(found.entries, 'entry', 'entries')}")
    sys.exit(0 if found.broken is None else BROKEN)


@app.command()
def purge(
    older_than: Annotated[int, typer.Option("--older-than", min=1, help="Days; younger entries are kept.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Take out entries that no longer have to be kept; the rest stays one chain, and the purge becomes an entry."""
    output.confirm(
        f"Take all entries that are older than {older_than} days out of the audit log?", yes=yes, as_json=as_json
    )
    service = application().audit
    before = service.now() - datetime.timedelta(days=older_than)
    taken = service.purge(actor(), before)
    left = service.held_back(before)
    if as_json:
        output.print_json({"taken_out": taken, "not_delivered": left})
        return
    output.print_text(f"Took out {output.counted(taken, 'entry', 'entries')}")
    if left:
        stay = "entry stays: it was" if left == 1 else "entries stay: they were"
        output.print_text(f"{left} older {stay} not delivered yet; see dicomfab audit delivery")


@app.command()
def delivery(as_json: output.Json = False) -> None:
    """Show how far the delivery to the syslog receiver is: what was delivered, what waits, and why."""
    from dicomfab.app.audit_delivery_words import facts, gauge_dict

    gauge = application().audit.delivery(actor())
    if as_json:
        output.print_json(gauge_dict(gauge))
        return
    if not gauge.destination:
        output.print_text("Delivery: not set. DICOMFAB_AUDIT_SYSLOG names a syslog receiver.")
    for standing in gauge.standings:
        output.print_text(f"Delivery to {standing.destination}")
        for label, words in facts(standing, is_set=standing.destination == gauge.destination):
            output.print_text(f"  {label:<24} {words}")


@app.command()
def deliver(
    again_from: Annotated[
        int | None, typer.Option("--again-from", min=1, help="Also this entry and all after it, though delivered.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Deliver now what waits, and end when the syslog receiver has read it; leave with 4 if it does not.

    --again-from is for a receiver that has lost some: it names the first of them.
    """
    service = application().audit
    delivered = service.deliver(actor(), again_from=again_from)
    to = service.gauge().destination
    if as_json:
        output.print_json({"delivered": delivered, "to": to})
    else:
        output.print_text(f"Delivered {output.counted(delivered, 'entry', 'entries')} to {to}")


@app.command()
def end_delivery(
    receiver: Annotated[str, typer.Argument(help="As `dicomfab audit delivery` shows it: HOST:PORT.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Keep entries no longer for a receiver that is set no more; what it did not get, it never gets."""
    output.confirm(f"Keep no entries for {receiver} any more?", yes=yes, as_json=as_json)
    application().audit.end_delivery(actor(), receiver)
    if as_json:
        output.print_json({"ended": receiver})
    else:
        output.print_text(f"No entries are kept for {receiver} any more")


@app.command()
def rekey(
    lost: Annotated[bool, typer.Option("--lost", help="Nobody has the old key any more.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Begin a new key: for when somebody else may have the old one, or it is lost.

    The old key is kept in a file beside the new one, so that its entries can still be checked. Entries whose key is
    lost cannot; verify says up to where.
    """
    output.confirm("Begin a new key of the audit log?", yes=yes, as_json=as_json)
    first = application().audit.rekey(actor(), is_lost=lost)
    if as_json:
        output.print_json({"first_entry": first})
    else:
        output.print_text(f"From entry {first} on the audit log is written with a new key: back it up")


def _filter(
    who: str,
    kinds: list[EventKind] | None,
    outcomes: list[Outcome] | None,
    since: str,
    until: str,
    environment: Environment | None,
    text: str,
) -> AuditFilter:
    from dicomfab.app.audit_words import audit_filter

    return audit_filter(
        actor=who,
        kinds=kinds or (),
        outcomes=outcomes or (),
        since=since,
        until=until,
        environment=environment or "",
        text=text,
    )
