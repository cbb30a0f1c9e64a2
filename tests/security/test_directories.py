"""Signing in by Active Directory, SAML and OpenID Connect, through the pages, against real peers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from dicomfab.app.build import Application
from dicomfab.app.web_settings import Mode, WebSettings
from dicomfab.model.account import Refusal
from dicomfab.model.actor import Role
from dicomfab.storage.audit import AuditFilter
from tests.peers import oidc_providers, saml_providers
from tests.peers.domain_controller import DomainController, domain_controller, password_of, shared_seed
from tests.peers.programs import free_port
from tests.peers.saml_answers import keys_of
from tests.security.served import Clock, browser, in_this_process, person, sign_in
from tests.unit.web.people import OWNER, PASSWORD

pytestmark = pytest.mark.allow_hosts(["127.0.0.0/8", "::1", "localhost"])

ONE_ANSWER = "name, password or code is not right"
HELP = "PACS team, phone 4711"
WEB = WebSettings(modes=(Mode.LDAP, Mode.LOCAL, Mode.SAML, Mode.OIDC))
NAVIGATING = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DomainController]:
    with domain_controller(tmp_path_factory.mktemp("domain"), seed=shared_seed(tmp_path_factory)) as running:
        yield running


@pytest.fixture(scope="module")
def identity_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[saml_providers.IdentityProvider]:
    with saml_providers.pysaml2_idp(tmp_path_factory.mktemp("idp")) as running:
        yield running


@contextmanager
def settings(monkeypatch: pytest.MonkeyPatch, **given: object) -> Iterator[None]:
    with monkeypatch.context() as patch:
        for name, value in {"SIGN_IN_HELP": HELP, **given}.items():
            patch.setenv(f"DICOMFAB_{name}", str(value))
        yield


@pytest.fixture
def by_ldap(
    application: Application, controller: DomainController, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[str]:
    """The address of pages where people sign in by Active Directory, or locally."""
    secret = tmp_path / "ldap-password"
    secret.write_text(f"{controller.password}\n")
    given = {
        "AUTH": "ldap,local",
        "LDAP_SERVERS": f"ldaps://{controller.address}",
        "LDAP_BASE": controller.base,
        "LDAP_ACCOUNT": controller.account,
        "LDAP_PASSWORD_FILE": secret,
        "LDAP_CA": controller.ca_file,
    }
    with settings(monkeypatch, **given), in_this_process(application, WEB) as url:
        yield url


@pytest.fixture
def by_saml(
    application: Application,
    identity_provider: saml_providers.IdentityProvider,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[str]:
    """The address of pages where people sign in by SAML."""
    keys = keys_of("dicomfab")
    (tmp_path / "saml.pem").write_text(keys.certificate)
    (tmp_path / "saml.key").write_text(keys.key)
    with in_this_process(application, WEB) as url:
        given = {
            "AUTH": "saml,local",
            "WEB_ADDRESS": url,
            "SAML_METADATA": identity_provider.metadata,
            "SAML_CERTIFICATE": tmp_path / "saml.pem",
            "SAML_KEY": tmp_path / "saml.key",
        }
        with settings(monkeypatch, **given):
            identity_provider.trust(browser(url).get("/saml/metadata").text)
            yield url


@pytest.fixture
def by_oidc(application: Application, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The address of pages where people sign in by OpenID Connect."""
    with (
        in_this_process(application, WEB) as url,
        oidc_providers.oidc_provider(tmp_path, f"{url}/oidc/callback") as provider,
    ):
        secret = tmp_path / "oidc-secret"
        secret.write_text(provider.client_secret)
        given = {
            "AUTH": "oidc,local",
            "WEB_ADDRESS": url,
            "OIDC_ISSUER": provider.issuer,
            "OIDC_CLIENT_ID": provider.client_id,
            "OIDC_SECRET_FILE": secret,
        }
        with settings(monkeypatch, **given):
            yield url


def by_password(url: str, name: str, password: str = "", source: str = "ldap", **more: Any) -> httpx.Response:
    client = browser(url, **more)
    data = {"name": name, "password": password or password_of(name), "source": source}
    answer = client.post("/sign-in", data=data)
    answer.extensions["browser"] = client
    return answer


def answered(url: str, name: str, client: httpx.Client, page: str = "/") -> saml_providers.Form:
    """The form with which the SAML provider would send a browser back that begins here."""
    away = client.get("/sign-in/saml", params={"next": page})
    assert away.status_code == 303
    with saml_providers.browser() as there:
        form = saml_providers.sign_in(there, away.headers["location"], name)
    assert form.action == f"{url}/saml/acs"
    return form


