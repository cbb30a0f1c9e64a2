from __future__ import annotations

import io
import os
import struct
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomfab.model.errors import TranscodingFailed
from dicomfab.pixels.elements import implied_vr, length_field
from dicomfab.pixels.rewrite import Rewriter
from dicomfab.pixels.streams import CHUNK, Output, Source
from dicomfab.pixels.syntaxes import Encoding
from tests.unit.pixels.encoder import BIG, EXPLICIT, IMPLICIT, UNIT, Element, Item, as_unknown, encode

# One or two attributes of PS3.6 for every VR.
PUBLIC = {
    0x00080005: "CS",
    0x00080008: "CS",
    0x00080018: "UI",
    0x00080020: "DA",
    0x0008002A: "DT",
    0x00080030: "TM",
    0x00080054: "AE",
    0x00080119: "UC",
    0x00080120: "UR",
    0x00081030: "LO",
    0x00081160: "IS",
    0x00100010: "PN",
    0x00101010: "AS",
    0x00104000: "LT",
    0x00101020: "DS",
    0x00181065: "DS",
    0x00186020: "SL",
    0x00189073: "FD",
    0x00189219: "SS",
    0x00189461: "FL",
    0x00200010: "SH",
    0x00281201: "OW",
    0x00400555: "SQ",
    0x0040A043: "SQ",
    0x0040A160: "UT",
    0x0040A168: "SQ",
    0x0040A730: "SQ",
    0x00420011: "OB",
    0x00660016: "OF",
    0x00660022: "OD",
    0x00660040: "OL",
    0x00720082: "SV",
    0x00720083: "UV",
    0x00720065: "OB",
    0x00720026: "AT",
    0x00720081: "OV",
    0x00720070: "UT",
    0x00720078: "UL",
    0x0072007A: "US",
    0x0072006E: "ST",
}
PRIVATE = [*range(0x00090010, 0x00090013), *range(0x00091000, 0x00091010), *range(0x77770010, 0x77770012)]
ENCODINGS = {"explicit": EXPLICIT, "implicit": IMPLICIT, "big": BIG}


def rewrite(data: bytes, read: Encoding, write: Encoding) -> bytes:
    with tempfile.TemporaryFile() as file:
        output = Output(file.fileno())
        Rewriter(Source(io.BytesIO(data), 0, len(data)), output).run(read, write)
        output.flush()
        file.seek(0)
        return file.read()


