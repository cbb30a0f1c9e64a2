from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

from dicomfab.web.run import logging_to
from tests.unit.web.conftest import ORIGIN, Browser

PAGES = ("/", "/pacs", "/pacs/new", "/pacs/import", "/pacs/alpha/edit", "/pacs/alpha/routing", "/pacs/beta/delete")
PAGES += ("/query", "/query?pacs=alpha&run=1", "/query?run=1", "/studies", "/studies/new", "/studies/{study}")
PAGES += ("/studies/{study}/delete", "/query/move?source=alpha&study={study}", "/nowhere", "/jobs", "/jobs/77")


@pytest.mark.parametrize("host", ["localhost:5001", "127.0.0.1:5001", "[::1]:5001", "LOCALHOST"])
def test_loopback_names_are_served(browser: Browser, host: str) -> None:
    assert browser.get("/healthz", host=host).text == "ok"


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "10.0.0.1:5001", "", "[::1", "0.0.0.0"])
def test_other_names_are_refused(browser: Browser, host: str) -> None:
    assert browser.get("/healthz", host=host).status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Origin": ORIGIN}, 303),
        ({"Sec-Fetch-Site": "same-origin", "Origin": ORIGIN}, 303),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:8042"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "http://localhost:8042"}, 403),
        ({"Origin": "null"}, 403),
        ({}, 403),
    ],
)
def test_changes_come_from_own_pages_only(
    browser: Browser, servers: tuple[str, str], headers: dict[str, str], status: int
) -> None:
    assert browser.request("POST", "/pacs/alpha/delete", headers=headers).status_code == status
    assert ("Alpha" in browser.get("/pacs").text) == (status == 403)


def test_another_site_may_link_but_not_embed(browser: Browser) -> None:
    linked = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    embedded = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert browser.get("/studies", **linked).status_code == 200
    assert browser.get("/query/answers?pacs=x", **embedded).status_code == 403


@pytest.mark.parametrize("path", PAGES)
def test_pages_hold_nothing_inline_and_carry_the_headers(
    browser: Browser, servers: tuple[str, str], study: str, path: str
) -> None:
    response = browser.get(path.format(study=study))
    if response.status_code == 303:  # a search has an address of its own
        response = browser.get(response.headers["location"])
    text = response.text
    assert "Mode none: no sign-in." in text
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not re.search(r"<[^>]*\s(style|on\w+|hx-on\S*)=", text)
    assert "'unsafe" not in response.headers["content-security-policy"]
    assert "default-src 'self'" in response.headers["content-security-policy"]
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-frame-options"] == "DENY"


def test_the_log_names_no_patient(browser: Browser, servers: tuple[str, str], tmp_path: Path) -> None:
    with logging_to(tmp_path / "logs" / "web.log"):
        searched = browser.get("/query?pacs=alpha&patient_name=SECRETNAME&run=1")
        browser.get(searched.headers["location"])
        browser.get("/studies?q=SECRETNAME")
    text = (tmp_path / "logs" / "web.log").read_text()
    assert "GET /query 303" in text
    assert "GET /query 200" in text
    assert "SECRETNAME" not in text


def test_a_fault_in_a_thread_of_its_own_is_in_the_log(tmp_path: Path) -> None:
    with logging_to(tmp_path / "logs" / "web.log"):
        thread = threading.Thread(target=[].pop, name="list-run")
        thread.start()
        thread.join()
    text = (tmp_path / "logs" / "web.log").read_text()
    assert "ERROR dicomfab.web.run: thread list-run ended by a fault" in text
    assert "IndexError" in text


def test_the_words_of_a_fault_are_not_in_the_log_and_its_place_is(tmp_path: Path) -> None:
    def broken() -> None:
        name = "^".join(("SECRET", "ANNA"))
        raise ValueError(name) from KeyError(name)

    with logging_to(tmp_path / "logs" / "web.log"):
        thread = threading.Thread(target=broken, name="list-run")
        thread.start()
        thread.join()
    text = (tmp_path / "logs" / "web.log").read_text()
    assert "ValueError" in text
    assert "in broken" in text
    assert "SECRET^ANNA" not in text


def test_a_path_cannot_forge_a_line_of_the_log(browser: Browser, tmp_path: Path) -> None:
    with logging_to(tmp_path / "logs" / "web.log"):
        browser.get("/nothing%0A2026-01-31 12:00:00,000 INFO dicomfab.web.app: forged")
    lines = (tmp_path / "logs" / "web.log").read_text().splitlines()
    assert not any(line.startswith("2026-01-31 12:00:00,000") for line in lines)
    assert any("forged" in line for line in lines)


def test_names_are_text_and_never_markup(browser: Browser) -> None:
    form = {"name": "<b>x</b>", "host": "h", "port": "104", "aec": "A", "environment": "test"}
    form |= {"aet_find": "A", "aet_echo": "A"}
    form |= {"connect_timeout_s": "5", "association_timeout_s": "5", "dimse_timeout_s": "5", "retrieve_timeout_s": "5"}
    assert browser.post("/pacs/new", form).status_code == 303
    assert "&lt;b&gt;x&lt;/b&gt;" in browser.get("/pacs").text
    assert "<b>x</b>" not in browser.get("/pacs").text
