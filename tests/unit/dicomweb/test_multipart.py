from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomfab.dicomweb.media_types import parse_media_type
from dicomfab.dicomweb.multipart import MultipartError, content_type, new_boundary, read_parts, written, written_length

BOUNDARY = "b0unda-ry"
# Contents that look like delimiters, in part or nearly.
PIECES = st.sampled_from(
    [
        b"\r\n",
        b"--",
        b"\r\n--b0unda",
        b"\r\n--b0unda-ry_",
        b"--b0unda-ry",
        b"\r",
        b"\n",
        b"x" * 90,
        b"\r\n--b0unda-ry  x",
    ]
)
REAL = re.compile(rb"\r\n--b0unda-ry(--|[ \t]*\r\n)")


def harmless(content: bytes) -> bytes:
    """No writer's boundary occurs in what it writes."""
    while REAL.search(b"\r\n" + content + b"\r\n"):
        content = REAL.sub(b".", b"\r\n" + content + b"\r\n")
    return content


CONTENT = st.lists(PIECES | st.binary(max_size=20), max_size=8).map(b"".join).map(harmless)
HEADERS = st.dictionaries(
    st.sampled_from(["content-type", "content-location", "x"]), st.sampled_from(["a/b; c=d", "", "é: x"])
)
Parts = list[tuple[dict[str, str], bytes]]


def body(parts: Parts) -> bytes:
    return b"".join(written([(headers, [content]) for headers, content in parts], BOUNDARY))


def cut(data: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    at = 0
    for size in sizes:
        yield data[at : at + size]
        at += size
    yield data[at:]


def read(data: bytes, sizes: Sequence[int] = (), boundary: str = BOUNDARY) -> Parts:
    return [(dict(part.headers), b"".join(part.content)) for part in read_parts(cut(data, sizes), boundary)]


SIZES = st.lists(st.integers(0, 30), max_size=60)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(HEADERS, CONTENT), min_size=1, max_size=4), SIZES, st.binary(max_size=9))
def test_parts_come_back_however_the_body_is_cut(parts: Parts, sizes: list[int], epilogue: bytes) -> None:
    assert read(body(parts) + epilogue, sizes) == parts


@given(st.lists(st.tuples(HEADERS, CONTENT), min_size=1, max_size=4), SIZES, st.lists(st.integers(0, 2), max_size=4))
def test_what_is_not_read_of_a_part_is_skipped(parts: Parts, sizes: list[int], taken: list[int]) -> None:
    found = []
    for number, part in enumerate(read_parts(cut(body(parts), sizes), BOUNDARY)):
        for _ in range(taken[number] if number < len(taken) else 0):
            next(part.content, None)
        found.append(dict(part.headers))
    assert found == [headers for headers, _ in parts]


@given(st.lists(st.tuples(HEADERS, CONTENT), min_size=1, max_size=3), SIZES, st.data())
def test_a_body_that_is_cut_off_is_refused(parts: Parts, sizes: list[int], data: st.DataObject) -> None:
    whole = body(parts)
    short = whole[: data.draw(st.integers(0, len(whole) - 4))]  # without the closing two hyphens
    with pytest.raises(MultipartError):
        read(short, sizes)


def test_a_part_that_is_cut_off_does_not_look_whole_to_who_reads_it() -> None:
    for data in (b"--b\r\n\r\nabc", b"--b\r\n\r\n" + b"x" * 1000, b"--b\r\n\r\nabc\r\n--"):
        part = next(read_parts(cut(data, [5, 90]), "b"))
        with pytest.raises(MultipartError):
            b"".join(part.content)


@settings(max_examples=200)
@given(st.lists(st.sampled_from([b"--b", b"\r\n", b"--", b"a: b", b"x", b" "]), max_size=15).map(b"".join), SIZES)
def test_any_body_is_read_or_refused(data: bytes, sizes: list[int]) -> None:
    try:
        whole = read(data, boundary="b")
    except MultipartError:
        with pytest.raises(MultipartError):
            read(data, sizes, boundary="b")
    else:
        assert read(data, sizes, boundary="b") == whole


def test_a_preamble_and_spaces_behind_a_boundary_do_not_count() -> None:
    data = b"preamble\r\n--b  \t\r\nA: 1\r\n\r\none\r\n--b \r\n\r\n\r\n--b--\r\nepilogue"
    assert read(data, boundary="b") == [({"a": "1"}, b"one"), ({}, b"")]


@pytest.mark.parametrize("boundary", ["", "a\r\nb", "ends with space ", "x" * 71, "ä"])
def test_a_boundary_that_can_be_none_is_refused(boundary: str) -> None:
    with pytest.raises(MultipartError):
        read(b"--\r\n\r\n--", boundary=boundary)


@pytest.mark.parametrize(
    "data",
    [b"--b\r\nno colon\r\n\r\nx\r\n--b--", b"--b\r\n: x\r\n\r\nx\r\n--b--", b"--b\r\n\xff: x\r\n\r\n\r\n--b--",
     b"--b\r\nA: " + b"x" * 20_000 + b"\r\n\r\n\r\n--b--", b"", b"--c\r\n\r\n\r\n--c--"],
)  # fmt: skip
def test_malformed_bodies_are_refused(data: bytes) -> None:
    with pytest.raises(MultipartError) as caught:
        read(data, boundary="b")
    assert caught.value.field == "body"


def test_a_part_is_never_held_whole() -> None:
    taken = 0

    def pieces() -> Iterator[bytes]:
        nonlocal taken
        yield b"--b\r\n\r\n"
        for _ in range(1000):
            taken += 1
            yield bytes(10_000)
        yield b"\r\n--b--"

    part = next(read_parts(pieces(), "b"))
    held = longest = 0
    for piece in part.content:
        held += len(piece)
        longest = max(longest, taken * 10_000 - held)
    assert held == 10_000_000
    assert longest <= 20_000


def test_the_writer_takes_the_next_part_when_the_one_before_is_out() -> None:
    begun: list[int] = []

    def parts() -> Iterator[tuple[dict[str, str], list[bytes]]]:
        for number in range(3):
            begun.append(number)
            yield {}, [b"x"]

    pieces = written(parts(), "b")
    assert b"".join(next(pieces) for _ in range(2)) == b"--b\r\n\r\nx"
    assert begun == [0]


@given(st.lists(st.tuples(st.dictionaries(st.sampled_from(["A", "Content-Type"]), st.text("xyü")), st.binary())))
def test_the_length_of_what_is_written_is_known_before(parts: list[tuple[dict[str, str], bytes]]) -> None:
    content = b"".join(written(((headers, [body]) for headers, body in parts), "b"))
    assert written_length(((headers, len(body)) for headers, body in parts), "b") == len(content)


def test_the_content_type_names_what_the_parts_are() -> None:
    boundary = new_boundary()
    found = parse_media_type(content_type("application/dicom", boundary))
    assert (found.name, found.parameter("type"), found.parameter("boundary")) == (
        "multipart/related",
        "application/dicom",
        boundary,
    )
    assert new_boundary() != boundary
