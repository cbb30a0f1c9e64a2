"""Which function performs which request, and C-ECHO, C-STORE and C-FIND (PS3.7 9.3)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Final

from pydicom import Dataset

from dicomfab.dimse import c_store
from dicomfab.dimse import command as dimse_command
from dicomfab.dimse.endings import Ending
from dicomfab.dimse.handlers import Refusal
from dicomfab.dimse.link import Message
from dicomfab.dimse.scp.normalized import perform
from dicomfab.dimse.scp.retrieve import get, move
from dicomfab.dimse.scp.session import Session
from dicomfab.dimse.sop_classes import FIND, GET, MODEL_OF, MOVE, VERIFICATION, WORKLIST, is_storage
from dicomfab.dimse.status import CANCEL, PENDING, SUCCESS
from dicomfab.model.log_lines import log_failure

log = logging.getLogger(__name__)

_PROCESSING_FAILURE: Final = 0x0110
_SOP_CLASS_NOT_SUPPORTED: Final = 0x0122
_UNRECOGNIZED_OPERATION: Final = 0x0211

Service = Callable[[Session, Message], None]


def answer(session: Session, message: Message) -> None:
    """Perform a request and answer it, whatever happens in doing so.

    Raises:
        Ending: the association ended.
    """
    field = message.command["CommandField"]
    if field & dimse_command.RESPONSE or field == dimse_command.C_CANCEL_RQ:
        session.link.drop_data_set()  # of a request that has ended already
        return
    service, offered = _SERVICES.get(field, (None, None))
    if service is None or offered is None:
        session.refuse(message, _UNRECOGNIZED_OPERATION)
    elif not offered(session, message.context.abstract_syntax):
        session.refuse(message, _SOP_CLASS_NOT_SUPPORTED)
    else:
        try:
            service(session, message)
        except Ending:
            raise
        except Refusal as refusal:
            session.refuse(message, refusal.status, refusal.comment, refusal.error_id)
        except Exception as error:  # noqa: BLE001 (logged, and answered)
            log_failure(log, f"{dimse_command.name_of(message.command)} from {session.requestor.ae_title}", error)
            session.refuse(message, _PROCESSING_FAILURE, "the application failed")


def _echo(session: Session, message: Message) -> None:
    session.respond(message, dimse_command.response_to(message.command, SUCCESS))


def _store(session: Session, message: Message) -> None:
    c_store.receive(session.link, message, session.requestor, session.handlers)


def _find(session: Session, message: Message) -> None:
    identifier = session.identifier(message)
    pending = dimse_command.response_to(message.command, PENDING[0], data_set=True)
    status = SUCCESS
    matches = _matches(session, message.context.abstract_syntax, identifier)
    try:
        for match in matches:
            if session.cancelled(message):
                status = CANCEL
                break
            session.respond(message, pending, match)
    finally:
        close = getattr(matches, "close", None)  # generators know when they are not wanted any more
        if close is not None:
            close()
    session.respond(message, dimse_command.response_to(message.command, status))


def _matches(session: Session, sop_class_uid: str, identifier: Dataset) -> Iterator[Dataset]:
    if session.worklist is not None and sop_class_uid == WORKLIST:
        return session.worklist.worklist(session.requestor, identifier)
    return session.handlers.find(session.requestor, MODEL_OF[sop_class_uid], identifier)


def _is_find(session: Session, sop_class_uid: str) -> bool:
    return sop_class_uid in _FINDS or (sop_class_uid == WORKLIST and session.worklist is not None)


_FINDS: Final = frozenset(FIND.values())
_MOVES: Final = frozenset(MOVE.values())
_GETS: Final = frozenset(GET.values())


def _is_normalized(session: Session, sop_class_uid: str) -> bool:
    return sop_class_uid in session.normalized


#: Command field -> what performs it, and whether a context's SOP class has it.
_SERVICES: Final[dict[int, tuple[Service, Callable[[Session, str], bool]]]] = {
    dimse_command.C_ECHO_RQ: (_echo, lambda _session, uid: uid == VERIFICATION),
    dimse_command.C_STORE_RQ: (_store, lambda _session, uid: is_storage(uid)),
    dimse_command.C_FIND_RQ: (_find, _is_find),
    dimse_command.C_MOVE_RQ: (move, lambda _session, uid: uid in _MOVES),
    dimse_command.C_GET_RQ: (get, lambda _session, uid: uid in _GETS),
    dimse_command.N_CREATE_RQ: (perform, _is_normalized),
    dimse_command.N_SET_RQ: (perform, _is_normalized),
    dimse_command.N_GET_RQ: (perform, _is_normalized),
    dimse_command.N_ACTION_RQ: (perform, _is_normalized),
    dimse_command.N_EVENT_REPORT_RQ: (perform, _is_normalized),
    dimse_command.N_DELETE_RQ: (perform, _is_normalized),
}
