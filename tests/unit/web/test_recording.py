"""The doors have recorded what they refuse, once, with the address it came from."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from dicomfab.app.build import Application
from dicomfab.app.web_settings import Mode, WebSettings
from dicomfab.model.account import Origin
from dicomfab.model.actor import local_admin
from dicomfab.model.audit import AuditEvent, Outcome
from dicomfab.storage.audit import AuditFilter
from dicomfab.web.app import create_app
from tests.unit.web.conftest import Browser

OWNER = local_admin("owner", "cli")
PASSWORD = "tulip marble seven"


def entries(application: Application) -> list[AuditEvent]:
    found = application.audit._log.page(AuditFilter(), limit=1000).entries
    return [one.event for one in reversed(found)]


def test_a_page_shows_a_study_and_deletes_it(application: Application, browser: Browser, study: str):
    before = len(entries(application))
    assert browser.get(f"/studies/{study}").status_code == 200
    assert browser.post(f"/studies/{study}/delete").status_code == 303
    found = entries(application)[before:]
    assert [str(one.kind) for one in found] == ["view", "deletion"]
    assert {(one.actor, one.door, one.address, one.study_uids) for one in found} == {
        ("local", "web", "127.0.0.1", (study,))
    }


@pytest.mark.parametrize("path", ["/users", "/audit"])
def test_a_page_that_is_refused_is_one_entry(application: Application, path: str):
    application.accounts.add(OWNER, "ben", ("test_read",), password=PASSWORD)
    token, _ = application.sign_in.sign_in("ben", PASSWORD, Origin("192.0.2.1"))
    browser = Browser(create_app(application, WebSettings(modes=(Mode.LOCAL,))))
    before = len(entries(application))
    assert browser.get(path, Cookie=f"dicomfab-session-5001={token}").status_code == 403
    (found,) = entries(application)[before:]
    assert (str(found.kind), found.actor, found.door, found.address) == ("refusal", "ben", "web", "127.0.0.1")
    assert found.outcome is Outcome.SERIOUS
    assert token not in str(found)


def test_whoever_is_not_signed_in_is_one_entry(application: Application):
    browser = Browser(create_app(application, WebSettings(modes=(Mode.LOCAL,))))
    assert browser.get("/studies").status_code == 303
    assert entries(application) == []  # on the way to the page where one signs in
    assert browser.post("/pacs/alpha/delete").status_code == 303
    (found,) = entries(application)
    assert (str(found.kind), found.actor, found.door, found.address) == ("refusal", "", "web", "127.0.0.1")
    assert found.detail == {"request": "POST /pacs/alpha/delete"}
    secret = "dfab_aaaaaaaa_" + "b" * 43
    assert browser.get("/studies", Authorization=f"Bearer {secret}").status_code == 401
    assert [str(one.kind) for one in entries(application)] == ["refusal", "sign-in"]
    assert secret[-20:] not in str(entries(application))


def test_a_command_that_is_refused_is_one_entry(application: Application, study: str, servers: tuple[str, str]):
    before = len(entries(application))
    home = {**os.environ, "DICOMFAB_HOME": str(application.settings.home)}
    words = [sys.executable, "-m", "dicomfab", "study", "send", study, "--to", servers[1]]
    ended = subprocess.run(words, env=home, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode not in (0, 1), ended.stderr
    found = [one for one in entries(application)[before:] if str(one.kind) == "refusal"]
    assert [(one.door, one.outcome) for one in found] == [("cli", Outcome.SERIOUS)], ended.stderr
