"""Faults that were proven on the software that this one follows, tried here over real sockets, one named test each.

What goes deeper stands elsewhere; ``docs/security.md`` has a row for each fault with all of its tests.
"""

from __future__ import annotations

import base64
import concurrent.futures
import hashlib
import hmac
import json
import os
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from dicomfab.app.build import Application
from dicomfab.fabricate.recipe import StudyRecipe
from dicomfab.model.actor import Role
from dicomfab.storage.jobs import JobFilter
from dicomfab.testpacs.ports import free_ports
from tests.security.served import (
    browser,
    environment,
    in_a_process,
    installation,
    person,
    program,
    sign_in,
    signed_in,
    token,
)
from tests.unit.web.people import OWNER

EVIL = "http://evil.example"
WORDS = ("admin", "admin123", "password", "dicomfab", "test123")
SERVER = {"name": "Alpha", "host": "127.0.0.1", "port": 104, "aec": "ALPHA", "environment": "test"}
CLIMBS = (
    "../../outside", "..%2f..%2foutside", "%2e%2e/%2e%2e/outside", "....//outside", "..\\..\\outside", "/etc/passwd",
)  # fmt: skip
HOSTILE = "Doe$(touch hit)`touch hit`;touch hit|touch hit&\n"


@pytest.fixture
def anna(application: Application, url: str) -> httpx.Client:
    """An administrator's program."""
    return program(url, token(application, person(application, "anna", Role.ADMIN)))


def fabricated(application: Application, seed: int = 1) -> str:
    recipe = StudyRecipe(("text-card",), seed=seed, study_date="20260131")
    made = application.studies.create(OWNER, application.studies.resolve_recipe(OWNER, recipe))
    return made.resolved.study_instance_uid


def outside(application: Application) -> set[Path]:
    """What lies beside the home."""
    home = application.settings.home
    return {path for path in home.parent.rglob("*") if not path.is_relative_to(home)}


def added(client: httpx.Client, **fields: str) -> dict[str, Any]:
    """A patient that was registered."""
    (one,) = client.post("/api/v1/patients", json=fields).json()["items"]
    return dict(one)


def run(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dicomfab", *words],
        env=environment(home), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


# --- who gets in --------------------------------------------------------------------------------------------------


@pytest.mark.full
def test_no_account_comes_with_the_product(url: str) -> None:
    for number, name in enumerate(WORDS):
        guesser = browser(url, sender=f"127.0.1.{number + 1}")
        for password in WORDS[:4]:
            sign_in(guesser, name, password)
            answer = guesser.get("/pacs")
            assert (answer.status_code, answer.headers["location"].split("?")[0]) in {
                (303, "/sign-in"),
                (303, "/set-up"),
            }


def test_what_is_kept_of_people_is_for_the_owner_of_the_home_alone(application: Application, url: str) -> None:
    person(application, "anna", Role.ADMIN)
    signed_in(url, "anna")
    home = application.settings.home
    assert home.stat().st_mode & 0o077 == 0
    kept = [path for path in home.rglob("*") if path.suffix in {".sqlite3", ".key", ".jsonl"}]
    assert kept
    assert [path for path in kept if path.stat().st_mode & 0o077] == []


@pytest.mark.full
def test_a_cookie_that_was_made_up_is_nobodys(application: Application, url: str) -> None:
    """There is no key to sign cookies with: a session is a row, found by the digest of what the cookie holds."""
    anna = person(application, "anna", Role.ADMIN)
    said = base64.urlsafe_b64encode(json.dumps({"user_id": anna.id, "_user_id": "admin", "role": "admin"}).encode())
    signed = base64.urlsafe_b64encode(hmac.new(b"secret-key", said, hashlib.sha1).digest())
    name = next(iter(signed_in(url, "anna").cookies))
    stored = application.sign_in.sessions(OWNER, anna.id)[0].id
    for made_up in ((said + b"." + signed).decode(), said.decode(), anna.id, str(stored), "admin", "1", "A" * 43):
        for cookie in (name, "session", "__Host-session", "remember_token"):
            answer = browser(url, cookie=f"{cookie}={made_up}").get("/users")
            assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "/sign-in"), made_up


