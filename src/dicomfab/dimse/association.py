"""An association that we request: opened, used by the functions of :mod:`dicomfab.dimse.scu`, released (PS3.7 7)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NoReturn

from dicomfab.dimse import c_store, explain
from dicomfab.dimse import command as dimse_command
from dicomfab.dimse.command import Command
from dicomfab.dimse.endings import Ending, PeerViolated, Stage
from dicomfab.dimse.handlers import Requestor, StoreHandler
from dicomfab.dimse.link import Link, Message
from dicomfab.dimse.messages import MAX_IDENTIFIER_BYTES, Implementation, ProposedContext
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.transport.connect import connect
from dicomfab.model.errors import DicomFabError
from dicomfab.model.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicomfab.ul import (
    AssociateAC,
    AssociateRQ,
    AssociationAccepted,
    AssociationRejected,
    Chunk,
    PresentationContext,
    Role,
    RoleSelection,
    UpperLayer,
    UserIdentity,
    UserInformation,
)
from dicomfab.ul.negotiation import (
    ACCEPTANCE,
    NO_REASON,
    TRANSFER_SYNTAXES_NOT_SUPPORTED,
    AcceptedContext,
    accepted_contexts,
)

#: What we tell peers that we take in one P-DATA-TF, in bytes.
MAX_PDU_LENGTH: Final = 128 << 10

#: Takes a request of the peer on an association of ours (C-STORE during a C-GET); reads its data set and answers it.
OnRequest = Callable[["Association", Message], None]


class Association:
    """An established association. Used by one thread, but for :meth:`abort`.

    Every method raises a :class:`~dicomfab.model.errors.PeerError` when the association ends under it.

    Args:
        link: established.
        peer: whom we called.
        implementation: who the peer says it is.
        identity_response: what it answered to the user identity, if it did (PS3.7 D.3.3.7.2).
        refused: abstract syntax -> result 1 to 4 (PS3.8 table 9-18) of those that were accepted in no context.
    """

    def __init__(
        self,
        link: Link,
        peer: Peer,
        implementation: Implementation,
        identity_response: bytes | None = None,
        refused: Mapping[str, int] | None = None,
    ) -> None:
        self.peer = peer
        self.implementation = implementation
        self.identity_response = identity_response
        self.refused = refused or {}
        self._link = link
        self._message_id = 0
        self._ended = False

    @property
    def contexts(self) -> Mapping[int, AcceptedContext]:
        """The accepted presentation contexts, by id."""
        return self._link.contexts

    def accepted(self, abstract_syntax: str) -> frozenset[str]:
        """The transfer syntaxes that the peer accepted for an abstract syntax."""
        return frozenset(c.transfer_syntax for c in self.contexts.values() if c.abstract_syntax == abstract_syntax)

    def context_for(self, abstract_syntax: str, what: str, *, as_scp: bool = False) -> AcceptedContext:
        """The first accepted context for an abstract syntax on which we may invoke the service.

        Args:
            abstract_syntax: a SOP class UID.
            what: what for, in words, if there is none.
            as_scp: one on which we perform the service will do too, as for an N-EVENT-REPORT (PS3.7 D.3.3.4).

        Raises:
            ContextRejected: there is none; nothing was sent.
        """
        for context in self.contexts.values():
            if context.abstract_syntax == abstract_syntax and (context.as_scu or (as_scp and context.as_scp)):
                return context
        raise explain.no_context(self.peer, what)

    def next_message_id(self) -> int:
        """1 to 65,535, and again (PS3.7 9.3)."""
        self._message_id = self._message_id % 0xFFFF + 1
        return self._message_id

    def send(self, context: AcceptedContext, command: Mapping[str, Any], dataset: Sequence[Chunk] = ()) -> None:
        """Send one message."""
        self.send_encoded(context, dimse_command.encode(command), dataset, dimse_command.name_of(command))

    def send_encoded(
        self, context: AcceptedContext, command: bytes, dataset: Sequence[Chunk], name: str = "C-STORE"
    ) -> None:
        """Send one message whose command set is encoded already.

        Args:
            context: to send it in.
            command: the encoded command set.
            dataset: the encoded data set in pieces, if there is one.
            name: of the message, for errors.
        """
        try:
            self._link.send(context.context_id, command, dataset)
        except Ending as ending:
            raise self._explained(ending, name) from ending

    def response_begins(self, operation: str, timeout_s: float) -> bool:
        """Wait for the next response to begin, and leave it for :meth:`response_to`.

        Args:
            operation: for errors, ``C-STORE``.
            timeout_s: seconds until it has to begin.

        Returns:
            False if the association has ended instead, which :meth:`response_to` then reports.
        """
        try:
            return self._link.await_fragment(timeout_s)
        except Ending as ending:
            raise self._explained(ending, operation) from ending

    def response_to(
        self, message_id: int, operation: str, timeout_s: float, on_request: OnRequest | None = None
    ) -> Message:
        """The next response to a request.

        Args:
            message_id: of the request.
            operation: for messages, ``C-FIND``.
            timeout_s: seconds until it has to begin.
            on_request: takes what the peer asks of us meanwhile.
        """
        while True:
            try:
                message = self._link.receive(timeout_s)
            except Ending as ending:
                raise self._explained(ending, operation) from ending
            if not message.command["CommandField"] & dimse_command.RESPONSE:
                if on_request is None:
                    self._violated(f"a {dimse_command.name_of(message.command)} that nobody expects", operation)
                else:
                    on_request(self, message)
                continue
            if message.command.get("MessageIDBeingRespondedTo") != message_id:
                self._violated("a response to a request that was not sent", operation)
            if "Status" not in message.command:
                self._violated("a response without a status", operation)
            return message

    def read_data_set(self, write: Callable[[memoryview], object], operation: str) -> int:
        """Hand on the data set of the message received last, in pieces."""
        try:
            return self._link.read_data_set(write)
        except Ending as ending:
            raise self._explained(ending, operation) from ending

    def read_identifier(self, operation: str) -> bytes:
        """The data set of the message received last, whole."""
        data = bytearray()

        def keep(piece: memoryview) -> None:
            if len(data) + len(piece) > MAX_IDENTIFIER_BYTES:
                self._violated("an identifier that is too long", operation)
            data.extend(piece)

        self.read_data_set(keep, operation)
        return bytes(data)

    def take_instance(self, message: Message, requestor: Requestor, handler: StoreHandler) -> None:
        """Answer a C-STORE that the peer sends on this association, as a C-GET makes it do."""
        if message.command["CommandField"] != dimse_command.C_STORE_RQ:
            self._violated(f"a {dimse_command.name_of(message.command)} that nobody expects", "C-GET")
        try:
            c_store.receive(self._link, message, requestor, handler)
        except Ending as ending:
            raise self._explained(ending, "C-GET") from ending

    def cancel(self, context: AcceptedContext, message_id: int) -> None:
        """Send C-CANCEL for a request under way (PS3.7 9.3.2.3)."""
        command: Command = {
            "CommandField": dimse_command.C_CANCEL_RQ,
            "MessageIDBeingRespondedTo": message_id,
            "CommandDataSetType": dimse_command.NO_DATA_SET,
        }
        self.send(context, command)

    def abort(self) -> None:
        """Send A-ABORT and hang up; from any thread. What is under way ends at once with an error."""
        self._link.abort()

    def close(self, *, in_order: bool) -> None:
        """Release the association, or abort it. What goes wrong with that no longer matters."""
        if not self._ended:
            with contextlib.suppress(Ending):
                if in_order:
                    self._link.release(self.peer.timeouts.association_s)
                else:
                    self._link.abort()
        self._link.close()

    def _violated(self, what: str, operation: str) -> NoReturn:
        self._link.abort()
        raise self._explained(PeerViolated(what), operation)

    def _explained(self, ending: Ending, operation: str) -> DicomFabError:
        self._ended = True
        return explain.ended(self.peer, ending, f"during {operation.removesuffix('-RQ')}")


@contextlib.contextmanager
def associate(
    peer: Peer,
    contexts: Sequence[ProposedContext],
    *,
    identity: UserIdentity | None = None,
    even_without_context: bool = False,
) -> Iterator[Association]:
    """Request an association; released on leaving, aborted when left by an exception.

    Args:
        peer: whom to call, and as whom.
        contexts: at most 128 presentation contexts.
        identity: who the user is, for peers that ask (PS3.7 D.3.3.7).
        even_without_context: an association on which no context was accepted is as good as any: to see which not.

    Raises:
        ConnectionFailed: no TCP connection, or no TLS on it.
        AssociationRejected: A-ASSOCIATE-RJ.
        PeerTimeout: no answer in time.
        AssociationAborted: the peer hung up.
        ContextRejected: none of the contexts was accepted.
    """
    association = _establish(peer, contexts, identity, even_without_context)
    try:
        yield association
    except BaseException:
        association.close(in_order=False)
        raise
    association.close(in_order=True)


def _establish(
    peer: Peer, contexts: Sequence[ProposedContext], identity: UserIdentity | None, even_without_context: bool
) -> Association:
    request = _request(peer, contexts, identity)
    layer = UpperLayer(Role.REQUESTOR, max_pdu_length=request.user.max_pdu_length)
    layer.associate(request)
    channel = connect(peer)
    link = Link(layer, channel, pdu_timeout_s=peer.timeouts.dimse_s, trace=peer.trace)
    try:
        if peer.trace is not None:
            peer.trace.request("sent", request)
        link.flush()
        answer = link.wait(peer.timeouts.association_s, Stage.ASSOCIATION)
    except Ending as ending:
        link.close()
        doing = "instead of answering the association request"
        raise explain.ended(peer, ending, doing, answered=False) from ending
    except BaseException:
        link.close()
        raise
    association = _established(link, peer, request, answer)
    if not link.contexts and not even_without_context:
        association.close(in_order=True)
        only_syntaxes = set(association.refused.values()) == {TRANSFER_SYNTAXES_NOT_SUPPORTED}
        raise explain.no_context(peer, association.refused, only_syntaxes=only_syntaxes)
    return association


def _established(link: Link, peer: Peer, request: AssociateRQ, answer: object) -> Association:
    if isinstance(answer, AssociationRejected):
        if peer.trace is not None:
            peer.trace.rejection("received", answer.rejection)
        link.close()
        rejection = answer.rejection
        raise explain.rejected(peer, rejection.result, rejection.source, rejection.reason)
    if not isinstance(answer, AssociationAccepted):
        link.close()
        raise explain.ended(peer, PeerViolated("neither an acceptance nor a rejection"), "while associating")
    if peer.trace is not None:
        peer.trace.answer("received", answer.answer, request)
    link.contexts = accepted_contexts(request, answer.answer)
    if peer.max_pdu_length:
        link.layer.peer_max_pdu_length = min(link.layer.peer_max_pdu_length or peer.max_pdu_length, peer.max_pdu_length)
    user = answer.answer.user
    implementation = Implementation(user.implementation_class_uid, user.implementation_version_name)
    refused = _refused(request, answer.answer, link.contexts)
    return Association(link, peer, implementation, user.identity_response, refused)


def _refused(request: AssociateRQ, answer: AssociateAC, accepted: Mapping[int, AcceptedContext]) -> dict[str, int]:
    """Results of the abstract syntaxes that were accepted in no context, by the last one of each."""
    results = {result.context_id: result.result for result in answer.results}
    taken = {context.abstract_syntax for context in accepted.values()}
    refused = {}
    for context in request.contexts:
        if context.abstract_syntax not in taken:
            result = results.get(context.context_id, NO_REASON)
            # Accepted, but in a transfer syntax that was not proposed.
            refused[context.abstract_syntax] = TRANSFER_SYNTAXES_NOT_SUPPORTED if result == ACCEPTANCE else result
    return refused


def _request(peer: Peer, contexts: Sequence[ProposedContext], identity: UserIdentity | None) -> AssociateRQ:
    proposed = tuple(
        PresentationContext(2 * position + 1, context.abstract_syntax, context.transfer_syntaxes)
        for position, context in enumerate(contexts)
    )
    as_scp = dict.fromkeys(context.abstract_syntax for context in contexts if context.as_scp)
    user = UserInformation(
        max_pdu_length=peer.max_pdu_length or MAX_PDU_LENGTH,
        implementation_class_uid=IMPLEMENTATION_CLASS_UID,
        implementation_version_name=IMPLEMENTATION_VERSION_NAME,
        roles=tuple(RoleSelection(sop_class, scu=False, scp=True) for sop_class in as_scp),
        identity=identity,
    )
    return AssociateRQ(peer.called_ae_title, peer.calling_ae_title, proposed, user)
