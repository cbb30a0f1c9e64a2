"""The sign-in by SAML with real identity providers: SimpleSAMLphp and that of pysaml2."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from dicomfab.identity.saml import LogoutAsked, SamlAnswer, SamlProvider, SamlSettings
from dicomfab.model.account import Refusal
from dicomfab.model.person import Rejected
from tests.peers.saml_answers import Scene, brought, keys_of, read
from tests.peers.saml_attacks import ATTACKS, GOOD, let_in
from tests.peers.saml_providers import (
    USERS,
    IdentityProvider,
    browser,
    display_name_of,
    pysaml2_idp,
    sign_in,
    simplesamlphp,
)

pytestmark = pytest.mark.peers

#: Nothing listens there: the test looks at what the browser would bring.
ADDRESS = "http://127.0.0.1:9"
PEERS = ("simplesamlphp", "pysaml2")


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True)
class Site:
    """An identity provider, and we beside it."""

    idp: IdentityProvider
    provider: SamlProvider
    settings: SamlSettings

    def asked(self, client: httpx.Client, name: str = "ben") -> tuple[str, str]:
        """A question, and the answer that the browser brings."""
        question = self.provider.begin("/back?a=1&b=2")
        form = sign_in(client, question.address, name)
        assert form.action == f"{ADDRESS}/saml/acs"
        assert form.fields["RelayState"] == "/back?a=1&b=2"
        return question.id, form.fields["SAMLResponse"]

    def let_in(self, client: httpx.Client, name: str = "ben") -> SamlAnswer:
        question, field = self.asked(client, name)
        found = let_in(self.provider, field, question)
        assert isinstance(found, SamlAnswer), found
        return found


def started(kind: str, folder: Path) -> AbstractContextManager[IdentityProvider]:
    if kind == "pysaml2":
        return pysaml2_idp(folder)
    return simplesamlphp(folder, encrypt=kind == "simplesamlphp, encrypted")


def beside(idp: IdentityProvider, **more: object) -> Site:
    ours = keys_of("ours")
    values = {"address": ADDRESS, "certificate": ours.certificate, "key": ours.key, "metadata": idp.metadata}
    settings = SamlSettings(**(values | more))
    provider = SamlProvider(settings, now)
    idp.trust(provider.metadata())
    return Site(idp, provider, settings)


@pytest.fixture(scope="module", params=PEERS)
def site(request, tmp_path_factory) -> Iterator[Site]:
    with started(request.param, tmp_path_factory.mktemp("idp")) as idp:
        yield beside(idp)


@pytest.fixture(scope="module")
def answer(site: Site) -> tuple[str, str]:
    with browser() as client:
        return site.asked(client)


@pytest.fixture(scope="module")
def scene(site: Site) -> Scene:
    return Scene(site.idp.keys, site.settings, keys_of("attacker"))


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with browser() as one:
        yield one


def last_redirection(client: httpx.Client, address: str) -> str:
    """Follow a browser until it would come back to us; gives the query."""
    for _ in range(8):
        page = client.get(address, follow_redirects=False)
        address = str(page.url.join(page.headers["location"]))
        if address.startswith(ADDRESS):
            assert urlsplit(address).path == "/saml/logout"
            return urlsplit(address).query
    raise AssertionError("it goes round in circles")


# ------------------------------------------------------------------ signing in


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "carla" else pytest.mark.full) for name in USERS]
)
def test_says_who_somebody_is(name, site, client):
    found = site.let_in(client, name)
    assert found.person.name == name
    assert found.person.display_name == display_name_of(name)
    assert found.person.groups == frozenset(USERS[name])
    assert found.person.subject == found.name_id
    assert found.name_id_format.endswith(":persistent")
    assert now() < found.expires_at < now() + dt.timedelta(minutes=10)


@pytest.mark.full
def test_somebody_is_the_same_the_next_time(site):
    subjects = set()
    for name in ("ben", "ben", "anna"):
        with browser() as client:
            subjects.add(site.let_in(client, name).person.subject)
    assert len(subjects) == 2


@pytest.mark.full
def test_a_wrong_password_gives_no_answer(site, client):
    with pytest.raises(ValueError, match="Incorrect"):
        sign_in(client, site.provider.begin("").address, "ben", "wrong")


@pytest.mark.full
def test_the_peer_refuses_a_question_that_was_altered(site, client):
    address = site.provider.begin("/back").address
    with pytest.raises(ValueError, match=r"refused|Unhandled exception|validat"):
        sign_in(client, address.replace("RelayState=%2Fback", "RelayState=%2Felsewhere"), "ben")


@pytest.mark.full
def test_reads_what_the_peer_encrypts(tmp_path, client):
    with started("simplesamlphp, encrypted", tmp_path) as idp:
        site = beside(idp)
        question, field = site.asked(client, "carla")
        assert b"EncryptedAssertion" in base64.b64decode(field)
        assert b"carla" not in base64.b64decode(field)
        found = let_in(site.provider, field, question)
        assert isinstance(found, SamlAnswer), found
        assert found.person.groups == frozenset(USERS["carla"])
        assert site.provider.logout(found.name_id, found.name_id_format, found.session_index)


@pytest.mark.full
def test_an_attribute_identifies_somebody_if_so_set(tmp_path, client):
    with started("simplesamlphp", tmp_path) as idp:
        assert beside(idp, subject_attribute="mail").let_in(client).person.subject == "ben@lab.example"


# ------------------------------------------------------------------ attacks


@pytest.mark.full
@pytest.mark.parametrize("name", ATTACKS)
def test_refuses(name, site, answer, scene):
    question, field = answer
    found = let_in(site.provider, brought(ATTACKS[name](read(field), scene)), question)
    assert isinstance(found, Rejected), found


@pytest.mark.full
@pytest.mark.parametrize("name", GOOD)
def test_reads(name, site, answer, scene):
    question, field = answer
    whole = let_in(site.provider, field, question)
    assert isinstance(whole, SamlAnswer), whole
    found = let_in(site.provider, brought(GOOD[name](read(field), scene)), question)
    assert isinstance(found, SamlAnswer), found
    assert found.person == whole.person
    assert found.name_id == whole.name_id


@pytest.mark.full
def test_takes_a_signed_response_only_if_so_set(site, answer, scene):
    question, field = answer
    strict = SamlProvider(
        SamlSettings(
            address=ADDRESS,
            certificate=site.settings.certificate,
            key=site.settings.key,
            metadata=site.settings.metadata,
            require_signed_response=True,
        ),
        now,
    )
    assert isinstance(let_in(strict, field, question), SamlAnswer)
    bare = brought(GOOD["signature_of_the_response_left_out"](read(field), scene))
    assert isinstance(let_in(strict, bare, question), Rejected)


# ------------------------------------------------------------------ single logout


def test_ends_the_session_there(site, client):
    found = site.let_in(client)
    address = site.provider.logout(found.name_id, found.name_id_format, found.session_index)
    query = last_redirection(client, address)
    assert "Signature=" in query
    assert site.provider.logout_answered(query) is None
    with browser() as fresh:
        fresh.cookies.update(client.cookies)
        assert "SAMLResponse" not in fresh.get(site.provider.begin("").address).text


def ended_there(site: Site, client: httpx.Client) -> tuple[SamlAnswer, str]:
    """The request that comes when the session is ended at the identity provider."""
    found = site.let_in(client)
    if site.idp.metadata.endswith("/metadata"):
        begin = httpx.URL(
            f"{site.idp.address}/end", params={"name_id": found.name_id, "session_index": found.session_index}
        )
    else:
        begin = httpx.URL(
            f"{site.idp.address}/saml2/idp/initSLO.php", params={"RelayState": f"{site.idp.address}/done"}
        )
    return found, last_redirection(client, str(begin))


@pytest.mark.full
def test_is_asked_to_end_a_session(site, client):
    found, query = ended_there(site, client)
    asked = site.provider.logout_asked(query)
    assert isinstance(asked, LogoutAsked), asked
    assert (asked.name_id, asked.session_index) == (found.name_id, found.session_index)
    assert asked.answer_address.startswith(site.idp.address)
    page = client.get(asked.answer_address, follow_redirects=False)
    assert page.status_code in (200, 302, 303), page.text[:2000]
    if page.status_code == httpx.codes.OK:
        assert page.text == "True"


def altered(query: str) -> dict[str, str]:
    """The ways to alter a signed query."""
    parts = dict(part.split("=", 1) for part in query.split("&"))
    kind = next(name for name in parts if name.startswith("SAML"))
    other = "SAMLResponse" if kind == "SAMLRequest" else "SAMLRequest"
    sha1 = "http%3A%2F%2Fwww.w3.org%2F2000%2F09%2Fxmldsig%23rsa-sha1"

    def written(**changed: str) -> str:
        return "&".join(f"{name}={value}" for name, value in (parts | changed).items() if value)

    return {
        "signature left out": written(Signature=""),
        "algorithm left out": written(SigAlg=""),
        "another algorithm": written(SigAlg=sha1),
        "another signature": written(Signature=parts["Signature"][::-1].replace("D3%", "%3D")),
        "signature that is none": written(Signature="%25%25"),
        "another state": written(RelayState="elsewhere"),
        "another message": written(**{kind: parts[kind][:-6] + "AAAAAA"}),
        "the message twice": f"{query}&{kind}={parts[kind]}",
        "a message of each kind": f"{query}&{other}={parts[kind]}",
        "no message": written(**{kind: ""}),
        "nothing": "",
        "much too much": f"{query}&x={'x' * 100_000}",
    }


@pytest.mark.full
def test_refuses_altered_requests_to_end_a_session(site, client):
    _, query = ended_there(site, client)
    assert isinstance(site.provider.logout_asked(query), LogoutAsked)
    for how, bad in altered(query).items():
        found = site.provider.logout_asked(bad)
        assert isinstance(found, Rejected), how
        assert found.refusal is Refusal.ANSWER_INVALID
    assert isinstance(site.provider.logout_answered(query), Rejected)


@pytest.mark.full
def test_refuses_altered_answers_about_a_session(site, client):
    found = site.let_in(client)
    query = last_redirection(client, site.provider.logout(found.name_id, found.name_id_format, found.session_index))
    assert site.provider.logout_answered(query) is None
    for how, bad in altered(query).items():
        assert isinstance(site.provider.logout_answered(bad), Rejected), how
    assert isinstance(site.provider.logout_asked(query), Rejected)


@pytest.mark.full
def test_an_old_request_to_end_a_session_is_refused(site, client):
    _, query = ended_there(site, client)
    later = SamlProvider(site.settings, lambda: now() + dt.timedelta(minutes=7))
    assert isinstance(later.logout_asked(query), Rejected)
