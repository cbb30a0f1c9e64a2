"""Signing in and out over HTTP: what is refused, what the cookie is, and where one is taken."""

from __future__ import annotations

import datetime
import re
from urllib.parse import quote

import pytest

from dicomfab.access.policy import Scope, decide
from dicomfab.app.build import Application
from dicomfab.app.web_settings import Mode, WebSettings
from dicomfab.model.actor import Actor, Role
from dicomfab.web.access import declared_actions
from dicomfab.web.app import create_app
from dicomfab.web.door import MOST_BYTES, OPEN_BYTES, OPEN_PATHS, SAML_BYTES
from dicomfab.web.security import SAML_ANSWERS
from dicomfab.web.signed_in import own_page
from tests.unit.web.conftest import ORIGIN, Browser
from tests.unit.web.people import LOCAL, OWNER, PASSWORD, SESSION, add, nobody, somebody, token_of
from tests.unit.web.test_access import OPEN

#: What stands in an address for a name that is not there.
PLACES = {"job_id": "999", "account_id": "999", "session_id": "999", "study_uid": "1.2.3", "schedule_id": "999"}


def address(route: str) -> tuple[str, str]:
    method, path = route.split(" ", 1)
    return method, re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: PLACES.get(found[1], "x"), path)


@pytest.mark.full
def test_requirement_1_every_route_answers_as_the_table_says(application: Application) -> None:
    """For every route x nobody, 5 roles by session, 5 roles by token."""
    app = create_app(application, LOCAL)
    routes = declared_actions(app)
    assert len(routes) > 60
    people = {role: add(application, f"with-{role}".replace("_", "-"), role) for role in Role}
    cookies = {role: nobody(application) for role in Role}
    for role, account in people.items():
        assert cookies[role].sign_in(account.name).status_code == 303
    sessions = {role: {"Cookie": f"{SESSION}={one.cookies[SESSION]}"} for role, one in cookies.items()}
    tokens = {role: {"Authorization": f"Bearer {token_of(application, one)}"} for role, one in people.items()}
    browser = Browser(app)
    own = {"Sec-Fetch-Site": "same-origin"}
    wrong = []
    for route, actions in routes.items():
        method, path = address(route)
        anonymous = browser.request(method, path, headers=own)
        if route in OPEN:
            assert not actions
            assert anonymous.status_code < 500
            continue
        is_taken = anonymous.status_code == 303 and anonymous.headers["location"].startswith("/sign-in")
        wrong += [] if is_taken or anonymous.status_code == 401 else [f"{route} anonymous: {anonymous.status_code}"]
        for role in Role:
            may = all(any(decide(Actor("", frozenset({role})), a, s).allowed for s in Scope) for a in actions)
            for kind, headers in (("session", {**sessions[role], **own}), ("token", tokens[role])):
                answer = browser.request(method, path, headers=headers)
                refused = answer.status_code == 403 and "may not" in answer.text
                at_the_door = refused and any(re.search(f'may not {a}[<"]', answer.text) for a in actions)
                if may == at_the_door:
                    wrong.append(f"{route} {role} by {kind}: {answer.status_code}")
                is_proof_wrong = "is not right" in answer.text  # of one's password or code, which the walk leaves blank
                if answer.status_code == 500 or (answer.status_code == 401 and not is_proof_wrong):
                    wrong.append(f"{route} {role} by {kind}: {answer.status_code}")
    assert wrong == []


def test_requirement_3_mode_none_is_said_on_every_page_and_local_never_says_it(application: Application) -> None:
    none = Browser(create_app(application))
    for path in ("/", "/pacs", "/studies", "/users", "/nowhere"):
        assert "Mode none: no sign-in." in none.get(path).text
    admin = somebody(application, "anna", Role.ADMIN)
    for path in ("/", "/pacs", "/studies", "/users", "/nowhere"):
        text = admin.get(path).text
        assert "Mode none" not in text
        assert 'href="/account"' in text  # also where the page is missing
    assert none.get("/sign-in").headers["location"] == "/"
    assert none.get("/set-up").headers["location"] == "/sign-in"
    assert none.post("/set-up", {"code": "x", "name": "eve", "password": PASSWORD}).headers["location"] == "/"
    assert none.get("/account").status_code == 403


