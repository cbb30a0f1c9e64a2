"""What the tests of the upper layer share: feeding bytes, and golden values to feed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from dicomfab.ul import (
    AssociateAC,
    AssociateRQ,
    ContextResult,
    Event,
    Fragment,
    PresentationContext,
    ProtocolViolated,
    Role,
    State,
    UpperLayer,
    UserInformation,
)
from dicomfab.ul.pdata import Chunk, FileRange
from dicomfab.ul.pdu import encode_pdu
from tests.unit.ul.goldens import RELEASE_RP_BYTES, RELEASE_RQ_BYTES

VERIFICATION = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"

REQUEST = AssociateRQ(
    "ARCHIVE",
    "MODALITY",
    (PresentationContext(1, VERIFICATION, (IMPLICIT,)), PresentationContext(3, CT, (EXPLICIT, IMPLICIT))),
    UserInformation(max_pdu_length=16384, implementation_class_uid="1.2.3.4"),
)
ANSWER = AssociateAC(
    "ARCHIVE",
    "MODALITY",
    (ContextResult(1, 0, IMPLICIT), ContextResult(3, 0, EXPLICIT)),
    UserInformation(max_pdu_length=32768, implementation_class_uid="1.2.3.5"),
)


def receive(layer: UpperLayer, data: bytes, most: int | None = None) -> list[Event]:
    """Feed bytes, at most so many at a time, and keep the data of fragments by copying it before it becomes invalid."""
    events: list[Event] = []
    position = 0
    while position < len(data):
        buffer = layer.get_buffer()
        assert len(buffer) > 0
        count = min(len(buffer), len(data) - position, most or len(data))
        buffer[:count] = data[position : position + count]
        position += count
        events += [
            event._replace(data=bytes(event.data)) if isinstance(event, Fragment) else event  # type: ignore[arg-type]
            for event in layer.received(count)
        ]
    return events


def receive_cut(layer: UpperLayer, pieces: Iterable[bytes]) -> list[Event]:
    """Feed bytes in given pieces."""
    return [event for piece in pieces for event in receive(layer, piece)]


def joined(events: Iterable[Event]) -> list[Event]:
    """Events as they would be if every data value came in one piece, however many pieces it came in."""
    whole: list[Event] = []
    for event in events:
        last = whole[-1] if whole else None
        if isinstance(event, Fragment) and isinstance(last, Fragment) and not last.is_last:
            assert (event.context_id, event.is_command) == (last.context_id, last.is_command)
            whole[-1] = event._replace(data=bytes(last.data) + bytes(event.data))  # type: ignore[arg-type]
        elif not isinstance(event, Fragment) or event.is_last or len(event.data):
            whole.append(event)
    return whole


def content(chunks: Iterable[Chunk]) -> bytes:
    """The bytes of chunks, read from their files where they are in files."""
    parts = []
    for chunk in chunks:
        if isinstance(chunk, FileRange):
            with open(chunk.fd, "rb", closefd=False) as file:
                file.seek(chunk.offset)
                parts.append(file.read(chunk.length))
        else:
            parts.append(bytes(chunk))
    return b"".join(parts)


def sent(layer: UpperLayer) -> bytes:
    """What the layer wants to send now."""
    return content(layer.data_to_send())


def requestor(*, max_pdu_length: int = 16384) -> UpperLayer:
    """A requestor whose transport connection is there and whose request is on its way (Sta5)."""
    layer = UpperLayer(Role.REQUESTOR, max_pdu_length=max_pdu_length)
    layer.associate(REQUEST)
    layer.connected()
    layer.data_to_send()
    return layer


def acceptor(*, max_pdu_length: int = 16384) -> UpperLayer:
    """An acceptor that waits for a request (Sta2)."""
    layer = UpperLayer(Role.ACCEPTOR, max_pdu_length=max_pdu_length)
    layer.connected()
    return layer


def established(role: Role, *, max_pdu_length: int = 16384) -> UpperLayer:
    """An association of ours as one side of it (Sta6)."""
    if role is Role.REQUESTOR:
        layer = requestor(max_pdu_length=max_pdu_length)
        receive(layer, encode_pdu(ANSWER))
    else:
        layer = acceptor(max_pdu_length=max_pdu_length)
        receive(layer, encode_pdu(REQUEST))
        layer.accept(ANSWER)
        layer.data_to_send()
    return layer


def _sta4() -> UpperLayer:
    layer = UpperLayer(Role.REQUESTOR, max_pdu_length=16384)
    layer.associate(REQUEST)
    return layer


def _received(layer: UpperLayer, data: bytes) -> UpperLayer:
    receive(layer, data)
    return layer


def _released(layer: UpperLayer) -> UpperLayer:
    layer.release()
    layer.data_to_send()
    return layer


def _answered(layer: UpperLayer) -> UpperLayer:
    layer.release_response()
    layer.data_to_send()
    return layer


def _aborted(layer: UpperLayer) -> UpperLayer:
    layer.abort()
    layer.data_to_send()
    return layer


def _collision(role: Role) -> UpperLayer:
    return _received(_released(established(role)), RELEASE_RQ_BYTES)


#: How to come into each state, as either side where both can.
INTO: dict[tuple[int, Role], Callable[[], UpperLayer]] = {
    (1, Role.REQUESTOR): lambda: UpperLayer(Role.REQUESTOR),
    (1, Role.ACCEPTOR): lambda: UpperLayer(Role.ACCEPTOR),
    (2, Role.ACCEPTOR): acceptor,
    (3, Role.ACCEPTOR): lambda: _received(acceptor(), encode_pdu(REQUEST)),
    (4, Role.REQUESTOR): _sta4,
    (5, Role.REQUESTOR): requestor,
    (6, Role.REQUESTOR): lambda: established(Role.REQUESTOR),
    (6, Role.ACCEPTOR): lambda: established(Role.ACCEPTOR),
    (7, Role.REQUESTOR): lambda: _released(established(Role.REQUESTOR)),
    (7, Role.ACCEPTOR): lambda: _released(established(Role.ACCEPTOR)),
    (8, Role.REQUESTOR): lambda: _received(established(Role.REQUESTOR), RELEASE_RQ_BYTES),
    (8, Role.ACCEPTOR): lambda: _received(established(Role.ACCEPTOR), RELEASE_RQ_BYTES),
    (9, Role.REQUESTOR): lambda: _collision(Role.REQUESTOR),
    (10, Role.ACCEPTOR): lambda: _collision(Role.ACCEPTOR),
    (11, Role.REQUESTOR): lambda: _answered(_collision(Role.REQUESTOR)),
    (12, Role.ACCEPTOR): lambda: _received(_collision(Role.ACCEPTOR), RELEASE_RP_BYTES),
    (13, Role.REQUESTOR): lambda: _aborted(established(Role.REQUESTOR)),
    (13, Role.ACCEPTOR): lambda: _aborted(established(Role.ACCEPTOR)),
}


def violation(layer: UpperLayer, data: bytes) -> ProtocolViolated:
    """The violation that the bytes end in, after which nothing more may come."""
    events = receive(layer, data)
    assert [type(event) for event in events[:-1]] == [Fragment] * (len(events) - 1)
    (last,) = events[-1:]
    assert isinstance(last, ProtocolViolated)
    assert layer.state is State.STA13
    assert layer.artim_running
    assert not layer.in_pdu or last.what.startswith("a PDU that is not expected")
    assert receive(layer, RELEASE_RQ_BYTES + data) == []
    return last


def p_data(length: int, rest: bytes) -> bytes:
    """A P-DATA-TF that says it has this length."""
    return b"\x04\0" + length.to_bytes(4, "big") + rest


def captured(name: str) -> bytes:
    """Bytes recorded from a real peer, by the name of the file without its ending."""
    return bytes.fromhex((Path(__file__).parent / "captured" / f"{name}.hex").read_text())
