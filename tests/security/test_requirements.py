"""The requirements of the facts page that are not about directories, one named test each, over real sockets.

Each is short and goes from end to end. What goes deeper stands elsewhere: the whole walk of requirement 1 in
``tests/unit/web/test_sign_in.py``, the timing of 8 in ``benchmarks/bench_sign_in.py``, the recording of 20 in
``tests/unit/services/test_recording.py`` and ``tests/unit/cli/test_audit_commands.py``, TLS of 17 in ``test_tls.py``.
"""

from __future__ import annotations

import json
import re
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from dicomfab.access.policy import Scope, decide
from dicomfab.app.build import Application
from dicomfab.fabricate.recipe import StudyRecipe
from dicomfab.model.actor import Actor, Role
from dicomfab.model.audit import AuditEvent
from dicomfab.model.job import JobState
from dicomfab.services.set_up import LASTS
from dicomfab.storage.audit import AuditFilter
from dicomfab.testpacs.ports import listening
from dicomfab.web.access import declared_actions
from dicomfab.web.app import create_app
from dicomfab.web.run import logging_to
from tests.security.served import (
    Clock,
    browser,
    environment,
    in_a_process,
    in_this_process,
    installation,
    person,
    program,
    refused_start,
    sign_in,
    signed_in,
    token,
)
from tests.unit.services.accounts_office import cheap_hasher
from tests.unit.web.people import LOCAL, OWNER, PASSWORD
from tests.unit.web.test_access import OPEN
from tests.unit.web.test_sign_in import address

TOKEN = re.compile(r"dfl_[0-9a-f]{8}_[\w-]{43}")


@contextmanager
def trap() -> Iterator[tuple[int, list[str]]]:
    """A port that notes who connects, and hangs up."""
    callers: list[str] = []
    listener = listening("127.0.0.1", 0)
    listener.listen()

    def note() -> None:
        while True:
            try:
                connection, caller = listener.accept()
            except OSError:
                return
            callers.append(str(caller))
            connection.close()

    thread = threading.Thread(target=note)
    thread.start()
    try:
        yield listener.getsockname()[1], callers
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def pacs(application: Application, name: str, port: int, environment: str) -> str:
    entry = {"name": name, "host": "127.0.0.1", "port": port, "aec": name.upper(), "environment": environment}
    return application.pacs.add(OWNER, {**entry, "allow_synthetic": True}).id


def fabricated(application: Application) -> str:
    recipe = StudyRecipe(("text-card",), seed=1, study_date="20260131")
    made = application.studies.create(OWNER, application.studies.resolve_recipe(OWNER, recipe))
    return made.resolved.study_instance_uid


def entries(application: Application) -> list[AuditEvent]:
    """What the audit log says, the oldest first; read without leaving a trace in it."""
    return [one.event for one in reversed(application.audit._log.page(AuditFilter(), limit=500).entries)]


@pytest.mark.full
def test_requirement_01_routes_answer_as_the_policy_table_says(application: Application, url: str) -> None:
    routes = declared_actions(create_app(application, LOCAL))
    assert not [route for route, actions in routes.items() if not actions and route not in OPEN]
    asked = {route: actions for route, actions in routes.items() if route.startswith("GET ") and "{" not in route}
    people = {}
    for role in Role:
        people[role] = signed_in(url, person(application, f"with-{role}".replace("_", "-"), role).name)
    for route, actions in asked.items():
        path = route.removeprefix("GET ")
        anonymous = browser(url).get(path)
        if route in OPEN:
            assert anonymous.status_code in {200, 303, 401, 404}, route  # no provider is there
            continue
        assert anonymous.status_code in {303, 401}, route
        assert "/sign-in" in anonymous.headers.get("location", "/sign-in")
        for role, someone in people.items():
            may = all(any(decide(Actor("", frozenset({role})), a, s).allowed for s in Scope) for a in actions)
            with someone.stream("GET", path) as answer:  # a stream of events need not end
                text = answer.read().decode() if answer.status_code == 403 else ""
            at_the_door = any(re.search(f'may not {action}[<"]', text) for action in actions)
            assert at_the_door == (not may), f"{route} {role}"


