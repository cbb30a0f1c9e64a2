"""One's own account: tokens are shown once, the second factor, sessions, the password."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pyotp
import pytest

from dicomfab.app.build import Application
from dicomfab.model.actor import Role
from tests.unit.web.people import OWNER, PASSWORD, SESSION, add, nobody, somebody, token_of


def test_requirement_19_a_token_is_shown_once_and_never_beyond_its_owner(application: Application) -> None:
    person = somebody(application, "ben", Role.TEST_READ)
    made = person.post("/account/tokens", {"label": "night build", "roles": ["test_read"], "days": "7"})
    (token,) = set(re.findall(r"dfl_[0-9a-f]{8}_[\w-]{43}", made.text))
    assert made.headers["cache-control"] == "no-store"
    again = person.get("/account").text
    assert "night build" in again
    assert token[13:] not in again
    beyond = person.post("/account/tokens", {"label": "more", "roles": ["prod_write"]})
    assert beyond.status_code == 400
    assert "may not do what prod_write allows" in beyond.text
    for form in (
        {"label": "none"},
        {"label": "x", "roles": ["king"]},
        {"label": "x", "roles": ["test_read"], "days": "91"},
    ):
        assert person.post("/account/tokens", form).status_code == 400
    assert person.post(f"/account/tokens/{token[4:12]}/revoke").status_code == 303
    assert nobody(application).get("/pacs", authorization=f"Bearer {token}").status_code == 401


def test_a_token_makes_nothing_that_lasts_longer_than_itself(application: Application) -> None:
    account = add(application, "anna", Role.ADMIN)
    bearer = {"authorization": f"Bearer {token_of(application, account)}"}
    browser = nobody(application)
    for path, form in (
        ("/account/tokens", {"label": "child", "roles": ["test_read"]}),
        ("/account/password", {"old": PASSWORD, "new": "another long secret"}),
        ("/account/second-factor/offer", {}),
        ("/users", {"name": "eve", "password": PASSWORD, "roles": ["admin"]}),
        (f"/users/{account.id}/roles", {"roles": ["test_read"]}),
        (f"/users/{account.id}/remove", {"confirm_name": "anna"}),
    ):
        answer = browser.post(path, form, **bearer)
        assert answer.status_code == 403, path
        assert answer.json()["detail"]
    assert len(application.api_tokens.of(OWNER, account.id)) == 1
    assert [one.name for one in application.accounts.every(OWNER)] == ["anna"]


def test_the_second_factor_from_its_offer_to_its_end(application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    person = somebody(application, "ben", Role.TEST_READ)
    offered = person.post("/account/second-factor/offer").text
    secret = re.search(r"<code>([A-Z2-7]{32,})</code>", offered)
    assert secret
    assert person.get("/account").text.count(secret[1]) == 0
    app = pyotp.TOTP(secret[1])
    now = datetime.now(UTC)
    no_code = next(code for code in ("000000", "111111", "222222", "333333", "444444", "555555", "666666")
                   if code not in {app.at(now + timedelta(seconds=30 * step)) for step in range(-2, 4)})  # fmt: skip
    wrong = person.post("/account/second-factor/confirm", {"code": no_code})
    assert wrong.status_code == 400
    assert secret[1] not in wrong.text
    code = app.now()
    assert person.post("/account/second-factor/confirm", {"code": code}).status_code == 303
    other = nobody(application)
    needed = other.sign_in("ben")
    assert needed.status_code == 401
    assert "Code needed" in needed.text
    assert other.sign_in("ben", code=code).status_code == 401  # each code works once
    following = app.at(
        datetime.now(UTC) + timedelta(seconds=30)
    )  # the one before has been used; this one may be half a minute early
    assert nobody(application).sign_in("ben", code=following).status_code == 303
    refused = person.post("/account/second-factor/remove", {"code": no_code})
    assert refused.status_code == 401
    assert "the code is not right" in refused.text
    assert other.sign_in("ben").status_code == 401  # it is still asked for
    later = datetime.now(UTC) + timedelta(minutes=2)
    monkeypatch.setattr(application.accounts, "_now", lambda: later)
    assert person.post("/account/second-factor/remove", {"code": app.at(later)}).status_code == 303
    assert other.sign_in("ben").status_code == 303


def test_another_password_ends_every_session(application: Application) -> None:
    person = somebody(application, "ben", Role.TEST_READ)
    same = person.post("/account/password", {"old": PASSWORD, "new": "short"})
    assert same.status_code == 400
    assert "12 characters" in same.text
    assert person.post("/account/password", {"old": PASSWORD, "new": "another long secret"}).status_code == 303
    assert SESSION not in person.cookies
    assert person.sign_in("ben").status_code == 401
    assert person.sign_in("ben", "another long secret").status_code == 303


def test_requirement_6_weak_passwords_are_refused_with_their_reason(application: Application) -> None:
    admin = somebody(application, "anna", Role.ADMIN)
    for weak in ("short", "passwordpassword", "aaaaaaaaaaaaaaaa", "ben-ben-ben-ben"):
        answer = admin.post("/users", {"name": "ben", "password": weak, "roles": ["test_read"]})
        assert answer.status_code == 400, weak
        assert 'id="password-error"' in answer.text
        assert f'value="{weak}"' not in answer.text
    assert [one.name for one in application.accounts.every(OWNER)] == ["anna"]


def test_one_ends_one_s_own_sessions_and_nobody_else_s(application: Application) -> None:
    ben, carla = somebody(application, "ben", Role.TEST_READ), somebody(application, "carla", Role.TEST_READ)
    account = application.accounts.named(OWNER, "carla")
    (session,) = application.sign_in.sessions(OWNER, account.id)
    assert ben.post(f"/account/sessions/{session.id}/end").status_code == 404
    assert carla.get("/pacs").status_code == 200
    assert carla.post(f"/account/sessions/{session.id}/end").status_code == 303
    assert carla.get("/pacs").status_code == 303
