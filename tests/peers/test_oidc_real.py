"""Sign in at a real OpenID provider, npm's oidc-provider."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from dicomfab.identity.oidc import OidcAnswer, OidcProvider, OidcSettings
from dicomfab.model.account import Refusal
from dicomfab.model.errors import DirectoryUnavailable
from dicomfab.model.person import Rejected, Step
from tests.peers.oidc_providers import PEOPLE, Browser, RealProvider, answer_of, oidc_provider

pytestmark = pytest.mark.peers

ADDRESS = "http://127.0.0.1:8000"
CALLBACK = f"{ADDRESS}/oidc/callback"


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> Iterator[RealProvider]:
    with oidc_provider(tmp_path_factory.mktemp("oidc"), CALLBACK) as provider:
        yield provider


def client_of(provider: RealProvider, **settings: Any) -> OidcProvider:
    """Ours, of that provider."""
    values = {
        "address": ADDRESS,
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "client_secret": provider.client_secret,
    }
    return OidcProvider(OidcSettings(**values | settings), lambda: datetime.now(UTC))


def sign_in(client: OidcProvider, name: str) -> OidcAnswer | Rejected:
    request = client.begin()
    return client.answered(answer_of(request.address, name), request)


@pytest.mark.parametrize("name", PEOPLE)
def test_person_and_groups(real, name):
    came = sign_in(client_of(real), name)
    assert isinstance(came, OidcAnswer)
    assert came.person.subject == f"{real.issuer} number-of-{name}"
    assert (came.person.name, came.person.display_name) == (name, f"{name.title()} Tester")
    assert came.person.groups == PEOPLE[name]


def test_nothing_secret_is_told_or_logged(real, caplog):
    caplog.set_level(logging.DEBUG)
    steps: list[Step] = []
    client = client_of(real)
    request = client.begin()
    query = answer_of(request.address, "anna")
    caplog.clear()  # the browser's side
    came = client.answered(query, request, steps.append)
    assert isinstance(came, OidcAnswer)
    told = repr((steps, came, request)) + caplog.text
    for secret in (real.client_secret, came.id_token, query["code"], request.verifier, request.nonce, request.state):
        assert secret not in told
    assert "Basic " not in caplog.text


def test_answer_cannot_be_used_twice(real):
    client = client_of(real)
    request = client.begin()
    query = answer_of(request.address, "anna")
    assert isinstance(client.answered(query, request), OidcAnswer)
    came = client.answered(query, request)
    assert isinstance(came, Rejected)
    assert came.refusal is Refusal.ANSWER_INVALID


def test_code_of_somebody_else(real):
    client = client_of(real)
    ours, theirs = client.begin(), client.begin()
    stolen = answer_of(theirs.address, "anna")
    query = answer_of(ours.address, "ben") | {"code": stolen["code"]}
    came = client.answered(query, ours)
    assert isinstance(came, Rejected)
    assert came.refusal is Refusal.ANSWER_INVALID


def test_answer_in_another_browser(real):
    client = client_of(real)
    came = client.answered(answer_of(client.begin().address, "anna"), client.begin())
    assert isinstance(came, Rejected)
    assert came.refusal is Refusal.NOT_ASKED


def test_person_who_breaks_off(real):
    client = client_of(real)
    request = client.begin()
    came = client.answered(answer_of(request.address, "", cancel=True), request)
    assert isinstance(came, Rejected)
    assert came.refusal is Refusal.DENIED_THERE
    assert "the person broke off" in came.why


def test_wrong_client_secret(real):
    client = client_of(real, client_secret="another")
    request = client.begin()
    with pytest.raises(DirectoryUnavailable) as caught:
        client.answered(answer_of(request.address, "anna"), request)
    assert "client id and secret" in caught.value.cause


def test_issuer_with_a_slash_too_many(real):
    with pytest.raises(DirectoryUnavailable) as caught:
        client_of(real, issuer=real.issuer + "/").begin()
    assert "another issuer" in caught.value.cause


def test_logout_ends_there_and_comes_back(real):
    client = client_of(real)
    with Browser() as browser:
        request = client.begin()
        came = client.answered(browser.sign_in(request.address, "anna"), request)
        assert isinstance(came, OidcAnswer)

        # The provider knows the person still, and asks for no password.
        request = client.begin()
        again = client.answered(browser.sign_in(request.address, password="wrong"), request)
        assert isinstance(again, OidcAnswer)
        assert again.person == came.person

        assert browser.sign_out(client.logout_address(again.id_token)) == f"{ADDRESS}/sign-in"
        with pytest.raises(AssertionError, match="Name or password are wrong"):
            browser.sign_in(client.begin().address, password="wrong")


@pytest.mark.full
@pytest.mark.parametrize(
    ("algorithm", "proves_by", "groups_in_token"),
    [
        ("PS256", "client_secret_basic", False),
        ("ES256", "client_secret_post", True),
        ("RS256", "client_secret_basic", False),
    ],
)
def test_kinds_of_providers(tmp_path, algorithm, proves_by, groups_in_token):
    with oidc_provider(
        tmp_path, CALLBACK, algorithm=algorithm, proves_by=proves_by, groups_in_token=groups_in_token
    ) as provider:
        for name, groups in PEOPLE.items():
            came = sign_in(client_of(provider), name)
            assert isinstance(came, OidcAnswer), came
            assert (came.person.name, came.person.groups) == (name, groups)


@pytest.mark.full
def test_provider_that_is_started_again_with_other_keys(tmp_path):
    with oidc_provider(tmp_path, CALLBACK) as provider:
        client = client_of(provider)
        assert isinstance(sign_in(client, "anna"), OidcAnswer)
        port = urlsplit(provider.issuer).port
    with pytest.raises(DirectoryUnavailable):
        client_of(provider).begin()
    with oidc_provider(tmp_path, CALLBACK, port=port or 0):
        assert isinstance(sign_in(client, "anna"), OidcAnswer)
