"""C-STORE: send instances to a peer (PS3.4 annex B)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from dicomfab.dimse.association import Association, associate
from dicomfab.dimse.messages import ProposedContext, Response
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.sop_classes import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from dicomfab.dimse.status import Category, category, failure
from dicomfab.model.errors import AssociationAborted, ContextRejected, PeerError, PeerTimeout
from dicomfab.model.study import InstanceFile

MAX_CONTEXTS = 128
_LITTLE_ENDIAN = {EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN}


@dataclass(frozen=True, slots=True)
class StoreOutcome:
    """What the peer answered for one instance.

    Args:
        instance: what was sent.
        response: the C-STORE response; ``None`` if the peer accepted no context for it and it was not sent.
        error: why the instance was not taken; ``None`` if it was.
        resent: true if no response came at first and the same instance was sent again.
    """

    instance: InstanceFile
    response: Response | None
    error: PeerError | None = None
    resent: bool = False

    @property
    def accepted(self) -> bool:
        """The peer took it: success or a warning (PS3.4 B.2.3)."""
        return self.error is None


def store(
    peer: Peer, instances: Sequence[InstanceFile], *, cancelled: Callable[[], bool] = lambda: False
) -> Iterator[StoreOutcome]:
    """Send instances in order, yielding each outcome as its response arrives.

    An instance whose response does not come is sent once more, over a new association, under the same UIDs: the peer
    may or may not have kept the first copy, and storing it twice harms nothing.

    Args:
        peer: the receiver.
        instances: files, sent as they are encoded.
        cancelled: asked before each instance; true stops before it.

    Raises:
        PeerError: the peer cannot be reached, accepts none of the contexts, or stayed silent twice for one instance.
    """
    position = 0
    resent = False
    while position < len(instances):
        contexts, end = _contexts_for(instances, position)
        try:
            with associate(peer, contexts) as association:
                while position < end:
                    if cancelled():
                        return
                    response, error = _send(association, instances[position], peer)
                    yield StoreOutcome(instances[position], response, error, resent)
                    position += 1
                    resent = False
        except (PeerTimeout, AssociationAborted) as error:
            if resent or getattr(error, "stage", "dimse") != "dimse":
                raise
            resent = True


def _send(association: Association, instance: InstanceFile, peer: Peer) -> tuple[Response | None, PeerError | None]:
    try:
        response = association.store(instance)
    except ContextRejected as error:
        return None, error
    taken = category(response.status) in (Category.SUCCESS, Category.WARNING)
    return response, None if taken else failure("C-STORE", response, peer.label)


def _contexts_for(instances: Sequence[InstanceFile], start: int) -> tuple[list[ProposedContext], int]:
    """Contexts for as many instances from ``start`` on as 128 contexts can carry, and where those end.

    One context per SOP class and transfer syntax, so that the acceptor's choice never costs us the one we need; a
    second, implicit little endian, for peers that know only the default transfer syntax (PS3.5 10.1).
    """
    wanted: dict[tuple[str, str], None] = {}
    end = start
    for instance in instances[start:]:
        identity = instance.identity
        pairs = [(identity.sop_class_uid, identity.transfer_syntax_uid)]
        if identity.transfer_syntax_uid in _LITTLE_ENDIAN:
            pairs += [(identity.sop_class_uid, other) for other in sorted(_LITTLE_ENDIAN, reverse=True)]
        new = [pair for pair in dict.fromkeys(pairs) if pair not in wanted]
        if len(wanted) + len(new) > MAX_CONTEXTS:
            break
        wanted.update(dict.fromkeys(new))
        end += 1
    return [ProposedContext(sop_class, (syntax,)) for sop_class, syntax in wanted], end
