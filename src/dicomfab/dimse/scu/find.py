"""C-FIND: ask a peer what it holds (PS3.4 C.4.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pydicom import Dataset

from dicomfab.dimse.association import associate
from dicomfab.dimse.messages import ProposedContext
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.sop_classes import EXPLICIT_VR_LITTLE_ENDIAN, FIND, IMPLICIT_VR_LITTLE_ENDIAN
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
    context = ProposedContext(sop_class_uid, (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN))
    with associate(peer, [context]) as association:
        count = 0
        stopped = False
        for response, match in association.find(sop_class_uid, identifier):
            kind = category(response.status)
            # A cancel that we did not ask for leaves the answer incomplete.
            if kind is Category.FAILURE or (kind is Category.CANCEL and not stopped):
                raise failure("C-FIND", response, peer.label)
            # After C-CANCEL the peer may still send what was under way (PS3.7 9.3.2.3): read it, keep none of it.
            if match is None or stopped:
                continue
            if limit is not None and count >= limit:
                association.cancel(sop_class_uid)
                stopped = True
                continue
            count += 1
            yield match
            if cancelled():
                association.cancel(sop_class_uid)
                stopped = True
