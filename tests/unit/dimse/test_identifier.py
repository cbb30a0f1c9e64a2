"""Identifiers: what is written is read again, as pydicom reads it; whatever a peer sends can be looked at safely."""

from __future__ import annotations

import logging
import struct
import warnings
from io import BytesIO
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.charset import python_encoding
from pydicom.datadict import dictionary_VR
from pydicom.filereader import read_dataset
from pydicom.sequence import Sequence

from dicomfab.dimse.identifier import BIG_ENDIAN, IdentifierError, decode, encode
from dicomfab.model.actor import local_admin
from dicomfab.model.values import Environment
from dicomfab.registry.server import PacsServer
from dicomfab.services.query import QueryService
from dicomfab.services.study_filter import StudyFilter
from tests.unit.ul.strategies import uids

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
every_syntax = pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG_ENDIAN])


def read_by_pydicom(data: bytes, syntax: str) -> Dataset:
    return read_dataset(BytesIO(data), syntax == IMPLICIT, syntax != BIG_ENDIAN)


# ---------------------------------------------------------------------- what is written is read

words = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="\\^="), max_size=12)
dates = st.dates().map(lambda day: f"{day.year:04d}{day.month:02d}{day.day:02d}")
shorts = st.integers(0, 0xFFFF)
even_bytes = st.binary(min_size=1, max_size=20).map(lambda raw: raw + b"\0" if len(raw) % 2 else raw)
PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "StudyDate": st.just("") | dates,
    "StudyTime": st.sampled_from(["", "120000", "235959.123456"]),
    "AccessionNumber": words,
    "QueryRetrieveLevel": st.sampled_from(["PATIENT", "STUDY", "SERIES", "IMAGE", ""]),
    "RetrieveAETitle": words,
    "ModalitiesInStudy": st.lists(st.sampled_from(["CT", "MR", "SC"]), min_size=2, max_size=4),
    "ReferringPhysicianName": words,
    "PatientName": st.builds("{}^{}".format, words, words),
    "PatientAge": st.sampled_from(["", "042Y"]),
    "PatientSize": st.sampled_from([None, "1.75", "-0.5E-3"]),
    "PatientComments": words,
    "StudyInstanceUID": uids,
    "InstanceNumber": st.integers(-(2**31), 2**31 - 1),
    "NumberOfStudyRelatedInstances": st.integers(0, 99999),
    "FrameOfInterestDescription": words,
    "Rows": shorts,
    "SimpleFrameList": st.lists(st.integers(0, 2**32 - 1), min_size=2, max_size=3),
    "TagAngleSecondAxis": st.integers(-(2**15), 2**15 - 1),
    "RealWorldValueSlope": st.floats(allow_nan=False, allow_infinity=False),
    "ExaminedBodyThickness": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "FrameIncrementPointer": st.sampled_from([0x00181063, 0x00540080]),
    "RetrieveURL": st.sampled_from(["http://example.com/x", ""]),
    "ICCProfile": even_bytes,
    "EncapsulatedDocument": even_bytes,
}


def made(values: dict[str, Any]) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


flat = st.fixed_dictionaries({}, optional=PLAIN).map(made)


def with_items(inner: st.SearchStrategy[Dataset]) -> st.SearchStrategy[Dataset]:
    items = st.lists(inner, max_size=3).map(Sequence)
    sequences = {
        "ScheduledProcedureStepSequence": items,
        "ReferencedStudySequence": items,
        "RequestAttributesSequence": items,
    }
    return st.fixed_dictionaries({}, optional=PLAIN | sequences).map(made)


nested = st.recursive(flat, with_items, max_leaves=6)
quiet = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_the_values_are_of_many_kinds() -> None:
    kinds = {dictionary_VR(keyword) for keyword in PLAIN}
    assert kinds >= {
        "AE",
        "AS",
        "AT",
        "CS",
        "DA",
        "DS",
        "FD",
        "FL",
        "IS",
        "LO",
        "LT",
        "OB",
        "PN",
        "SH",
        "SS",
        "TM",
        "UI",
    }


@every_syntax
@quiet
@given(dataset=flat)
def test_a_flat_data_set(syntax: str, dataset: Dataset) -> None:
    raw = encode(dataset, syntax)
    assert decode(raw, syntax) == dataset == read_by_pydicom(raw, syntax)


