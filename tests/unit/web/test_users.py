"""The page of those who manage users."""

from __future__ import annotations

import re

import pytest

from dicomfab.app.build import Application
from dicomfab.model.actor import Role
from tests.unit.web.people import OWNER, PASSWORD, SESSION, nobody, somebody, token_of


def test_an_account_from_beginning_to_end(application: Application) -> None:
    admin = somebody(application, "anna", Role.ADMIN)
    form = {"name": "ben", "display_name": "<b>Ben</b>", "password": PASSWORD, "roles": ["test_read", "prod_read"]}
    page = admin.post("/users", form).headers["location"]
    assert "&lt;b&gt;Ben&lt;/b&gt;" in admin.get("/users").text
    ben = application.accounts.named(OWNER, "ben")
    assert page == f"/users/{ben.id}"
    assert ben.roles == {Role.TEST_READ, Role.PROD_READ}
    assert admin.post("/users", form).status_code == 409
    assert admin.post(f"{page}/roles", {"roles": ["test_write"]}).status_code == 303
    assert application.accounts.find(OWNER, ben.id).roles == {Role.TEST_WRITE}
    token_of(application, application.accounts.find(OWNER, ben.id))
    assert "dfl_" in admin.get(page).text
    assert ", disabled" not in admin.get(page).text
    assert admin.post(f"{page}/disable").status_code == 303
    assert ", disabled" in admin.get(page).text
    person = nobody(application)
    assert person.sign_in("ben").status_code == 401
    assert admin.post(f"{page}/enable").status_code == 303
    assert ", disabled" not in admin.get(page).text
    assert person.sign_in("ben").status_code == 303
    assert admin.post(f"{page}/password", {"password": "short"}).status_code == 400
    assert admin.post(f"{page}/password", {"password": "another long secret"}).status_code == 303
    assert person.get("/pacs").status_code == 303  # another password is another sign-in
    assert person.sign_in("ben", "another long secret").status_code == 303
    assert person.get("/pacs").status_code == 200
    assert admin.post(f"{page}/sessions/end").status_code == 303
    assert person.get("/pacs").status_code == 303
    wrong = admin.post(f"{page}/remove", {"confirm_name": "bob"})
    assert wrong.status_code == 400
    assert "type ben" in wrong.text.lower()
    assert admin.post(f"{page}/remove", {"confirm_name": "ben"}).headers["location"] == "/users"
    assert [one.name for one in application.accounts.every(OWNER)] == ["anna"]


@pytest.mark.parametrize("what", ["disable", "remove", "roles"])
def test_the_last_administrator_stays(application: Application, what: str) -> None:
    admin = somebody(application, "anna", Role.ADMIN)
    account = application.accounts.named(OWNER, "anna")
    answer = admin.post(f"/users/{account.id}/{what}", {"confirm_name": "anna", "roles": ["test_read"]})
    assert answer.status_code == 409
    assert "last" in answer.text
    assert admin.get("/users").status_code == 200
    assert application.accounts.find(OWNER, account.id).roles == {Role.ADMIN}


def test_others_do_not_see_the_page(application: Application) -> None:
    ben = somebody(application, "ben", Role.TEST_WRITE, Role.PROD_WRITE)
    assert ben.get("/users").status_code == 403
    assert 'href="/users"' not in ben.get("/pacs").text
    assert 'href="/audit"' not in ben.get("/pacs").text
    assert ben.post("/users", {"name": "eve", "password": PASSWORD, "roles": ["admin"]}).status_code == 403


def test_an_administrator_holds_no_secret_of_others(application: Application) -> None:
    admin = somebody(application, "anna", Role.ADMIN)
    ben = somebody(application, "ben", Role.TEST_READ)
    account = application.accounts.named(OWNER, "ben")
    token = token_of(application, account)
    offered = ben.post("/account/second-factor/offer").text
    secret = re.search(r"<code>([A-Z2-7]{32,})</code>", offered)
    assert secret
    page = f"/users/{account.id}"
    text = admin.get(page).text
    assert token[4:12] in text  # its name is there, so that it can be revoked
    for hidden in (token[13:], secret[1], ben.cookies[SESSION]):
        assert hidden not in text
    for made in ("tokens", "second-factor/offer", "second-factor/confirm"):
        assert admin.post(f"{page}/{made}", {"label": "x", "roles": ["test_read"]}).status_code in {404, 405}, made
    assert len(application.api_tokens.of(OWNER, account.id)) == 1
    assert admin.post(f"{page}/tokens/{token[4:12]}/revoke").status_code == 303
    assert nobody(application).get("/pacs", authorization=f"Bearer {token}").status_code == 401
