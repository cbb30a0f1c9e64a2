"""``dicomfab users`` and ``dicomfab token``."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pyotp
import pytest

from dicomfab.app.build import build
from dicomfab.app.settings import load_settings
from dicomfab.model.account import Origin
from dicomfab.model.errors import InvalidInput, NotSignedIn

PASSWORD = "tulip marble seven"
HOME = Origin("192.0.2.1", "a browser")


@pytest.fixture
def anna(dicomfab):
    added = dicomfab("users", "add", "Anna", "admin", "--password-file", "-", "--json", stdin=PASSWORD + "\n")
    assert added.code == 0
    return json.loads(added.out)


def signed_in(password=PASSWORD, **more):
    application = build()
    try:
        return application.sign_in.sign_in("anna", password, HOME, **more)[0]
    finally:
        application.close()


def test_nobody_can_sign_in_before_somebody_was_added(dicomfab):
    assert "users add" in dicomfab("users", "list").out
    with pytest.raises(NotSignedIn):
        signed_in()


def test_an_account_is_added_and_signs_in(dicomfab, anna):
    assert (anna["name"], anna["roles"], anna["source"], anna["last_sign_in_at"]) == ("Anna", ["admin"], "local", None)
    assert signed_in()
    listed = json.loads(dicomfab("users", "list", "--json").out)
    assert [one["id"] for one in listed] == [anna["id"]]
    assert listed[0]["last_sign_in_at"]
    assert "Anna" in dicomfab("users", "list").out


def test_a_password_is_read_from_a_file_and_never_asked_for_without_a_terminal(dicomfab, anna, tmp_path):
    file = tmp_path / "password"
    file.write_bytes("größerer zaun neun\r\nsecond line".encode())
    assert dicomfab("users", "password", "anna", "--password-file", str(file)).code == 0
    assert signed_in("größerer zaun neun")
    refused = dicomfab("users", "password", "anna", stdin=PASSWORD)
    assert refused.code == 2
    assert "no terminal" in refused.err
    missing = dicomfab("users", "password", "anna", "--password-file", str(tmp_path / "none"), "--json")
    assert json.loads(missing.out)["error"]["field"] == "password-file"


def test_no_command_takes_a_password_as_a_word(dicomfab, anna):
    for words in (("add", "ben", "admin"), ("password", "anna")):
        assert "--password-file" in dicomfab("users", words[0], "--help").out
        assert dicomfab("users", *words, "--password", PASSWORD).code == 2
    assert dicomfab("users", "password", "anna", PASSWORD).code == 2


def test_a_weak_password_is_refused_and_not_repeated(dicomfab):
    refused = dicomfab("users", "add", "anna", "admin", "--password-file", "-", stdin="password1234")
    assert refused.code == 2
    assert "password1234" not in refused.out + refused.err
    assert json.loads(dicomfab("users", "list", "--json").out) == []


def test_the_last_administrator_stays(dicomfab, anna):
    for words in (("disable", "anna"), ("roles", "anna", "test_read"), ("remove", "anna", "--yes")):
        left = dicomfab("users", *words)
        assert left.code == 2
        assert "last administrator" in left.err


def test_disable_enable_roles_and_remove(dicomfab, anna):
    dicomfab("users", "add", "ben", "test_read", "prod_read", "--password-file", "-", stdin=PASSWORD)
    assert json.loads(dicomfab("users", "roles", "BEN", "test_write", "--json").out)["roles"] == ["test_write"]
    assert json.loads(dicomfab("users", "disable", "ben", "--json").out)["is_active"] is False
    assert json.loads(dicomfab("users", "enable", "ben", "--json").out)["is_active"] is True
    assert dicomfab("users", "remove", "ben").code == 5
    assert dicomfab("users", "remove", "ben", "--yes").code == 0
    assert dicomfab("users", "disable", "ben").code == 3
    assert dicomfab("users", "disable", "anna", "--source", "ad").code == 3
    assert dicomfab("users", "roles", "anna", "no_such_role").code == 2


def test_sessions_are_listed_and_ended(dicomfab, anna):
    token = signed_in()
    listed = dicomfab("users", "sessions", "anna", "--json")
    assert [one["address"] for one in json.loads(listed.out)] == ["192.0.2.1"]
    assert token not in listed.out
    assert "a browser" in dicomfab("users", "sessions", "anna").out
    assert "1 session" in dicomfab("users", "end-sessions", "anna").out
    assert json.loads(dicomfab("users", "end-sessions", "anna", "--json").out) == {"ended": 0}
    assert "No sessions" in dicomfab("users", "sessions", "anna").out


def test_a_second_factor_is_offered_confirmed_and_removed(dicomfab, anna):
    offer = json.loads(dicomfab("users", "totp", "anna", "--json").out)
    assert signed_in()
    assert dicomfab("users", "totp", "anna", "--confirm", "12").code == 2
    code = pyotp.TOTP(offer["secret"]).at(datetime.now(UTC))
    assert json.loads(dicomfab("users", "totp", "anna", "--confirm", code, "--json").out)["has_totp"] is True
    with pytest.raises(NotSignedIn):
        signed_in()
    assert dicomfab("users", "totp", "anna").code == 2
    assert dicomfab("users", "totp", "anna", "--off").code == 0
    assert signed_in()
    shown = dicomfab("users", "totp", "anna").out
    assert "otpauth://" in shown
    assert "--confirm" in shown


def test_a_token_is_made_listed_and_revoked(dicomfab, anna):
    made = json.loads(dicomfab("token", "create", "anna", "test_read", "--label", "ci", "--days", "7", "--json").out)
    assert made["token"].startswith(f"dfl_{made['id']}_")
    assert (made["owner"], made["roles"], made["state"]) == ("Anna", ["test_read"], "valid")
    listed = dicomfab("token", "list", "--json").out
    assert [one["id"] for one in json.loads(listed)] == [made["id"]]
    assert made["token"] not in listed
    assert json.loads(dicomfab("token", "revoke", made["id"], "--json").out) == {"revoked": made["id"]}
    assert "revoked" in dicomfab("token", "list", "--name", "anna").out
    assert dicomfab("token", "revoke", "00000000").code == 3
    assert dicomfab("token", "create", "anna", "test_read", "--label", "ci", "--days", "91").code == 2
    assert dicomfab("token", "create", "nobody", "test_read", "--label", "ci").code == 3
    text = dicomfab("token", "create", "anna", "test_read", "--label", "ci").out
    assert text.startswith("dfl_")
    assert "not shown again" in text


def test_the_settings_say_how_long_a_session_lasts(dicomfab, anna, monkeypatch):
    monkeypatch.setenv("DICOMFAB_SESSION_HOURS", "2")
    signed_in()
    (session,) = json.loads(dicomfab("users", "sessions", "anna", "--json").out)
    lasts = datetime.fromisoformat(session["expires_at"]) - datetime.fromisoformat(session["created_at"])
    assert lasts == timedelta(hours=2)


@pytest.mark.parametrize("name", ["DICOMFAB_SESSION_IDLE_MINUTES", "DICOMFAB_SESSION_HOURS"])
@pytest.mark.parametrize("value", ["0", "-1", "x", "1000000"])
def test_a_session_without_an_end_or_without_a_beginning_is_no_setting(name, value):
    with pytest.raises(InvalidInput) as caught:
        load_settings({name: value})
    assert caught.value.field == name