def test_requirement_4_the_set_up_code_makes_the_first_administrator_once(application: Application) -> None:
    browser = nobody(application)
    assert 'href="/set-up"' in browser.get("/sign-in").text
    for name in ("admin", "root", "test", "dicomfab"):
        assert browser.sign_in(name, "test123").status_code == 401
    code = application.set_up.offer(OWNER)
    assert code
    form = {"code": code, "name": "anna", "password": PASSWORD, "display_name": "Anna Berg"}
    refused = browser.post("/set-up", {**form, "code": "AAAA-AAAA-AAAA-AAAA"})
    assert refused.status_code == 401
    assert "not valid" in refused.text
    assert PASSWORD not in refused.text
    weak = browser.post("/set-up", {**form, "password": "short"})
    assert weak.status_code == 400
    assert browser.post("/set-up", form).headers["location"] == "/sign-in"
    assert browser.get("/set-up").headers["location"] == "/sign-in"
    assert browser.post("/set-up", {**form, "name": "eve"}).status_code == 401
    assert application.set_up.offer(OWNER) is None
    assert "/set-up" not in browser.get("/sign-in").text
    assert browser.sign_in("anna").headers["location"] == "/"
    assert browser.get("/users").status_code == 200


def test_people_can_sign_in_while_there_is_no_administrator(application: Application) -> None:
    add(application, "ben", Role.TEST_READ)
    person = nobody(application)
    assert 'name="password"' in person.get("/sign-in").text
    assert person.sign_in("ben").status_code == 303
    assert person.get("/pacs").status_code == 200


def test_requirement_7_the_sixth_failure_is_told_when_to_come_again(application: Application) -> None:
    add(application, "ben", Role.TEST_READ)
    person = nobody(application)
    assert [person.sign_in("ben", "wrong").status_code for _ in range(5)] == [401] * 5
    refused = person.sign_in("ben")
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 900
    assert "Too many attempts" in refused.text
    assert SESSION not in person.cookies


def test_the_page_of_the_account_says_as_well_when_to_come_again(application: Application) -> None:
    person = somebody(application, "ben", Role.TEST_READ)
    for _ in range(5):
        wrong = person.post("/account/password", {"old": "wrong", "new": "another long secret"})
        assert wrong.status_code == 401
        assert "old password is not right" in wrong.text
    refused = person.post("/account/password", {"old": PASSWORD, "new": "another long secret"})
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0
    assert person.get("/account").status_code == 200


def test_requirement_8_every_refusal_looks_the_same(application: Application) -> None:
    add(application, "ben", Role.TEST_READ)
    carla = add(application, "carla", Role.TEST_READ)
    application.accounts.disable(OWNER, carla.id)
    answers = []
    for name, password in (("nobody", PASSWORD), ("ben", "wrong"), ("carla", PASSWORD), ("carla", "wrong")):
        answer = nobody(application).sign_in(name, password)
        answers.append((answer.status_code, answer.text.replace(f'value="{name}"', "")))
        assert "set-cookie" not in answer.headers
    assert len(set(answers)) == 1
    assert answers[0][0] == 401


@pytest.mark.parametrize(
    "end",
    [
        lambda application, account: application.accounts.disable(OWNER, account.id),
        lambda application, account: application.accounts.set_roles(OWNER, account.id, ["prod_read"]),
        lambda application, account: application.accounts.set_password(OWNER, account.id, "another long secret"),
        lambda application, account: application.accounts.remove(OWNER, account.id),
        lambda application, account: application.sign_in.end_sessions(OWNER, account.id),
    ],
    ids=["disabled", "other roles", "other password", "removed", "ended"],
)
def test_requirement_16_a_session_that_is_over_opens_nothing(application: Application, end) -> None:
    person = somebody(application, "ben", Role.TEST_READ)
    assert person.get("/pacs").status_code == 200
    end(application, application.accounts.named(OWNER, "ben"))
    assert person.get("/pacs").headers["location"] == "/sign-in?next=%2Fpacs"


def test_requirement_16_signing_in_makes_a_new_session_and_signing_out_ends_it(application: Application) -> None:
    person = somebody(application, "ben", Role.TEST_READ)
    first = person.cookies[SESSION]
    person.sign_in("ben")
    second = person.cookies[SESSION]
    assert first != second
    copied = nobody(application)
    copied.cookies[SESSION] = first
    assert copied.get("/pacs").status_code == 303
    copied.cookies[SESSION] = second
    assert copied.get("/pacs").status_code == 200
    left = person.post("/sign-out")
    assert left.headers["location"] == "/sign-in"
    assert "cache" in left.headers["clear-site-data"]
    assert SESSION not in person.cookies
    assert copied.get("/pacs").status_code == 303
    assert person.post("/sign-out").status_code == 303  # once more does no harm


