"""Sending what a fabricate job made: a send job of its own, submitted when the studies are there.

The fabricate job has made the studies when it succeeds, and no more; that they arrived is what the send job says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from dicomfab.model.actor import Actor
from dicomfab.model.errors import AccessDenied
from dicomfab.model.job import Job, JobKind
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.storage.jobs import JobFilter, JobRepository

_LOOKED_AT: Final = 1_000


def then_send(actor: Actor, destination: PacsServer, *, confirm_production: bool = False) -> dict[str, Any]:
    """What a fabricate job is told, after all has been looked at that can be refused before there is a study.

    Raises:
        AccessDenied: STORE at the destination is not allowed, or it takes no synthetic data.
        ConfirmationRequired: the destination is production and that is not confirmed.
        Conflict: sending to this server is switched off.
    """
    from dicomfab.services.peers import peer_for
    from dicomfab.services.transfer import may_write

    may_write(actor, destination, confirm_production)
    peer_for(destination, Capability.STORE)
    if not destination.allow_synthetic:
        raise AccessDenied(
            f"{destination.name} takes no synthetic data (allow_synthetic is off): nothing was made or sent.",
            cause="what is fabricated is synthetic, and the server's entry does not allow it",
            remedy="choose another server; or an administrator allows it there: "
            f"dicomfab pacs edit {destination.id} --allow-synthetic",
        )
    return {"send_to": destination.id, "confirm_production": confirm_production}


def send_made(
    ledger: JobRepository, job: Job, studies: Sequence[str], send: Callable[[Sequence[str], str, bool], Job]
) -> Job:
    """Submit the sending that a fabricate job asked for; once for each study, however often it is asked for.

    Args:
        ledger: where an earlier attempt may have left the sending.
        job: the fabricate job.
        studies: what it has made, also what earlier attempts made.
        send: submits the sending of studies, to a server by its id; the third argument confirms production.

    Returns:
        The job that sends what no earlier one does; the last one if all are sent already.

    Raises:
        DicomFabError: the server is gone, or something speaks against it now that did not before.
    """
    then = job.request["then"]
    wanted = JobFilter(kinds=frozenset({JobKind.SEND}), owner=job.owner, queue=f"pacs:{then['send_to']}")
    earlier = [one for one in ledger.page(wanted, limit=_LOOKED_AT).jobs if one.request.get("after") == job.id]
    sent = {item.label for one in earlier for item in ledger.items(one.id)}
    left = [study for study in studies if study not in sent]
    if earlier and not left:
        return earlier[0]
    return send(left, then["send_to"], bool(then["confirm_production"]))
