"""The upper layer under any bytes in any pieces, with primitives of its user in between.

An input is: how it begins, how many primitives follow, each of them as a position in the stream (two bytes) and a kind,
the size of the pieces of the second run, and the stream.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dicomfab.ul import (
    Aborted,
    AssociateAC,
    AssociateRJ,
    AssociateRQ,
    AssociationRejected,
    AssociationRequested,
    ConnectionLost,
    ContextResult,
    Event,
    Fragment,
    LocalProtocolError,
    PresentationContext,
    ProtocolViolated,
    RequestRefused,
    Role,
    State,
    UpperLayer,
    UserInformation,
)
from dicomfab.ul.negotiation import accepted_contexts, answer_contexts
from dicomfab.ul.pdu import P_DATA_TF, decode_pdu, encode_pdu

REQUEST = AssociateRQ("CALLED", "CALLING", (PresentationContext(1, "1.2", ("1.2.3",)),))
ANSWER = AssociateAC("CALLED", "CALLING", (ContextResult(1, 0, "1.2.3"),), UserInformation(max_pdu_length=64))
#: Room for the longest control PDU, and what the layer keeps free beside it.
MOST_BUFFER = (1 << 20) + (16 << 10) + 6
_FINAL = (ProtocolViolated, Aborted, AssociationRejected, ConnectionLost, RequestRefused)


@dataclass
class Run:
    """One layer and all that came of it."""

    layer: UpperLayer
    events: list[Any] = field(default_factory=list)
    sent: bytearray = field(default_factory=bytearray)
    request: AssociateRQ = REQUEST
    ended: bool = False

    def take(self, events: list[Event]) -> None:
        """Keep events; data values in one piece, whatever pieces they came in."""
        for event in events:
            assert not self.ended, event
            self.ended = isinstance(event, _FINAL)
            if isinstance(event, Fragment):
                self._take_fragment(event._replace(data=bytes(event.data)))  # type: ignore[arg-type]
            elif isinstance(event, ProtocolViolated):
                self.events.append((event.what, event.reason))  # how many of the first bytes are there may differ
            else:
                self.events.append(event)
            if isinstance(event, AssociationRequested):
                self.request = event.request

    def _take_fragment(self, piece: Fragment) -> None:
        assert self.layer.state is not State.STA1
        last = self.events[-1] if self.events else None
        if isinstance(last, Fragment) and not last.is_last and last[:2] == piece[:2]:
            self.events[-1] = piece._replace(data=last.data + piece.data)  # type: ignore[operator]
        else:
            self.events.append(piece)

    def receive(self, data: bytes) -> None:
        """Feed the layer."""
        while data:
            buffer = self.layer.get_buffer()
            assert len(buffer) > 0
            assert memoryview(buffer.obj).nbytes <= MOST_BUFFER
            count = min(len(buffer), len(data))
            buffer[:count] = data[:count]
            self.take(self.layer.received(count))
            data = data[count:]
            self.check()

    def do(self, primitive: Callable[[Run], None]) -> None:
        """Say something to the layer that it may not allow; it then stays as it was."""
        before = (self.layer.state, self.layer.artim_running, self.layer.closing)
        try:
            primitive(self)
        except LocalProtocolError:
            assert before == (self.layer.state, self.layer.artim_running, self.layer.closing)
            assert not self.layer.data_to_send()
        self.check()

    def check(self) -> None:
        """What holds at any time."""
        for chunk in self.layer.data_to_send():
            self.sent += chunk  # type: ignore[arg-type]
        assert self.layer.closing is (self.layer.state is State.STA1)
        assert self.layer.artim_running is (self.layer.state in (State.STA2, State.STA13))


def _accept(run: Run) -> None:
    results = answer_contexts(run.request.contexts, lambda _abstract, syntaxes: syntaxes[-1])
    answer = AssociateAC(run.request.called_ae_title, run.request.calling_ae_title, results)
    run.layer.accept(answer)
    assert len(accepted_contexts(run.request, answer)) == len(run.request.contexts)


def _data(run: Run) -> None:
    for chunk in run.layer.data(1, b"command", (b"data", memoryview(bytes(61)))):
        run.sent += chunk  # type: ignore[arg-type]


PRIMITIVES: tuple[Callable[[Run], None], ...] = (
    _accept,
    lambda run: run.layer.reject(AssociateRJ(1, 1, 1)),
    _data,
    lambda run: run.layer.release(),
    lambda run: run.layer.release_response(),
    lambda run: run.layer.abort(),
    lambda run: run.layer.artim_expired(),
    lambda run: run.take(run.layer.connection_closed()),
    lambda run: run.layer.associate(REQUEST),
    lambda run: run.layer.connected(),
)


def begin(how: int) -> Run:
    """A layer in Sta2 or Sta5, or with an association of its own (Sta6); with one of two limits."""
    role = Role.REQUESTOR if how & 1 else Role.ACCEPTOR
    run = Run(UpperLayer(role, max_pdu_length=0 if how & 4 else 200))
    if role is Role.REQUESTOR:
        run.layer.associate(REQUEST)
    run.layer.connected()
    if how & 2:
        run.receive(encode_pdu(ANSWER if role is Role.REQUESTOR else REQUEST))
        if role is Role.ACCEPTOR:
            run.layer.accept(ANSWER)
    run.check()
    return run


def check_sent(stream: bytes) -> None:
    """Whatever happened: what we send are whole PDUs that another one like us can read."""
    while stream:
        kind, length = stream[0], int.from_bytes(stream[2:6], "big")
        body = stream[6 : 6 + length]
        assert len(body) == length
        if kind == P_DATA_TF:
            assert int.from_bytes(body[:4], "big") == length - 4
        else:
            decode_pdu(kind, body)
        stream = stream[6 + length :]


def play(how: int, steps: list[tuple[int, int]], stream: bytes, piece: int) -> Run:
    """The whole conversation, the stream in pieces of so many bytes (0: as long as possible)."""
    run = begin(how)
    position = 0
    for at, kind in [*steps, (len(stream), -1)]:
        while position < at:
            end = min(at, position + (piece or at))
            run.receive(stream[position:end])
            position = end
        if kind >= 0:
            run.do(PRIMITIVES[kind % len(PRIMITIVES)])
    check_sent(bytes(run.sent))
    run.take(run.layer.connection_closed())
    assert run.layer.state is State.STA1
    run.check()
    return run


def one_input(data: bytes) -> None:
    """See above; both runs must come to the same."""
    if len(data) < 3:
        return
    how, count, piece = data[0], data[1] % 8, 1 + data[2]
    steps_end = 3 + 3 * count
    stream = data[steps_end:]
    numbers = data[3:steps_end]
    steps = sorted(
        (min(int.from_bytes(numbers[i : i + 2], "big"), len(stream)), numbers[i + 2])
        for i in range(0, len(numbers) - 2, 3)
    )
    whole, cut = play(how, steps, stream, 0), play(how, steps, stream, piece)
    assert whole.events == cut.events
    assert whole.sent == cut.sent
