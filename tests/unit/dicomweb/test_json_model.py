from __future__ import annotations

import base64
import contextlib
import json
import math
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.dataelem import DataElement
from pydicom.multival import MultiValue

from dicomfab.dicomweb.json_model import INLINE_BYTES, data_set_text, find_place
from dicomfab.dicomweb.json_values import row_text
from dicomfab.dicomweb.ports import Row
from dicomfab.model.errors import InstanceUnreadable
from dicomfab.model.part10 import file_header
from dicomfab.model.study import InstanceFile, InstanceIdentity
from dicomfab.pixels.data_set import DataSet, layout_of, opened
from tests.unit.archive.builders import BIG, DEFLATED, EXPLICIT, IMPLICIT, encode
from tests.unit.dicomweb.conftest import Fabricate
from tests.unit.pixels.instances import data_set, picture, rich

SYNTAXES = (EXPLICIT, IMPLICIT, BIG)


def model(ds: Dataset, syntax: str = EXPLICIT) -> dict[str, Any]:
    content = encode(ds, syntax)
    return json.loads(data_set_text(DataSet(content, 0, len(content), layout_of(syntax)), lambda place: f"u:{place}"))


def raw_model(content: bytes, syntax: str = EXPLICIT) -> dict[str, Any]:
    return json.loads(data_set_text(DataSet(content, 0, len(content), layout_of(syntax)), str))


def element(group: int, number: int, vr: str, value: bytes) -> bytes:
    form = "<HH2s2xI" if vr in ("UV", "OW") else "<HH2sH"
    return struct.pack(form, group, number, vr.encode(), len(value)) + value


def file_of(ds: Dataset, folder: Path, syntax: str) -> InstanceFile:
    identity = InstanceIdentity(str(ds.SOPClassUID), str(ds.SOPInstanceUID), syntax)
    head = file_header(*(identity.sop_class_uid, identity.sop_instance_uid, syntax))
    path = folder / f"{syntax}.dcm"
    path.write_bytes(head + encode(ds, syntax))
    return InstanceFile(path, identity, len(head))


@pytest.mark.parametrize("syntax", [*SYNTAXES, DEFLATED])
def test_an_instance_with_everything_reads_the_same_in_every_transfer_syntax(tmp_path: Path, syntax: str) -> None:
    ds = data_set(picture(bits=12), bits=12)
    rich(ds)
    with opened(file_of(ds, tmp_path, syntax)) as found:
        written = json.loads(data_set_text(found, lambda place: f"u:{place}"))
    expected = model(ds)
    if syntax == IMPLICIT:  # what is private has no VR there
        private = [tag for tag in expected if int(tag[:4], 16) % 2]
        assert {written.pop(tag)["vr"] for tag in private} == {"LO", "UN"}
        assert [expected.pop(tag) for tag in private]
    assert written == expected


@pytest.mark.parametrize("kind", ["ct-chest", "mr-enhanced", "us-colour", "nm-gated", "sc-multiframe-bit"])
def test_pydicom_reads_fabricated_metadata_as_the_instance(fabricated: Fabricate, kind: str) -> None:
    file = fabricated(kind)[-1]
    with opened(file) as found:
        text = data_set_text(found, lambda place: place)
        bulk = {place: found_value(found, place) for place in places(json.loads(text))}
    read = Dataset.from_json(text, lambda tag, vr, value: bulk[value])
    expected = dcmread(file.path)
    expected.SpecificCharacterSet = "ISO_IR 192"
    for mine, theirs in zip(read, expected, strict=True):
        assert mine.VR == theirs.VR
        if mine.VR == "SQ" or mine.tag == 0x7FE00010:
            continue
        assert mine.value == theirs.value or numbers(mine) == numbers(theirs), mine.tag
    assert read.keys() == expected.keys()


def numbers(data: DataElement) -> list[float]:
    values = data.value if isinstance(data.value, list) or data.VM > 1 else [data.value]
    return [float(value) for value in values]