@every_syntax
@quiet
@given(dataset=nested)
def test_a_data_set_with_sequences(syntax: str, dataset: Dataset) -> None:
    raw = encode(dataset, syntax)
    assert decode(raw, syntax) == dataset == read_by_pydicom(raw, syntax)


@every_syntax
@quiet
@given(dataset=nested)
def test_what_was_read_can_be_passed_on_in_any_other_transfer_syntax(syntax: str, dataset: Dataset) -> None:
    """As a router does that has other contexts towards its two sides."""
    received = decode(encode(dataset, syntax), syntax)
    for other in (EXPLICIT, IMPLICIT, BIG_ENDIAN):
        assert decode(encode(received, other), other) == dataset


def undefined_lengths(dataset: Dataset) -> Dataset:
    for element in dataset:
        if element.VR == "SQ":
            element.is_undefined_length = True
            for item in element.value:
                item.is_undefined_length_sequence_item = True
                undefined_lengths(item)
    return dataset


@every_syntax
@quiet
@given(dataset=nested)
def test_sequences_and_items_without_lengths(syntax: str, dataset: Dataset) -> None:
    raw = encode(undefined_lengths(dataset), syntax)
    assert decode(raw, syntax) == dataset


# ---------------------------------------------------------------------- character sets

NAMES = [
    ("", "Citizen^Jan"),
    ("ISO_IR 100", "Müller^Ärmel"),
    ("ISO_IR 144", "Люкceмбypг"),
    ("ISO_IR 126", "Διονυσιος"),
    ("ISO_IR 192", "Wang^XiaoDong=王^小東=Müller"),
    ("GB18030", "Wang^XiaoDong=王^小东"),
    (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
    (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
]


@every_syntax
@pytest.mark.parametrize(("charset", "name"), NAMES, ids=[str(charset) for charset, _ in NAMES])
@pytest.mark.parametrize("with_sequence", [False, True])
def test_names_of_the_world(syntax: str, charset: Any, name: str, with_sequence: bool) -> None:
    dataset = made({"SpecificCharacterSet": charset, "PatientName": name, "StudyDescription": name.partition("=")[0]})
    if with_sequence:
        dataset.RequestAttributesSequence = [made({"PatientName": name})]
    read = decode(encode(dataset, syntax), syntax)
    assert read.PatientName == name
    assert read.PatientName.ideographic == (f"{name}==".split("=")[1])
    assert read.StudyDescription == name.partition("=")[0]
    if with_sequence:
        assert read.RequestAttributesSequence[0].PatientName == name
    again = decode(encode(read, EXPLICIT), EXPLICIT)
    assert again.PatientName == name


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (b"ISO-IR 100", "ISO_IR 100"),
        (b"ISO IR 192", "ISO_IR 192"),
        (b"ISO_IR_192 ", "ISO_IR 192"),
        (b"ISO IR 6\0", "ISO_IR 6"),
        (b"ISO_2022_IR_100", "ISO 2022 IR 100"),
        (b"ISO_IR 192\\ISO 2022 IR 87", "ISO_IR 192"),
        (b"ISO 2022 IR 100\\ISO_IR 192", "ISO 2022 IR 100"),
        (b"nonsense", ""),
        (b"", ""),
        (b"\\", ""),
        (b"\xff\xfe\0", ""),
        (b"undefined", ""),
        (b"punycode", ""),
        (b"hex", ""),
    ],
)
@every_syntax
def test_character_sets_as_peers_write_them(written: bytes, meant: str, syntax: str) -> None:
    name = b"M\xc3\xbcller"
    raw = tag_and_value(0x00080005, "CS", written, syntax) + tag_and_value(0x00100010, "PN", name, syntax)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert str(decode(raw, syntax).PatientName) == name.decode(python_encoding[meant])


@pytest.mark.parametrize(
    "charset",
    [
        b"ISO_IR 192\\ISO 2022 IR 87", b"GB18030\\ISO 2022 IR 149 ", b"\\ISO 2022 IR 87",
        b"ISO 2022 IR 6\\ISO 2022 IR 87",
        b"ISO 2022 IR 100\\ISO_IR 192", b"ISO 2022 IR 13\\ISO 2022 IR 87\\ISO 2022 IR 159", b"ISO_IR 100",
    ],
)  # fmt: skip
@every_syntax
def test_code_extensions_are_switched_to_as_pydicom_does_it(charset: bytes, syntax: str) -> None:
    name = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B"
    raw = tag_and_value(0x00080005, "CS", charset, syntax) + tag_and_value(0x00100010, "PN", name, syntax)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert str(decode(raw, syntax).PatientName) == str(read_by_pydicom(raw, syntax).PatientName)


