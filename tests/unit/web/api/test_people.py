"""With sign-in: tokens, roles, accounts."""

from __future__ import annotations

from typing import Any

import pytest

from dicomfab.app.build import Application
from dicomfab.model.actor import Role
from dicomfab.web.app import create_app
from tests.unit.web.api.conftest import Program
from tests.unit.web.people import LOCAL, PASSWORD, add, nobody, somebody, token_of


@pytest.fixture
def local(application: Application) -> Program:
    return Program(create_app(application, LOCAL))


def bearer(application: Application, name: str, *roles: Role) -> dict[str, str]:
    return {"authorization": f"Bearer {token_of(application, add(application, name, *roles))}"}


def test_without_a_token_nothing_is_told(local: Program) -> None:
    for path in ("/servers", "/openapi.json", "/me", "/service/version"):
        problem = local.ask("GET", path, status=401)
        assert (problem["error"], problem["detail"]) == ("NotSignedIn", "nobody is signed in")
    assert local.ask("GET", "/service/health") == {"status": "ok"}
    wrong = local.answer("GET", "/me", headers={"authorization": "Bearer dfl_wrong"})
    assert (wrong.status_code, wrong.headers["www-authenticate"]) == (401, "Bearer")


def test_the_page_of_the_interface_takes_people_to_where_they_sign_in(application: Application) -> None:
    answer = nobody(application).get("/api/v1/docs")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=%2Fapi%2Fv1%2Fdocs")


def test_a_token_acts_with_its_roles(local: Program, application: Application, servers: tuple[str, str]) -> None:
    reader = bearer(application, "reader", Role.TEST_READ)
    assert local.ask("GET", "/me", **reader)["roles"] == ["test_read"]
    assert [one["id"] for one in local.ask("GET", "/servers", **reader)["items"]] == ["alpha"]
    for method, path, body in (
        ("GET", "/servers/beta", None),
        ("POST", "/jobs/send", {"studies": ["2.25.1"], "destination": "alpha"}),
        ("DELETE", "/servers/alpha", None),
        ("GET", "/users", None),
        ("GET", "/audit", None),
        ("GET", "/tokens?owner=*", None),
    ):
        assert local.ask(method, path, body, 403, **reader)["error"] == "AccessDenied", path


def test_a_browser_that_is_signed_in_is_let_in_from_our_own_pages_only(application: Application) -> None:
    anna = somebody(application, "anna", Role.ADMIN)
    assert anna.get("/api/v1/me").json()["name"] == "anna"
    new: Any = {"json": {"name": "DOE^JANE"}}
    own = anna.request("POST", "/api/v1/patients", headers={"Sec-Fetch-Site": "same-origin"}, **new)
    foreign = anna.request("POST", "/api/v1/patients", headers={"Sec-Fetch-Site": "cross-site"}, **new)
    assert (own.status_code, foreign.status_code) == (201, 403)
    assert foreign.headers["content-type"] == "application/problem+json"


def test_tokens_are_made_in_a_session_and_revoked(application: Application) -> None:
    anna = somebody(application, "anna", Role.TEST_READ)
    same = {"Sec-Fetch-Site": "same-origin"}
    wanted = {"label": "nightly", "roles": ["test_read"], "days": 1}
    made = anna.request("POST", "/api/v1/tokens", json=wanted, headers=same)
    assert made.status_code == 201
    text = made.json()["token"]
    (listed,) = anna.get("/api/v1/tokens").json()["items"]
    assert (listed["state"], listed["owner"], "token" in listed) == ("valid", "anna", False)
    program = nobody(application)
    assert program.get("/api/v1/me", authorization=f"Bearer {text}").json()["token_id"] == listed["id"]
    assert anna.request("DELETE", f"/api/v1/tokens/{listed['id']}", headers=same).status_code == 204
    assert program.get("/api/v1/me", authorization=f"Bearer {text}").status_code == 401


def test_accounts_are_managed(application: Application) -> None:
    anna = somebody(application, "anna", Role.ADMIN)
    same = {"Sec-Fetch-Site": "same-origin"}

    def ask(method: str, path: str, body: Any = None) -> Any:
        return anna.request(method, f"/api/v1/users{path}", json=body, headers=same)

    new = ask("POST", "", {"name": "ben", "roles": ["test_read"], "password": PASSWORD})
    assert new.status_code == 201
    assert PASSWORD not in new.text
    where = f"/{new.json()['id']}"
    assert ask("GET", where).json() == new.json()
    assert ask("PUT", f"{where}/roles", {"roles": ["test_write"]}).json()["roles"] == ["test_write"]
    assert ask("PUT", f"{where}/password", {"password": "short"}).json()["field"] == "password"
    assert ask("PUT", f"{where}/password", {"password": "another tulip marble"}).status_code == 200
    assert ask("POST", f"{where}/disable").json()["is_active"] is False
    assert ask("POST", f"{where}/enable").json()["is_active"] is True
    assert ask("POST", "", {"name": "ben", "roles": ["nobody"], "password": PASSWORD}).status_code in {400, 409}
    assert ask("DELETE", where).status_code == 200
    assert [one["name"] for one in ask("GET", "").json()["items"]] == ["anna"]
    assert ask("GET", where).json()["error"] == "NotFound"
