from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomfab.identity.oidc_person import person_of, subject_of
from dicomfab.identity.oidc_token import is_same
from dicomfab.identity.oidc_values import OidcAnswer, OidcRequest, OidcSettings, Refused
from dicomfab.model.errors import InvalidInput
from dicomfab.model.person import Person


def settings(**values: Any) -> OidcSettings:
    usual = {
        "address": "https://dicomfab.example.com",
        "issuer": "https://id.example.com",
        "client_id": "dicomfab",
        "client_secret": "very secret",
    }
    return OidcSettings(**usual | values)


@pytest.mark.parametrize(
    "issuer",
    [
        "https://id.example.com",
        "https://id.example.com/",
        "https://id.example.com:8443/realms/hospital",
        "https://[2001:db8::1]/",
        "http://localhost:8080",
        "http://127.0.0.1:8080/op",
        "http://127.1.2.3",
        "http://[::1]:8080",
    ],
)
def test_issuers_that_can_be_used(issuer):
    assert settings(issuer=issuer).issuer == issuer


@pytest.mark.parametrize(
    "issuer",
    [
        "",
        "id.example.com",
        "http://id.example.com",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://10.0.0.1",
        "http://2130706433",
        "https://",
        "https://id.example.com?tenant=1",
        "https://id.example.com?",
        "https://id.example.com#top",
        "https://anna:secret@id.example.com",
        "https://id.example.com\\@evil.example.com",
        "https://id.example.com/ x",
        "https://id.example.com\r\nHost: x",
        "https://id.exämple.com",
        "https://id.example.com:port",
        "https://id.example.com:99999",
        "https://[::1",
        "file:///etc/passwd",
        "ftp://id.example.com",
    ],
)
def test_issuers_that_cannot(issuer):
    with pytest.raises(InvalidInput) as caught:
        settings(issuer=issuer)
    assert caught.value.field == "issuer"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("address", "dicomfab.example.com"),
        ("address", "https://dicomfab.example.com/?a=b"),
        ("client_id", ""),
        ("client_secret", ""),
        ("skew_s", -1.0),
        ("skew_s", 301.0),
        ("skew_s", float("nan")),
        ("scope", "profile email"),
        ("scope", ""),
    ],
)
def test_other_values_that_cannot(name, value):
    with pytest.raises(InvalidInput) as caught:
        settings(**{name: value})
    assert caught.value.field == name


@pytest.mark.parametrize("address", ["https://dicomfab.example.com", "https://dicomfab.example.com/"])
def test_our_addresses(address):
    values = settings(address=address)
    assert values.callback == "https://dicomfab.example.com/oidc/callback"
    assert values.after_logout == "https://dicomfab.example.com/sign-in"


def test_nothing_secret_is_shown():
    shown = repr(
        [
            settings(),
            OidcRequest("https://id.example.com/auth?state=secret", "secret", "secret", "secret"),
            OidcAnswer(Person("1", "anna", "Anna", frozenset()), "secret"),
        ]
    )
    assert "secret" not in shown.replace("client_secret", "")


def test_subject_is_issuer_and_sub():
    assert subject_of("https://id.example.com", "4711") == "https://id.example.com 4711"
    assert subject_of("https://id.example.com", "4711") != subject_of("https://id2.example.com", "4711")


def test_long_subjects_are_never_cut():
    found = {subject_of("https://id.example.com", "4" * 254 + last) for last in "abc"}
    assert len(found) == 3
    assert all(len(one) <= 255 for one in found)


@given(st.text(max_size=300), st.text(max_size=300))
def test_different_subs_are_different_subjects(one, other):
    assert (subject_of("https://id.example.com", one) == subject_of("https://id.example.com", other)) == (one == other)


@given(st.text(st.characters()), st.text(st.characters()))
def test_secrets_are_compared(one, other):
    assert is_same(one, one)
    assert is_same(one, other) == (one == other)


def test_names_cannot_forge_a_line():
    claims = {"sub": "1", "preferred_username": " anna\r\nroot\x1b[2J ", "name": "\u202ean" + "n" * 300}
    person = person_of(settings(), claims)
    assert person.name == "anna  root [2J"
    assert person.display_name.startswith("ann")
    assert len(person.display_name) <= 200


@pytest.mark.parametrize("name", [None, "", 5, ["anna"], " \n"])
def test_person_without_a_name_has_the_subject_for_one(name):
    person = person_of(settings(), {"sub": "4711", "preferred_username": name, "name": name, "email": "a@example.com"})
    assert (person.name, person.display_name) == ("4711", "4711")


@pytest.mark.parametrize(
    ("value", "groups"),
    [
        (None, set()),
        ([], set()),
        ("", set()),
        ("DF-Admin", {"DF-Admin"}),
        ("DF-Admin, DF-TestRead", {"DF-Admin, DF-TestRead"}),
        (["DF-Admin", "DF-Admin", ""], {"DF-Admin"}),
    ],
)
def test_groups(value, groups):
    assert person_of(settings(), {"sub": "1", "groups": value}).groups == groups


@pytest.mark.parametrize("value", [5, True, {"DF-Admin": 1}, [["DF-Admin"]], ["DF-Admin", None]])
def test_groups_that_are_none(value):
    with pytest.raises(Refused):
        person_of(settings(), {"sub": "1", "groups": value})
