"""Each way in, in Chromium, against a real domain controller and real identity providers; pictures for the guide."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from dicomfab.testpacs.ports import free_ports
from tests.browser.conftest import Picture
from tests.peers import oidc_providers, saml_providers
from tests.peers.domain_controller import DomainController, domain_controller, password_of, shared_seed
from tests.peers.saml_answers import keys_of
from tests.security.served import in_a_process

pytestmark = [pytest.mark.full, pytest.mark.allow_hosts(["127.0.0.0/8", "::1", "localhost"])]

HELP = "PACS team, phone 4711"


@dataclass(frozen=True)
class Ways:
    """A server with four ways in, and who stands behind them.

    Args:
        url: of the server. On 127.0.0.1, so that the providers on localhost are another site.
        controller: the directory.
    """

    url: str
    controller: DomainController


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ways]:
    home = tmp_path_factory.mktemp("ways") / "home"
    (port,) = free_ports(1, "127.0.0.1")
    url = f"http://127.0.0.1:{port}"
    keys = keys_of("dicomfab")
    with ExitStack() as stack:
        controller = stack.enter_context(
            domain_controller(tmp_path_factory.mktemp("domain"), seed=shared_seed(tmp_path_factory))
        )
        saml = stack.enter_context(saml_providers.simplesamlphp(tmp_path_factory.mktemp("saml")))
        oidc = stack.enter_context(
            oidc_providers.oidc_provider(tmp_path_factory.mktemp("oidc"), f"{url}/oidc/callback")
        )
        files = {
            "LDAP_PASSWORD_FILE": controller.password,
            "SAML_CERTIFICATE": keys.certificate,
            "SAML_KEY": keys.key,
            "OIDC_SECRET_FILE": oidc.client_secret,
        }
        given = {name: _written(home.parent / name, text) for name, text in files.items()} | {
            "AUTH": "saml,oidc,ldap,local",
            "SIGN_IN_HELP": HELP,
            "WEB_ADDRESS": url,
            "LDAP_SERVERS": controller.address,
            "LDAP_BASE": controller.base,
            "LDAP_ACCOUNT": controller.account,
            "LDAP_CA": controller.ca_file,
            "LDAP_TITLE": "Windows account",
            "SAML_METADATA": saml.metadata,
            "SAML_TITLE": "the university",
            "OIDC_ISSUER": oidc.issuer,
            "OIDC_CLIENT_ID": oidc.client_id,
            "OIDC_TITLE": "the hospital",
        }
        settings = {f"DICOMFAB_{name}": value for name, value in given.items()}
        served = stack.enter_context(in_a_process(home, lines=3, port=port, **settings))
        saml.trust(_metadata(url))
        assert served.port == port
        yield Ways(url, controller)


def _written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def _metadata(url: str) -> str:
    with saml_providers.browser() as there:
        return there.get(f"{url}/saml/metadata").text


def signed_in_as(page: Page, name: str) -> None:
    expect(page.locator("header").get_by_text(name, exact=True).first).to_be_visible()


def nothing_wrong(page: Page) -> None:
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        violations = Axe().run(page).response["violations"]
        assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in violations] == []
    page.emulate_media(color_scheme="light")


def test_by_saml_from_another_site_and_out_again(page: Page, ways: Ways, picture: Picture) -> None:
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if "Content Security" in message.text else None)
    page.goto(f"{ways.url}/jobs?state=failed")
    expect(page.get_by_text(HELP)).to_be_visible()
    nothing_wrong(page)
    picture(page, "sign-in-ways")
    page.get_by_role("link", name="Sign in with the university").click()
    page.locator("[name=username]").fill("carla")
    page.locator("[name=password]").fill(saml_providers.password_of("carla"))
    picture(page, "sign-in-saml-provider")
    page.locator("[name=password]").press("Enter")
    expect(page).to_have_url(f"{ways.url}/jobs?state=failed")
    signed_in_as(page, "carla")
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{ways.url}/sign-in")
    page.get_by_role("link", name="Sign in with the university").click()
    expect(page.locator("[name=password]")).to_be_visible()  # the provider's session is over too
    assert problems == []


def test_by_openid_and_out_again(page: Page, ways: Ways, picture: Picture) -> None:
    page.goto(f"{ways.url}/studies")
    page.get_by_role("link", name="Sign in with the hospital").click()
    page.locator("[name=username]").fill("ben")
    page.locator("[name=password]").fill(oidc_providers.password_of("ben"))
    picture(page, "sign-in-openid-provider")
    page.locator("[name=password]").press("Enter")
    expect(page).to_have_url(f"{ways.url}/studies")
    signed_in_as(page, "ben")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(re.compile("/session/end|/sign-in"))
    page.goto(f"{ways.url}/studies")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_by_the_directory_and_what_an_administrator_sees(page: Page, ways: Ways, picture: Picture) -> None:
    def enter(name: str, password: str) -> None:
        page.goto(f"{ways.url}/directories")
        page.get_by_label("Windows account").check()
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in", exact=True).click()

    enter("nogroup", password_of("nogroup"))
    expect(page.get_by_text("none of your groups gives access here")).to_be_visible()
    picture(page, "sign-in-no-group")
    enter("anna", password_of("anna"))
    expect(page.get_by_role("heading", name="Directories", exact=True)).to_be_visible()
    page.get_by_label("Name", exact=True).fill("carla")
    page.get_by_role("button", name="Explain").click()
    expect(page.get_by_text("carla: would come in")).to_be_visible()
    nothing_wrong(page)
    page.evaluate("scrollTo(0, 0)")
    picture(page, "directories")
    page.get_by_label("Group", exact=True).fill("Radiology, PACS team")
    page.get_by_label("test_read").check()
    page.get_by_role("button", name="Save").click()
    row = page.get_by_role("row", name=re.compile("Radiology, PACS team"))
    expect(row).to_contain_text("test_read")
    row.get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)
