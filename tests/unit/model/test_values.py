from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomfab.model import values
from dicomfab.model.errors import InvalidInput

PRINTABLE = "".join(chr(c) for c in range(0x20, 0x7F) if chr(c) != "\\")


@given(st.text(PRINTABLE, min_size=1, max_size=16).filter(str.strip))
def test_every_ae_title_of_the_standard_is_taken_without_padding(title):
    assert values.ae_title(f"  {title}  ") == title.strip(" ")


@pytest.mark.parametrize("bad", ["", "   ", "A" * 17, "A\\B", "MÜLLER", "A\tB", "A\x00", None, 5])
def test_other_ae_titles_are_refused_by_name(bad):
    with pytest.raises(InvalidInput) as caught:
        values.ae_title(bad, field="aec", source="servers.json")
    assert caught.value.field == "aec"
    assert repr(bad) in caught.value.what
    assert caught.value.what.startswith("servers.json: aec")


def test_case_of_an_ae_title_counts():
    assert values.ae_title("TestPacs") == "TestPacs"


@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=5))
def test_numbers_joined_by_dots_are_a_uid(numbers):
    text = ".".join(map(str, numbers))
    assert values.uid(text) == text
    assert values.uid(text + "\0") == text


def test_leading_zeros_are_let_through_since_hospitals_have_them():
    assert values.uid("1.02.003") == "1.02.003"


@pytest.mark.parametrize("bad", ["", "1", "1..2", ".1", "1.", "1.a", "../1.2", "1." + "1" * 63, None])
def test_other_texts_are_no_uid(bad):
    with pytest.raises(InvalidInput):
        values.uid(bad)


@pytest.mark.parametrize(
    ("given_port", "port"), [(1, 1), (65535, 65535), ("104", 104), (" 11112 ", 11112), ("00104", 104)]
)
def test_ports(given_port, port):
    assert values.port(given_port) == port


@pytest.mark.parametrize("bad", [0, 65536, -1, 104.0, "", "1e3", "10 4", "٣", True, None, "104x", "9" * 5000])
def test_other_values_are_no_port(bad):
    with pytest.raises(InvalidInput) as caught:
        values.port(bad)
    assert caught.value.field == "port"


@pytest.mark.parametrize("host", ["localhost", "10.0.0.5", "pacs.example.com", "::1", "fe80::1%eth0", "pacs_1", "a"])
def test_hosts(host):
    assert values.host(f" {host} ") == host


@pytest.mark.parametrize("bad", ["", " ", "http://pacs", "a b", "pacs/", "-pacs", "päcs", "a;b", None, 5])
def test_other_texts_are_no_host(bad):
    with pytest.raises(InvalidInput):
        values.host(bad)


@pytest.mark.parametrize("bad", ["", "Test", "production", "both", None, 1, [], {}])
def test_only_two_environments(bad):
    assert values.environment("test") is values.Environment.TEST
    assert values.environment("prod") is values.Environment.PROD
    with pytest.raises(InvalidInput) as caught:
        values.environment(bad, source="x.json")
    assert "x.json" in caught.value.what


@given(st.text())
def test_a_slug_holds_letters_digits_and_single_hyphens_only(name):
    slug = values.slug(name)
    assert set(slug) <= set(string.ascii_lowercase + string.digits + "-")
    assert "--" not in slug
    assert slug == slug.strip("-")
    assert values.slug(slug) == slug


def test_slug_of_the_guides_example():
    assert values.slug("My PACS Server") == "my-pacs-server"