def posted(url: str, form: saml_providers.Form, **headers: str) -> httpx.Response:
    """Another site's page sends the form: without any cookie of ours."""
    return browser(url, **NAVIGATING, **headers).post("/saml/acs", data=form.fields)


def reasons(application: Application) -> list[str]:
    """Of the refusals in the audit log, the oldest first."""
    page = application.audit.page(OWNER, AuditFilter(), limit=200)
    return [one.event.reason for one in reversed(page.entries) if one.event.reason]


# ------------------------------------------------------------------ Active Directory


def test_people_of_the_directory_come_in_with_the_roles_of_their_groups(by_ldap: str, application: Application) -> None:
    for name, roles in {
        "anna": {Role.ADMIN},
        "LAB\\ben": {Role.TEST_READ},
        "carla@lab.example": {Role.TEST_WRITE, Role.PROD_READ},
        "nils": {Role.TEST_WRITE},
    }.items():
        account = name.rsplit("\\", 1)[-1].split("@")[0]
        answer = by_password(by_ldap, name, password_of(account))
        assert answer.status_code == 303, (name, answer.text)
        me = answer.extensions["browser"].get("/api/v1/me").json()
        assert (me["name"], set(me["roles"])) == (account, roles)
    assert {one.source for one in application.accounts.every(OWNER)} == {"ldap"}


def test_requirement_8_whoever_is_not_let_in_reads_one_sentence(by_ldap: str, application: Application) -> None:
    told = {
        ("ben", "wrong"): Refusal.WRONG_PASSWORD,
        ("ghost", "x"): Refusal.UNKNOWN_NAME,
        ("disabled", ""): Refusal.DISABLED,
        ("expired", ""): Refusal.ACCOUNT_EXPIRED,
        ("mustchange", ""): Refusal.MUST_CHANGE_PASSWORD,
        ("*", "x"): Refusal.UNKNOWN_NAME,
    }
    for number, (name, password) in enumerate(told):
        answer = by_password(by_ldap, name, password, sender=f"127.0.0.{number + 2}")
        assert answer.status_code == 401
        assert ONE_ANSWER in answer.text
        assert HELP in answer.text
    assert [one for one in reasons(application) if one in set(told.values())] == list(told.values())


def test_requirement_11_no_group_no_access(by_ldap: str, application: Application) -> None:
    answer = by_password(by_ldap, "nogroup")
    assert answer.status_code == 401
    assert "none of your groups gives access here" in answer.text
    assert not application.accounts.every(OWNER)
    assert answer.extensions["browser"].get("/api/v1/me").status_code == 401
    came, steps = application.account_parts.group_roles.explain(OWNER, "nogroup")
    assert (came, steps[-1].is_good) == (Refusal.NO_GROUP, False)


def test_a_lost_group_ends_the_session_within_minutes(
    by_ldap: str, application: Application, controller: DomainController, clock: Clock
) -> None:
    client = by_password(by_ldap, "paula").extensions["browser"]
    rechecking = application.account_parts.rechecking()
    assert rechecking.look() == 0  # she was just asked about
    with controller.administrator() as domain:
        domain.remove_member("DF-ProdWrite", "paula")
        try:
            assert client.get("/api/v1/me").json()["roles"] == ["prod_write"]
            clock.move(minutes=6)
            assert rechecking.look() == 1
            assert client.get("/api/v1/me").status_code == 401
        finally:
            domain.add_member("DF-ProdWrite", "paula")
    assert by_password(by_ldap, "paula").status_code == 303


def test_a_directory_that_is_away_lets_nobody_in_on_what_it_said_before(
    by_ldap: str, application: Application, controller: DomainController, clock: Clock
) -> None:
    client = by_password(by_ldap, "ben").extensions["browser"]
    person(application, "ben", Role.TEST_READ)
    controller.stop()
    try:
        clock.move(minutes=14)
        assert client.get("/").status_code == 200
        clock.move(minutes=2)
        gone = client.get("/")
        assert gone.status_code == 503
        assert "Sign-in is not possible now" in gone.text
        refused = by_password(by_ldap, "ben")
        assert refused.status_code == 503
        assert HELP in refused.text
        assert by_password(by_ldap, "ben", PASSWORD, "local").status_code == 303
    finally:
        controller.start()
    clock.move(minutes=1)
    assert application.account_parts.rechecking().look() == 1
    assert client.get("/").status_code == 200


