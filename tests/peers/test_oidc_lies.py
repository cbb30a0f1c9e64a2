"""One lie of an OpenID provider at a time: each lets nobody in. The same provider, honest, lets its person in."""

from __future__ import annotations

import base64
import hashlib
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomfab.identity.oidc import OidcAnswer, OidcProvider, OidcSettings
from dicomfab.identity.oidc_http import WHOLE_S
from dicomfab.model.account import Refusal
from dicomfab.model.errors import DirectoryUnavailable
from dicomfab.model.person import Rejected, Step
from tests.peers.oidc_hostile import CLIENT_ID, CLIENT_SECRET, Hostile, Lie, hostile_provider, key_of
from tests.peers.oidc_lies import DOCUMENT, FINE, KEYS, LIES, TOKEN, USERINFO, at, drip, drop, put, shift

pytestmark = pytest.mark.peers

# Shorter than in use, so that lies about time are found out soon.
_WHOLE_S = 1.0
_TRIED_ALWAYS = {"aud_azp", "nonce", "badkey", "none", "hs256", "discovery_other_issuer", "mix_up", "token_redirect"}


@pytest.fixture(scope="module")
def shared() -> Iterator[Hostile]:
    with hostile_provider() as hostile:
        yield hostile


@pytest.fixture
def hostile(shared) -> Hostile:
    shared.__dict__.update(lie=Lie(), algorithm="RS256", key_name="k1", asked=[])
    return shared


@dataclass
class Clock:
    """Ours.

    Args:
        ahead: of the true time.
    """

    ahead: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def client_of(hostile: Hostile, clock: Clock | None = None, whole_s: float = _WHOLE_S, **values: Any) -> OidcProvider:
    """Ours, of that provider."""
    usual = {
        "address": "http://127.0.0.1:8000",
        "issuer": hostile.issuer,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
    }
    return OidcProvider(OidcSettings(**usual | values), clock or Clock(), whole_s=whole_s)


def signed_in(client: OidcProvider, hostile: Hostile) -> OidcAnswer | Rejected:
    """What comes of one more sign-in."""
    request = client.begin()
    return client.answered(hostile.answer_of(request.address), request)


def outcome(hostile: Hostile, steps: list[Step], **values: Any) -> OidcAnswer | Rejected | DirectoryUnavailable:
    """What comes of a sign-in."""
    client = client_of(hostile, **values)
    try:
        request = client.begin()
        return client.answered(hostile.answer_of(request.address), request, steps.append)
    except DirectoryUnavailable as error:
        return error


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in _TRIED_ALWAYS else pytest.mark.full) for name in LIES]
)
def test_lie_lets_nobody_in(hostile, name):
    told, steps = LIES[name], list[Step]()
    hostile.lie = told.lie
    began = time.monotonic()
    came = outcome(hostile, steps)
    took = time.monotonic() - began
    hostile.lasting.set()
    hostile.lasting.clear()

    if told.refusal is None:
        assert isinstance(came, DirectoryUnavailable), came
        said = f"{came}"
    else:
        assert isinstance(came, Rejected), came
        assert came.refusal is told.refusal
        said = came.why
    assert told.words in said
    # Each request has its time, and no lie is told at more than one.
    assert took < _WHOLE_S + 3
    told_all = said + repr(steps) + repr(came)
    assert CLIENT_SECRET not in told_all
    assert not any(step.is_good for step in steps[-1:])
    assert "/elsewhere" not in hostile.asked


@pytest.mark.parametrize("algorithm", ["RS256", "PS384", "ES256", "ES512"])
def test_honest_one_lets_its_person_in(hostile, algorithm):
    hostile.algorithm = algorithm
    steps: list[Step] = []
    came = outcome(hostile, steps)
    assert isinstance(came, OidcAnswer), came
    assert came.person.subject == f"{hostile.issuer} 4711"
    assert (came.person.name, came.person.display_name) == ("anna", "Anna Tester")
    assert came.person.groups == {"DF-Admin"}
    assert all(step.is_good for step in steps)
    assert USERINFO not in hostile.asked
    assert CLIENT_SECRET not in repr(steps) + repr(came)
    assert came.id_token not in repr(steps) + repr(came)


@pytest.mark.parametrize("name", FINE)
def test_what_is_allowed_lets_its_person_in(hostile, name):
    hostile.lie = FINE[name]
    came = outcome(hostile, [])
    assert isinstance(came, OidcAnswer), came
    assert came.person.groups == {"DF-Admin"}


def test_groups_are_asked_of_userinfo_if_the_token_has_none(hostile):
    hostile.lie = Lie(claims=drop("groups"))
    came = outcome(hostile, [])
    assert isinstance(came, OidcAnswer)
    assert came.person.groups == {"DF-ProdRead"}
    assert hostile.asked.count(USERINFO) == 1


def test_signed_token_counts_more_than_userinfo(hostile):
    hostile.lie = Lie(claims=drop("preferred_username"), userinfo=put(preferred_username="ben", groups=["DF-Admin2"]))
    came = outcome(hostile, [])
    assert isinstance(came, OidcAnswer)
    assert (came.person.name, came.person.groups) == ("ben", {"DF-Admin"})


def test_nobody_can_be_asked_for_groups(hostile):
    hostile.lie = Lie(claims=drop("groups"), document=drop("userinfo_endpoint"))
    came = outcome(hostile, [])
    assert isinstance(came, OidcAnswer)
    assert came.person.groups == frozenset()


def test_one_text_is_one_group(hostile):
    hostile.lie = Lie(claims=put(roles="DF-TestRead DF-Admin", _claim_names={"groups": "src1"}, hasgroups=True))
    came = outcome(hostile, [], groups_claim="roles")
    assert isinstance(came, OidcAnswer)
    assert came.person.groups == {"DF-TestRead DF-Admin"}