def test_requirement_02_test_write_reaches_no_production_server_now_or_later(
    application: Application, url: str
) -> None:
    ben = person(application, "ben", Role.TEST_WRITE)
    study = fabricated(application)
    with trap() as (port, callers), trap() as (test_port, test_callers):
        prod, test = pacs(application, "Beta", port, "prod"), pacs(application, "Alpha", test_port, "test")
        web, api = signed_in(url, "ben"), program(url, token(application, ben))
        for name in (prod, "BETA", f"127.0.0.1:{port}", f"{test}\n{prod}", f"../{prod}"):
            for form in ({"destination": name}, {"destination": name, "confirm_name": "Beta"}):
                assert web.post(f"/studies/{study}/send", data=form).status_code in {400, 403, 404}
        assert web.post(f"/pacs/{test}/edit", data={"port": str(port)}).status_code == 403
        said = api.post("/api/v1/commands", json={"arguments": ["study", "send", study, "--to", prod,
                                                                "--yes-production"]}, timeout=60)  # fmt: skip
        assert json.loads(said.text.splitlines()[-1])["exit"] in {3, 5}
        # A job for a test server that is a production server when its turn comes:
        sent = web.post(f"/studies/{study}/send", data={"destination": test})
        assert sent.status_code == 303, sent.text
        number = int(sent.headers["location"].rpartition("/")[2])
        application.pacs.edit(OWNER, test, {"environment": "prod"}, confirm_environment=True)
        assert application.worker.run_one(number)
        assert application.jobs.show(OWNER, number).state is JobState.FAILED
        assert (callers, test_callers) == ([], [])


