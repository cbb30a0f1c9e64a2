from __future__ import annotations

import json
from typing import Any

import pytest

from dicomfab.app.build import Application
from dicomfab.model.values import Environment
from tests.unit.web.conftest import ACTOR, Browser

FORM = {
    "name": "Hospital PACS",
    "host": "pacs.example.com",
    "port": "104",
    "aec": "PACS",
    "environment": "prod",
    "aet_find": "FINDER",
    "aet_store": "",
    "aet_echo": "ECHOER",
    "capabilities": ["echo", "find"],
    "connect_timeout_s": "2.5",
    "association_timeout_s": "5",
    "dimse_timeout_s": "30",
    "retrieve_timeout_s": "300",
    "is_active": "true",
    "notes": "two\nlines",
}


def test_the_form_has_the_labels_of_the_guide(browser: Browser) -> None:
    text = browser.get("/pacs/new").text
    for label in ("Name", "Host", "Port", "AEC", "Environment", "Find AE", "Store AE", "Echo AE"):
        assert f'class="form-label">{label}</label>' in text
    assert '<option value="" selected>Choose …</option>' in text
    assert text.count('value="DICOMFAB"') == 3


def test_a_server_is_added_as_given(browser: Browser, application: Application) -> None:
    response = browser.post("/pacs/new", FORM)
    assert (response.status_code, response.headers["location"]) == (303, "/pacs#hospital-pacs")
    server = application.pacs.get(ACTOR, "hospital-pacs")
    assert (server.port, server.environment, server.aet_find, server.aet_store) == (104, Environment.PROD, "FINDER", "")
    assert sorted(server.capabilities) == ["echo", "find"]
    assert (server.connect_timeout_s, server.is_default) == (2.5, False)
    assert server.notes == "two\nlines"
    assert (server.max_associations, server.max_pdu, server.rate_per_minute) == (2, 0, 0)


def test_the_limits_of_a_server_are_kept_and_shown_again(browser: Browser, application: Application) -> None:
    limits = {"max_associations": "4", "max_pdu": "65536", "rate_per_minute": "30", "permitted_hours": "18:00-6:00"}
    assert browser.post("/pacs/new", {**FORM, **limits}).status_code == 303
    server = application.pacs.get(ACTOR, "hospital-pacs")
    assert (server.max_associations, server.max_pdu, server.rate_per_minute) == (4, 65536, 30)
    shown = browser.get("/pacs/hospital-pacs/edit").text
    for value in ("4", "65536", "30", "18:00-06:00"):
        assert f'value="{value}"' in shown
    refused = browser.post("/pacs/hospital-pacs/edit", {**FORM, **limits, "permitted_hours": "at night"})
    assert refused.status_code == 400
    assert "is not a span of the day" in refused.text
    assert "18:00-06:00,12:00-13:00" in refused.text


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", " ", "is empty"),
        ("host", "http://x", "is not a host name"),
        ("port", "0", "is not a port number"),
        ("port", "", "is not a port number"),
        ("aec", "A\\B", "contains a backslash"),
        ("aec", "A" * 17, "has 17 characters"),
        ("environment", "", "Choose test or prod"),
        ("environment", "staging", "is neither"),
        ("aet_find", "", "is empty"),
        ("dimse_timeout_s", "many", "is not a number"),
        ("dimse_timeout_s", "-1", "dimse_timeout_s-error"),
        ("name", "Alpha", "is already the id of alpha"),
        ("tls_ca_file", "ca.pem", "is not a path from the root on"),
        ("tls_key_file", "/k.pem", "tls_certificate_file-error"),
        ("tls_profile", "ssl3", "is not a TLS profile"),
        ("tls_server_name", "a b", "is not a host name"),
    ],
)
def test_a_mistake_is_said_at_its_field_and_changes_nothing(
    browser: Browser, application: Application, servers: tuple[str, str], field: str, value: str, said: str
) -> None:
    before = application.pacs.export_json(ACTOR)
    response = browser.post("/pacs/new", {**FORM, field: value})
    assert response.status_code in {400, 409}
    assert f'id="{field}-error"' in response.text or said.endswith("-error")
    assert said in response.text
    assert 'value="pacs.example.com"' in response.text or field == "host"
    assert 'value="echo" checked' in response.text
    assert application.pacs.export_json(ACTOR) == before


def test_a_server_is_edited_and_what_was_folded_survives(browser: Browser, application: Application) -> None:
    browser.post("/pacs/new", FORM)
    page = browser.get("/pacs/hospital-pacs/edit").text
    assert 'value="FINDER"' in page
    assert '<details class="more" open>' in page
    assert browser.post("/pacs/hospital-pacs/edit", {**FORM, "port": "11112"}).status_code == 303
    server = application.pacs.get(ACTOR, "hospital-pacs")
    assert (server.port, server.notes, server.connect_timeout_s) == (11112, "two\nlines", 2.5)


TLS_FORM = {
    "tls": "true",
    "tls_ca_file": "/etc/ssl/hospital.pem",
    "tls_certificate_file": "/c.pem",
    "tls_key_file": "/k.pem",
    "tls_verify": "true",
    "tls_profile": "modified-bcp-195",
    "tls_server_name": "pacs.example.com",
}


