"""``dicomfab patient merges`` and ``check-merge``: identifiers that ended, here and on a server."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer import Option

from dicomfab.cli import output
from dicomfab.cli.session import actor, application

if TYPE_CHECKING:
    from dicomfab.registry.server import PacsServer
    from dicomfab.services.ordering.patient_check import MergeCheck, PatientKey
    from dicomfab.storage.merges import PatientMerge

#: By verdict; as of a transfer: 4 could not be asked, 6 other than it should be, 7 nothing to tell by.
_EXIT_CODES: Final = {"followed": 0, "partly": 6, "not followed": 6, "nothing there": 7, "could not be asked": 4}
_SHOWN: Final = 10


def merges(
    carry_out: Annotated[
        bool,
        Option("--carry-out", help="Rewrite the local studies of what is pending. A running RIS does it by itself."),
    ] = False,
    limit: Annotated[int, Option(min=1, max=10**9, help="At most so many.")] = 100,
    as_json: output.Json = False,
) -> None:
    """List merges and new data of patients (ADT), the newest first, and whether local studies say so."""
    service = application().merging
    if carry_out:
        service.carry_out(actor())
    found = service.page(actor(), limit)
    if as_json:
        output.print_json({"merges": [_dict(one) for one in found]})
    elif not found:
        output.print_text("No merge has come. Take messages: dicomfab ris run --test")
    else:
        head = ("", "environment", "was", "is", "message", "state", "local studies")
        output.print_table(head, [_cells(one) for one in found])


def check_merge(
    prior_id: Annotated[str, typer.Argument(help="The Patient ID that ended.", metavar="PRIOR_ID")],
    new_id: Annotated[str, typer.Argument(help="The Patient ID that stays.", metavar="NEW_ID")],
    pacs: Annotated[str, Option("--pacs", help="Id or name of the server.")],
    prior_issuer: Annotated[str, Option("--prior-issuer", help="Issuer of the ID that ended [any].")] = "",
    issuer: Annotated[str, Option("--issuer", help="Issuer of the ID that stays [any].")] = "",
    file: Annotated[
        str, Option("--send", metavar="FILE", help="Ask, send this HL7 message (ADT^A40 or A47), ask again.")
    ] = "",
    to: Annotated[str, Option("--to", metavar="HOST:PORT", help="With --send: where the receiver listens.")] = "",
    wait: Annotated[
        float, Option("--wait", min=0, max=3600, help="With --send: seconds that the server may take to follow.")
    ] = 30.0,
    as_json: output.Json = False,
) -> None:
    """Say whether a server followed a merge: which studies it lists under both identifiers (C-FIND).

    Exit code 0: it followed. 6: partly, or not. 7: it lists nothing to tell by. 4: it could not be asked.
    """
    from dicomfab.model.errors import InvalidInput
    from dicomfab.services.ordering.patient_check import PatientKey

    built = application()
    prior, new = PatientKey(prior_id, prior_issuer), PatientKey(new_id, issuer)
    if prior == new:
        raise InvalidInput(
            f"NEW_ID: {new_id!r} is the identifier that ended, too",
            field="NEW_ID",
            value=new_id,
            remedy="give the one that stays; if the issuers alone differ, --prior-issuer and --issuer",
        )
    server = built.pacs.resolve(actor(), pacs)
    send = _sender(file, to, prior, new, server) if file or to else None
    found = built.merge_checks.check(actor(), prior, new, server, send=send, wait_s=wait)
    if as_json:
        output.print_json({"pacs": server.id, **found.as_dict()})
    else:
        _print(found)
    sys.exit(_EXIT_CODES[found.verdict])


def _sender(file: str, to: str, prior: PatientKey, new: PatientKey, server: PacsServer) -> Any:
    """What sends the message, checked before anybody is asked."""
    from dicomfab.cli.hl7_sending import not_accepted, receiver_address
    from dicomfab.cli.order import message_of
    from dicomfab.hl7.character_sets import decoded
    from dicomfab.hl7.patients import priors
    from dicomfab.model.errors import InvalidInput

    if not (file and to):
        raise InvalidInput(
            f"{'--to' if file else '--send'}: is missing",
            field="--to" if file else "--send",
            remedy="give a message and where to: --send FILE --to HOST:PORT",
        )
    address = receiver_address(to, field="--to")
    data = message_of(file)
    if prior.patient_id not in {one.patient_id for one in priors(decoded(data)[0])}:
        raise InvalidInput(
            f"--send: MRG-1 of the message does not name {prior.patient_id}",
            field="--send",
            cause="it is about somebody else, or no merge",
            remedy=f"send a message that ends {prior.patient_id} in favour of {new.patient_id}",
        )

    def send() -> None:
        sent = application().ordering.messages.send(actor(), data, server.environment, *address)
        if sent.state == "failed":
            raise not_accepted(sent)

    return send


def _print(found: MergeCheck) -> None:
    line = output.verdict_text(found.verdict == "followed", found.verdict.upper())
    line.append(f"   {found.text}", style="not bold default")
    output.print_styled(line)
    if found.before is not None:
        before = found.before
        output.print_text(
            f"before    {len(before.prior)} under the old identifier, {len(before.new)} under the new one"
        )
    for words, uids in (("old", found.after.prior), ("new", found.after.new), ("not there", found.unlisted)):
        for uid in sorted(uids)[:_SHOWN]:
            output.print_text(f"{words:<9} {uid}{'' if uid in found.known else ' (not known here)'}")
        if len(uids) > _SHOWN:
            output.print_text(f"{words:<9} and {len(uids) - _SHOWN} more (see --json)")


def _cells(one: PatientMerge) -> tuple[str, ...]:
    was = "" if one.is_update else f"{one.prior_id} {one.prior_issuer}".rstrip()
    kind, state = "update" if one.is_update else "merge", "done" if one.is_done else "pending"
    message = "" if one.message is None else str(one.message)
    return (kind, str(one.environment), was, f"{one.patient_id} {one.issuer}".rstrip(), message, state, one.outcome)


def _dict(one: PatientMerge) -> dict[str, Any]:
    return {
        "number": one.number,
        "environment": str(one.environment),
        "is_update": one.is_update,
        "prior_id": one.prior_id,
        "prior_issuer": one.prior_issuer,
        "patient_id": one.patient_id,
        "issuer": one.issuer,
        "message": one.message,
        "is_done": one.is_done,
        "outcome": one.outcome,
        "at": one.at.isoformat(),
    }
