"""MLLP: any bytes are taken apart alike however they arrive, little is held, and the next message is found."""

from __future__ import annotations

from dicomfab.hl7.mllp import Framer, framed

_MAX_BYTES = 100


def one_input(data: bytes) -> None:
    """A stream; its first byte says in pieces of which size it arrives."""
    stream = data[1:] + framed(b"MSH|")
    step = data[0] + 1 if data else 1
    whole = list(Framer(_MAX_BYTES).feed(stream))
    framer = Framer(_MAX_BYTES)
    pieces = [one for place in range(0, len(stream), step) for one in framer.feed(stream[place : place + step])]
    assert pieces == whole
    assert whole[-1].data == b"MSH|"
    assert framer.ended() is None
    assert all(len(one.data) <= 1024 for one in whole)
