"""C-FIND: ask a peer what it holds (PS3.4 C.4.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pydicom import Dataset

from dicomfab.dimse import command as dimse_command
from dicomfab.dimse.association import Association, associate
from dicomfab.dimse.contexts import PLAIN_SYNTAXES
from dicomfab.dimse.messages import ProposedContext
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.scu.query import Query
from dicomfab.dimse.sop_classes import FIND
from dicomfab.dimse.status import Category, category, failure
from dicomfab.model.query import QueryModel


def find(
    peer: Peer,
    model: QueryModel,
    identifier: Dataset,
    *,
    limit: int | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Dataset]:
    """Query, yielding each match as it arrives. An empty answer is only ever a successful empty answer.

    Args:
        peer: whom to ask.
        model: patient root or study root.
        identifier: keys, QueryRetrieveLevel included; zero length asks for the value.
        limit: after so many matches the query is cancelled with C-CANCEL; the matches are kept.
        cancelled: asked after each match; true cancels the query.

    Raises:
        PeerError: the query failed; matches already yielded are then incomplete.
    """
    sop_class_uid = FIND[model]
    with associate(peer, [ProposedContext(sop_class_uid, PLAIN_SYNTAXES)]) as association:
        yield from send(association, sop_class_uid, identifier, limit=limit, cancelled=cancelled)


def send(
    association: Association,
    sop_class_uid: str,
    identifier: Dataset,
    *,
    limit: int | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Dataset]:
    """One C-FIND over an association that is open; see :func:`find`.

    Args:
        association: with a context for the SOP class.
        sop_class_uid: of any C-FIND service, the modality worklist too.
        identifier: keys.
        limit: as for :func:`find`.
        cancelled: as for :func:`find`.

    Raises:
        PeerError: the query failed; matches already yielded are then incomplete.
    """
    peer = association.peer
    query = Query(association, "C-FIND", sop_class_uid)
    query.send(dimse_command.C_FIND_RQ, identifier)
    count = 0
    stopped = False
    for response, match in query.responses(peer.timeouts.dimse_s):
        kind = category(response.status)
        # A cancel that we did not ask for leaves the answer incomplete.
        if kind is Category.FAILURE or (kind is Category.CANCEL and not stopped):
            raise failure("C-FIND", response, peer.label)
        # After C-CANCEL the peer may still send what was under way (PS3.7 9.3.2.3): read it, keep none of it.
        # Only a pending response has a match; some peers send an empty data set with the final one.
        if kind is not Category.PENDING or match is None or stopped:
            continue
        if limit is not None and count >= limit:
            query.cancel()
            stopped = True
            continue
        count += 1
        yield match
        if cancelled():
            query.cancel()
            stopped = True
