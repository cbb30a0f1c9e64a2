"""One association that a peer has opened to us: accepted or rejected, its requests answered, ended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final

from pydicom import Dataset

from dicomfab.dimse import command as dimse_command
from dicomfab.dimse.command import Command
from dicomfab.dimse.contexts import acceptable
from dicomfab.dimse.endings import AbortedHere, ConnectionDropped, Ending, PeerReleased, PeerViolated, Stage
from dicomfab.dimse.explain_tls import caller_speaks_tls, looks_like_tls
from dicomfab.dimse.handlers import (
    Handlers,
    NormalizedHandler,
    Refusal,
    Requestor,
    ServerConfig,
    WorklistHandler,
)
from dicomfab.dimse.identifier import IdentifierError, decode, encode
from dicomfab.dimse.link import Link, Message
from dicomfab.dimse.messages import MAX_IDENTIFIER_BYTES
from dicomfab.dimse.scp.gate import Gate
from dicomfab.dimse.scp.late import LateReports
from dicomfab.dimse.sop_classes import WORKLIST, is_storage
from dicomfab.dimse.trace import RECEIVED, SENT
from dicomfab.dimse.transport.channel import Channel
from dicomfab.model.log_lines import log_failure
from dicomfab.model.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicomfab.ul import (
    AssociateAC,
    AssociateRJ,
    AssociateRQ,
    AssociationRequested,
    AsynchronousOperations,
    LocalProtocolError,
    Role,
    UpperLayer,
    UserInformation,
)
from dicomfab.ul.negotiation import accepted_contexts, answer_contexts, answer_roles

log = logging.getLogger(__name__)

_PERMANENT, _TRANSIENT = 1, 2
# (source, reason) of A-ASSOCIATE-RJ (PS3.8 table 9-21)
_NO_REASON_GIVEN: Final = (1, 1)
_CALLING_AE_TITLE_NOT_RECOGNIZED: Final = (1, 3)
_CALLED_AE_TITLE_NOT_RECOGNIZED: Final = (1, 7)
_LOCAL_LIMIT_EXCEEDED: Final = (3, 2)
_IDENTIFIER_DOES_NOT_MATCH: Final = 0xA900


class Session:
    """Serves one connection in the thread that it is given.

    Args:
        channel: connected.
        address: the caller's, for handlers and logs.
        config: how the server presents itself.
        handlers: of the C-services.
        normalized: of the N-services, by SOP class UID.
        admit: whether one more association is allowed; asked once.
        leave: told once more when the association ends in order, before the peer knows that it has: the next that it
            asks for may come at once.
        gate: judges the caller and gives the handlers, where there is one.
    """

    def __init__(
        self,
        channel: Channel,
        address: str,
        config: ServerConfig,
        handlers: Handlers,
        normalized: Mapping[str, NormalizedHandler],
        admit: Callable[[], bool],
        leave: Callable[[], None] = lambda: None,
        gate: Gate | None = None,
    ) -> None:
        self.handlers = handlers
        self.normalized = normalized
        self.config = config
        self.requestor = Requestor("", address)
        trace = None if config.traces is None else config.traces.open(f"association from {address}")
        layer = UpperLayer(Role.ACCEPTOR, max_pdu_length=config.max_pdu_length)
        self.link = Link(layer, channel, pdu_timeout_s=config.pdu_timeout_s, trace=trace)
        self.link.on_release = leave
        self._admit = admit
        self._leave = leave
        self._gate = gate
        self._is_admitted = False
        self._message_id = 0
        #: What is to be reported on this association when its requests have been answered.
        self.late = LateReports(self.link, config.pdu_timeout_s)

    def serve(self, answer: Callable[[Session, Message], None]) -> None:
        """Until the association ends, in whatever way.

        Args:
            answer: performs a request.
        """
        how = ""
        try:
            if self._established():
                while True:
                    request = self.late.next_request(lambda message: answer(self, message))
                    answer(self, request or self.link.receive(self.config.idle_s, Stage.IDLE))
        except PeerReleased:
            self.late.abandon()
            self.link.linger(self.config.artim_s)
        except Ending as ending:
            how = f"{type(ending).__name__}: {ending}"
            self._log_ending(ending)
        except Exception as error:  # noqa: BLE001 (the outermost door; logged)
            log_failure(log, f"the association with {self._who()}", error)
            self.link.abort()
        finally:
            self.link.close()
            self.late.abandon()
            if self._gate is not None and self._is_admitted:
                self._gate.ended(self.requestor, self.handlers, how)

    def abort(self) -> None:
        """End it at once; from any thread."""
        self.link.abort()

    # ------------------------------------------------------------------ for whoever performs a request

    @property
    def worklist(self) -> WorklistHandler | None:
        """The handlers, if a worklist is among what they offer."""
        return self.handlers if isinstance(self.handlers, WorklistHandler) else None

    def respond(self, message: Message, response: Command, data: Dataset | None = None) -> None:
        """Send a response in the context of the request."""
        dataset = () if data is None else (encode(data, message.context.transfer_syntax),)
        self.link.send(message.context.context_id, dimse_command.encode(response), dataset)

    def refuse(self, message: Message, status: int, comment: str = "", error_id: int | None = None) -> None:
        """Answer a request with a failure."""
        self.link.drop_data_set()
        response = dimse_command.response_to(message.command, status)
        if comment:
            response["ErrorComment"] = comment
        if error_id is not None:
            response["ErrorID"] = error_id
        self.respond(message, response)

    def identifier(self, message: Message) -> Dataset:
        """The data set of a request.

        Raises:
            Refusal: it cannot be read, or is too long.
        """
        data = bytearray()
        too_long = False

        def keep(piece: memoryview) -> None:
            nonlocal too_long
            too_long = too_long or len(data) + len(piece) > MAX_IDENTIFIER_BYTES
            if not too_long:
                data.extend(piece)

        self.link.read_data_set(keep)
        if too_long:
            raise Refusal(_IDENTIFIER_DOES_NOT_MATCH, "the identifier is too long")
        try:
            return decode(bytes(data), message.context.transfer_syntax)
        except IdentifierError as error:
            raise Refusal(_IDENTIFIER_DOES_NOT_MATCH, "the identifier cannot be read") from error

    def cancelled(self, message: Message) -> bool:
        """Whether the peer has sent C-CANCEL for a request meanwhile (PS3.7 9.3.2.3).

        Raises:
            Ending: it has sent something else, or ended the association.
        """
        other = self.link.poll()
        if other is None:
            return False
        if other.command["CommandField"] != dimse_command.C_CANCEL_RQ:
            self.link.abort()
            raise PeerViolated(f"a {dimse_command.name_of(other.command)} while another request is under way")
        return bool(other.command.get("MessageIDBeingRespondedTo") == message.command.get("MessageID"))

    def next_message_id(self) -> int:
        """For requests of our own, as a C-GET makes them."""
        self._message_id = self._message_id % 0xFFFF + 1
        return self._message_id

    # ------------------------------------------------------------------ association

    def _established(self) -> bool:
        event = self.link.wait(self.config.artim_s, Stage.ASSOCIATION)
        if isinstance(event, AssociationRequested):
            request = event.request
            self.requestor = Requestor(_printable(request.calling_ae_title), self.requestor.address)
            trace = self.link.trace
            if trace is not None:
                trace.request(RECEIVED, request)
            identity_answer, refusal = self._judged(request)
            if self._gate is not None:
                refusal = self._admission(self._gate, request, refusal)
            self.link.raise_if_ended()  # a peer that hangs up at once is not answered
            if refusal is None:
                refusal = self._accept(request, identity_answer)
            if refusal is None:
                return True
            self.link.layer.reject(refusal)
            if trace is not None:
                trace.rejection(SENT, refusal)
            log.info(
                "association from %s to %s rejected: %d/%d/%d",
                self._who(), _printable(request.called_ae_title), refusal.result, refusal.source, refusal.reason,
            )  # fmt: skip
        self.link.flush()
        self.link.linger(self.config.artim_s)
        return False

    def _judged(self, request: AssociateRQ) -> tuple[bytes | None, AssociateRJ | None]:
        """The answer to the user identity, and why the request is rejected if it is."""
        config = self.config
        known = config.known_calling_ae_titles
        if request.called_ae_title != config.ae_title:
            return None, AssociateRJ(_PERMANENT, *_CALLED_AE_TITLE_NOT_RECOGNIZED)
        if known is not None and request.calling_ae_title not in known:
            return None, AssociateRJ(_PERMANENT, *_CALLING_AE_TITLE_NOT_RECOGNIZED)
        answer: bytes | None = b""
        if request.user.identity is not None and config.identify is not None:
            answer = config.identify(request.user.identity)
        if answer is None:
            return None, AssociateRJ(_PERMANENT, *_NO_REASON_GIVEN)
        if not self._admit():
            return None, AssociateRJ(_TRANSIENT, *_LOCAL_LIMIT_EXCEEDED)
        wanted = request.user.identity is not None and request.user.identity.response_requested
        return answer if wanted else None, None

    def _admission(self, gate: Gate, request: AssociateRQ, refusal: AssociateRJ | None) -> AssociateRJ | None:
        """Why the request is rejected after the gate has been asked or, if it is already, told."""
        why = ""
        if refusal is None:
            admission = gate.admit(self.requestor)
            if not isinstance(admission, str):
                self.handlers, self._is_admitted = admission, True
                return None
            refusal, why = AssociateRJ(_PERMANENT, *_CALLING_AE_TITLE_NOT_RECOGNIZED), admission
            self._leave()  # at once: whoever is rejected may take its time to hang up
        gate.rejected(self.requestor, request.called_ae_title, refusal, why)
        return refusal

    def _accept(self, request: AssociateRQ, identity_answer: bytes | None) -> AssociateRJ | None:
        """Accept; why not, if the answer to all that was proposed does not fit into an A-ASSOCIATE-AC."""
        # Requestors perform storage in a C-GET, and are the SCP that reports events (storage commitment, PS3.4 J.3.3).
        roles = answer_roles(request.user.roles, lambda uid: is_storage(uid) or uid in self.normalized)
        user = UserInformation(
            max_pdu_length=self.config.max_pdu_length,
            implementation_class_uid=IMPLEMENTATION_CLASS_UID,
            implementation_version_name=IMPLEMENTATION_VERSION_NAME,
            # One outstanding request at a time, whatever was proposed.
            asynchronous_operations=AsynchronousOperations(1, 1) if request.user.asynchronous_operations else None,
            roles=roles,
            identity_response=identity_answer,
        )
        to_send = {role.sop_class_uid for role in roles if role.scp}
        extra = {*self.normalized} if self.worklist is None else {*self.normalized, WORKLIST}
        results = answer_contexts(request.contexts, acceptable(extra, to_send))
        answer = AssociateAC(request.called_ae_title, request.calling_ae_title, results, user)
        try:
            self.link.layer.accept(answer)
        except LocalProtocolError:
            return AssociateRJ(_PERMANENT, *_NO_REASON_GIVEN)
        if self.link.trace is not None:
            self.link.trace.answer(SENT, answer, request)
        self.link.contexts = accepted_contexts(request, answer)
        self.link.flush()
        return None

    def _who(self) -> str:
        return f"{self.requestor.ae_title}@{self.requestor.address}"

    def _log_ending(self, ending: Ending) -> None:
        if isinstance(ending, PeerViolated) and looks_like_tls(ending.first_bytes):
            log.warning("%s", caller_speaks_tls(self.requestor.address).what)
        elif isinstance(ending, AbortedHere):
            log.info("association with %s aborted by us", self._who())
        elif isinstance(ending, ConnectionDropped) and not self.requestor.ae_title:
            log.debug("connection from %s closed without an association", self.requestor.address)
        else:
            log.info("association with %s ended: %s: %s", self._who(), type(ending).__name__, ending)


def _printable(text: str) -> str:
    """What a peer calls itself, without what a log or a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in text)
