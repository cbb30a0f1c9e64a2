"""Reasons in Active Directory's own codes, and what an entry tells about its account without a password."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dicomfab.identity.ldap_people import Entry, standing
from dicomfab.identity.ldap_talk import Found, _reason
from dicomfab.model.account import Refusal

NEVER = 0x7FFF_FFFF_FFFF_FFFF


def said(code: str) -> str:
    """As a Windows domain controller words it."""
    return f"80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data {code}, v4563"


@pytest.mark.parametrize(
    ("code", "refusal"),
    [
        ("525", Refusal.UNKNOWN_NAME),
        ("52e", Refusal.WRONG_PASSWORD),
        ("530", Refusal.LOGON_HOURS),
        ("531", Refusal.WORKSTATION),
        ("532", Refusal.PASSWORD_EXPIRED),
        ("533", Refusal.DISABLED),
        ("701", Refusal.ACCOUNT_EXPIRED),
        ("773", Refusal.MUST_CHANGE_PASSWORD),
        ("775", Refusal.LOCKED),
        ("52E", Refusal.WRONG_PASSWORD),
        ("fff", Refusal.WRONG_PASSWORD),
    ],
)
def test_each_code_of_active_directory_is_a_refusal_with_its_reason(code, refusal):
    found, why = _reason({"message": said(code)})
    assert found is refusal
    assert code.lower() in why


@pytest.mark.parametrize("message", ["", None, "invalid credentials"])
def test_a_refusal_without_a_code_is_a_wrong_password(message):
    assert _reason({"message": message})[0] is Refusal.WRONG_PASSWORD


def entry(**attributes: int) -> Entry:
    named = {name.replace("_", "-").lower(): [str(value).encode()] for name, value in attributes.items()}
    return Entry(Found("CN=anna,DC=lab", named), "be2b8a3b-b426-495d-abed-8c13b0e13cb6")


def ticks(moment: datetime) -> int:
    return (moment - datetime(1601, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 10


@pytest.mark.parametrize(
    ("attributes", "signing_in", "later"),
    [
        ({}, None, None),
        ({"userAccountControl": 512, "accountExpires": 0}, None, None),
        ({"accountExpires": NEVER}, None, None),
        ({"accountExpires": NEVER - 1}, None, None),
        ({"accountExpires": ticks(datetime.now(UTC) + timedelta(days=1))}, None, None),
        ({"accountExpires": ticks(datetime.now(UTC) - timedelta(seconds=1))}, *[Refusal.ACCOUNT_EXPIRED] * 2),
        ({"userAccountControl": 514}, *[Refusal.DISABLED] * 2),
        ({"msDS_User_Account_Control_Computed": 0x10}, Refusal.LOCKED, None),
        ({"msDS_User_Account_Control_Computed": 0x800000, "pwdLastSet": 0}, Refusal.MUST_CHANGE_PASSWORD, None),
        ({"msDS_User_Account_Control_Computed": 0x800000, "pwdLastSet": 13}, Refusal.PASSWORD_EXPIRED, None),
    ],
)
def test_what_an_entry_says_about_its_account(attributes, signing_in, later):
    steps = []
    assert standing(entry(**attributes), steps.append) is signing_in
    assert standing(entry(**attributes), steps.append, is_signing_in=False) is later
    assert [step.is_good for step in steps] == [signing_in is None, later is None]