@pytest.mark.full
def test_it_listens_on_this_computer_alone_and_tells_no_stranger_how_it_is_made(tmp_path: Path) -> None:
    with in_a_process(tmp_path / "home") as served:
        with socket.socket() as probe:
            probe.settimeout(5)
            assert probe.connect_ex(("127.0.0.2", served.port)) != 0
        url = f"http://localhost:{served.port}"
        for path in ("/console", "/?__debugger__=yes&cmd=resource&f=debugger.js", "/docs", "/.git/config", "/nowhere"):
            answer = browser(url).get(path)
            assert "Traceback" not in answer.text
            assert "server" not in {name.lower() for name in answer.headers}
            assert answer.status_code in {303, 401, 404}


@pytest.mark.full
def test_another_site_is_given_nothing_to_read(application: Application, url: str) -> None:
    person(application, "anna", Role.ADMIN)
    cookies = "; ".join(f"{name}={value}" for name, value in signed_in(url, "anna").cookies.items())
    for method in ("DELETE", "PUT", "PATCH", "POST", "GET"):
        asked = {
            "Origin": EVIL, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": "authorization",
            "Cookie": cookies,
        }  # fmt: skip
        for path in ("/api/v1/patients/1", "/patients/1/delete", "/dicom-web/studies", "/api/v1/servers"):
            for answer in (httpx.options(url + path, headers=asked), httpx.request(method, url + path, headers=asked)):
                allowed = [name for name in answer.headers if name.lower().startswith("access-control-")]
                assert allowed == [], f"{method} {path}"
            assert method == "GET" or answer.status_code == 403, f"{method} {path}"


def test_a_link_signs_nobody_out(application: Application, url: str) -> None:
    person(application, "anna", Role.ADMIN)
    client = signed_in(url, "anna")
    for path in ("/sign-out", "/logout", "/sign-out?next=/"):
        assert client.get(path).status_code in {404, 405}
    assert client.get("/pacs").status_code == 200


def test_who_is_removed_is_out_at_once(application: Application, url: str) -> None:
    ben = person(application, "ben", Role.TEST_WRITE)
    web, api = signed_in(url, "ben"), program(url, token(application, ben))
    assert (web.get("/patients").status_code, api.get("/api/v1/patients").status_code) == (200, 200)
    application.accounts.remove(OWNER, ben.id)
    assert web.get("/patients").status_code == 303
    assert api.get("/api/v1/patients").status_code == 401
    made = api.post("/api/v1/studies", json={"kinds": ["text-card"]})
    assert made.status_code == 401


# --- files of this machine ----------------------------------------------------------------------------------------


@pytest.mark.full
def test_no_address_leads_to_a_file_outside(application: Application, url: str, anna: httpx.Client) -> None:
    (application.settings.home.parent / "outside").write_text("SECRET-OUTSIDE")
    web = signed_in(url, "anna")
    for climb in CLIMBS:
        for path in (
            "/studies/{}", "/studies/{}/view", "/studies/1.2/series/1.3/instances/{}/document", "/help/{}",
            "/static/{}", "/ohif/{}", "/dicom-web/studies/{}", "/api/v1/studies/{}/zip", "/studies/download?study={}",
            "/dicom-web/studies/1.2/series/1.3/instances/1.4/bulkdata/{}", "/studies/new/pictures/{}",
        ):  # fmt: skip
            for client in (web, anna, browser(url)):
                answer = _raw(client, path.format(climb))
                assert b"SECRET-OUTSIDE" not in answer, path
                assert b"root:" not in answer, path


def _raw(client: httpx.Client, path: str) -> bytes:
    """The answer to a path exactly as written: clients tidy up what climbs."""
    request = client.build_request("GET", "/")
    request.url = request.url.copy_with(raw_path=path.encode())
    return client.send(request).content