def test_requirement_17_the_cookie(application: Application) -> None:
    add(application, "ben", Role.TEST_READ)
    web = WebSettings((Mode.LOCAL,), names=frozenset({"fab.example"}), proxies=frozenset({"10.0.0.1/32"}))
    form = {"name": "ben", "password": PASSWORD}
    loopback = nobody(application, web).post("/sign-in", form).headers["set-cookie"]
    assert loopback.startswith(f"{SESSION}=")
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(loopback.split("; "))
    assert "Secure" not in loopback
    secure = nobody(application, web).post("https://fab.example/sign-in", form).headers["set-cookie"]
    assert secure.startswith("__Host-session=")
    assert {"HttpOnly", "SameSite=lax", "Path=/", "Secure"} <= set(secure.split("; "))
    assert "domain" not in secure.lower()
    assert "max-age" not in secure.lower()


def test_requirement_17_headers_on_every_answer(application: Application) -> None:
    web = WebSettings((Mode.LOCAL,), names=frozenset({"fab.example"}), proxies=frozenset({"10.0.0.1/32"}))
    browser = nobody(application, web)

    @browser.app.get("/broken")
    def broken() -> None:
        raise RuntimeError("boom")

    for path in ("/sign-in", "/pacs", "/nowhere", "/static/app.css", "/broken", "/healthz", "/static/none"):
        for origin, is_pinned in ((ORIGIN, False), ("https://fab.example", True), ("https://localhost", False)):
            answer = browser.get(f"{origin}{path}")
            assert "'unsafe" not in answer.headers["content-security-policy"]
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "same-origin"
            assert ("strict-transport-security" in answer.headers) == is_pinned
    assert browser.get("/broken").status_code == 500


def test_names_beyond_this_computer_are_served_over_tls_only(application: Application) -> None:
    web = WebSettings((Mode.LOCAL,), names=frozenset({"fab.example"}), proxies=frozenset({"10.0.0.1/32"}))
    browser = nobody(application, web)
    refused = browser.get("http://fab.example/sign-in")
    assert refused.status_code == 403
    assert "TLS" in refused.text
    assert browser.get("https://fab.example/sign-in").status_code == 200
    assert browser.get("https://other.example/sign-in").status_code == 403


CHANGES = [
    ({"Sec-Fetch-Site": "same-origin"}, True, True),
    ({"Origin": ORIGIN}, True, True),
    ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, False, False),
    ({"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:8042"}, False, False),
    ({"Sec-Fetch-Site": "none"}, False, False),
    ({"Origin": "null"}, False, False),
    ({"Origin": "http://localhost:8042"}, False, False),
    ({}, False, True),
]


@pytest.mark.parametrize(("headers", "with_cookie", "with_token"), CHANGES)
def test_requirement_18_changes_of_other_sites_change_nothing(
    application: Application, servers: tuple[str, str], headers: dict[str, str], with_cookie: bool, with_token: bool
) -> None:
    admin = somebody(application, "anna", Role.ADMIN)
    account = application.accounts.named(OWNER, "anna")
    bearer = {"Authorization": f"Bearer {token_of(application, account)}"}
    cookie = {"Cookie": f"{SESSION}={admin.cookies[SESSION]}"}
    browser = Browser(admin.app)
    for shown, passes in ((cookie, with_cookie), (bearer, with_token)):
        answer = browser.request("POST", "/pacs/alpha/delete", headers={**headers, **shown})
        assert (answer.status_code != 403) == passes
        there = "alpha" in {one.id for one in application.pacs.servers(OWNER)}
        assert there == (not passes)
        if passes:
            entry = {"name": "Alpha", "host": "127.0.0.1", "port": 104, "aec": "ALPHA", "environment": "test"}
            application.pacs.add(OWNER, entry)
    both = browser.request("POST", "/pacs/alpha/delete", headers={**bearer, **cookie})
    assert both.status_code == 403


def test_requirement_19_a_token_counts_in_its_header_only(application: Application, caplog) -> None:
    account = add(application, "ben", Role.TEST_READ)
    token = token_of(application, account)
    browser = nobody(application)
    with caplog.at_level("DEBUG", "dicomfab"):
        assert browser.get("/metrics", authorization=f"Bearer {token}").status_code == 200
        assert browser.get(f"/metrics?token={token}&access_token={token}").status_code == 303
        for name in (SESSION, "__Host-session", "token"):
            assert browser.get("/metrics", cookie=f"{name}={token}").status_code == 303
        wrong = browser.get("/metrics", authorization=f"Bearer {token[:-1]}_")
    assert wrong.status_code == 401
    assert wrong.headers["www-authenticate"] == "Bearer"
    assert wrong.json()["detail"] == "this API token is not valid"
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("dicomfab")]
    assert len(ours) == 6
    assert not [line for line in ours if token[13:] in line]
    application.api_tokens.revoke(OWNER, token[4:12])
    assert browser.get("/metrics", authorization=f"Bearer {token}").status_code == 401