# ---------------------------------------------------------------------- any bytes

VRS = "AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
LONG_VRS = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}
TAGS = [
    0x00080005, 0x00080018, 0x00080020, 0x00080050, 0x00080052, 0x00080058, 0x00080061, 0x00081140, 0x00091001,
    0x00090010, 0x00100010, 0x00100020, 0x00100030, 0x0020000D, 0x00200013, 0x00201206, 0x00201208, 0x00280010,
    0x00280106, 0x00400275, 0x60003000, 0x7FE00010, 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD, 0x00020010, 0x00000100,
]  # fmt: skip
ITEM, ITEM_END, SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0"
ENDLESS = b"\xff\xff\xff\xff"


def tag_and_value(tag: int, vr: str, value: bytes, syntax: str, length: int | None = None) -> bytes:
    order = ">" if syntax == BIG_ENDIAN else "<"
    size = len(value) if length is None else length
    group, element = tag >> 16, tag & 0xFFFF
    if syntax == IMPLICIT:
        return struct.pack("<HHI", group, element, size) + value
    if vr in LONG_VRS:
        return struct.pack(order + "HH2sHI", group, element, vr.encode(), 0, size) + value
    return struct.pack(order + "HH2sH", group, element, vr.encode(), size & 0xFFFF) + value


odd_values = st.one_of(
    st.binary(max_size=20),
    st.sampled_from(
        [
            b"", b"\\ISO 2022 IR 87", b"ISO_IR 192\\ISO 2022 IR 87", b"GB18030", b"hex", b"12 of 14", b"1.5", b"inf",
            b"nan", b"1e999", b"9" * 20, b"1\\2\\x", b"1" * 200, b"20201301", b"\x1b$B;3ED\x1b(J", b"\x1b",
            b"A^B=C^D=E^F=G^H", b"\\\\\\", b"\0\0", b"\xff" * 7,
        ]
    ),
    st.builds(
        lambda length, inner: ITEM + struct.pack("<I", length) + inner,
        st.sampled_from([0, 4, 8, 100, 0xFFFFFFFF]),
        st.binary(max_size=16),
    ),
)  # fmt: skip


@st.composite
def odd_data_sets(draw: st.DrawFn, syntax: str) -> bytes:
    parts = []
    for _ in range(draw(st.integers(1, 5))):
        value = draw(odd_values)
        length = draw(st.none() | st.none() | st.none() | st.sampled_from([0xFFFFFFFF, len(value) + 4, 1]))
        vr = draw(st.sampled_from([*VRS, "ZZ", "\0\0", "is"]))
        parts.append(tag_and_value(draw(st.sampled_from(TAGS)), vr, value, syntax, length))
    return b"".join(parts)


def touched(dataset: Dataset) -> None:
    """Look at everything, in each way that a caller may."""
    for element in dataset:
        assert str(element) is not None
    for element in dataset.iterall():
        assert repr(element.value) is not None
    assert str(dataset) is not None


def seen_by_a_query(match: Dataset) -> None:
    """The place in the product that looks at what other servers answer."""
    server = PacsServer(
        id="a", name="A", host="h", port=104, aec="A", environment=Environment.TEST, fallback_charset="ISO_IR 100"
    )
    service = QueryService(lambda *_args, **_more: iter([match]))
    [answer] = service.studies(local_admin("me", "test"), [server], StudyFilter(patient_id="X"))
    assert answer.error is None
    assert len(answer.matches) == 1


@every_syntax
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_bytes_are_a_data_set_that_can_be_looked_at_or_an_error(syntax: str, data: st.DataObject) -> None:
    raw = data.draw(odd_data_sets(syntax) | st.binary(max_size=60))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = decode(raw, syntax)
        except IdentifierError:
            return
        if syntax == IMPLICIT:  # elsewhere a VR may be another than the attribute's: see below
            seen_by_a_query(dataset)
        touched(dataset)


@pytest.mark.parametrize(("tag", "vr", "value"), [(0x00080061, "SV", b"\1" * 8), (0x00201208, "LO", b"1" * 5000)])
def test_a_value_of_another_kind_than_its_attribute_s_harms_no_query(tag: int, vr: str, value: bytes) -> None:
    seen_by_a_query(decode(tag_and_value(tag, vr, value, EXPLICIT), EXPLICIT))