def test_groups_are_edited_and_count_at_once(by_ldap: str, application: Application) -> None:
    admin = by_password(by_ldap, "anna").extensions["browser"]
    ben = by_password(by_ldap, "ben").extensions["browser"]
    groups = {"group": "df-testread", "roles": ["test_read", "test_write"]}
    assert admin.post("/directories/groups", data=groups).status_code == 303
    assert set(ben.get("/api/v1/me").json()["roles"]) == {"test_read", "test_write"}
    wrong = admin.post("/directories/groups", data={"group": "x", "roles": []})
    assert (wrong.status_code, "a group that gives none" in wrong.text) == (400, True)
    assert admin.post("/directories/groups/remove", data={"group": "DF-TESTREAD"}).status_code == 303
    assert ben.get("/api/v1/me").status_code == 401
    assert ben.get("/directories").status_code in {303, 403}
    changes = [one.event for one in application.audit.page(OWNER, AuditFilter(), limit=200).entries]
    assert {"group": "DF-TESTREAD", "roles": "none", "change": "group_changed"} in [one.detail for one in changes]


def test_an_administrator_sees_each_step_and_no_secret(by_ldap: str, application: Application) -> None:
    admin = by_password(by_ldap, "anna").extensions["browser"]
    by_password(by_ldap, "ben", "wrong horse battery")
    shown = admin.get("/directories").text
    assert "wrong password" in shown
    explained = admin.post("/directories/explain", data={"name": "carla", "password": password_of("carla")}).text
    for word in ("would come in", "DF-TestWrite", "prod_read"):
        assert word in explained
    for page in (shown, explained):
        for secret in ("wrong horse battery", password_of("carla"), password_of("anna"), password_of("svc-df")):
            assert secret not in page


def test_requirement_15_one_name_in_two_places_is_two_accounts(by_ldap: str, application: Application) -> None:
    person(application, "anna", Role.TEST_READ)
    for source, password in (("local", PASSWORD), ("ldap", password_of("anna"))):
        assert by_password(by_ldap, "anna", password, source).status_code == 303
    every = [(one.source, one.name, one.roles) for one in application.accounts.every(OWNER)]
    assert sorted(every) == [("ldap", "anna", {Role.ADMIN}), ("local", "anna", {Role.TEST_READ})]
    assert by_password(by_ldap, "anna", password_of("anna"), "saml").status_code == 401
    assert Refusal.UNKNOWN_SOURCE in reasons(application)


# ------------------------------------------------------------------ SAML


def test_by_saml_there_and_back(by_saml: str, application: Application) -> None:
    client = browser(by_saml)
    assert "Sign in with SAML" in client.get("/sign-in").text
    answer = posted(by_saml, answered(by_saml, "carla", client, "/studies"))
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/saml/finish?code=")
    done = client.get(answer.headers["location"], headers=NAVIGATING)
    assert (done.status_code, done.headers["location"]) == (303, "/studies")
    me = client.get("/api/v1/me").json()
    assert (me["name"], me["roles"]) == ("carla", ["prod_read", "test_write"])
    made = client.post("/account/tokens", data={"label": "x", "roles": ["test_write"], "days": "1"})
    assert (made.status_code, "can have no API token" in made.text) == (409, True)


def test_requirement_13_a_saml_answer_is_good_once_and_for_its_browser(by_saml: str, application: Application) -> None:
    client = browser(by_saml)
    form = answered(by_saml, "ben", client)
    first = posted(by_saml, form)
    again = posted(by_saml, form)
    assert (again.status_code, ONE_ANSWER in again.text) == (401, True)
    stolen = browser(by_saml).get(first.headers["location"])
    assert stolen.status_code == 401
    assert client.get(first.headers["location"]).status_code == 401  # a code is used up by whoever shows it
    unasked = answered(by_saml, "ben", browser(by_saml))
    with_other = client.get(posted(by_saml, unasked).headers["location"])
    assert with_other.status_code == 401
    assert reasons(application).count(Refusal.NOT_ASKED) == 4
    assert client.get("/api/v1/me").status_code == 401


@pytest.mark.full
def test_an_altered_saml_answer_begins_no_session(by_saml: str, application: Application) -> None:
    client = browser(by_saml)
    form = answered(by_saml, "ben", client)
    for text in ("", "%%%", form.fields["SAMLResponse"][:-400], "A" * 300_000):
        form.fields["SAMLResponse"] = text
        refused = posted(by_saml, form)
        assert (refused.status_code, ONE_ANSWER in refused.text) == (401, True)
    assert client.get("/api/v1/me").status_code == 401