def values(vr: str) -> st.SearchStrategy[bytes]:
    step = max(UNIT.get(vr, 1), 2)
    return st.binary(max_size=40).map(lambda data: data[: len(data) // step * step])


@st.composite
def elements(draw: st.DrawFn, depth: int = 2, unknown: bool = False) -> tuple[Element, ...]:
    """A data set of public and private elements; with ``unknown`` also UN that are sequences."""
    tags = draw(st.lists(st.sampled_from([*PUBLIC, *PRIVATE]), unique=True, max_size=6))
    return tuple(draw(_element(tag, depth, unknown)) for tag in sorted(tags))


@st.composite
def _element(draw: st.DrawFn, tag: int, depth: int, unknown: bool) -> Element:
    creator = tag >> 16 & 1 and tag & 0xFFFF < 0x100
    vr = "LO" if creator else PUBLIC.get(tag) or draw(st.sampled_from([*PUBLIC.values(), "UN", "SQ"]))
    if vr == "SQ" or (vr == "UN" and unknown and depth and draw(st.booleans())):
        defined = vr == "SQ" and draw(st.booleans())
        inner = elements(depth - 1, unknown) if depth else st.just(())
        items = st.lists(st.builds(Item, inner, st.booleans()), max_size=3)
        return Element(tag, vr, items=tuple(draw(items)), defined=defined)
    return Element(tag, vr, draw(values(vr)))


@given(elements(unknown=True), st.sampled_from(["explicit", "big"]), st.sampled_from([*ENCODINGS]), st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_data_set_with_vrs_becomes_what_the_other_encoding_of_it_is(data, read, write, group_lengths):
    source = encode(data, ENCODINGS[read], group_lengths=group_lengths)
    expected = encode(data, ENCODINGS[write], group_lengths=group_lengths)
    assert rewrite(source, ENCODINGS[read], ENCODINGS[write]) == expected


@given(elements(), st.sampled_from(["explicit", "big"]))
@settings(max_examples=150, deadline=None)
def test_without_vrs_the_dictionary_gives_them_and_private_elements_are_unknown(data, write):
    expected = encode(as_unknown(data), ENCODINGS[write])
    assert rewrite(encode(data, IMPLICIT), IMPLICIT, ENCODINGS[write]) == expected


@given(elements(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_explicit_to_implicit_and_back_is_the_same_byte_for_byte(data, group_lengths):
    known = as_unknown(data)
    source = encode(known, EXPLICIT, group_lengths=group_lengths)
    there = rewrite(source, EXPLICIT, IMPLICIT)
    assert rewrite(there, IMPLICIT, EXPLICIT) == source


@given(elements(), st.sampled_from([*ENCODINGS]), st.sampled_from([*ENCODINGS]), st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_data_sets_are_refused_or_copied_but_nothing_else_happens(data, read, write, more):
    source = bytearray(encode(data, ENCODINGS[read]))
    for _ in range(more.draw(st.integers(0, 3)) if source else 0):
        source[more.draw(st.integers(0, len(source) - 1))] = more.draw(st.integers(0, 255))
    source = source[: more.draw(st.integers(0, len(source)))]
    try:
        rewrite(bytes(source), ENCODINGS[read], ENCODINGS[write])
    except TranscodingFailed as error:
        said = (error.what, error.cause)
    else:
        return
    assert all(said)


JAPANESE = (
    Element(0x00080005, "CS", b"\\ISO 2022 IR 87\\ISO 2022 IR 13 "),
    Element(0x00100010, "PN", b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J "),
    Element(
        0x0040A730,
        "SQ",
        items=(Item((Element(0x0040A160, "UT", "断層".encode("iso2022_jp")),), defined=False), Item(())),
    ),
)


@pytest.mark.parametrize("write", [IMPLICIT, BIG])
def test_text_of_any_character_set_is_copied_as_bytes(write):
    source = encode(JAPANESE, EXPLICIT)
    there = rewrite(source, EXPLICIT, write)
    assert there == encode(JAPANESE, write)
    assert rewrite(there, write, EXPLICIT) == source


@pytest.mark.parametrize("read", [EXPLICIT, BIG])
def test_long_values_go_over_in_pieces(read):
    value = bytes(range(256)) * (CHUNK // 256 + 3)
    data = tuple(Element(tag, vr, value) for tag, vr in ((0x00420011, "OB"), (0x00660016, "OF"), (0x00660022, "OD")))
    nested = (Element(0x0040A730, "SQ", items=(Item(data),)), *data[2:])
    for write in (EXPLICIT, IMPLICIT, BIG):
        assert rewrite(encode(nested, read), read, write) == encode(nested, write)


@pytest.mark.parametrize(("representation", "vr"), [(None, "US"), (0, "US"), (1, "SS")])
def test_us_or_ss_follows_the_pixel_representation_around_it(representation, vr):
    ambiguous = (Element(0x00280106, vr, b"\xff\xff"),)
    stated = () if representation is None else (Element(0x00280103, "US", struct.pack("<H", representation)),)
    item = Item((Element(0x00409216, vr, b"\1\xff"),))
    unsigned = Item((Element(0x00280103, "US", b"\0\0"), Element(0x00409216, "US", b"\1\xff")))
    before = (Element(0x00189810, vr, b"\1\0"), Element(0x00220031, "SQ", items=(item,), defined=False))
    data = (*before, *stated, *ambiguous, Element(0x00409096, "SQ", items=(item, unsigned)))
    assert rewrite(encode(data, IMPLICIT), IMPLICIT, EXPLICIT) == encode(data, EXPLICIT)


@pytest.mark.parametrize(("bits", "vr"), [(1, "OB"), (8, "OB"), (16, "OW"), (32, "OW")])
def test_native_pixel_data_are_bytes_or_words(bits, vr):
    data = (Element(0x00280100, "US", struct.pack("<H", bits)), Element(0x7FE00010, vr, bytes(8)))
    assert rewrite(encode(data, IMPLICIT), IMPLICIT, EXPLICIT) == encode(data, EXPLICIT)


def test_other_ambiguous_vrs_are_words_and_repeating_groups_are_known():
    assert implied_vr(0x60123000, signed=False, bits_allocated=8) == b"OW"
    assert implied_vr(0x60120010, signed=False, bits_allocated=8) == b"US"
    assert implied_vr(0x00283006, signed=True, bits_allocated=8) == b"OW"
    assert implied_vr(0x54001010, signed=False, bits_allocated=8) == b"OW"
    assert implied_vr(0x00080000, signed=False, bits_allocated=8) == b"UL"
    assert implied_vr(0x00086543, signed=False, bits_allocated=8) == b"UN"


def test_a_value_too_long_for_its_vr_becomes_unknown_and_finds_its_vr_again():
    long = Element(0x00080008, "CS", b"A\\" * 40_000)
    implicit = encode((long,), IMPLICIT)
    explicit = rewrite(implicit, IMPLICIT, EXPLICIT)
    assert explicit == encode((Element(long.tag, "UN", long.value),), EXPLICIT)
    assert rewrite(explicit, EXPLICIT, IMPLICIT) == implicit


@pytest.mark.parametrize(("read", "write"), [(BIG, EXPLICIT), (EXPLICIT, BIG), (IMPLICIT, BIG)])
def test_words_of_one_sample_in_big_endian_are_refused(read, write):
    data = (Element(0x00280100, "US", struct.pack("<H", 32)), Element(0x7FE00010, "OW", bytes(8)))
    with pytest.raises(TranscodingFailed, match="no certain byte order"):
        rewrite(encode(data, read), read, write)


def nested(levels: int) -> tuple[Element, ...]:
    data: tuple[Element, ...] = ()
    for _ in range(levels):
        data = (Element(0x0040A730, "SQ", items=(Item(data),)),)
    return data


def test_nesting_ends_somewhere_before_the_stack_does():
    assert rewrite(encode(nested(100), EXPLICIT), EXPLICIT, IMPLICIT) == encode(nested(100), IMPLICIT)
    with pytest.raises(TranscodingFailed, match="nest more than 100 deep"):
        rewrite(encode(nested(101), EXPLICIT), EXPLICIT, IMPLICIT)


SEQUENCE = struct.pack("<HH2s2xI", 0x0040, 0xA730, b"SQ", 8)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x08\0\x05", "ends at byte 3"),
        (b"\x08\0\x05\0CS\4\0AB", "longer than what contains it"),
        (b"\x08\0\x05\0XX\0\0", r"\(0008,0005\) at byte 0 has no VR"),
        (struct.pack("<HHI", 0xFFFE, 0xE000, 0), "where a data element should be"),
        (SEQUENCE + struct.pack("<HHI", 0xFFFE, 0xE000, 2), "an item is longer than its sequence"),
        (SEQUENCE + b"\x08\0\x05\0CS\0\0", "where an item of"),
        (struct.pack("<HH2s2xI", 0x7FE0, 0x10, b"OB", 0xFFFFFFFF), "has an undefined length"),
        (struct.pack("<HH2s2xI", 0x0042, 0x11, b"OB", 0xFFFFFFFF), "has an undefined length"),
    ],
)
def test_what_is_wrong_is_said(data, said):
    with pytest.raises(TranscodingFailed, match=said):
        rewrite(data, EXPLICIT, IMPLICIT)


def test_numbers_cut_through_are_refused_where_their_order_changes():
    data = encode((Element(0x00280010, "US", b"\1\2\3"),), EXPLICIT)
    with pytest.raises(TranscodingFailed, match="no list of numbers"):
        rewrite(data, EXPLICIT, BIG)


def test_a_sequence_that_becomes_too_long_is_refused():
    assert length_field(EXPLICIT, 0xFFFFFFFE) == b"\xfe\xff\xff\xff"
    with pytest.raises(TranscodingFailed, match="4 GiB"):
        length_field(EXPLICIT, 0xFFFFFFFF)


def test_lengths_are_put_in_whether_still_held_or_long_written(tmp_path):
    path = tmp_path / "out"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    output = Output(fd)
    output.write(b"head....")
    output.write(bytes(CHUNK))
    output.write(b"tail....")
    output.patch(4, b"1234")
    output.patch(8 + CHUNK + 4, b"5678")
    assert output.position == CHUNK + 16
    output.flush()
    os.close(fd)
    assert path.read_bytes() == b"head1234" + bytes(CHUNK) + b"tail5678"
