"""C-STORE: send instances to a peer (PS3.4 annex B)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from dicomfab.dimse import contexts as choose
from dicomfab.dimse import explain
from dicomfab.dimse.association import Association, associate
from dicomfab.dimse.c_store import NotTaken, Origin, Outgoing, Preparing, unreadable
from dicomfab.dimse.contexts import Conversions
from dicomfab.dimse.messages import Response
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.scu.responses import response_of
from dicomfab.dimse.status import Category, category, failure
from dicomfab.model.errors import AssociationAborted, DicomFabError, InstanceUnreadable, LocalFailure, PeerTimeout
from dicomfab.model.study import InstanceFile

_TAKEN: Final = (Category.SUCCESS, Category.WARNING)


@dataclass(frozen=True, slots=True)
class StoreOutcome:
    """What the peer answered for one instance.

    Args:
        instance: what was to be sent.
        response: the C-STORE response; ``None`` if it was not sent.
        error: why the instance was not taken; ``None`` if it was.
        resent: true if no response came at first and the same instance was sent again.
        transcoded_to: the transfer syntax that it was converted to because the peer does not take its own; the decoded
            pixels are the same. Empty if it went as it is.
    """

    instance: InstanceFile
    response: Response | None
    error: DicomFabError | None = None
    resent: bool = False
    transcoded_to: str = ""

    @property
    def accepted(self) -> bool:
        """The peer took it: success or a warning (PS3.4 B.2.3)."""
        return self.error is None


def store(
    peer: Peer,
    instances: Sequence[InstanceFile],
    *,
    cancelled: Callable[[], bool] = lambda: False,
    transcode: bool = True,
    origin: Origin | None = None,
) -> Iterator[StoreOutcome]:
    """Send instances in order, yielding each outcome as its response arrives.

    An instance whose response does not come is sent once more, over a new association, under the same UIDs: the peer
    may or may not have kept the first copy, and storing it twice harms nothing. One whose file ends before it does is
    skipped with that error, and the others go on over a new association.

    Args:
        peer: the receiver.
        instances: files, sent as they are encoded if the peer takes that.
        cancelled: asked before each instance; true stops before it.
        transcode: what the peer does not take as it is may be converted to a transfer syntax with the same pixels.
        origin: whose C-MOVE this is for.

    Raises:
        PeerError: the peer cannot be reached, accepts none of the contexts, or stayed silent twice for one instance.
    """
    conversions = choose.identical_pixels if transcode else choose.no_conversion
    position = 0
    resent = False
    while position < len(instances):
        contexts, end = choose.for_instances(instances, position, conversions)
        try:
            with associate(peer, contexts) as association:
                outcomes = send(association, instances[position:end], conversions, cancelled=cancelled, origin=origin)
                for outcome in outcomes:
                    yield replace(outcome, resent=True) if resent else outcome
                    position += 1
                    resent = False
                if position < end:  # cancelled
                    return
        except (PeerTimeout, AssociationAborted) as error:
            if resent or not error.transient or getattr(error, "stage", "dimse") != "dimse":
                raise
            resent = True
        except InstanceUnreadable as error:
            yield StoreOutcome(instances[position], None, error)
            position += 1
            resent = False


def send(
    association: Association,
    instances: Sequence[InstanceFile],
    conversions: Conversions,
    *,
    cancelled: Callable[[], bool] = lambda: False,
    origin: Origin | None = None,
) -> Iterator[StoreOutcome]:
    """Send instances over an association that is open, one outstanding at a time (PS3.7 D.3.3.3).

    While the peer works on one instance, the outcome of the one before is yielded, and the next is opened and encoded.
    So when an outcome is yielded, the instance after it is on its way already.

    Args:
        association: with contexts for them.
        instances: files.
        conversions: what may be done to those that the peer does not take as they are.
        cancelled: asked before each instance; true stops before it.
        origin: whose C-MOVE this is for.

    Raises:
        PeerError: the association ended.
        InstanceUnreadable: the file of the instance after the last outcome became shorter while it was sent; the
            association was aborted.
    """
    timeout_s = association.peer.timeouts.dimse_s
    under_way: Outgoing | None = None  # sent, and its response not read yet
    with Preparing(association.contexts, association.next_message_id, conversions, origin) as preparing:
        ready = _prepared(association, preparing, instances, 0)
        for position, instance in enumerate(instances):
            answered = under_way is None or association.response_begins("C-STORE", timeout_s)
            if answered and cancelled():
                break
            failed: DicomFabError | None = None
            if answered and isinstance(ready, Outgoing):
                failed = _sent(association, ready)
            if under_way is not None:
                yield _answered(association, under_way)
            if failed is not None:
                raise failed
            under_way = ready if isinstance(ready, Outgoing) else None
            if isinstance(ready, DicomFabError):
                yield StoreOutcome(instance, None, ready)
            ready = _prepared(association, preparing, instances, position + 1)
        if under_way is not None:
            yield _answered(association, under_way)


def _sent(association: Association, outgoing: Outgoing) -> DicomFabError | None:
    """Send an instance; says why if it did not go out whole, and the association with that ended."""
    try:
        with outgoing:
            association.send_encoded(outgoing.context, outgoing.command, outgoing.dataset)
    except EOFError as error:
        return unreadable(outgoing.instance.path, error)
    except DicomFabError as error:
        return error
    return None


def _answered(association: Association, sent: Outgoing) -> StoreOutcome:
    """Read the response to an instance."""
    peer, instance = association.peer, sent.instance
    message = association.response_to(sent.message_id, "C-STORE", peer.timeouts.dimse_s)
    response = response_of(message.command)
    taken = category(response.status) in _TAKEN
    error = None if taken else failure("C-STORE", response, peer.label, association.implementation)
    syntax = sent.context.transfer_syntax
    converted = "" if syntax == instance.identity.transfer_syntax_uid else syntax
    return StoreOutcome(instance, response, error, transcoded_to=converted)


def _prepared(
    association: Association, preparing: Preparing, instances: Sequence[InstanceFile], position: int
) -> Outgoing | DicomFabError | None:
    """An instance ready to go, or why it cannot; nothing after the last."""
    if position >= len(instances):
        return None
    instance = instances[position]
    try:
        return preparing.prepare(instance)
    except NotTaken as reason:
        return explain.not_taken(association.peer, instance.identity, reason.why)
    except LocalFailure as error:
        return error
