"""Each resource by itself, on a real home."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

from dicomfab.app.build import Application
from dicomfab.testpacs.ports import free_ports
from tests.unit.web.api.conftest import Program
from tests.unit.web.conftest import ACTOR


def entry(name: str = "Test PACS 9", **more: Any) -> dict[str, Any]:
    (port,) = free_ports(1, "127.0.0.1")
    return {"name": name, "host": "127.0.0.1", "port": port, "aec": "TESTPACS9", "environment": "test", **more}


def test_a_server_is_added_changed_tested_and_removed(program: Program) -> None:
    answer = program.answer("POST", "/servers", json=entry())
    assert (answer.status_code, answer.headers["location"]) == (201, "/api/v1/servers/test-pacs-9")
    assert program.ask("GET", "/servers/test-pacs-9") == answer.json()
    assert program.ask("PATCH", "/servers/test-pacs-9", {"notes": "a\nb"})["notes"] == "a\nb"
    tested = program.ask("POST", "/servers/test-pacs-9/test")
    assert (tested["ok"], tested["message"]["heading"]) == (False, "Connection failed")
    assert program.ask("GET", "/servers/test-pacs-9")["last_test"] == tested
    assert program.ask("DELETE", "/servers/test-pacs-9")["id"] == "test-pacs-9"
    problem = program.ask("GET", "/servers/test-pacs-9", status=404)
    assert (problem["error"], problem["code"], problem["title"]) == ("NotFound", "not-found", "Not found")
    assert problem["type"] == "urn:dicomfab:error:not-found"
    assert problem["remedy"]


def test_a_server_with_what_cannot_be_used_names_the_fields(program: Program) -> None:
    problem = program.ask("POST", "/servers", entry(port="x", aecc="Y"), status=422)
    assert {one["field"] for one in problem["errors"]} == {"port", "aecc"}
    assert problem["field"] in {"port", "aecc"}
    assert program.ask("POST", "/servers", entry(aec="A" * 17), status=400)["field"] == "aec"
    assert program.ask("GET", "/servers")["total"] == 0


def test_a_server_changes_sides_only_when_its_name_is_typed(program: Program) -> None:
    program.ask("POST", "/servers", entry(), 201)
    change = {"environment": "prod"}
    problem = program.ask("PATCH", "/servers/test-pacs-9", change, 409)
    assert (problem["error"], "Test PACS 9" in problem["remedy"]) == ("ConfirmationRequired", True)
    program.ask("PATCH", "/servers/test-pacs-9", change | {"confirm_environment": "another"}, 409)
    typed = change | {"confirm_environment": "test pacs 9"}
    assert program.ask("PATCH", "/servers/test-pacs-9", typed)["environment"] == "prod"


def test_routes_the_matrix_and_export_and_import(program: Program, servers: tuple[str, str]) -> None:
    routes = program.ask("PUT", "/servers/alpha/routes", {"move_routing": {"beta": "BETA"}})
    assert (
        routes == program.ask("GET", "/servers/alpha/routes") == {"source": "alpha", "move_routing": {"beta": "BETA"}}
    )
    matrix = program.ask("GET", "/servers/matrix")
    assert [one["id"] for one in matrix["servers"]] == ["alpha", "beta"]
    assert matrix["routes"] == [{"source": "alpha", "destination": "beta", "ae_title": "BETA"}]
    exported = program.ask("GET", "/servers/export")
    assert set(exported) == {"alpha", "beta"}
    program.ask("DELETE", "/servers/beta")
    report = program.ask("POST", "/servers/import", exported)
    assert (report["added"], list(report["changed"]) + report["unchanged"]) == (["beta"], ["alpha"])
    exported["beta"]["environment"] = "test"
    program.ask("POST", "/servers/import", exported, 409)
    program.ask("POST", "/servers/import?confirm_environment=Beta", exported)


def test_a_list_is_cut_and_tells_where_it_goes_on(program: Program) -> None:
    program.ask("POST", "/patients/invent", {"count": 5, "seed": 1}, 201)
    found, address = [], "/patients?limit=2&sort=patient_id"
    while address:
        part = program.ask("GET", address)
        assert part["total"] == 5
        found += [one["patient_id"] for one in part["items"]]
        address = (part["next"] or "").removeprefix("/api/v1")
    assert (len(found), found) == (5, sorted(found))
    for limit in (0, 201, "x"):
        assert program.ask("GET", f"/patients?limit={limit}", status=422)["field"] == "limit"


def test_a_patient_is_added_changed_and_removed(program: Program) -> None:
    made = program.ask("POST", "/patients", {"name": "DOE^JANE", "sex": "F"}, 201)["items"][0]
    where = f"/patients/{made['number']}"
    assert program.ask("GET", where) == {**made, "local_studies": 0}
    assert program.ask("PATCH", where, {"sex": "O", "revision": 1})["revision"] == 2
    assert program.ask("PATCH", where, {"sex": "M", "revision": 1}, 409)["error"] == "Conflict"
    assert program.ask("PATCH", where, {"birth_date": "never"}, 400)["field"] == "birth_date"
    assert program.ask("PATCH", where, {"address": "1 Fern Close", "phone": "+44 1"})["address"] == "1 Fern Close"
    assert program.ask("PATCH", where, {"phone": "1" * 17}, 400)["field"] == "phone"
    asked = {"seed": 7, "script": "thai", "contact": True}
    assert program.ask("POST", "/patients/invent", asked, 201)["items"][0]["phone"].startswith("+66 40 0")
    assert program.ask("POST", "/patients/invent", {"script": "x"}, 400)["field"] == "script"
    program.ask("DELETE", where)
    program.ask("GET", where, status=404)


def test_a_study_is_fabricated_looked_at_and_deleted(program: Program, application: Application) -> None:
    recipe = {"series": ["text-card"], "seed": 7, "accession_number": "SYN-7", "study_date": "20260131"}
    answer = program.answer("POST", "/studies", json={"recipe": recipe})
    job = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (202, f"/api/v1/jobs/{job['id']}")
    assert application.worker.run_one(job["id"])
    ended = program.ask("GET", f"/jobs/{job['id']}?wait_s=5")
    assert (ended["state"], ended["done"]) == ("succeeded", 1)
    (item,) = program.ask("GET", f"/jobs/{job['id']}/items")["items"]
    (study,) = program.ask("GET", "/studies?accession_number=SYN-7")["items"]
    uid = study["study_instance_uid"]
    assert item["detail"]["study_instance_uid"] == uid
    shown = program.ask("GET", f"/studies/{uid}")
    assert {name: shown[name] for name in study} == study
    (instance,) = program.ask("GET", f"/studies/{uid}/instances")["items"]
    assert instance["series_instance_uid"] == shown["series_list"][0]["series_instance_uid"]
    assert "path" not in json.dumps(instance)
    assert program.answer("GET", f"/studies/{uid}/preview.png").content.startswith(b"\x89PNG")
    program.ask("GET", f"/studies/{uid}/preview.png?series=2.25.1", status=404)
    inside = program.ask("GET", f"/studies/{uid}/instances/{instance['sop_instance_uid']}/attributes")
    assert {one["keyword"]: one["value"] for one in inside["items"]}["AccessionNumber"] == "SYN-7"
    words = f"/studies/{uid}/instances/{instance['sop_instance_uid']}/attributes?search=AccessionNumber"
    assert [one["keyword"] for one in program.ask("GET", words)["items"]] == ["AccessionNumber"]
    program.ask("GET", f"/studies/{uid}/instances/2.25.1/attributes", status=404)
    packed = zipfile.ZipFile(io.BytesIO(program.answer("GET", f"/studies/{uid}/zip").content))
    assert "DICOMDIR" in packed.namelist()
    assert program.ask("DELETE", f"/studies/{uid}") == {"deleted": uid, "instances": 1}
    program.ask("GET", f"/studies/{uid}", status=404)


def test_what_to_fabricate_is_said_in_one_way(program: Program, application: Application) -> None:
    number = program.ask("POST", "/studies", {"kinds": ["text-card"], "count": 2, "patient_name": "DOE^JANE"}, 202)[
        "id"
    ]
    assert len(application.jobs.items(ACTOR, number)) == 2
    whole = {"recipe": {"series": ["text-card"]}, "patient_id": "SYN1"}
    assert "patient_id" in program.ask("POST", "/studies", whole, 422)["detail"]
    assert program.ask("POST", "/studies", {}, 400)["field"] == "kinds"
    assert program.ask("POST", "/studies", {"recipe": {"series": []}}, 422)["errors"]
    for name in ("/etc/passwd", "x.yaml", "../recipes/x"):  # a name, never a file of the server
        assert program.ask("POST", "/studies", {"recipe": name}, 404)["error"] == "NotFound"


def test_jobs_are_cancelled_retried_and_preferred(program: Program) -> None:
    job = program.ask("POST", "/studies", {"kinds": ["text-card"]}, 202)["id"]
    assert program.ask("PUT", f"/jobs/{job}/priority", {"priority": 2})["priority"] == 2
    assert program.ask("POST", f"/jobs/{job}/pause", status=202)["state"] == "paused"
    assert program.ask("POST", f"/jobs/{job}/resume", status=202)["state"] == "queued"
    assert program.ask("POST", f"/jobs/{job}/cancel", status=202)["state"] == "cancelled"
    assert program.ask("POST", f"/jobs/{job}/pause", status=409)["error"] == "Conflict"
    assert program.ask("POST", f"/jobs/{job}/explode", status=422)["field"] == "request"
    assert [one["id"] for one in program.ask("GET", "/jobs?state=cancelled&kind=fabricate")["items"]] == [job]
    assert program.ask("GET", "/jobs?state=running")["items"] == []


def test_a_schedule_makes_one_kind_of_job(program: Program) -> None:
    new = {"cron": "30 6 * * 1-5", "time_zone": "Europe/Vienna", "fabricate": {"recipe": {"series": ["text-card"]}}}
    made = program.ask("POST", "/schedules", new, 201)
    assert program.ask("GET", f"/schedules/{made['id']}") == made
    assert program.ask("POST", f"/schedules/{made['id']}/pause")["is_enabled"] is False
    assert program.ask("POST", f"/schedules/{made['id']}/resume")["is_enabled"] is True
    assert program.ask("POST", f"/schedules/{made['id']}/run", status=202)["kind"] == "fabricate"
    assert "exactly one" in program.ask("POST", "/schedules", {"cron": "* * * * *"}, 422)["detail"]
    assert program.ask("POST", "/schedules", new | {"cron": "never"}, 400)["field"] == "cron"
    program.ask("DELETE", f"/schedules/{made['id']}", status=204)
    assert program.ask("GET", "/schedules")["total"] == 0


def test_the_doctor_looks_at_a_server_that_is_away(program: Program, servers: tuple[str, str]) -> None:
    answer = program.answer("POST", "/diagnoses/server?wait_s=30", json={"server": "Alpha"})
    told = answer.json()
    assert (answer.status_code, told["state"], told["verdict"]) == (202, "done", "found")
    assert told["causes"]
    assert program.ask("GET", answer.headers["location"].removeprefix("/api/v1")) == told
    same = {"source": "alpha", "destination": "alpha"}
    assert program.ask("POST", "/diagnoses/move", same, 400)["field"] == "destination"
    ends = {"source": "alpha", "destination": "beta", "confirm_production": "Alpha"}
    assert program.ask("POST", "/diagnoses/move", ends, 409)["error"] == "ConfirmationRequired"
    program.ask("GET", "/diagnoses/unknown", status=404)


def test_monitoring_is_read_and_switched(program: Program, servers: tuple[str, str]) -> None:
    assert [one["server"] for one in program.ask("GET", "/monitor/servers")["items"]] == ["alpha", "beta"]
    changed = program.ask("PATCH", "/monitor/servers/alpha", {"switch": "on", "interval_s": 60})
    assert (changed["switch"], changed["interval_s"]) == ("on", 60.0)
    assert program.ask("GET", "/monitor/servers/alpha?days=3&checks=1")["switch"] == "on"
    assert program.ask("GET", "/monitor/events")["items"] == []
    assert program.ask("PATCH", "/monitor/servers/alpha", {"interval_s": 1}, 400)["field"] == "interval"


def test_the_audit_log_is_read_and_verified(program: Program, servers: tuple[str, str]) -> None:
    part = program.ask("GET", "/audit?limit=1")
    assert len(part["items"]) == 1
    older = program.ask("GET", part["next"].removeprefix("/api/v1"))
    assert older["items"][0]["seq"] < part["items"][0]["seq"]
    assert program.ask("GET", f"/audit/{part['items'][0]['seq']}") == part["items"][0]
    assert program.ask("POST", "/audit/verify", {})["ok"] is True


def test_who_asks_and_what_this_is(program: Program) -> None:
    me = program.ask("GET", "/me")
    assert (me["name"], me["roles"], me["mode"]) == ("local", ["admin"], "none")
    assert program.ask("GET", "/service/health") == {"status": "ok"}
    assert program.ask("GET", "/service/version")["api"] == "v1"
    assert program.ask("GET", "/tokens", status=403)["error"] == "AccessDenied"


def test_every_refusal_is_a_problem(program: Program) -> None:
    assert program.ask("GET", "/nothing", status=404)["remedy"] == "see /api/v1/docs"
    assert program.ask("DELETE", "/servers", status=405)["code"] == "http-405"
    for content, kind, status in ((b"{", "application/json", 422), (b"a=b", "application/x-www-form-urlencoded", 415)):
        answer = program.answer("POST", "/patients", content=content, headers={"content-type": kind})
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
    assert program.answer("POST", "/patients", content=b"{").json()["field"] == "body"
    large = {"content-type": "application/json", "content-length": str(1 << 30)}
    assert program.answer("POST", "/patients", content=b"{", headers=large).json()["status"] == 413
    foreign = program.request("POST", "/api/v1/patients", json={}, headers={"Sec-Fetch-Site": "cross-site"})
    assert (foreign.status_code, foreign.json()["status"]) == (403, 403)