def test_metrics_show_a_token_what_its_roles_may_see(application: Application, servers: tuple[str, str]) -> None:
    ben = add(application, "ben", Role.TEST_READ, Role.PROD_READ)
    browser = nobody(application)

    def metrics(*roles: Role) -> str:
        return browser.get("/metrics", authorization=f"Bearer {token_of(application, ben, *roles)}").text

    assert 'server="beta"' in metrics(Role.PROD_READ)
    assert 'server="beta"' not in metrics(Role.TEST_READ)
    assert 'server="alpha"' in metrics(Role.TEST_READ)


@pytest.mark.parametrize(
    ("asked", "led"),
    [
        ("/pacs", "/pacs"),
        ("/studies?q=a b&page=2", "/studies?q=a b&page=2"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/\t/evil.example", "/"),
        ("\\\\evil.example", "/"),
        ("", "/"),
        ("/sign-out", "/"),
        ("/" + "a" * 5000, "/"),
        ("/pacs\r\nX: y", "/"),
    ],
)
def test_signing_in_leads_to_pages_of_our_own_only(application: Application, asked: str, led: str) -> None:
    assert own_page(asked) == led
    browser = nobody(application)
    assert browser.get(f"/sign-in?next={quote(asked)}").status_code == 200
    if len(asked) < 100:
        add(application, "ben", Role.TEST_READ)
        answer = browser.sign_in("ben", next=asked)
        assert answer.headers["location"].replace("%20", " ") == led


def test_who_is_signed_in_no_more_comes_back_to_where_they_were(application: Application) -> None:
    browser = nobody(application)
    assert browser.get("/studies?q=x").headers["location"] == "/sign-in?next=%2Fstudies%3Fq%3Dx"
    posted = browser.post("/pacs/alpha/delete", referer=f"{ORIGIN}/pacs?sort=name")
    assert posted.headers["location"] == "/sign-in?next=%2Fpacs%3Fsort%3Dname"
    foreign = browser.post("/pacs/alpha/delete", referer="https://evil.example/pacs")
    assert foreign.headers["location"] == "/sign-in"
    part = browser.get("/jobs", hx_request="true", **{"hx-request": "true", "hx-current-url": f"{ORIGIN}/jobs?state=x"})
    assert part.status_code == 401
    assert part.headers["hx-redirect"] == "/sign-in?next=%2Fjobs%3Fstate%3Dx"
    stream = browser.get("/jobs/1/events", accept="text/event-stream")
    assert stream.status_code == 401
    assert stream.json()["detail"] == "nobody is signed in"
    assert browser.post("/api/v1/commands").status_code == 401


@pytest.mark.parametrize("path", ["/pacs/import", "/patients/import", "/api/v1/commands", "/users", "/nowhere"])
def test_nothing_is_read_from_who_is_not_signed_in(application: Application, path: str) -> None:
    asked = []

    async def body():
        asked.append(1)
        yield b"x" * 100

    answer = nobody(application).request("POST", path, content=body(), headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code in {401, 303}
    assert asked == []


@pytest.mark.parametrize("path", sorted(OPEN_PATHS))
def test_open_forms_take_little(application: Application, path: str) -> None:
    browser, most = nobody(application), SAML_BYTES if path == SAML_ANSWERS else OPEN_BYTES
    announced = browser.post(path, {"name": "x" * (most + 1)})
    assert announced.status_code == 413

    async def endless():
        for _ in range(3):
            yield b"name=" + b"x" * most

    headers = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"}
    assert browser.request("POST", path, content=endless(), headers=headers).status_code in {303, 400}
    assert most < MOST_BYTES


def test_numbers_that_no_database_has_are_not_found(application: Application) -> None:
    admin = somebody(application, "anna", Role.ADMIN)
    assert admin.get("/users/99999999999999999999").status_code in {400, 404}
    assert admin.get("/users/999").status_code == 404
    assert admin.post("/account/sessions/99999999999999999999/end").status_code in {400, 404}


def test_an_idle_session_is_over(application: Application, monkeypatch) -> None:
    person = somebody(application, "ben", Role.TEST_READ)
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=31)
    monkeypatch.setattr(application.sign_in, "_now", lambda: later)
    assert person.get("/pacs").status_code == 303