def test_a_secure_connection_is_set_and_shown(browser: Browser, application: Application) -> None:
    assert '<details class="more" open>' not in browser.get("/pacs/new").text
    browser.post("/pacs/new", {**FORM, **TLS_FORM})
    server = application.pacs.get(ACTOR, "hospital-pacs")
    assert {name: getattr(server, name) for name in TLS_FORM} == {**TLS_FORM, "tls": True, "tls_verify": True}
    page = browser.get("/pacs/hospital-pacs/edit").text
    assert 'name="tls" value="true" checked' in page
    assert 'value="/etc/ssl/hospital.pem"' in page
    assert '<option value="modified-bcp-195" selected>' in page
    assert "TLS</span>" in browser.get("/pacs").text
    browser.post("/pacs/hospital-pacs/edit", {**FORM, **TLS_FORM, "tls_verify": "false"})
    assert not application.pacs.get(ACTOR, "hospital-pacs").tls_verify
    assert "TLS, not verified" in browser.get("/pacs").text
    browser.post("/pacs/hospital-pacs/edit", FORM)
    assert not application.pacs.get(ACTOR, "hospital-pacs").tls
    assert "TLS</span>" not in browser.get("/pacs").text


def test_how_a_server_is_asked_over_dicomweb_is_set_and_shown(browser: Browser, application: Application) -> None:
    web = {"dicomweb_root": "https://x/w", "dicomweb_user": "us", "dicomweb_secret_file": "/secret", "via": "web"}
    browser.post("/pacs/new", {**FORM, **web})
    server = application.pacs.get(ACTOR, "hospital-pacs")
    assert {name: getattr(server, name) for name in web} == web
    page = browser.get("/pacs/hospital-pacs/edit").text
    assert '<option value="web" selected>' in page
    assert 'value="/secret"' in page
    refused = browser.post("/pacs/hospital-pacs/edit", {**FORM, **web, "dicomweb_root": ""})
    assert refused.status_code == 400
    assert "has no DICOMweb address" in refused.text
    browser.post("/pacs/hospital-pacs/edit", FORM)
    assert application.pacs.get(ACTOR, "hospital-pacs").via == "dimse"


def test_a_form_without_the_word_never_switches_the_check_of_certificates_off(
    browser: Browser, application: Application
) -> None:
    browser.post("/pacs/new", {**FORM, "tls": "true"})
    server = application.pacs.get(ACTOR, "hospital-pacs")
    assert (server.tls, server.tls_verify, server.tls_profile) == (True, True, "bcp-195")


def test_a_change_of_environment_is_asked_for(browser: Browser, application: Application) -> None:
    browser.post("/pacs/new", FORM)
    response = browser.post("/pacs/hospital-pacs/edit", {**FORM, "environment": "test"})
    assert response.status_code == 409
    assert 'name="change_environment"' in response.text
    assert application.pacs.get(ACTOR, "hospital-pacs").environment is Environment.PROD
    wrong = browser.post("/pacs/hospital-pacs/edit", {**FORM, "environment": "test", "change_environment": "true"})
    assert wrong.status_code == 409
    assert application.pacs.get(ACTOR, "hospital-pacs").environment is Environment.PROD
    confirmed = {**FORM, "environment": "test", "change_environment": f" {FORM['name'].upper()} "}
    assert browser.post("/pacs/hospital-pacs/edit", confirmed).status_code == 303
    assert application.pacs.get(ACTOR, "hospital-pacs").environment is Environment.TEST


def test_deleting_asks_first(browser: Browser, servers: tuple[str, str]) -> None:
    assert "Delete Alpha?" in browser.get("/pacs/alpha/delete").text
    assert "Alpha" in browser.get("/pacs").text
    assert browser.post("/pacs/alpha/delete").status_code == 303
    assert browser.get("/pacs/alpha/delete").status_code == 404


def test_routing_is_saved_as_a_whole(browser: Browser, application: Application, servers: tuple[str, str]) -> None:
    assert "Move AE for Beta" in browser.get("/pacs/alpha/routing").text
    assert browser.post("/pacs/alpha/routing", {"route.beta": "BETA_AE"}).status_code == 303
    assert application.pacs.route(ACTOR, "alpha", "beta") == "BETA_AE"
    wrong = browser.post("/pacs/alpha/routing", {"route.beta": "SEVENTEEN_LETTERS"})
    assert wrong.status_code == 400
    assert 'value="SEVENTEEN_LETTERS"' in wrong.text
    assert 'id="beta-error"' in wrong.text
    assert application.pacs.route(ACTOR, "alpha", "beta") == "BETA_AE"
    assert browser.post("/pacs/alpha/routing", {"route.beta": " "}).status_code == 303
    assert not any(row.ae_title for row in application.pacs.routes(ACTOR, "alpha"))


