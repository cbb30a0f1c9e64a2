"""C-GET: fetch instances over the association that asked for them (PS3.4 C.4.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from pydicom import Dataset

from dicomfab.dimse.association import associate
from dicomfab.dimse.handlers import StoreHandler
from dicomfab.dimse.messages import ProposedContext, Response
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.sop_classes import EXPLICIT_VR_LITTLE_ENDIAN, GET, IMPLICIT_VR_LITTLE_ENDIAN
from dicomfab.dimse.status import Category, category, failure
from dicomfab.model.query import QueryModel

MAX_CONTEXTS = 128


def get(
    peer: Peer,
    model: QueryModel,
    identifier: Dataset,
    sop_classes: Iterable[str],
    store_handler: StoreHandler,
    *,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Response]:
    """Ask for the instances, hand each to the store handler, and yield every response; the last one is final.

    Args:
        peer: the server that holds the instances.
        model: patient root or study root.
        identifier: unique keys and QueryRetrieveLevel.
        sop_classes: storage SOP classes to propose for the way back; at most 127 are used, the first come first.
        store_handler: takes the instances.
        cancelled: asked after each response; true sends C-CANCEL.

    Raises:
        StatusFailure: any failure status.
        PeerError: no association, no response.
    """
    sop_class_uid = GET[model]
    contexts = [ProposedContext(sop_class_uid, (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN))]
    syntaxes = _storage_transfer_syntaxes()
    for sop_class in dict.fromkeys(sop_classes):
        if len(contexts) == MAX_CONTEXTS:
            break
        contexts.append(ProposedContext(sop_class, syntaxes, as_scp=True))
    with associate(peer, contexts, store_handler=store_handler) as association:
        stopped = False
        for response in association.get(sop_class_uid, identifier):
            if category(response.status) is Category.FAILURE:
                raise failure("C-GET", response, peer.label)
            yield response
            if not stopped and category(response.status) is Category.PENDING and cancelled():
                association.cancel(sop_class_uid)
                stopped = True


def _storage_transfer_syntaxes() -> tuple[str, ...]:
    """Explicit little endian first: servers that transcode on demand then send what everyone can read."""
    from pydicom.uid import AllTransferSyntaxes

    rest = [str(uid) for uid in AllTransferSyntaxes if str(uid) not in _LITTLE_ENDIAN]
    return (*_LITTLE_ENDIAN, *rest)


_LITTLE_ENDIAN = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
