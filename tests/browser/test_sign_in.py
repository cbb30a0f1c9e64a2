"""From the first run to signing out, in Chromium, on a server that people sign in to; and commands from afar."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyotp
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from dicomfab.testpacs.ports import free_ports
from tests.browser.conftest import Picture

PASSWORD = "a horse on the roof"
WAIT_S = 20
CODE = re.compile(r"[A-Z2-7]{4}(-[A-Z2-7]{4}){3}")


@dataclass(frozen=True)
class Served:
    """A running server: where it is, the code of its first run, and its home."""

    url: str
    code: str
    home: Path

    def call(self, token: str, *words: str) -> subprocess.CompletedProcess[str]:
        """A command from afar; its own home is empty."""
        environment = {**os.environ, "DICOMFAB_HOME": str(self.home / "elsewhere"), "DICOMFAB_TOKEN": token}
        command = [sys.executable, "-m", "dicomfab", "--server", self.url, *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("signed-in")
    (port,) = free_ports(1, "127.0.0.1")
    environment = {**os.environ, "DICOMFAB_HOME": str(home), "DICOMFAB_AUTH": "local", "DICOMFAB_WORKER_IDLE_S": "0"}
    command = [sys.executable, "-m", "dicomfab", "serve", "--port", str(port)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        lines = [server.stdout.readline() for _ in range(3)]
        found = CODE.search(lines[2])
        assert found, lines
        try:
            yield Served(f"http://localhost:{port}", found[0], home)
        finally:
            server.send_signal(signal.SIGINT)
            try:
                server.communicate(timeout=WAIT_S)
            except subprocess.TimeoutExpired:
                server.kill()
                raise
    assert server.returncode == 0


def sign_in(page: Page, served: Served, name: str = "anna", password: str = PASSWORD, to: str = "/") -> None:
    page.goto(served.url + to)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    with page.expect_navigation():
        page.get_by_role("button", name="Sign in").click()


def nothing_wrong(page: Page) -> None:
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.reload()
        violations = Axe().run(page).response["violations"]
        assert [(v["id"], [n["target"] for n in v["nodes"]]) for v in violations] == []
    page.emulate_media(color_scheme="light")


def token_of(page: Page, served: Served, role: str) -> str:
    page.goto(f"{served.url}/account")
    page.get_by_label("What for").fill(f"{role} from afar")
    page.get_by_label(re.compile(rf"^{role} ")).check()
    page.get_by_role("button", name="Make a token").click()
    return page.locator("code.token").inner_text()


@pytest.fixture(scope="module")
def first(served: Served, browser_type_launch_args: object, browser: object) -> Served:
    """The first administrator has been made, as a person makes one."""
    page = browser.new_page()  # type: ignore[attr-defined]
    page.goto(f"{served.url}/set-up")
    nothing_wrong(page)
    page.get_by_label("Set-up code").fill(served.code)
    page.get_by_label("Name to sign in with").fill("anna")
    page.get_by_label("Password").fill("short")
    page.get_by_role("button", name="Make administrator").click()
    expect(page.get_by_text("12 characters or more, and at most")).to_be_visible()
    page.get_by_label("Set-up code").fill(served.code)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Make administrator").click()
    expect(page).to_have_url(f"{served.url}/sign-in")
    page.goto(f"{served.url}/set-up")
    expect(page).to_have_url(f"{served.url}/sign-in")
    page.close()
    return served


def test_who_signs_in_comes_to_the_page_that_was_asked_for_and_who_signs_out_sees_nothing(
    page: Page, first: Served, picture: Picture
) -> None:
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if "Content Security" in message.text else None)
    page.goto(f"{first.url}/jobs?state=failed")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_role("navigation")).to_have_count(0)
    nothing_wrong(page)
    sign_in(page, first, password="wrong", to="/jobs?state=failed")
    expect(page.get_by_text("name, password or code is not right")).to_be_visible()
    picture(page, "sign-in")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{first.url}/jobs?state=failed")
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.context.add_cookies([{**cookie, "url": first.url, "domain": None, "path": None}])  # type: ignore[list-item]
    page.goto(f"{first.url}/jobs")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert problems == []


@pytest.mark.full
def test_a_second_factor_is_asked_for_from_then_on(page: Page, first: Served) -> None:
    sign_in(page, first, to="/account")
    page.get_by_role("button", name="Set one up").click()
    secret = page.locator("#factor dd code").first.inner_text()
    page.get_by_label("The code that it shows now").fill(pyotp.TOTP(secret).now())
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_text("Signing in asks for a code")).to_be_visible()
    page.context.clear_cookies()
    sign_in(page, first, to="/account")
    expect(page.get_by_text("the code of the second factor is needed")).to_be_visible()
    used = subprocess.run(
        [sys.executable, "-m", "dicomfab", "users", "totp", "anna", "--off"],
        env={**os.environ, "DICOMFAB_HOME": str(first.home)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert used.returncode == 0, used.stderr


@pytest.mark.full
def test_users_are_made_and_a_command_from_afar_has_the_roles_of_its_token(
    page: Page, first: Served, picture: Picture
) -> None:
    sign_in(page, first, to="/users")
    nothing_wrong(page)
    page.get_by_label("Name to sign in with").fill("ben")
    page.get_by_label("First password").fill("ben sails at night")
    page.get_by_label("test_read").check()
    page.get_by_role("button", name="Add user").click()
    expect(page.get_by_role("heading", name="ben")).to_be_visible()
    nothing_wrong(page)
    page.goto(f"{first.url}/users")
    picture(page, "users")
    token = token_of(page, first, "test_read")
    picture(page, "account")
    listed = first.call(token, "pacs", "list", "--json")
    assert (listed.returncode, json.loads(listed.stdout)) == (0, [])
    refused = first.call(token, "pacs", "add", "--name", "X", "--host", "localhost", "--port", "104", "--aec", "X",
                         "--environment", "test")  # fmt: skip
    assert refused.returncode == 5
    assert "may not configure" in refused.stderr
    assert first.call(token, "lab", "start").returncode == 5
    assert first.call(token, "study", "create", "--kind", "text-card", "--out", "/x").returncode == 2
    made = first.call(token, "study", "create", "--kind", "text-card", "--json")
    assert made.returncode == 0, made.stderr
    page.goto(f"{first.url}/account")
    page.get_by_role("button", name="Revoke").first.click()
    assert first.call(token, "pacs", "list").returncode == 5


@pytest.mark.full
def test_a_session_that_is_over_leads_to_signing_in_and_back_to_the_same_page(page: Page, first: Served) -> None:
    """On an open dashboard, by what renews it; and by a button of a page that was open."""
    sign_in(page, first)
    expect(page.get_by_role("heading", name="Dashboard")).to_be_visible()
    page.context.clear_cookies()
    page.evaluate("htmx.trigger(document.getElementById('dashboard'), 'sse:changed')")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    for field, value in (("Name", "anna"), ("Password", PASSWORD)):
        page.get_by_label(field).fill(value)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{first.url}/")
    page.goto(f"{first.url}/patients/invent")
    page.context.clear_cookies()
    page.locator("main form button").first.click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    for field, value in (("Name", "anna"), ("Password", PASSWORD)):
        page.get_by_label(field).fill(value)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{first.url}/patients/invent")