def test_what_saml_said_is_asked_for_again(by_saml: str, application: Application, clock: Clock) -> None:
    client = browser(by_saml)
    client.get(posted(by_saml, answered(by_saml, "ben", client)).headers["location"])
    going = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}
    assert client.get("/studies", headers=going).status_code == 200
    clock.move(minutes=6)
    sent = client.get("/studies", headers=going)
    assert (sent.status_code, sent.headers["location"]) == (303, "/sign-in/saml?next=%2Fstudies")
    assert client.get("/api/v1/me").status_code == 200  # what a page fetches goes on
    clock.move(minutes=10)
    assert client.get("/api/v1/me").status_code == 401
    assert client.get("/studies").headers["location"] == "/sign-in/saml?next=%2Fstudies"
    clock.move(minutes=-16)  # the provider has the clock of the machine
    cookies = dict(client.cookies)
    client.get(posted(by_saml, answered(by_saml, "ben", client)).headers["location"])
    assert client.get("/studies", headers=going).status_code == 200
    [session] = [name for name in cookies if "session" in name]
    assert client.cookies[session] == cookies[session]  # it goes on, for as long as it would have lasted
    client.get(posted(by_saml, answered(by_saml, "carla", client)).headers["location"])
    assert client.cookies[session] != cookies[session]
    assert client.get("/api/v1/me").json()["name"] == "carla"
    stale = browser(by_saml, cookie=f"{session}={cookies[session]}")
    assert stale.get("/api/v1/me").status_code == 401


def test_signing_out_ends_the_session_at_the_provider_too(by_saml: str, application: Application) -> None:
    client = browser(by_saml)
    client.get(posted(by_saml, answered(by_saml, "ben", client)).headers["location"])
    left = client.post("/sign-out")
    assert left.status_code == 200
    onwards = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', left.text)
    assert onwards is not None
    assert "SAMLRequest=" in onwards[1]
    assert client.get("/api/v1/me").status_code == 401
    with saml_providers.browser() as there:
        back = there.get(onwards[1].replace("&amp;", "&"), follow_redirects=False)
    assert urlsplit(back.headers["location"]).path == "/saml/logout"
    assert client.get(back.headers["location"]).headers["location"] == "/sign-in"


# ------------------------------------------------------------------ OpenID Connect


def callback(client: httpx.Client, name: str, page: str = "/") -> dict[str, str]:
    away = client.get("/sign-in/oidc", params={"next": page})
    return oidc_providers.answer_of(away.headers["location"], name)


def test_by_openid_there_and_back(by_oidc: str, application: Application) -> None:
    client = browser(by_oidc)
    done = client.get("/oidc/callback", params=callback(client, "carla", "/jobs"), headers=NAVIGATING)
    assert (done.status_code, done.headers["location"]) == (303, "/jobs")
    me = client.get("/api/v1/me").json()
    assert (me["name"], me["roles"]) == ("carla", ["prod_read", "test_write"])
    left = client.post("/sign-out")
    assert "id_token_hint=" in left.text


def test_requirement_13_an_openid_answer_is_good_once_and_for_its_browser(
    by_oidc: str, application: Application
) -> None:
    client = browser(by_oidc)
    answer = callback(client, "ben")
    assert browser(by_oidc).get("/oidc/callback", params=answer).status_code == 401  # and it is used up
    assert client.get("/oidc/callback", params=answer).status_code == 401
    answer = callback(client, "ben")
    assert client.get("/oidc/callback", params={**answer, "state": f"{answer['state']}x"}).status_code == 401
    assert client.get("/oidc/callback", params=answer).status_code == 303
    assert client.get("/oidc/callback", params=answer).status_code == 401
    assert reasons(application).count(Refusal.NOT_ASKED) == 4


def test_a_provider_that_is_away_is_told_of(
    application: Application, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("x")
    given = {
        "AUTH": "oidc",
        "WEB_ADDRESS": "http://localhost:1",
        "OIDC_ISSUER": f"http://127.0.0.1:{free_port()}",
        "OIDC_CLIENT_ID": "dicomfab",
        "OIDC_SECRET_FILE": tmp_path / "secret",
    }
    with settings(monkeypatch, **given), in_this_process(application, WEB) as url:
        client = browser(url)
        assert 'name="password"' not in client.get("/sign-in").text
        assert sign_in(client, "anna").status_code == 401  # nobody has a password here
        gone = client.get("/sign-in/oidc")
        assert (gone.status_code, "Sign-in is not possible now" in gone.text) == (503, True)