@every_syntax
@quiet
@given(dataset=nested, data=st.data())
def test_a_data_set_that_is_cut_short_is_an_error_or_misses_whole_elements(
    syntax: str, dataset: Dataset, data: st.DataObject
) -> None:
    raw = encode(undefined_lengths(dataset) if data.draw(st.booleans()) else dataset, syntax)
    cut = data.draw(st.integers(0, max(0, len(raw) - 1)))
    try:
        read = decode(raw[:cut], syntax)
    except IdentifierError:
        return
    assert encode(read, syntax) == raw[:cut]
    for element in read:
        assert element == dataset[element.tag]


def nested_deeply(depth: int) -> bytes:
    head = b"\x40\x00\x75\x02" + ENDLESS + ITEM + ENDLESS
    return head * depth + (ITEM_END + bytes(4) + SEQUENCE_END + bytes(4)) * depth


BROKEN = {
    "a header cut short": (IMPLICIT, b"\x10\0\x20"),
    "a value cut short": (IMPLICIT, tag_and_value(0x00100020, "LO", b"abc", IMPLICIT, 10)),
    "a long length cut short": (EXPLICIT, b"\x10\0\x20\0UT\0\0\1\0"),
    "half a number": (EXPLICIT, tag_and_value(0x00280010, "US", b"a", EXPLICIT)),
    "a VR that does not exist": (EXPLICIT, tag_and_value(0x00100020, "ZZ", b"ab", EXPLICIT)),
    "no VR at all": (EXPLICIT, tag_and_value(0x00100020, "", b"ab", IMPLICIT)),
    "a sequence of text": (IMPLICIT, tag_and_value(0x00081140, "SQ", b"text text", IMPLICIT)),
    "a sequence without an end": (IMPLICIT, b"\x40\0\x75\2" + ENDLESS + ITEM + bytes(4)),
    "an item without an end": (IMPLICIT, b"\x40\0\x75\2" + ENDLESS + ITEM + ENDLESS),
    "an item longer than its sequence": (IMPLICIT, tag_and_value(0x00400275, "SQ", ITEM + b"\x08\0\0\0", IMPLICIT)),
    "an element longer than its item": (
        EXPLICIT,
        tag_and_value(0x00400275, "SQ", ITEM + b"\x0a\0\0\0" + b"\x10\0\x20\0LO\x08\0ab", EXPLICIT),
    ),
    "an item outside of a sequence": (
        BIG_ENDIAN,
        b"\xff\xfe\xe0\x00\0\0\0\0",
    ),
    "a text without a length": (EXPLICIT, b"\x10\0\x20\0UT\0\0" + ENDLESS),
    "sequences without end": (IMPLICIT, nested_deeply(1000)),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_data_set_is_an_error_without_values(what: str) -> None:
    syntax, raw = BROKEN[what]
    with pytest.raises(IdentifierError) as caught:
        decode(raw, syntax)
    assert str(caught.value)
    assert "text text" not in str(caught.value)


def test_sequences_nested_as_the_standard_nests_them() -> None:
    assert decode(nested_deeply(8), IMPLICIT)[0x00400275].VR == "SQ"


def test_an_unknown_sequence_of_undefined_length_is_implicit_inside() -> None:
    """PS3.5 6.2.2, note 2."""
    inner = ITEM + ENDLESS + tag_and_value(0x00100020, "LO", b"SYN1", IMPLICIT) + ITEM_END + bytes(4)
    raw = b"\x09\0\1\x10UN\0\0" + ENDLESS + inner + SEQUENCE_END + bytes(4)
    assert decode(raw, EXPLICIT)[0x00091001].value[0].PatientID == "SYN1"


def test_values_that_do_not_fit_are_not_quoted_in_a_log(caplog: pytest.LogCaptureFixture) -> None:
    """A date of birth that is none is a patient's all the same. Warnings are errors here."""
    caplog.set_level(logging.DEBUG)
    dataset = {0x00100030: "1956-02-30", 0x00100020: "x" * 99, 0x0020000D: "not.a.UID", 0x00201208: "7 of 9"}
    for syntax in (IMPLICIT, EXPLICIT):
        raw = b"".join(
            tag_and_value(tag, dictionary_VR(tag), value.encode(), syntax) for tag, value in sorted(dataset.items())
        )
        seen_by_a_query(decode(raw, syntax))
        touched(decode(raw, syntax))
    for value in dataset.values():
        assert value not in caplog.text
