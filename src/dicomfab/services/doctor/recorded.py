"""How what the doctor does to servers is recorded: that they were asked, what was stored, moved and removed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from dicomfab.access.policy import Action, decide
from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind, Outcome
from dicomfab.model.query import Level, QueryModel
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.services.recording import Noted, Record, node, query_event, recorded, transferring

if TYPE_CHECKING:
    from dicomfab.services.doctor.move_peers import Moved

_DOCTOR: Final = {"operation": "doctor"}


@contextmanager
def asked(record: Record, actor: Actor, server: PacsServer) -> Iterator[None]:
    """One entry for all C-FINDs of an examination, with the keys of the first; none if there can be none.

    Raises:
        LocalFailure: it cannot be recorded; before the block, nobody is asked.
    """
    from dicomfab.services.doctor.finds import keys

    if not (server.can(Capability.FIND) and decide(actor, Action.QUERY, server.environment).allowed):
        yield
        return
    event = query_event(actor, server, QueryModel.STUDY_ROOT, keys(QueryModel.STUDY_ROOT, Level.STUDY))
    with recorded(record, event) as noted:
        noted.add(detail={**event.detail, **_DOCTOR})
        yield


@contextmanager
def storing(record: Record, actor: Actor, server: PacsServer, study_instance_uid: str) -> Iterator[None]:
    """That an instance of the doctor's is stored on a server.

    Raises:
        LocalFailure: it cannot be recorded; nothing is stored then.
    """
    with transferring(record, actor, study_instance_uid, receiver=server, detail=_DOCTOR) as noted:
        noted.begin()
        yield


@contextmanager
def moving(
    record: Record, actor: Actor, source: PacsServer, destination: PacsServer | None, study_instance_uid: str
) -> Iterator[Noted]:
    """That a source is asked for a C-MOVE; ``None``: to this installation.

    Raises:
        LocalFailure: it cannot be recorded; nothing is asked for then.
    """
    ends = {"sender": source, "receiver": destination}
    with transferring(record, actor, study_instance_uid, **ends, detail=_DOCTOR) as noted:
        noted.begin()
        yield noted


def answered(noted: Noted, moved: Moved) -> Moved:
    """Take the outcome of a C-MOVE, and give it back."""
    if moved.code != "0000":
        noted.add(outcome=Outcome.SERIOUS, reason=f"answered {moved.code}")
    return moved


@contextmanager
def removing(record: Record, actor: Actor, server: PacsServer, study_instance_uid: str) -> Iterator[Noted]:
    """That an instance of the doctor's is removed from a server.

    Raises:
        LocalFailure: it cannot be recorded; nothing is removed then.
    """
    environment, uids = str(server.environment), (study_instance_uid,)
    given = {"environment": environment, "receiver": node(server), "study_uids": uids, "detail": _DOCTOR}
    with recorded(record, AuditEvent.by(actor, EventKind.DELETION, **given)) as noted:
        yield noted
