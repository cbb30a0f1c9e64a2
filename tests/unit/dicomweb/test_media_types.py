from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomfab.dicomweb.errors import NotAcceptable
from dicomfab.dicomweb.media_types import MediaType, Offer, acceptable, choose, parse_accept, parse_media_type
from dicomfab.dicomweb.messages import Request
from dicomfab.model.errors import InvalidInput

JPEG, JPEG_LS, EXPLICIT = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.1"
STORED = Offer("application/dicom", True, JPEG_LS, is_default=False)
NATIVE = Offer("application/dicom", True, EXPLICIT)
SINGLE = Offer("application/dicom", False, EXPLICIT)
JSON = Offer("application/dicom+json")
OFFERS = (STORED, NATIVE, SINGLE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (MediaType("*/*"),)),
        ("application/dicom+json", (MediaType("application/dicom+json"),)),
        ("Application/DICOM ; Transfer-Syntax = *", (MediaType("application/dicom", (("transfer-syntax", "*"),)),)),
        (
            'multipart/related; type="application/dicom"; q=0.5, */*;q=0.001,',
            (MediaType("multipart/related", (("type", "application/dicom"),), 0.5), MediaType("*/*", (), 0.001)),
        ),
        ("multipart/related;type=image/jpeg", (MediaType("multipart/related", (("type", "image/jpeg"),)),)),
        (r'a/b; c="x,y;z\"w"', (MediaType("a/b", (("c", 'x,y;z"w'),)),)),
    ],
)
def test_accept_is_read(text: str, expected: tuple[MediaType, ...]) -> None:
    assert parse_accept(text) == expected


@pytest.mark.parametrize("text", ["json", "a/b; q=2", "a/b; q=x", 'a/b; c="open', "a/b; c", "/b", "a b/c", 'a/b"c"d"'])
def test_what_cannot_be_read_names_the_header(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_accept(text)
    assert caught.value.field == "Accept"


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        parse_accept(text)


@given(st.text(max_size=50).filter(lambda value: "\r" not in value))
def test_quoted_values_come_back(value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    assert parse_media_type(f'multipart/related; boundary="{quoted}"; type=a/b').parameter("boundary") == value


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", NATIVE),
        ("*/*", NATIVE),
        ("multipart/*", NATIVE),
        ("application/*", SINGLE),
        ("application/dicom", SINGLE),
        ('multipart/related; type="application/dicom"', NATIVE),
        ('multipart/related; type="application/*"', NATIVE),
        ('multipart/related; type="application/dicom"; transfer-syntax=*', STORED),
        (f'multipart/related; type="application/dicom"; transfer-syntax="{JPEG_LS}"', STORED),
        (f"multipart/related; type=application/dicom; transfer-syntax={JPEG}, multipart/related; q=0.1", NATIVE),
        ("application/dicom;q=0.9, multipart/related;q=0.5", SINGLE),
        ("application/dicom;q=0, */*;q=0.5", NATIVE),
    ],
)
def test_the_most_wanted_is_chosen(accept: str, expected: Offer) -> None:
    assert choose(parse_accept(accept), OFFERS) is expected


@pytest.mark.parametrize(
    "accept",
    [
        "image/png",
        'multipart/related; type="application/dicom+xml"',
        f'multipart/related; type="application/dicom"; transfer-syntax={JPEG}',
        "*/*;q=0",
        "application/dicom; transfer-syntax=1.2.3",
    ],
)
def test_nothing_that_fits_is_refused_with_what_there_is(accept: str) -> None:
    with pytest.raises(NotAcceptable) as caught:
        choose(parse_accept(accept), OFFERS)
    assert JPEG_LS in caught.value.remedy


def test_charset_is_no_reason_to_refuse() -> None:
    assert choose(parse_accept("application/dicom+json; charset=utf-8"), [JSON]) is JSON


def test_the_query_parameter_goes_before_the_header() -> None:
    request = Request("GET", "studies", "http://h", [("accept", "application/dicom json")], {"accept": "image/png"})
    assert acceptable(request) == (MediaType("application/dicom+json"),)
    with pytest.raises(InvalidInput) as caught:
        acceptable(Request("GET", "studies", "http://h", [("accept", "nonsense")]))
    assert caught.value.field == "accept"
