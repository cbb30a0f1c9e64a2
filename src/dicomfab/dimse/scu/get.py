"""C-GET: fetch instances over the association that asked for them (PS3.4 C.4.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from pydicom import Dataset

from dicomfab.dimse import command as dimse_command
from dicomfab.dimse.association import Association, associate
from dicomfab.dimse.contexts import PLAIN_SYNTAXES
from dicomfab.dimse.handlers import Requestor, StoreHandler
from dicomfab.dimse.link import Message
from dicomfab.dimse.messages import ProposedContext, Response
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.scu.query import Query
from dicomfab.dimse.sop_classes import EXPLICIT_VR_LITTLE_ENDIAN, GET, IMPLICIT_VR_LITTLE_ENDIAN
from dicomfab.dimse.status import Category, category, failure
from dicomfab.model.query import QueryModel
from dicomfab.ul.pdu import MAX_CONTEXTS


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
    contexts = [ProposedContext(sop_class_uid, PLAIN_SYNTAXES)]
    syntaxes = _storage_transfer_syntaxes()
    for sop_class in dict.fromkeys(sop_classes):
        if len(contexts) == MAX_CONTEXTS:
            break
        contexts.append(ProposedContext(sop_class, syntaxes, as_scp=True))
    requestor = Requestor(peer.called_ae_title, peer.host)

    def take(association: Association, message: Message) -> None:
        association.take_instance(message, requestor, store_handler)

    with associate(peer, contexts) as association:
        query = Query(association, "C-GET", sop_class_uid)
        query.send(dimse_command.C_GET_RQ, identifier)
        for response, _ in query.responses(peer.timeouts.retrieve_s, take):
            if category(response.status) is Category.FAILURE:
                raise failure("C-GET", response, peer.label, association.implementation)
            yield response
            if category(response.status) is Category.PENDING and cancelled():
                query.cancel()


def _storage_transfer_syntaxes() -> tuple[str, ...]:
    """Explicit little endian first: servers that transcode on demand then send what everyone can read."""
    from pydicom.uid import AllTransferSyntaxes

    rest = [str(uid) for uid in AllTransferSyntaxes if str(uid) not in _LITTLE_ENDIAN]
    return (*_LITTLE_ENDIAN, *rest)


_LITTLE_ENDIAN = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