def test_changed_key_is_fetched_once_a_minute(hostile):
    clock = Clock()
    client = client_of(hostile, clock)
    assert isinstance(signed_in(client, hostile), OidcAnswer)
    assert isinstance(signed_in(client, hostile), OidcAnswer)
    assert hostile.asked.count(KEYS) == 1

    hostile.key_name = "k2"
    assert isinstance(signed_in(client, hostile), OidcAnswer)
    assert hostile.asked.count(KEYS) == 2

    # Another one at once is not asked for: made-up names of keys must not have us ask without end.
    hostile.key_name = "k3"
    assert isinstance(signed_in(client, hostile), Rejected)
    assert isinstance(signed_in(client, hostile), Rejected)
    assert hostile.asked.count(KEYS) == 2

    clock.ahead = timedelta(seconds=61)
    hostile.lie = Lie(claims=shift(iat=61, exp=361))
    assert isinstance(signed_in(client, hostile), OidcAnswer)
    assert hostile.asked.count(KEYS) == 3


def test_withdrawn_key_is_believed_no_longer_than_ten_minutes(hostile):
    clock = Clock()
    client = client_of(hostile, clock)
    assert isinstance(signed_in(client, hostile), OidcAnswer)

    clock.ahead = timedelta(seconds=601)
    hostile.lie = Lie(claims=shift(iat=601, exp=901), keys=put(keys=[key_of("RS256", "other").as_dict(private=False)]))
    came = signed_in(client, hostile)
    assert isinstance(came, Rejected)
    assert "no key" in came.why


def test_many_at_once(hostile):
    client = client_of(hostile, whole_s=10)
    with ThreadPoolExecutor(8) as pool:
        came = list(pool.map(lambda _: signed_in(client, hostile), range(24)))
    assert all(isinstance(one, OidcAnswer) for one in came)
    assert hostile.asked.count(KEYS) == 1


@pytest.mark.full
def test_nobody_waits_longer_than_five_seconds_for_an_answer(hostile):
    hostile.lie = Lie(wire=at(TOKEN, drip))
    client = client_of(hostile, whole_s=WHOLE_S)
    request = client.begin()
    query = hostile.answer_of(request.address)
    began = time.monotonic()
    with pytest.raises(DirectoryUnavailable) as caught:
        client.answered(query, request)
    assert "within 5 s" in caught.value.cause
    assert 4 < time.monotonic() - began < 8


def test_code_of_another_sign_in_is_not_redeemed(hostile):
    client = client_of(hostile)
    ours, theirs = client.begin(), client.begin()
    stolen = hostile.answer_of(theirs.address)["code"]
    came = client.answered({"code": stolen, "state": ours.state, "iss": hostile.issuer}, ours)
    assert isinstance(came, Rejected)
    assert "nothing for the code" in came.why


def test_each_sign_in_has_its_own_secrets(hostile):
    client = client_of(hostile)
    requests = [client.begin() for _ in range(50)]
    for name in ("state", "nonce", "verifier"):
        values = {getattr(request, name) for request in requests}
        assert len(values) == 50
        assert all(len(value) >= 43 for value in values)
    assert not any(request.verifier in request.address for request in requests)
    assert hostile.asked.count(DOCUMENT) == 1


def test_what_the_provider_is_asked(hostile):
    request = client_of(hostile, scope="openid roles").begin()
    asked = dict(parse_qsl(urlsplit(request.address).query))
    challenge = base64.urlsafe_b64encode(hashlib.sha256(request.verifier.encode()).digest()).rstrip(b"=").decode()
    assert asked == {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": "http://127.0.0.1:8000/oidc/callback",
        "scope": "openid roles",
        "state": request.state,
        "nonce": request.nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }


@pytest.mark.full
@settings(max_examples=300)
@given(place=st.floats(0, 1), cut=st.integers(0, 3), put_in=st.text(max_size=3))
def test_altered_token_lets_nobody_else_in(shared, place, cut, put_in):
    def alter(honest: dict[str, Any]) -> None:
        token = honest["id_token"]
        at = int(place * len(token))
        honest["id_token"] = token[:at] + put_in + token[at + cut :]

    shared.__dict__.update(lie=Lie(token=alter), algorithm="ES256", key_name="k1")
    came = outcome(shared, [])
    # The same signature can be written in more than one way.
    assert isinstance(came, Rejected) or (isinstance(came, OidcAnswer) and came.person.subject.endswith(" 4711"))


def test_request_without_state_is_never_answered(hostile):
    client = client_of(hostile)
    request = client.begin()
    blank = type(request)(request.address, "", request.nonce, request.verifier)
    came = client.answered({"code": "code", "iss": hostile.issuer}, blank)
    assert isinstance(came, Rejected)
    assert came.refusal is Refusal.NOT_ASKED


def test_provider_that_does_not_listen():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = Hostile(f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(DirectoryUnavailable, match="discovery document") as caught:
            client_of(nobody).begin()
    assert "cannot be reached" in caught.value.cause


def test_logout_address(hostile):
    client = client_of(hostile)
    address = client.logout_address("e30.e30.e30")
    assert address.startswith(
        f"{hostile.issuer}/end?client_id=dicomfab&post_logout_redirect_uri=http%3A%2F%2F127.0.0.1"
    )
    assert address.endswith("%2Fsign-in&id_token_hint=e30.e30.e30")
    assert "id_token_hint" not in client.logout_address("x" * 5000)
    hostile.lie = Lie(document=drop("end_session_endpoint"))
    assert client_of(hostile).logout_address("e30.e30.e30") == ""
