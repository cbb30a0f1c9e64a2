"""C-MOVE: have a source send instances to a destination that it knows (PS3.4 C.4.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pydicom import Dataset

from dicomfab.dimse import command as dimse_command
from dicomfab.dimse.association import associate
from dicomfab.dimse.contexts import PLAIN_SYNTAXES
from dicomfab.dimse.messages import ProposedContext, Response
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.scu.query import Query
from dicomfab.dimse.sop_classes import MOVE
from dicomfab.dimse.status import Category, category, failure
from dicomfab.model.query import QueryModel


def move(
    peer: Peer,
    model: QueryModel,
    identifier: Dataset,
    move_destination: str,
    *,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Response]:
    """Ask for the move and yield every response with its sub-operation counters; the last one is final.

    A final warning (B000: some sub-operations failed) is yielded like a success: what arrived is for the caller to
    verify at the destination.

    Args:
        peer: the source.
        model: patient root or study root.
        identifier: unique keys and QueryRetrieveLevel.
        move_destination: an AE title that the source knows.
        cancelled: asked after each response; true sends C-CANCEL.

    Raises:
        StatusFailure: A801 unknown destination, A702, and every other failure status.
        PeerError: no association, no response.
    """
    sop_class_uid = MOVE[model]
    with associate(peer, [ProposedContext(sop_class_uid, PLAIN_SYNTAXES)]) as association:
        query = Query(association, "C-MOVE", sop_class_uid)
        query.send(dimse_command.C_MOVE_RQ, identifier, {"MoveDestination": move_destination})
        for response, _ in query.responses(peer.timeouts.retrieve_s):
            if category(response.status) is Category.FAILURE:
                raise failure("C-MOVE", response, peer.label, association.implementation)
            yield response
            if category(response.status) is Category.PENDING and cancelled():
                query.cancel()