def places(model: dict[str, Any], before: str = "") -> list[str]:
    found = []
    for tag, attribute in model.items():
        if "BulkDataURI" in attribute:
            assert attribute["BulkDataURI"] == before + tag
            found.append(before + tag)
        for number, item in enumerate(attribute.get("Value", []), 1):
            if attribute["vr"] == "SQ":
                found += places(item, f"{before}{tag}/{number}/")
    return found


def found_value(found: DataSet, place: str) -> bytes:
    where = find_place(found, place)
    assert where is not None
    within, element = where
    return within.value(element)


# --- values -------------------------------------------------------------------------------------------------------

NUMBERS = {
    "US": st.integers(0, 2**16 - 1),
    "SS": st.integers(-(2**15), 2**15 - 1),
    "UL": st.integers(0, 2**32 - 1),
    "SL": st.integers(-(2**31), 2**31 - 1),
    "FD": st.floats(allow_nan=False, allow_infinity=False),
    "FL": st.floats(allow_nan=False, allow_infinity=False, width=32),
    "SV": st.integers(-(2**63), 2**63 - 1),
    "UV": st.integers(0, 2**64 - 1),
    "IS": st.integers(-(2**31), 2**31 - 1),
    "DS": st.floats(-1e6, 1e6).map(lambda number: float(f"{number:.8g}")),
}
PLAIN = st.text(
    st.characters(codec="utf-8", exclude_categories=["C"], exclude_characters="\\=^"), min_size=1, max_size=9
)
TEXT = PLAIN.map(lambda text: text.strip() or "a")
BYTES = st.binary(min_size=1, max_size=5).map(lambda raw: raw * 8)
TAGS = {
    vr: 0x00110000 + 0x1000 + number for number, vr in enumerate([*NUMBERS, "LO", "SH", "LT", "PN", "UN", "OB", "OW"])
}


@st.composite
def data_sets(draw: st.DrawFn, depth: int = 2) -> Dataset:
    ds = Dataset()
    if depth == 2:
        ds.SpecificCharacterSet = "ISO_IR 192"
    for vr, strategy in NUMBERS.items():
        ds.add(DataElement(TAGS[vr], vr, draw(st.lists(strategy, max_size=3))))
    for vr in ("LO", "SH"):
        ds.add(DataElement(TAGS[vr], vr, draw(st.lists(TEXT, max_size=3))))
    ds.add(DataElement(TAGS["LT"], "LT", draw(TEXT)))
    ds.add(DataElement(TAGS["PN"], "PN", "=".join(draw(st.lists(TEXT, max_size=3)))))
    for vr in ("UN", "OB"):
        ds.add(DataElement(TAGS[vr], vr, draw(BYTES)))
    # Of words pydicom takes the bytes as the transfer syntax orders them: these are the same in both orders.
    ds.add(DataElement(TAGS["OW"], "OW", bytes(byte for byte in draw(BYTES) for _ in range(2))))
    if depth and draw(st.booleans()):
        items = draw(st.lists(data_sets(depth - 1), max_size=2))
        sequence = DataElement(0x00082112, "SQ", items)
        sequence.is_undefined_length = draw(st.booleans())
        for item in items:
            item.is_undefined_length_sequence_item = draw(st.booleans())
        ds.add(sequence)
    return ds


@settings(max_examples=40, deadline=None)
@given(data_sets(), st.sampled_from([EXPLICIT, BIG]))
def test_values_survive_the_way_through_json(ds: Dataset, syntax: str) -> None:
    # pydicom is the reader: it gives back what was put in.
    assert same(Dataset.from_json(with_numbers(model(ds, syntax))), ds)


def with_numbers(model: dict[str, Any]) -> dict[str, Any]:
    """Long integers are strings (PS3.18 F.2.3), which pydicom takes as they are."""
    for attribute in model.values():
        if attribute["vr"] in ("SV", "UV"):
            attribute["Value"] = [int(one) for one in attribute.get("Value", [])]
        if attribute["vr"] == "SQ":
            attribute["Value"] = [with_numbers(item) for item in attribute.get("Value", [])]
    return model