@pytest.mark.allow_hosts(["127.0.0.1", "::1", "localhost", "127.0.0.2"])
def test_requirement_03_none_mode_refuses_other_addresses_and_says_what_it_is(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for host in ("0.0.0.0", "::", "192.0.2.7"):
        assert "mode none asks nobody" in refused_start(home, DICOMFAB_AUTH="none", DICOMFAB_WEB_HOST=host)
    with in_a_process(home, lines=2, DICOMFAB_AUTH="none") as served:
        assert "Mode none: no sign-in" in served.said[1]
        client = browser(f"http://localhost:{served.port}")
        for path in ("/", "/pacs", "/studies", "/jobs", "/nowhere"):
            assert "Mode none: no sign-in." in client.get(path).text
        with socket.socket() as outside, pytest.raises(ConnectionRefusedError):
            outside.connect(("127.0.0.2", served.port))


def test_requirement_04_no_default_account_and_the_set_up_code_works_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with in_a_process(home, lines=3) as served:
        url = f"http://localhost:{served.port}"
        client = browser(url)
        for name in ("admin", "root", "test", "dicomfab"):
            assert sign_in(client, name, "test123").status_code == 401
        form = {"code": served.code, "name": "anna", "password": PASSWORD}
        for wrong in ("", "AAAA-AAAA-AAAA-AAAA"):
            assert client.post("/set-up", data={**form, "code": wrong}).status_code == 401
        assert client.post("/set-up", data=form).headers["location"] == "/sign-in"
        assert client.post("/set-up", data={**form, "name": "eve"}).status_code == 401
        assert sign_in(client, "eve").status_code == 401
        assert sign_in(client, "anna").status_code == 303
        assert client.get("/users").status_code == 200
    with in_a_process(home) as again:  # one line: no code is offered any more
        assert sign_in(browser(f"http://localhost:{again.port}"), "anna").status_code == 303


def test_requirement_04_the_set_up_code_expires(application: Application, clock: Clock, url: str) -> None:
    code = application.set_up.offer(OWNER)
    clock.move(seconds=LASTS.total_seconds())
    form = {"code": code, "name": "anna", "password": PASSWORD}
    assert browser(url).post("/set-up", data=form).status_code == 401
    form["code"] = application.set_up.offer(OWNER)
    clock.move(seconds=LASTS.total_seconds() - 1)
    assert browser(url).post("/set-up", data=form).status_code == 303


def test_requirement_05_passwords_are_argon2id_whole_and_made_stronger_at_sign_in(tmp_path: Path) -> None:
    long = "жёлтый слон на крыше 象は屋根の上 " * 4
    assert len(long) > 100
    weak = cheap_hasher().hash(long)
    with installation(tmp_path / "home") as application, in_this_process(application) as url:
        application.accounts.add(OWNER, "ben", [Role.TEST_READ], password=long)

        def kept() -> str:
            with application.database.read() as connection:
                return str(connection.execute(text("SELECT password_hash FROM account")).scalar_one())

        assert kept().startswith("$argon2id$v=19$m=65536,t=3,p=4$")
        for cut in (long[:64], long[:72], long[:-2]):
            assert sign_in(browser(url), "ben", cut).status_code == 401
        with application.database.write() as connection:
            connection.execute(text("UPDATE account SET password_hash = :weak"), {"weak": weak})
        assert "m=8,t=1" in kept()
        assert sign_in(browser(url), "ben", long).status_code == 303
        assert "m=65536,t=3" in kept()


def test_requirement_06_short_and_common_passwords_are_refused_and_no_kinds_of_letters_asked_for(
    application: Application, url: str
) -> None:
    person(application, "anna", Role.ADMIN)
    admin = signed_in(url, "anna")
    for weak in ("", "short", "elevenchars", "passwordpassword", "qwertyuiopasdf", "ben-ben-ben-ben", "aaaaaaaaaaaaaa"):
        answer = admin.post("/users", data={"name": "ben", "password": weak, "roles": "test_read"})
        assert answer.status_code == 400, weak
        assert 'id="password-error"' in answer.text
    assert [one.name for one in application.accounts.every(OWNER)] == ["anna"]
    for number, good in enumerate(("tulip marble seven", "830 614 295 077 368", "ÆØÅ čšž 門の前で待つ")):
        form = {"name": f"ben{number}", "password": good, "roles": "test_read"}
        assert admin.post("/users", data=form).status_code == 303, good


def test_requirement_07_the_sixth_failure_waits_and_another_address_does_not(
    application: Application, clock: Clock, url: str
) -> None:
    person(application, "ben", Role.TEST_READ)
    here = browser(url)
    assert [sign_in(here, "ben", "wrong").status_code for _ in range(5)] == [401] * 5
    refused = sign_in(here, "ben")
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 900
    assert sign_in(here, "ben").status_code == 429  # asking again does not prove anything either
    assert sign_in(browser(url, sender="127.0.0.2"), "ben").status_code == 303
    clock.move(minutes=15)
    assert sign_in(here, "ben").status_code == 303


def test_requirement_08_refusals_look_the_same_and_the_audit_log_has_the_reason(
    application: Application, url: str
) -> None:
    person(application, "ben", Role.TEST_READ)
    application.accounts.disable(OWNER, person(application, "carla", Role.TEST_READ).id)
    seen = set()
    for name, password in (("nobody", PASSWORD), ("ben", "wrong"), ("carla", PASSWORD)):
        answer = sign_in(browser(url), name, password)
        kept = {key: value for key, value in answer.headers.items() if key not in {"date", "content-length"}}
        seen.add((answer.status_code, json.dumps(kept), answer.text.replace(f'value="{name}"', "")))
    assert len(seen) == 1
    assert seen.pop()[0] == 401
    refused = [one for one in entries(application) if str(one.kind) == "sign-in"]
    assert [(one.subject or one.actor, one.reason) for one in refused] == [
        ("nobody", "unknown_name"),
        ("ben", "wrong_password"),
        ("carla", "disabled"),
    ]


def test_requirement_16_a_new_session_at_sign_in_and_none_after_its_end(application: Application, url: str) -> None:
    account = person(application, "ben", Role.TEST_READ)
    accounts = application.accounts

    def ended_by_sign_out(client: httpx.Client) -> None:
        assert client.post("/sign-out").status_code == 303

    def ended_by_password(client: httpx.Client) -> None:
        form = {"old": PASSWORD, "new": "another long secret"}
        assert client.post("/account/password", data=form).status_code == 303
        accounts.set_password(OWNER, account.id, PASSWORD)

    def ended_by_disabling(client: httpx.Client) -> None:
        accounts.disable(OWNER, account.id)
        accounts.enable(OWNER, account.id)

    def ended_by_an_administrator(client: httpx.Client) -> None:
        assert application.sign_in.end_sessions(OWNER, account.id) > 0

    def ended_by_removal(client: httpx.Client) -> None:
        accounts.remove(OWNER, account.id)

    seen = set()
    for end in (ended_by_sign_out, ended_by_password, ended_by_disabling, ended_by_an_administrator, ended_by_removal):
        client = signed_in(url, "ben")
        (copied,) = client.cookies.jar
        seen.add(copied.value)
        thief = browser(url, cookie=f"{copied.name}={copied.value}")
        assert thief.get("/pacs").status_code == 200
        end(client)
        assert thief.get("/pacs").headers["location"] == "/sign-in?next=%2Fpacs", end
        assert thief.get("/pacs", headers={"Accept": "text/event-stream"}).status_code == 401
    assert len(seen) == 5


def test_requirement_16_a_session_ends_when_idle_and_after_twelve_hours(
    application: Application, clock: Clock, url: str
) -> None:
    person(application, "ben", Role.TEST_READ)
    idle = signed_in(url, "ben")
    clock.move(minutes=29)
    assert idle.get("/pacs").status_code == 200  # which counts as use
    clock.move(minutes=29)
    assert idle.get("/pacs").status_code == 200
    clock.move(minutes=30)
    assert idle.get("/pacs").status_code == 303
    clock.move(minutes=-30)
    assert idle.get("/pacs").status_code == 303  # gone for good
    busy = signed_in(url, "ben")
    for _ in range(12 * 60 // 20 - 1):
        clock.move(minutes=20)
        assert busy.get("/healthz").status_code == 200
        assert busy.get("/account").status_code == 200
    clock.move(minutes=19, seconds=30)
    assert busy.get("/account").status_code == 200
    clock.move(seconds=31)
    assert busy.get("/account").status_code == 303


def test_requirement_17_headers_on_every_answer_and_the_cookie_of_loopback(application: Application, url: str) -> None:
    person(application, "ben", Role.TEST_READ)
    client = browser(url)
    cookie = sign_in(client, "ben").headers["set-cookie"]
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
    answers = {
        200: client.get("/pacs"),
        303: browser(url).get("/pacs"),
        401: browser(url).get("/metrics", headers={"Authorization": "Bearer dfl_x"}),
        403: client.get("/users"),
        404: client.get("/nowhere"),
        405: client.put("/pacs"),
        413: client.post("/sign-in", content=b"x" * 70_000),
    }
    answers[400] = client.post("/pacs/import", content=b"\x00")
    for status, answer in answers.items():
        assert status in {400, answer.status_code}, answer.text
        policy = answer.headers["content-security-policy"]
        assert "'unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert "object-src 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers
        assert "strict-transport-security" not in answer.headers  # a browser would keep it for all of localhost


FOREIGN = (
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:1"},
    {},
)


@pytest.mark.parametrize("foreign", FOREIGN, ids=str)
def test_requirement_18_what_another_site_sends_changes_nothing(
    application: Application, url: str, foreign: dict[str, str]
) -> None:
    server = pacs(application, "Alpha", 104, "test")
    person(application, "anna", Role.ADMIN)
    (cookie,) = signed_in(url, "anna").cookies.jar
    shown = {"Cookie": f"{cookie.name}={cookie.value}", **foreign}
    with httpx.Client(base_url=url, trust_env=False) as other:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            answer = other.request(method, f"/pacs/{server}/delete", headers=shown, data={"confirm_name": "Alpha"})
            assert answer.status_code == 403, method
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
        socket_asked = other.get("/pacs", headers={**shown, **upgrade, **key, "Sec-Fetch-Mode": "websocket"})
        assert socket_asked.status_code != 101  # there are none
        assert [one.id for one in application.pacs.servers(OWNER)] == [server]
        own = {**shown, "Origin": url, "Sec-Fetch-Site": "same-origin"}
        done = other.post(f"/pacs/{server}/delete", headers=own, data={"confirm_name": "Alpha"})
        assert done.status_code == 303
    assert list(application.pacs.servers(OWNER)) == []


def test_requirement_18_getting_pages_changes_nothing(application: Application, url: str) -> None:
    pacs(application, "Alpha", 104, "test")
    fabricated(application)
    person(application, "anna", Role.ADMIN)
    admin = signed_in(url, "anna")

    def state() -> dict[str, list[object]]:
        with application.database.read() as connection:
            tables = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars().all()
            kept = [name for name in tables if not name.startswith("audit")]
            return {name: [tuple(row) for row in connection.execute(text(f"SELECT * FROM {name}"))] for name in kept}

    before = state()
    assert len(before) > 15
    walked = [address(route) for route in declared_actions(create_app(application, LOCAL)) if route.startswith("GET ")]
    for _, path in walked:
        if not path.endswith(("/events", "/pictures")):
            admin.get(path.replace("/x", "/alpha"))
    assert len(walked) > 30
    assert state() == before


def test_requirement_19_a_token_is_shown_once_ends_and_is_in_no_log(
    application: Application, clock: Clock, url: str, tmp_path: Path
) -> None:
    account = person(application, "ben", Role.TEST_READ, Role.PROD_READ)
    pacs(application, "Beta", 104, "prod")
    log = tmp_path / "web.log"
    with logging_to(log):
        web = signed_in(url, "ben")
        made = web.post("/account/tokens", data={"label": "scrape", "roles": ["prod_read"], "days": "7"})
        (shown,) = set(TOKEN.findall(made.text))
        assert shown[13:] not in web.get("/account").text
        client = program(url, shown)
        assert 'server="beta"' in client.get("/metrics").text
        for name in ("token", "access_token", "authorization"):
            assert browser(url).get(f"/metrics?{name}={shown}").status_code == 303
            assert browser(url, cookie=f"{name}={shown}").get("/metrics").status_code == 303
        application.accounts.set_roles(OWNER, account.id, ["test_read"])  # never beyond its owner's present roles
        assert 'server="beta"' not in client.get("/metrics").text
        application.accounts.set_roles(OWNER, account.id, ["prod_read"])
        assert 'server="beta"' in client.get("/metrics").text
        clock.move(days=7)
        assert client.get("/metrics").status_code == 401
        second = token(application, account, Role.PROD_READ)
        assert program(url, second).get("/metrics").status_code == 200
        application.api_tokens.revoke(OWNER, second[4:12])
        assert program(url, second).get("/metrics").status_code == 401
    with application.database.read() as connection:
        everything = "".join(connection.connection.driver_connection.iterdump())  # type: ignore[union-attr]
    for secret in (shown[13:], second[13:]):
        assert secret not in log.read_text()
        assert secret not in everything
    assert shown[4:12] in everything


def test_requirement_20_entries_cannot_be_forged_hold_no_secret_and_an_edit_is_reported(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with installation(home) as application:
        person(application, "ben", Role.TEST_READ)
        shown = token(application, application.accounts.named(OWNER, "ben"))
    with in_a_process(home, lines=3) as served:
        url = f"http://localhost:{served.port}"
        assert sign_in(browser(url), "eve\r\nsign-in\x1b[2J anna", "not this one").status_code == 401
        ben = signed_in(url, "ben")
        assert ben.get("/users").status_code == 403
        assert program(url, shown[:-1] + "_").get("/pacs").status_code == 401
        assert ben.post("/sign-out").status_code == 303
    with installation(home) as application:
        said = entries(application)
        assert {one.address for one in said if one.door == "web"} == {"127.0.0.1"}
        assert all(one.at is not None and one.at.utcoffset() == timedelta() for one in said)
        kinds = [str(one.kind) for one in said if one.address]
        assert (kinds.count("sign-in"), kinds.count("sign-out")) == (3, 1)  # of the three, two were refused
        assert len(kinds) == 5  # and one request
        whole = json.dumps([one.as_dict() for one in said], ensure_ascii=True)
    for secret in (PASSWORD, "not this one", shown[13:-1], "\\r", "\\n", "\\u001b"):
        assert secret not in whole
    verify = [sys.executable, "-m", "dicomfab", "audit", "verify"]
    good = subprocess.run(verify, env=environment(home), capture_output=True, text=True, timeout=60, check=False)
    assert good.returncode == 0, good.stderr
    with sqlite3.connect(home / "dicomfab.sqlite3") as database:
        database.execute("DROP TRIGGER audit_entry_update")
        database.execute("UPDATE audit_entry SET body = replace(body, 'ben', 'eve') WHERE seq = 2")
    database.close()
    edited = subprocess.run(verify, env=environment(home), capture_output=True, text=True, timeout=60, check=False)
    assert (edited.returncode, "broken at entry 2" in edited.stdout) == (6, True)