def test_a_failed_connection_is_explained_in_the_row(browser: Browser, servers: tuple[str, str]) -> None:
    row = browser.post("/pacs/alpha/test", HX_Request="true", HX_Target="alpha")
    assert row.status_code == 200
    assert row.text.lstrip().startswith("<tbody")
    assert "Connection failed" in row.text
    assert "Likely cause" in row.text
    assert browser.post("/pacs/test").status_code == 303
    assert browser.get("/pacs").text.count("Why the last test of") == 2


def test_an_unknown_server_is_an_alert_for_htmx_and_a_page_otherwise(browser: Browser) -> None:
    fragment = browser.post("/pacs/nobody/test", HX_Request="true")
    assert (fragment.status_code, fragment.headers["hx-retarget"]) == (404, "#alerts")
    assert "<html" not in fragment.text
    whole = browser.post("/pacs/nobody/test")
    assert (whole.status_code, "<html" in whole.text) == (404, True)


def test_export_and_import_round_trip(browser: Browser, application: Application, servers: tuple[str, str]) -> None:
    application.pacs.set_routes(ACTOR, "alpha", {"beta": "BETA"})
    exported = browser.get("/pacs/export")
    assert "pacs-servers.json" in exported.headers["content-disposition"]
    for server_id in servers:
        application.pacs.remove(ACTOR, server_id)
    report = browser.post("/pacs/import", files={"file": ("x.json", exported.content)})
    assert "2 added" in report.text
    assert json.loads(browser.get("/pacs/export").text) == json.loads(exported.text)
    assert json.loads(browser.get("/pacs/export?server=alpha").text)["name"] == "Alpha"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no file was chosen"),
        (b"\xff\xfe{", "not UTF-8"),
        (b"{", "x.json"),
        (b'{"name": "A", "prot": 1}', "did you mean"),
        (b" " * (4 << 20) + b"{}", "larger than 4 MB"),
    ],
)
def test_a_file_that_cannot_be_used_imports_nothing(
    browser: Browser, application: Application, content: bytes, said: str
) -> None:
    files: Any = {"file": ("x.json", content)}
    response = browser.post("/pacs/import", files=files)
    assert response.status_code == 400
    assert said in response.text
    assert application.pacs.servers(ACTOR) == ()


def test_what_may_be_sent_there_follows_the_environment_until_it_is_chosen(
    browser: Browser, application: Application
) -> None:
    browser.post("/pacs/new", FORM)
    server = application.pacs.get(ACTOR, "hospital-pacs")
    assert (server.allow_synthetic, server.allow_real) == (False, True)
    chosen = {**FORM, "allow_synthetic": "true", "allow_real": "false"}
    assert browser.post("/pacs/hospital-pacs/edit", chosen).status_code == 303
    server = application.pacs.get(ACTOR, "hospital-pacs")
    assert (server.allow_synthetic, server.allow_real) == (True, False)
    shown = browser.get("/pacs/hospital-pacs/edit").text
    assert '<option value="true" selected>yes</option>' in shown
    back = {**FORM, "environment": "test", "change_environment": FORM["name"], "allow_synthetic": "", "allow_real": ""}
    assert browser.post("/pacs/hospital-pacs/edit", back).status_code == 303
    server = application.pacs.get(ACTOR, "hospital-pacs")
    assert (server.allow_synthetic, server.allow_real) == (True, False)


def test_a_test_server_where_production_stood_wants_its_name_typed(browser: Browser, application: Application) -> None:
    browser.post("/pacs/new", FORM)
    browser.post("/pacs/hospital-pacs/delete")
    back = {**FORM, "name": "Back", "environment": "test"}
    for typed in ("", "true", FORM["name"]):
        refused = browser.post("/pacs/new", {**back, "change_environment": typed})
        assert refused.status_code == 409
        assert 'name="change_environment"' in refused.text
        assert "stood in production" in refused.text
    given = {name: back[name] for name in ("name", "host", "port", "aec", "environment")}
    text = json.dumps({"id": "back", **given}).encode()
    for typed in ("", "true", FORM["name"]):
        files = {"file": ("pacs.json", text, "application/json")}
        assert browser.post("/pacs/import", {"change_environment": typed}, files=files).status_code == 409
    assert application.pacs.servers(ACTOR) == ()
    assert browser.post("/pacs/new", {**back, "change_environment": " back "}).status_code == 303
    assert application.pacs.get(ACTOR, "back").environment is Environment.TEST


def test_an_import_that_changes_the_environment_wants_the_names_typed(
    browser: Browser, application: Application
) -> None:
    browser.post("/pacs/new", FORM)
    text = b'{"id": "hospital-pacs", "environment": "test"}'
    for typed in ("", "true", "Another"):
        response = browser.post(
            "/pacs/import", {"change_environment": typed}, files={"file": ("pacs.json", text, "application/json")}
        )
        assert response.status_code == 409
        assert application.pacs.get(ACTOR, "hospital-pacs").environment is Environment.PROD
    typed = f"Another, {FORM['name'].lower()}"
    done = browser.post(
        "/pacs/import", {"change_environment": typed}, files={"file": ("pacs.json", text, "application/json")}
    )
    assert done.status_code == 200
    assert application.pacs.get(ACTOR, "hospital-pacs").environment is Environment.TEST