def same(one: Dataset, other: Dataset) -> bool:
    first, second = (json.dumps(ds.to_json_dict(), sort_keys=True) for ds in (one, other))
    assert first == second
    return True


OPEN = b"\xff\xff\xff\xff"
SCRAPS = [
    element(8, 0x60, "CS", b"CT"),
    element(0x10, 0x10, "PN", b"A^B"),
    element(0x28, 0x10, "US", b"\1\0\2"),
    b"\x08\0\x12\x21SQ\0\0" + OPEN,
    b"\x11\0\x10\x10UN\0\0" + OPEN,
    b"\x08\0\x12\x21" + OPEN,
    b"\xfe\xff\0\xe0" + OPEN,
    b"\xfe\xff\0\xe0\4\0\0\0",
    b"\xfe\xff\x0d\xe0\0\0\0\0",
    b"\xfe\xff\xdd\xe0\0\0\0\0",
]


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=120) | st.lists(st.sampled_from(SCRAPS), max_size=12).map(b"".join), st.sampled_from(SYNTAXES)
)
def test_any_bytes_are_read_or_refused(content: bytes, syntax: str) -> None:
    with contextlib.suppress(InstanceUnreadable):
        raw_model(content, syntax)


@pytest.mark.parametrize("opening", [b"\x08\0\x12\x21SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff"])
def test_deep_nesting_is_refused(opening: bytes) -> None:
    with pytest.raises(InstanceUnreadable, match="nest"):
        raw_model(opening * 5000)


@pytest.mark.parametrize(
    ("vr", "value", "expected"),
    [
        ("DS", b"1.50 ", [1.5]),
        ("DS", b" +2\\\\.5\\5.", [2, None, 0.5, 5.0]),
        ("DS", b"1e400", ["1e400"]),
        ("DS", b"n/a ", ["n/a"]),
        ("IS", b"-012", [-12]),
        ("IS", b"9.5 ", ["9.5"]),
        ("FD", struct.pack("<ddd", math.nan, math.inf, -math.inf), ["NaN", "Infinity", "-Infinity"]),
        ("UV", struct.pack("<QQ", 5, 2**63), [5, str(2**63)]),
        ("AT", struct.pack("<HH", 0x28, 0x9), ["00280009"]),
        ("CS", b" A \\B", ["A", "B"]),
        ("LT", b" a\\b ", [" a\\b"]),
        ("UI", b"1.2\0", ["1.2"]),
        ("PN", b"A^B==C^D", [{"Alphabetic": "A^B", "Phonetic": "C^D"}]),
        ("PN", b"\\A", [None, {"Alphabetic": "A"}]),
    ],
)
def test_values_are_written_as_the_standard_wants(vr: str, value: bytes, expected: list[Any]) -> None:
    assert raw_model(element(0x11, 0x1010, vr, value)) == {"00111010": {"vr": vr, "Value": expected}}


@pytest.mark.parametrize("vr", ["DS", "PN", "LO", "US", "LT", "CS"])
@pytest.mark.parametrize("value", [b"", b"  "])
def test_an_attribute_without_a_value_has_only_its_vr(vr: str, value: bytes) -> None:
    if vr == "US":
        value = b""
    assert raw_model(element(0x11, 0x1010, vr, value)) == {"00111010": {"vr": vr}}


@pytest.mark.parametrize(
    ("charset", "raw", "text"),
    [
        ("ISO_IR 100", "Müller".encode("latin-1"), "Müller"),
        ("ISO_IR 144", "Люк".encode("iso8859-5"), "Люк"),
        ("\\ISO 2022 IR 87", b"\x1b$B;3ED\x1b(B", "山田"),
        ("GB18030", "王小东".encode("gb18030"), "王小东"),
        ("", "Jürgen".encode(), "Jürgen"),
        ("ISO_IR 192", b"\xff", "ÿ"),
        ("NONSENSE", b"\xe4", "ä"),
    ],
)
def test_text_is_decoded_by_the_character_set_of_the_data_set(charset: str, raw: bytes, text: str) -> None:
    raw += b" " * (len(raw) % 2)
    content = element(8, 5, "CS", charset.encode()) + element(0x11, 0x1010, "LO", raw)
    assert raw_model(content) == {
        "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
        "00111010": {"vr": "LO", "Value": [text]},
    }


