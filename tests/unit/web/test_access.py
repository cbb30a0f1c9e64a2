from __future__ import annotations

import re

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import Mount

from dicomfab.access.policy import Action
from dicomfab.model.actor import Actor, Role
from dicomfab.model.errors import AccessDenied
from dicomfab.web.access import Permission, declared_actions, permission
from tests.unit.web.conftest import Browser

#: What tells nothing about servers or patients, and how one becomes somebody.
OPEN = {"GET /healthz", "GET /sign-in", "POST /sign-in", "POST /sign-out", "GET /set-up", "POST /set-up"}
OPEN |= {"GET /api/v1/service/health", "GET /sign-in/saml", "GET /sign-in/oidc", "GET /oidc/callback"}
OPEN |= {"GET /saml/metadata", "POST /saml/acs", "GET /saml/finish", "GET /saml/logout"}

#: Routes that change something and need no more than the right to look: they change one's own jobs.
OWN_WORK = {f"POST /jobs/{{job_id}}/{what}" for what in ("ask", "decide", "priority")}
#: The command decides what else it needs.
OWN_WORK |= {"POST /api/v1/commands"}
OWN_WORK |= {"POST /api/v1/jobs/{job_id}/{request}", "POST /api/v1/jobs/{job_id}/decide"}
OWN_WORK |= {"PUT /api/v1/jobs/{job_id}/priority"}
#: What a schedule does is checked as its job would be, for exactly its servers.
OWN_WORK |= {"POST /api/v1/schedules", "DELETE /api/v1/schedules/{schedule_id}"}
OWN_WORK |= {f"POST /api/v1/schedules/{{schedule_id}}/{what}" for what in ("pause", "resume", "run")}
OWN_WORK |= {"POST /schedules"}
OWN_WORK |= {f"POST /schedules/{{schedule_id}}/{what}" for what in ("pause", "resume", "run", "remove")}
OWN_WORK |= {"POST /undo/{token}"}  # the service that puts something back decides as for whoever adds it
OWN_WORK |= {"POST /studies/validate", "POST /studies/validations/{run_id}/stop"}  # looks, and keeps what it saw


def test_every_route_declares_what_it_needs(browser: Browser) -> None:
    declared = declared_actions(browser.app)
    assert len(declared) > 25
    assert {route for route, actions in declared.items() if not actions} == OPEN
    others = [r.original_route for r in iter_route_contexts(browser.app.routes)]
    mounts = [r.path for r in others if not isinstance(r, APIRoute) and isinstance(r, Mount)]
    assert mounts == ["/ohif/assets", "/static"]
    assert all(isinstance(r, APIRoute | Mount) for r in others)


def test_a_route_without_declaration_is_seen() -> None:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.get("/forgotten")(lambda: None)
    app.get("/declared", dependencies=[permission(Action.VIEW)])(lambda: None)
    assert declared_actions(app) == {"GET /forgotten": frozenset(), "GET /declared": frozenset({Action.VIEW})}


def test_what_changes_something_needs_more_than_looking(browser: Browser) -> None:
    declared = declared_actions(browser.app)
    changing = {route: actions for route, actions in declared.items() if not route.startswith(("GET", "HEAD"))}
    assert {route for route, actions in changing.items() if actions == {Action.VIEW}} == OWN_WORK
    others = [route for route in declared if route.split()[0] not in {"GET", "POST"}]
    assert [route for route in others if not re.search("^[A-Z]+ (/api/v1|/dicom-web)/", route)] == []


def test_someone_who_may_do_it_nowhere_is_refused_at_the_door() -> None:
    Permission(Action.VIEW).check(Actor("reader", frozenset({Role.TEST_READ})))
    with pytest.raises(AccessDenied) as caught:
        Permission(Action.CONFIGURE).check(Actor("reader", frozenset({Role.TEST_READ})))
    assert "admin" in caught.value.cause


@pytest.mark.parametrize(
    ("role", "path", "status"),
    [
        (Role.TEST_READ, "/pacs", 200),
        (Role.TEST_READ, "/pacs/new", 403),
        (Role.TEST_READ, "/pacs/alpha/routing", 200),
        (Role.TEST_READ, "/pacs/beta/routing", 403),
        (Role.PROD_READ, "/pacs/beta/routing", 200),
        (Role.PROD_READ, "/studies/new", 200),
        (Role.ADMIN, "/pacs/new", 200),
    ],
)
def test_the_policy_decides_for_the_actor(
    browser: Browser, servers: tuple[str, str], role: Role, path: str, status: int
) -> None:
    browser.act_as(Actor("someone", frozenset({role}), "web"))
    assert browser.get(path).status_code == status


def test_a_list_shows_only_what_the_actor_may_see(browser: Browser, servers: tuple[str, str]) -> None:
    browser.act_as(Actor("someone", frozenset({Role.TEST_READ}), "web"))
    text = browser.get("/pacs").text
    assert "Alpha" in text
    assert "Beta" not in text