def test_a_pattern_names_no_study(application: Application, url: str, anna: httpx.Client) -> None:
    studies = {fabricated(application, 1), fabricated(application, 2)}
    web = signed_in(url, "anna")
    for pattern in ("*", "*.dcm", "2.25.*", "?", "[0-9]*", "%", "2.25.%"):
        one = quote(pattern, safe="")
        for path in (f"/dicom-web/studies/{one}", f"/api/v1/studies/{one}"):
            assert anna.delete(path).status_code in {400, 404, 422}, path
            assert anna.get(path).status_code in {400, 404, 422}, path
        assert web.post(f"/studies/{one}/delete", data={"confirm_name": pattern}).status_code in {400, 404}
        assert web.post("/studies/delete", data={"study": pattern}).status_code in {303, 400, 404}
    assert {one.study_instance_uid for one in application.studies.page(OWNER, limit=10).studies} == studies


@pytest.mark.full
def test_no_value_of_a_study_decides_where_a_file_is(application: Application, anna: httpx.Client) -> None:
    before = outside(application)
    climbs = ("../../../../outside/written", "/tmp/written", "..\\..\\written", "a/b/c", ".")
    answers = [
        anna.post("/api/v1/studies", json={"kinds": ["text-card"], "seed": number, field: climb})
        for number, climb in enumerate(climbs)
        for field in ("patient_id", "accession_number", "study_description", "patient_name")
    ]
    assert {answer.status_code for answer in answers} <= {202, 400, 422}
    assert anna.post("/api/v1/studies", json={"kinds": [climbs[0]]}).status_code in {400, 404, 422}
    for answer in answers:
        if answer.status_code == 202:
            assert application.worker.run_one(answer.json()["id"])
    studies = application.studies.page(OWNER, limit=100).studies
    assert len(studies) >= len(climbs)
    assert outside(application) == before
    for study in studies:
        for instance in application.studies.local.instances(study.study_instance_uid):
            assert instance.path.resolve().is_relative_to(application.settings.studies.resolve())


@pytest.mark.full
def test_no_folder_of_this_machine_is_sent(application: Application, url: str, anna: httpx.Client) -> None:
    ben = person(application, "ben", Role.TEST_WRITE)
    server = application.pacs.add(OWNER, SERVER).id
    folder = application.settings.home.parent / "work"
    folder.mkdir()
    (folder / "one.dcm").write_bytes(b"\0" * 128 + b"DICM")
    web, api = signed_in(url, "ben"), program(url, token(application, ben))
    for name in (str(folder), "work/outside", "../work"):
        named = quote(name, safe="")
        assert web.post(f"/studies/{named}/send", data={"destination": server}).status_code in {400, 404}
        said = api.post("/api/v1/commands", json={"arguments": ["send", name, "--to", server]}, timeout=60)
        assert said.status_code in {400, 403} or json.loads(said.text.splitlines()[-1])["exit"] != 0
    assert application.jobs.page(OWNER, JobFilter()).total == 0


@pytest.mark.full
def test_no_value_becomes_a_command(application: Application, anna: httpx.Client, tmp_path: Path) -> None:
    application.pacs.add(OWNER, {**SERVER, "port": 9})
    made = anna.post("/api/v1/patients", json={"name": HOSTILE.strip(), "notes": HOSTILE})
    assert made.status_code in {201, 400, 422}
    for words in (["query", "--pacs", "alpha", "--patient-name", HOSTILE], ["query", "--pacs", "$(touch hit)"]):
        assert anna.post("/api/v1/commands", json={"arguments": words}, timeout=60).status_code in {200, 400}
    done = run(application.settings.home, "study", "create", "--kind", "text-card", "--patient-name", HOSTILE.strip())
    assert done.returncode in {0, 2}
    assert not [*tmp_path.rglob("hit"), *Path.cwd().glob("hit")]


# --- what is taken ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"environment": "production"}, {"environment": "both"}, {"environment": ""}, {"port": 999_999}, {"port": 0},
        {"host": ""}, {"aec": "A" * 40}, {"aec": ""}, {"id": "changed"},
    ],
    ids=lambda wrong: "=".join(f"{name} {value}"[:24] for name, value in wrong.items()),
)  # fmt: skip
def test_a_server_that_cannot_be_is_refused_by_its_field_and_stays(
    application: Application, anna: httpx.Client, wrong: dict[str, object]
) -> None:
    server = application.pacs.add(OWNER, SERVER)
    answer = anna.patch(f"/api/v1/servers/{server.id}", json=wrong)
    assert answer.status_code in {400, 422}, answer.text
    assert next(iter(wrong)) in answer.text
    assert anna.get(f"/api/v1/servers/{server.id}").json()["environment"] == "test"
    assert application.pacs.get(OWNER, server.id) == server
    if "id" not in wrong:
        assert anna.post("/api/v1/servers", json={**SERVER, "name": "Beta", "aec": "BETA", **wrong}).status_code in {
            400, 422,
        }  # fmt: skip