def test_items_have_the_character_set_around_them_unless_their_own() -> None:
    inner = Dataset()
    inner.PatientComments = "Ä"
    own = Dataset()
    own.SpecificCharacterSet, own.PatientComments = "ISO_IR 144", "Л"
    ds = Dataset()
    ds.SpecificCharacterSet, ds.ReferencedStudySequence = "ISO_IR 100", [inner, own]
    first, second = model(ds)["00081110"]["Value"]
    assert (first["00104000"]["Value"], second["00104000"]["Value"]) == (["Ä"], ["Л"])


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_long_binary_values_are_named_by_uri_and_short_ones_are_inline(syntax: str) -> None:
    item = Dataset()
    item.add(DataElement(0x00420011, "OB", bytes(INLINE_BYTES + 2)))
    ds = Dataset()
    ds.ReferencedStudySequence = [Dataset(), item]
    ds.add(DataElement(0x00281201, "OW", bytes(range(16))))
    ds.add(DataElement(0x60003000, "OW", bytes(INLINE_BYTES + 2)))
    ds.Rows = 1
    ds.add(DataElement(0x7FE00010, "OW", b"\1\0"))
    made = model(ds, syntax)
    assert (
        made["00281201"] == {"vr": "OW", "InlineBinary": base64.b64encode(bytes(range(16))).decode()} or syntax == BIG
    )
    assert made["60003000"] == {"vr": "OW", "BulkDataURI": "u:60003000"}
    assert made["7FE00010"] == {"vr": "OW", "BulkDataURI": "u:7FE00010"}
    assert made["00081110"]["Value"] == [{}, {"00420011": {"vr": "OB", "BulkDataURI": "u:00081110/2/00420011"}}]
    content = encode(ds, syntax)
    whole = DataSet(content, 0, len(content), layout_of(syntax))
    assert found_value(whole, "00081110/2/00420011") == bytes(INLINE_BYTES + 2)
    for nowhere in ("00420011", "00081110/3/00420011", "00081110/1/00420011", "00280010/1/00420011"):
        assert find_place(whole, nowhere) is None


def test_inline_words_are_little_endian_whatever_the_instance_is() -> None:
    content = struct.pack(">HH2s2xI", 0x28, 0x1201, b"OW", 4) + b"\0\1\0\2"
    assert raw_model(content, BIG)["00281201"]["InlineBinary"] == base64.b64encode(b"\1\0\2\0").decode()


def test_group_lengths_are_left_out() -> None:
    assert raw_model(element(8, 0, "UL", bytes(4)) + element(8, 0x60, "CS", b"CT")) == {
        "00080060": {"vr": "CS", "Value": ["CT"]}
    }


def test_an_answer_is_written_like_a_data_set() -> None:
    ds = data_set(picture(bits=8), bits=8)
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientSize, ds.ImageType, ds.PatientName = "1.75", ["ORIGINAL", "", "AXIAL"], "A^B=山^田"
    ds.PatientComments = "a\\b"
    del ds.PixelData
    row = {int(one.tag): (one.VR, text_of(one)) for one in ds}
    assert json.loads(row_text(row)) == model(ds)
    item: Row = {0x00400009: ("SH", "S1")}
    assert json.loads(row_text({0x00400275: ("SQ", [item, {}]), 0x00400555: ("SQ", [])})) == {
        "00400275": {"vr": "SQ", "Value": [{"00400009": {"vr": "SH", "Value": ["S1"]}}, {}]},
        "00400555": {"vr": "SQ"},
    }


def text_of(element: DataElement) -> str:
    if element.value is None:
        return ""
    return "\\".join(map(str, element.value)) if isinstance(element.value, MultiValue) else str(element.value)
