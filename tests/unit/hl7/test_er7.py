from __future__ import annotations

import unicodedata
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomfab.hl7.character_sets import decoded, term
from dicomfab.hl7.er7 import Delimiters, Hl7Error, parse, unescaped
from dicomfab.hl7.orders import read
from tests.unit.hl7.messages import ADT, OMI_JAPANESE, ORM

PIECES = [
    "MSH",
    "PID",
    "PV1",
    "ORC",
    "OBR",
    "OBX",
    "NTE",
    "IPC",
    "ZDS",
    "TQ1",
    *'|^~\\&\r\n\x0b\x1c\0"',
    "20260131",
    "é",
]


def names(text: str) -> list[str]:
    return [segment.name for segment in parse(text).segments]


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\r\r\n"])
def test_segments_may_end_with_any_line_end_and_the_last_with_none(end: str) -> None:
    text = ORM.replace("\r", end).rstrip("\r\n")
    assert names(text) == ["MSH", "PID", "NTE", "PV1", "ORC", "OBR", "NTE", "ZDS"]


def test_a_frame_and_what_stands_before_the_header_are_taken_off() -> None:
    assert names(f"\x0b{ORM}\x1c\r") == names(ORM)
    found = parse("Dear colleague,\n" + ORM)
    assert found.segments[0].name == "MSH"
    assert found.notes == ("1 line before MSH left out",)


def test_a_line_that_is_no_segment_is_left_out_and_said() -> None:
    found = parse(ORM + "lines of a note\rZZ1|x\r")
    assert found.segments[-1].name == "ZZ1"
    assert found.notes == ("line 9 is no segment: left out",)


def test_only_the_first_of_several_messages_is_read() -> None:
    found = parse(ORM + ADT)
    assert len(found.segments) == 8
    assert "another message" in found.notes[0]


def test_a_message_may_use_other_separators() -> None:
    table = str.maketrans({"|": "#", "^": "*", "&": "@"})
    (order,) = read(ORM.translate(table))
    assert order.value("PatientName") == "Lindgren^Astrid^M^Dr.^III"
    assert order.value("UniversalEntityID") == "1.2.3"
    assert order.value("RequestedProcedureDescription") == "CT Chest @ more"


def test_too_few_separators_are_filled_up_and_said() -> None:
    found = parse("MSH|^|RIS\rPID|1||7~8")
    assert found.segments[1].repetitions(3)[1].get() == "8"
    assert "MSH-2 is '^'" in found.notes[0]


@pytest.mark.parametrize("text", ["", " \r\n", "hello", "PID|1\r", "MSH", "MSHA", "MSH^^~\\&|RIS"])
def test_what_is_no_message_is_refused(text: str) -> None:
    with pytest.raises(Hl7Error) as caught:
        parse(text)
    assert caught.value.field == "message"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (r"a\F\b\S\c\R\d\E\e\T\f", r"a|b^c~d\e&f"),
        (r"\H\bold\N\ ", "bold "),
        (r"a\.br\b\.sp2\c", "a\nb\nc"),
        (r"\X4142\ ", "AB "),
        (r"\XC3A9\ ", "é "),
        (r"\XE9\ ", "é "),
        (r"\X4\ \Zx\ ", r"\X4\ \Zx\ "),
        ("lonely \\", "lonely \\"),
        (r"C:\T\F\S", "C:&F\\S"),
    ],
)
def test_escapes_are_resolved_and_others_stay(text: str, meant: str) -> None:
    assert unescaped(text, Delimiters()) == meant


@pytest.mark.parametrize(
    ("named", "codec", "wanted"),
    [
        ("8859/1", "iso-8859-1", "ISO_IR 100"),
        ("8859/5", "iso-8859-5", "ISO_IR 144"),
        ("UNICODE UTF-8", "utf-8", "ISO_IR 192"),
        ("GB 18030-2000", "gb18030", "GB18030"),
        ("~ISO IR87", "iso2022_jp", "ISO 2022 IR 87"),
        ("KS X 1001", "euc_kr", "ISO 2022 IR 149"),
    ],
)
def test_bytes_are_read_in_the_character_set_of_msh_18(named: str, codec: str, wanted: str) -> None:
    name = {"iso-8859-1": "Åström", "iso-8859-5": "Иванов", "euc_kr": "홍길동"}.get(codec, "山田")
    text = f"MSH|^~\\&|A|B|C|D|2026||ADT^A04|1|P|2.5||||||{named}\rPID|1||7||{name}^X\r"
    (order,) = read(text.encode(codec))
    assert order.value("PatientName") == f"{name}^X"
    assert order.value("SpecificCharacterSet") == wanted
    assert order.notes == ()


def test_bytes_that_are_of_another_set_are_read_as_what_they_are_and_that_is_said() -> None:
    text = "MSH|^~\\&|A|B|C|D|2026||ADT^A04|1|P|2.5||||||ASCII\rPID|1||7||Åström^X\r"
    assert decoded(text.encode()) == (text, ("MSH-18 says 'ASCII': read as UTF-8",))
    assert decoded(text.encode("latin-1"))[0] == text
    assert "names may be wrong" in decoded(text.encode("latin-1"))[1][0]
    assert decoded(("\ufeff" + text).encode("utf-16"))[0].endswith(text)
    assert term("KLINGON") == ("", "'KLINGON' is no character set that is known here")


@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES)).map(lambda parts: "MSH|^~\\&" + "".join(parts))))
def test_any_text_is_read_or_refused_with_our_own_error(text: str) -> None:
    try:
        orders = read(text)
    except Hl7Error:
        return
    assert orders
    for field in orders[0].fields:
        assert field.value or field.note
        assert "\\" not in field.value
        assert not {"Cc", "Cs", "Cn"} & {unicodedata.category(one) for one in field.value}


@given(st.binary())
def test_any_bytes_are_read_or_refused_with_our_own_error(data: bytes) -> None:
    with suppress(Hl7Error):
        assert read(data)


@given(st.sampled_from([ORM, OMI_JAPANESE, ADT]), st.data())
def test_a_damaged_message_is_read_or_refused(message: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(message)))
    end = data.draw(st.integers(start, len(message)))
    with suppress(Hl7Error):
        assert read(message[:start] + data.draw(st.sampled_from(PIECES)) + message[end:])
