from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomfab.hl7.mllp import Fault, Frame, Framer, Wrong, framed

CONTENT = st.binary(max_size=60).map(lambda data: data.replace(b"\x0b", b"").replace(b"\x1c", b""))
BETWEEN = st.sampled_from([b"", b"\r", b"\n", b"\r\n"])


def fed(framer: Framer, data: bytes, cuts: list[int]) -> list[Frame | Fault]:
    """All that comes out when the stream arrives in these pieces."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [one for start, end in pairwise(places) for one in framer.feed(data[start:end])]


@given(st.lists(st.tuples(CONTENT, BETWEEN)), st.lists(st.integers(0, 10_000), max_size=20))
def test_messages_come_out_as_they_went_in_however_the_stream_is_cut(
    messages: list[tuple[bytes, bytes]], cuts: list[int]
) -> None:
    framer = Framer()
    stream = b"".join(framed(message) + between for message, between in messages)
    assert fed(framer, stream, cuts) == [Frame(message) for message, _ in messages]
    assert framer.ended() is None


@given(st.binary(max_size=200), st.lists(st.integers(0, 10_000), max_size=20))
def test_any_bytes_are_read_alike_however_they_are_cut_and_a_message_after_them_is_found(
    garbage: bytes, cuts: list[int]
) -> None:
    stream = garbage + framed(b"MSH|after")
    whole = list(Framer(50).feed(stream))
    assert fed(Framer(50), stream, cuts) == whole
    assert whole[-1] == Frame(b"MSH|after")
    told = sum(one.size if isinstance(one, Fault) else len(one.data) for one in whole)
    assert told <= len(stream)


def test_a_frame_that_is_broken_off_is_told_and_the_next_one_read() -> None:
    assert list(Framer().feed(b"\x0bMSH|one" + framed(b"MSH|two"))) == [
        Fault(Wrong.CUT, 7, b"MSH|one"),
        Frame(b"MSH|two"),
    ]


def test_bytes_without_a_frame_are_told() -> None:
    framer = Framer()
    assert list(framer.feed(b"GET / HTTP/1.1\r\n\r\n")) == []
    assert list(framer.feed(framed(b"MSH|"))) == [Fault(Wrong.STRAY, 18, b"GET / HTTP/1.1\r\n\r\n"), Frame(b"MSH|")]


def test_nobody_waits_for_the_carriage_return() -> None:
    framer = Framer()
    assert list(framer.feed(b"\x0bMSH|\x1c")) == [Frame(b"MSH|")]
    assert list(framer.feed(b"\r\x0bMSH|2\x1c")) == [Frame(b"MSH|2")]


def test_a_message_that_is_too_long_is_passed_over_and_not_held() -> None:
    framer = Framer(max_bytes=5000)
    found = [one for _ in range(100) for one in framer.feed(b"\x0b" * (_ == 0) + b"x" * 1000)]
    assert found == []
    assert len(framer._held) == 5000
    (fault,) = framer.feed(b"\x1c\r")
    assert (fault.what, fault.size, fault.data) == (Wrong.TOO_LONG, 100_000, b"x" * 1024)
    assert list(framer.feed(framed(b"MSH|"))) == [Frame(b"MSH|")]


@pytest.mark.parametrize(("stream", "what"), [(b"\x0bMSH|", Wrong.CUT), (b"\x0b", Wrong.CUT), (b"MSH|", Wrong.STRAY)])
def test_what_is_not_complete_at_the_end_is_told(stream: bytes, what: Wrong) -> None:
    framer = Framer()
    assert list(framer.feed(stream)) == []
    fault = framer.ended()
    assert fault is not None
    assert fault.what is what


@pytest.mark.parametrize("byte", [b"\x0b", b"\x1c"])
def test_what_would_be_torn_apart_is_not_sent(byte: bytes) -> None:
    with pytest.raises(ValueError, match="0B and 1C"):
        framed(b"MSH|" + byte)
