"""Find, store and get over DICOMweb, with the signatures of the DIMSE functions in :mod:`dicomfab.dimse.scu`.

So jobs, reports and verification are the same whichever way a server is asked.
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from pydicom import Dataset

from dicomfab.dicomweb.client import explain
from dicomfab.dicomweb.client.connection import WebConnection
from dicomfab.dicomweb.client.peer import WebPeer
from dicomfab.dicomweb.client.retrieve import Retrieval, retrieving
from dicomfab.dicomweb.client.store import OPERATION, Account, FileUnreadable, Stopped, groups
from dicomfab.dicomweb.client.store import store as store_group
from dicomfab.dicomweb.incoming import Announced
from dicomfab.dimse.c_store import Origin, unreadable
from dicomfab.dimse.contexts import identical_pixels
from dicomfab.dimse.handlers import Refusal, Requestor, StoreHandler
from dicomfab.dimse.messages import Response
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.scu.store import StoreOutcome
from dicomfab.dimse.status import CANCEL, PENDING, SUCCESS, Category, category, meaning
from dicomfab.model.errors import (
    AssociationAborted,
    DicomFabError,
    HttpFailure,
    InstanceUnreadable,
    PeerTimeout,
    StatusFailure,
    TranscodingFailed,
)
from dicomfab.model.query import QueryModel
from dicomfab.model.study import InstanceFile
from dicomfab.model.suboperations import Suboperations
from dicomfab.model.values import uid
from dicomfab.services.progress import Cancelled, never
from dicomfab.services.web_peers import web_peer
from dicomfab.services.web_search import find
from dicomfab.services.web_secrets import NO_SECRETS, SecretFiles

__all__ = ["find", "get", "store"]

_WARNING: Final = 0xB000
_SYNTAX_NOT_SUPPORTED: Final = 0xC122  # PS3.18 I.2.2
#: A group that is refused as a whole may be so for its size, or for one of its instances.
_SPLIT: Final = frozenset({400, 409, 413, 415, 422, 500})
#: It may also say that the server is down.
_SERVER_FAILED: Final = 500


# --- store ----------------------------------------------------------------------------------------------------------


def store(
    peer: Peer,
    instances: Sequence[InstanceFile],
    *,
    cancelled: Cancelled = never,
    transcode: bool = True,
    origin: Origin | None = None,
    secrets: SecretFiles = NO_SECRETS,
) -> Iterator[StoreOutcome]:
    """Send instances by STOW-RS, several in one request; see :func:`dicomfab.dimse.scu.store.store`.

    Outcomes come when a request is answered. Those of a request whose answer is lost are sent once more, under the same
    UIDs. A group that is refused as a whole is sent in halves, so that one instance does not stand for the others. If
    the server fails at both halves of a whole group (status 500), it is given up.

    Args:
        peer: the receiver.
        instances: files, sent as they are encoded if the peer takes that.
        cancelled: asked before each piece; true breaks off the request, of whose instances nothing is known then.
        transcode: what the peer does not take as it is may be converted to a transfer syntax with the same pixels.
        origin: of no meaning here.
        secrets: the files that may hold the secret.

    Raises:
        PeerError: the peer cannot be reached, lets us not in, or its answer was lost twice for one group.
        InvalidInput: the server's secret or one of its files of TLS cannot be used.
    """
    del origin
    with ExitStack() as stack:
        connection = stack.enter_context(WebConnection(web_peer(peer, secrets)))
        yield from _Sending(connection, stack, cancelled, transcode=transcode).all(groups(instances))


@dataclass(frozen=True, slots=True)
class _Group:
    """What one request has.

    Args:
        instances: in their order.
        resent: it is sent for the second time.
        failed: of a half of a whole group: status 500 of either half; ``None`` of any other group.
    """

    instances: Sequence[InstanceFile]
    resent: bool = False
    failed: list[HttpFailure] | None = None
    is_whole: bool = False


@dataclass(slots=True)
class _Sending:
    """What is being sent.

    Args:
        connection: to the peer.
        stack: closes what is opened.
        cancelled: whether to stop.
        transcode: whether instances may be converted.
        unreadable: why files could not be read, by SOP instance UID.
        folder: for what is converted.
        waiting: parts of a whole group that are still to be sent.
    """

    connection: WebConnection
    stack: ExitStack
    cancelled: Cancelled
    transcode: bool
    unreadable: dict[str, InstanceUnreadable] = field(default_factory=dict)
    folder: Path | None = None
    waiting: deque[_Group] = field(default_factory=deque)

    @property
    def peer(self) -> WebPeer:
        return self.connection.peer

    def all(self, wanted: Iterable[Sequence[InstanceFile]]) -> Iterator[StoreOutcome]:
        """The outcomes of groups; none of those after it was cancelled."""
        for instances in wanted:
            self.waiting = waiting = deque([_Group(instances, is_whole=True)])
            while waiting:
                group = waiting.popleft()
                try:
                    account = self._sent(group)
                except Stopped:
                    return
                except (FileUnreadable, PeerTimeout, AssociationAborted, HttpFailure) as error:
                    again = self._again(group, error)
                    waiting.extendleft(reversed(again))
                    if not again:
                        yield StoreOutcome(group.instances[0], None, _told(error), resent=group.resent)
                else:
                    yield from (self._outcome(one, account, resent=group.resent) for one in group.instances)

    def _again(self, group: _Group, error: Exception) -> list[_Group]:
        """What to send after a group failed; nothing if it is a single instance that is refused for itself.

        Raises:
            PeerError: the error, if it would be the same again.
        """
        if isinstance(error, FileUnreadable):
            instance = error.instance
            self.unreadable[instance.identity.sop_instance_uid] = unreadable(instance.path, error.why)
            return [group]
        if isinstance(error, HttpFailure):
            if error.http_status not in _SPLIT:
                raise error
            return self._parts(group, error)
        if group.resent or not getattr(error, "transient", False):
            raise error
        return [replace(group, resent=True)]

    def _parts(self, group: _Group, error: HttpFailure) -> list[_Group]:
        if group.failed is not None and error.http_status == _SERVER_FAILED:
            group.failed.append(error)
            if len(group.failed) == 2:
                raise error
        if len(group.instances) == 1:
            return []
        other = list(self.waiting) if group.failed else []  # before the quarters, so that it is soon known
        for _ in other:
            self.waiting.popleft()
        return [*other, *_halves(group)]

    def _sent(self, group: _Group) -> Account:
        if self.cancelled():
            raise Stopped
        readable = [one for one in group.instances if one.identity.sop_instance_uid not in self.unreadable]
        return store_group(self.connection, readable, cancelled=self.cancelled) if readable else Account({}, {})

    def _outcome(self, instance: InstanceFile, account: Account, *, resent: bool) -> StoreOutcome:
        uid_ = instance.identity.sop_instance_uid
        if uid_ in self.unreadable:
            return StoreOutcome(instance, None, self.unreadable[uid_])
        if uid_ in account.stored:
            return StoreOutcome(instance, Response(account.stored[uid_]), resent=resent)
        if uid_ not in account.failed:
            return StoreOutcome(instance, None, explain.untold(self.peer, uid_), resent=resent)
        reason = account.failed[uid_]
        if reason == _SYNTAX_NOT_SUPPORTED and self.transcode:
            converted = self._converted(instance)
            if converted is not None:
                return converted
        return StoreOutcome(instance, Response(reason), _refused(self.peer, reason), resent=resent)

    def _converted(self, instance: InstanceFile) -> StoreOutcome | None:
        """The outcome in a transfer syntax that every server takes; ``None`` if there is no way to one."""
        from dicomfab.pixels.transcode import transcode

        targets = identical_pixels(instance.identity.transfer_syntax_uid)
        if not targets:
            return None
        if self.folder is None:
            self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="dicomfab-")))
        try:
            made = transcode(instance, targets[0], self.folder)
        except TranscodingFailed as error:
            return StoreOutcome(instance, None, error)
        try:
            once = replace(self, transcode=False)
            outcome = next(once.all([[made]]), None)
        finally:
            made.path.unlink()
        if outcome is None:
            return None
        return replace(outcome, instance=instance, transcoded_to=targets[0])


def _halves(group: _Group) -> list[_Group]:
    middle = len(group.instances) // 2
    failed: list[HttpFailure] | None = [] if group.is_whole else None
    return [
        replace(group, instances=part, failed=failed, is_whole=False)
        for part in (group.instances[:middle], group.instances[middle:])
    ]


def _told(error: Exception) -> DicomFabError | None:
    return error if isinstance(error, DicomFabError) else None


def _refused(peer: WebPeer, reason: int) -> StatusFailure:
    """A failure reason; they are those of C-STORE, and some more (PS3.18 I.2.2)."""
    words = meaning("C-STORE", reason)
    return StatusFailure(
        f"{peer.label} answered {reason:04X}: {words.text}.",
        operation=OPERATION,
        status=reason,
        cause=words.cause,
        remedy=words.remedy,
    )


# --- get ------------------------------------------------------------------------------------------------------------


def get(
    peer: Peer,
    model: QueryModel,
    identifier: Dataset,
    sop_classes: Iterable[str],
    store_handler: StoreHandler,
    *,
    cancelled: Cancelled = never,
    secrets: SecretFiles = NO_SECRETS,
) -> Iterator[Response]:
    """Retrieve instances by WADO-RS, as they are stored if the peer gives that; see :func:`dicomfab.dimse.scu.get.get`.

    A response comes after each instance, and a final one; how many remain is not known. An instance of another study is
    not taken, and counts as failed.

    Args:
        peer: the server that holds the instances.
        model: of no meaning here.
        identifier: the UIDs down to the level that is wanted.
        sop_classes: of no meaning here.
        store_handler: takes the instances.
        cancelled: asked before each piece; true breaks the answer off.
        secrets: the files that may hold the secret.

    Raises:
        PeerError: they are not given, or the answer does not come to its end.
        InvalidInput: the server's secret or one of its files of TLS cannot be used.
    """
    del model, sop_classes
    path = "".join(
        f"/{resource}/{uid(str(identifier.get(keyword)), field=keyword)}"
        for keyword, resource in _RESOURCES
        if identifier.get(keyword)
    )
    requestor = Requestor(peer.called_ae_title, peer.host)
    study = str(identifier.get("StudyInstanceUID") or "")
    with retrieving(web_peer(peer, secrets), path) as retrieval:
        yield from _Taking(retrieval, study, requestor, store_handler, cancelled).responses()


_RESOURCES: Final = (("StudyInstanceUID", "studies"), ("SeriesInstanceUID", "series"), ("SOPInstanceUID", "instances"))


class _Cancelled(Exception):
    """Whoever retrieves has stopped it."""


@dataclass(slots=True)
class _Taking:
    """Hands the instances of an answer to a handler, and counts them."""

    retrieval: Retrieval
    study_instance_uid: str
    requestor: Requestor
    handler: StoreHandler
    cancelled: Cancelled
    completed: int = 0
    warning: int = 0
    failed: list[str] = field(default_factory=list)

    def responses(self) -> Iterator[Response]:
        for one in self.retrieval.instances:
            try:
                self._take(one)
            except _Cancelled:
                yield self._response(CANCEL)
                return
            yield self._response(PENDING[0])
            if self.cancelled():
                yield self._response(CANCEL)
                return
        is_whole = not self.failed and not self.retrieval.is_partial
        yield self._response(SUCCESS if is_whole else _WARNING)

    def _take(self, one: Announced | None) -> None:
        if one is None:
            self.failed.append("")
            return
        if one.study_instance_uid not in ("", self.study_instance_uid):
            self.failed.append(one.identity.sop_instance_uid)
            return
        try:
            status = self._stored(one)
        except Refusal as refusal:
            status = refusal.status
        kind = category(status)
        if kind is Category.SUCCESS:
            self.completed += 1
        elif kind is Category.WARNING:
            self.warning += 1
        else:
            self.failed.append(one.identity.sop_instance_uid)

    def _stored(self, one: Announced) -> int:
        sink = self.handler.begin_store(self.requestor, one.identity)
        finished = False
        try:
            for piece in one.content:
                if self.cancelled():
                    raise _Cancelled
                sink.write(piece)
            status = sink.finish()
            finished = True
            return status
        finally:
            if not finished:
                sink.discard()

    def _response(self, status: int) -> Response:
        counters = Suboperations(completed=self.completed, failed=len(self.failed), warning=self.warning)
        return Response(status, "", counters, tuple(filter(None, self.failed)))
