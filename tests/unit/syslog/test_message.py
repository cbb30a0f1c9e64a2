"""The bytes of a message, by RFC 5424 and RFC 5425."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dicomfab.syslog.message import Header, framed, message

AT = datetime(2026, 3, 2, 8, 30, 0, 120_000, tzinfo=UTC)
HEADER = Header(17, AT, "fab.example", 4711, "dicomfab@fab.example", "ab" * 32)


def test_a_message_byte_for_byte():
    made = message(HEADER, b"<AuditMessage/>")
    mac = "ab" * 32
    assert made == (
        b"<85>1 2026-03-02T08:30:00.120000Z fab.example dicomfab 4711 DICOM+RFC3881 "
        b'[meta sequenceId="17"][dicomfab@32473 source="dicomfab@fab.example" entry="17" mac="'
        + mac.encode()
        + b'"] \xef\xbb\xbf<AuditMessage/>'
    )


def test_a_frame_counts_bytes_not_characters():
    made = message(HEADER, "<a>Ä</a>".encode())
    length, _, rest = framed(made).partition(b" ")
    assert int(length) == len(rest) == len(made)
    assert not length.startswith(b"0")


@pytest.mark.parametrize(("seq", "shown"), [(1, 1), (2**31 - 1, 2**31 - 1), (2**31, 1), (2**31 + 1, 2)])
def test_the_sequence_begins_again_and_the_number_of_the_entry_does_not(seq: int, shown: int):
    made = message(replace(HEADER, seq=seq), b"").decode()
    assert f'[meta sequenceId="{shown}"]' in made
    assert f' entry="{seq}"' in made


def test_what_is_no_word_cannot_break_the_header():
    made = message(replace(HEADER, host="fab one\u00e4", source='a"]\\b'), b"").decode()
    assert " fab?one? dicomfab 4711 " in made
    assert 'source="a\\"\\]\\\\b"' in made
    assert " - dicomfab 0 " in message(replace(HEADER, host="", process=0), b"").decode()
    assert len(re.findall(r"(?<= )h+(?= )", message(replace(HEADER, host="h" * 300), b"").decode())[0]) == 255


def test_a_shortened_message_says_how_long_it_was():
    assert b' fullBytes="70000"]' in message(replace(HEADER, full_bytes=70_000), b"")
