"""HL7 messages as they come: each is kept, applied or refused with a reason, and answered (HL7 v2 chapter 2.9).

A message, what it changes and its acknowledgement are one transaction, on the disk before anything is answered. So a
message that was not answered either changed nothing, or is recognised when it comes again.
"""

from __future__ import annotations

import datetime as dt
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from dicomfab.access.policy import Action, Scope, require
from dicomfab.hl7 import patients
from dicomfab.hl7.acknowledging import (
    Acknowledgement,
    Code,
    Problem,
    Unacceptable,
    Wanted,
    acknowledged,
    content_error,
    rejection,
    wanted,
)
from dicomfab.hl7.character_sets import decoded, is_guessed
from dicomfab.hl7.er7 import Segment, parse
from dicomfab.hl7.orders import read
from dicomfab.hl7.profile import Profile
from dicomfab.hl7.writing import encoded
from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind, Outcome
from dicomfab.model.errors import Conflict, InvalidInput, LocalFailure
from dicomfab.model.hl7_message import Direction, Hl7Message, MessageState
from dicomfab.model.log_lines import log_failure
from dicomfab.model.order import CANCELLING, Order
from dicomfab.model.values import Environment
from dicomfab.services.ordering.late_answer import queue_answer
from dicomfab.services.ordering.late_answered import ACK, note_answer
from dicomfab.services.ordering.patient_news import PatientNews
from dicomfab.services.ordering.reporting import note_report
from dicomfab.services.ordering.scheduling import Scheduler
from dicomfab.services.ordering.status import StatusMessages
from dicomfab.services.recording import Record, nobody
from dicomfab.storage.database import is_of_content
from dicomfab.storage.hl7_messages import MessageRows
from dicomfab.storage.orders import StoredOrder, add_orders
from dicomfab.storage.procedures import ProcedureRepository, ProcedureRows

log = logging.getLogger(__name__)

