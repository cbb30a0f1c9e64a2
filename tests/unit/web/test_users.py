"""The page of those who manage users."""

from __future__ import annotations

import pytest

from dicomfab.app.build import Application
from dicomfab.model.actor import Role
from tests.unit.web.people import OWNER, PASSWORD, somebody, token_of


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
    assert admin.post(f"{page}/disable").status_code == 303
    assert "disabled" in admin.get(page).text
    assert admin.post(f"{page}/enable").status_code == 303
    assert admin.post(f"{page}/password", {"password": "short"}).status_code == 400
    assert admin.post(f"{page}/password", {"password": "another long secret"}).status_code == 303
    assert admin.post(f"{page}/sessions/end").status_code == 303
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
    somebody(application, "ben", Role.TEST_READ)
    ben = application.accounts.named(OWNER, "ben")
    text = admin.get(f"/users/{ben.id}").text
    assert "/tokens/" not in text or "Revoke" in text
    assert 'action="/account/tokens"' not in text
    assert admin.get(f"/users/{ben.id}/second-factor/offer").status_code == 404
