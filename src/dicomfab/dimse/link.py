"""One association's messages: the upper layer's machine, a channel and a clock, put together (PS3.7 section 6.3)."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, NoReturn

from dicomfab.dimse import command as dimse_command
from dicomfab.dimse.command import Command, CommandError
from dicomfab.dimse.endings import (
    AbortedHere,
    ConnectionDropped,
    Ending,
    PeerAborted,
    PeerReleased,
    PeerViolated,
    Stage,
    TimedOut,
)
from dicomfab.dimse.trace import Trace
from dicomfab.dimse.transport.channel import Channel, ReceiveTimeout, SendTimeout
from dicomfab.ul import (
    Abort,
    Aborted,
    AssociationAccepted,
    AssociationRejected,
    AssociationRequested,
    Chunk,
    ConnectionLost,
    Event,
    Fragment,
    LocalProtocolError,
    ProtocolViolated,
    Released,
    ReleaseRequested,
    RequestRefused,
    State,
    UpperLayer,
)
from dicomfab.ul.negotiation import AcceptedContext
from dicomfab.ul.pdata import size_of
from dicomfab.ul.pdu import encode_pdu

_ANSWERED_IN: Final = (State.STA8, State.STA9, State.STA12)
_LAST_WORDS: Final = encode_pdu(Abort(0))
#: How much of what a peer says while it does not listen is taken from it.
_MAX_KEPT_BYTES: Final = 1 << 20

#: The events that are about the association itself, not about data.
AssociationEvent = AssociationRequested | RequestRefused | AssociationAccepted | AssociationRejected | Released
#: The events after which there is no association.
_ENDS: Final = (Aborted, ProtocolViolated, ConnectionLost)


class Message(NamedTuple):
    """A DIMSE message of which the command set has come; its data set, if any, is to be read next."""

    context: AcceptedContext
    command: Command

    @property
    def has_data_set(self) -> bool:
        """Whether a data set follows."""
        return dimse_command.has_data_set(self.command)


class Link:
    """Sends and receives DIMSE messages. Used by one thread, but for :meth:`abort`.

    Args:
        layer: the upper layer, its transport connection not yet reported.
        channel: the transport connection.
        pdu_timeout_s: how long the rest of a PDU that has begun may take, and how long the peer may not read.
        trace: where to note what happens, if anywhere.
    """

    def __init__(self, layer: UpperLayer, channel: Channel, *, pdu_timeout_s: float, trace: Trace | None) -> None:
        self.layer = layer
        self.contexts: Mapping[int, AcceptedContext] = {}
        self.trace = trace
        self._channel = channel
        self._pdu_timeout_s = pdu_timeout_s
        self._pdu_number = -1
        self._pdu_since = 0.0
        self._events: deque[Event] = deque()
        self._command = bytearray()
        self._command_context = 0
        self._awaiting_data: Message | None = None
        self._sending = threading.Lock()
        self._aborted = False
        #: Called when the peer asks for release, before it is answered.
        self.on_release: Callable[[], None] = lambda: None
        layer.connected()

    # ------------------------------------------------------------------ sending

    def flush(self) -> None:
        """Send what the upper layer has to say.

        Raises:
            Ending: it cannot be sent.
        """
        out = self.layer.data_to_send()
        if out:
            self._send(out)

    def send(self, context_id: int, command: bytes, dataset: Sequence[Chunk] = ()) -> None:
        """Send one message.

        Args:
            context_id: of an accepted context.
            command: the encoded command set.
            dataset: the encoded data set in pieces, if there is one.

        Raises:
            Ending: the association ended before it was sent whole.
        """
        if self.trace is not None:
            self._trace_sent(context_id, command, dataset)
        try:
            chunks = self.layer.data(context_id, command, dataset)
        except LocalProtocolError:
            self.raise_if_ended()
            raise
        self._send(chunks)

    def _send(self, chunks: Sequence[Chunk] | object) -> None:
        try:
            with self._sending:
                self._channel.send(chunks, self._pdu_timeout_s, self._look_for_abort)  # type: ignore[arg-type]
        except SendTimeout:
            raise self._ended(TimedOut(Stage.SENDING, self._pdu_timeout_s)) from None
        except OSError as error:
            # A peer that aborts and closes resets the connection under our writing; its reason may have come before.
            self._take_now()
            self.raise_if_ended(Aborted, ProtocolViolated)
            raise self._ended(ConnectionDropped(reset=True)) from error
        except EOFError:
            self.abort()
            raise

    def _look_for_abort(self) -> None:
        """Read what has come in while we cannot send. Only an ending is acted upon now."""
        if sum(map(_size, self._events)) <= _MAX_KEPT_BYTES and self._take_now():
            self.raise_if_ended()

    def raise_if_ended(self, *by: type[Event]) -> None:
        """Look ahead: if what has come in already ends the association, nothing more can be sent.

        Args:
            by: the events that are looked for; none given means all that end it.

        Raises:
            Ending: it does.
        """
        for event in self._events:
            if isinstance(event, by or _ENDS):
                self._raise(event)

    def _take_now(self) -> bool:
        """Take what has come in, without waiting; whether there was anything."""
        if self._events:
            self._events = deque(map(_kept, self._events))
        try:
            count = self._channel.receive_now(self.layer.get_buffer())
        except OSError as error:
            raise self._ended(ConnectionDropped(reset=True)) from error
        if count is not None:
            self._take(count)
        return count is not None

    # ------------------------------------------------------------------ receiving

    def wait(self, timeout_s: float, stage: Stage) -> AssociationEvent:
        """The next event about the association itself; data that is still under way is dropped.

        Raises:
            Ending: another one than waited for.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            event = self._next(deadline, stage, timeout_s)
            if isinstance(event, ReleaseRequested):
                self._answer_release()
            elif not isinstance(event, Fragment):
                return self._association_event(event)
            self._hurry(deadline, stage, timeout_s)

    def receive(self, timeout_s: float, stage: Stage = Stage.RESPONSE) -> Message:
        """The next message's command set.

        Raises:
            TimedOut: none came in time.
            PeerReleased: the peer asked for release instead; it was answered.
            Ending: the association ended in another way.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            message = self._message_from(self._next(deadline, stage, timeout_s))
            if message is not None:
                return message
            self._hurry(deadline, stage, timeout_s)

    def await_fragment(self, timeout_s: float, stage: Stage = Stage.RESPONSE) -> bool:
        """Wait until something has come, and leave it for :meth:`receive`.

        Returns:
            Whether it is part of a message, rather than an end of the association.

        Raises:
            TimedOut: nothing came in time.
            Ending: the connection failed.
        """
        event = self._next(time.monotonic() + timeout_s, stage, timeout_s)
        self._events.appendleft(event)
        return isinstance(event, Fragment)

    def poll(self) -> Message | None:
        """A message whose command set is there already, without waiting.

        Raises:
            Ending: the association ended.
        """
        while True:
            if not self._events:
                if not self._take_now():
                    return None
                continue
            message = self._message_from(self._events.popleft())
            if message is not None:
                return message

    def read_data_set(self, write: Callable[[memoryview], object]) -> int:
        """Hand on the data set of the message received last, piece by piece as it comes.

        Args:
            write: takes a view that is valid only during the call.

        Returns:
            Bytes of the data set.

        Raises:
            Ending: the association ended before it was whole.
        """
        message = self._awaiting_data
        if message is None:
            return 0
        size = 0
        while True:
            event = self._events.popleft() if self._events else self._next_data()
            if not isinstance(event, Fragment):
                self._message_from(event)
                continue
            if event.is_command or event.context_id != message.context.context_id:
                raise self._violated("a command set, or another context, in the middle of a data set")
            size += len(event.data)
            if event.is_last:
                self._awaiting_data = None
            write(event.data)  # if it raises, the rest is still to be read
            if event.is_last:
                if self.trace is not None:
                    self.trace.data_received(size)
                return size

    def drop_data_set(self) -> None:
        """Read the data set of the message received last, if it is still to be read, and forget it."""
        self.read_data_set(len)

    def _next_data(self) -> Event:
        return self._next(time.monotonic() + self._pdu_timeout_s, Stage.PDU, self._pdu_timeout_s)

    def _message_from(self, event: Event) -> Message | None:
        """The message that is complete with this event, as far as its command set goes."""
        if not isinstance(event, Fragment):
            if isinstance(event, ReleaseRequested):
                self._answer_release()
                raise PeerReleased
            self._raise(event)
        if self._awaiting_data is not None:
            # Whoever was to read it did not want it, as after a refused request.
            self._events.appendleft(event)
            self.drop_data_set()
            return None
        if not event.is_command:
            raise self._violated("a data set without a command set")
        raw = self._whole_command(event)
        if raw is None:
            return None
        context = self.contexts.get(event.context_id)
        if context is None:
            raise self._violated("a message in a presentation context that was not accepted")
        try:
            command = dimse_command.decode(raw)
        except CommandError as error:
            raise self._violated(str(error)) from error
        message = Message(context, command)
        if self.trace is not None:
            self.trace.message_received(context, command)
        self._awaiting_data = message if message.has_data_set else None
        return message

    def _whole_command(self, fragment: Fragment) -> bytes | None:
        """The command set that is complete with this fragment."""
        if fragment.is_last and not self._command:
            return bytes(fragment.data)
        if self._command and fragment.context_id != self._command_context:
            raise self._violated("a command set in two presentation contexts")
        if len(self._command) + len(fragment.data) > dimse_command.MAX_COMMAND_BYTES:
            raise self._violated("a command set that is too long")
        if not fragment.data and not fragment.is_last:
            raise self._violated("an empty fragment of a command set")
        self._command_context = fragment.context_id
        self._command += fragment.data
        if not fragment.is_last:
            return None
        whole, self._command = bytes(self._command), bytearray()
        return whole

    def _next(self, deadline: float, stage: Stage, timeout_s: float) -> Event:
        while not self._events:
            limit = deadline
            layer = self.layer
            if not layer.in_pdu:
                self._pdu_number = -1
            else:
                if layer.pdu_count != self._pdu_number:
                    self._pdu_number, self._pdu_since = layer.pdu_count, time.monotonic()
                limit = min(deadline, self._pdu_since + self._pdu_timeout_s)
            try:
                count = self._channel.receive_into(layer.get_buffer(), limit)
            except ReceiveTimeout:
                raise self._late(stage, timeout_s) from None
            except OSError as error:
                raise self._ended(ConnectionDropped(reset=True)) from error
            self._take(count)
            if self._aborted:
                raise self._ended(AbortedHere())
        return self._events.popleft()

    def _hurry(self, deadline: float, stage: Stage, timeout_s: float) -> None:
        """A peer that says much, but never what is waited for, has the same time as one that says nothing."""
        if time.monotonic() >= deadline:
            raise self._late(stage, timeout_s)

    def _late(self, stage: Stage, timeout_s: float) -> Ending:
        if self.layer.in_pdu:
            stage, timeout_s = Stage.PDU, min(timeout_s, self._pdu_timeout_s)
        return self._ended(TimedOut(stage, timeout_s))

    def _take(self, count: int) -> None:
        self._events.extend(self.layer.received(count) if count else self.layer.connection_closed())
        if not (count or self._events):
            raise self._ended(ConnectionDropped(reset=False))

    # ------------------------------------------------------------------ endings

    def _association_event(self, event: Event) -> AssociationEvent:
        if not isinstance(event, AssociationEvent):
            self._raise(event)
        return event

    def _raise(self, event: Event) -> NoReturn:
        """Turn an event that ends the association into its ending."""
        match event:
            case Aborted():
                raise self._ended(PeerAborted(event.source, event.reason))
            case ProtocolViolated():
                raise self._ended(PeerViolated(event.what, event.first_bytes))
            case ConnectionLost():
                raise self._ended(ConnectionDropped(reset=False))
            case _:
                raise self._violated("an answer about the association in the middle of data")

    def _violated(self, what: str) -> Ending:
        return self._ended(PeerViolated(what))

    def _ended(self, ending: Ending) -> Ending:
        """Say goodbye as the protocol has it, hang up, and note why."""
        if self._aborted:
            ending = AbortedHere("aborted from our side")
        elif isinstance(ending, TimedOut | PeerViolated):
            self.layer.abort()
        out = self.layer.data_to_send()
        if out:
            self._channel.finish(b"".join(map(_as_bytes, out)))
        if self.trace is not None:
            self.trace.ended(ending)
        self._channel.close()
        return ending

    def _answer_release(self) -> None:
        if self.layer.state in _ANSWERED_IN:
            self.on_release()
            if self.trace is not None:
                self.trace.received("A-RELEASE-RQ")
                self.trace.sent("A-RELEASE-RP")
            self.layer.release_response()
            self.flush()

    def release(self, timeout_s: float) -> None:
        """End the association in order; what is still coming in is dropped. The connection is closed in any case.

        Raises:
            Ending: it ended in another way.
        """
        try:
            self.layer.release()
        except LocalProtocolError:
            self.raise_if_ended()
            self._answer_release()  # the peer has asked for it first
            self.close()
            return
        if self.trace is not None:
            self.trace.sent("A-RELEASE-RQ")
        self.flush()
        self.wait(timeout_s, Stage.RELEASE)
        self._answer_release()
        if self.trace is not None:
            self.trace.received("A-RELEASE-RP")
        self.close()

    def abort(self) -> None:
        """Send A-ABORT and hang up. From any thread, at any time; calls that are blocked end at once."""
        if self._aborted:
            return
        self._aborted = True
        free = self._sending.acquire(timeout=0.02)
        try:
            self._channel.interrupt(_LAST_WORDS if free else b"")
        finally:
            if free:
                self._sending.release()

    def linger(self, timeout_s: float) -> None:
        """Wait for the peer to close, so that it can read our last word first (PS3.8: Sta13, ARTIM); then close."""
        deadline = time.monotonic() + timeout_s
        with contextlib.suppress(OSError, ReceiveTimeout):
            while count := self._channel.receive_into(self.layer.get_buffer(), deadline):
                self.layer.received(count)
                # A peer that aborts now, as DCMTK does when our data cross its A-RELEASE-RQ, waits for us to close.
                if self.layer.closing or time.monotonic() >= deadline:
                    break
        self._channel.close()

    def close(self) -> None:
        """Close the connection, whatever the state."""
        self._channel.close()

    def _trace_sent(self, context_id: int, command: bytes, dataset: Sequence[Chunk]) -> None:
        if self.trace is not None:
            decoded = dimse_command.decode(command)
            self.trace.message_sent(self.contexts[context_id], decoded, sum(map(size_of, dataset)))


def _kept(event: Event) -> Event:
    """The event with its data copied out of the receive buffer, which is about to be used again."""
    if isinstance(event, Fragment):
        return event._replace(data=memoryview(bytes(event.data)))
    return event


def _size(event: Event) -> int:
    """About how many bytes of memory an event takes."""
    return len(event.data) + 200 if isinstance(event, Fragment) else 200


def _as_bytes(chunk: Chunk) -> bytes:
    return bytes(chunk)  # PDUs of the upper layer itself are bytes