# --- nothing lost -------------------------------------------------------------------------------------------------


@pytest.mark.full
def test_many_writers_at_once_lose_nothing(application: Application, anna: httpx.Client, url: str) -> None:
    shown = anna.headers["Authorization"].removeprefix("Bearer ")

    def add(writer: int) -> list[int]:
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {shown}"}, timeout=60) as client:
            return [
                client.post("/api/v1/patients", json={"name": f"DOE^W{writer}N{number}"}).status_code
                for number in range(5)
            ]

    with concurrent.futures.ThreadPoolExecutor(8) as writers:
        answers = [code for codes in writers.map(add, range(8)) for code in codes]
    assert set(answers) == {201}
    assert anna.get("/api/v1/patients", params={"limit": 1}).json()["total"] == 40
    kept = [application.patients.page(OWNER, offset=at, limit=20) for at in (0, 20)]
    assert len({one.data.patient_id for page in kept for one in page.patients}) == 40


@pytest.mark.full
def test_commands_and_pages_write_into_the_same_registry(application: Application, anna: httpx.Client) -> None:
    home = application.settings.home
    with concurrent.futures.ThreadPoolExecutor(4) as commands:
        done = list(commands.map(lambda _: run(home, "patient", "invent", "--count", "10"), range(4)))
        assert anna.post("/api/v1/patients", json={"name": "DOE^WEB"}).status_code == 201
    assert [one.returncode for one in done] == [0] * 4, [one.stderr for one in done]
    assert anna.get("/api/v1/patients", params={"limit": 1}).json()["total"] == 41


def test_an_identifier_is_never_given_again(application: Application, anna: httpx.Client) -> None:
    first = [added(anna, name=f"DOE^N{number}") for number in range(3)]
    assert anna.delete(f"/api/v1/patients/{first[1]['number']}").status_code in {200, 204}
    new = added(anna, name="DOE^NEW")
    assert new["patient_id"] not in {one["patient_id"] for one in first}
    names = {one["name"] for one in anna.get("/api/v1/patients").json()["items"]}
    assert names == {"DOE^N0", "DOE^N2", "DOE^NEW"}


def test_a_new_patient_id_is_found_and_the_old_one_is_not(application: Application, anna: httpx.Client) -> None:
    one = added(anna, name="DOE^JANE", patient_id="OLD1")
    changed = anna.patch(f"/api/v1/patients/{one['number']}", json={"patient_id": "NEW1"})
    assert changed.status_code == 200
    for wanted, total in (("NEW1", 1), ("OLD1", 0)):
        assert anna.get("/api/v1/patients", params={"search": wanted}).json()["total"] == total


@pytest.mark.full
def test_a_damaged_database_is_told_and_left_and_nobody_new_gets_in(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with installation(home) as application:
        person(application, "anna", Role.ADMIN)
    database = home / "dicomfab.sqlite3"
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    broken = b"{" + os.urandom(4096)
    database.write_bytes(broken)
    done = run(home, "serve", "--port", str(free_ports(1, "127.0.0.1")[0]))
    assert done.returncode not in {0, 2}, done
    assert "dicomfab.sqlite3" in done.stderr
    assert database.read_bytes() == broken


@pytest.mark.full
def test_a_damaged_file_of_the_lab_is_told_and_left(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "lab").mkdir(parents=True)
    (home / "lab" / "lab.json").write_text('{"ports": ')
    done = run(home, "lab", "status")
    assert done.returncode == 2
    assert "lab.json" in done.stderr
    assert (home / "lab" / "lab.json").read_text() == '{"ports": '