#: How long a control ID is remembered: engines begin to count anew, seldom within a day.
WINDOW: Final = dt.timedelta(hours=24)
_ORDERS: Final = {"ORM": {"O01"}, "OMG": {"O19"}, "OMI": {"O23"}}
_KNOWN: Final[dict[str, set[str] | frozenset[str]]] = {**_ORDERS, "ADT": patients.KNOWN, "ORU": {"R01"}, ACK: set()}
_VERSIONS: Final = frozenset(("2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8"))
_PROCESSING: Final = frozenset("PDT")
_ORIGINAL: Final = Wanted(False, (True, True), (True, True))
_BROKEN: Final = "the application failed at this message, and did nothing of it: its log says where"
_COMMITTED: Final = {
    Acknowledgement.ERROR: Acknowledgement.COMMIT_ERROR,
    Acknowledgement.REJECTED: Acknowledgement.COMMIT_REJECTED,
}


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a message.

    Args:
        message: as it stands in the ledger.
        answer: the acknowledgement, as bytes; empty if none is wanted.
        orders: what was kept of it.
        problems: with it.
        is_repeat: whether it came before and was answered as then.
    """

    message: Hl7Message
    answer: bytes
    orders: tuple[StoredOrder, ...] = ()
    problems: tuple[Problem, ...] = ()
    is_repeat: bool = False


@dataclass(frozen=True, slots=True)
class Intake:
    """Takes HL7 messages of an installation.

    Args:
        procedures: where what follows from them is kept.
        profiles: how messages of certain senders are read; asked for each message.
        now: local time of the site.
        new_uid: gives a UID that nobody else will.
        draw_seed: for identifiers of new patients.
        record: the audit log.
    """

    procedures: ProcedureRepository
    profiles: Callable[[], Sequence[Profile]]
    now: Callable[[], dt.datetime]
    new_uid: Callable[[], str]
    draw_seed: Callable[[], int]
    record: Record = nobody

    def take(self, actor: Actor, data: bytes, environment: Environment, *, peer: str = "") -> Taken:
        """Take a message and answer it.

        Args:
            actor: needs FABRICATE, and VIEW in the environment.
            data: the message, without the bytes of MLLP.
            environment: whose orders and patients it is about.
            peer: who sent it, for people.

        Raises:
            AccessDenied: the actor may not.
            LocalFailure: nothing could be kept.
        """
        require(actor, Action.FABRICATE, Scope.SYSTEM)
        require(actor, Action.VIEW, environment)
        header = header_of(data)
        mode = wanted(header) if header else _ORIGINAL
        message = self._message(data, header, environment, peer)
        with self.procedures.change() as rows:
            ledger = MessageRows(rows.transaction)
            problems: list[Problem] = []
            if message.control_id:
                for before, is_same in ledger.earlier(message, message.at - WINDOW):
                    if is_same and before.code:
                        ledger.came_again(before.number)
                        if before.code == Acknowledgement.ERROR and not mode.is_enhanced:
                            # It changed nothing then, and may be right now: its order came, or a profile was mended.
                            anew = self._applied(actor, rows, replace(before, data=message.data), header, [])
                            if anew.message.code != before.code:
                                return replace(anew, is_repeat=True)
                            told = {"code": before.code, "acknowledgement": before.acknowledgement}
                            ledger.finish(before.number, before.state, **told, reason=before.reason)
                        return Taken(before, _again(before, header, mode), is_repeat=True)
                    problems = [_reused(message)]
            if mode.is_enhanced and header is not None:
                taken = self._committed(ledger, message, header, mode, problems)
                if taken.message.state is MessageState.REFUSED:
                    self._note(actor, rows, message, (), Acknowledgement(taken.message.code), taken.problems)
                return taken
            return self._applied(actor, rows, ledger.add(message), header, problems)

    def apply_kept(self, actor: Actor, environment: Environment, limit: int = 100) -> int:
        """Apply messages that were only committed to, the oldest first, in one transaction.

        Args:
            actor: needs FABRICATE, and VIEW in the environment.
            environment: whose messages.
            limit: not more than so many.

        Returns:
            How many were applied or refused.

        Raises:
            AccessDenied: the actor may not.
            LocalFailure: none were.
        """
        require(actor, Action.FABRICATE, Scope.SYSTEM)
        require(actor, Action.VIEW, environment)
        with self.procedures.read() as rows:
            if not MessageRows(rows.transaction).with_state(Direction.IN, MessageState.KEPT, environment, 1):
                return 0
        with self.procedures.change() as rows:
            kept = MessageRows(rows.transaction).with_state(Direction.IN, MessageState.KEPT, environment, limit)
            for message in kept:
                self._apply_kept(actor, rows, message)
        return len(kept)

    def _apply_kept(self, actor: Actor, rows: ProcedureRows, message: Hl7Message) -> None:
        """Apply one, or refuse it: those that came after it are not to wait for ever."""
        try:
            with rows.transaction.begin_nested():
                self._applied(actor, rows, message, header_of(message.data), [], is_committed=True)
        except Exception as error:
            if not is_of_content(error):
                raise
            log_failure(log, f"applying message {message.number}", error)
            MessageRows(rows.transaction).finish(message.number, MessageState.REFUSED, reason=_BROKEN)

    def broken(self, actor: Actor, data: bytes, environment: Environment, *, peer: str = "") -> bytes:
        """Keep a message that could not be taken because the application failed, and answer so.

        Args:
            actor: needs FABRICATE, and VIEW in the environment.
            data: the message, without the bytes of MLLP.
            environment: whose orders and patients it is about.
            peer: who sent it, for people.

        Raises:
            AccessDenied: the actor may not.
            LocalFailure: it could not even be kept.
        """
        require(actor, Action.FABRICATE, Scope.SYSTEM)
        require(actor, Action.VIEW, environment)
        header = header_of(data)
        mode = wanted(header) if header else _ORIGINAL
        what = Acknowledgement.COMMIT_ERROR if mode.is_enhanced else Acknowledgement.ERROR
        problem = Problem(Code.INTERNAL, _BROKEN)
        answer, text = self._answer(header, what, [problem], f"DF{secrets.token_hex(8)}")
        came = replace(self._message(data, header, environment, peer), state=MessageState.REFUSED, reason=_BROKEN)
        with self.procedures.change() as rows:
            kept = MessageRows(rows.transaction).add(replace(came, code=str(what), acknowledgement=text))
            self._note(actor, rows, kept, (), what, [problem])
        return answer if mode.accept[True] or not mode.is_enhanced else b""

    def failed(self, data: bytes, error: LocalFailure) -> bytes:
        """The answer to a message that could not even be kept."""
        header = header_of(data)
        problem = Problem(Code.INTERNAL, f"not kept: {error.what}. Send it again")
        return self._answer(header, Acknowledgement.ERROR, [problem], "DF0")[0]

    def unframed(self, data: bytes, what: str) -> bytes:
        """The answer to bytes that are no message."""
        problem = Problem(Code.SEGMENT_SEQUENCE, what)
        return self._answer(header_of(data), Acknowledgement.REJECTED, [problem], "DF0")[0]

    def _message(self, data: bytes, header: Segment | None, environment: Environment, peer: str) -> Hl7Message:
        given = (header.get(3), header.get(4), header.get(10)) if header else ("", "", "")
        kind = "^".join(one for one in (header.get(9, 1), header.get(9, 2)) if one) if header else ""
        return Hl7Message(
            number=0,
            direction=Direction.IN,
            environment=environment,
            peer=peer,
            sender="|".join(given[:2]).strip("|").replace("\0", ""),
            control_id=given[2].replace("\0", ""),
            message_type=kind.replace("\0", ""),
            data=data,
            state=MessageState.KEPT,
            code="",
            acknowledgement="",
            reason="",
            repeats=0,
            at=self.now(),
        )

    def _committed(
        self, ledger: MessageRows, message: Hl7Message, header: Segment, mode: Wanted, problems: list[Problem]
    ) -> Taken:
        """Enhanced mode: say that it is kept; what becomes of it is found out later."""
        state, what = MessageState.KEPT, Acknowledgement.COMMIT_ACCEPTED
        try:
            _must_be_known(header)
        except Unacceptable as error:
            state, what, problems = MessageState.REFUSED, _COMMITTED[error.what], [error.problem, *problems]
        # Written once, with its answer: that names no number, which is not known before.
        answer, text = self._answer(header, what, problems, f"DF{secrets.token_hex(8)}")
        text, reason = text.replace("\0", ""), _words(problems)
        kept = ledger.add(replace(message, state=state, code=str(what), acknowledgement=text, reason=reason))
        return Taken(kept, answer if mode.accept[not what.is_accepted] else b"", problems=tuple(problems))

    def _applied(
        self,
        actor: Actor,
        rows: ProcedureRows,
        message: Hl7Message,
        header: Segment | None,
        problems: list[Problem],
        *,
        is_committed: bool = False,
    ) -> Taken:
        state, what = MessageState.APPLIED, Acknowledgement.ACCEPTED
        orders: tuple[StoredOrder, ...] = ()
        try:
            with rows.transaction.begin_nested():
                orders, more = self._apply(actor, rows, message, header)
                problems = [*problems, *more]
        except Unacceptable as error:
            state, what, orders, problems = MessageState.REFUSED, error.what, (), [error.problem, *problems]
        except Exception as error:  # whoever sent it would wait for ever
            if not is_of_content(error):
                raise
            log_failure(log, f"applying message {message.number}", error)
            state, what, orders = MessageState.REFUSED, Acknowledgement.ERROR, ()
            problems = [Problem(Code.INTERNAL, _BROKEN), *problems]
        self._note(actor, rows, message, orders, what, problems)
        reason, code, text, answer = _words(problems), "", "", b""
        is_answer = header is not None and header.get(9, 1) == ACK
        if not is_committed and not is_answer:  # two that answer each other's answers would never end
            answer, text = self._answer(header, what, problems, f"DF{message.number}")
            code = str(what)
        elif is_committed and not is_answer and header is not None:
            queue_answer(rows, self._known_profiles, message, header, what, problems)
        MessageRows(rows.transaction).finish(message.number, state, code=code, acknowledgement=text, reason=reason)
        done = replace(message, state=state, code=code or message.code, acknowledgement=text, reason=reason)
        return Taken(done, answer, orders, tuple(problems))

    def _apply(
        self, actor: Actor, rows: ProcedureRows, message: Hl7Message, header: Segment | None
    ) -> tuple[tuple[StoredOrder, ...], list[Problem]]:
        if header is None:
            raise rejection(Code.SEGMENT_SEQUENCE, "no MSH segment: it is no HL7 v2 message")
        kind, event = _must_be_known(header)
        text, found = self._read(message)
        if kind == ACK:
            note_answer(MessageRows(rows.transaction), message, header, text)
            return (), []
        if kind == "ADT":
            news = PatientNews(rows, message.environment, message.number, self.draw_seed)
            return (), news.apply(event, found[0], text)
        if kind == "ORU":
            return (), note_report(rows, found[0], message, text)
        asking = [order for order in found if order.control]
        if not asking:
            raise content_error(Code.SEGMENT_SEQUENCE, "neither ORC nor OBR: nothing is ordered")
        kept = add_orders(rows.transaction, rows.now, asking, text, message.environment, actor.name)
        scheduler = Scheduler(rows, message.environment, message.number, self.new_uid)
        problems: list[Problem] = []
        for order, stored in zip(asking, kept, strict=True):
            noteworthy = scheduler.apply(order, stored.number)
            problems += noteworthy
            if order.control in CANCELLING and not noteworthy:
                StatusMessages(self.profiles).cancelled(rows, stored.number, order.sender)
        return kept, problems

    def _known_profiles(self) -> Sequence[Profile]:
        try:
            return self.profiles()
        except (InvalidInput, Conflict) as error:
            log.error("mapping profiles cannot be used, and nobody is told anything: %s", error.what)
            return ()

    def _read(self, message: Hl7Message) -> tuple[str, tuple[Order, ...]]:
        text, notes = decoded(message.data)
        if is_guessed(notes):
            raise content_error(Code.DATA_TYPE, "the bytes are not in the character set that MSH-18 names", "MSH-18")
        try:
            return text, read(message.data, self.profiles())
        except (InvalidInput, Conflict) as error:
            raise content_error(Code.INTERNAL, error.what[:200]) from None

    def _answer(
        self, header: Segment | None, what: Acknowledgement, problems: Sequence[Problem], control_id: str
    ) -> tuple[bytes, str]:
        text = acknowledged(header, what, problems, control_id=control_id, now=self.now())
        return _bytes(text, header), text

    def _note(
        self,
        actor: Actor,
        rows: ProcedureRows,
        message: Hl7Message,
        orders: Sequence[StoredOrder],
        what: Acknowledgement,
        problems: Sequence[Problem],
    ) -> None:
        ids = tuple(dict.fromkeys(one.order.value("PatientID") for one in orders if one.order.value("PatientID")))
        event = AuditEvent.by(
            actor,
            EventKind.IMPORT,
            environment=str(message.environment),
            subject="HL7 message",
            patient_ids=ids,
            outcome=Outcome.SUCCESS if what.is_accepted else Outcome.MINOR,
            reason="" if what.is_accepted else problems[0].text.replace("\0", ""),
            detail={"message": message.control_id, "type": message.message_type, "from": message.sender},
        )
        self.record(event, within=rows.transaction)


def _must_be_known(header: Segment) -> tuple[str, str]:
    """Type and event of a message that is taken here."""
    kind, event = header.get(9, 1), header.get(9, 2)
    if header.get(12) and header.get(12) not in _VERSIONS:
        raise rejection(Code.UNSUPPORTED_VERSION, "versions 2.1 to 2.8 are read here", "MSH-12")
    if header.get(11) and header.get(11) not in _PROCESSING:
        raise rejection(Code.UNSUPPORTED_PROCESSING_ID, "P, D and T are the processing IDs that there are", "MSH-11")
    if kind not in _KNOWN:
        raise rejection(
            Code.UNSUPPORTED_TYPE, f"{kind[:20] or 'a message without type'} is not acted on here", "MSH-9.1"
        )
    if event and kind != ACK and event not in _KNOWN[kind]:
        raise rejection(Code.UNSUPPORTED_EVENT, f"{kind}^{event[:20]} is not acted on here", "MSH-9.2")
    if not event and kind == "ADT":
        raise rejection(Code.UNSUPPORTED_EVENT, "which event it is stands in MSH-9.2, which is empty", "MSH-9.2")
    return kind, event


def header_of(data: bytes) -> Segment | None:
    """MSH alone; nothing if there is none that can be read."""
    start = data.find(b"MSH")
    if start < 0:
        return None
    line = data[start : start + 4096].replace(b"\n", b"\r").split(b"\r", 1)[0]
    try:
        return parse(decoded(line)[0]).segments[0]
    except InvalidInput:
        return None


def _bytes(text: str, header: Segment | None) -> bytes:
    """In the character set of the message; one that is not known, or cannot hold it, is no reason not to answer."""
    named = "~".join(one.get(1) for one in header.repetitions(18)) if header and header.raw(18) else ""
    try:
        return encoded(text, named)
    except InvalidInput:
        return text.encode("utf-8")


def _again(before: Hl7Message, header: Segment | None, mode: Wanted) -> bytes:
    """What was answered when the message came first; nothing if nothing was."""
    is_accepted = Acknowledgement(before.code).is_accepted
    if mode.is_enhanced and not mode.accept[not is_accepted]:
        return b""
    return _bytes(before.acknowledgement, header)


def _reused(message: Hl7Message) -> Problem:
    said = f"control ID {message.control_id} came before with other content: taken as another message"
    return Problem(Code.DUPLICATE_KEY, said, "MSH-10", is_warning=True)


def _words(problems: Sequence[Problem]) -> str:
    words = "; ".join(f"{one.place}: {one.text}" if one.place else one.text for one in problems)
    return words.replace("\0", "")  # what they quote may have some, and PostgreSQL keeps none in a text
