"""What is typed as a name or password, and what becomes of it in a filter; nobody is asked about what cannot be."""

from __future__ import annotations

import re
import socket
import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ldap3.operation.search import parse_filter

from dicomfab.identity.ldap import LdapDirectory, LdapServer, LdapSettings
from dicomfab.identity.ldap_names import escaped, hopeless, hopeless_password, is_whole_name, known_as, same, typed
from dicomfab.model.account import Refusal
from dicomfab.model.errors import DirectoryUnavailable

SECRET = "Quiet rivers 9"


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0)
        yield listening


def directory(listener: socket.socket, **changes: object) -> LdapDirectory:
    server = LdapServer("127.0.0.1", listener.getsockname()[1], start_tls=False)
    usual = {
        "base": "DC=lab,DC=example",
        "account": "svc@lab.example",
        "password": SECRET,
        "timeout_s": 0.2,
        "refusal_s": 0.0,
    }
    return LdapDirectory(LdapSettings(servers=(server,), **{**usual, **changes}))


def nobody_called(listener: socket.socket) -> bool:
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return True
    return False


@pytest.mark.parametrize(
    "name", ["", "LAB\\", "\\", "a" * 1025, "an\0na", "anna\n", "an\x1bna", "ann\udce4", "a" * 10240]
)
def test_a_name_that_nobody_can_have_is_unknown_before_anybody_is_asked(name, listener):
    steps = []
    asked = directory(listener)
    assert asked.authenticate(name, SECRET, ["DF-Admin"], steps.append) is Refusal.UNKNOWN_NAME
    assert asked.look_up(name, ["DF-Admin"], steps.append) is Refusal.UNKNOWN_NAME
    assert [step.is_good for step in steps] == [False, False]
    assert nobody_called(listener)


@pytest.mark.parametrize("password", ["", "p" * 257, "Quiet\0rivers", "pass\udce4", "x" * 10240])
def test_a_password_that_nobody_can_have_is_wrong_before_anybody_is_asked(password, listener):
    assert directory(listener).authenticate("anna", password, []) is Refusal.WRONG_PASSWORD
    assert nobody_called(listener)


def test_no_refusal_comes_sooner_than_any_other(listener):
    slow = directory(listener, refusal_s=0.1)
    for name, password in (("", SECRET), ("anna", "")):
        began = time.monotonic()
        assert isinstance(slow.authenticate(name, password, []), Refusal)
        assert time.monotonic() - began >= 0.1


@pytest.mark.parametrize("subject", ["", "anna", "*", "be2b8a3b-b426-495d-abed-8c13b0e13cb6)(cn=*", "0" * 31])
def test_a_subject_that_is_no_guid_is_gone_before_anybody_is_asked(subject, listener):
    assert directory(listener).find(subject, []) is Refusal.GONE
    assert nobody_called(listener)


@pytest.mark.parametrize("password", ["", "p" * 257, "pass\udce4"])
def test_a_service_account_without_a_usable_password_never_becomes_an_anonymous_one(password, listener):
    with pytest.raises(DirectoryUnavailable, match=r"svc@lab\.example has no password") as caught:
        directory(listener, password=password).authenticate("anna", SECRET, [])
    assert "settings" in caught.value.cause
    assert nobody_called(listener)


def test_no_controllers_at_all_is_said():
    settings = LdapSettings(servers=(), base="DC=x", account="svc", password=SECRET)
    with pytest.raises(DirectoryUnavailable, match="no domain controller is known"):
        LdapDirectory(settings).look_up("anna", [])


def test_the_settings_do_not_show_their_password():
    shown = repr(LdapSettings(servers=(), base="DC=x", account="svc", password=SECRET))
    assert SECRET not in shown
    assert "svc" in shown


@pytest.mark.parametrize(
    ("name", "condition", "domain"),
    [
        ("anna", "(sAMAccountName=anna)", ""),
        ("anna@lab.example", "(userPrincipalName=anna@lab.example)", ""),
        ("LAB\\anna", "(sAMAccountName=anna)", "LAB"),
        ("\\anna", "(sAMAccountName=anna)", "\\"),
        ("A\\B\\anna", "(sAMAccountName=anna)", "A\\B"),
        ("*", "(sAMAccountName=\\2a)", ""),
        ("anna)(objectClass=*", "(sAMAccountName=anna\\29\\28objectClass=\\2a)", ""),
        (" anna ", "(sAMAccountName=\\20anna\\20)", ""),
    ],
)
def test_a_name_becomes_one_condition(name, condition, domain):
    wanted = typed(name)
    assert wanted.filter == f"(&(objectCategory=person)(objectClass=user){condition})"
    assert wanted.domain == domain


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_nothing_that_is_typed_changes_the_form_of_the_filter(value):
    root = parse_filter(f"(sAMAccountName={escaped(value)})", None, False, False, None, False)
    [condition] = root.elements
    assert condition.elements == []
    assert condition.assertion["attr"] == "sAMAccountName"
    sent = re.sub(rb"\\([0-9a-f]{2})", lambda found: bytes.fromhex(found[1].decode()), condition.assertion["value"])
    assert sent == value.encode()


@given(st.uuids())
def test_a_subject_is_searched_by_its_octets_in_the_order_of_windows(subject):
    wanted = known_as(str(subject))
    assert wanted is not None
    octets = bytes.fromhex(wanted.filter.rpartition("objectGUID=")[2].replace("\\", "").rstrip(")"))
    assert uuid.UUID(bytes_le=octets) == subject


@pytest.mark.parametrize("name", ["anna", "ä" * 256, "anna@lab.example", "LAB\\anna", "*", "a\\b\\c", "Jörg (PACS)"])
def test_every_other_name_is_asked_about(name):
    assert hopeless(name) is None
    assert hopeless_password(name) is None


@pytest.mark.parametrize(
    ("group", "is_whole"),
    [
        ("CN=DF-Admin,OU=Groups,DC=lab,DC=example", True),
        ("cn=a\\, b,ou=x, dc=lab", True),
        ("OU=x,DC=lab", True),
        ("DF-Admin", False),
        ("a, b (c)", False),
        ("CN=no name", False),
    ],
)
def test_a_whole_name_is_told_from_a_short_one(group, is_whole):
    assert is_whole_name(group) is is_whole


def test_spellings_of_one_name_are_alike_and_others_are_not():
    assert same("RÖNTGEN") == same("ro\N{COMBINING DIAERESIS}ntgen")
    assert same("Röntgen") != same("Rontgen")
    assert same("Straße") != same("Strasse")
