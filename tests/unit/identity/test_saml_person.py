"""Who somebody is, by the attributes of an answer; and what we send."""

from __future__ import annotations

import base64
import datetime as dt
import zlib
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from dicomfab.identity.saml import SamlAnswer, SamlProvider, SamlSettings
from dicomfab.model.account import Refusal
from dicomfab.model.person import Person, Rejected
from tests.peers.saml_altered_contents import nobody_asked
from tests.peers.saml_answers import SAML, SAMLP, Scene, brought, idp_metadata, keys_of, made_answer, signed_twice

ISSUER = "https://idp.example/idp"
MACE = "urn:mace:dir:attribute-def:"
SIGN_ON = "https://idp.example/sso?x=1&amp;y=2"
LOGOUT = "https://idp.example/slo?from=us&amp;more=1"


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("saml") / "idp.xml"
    path.write_text(
        idp_metadata(ISSUER, keys_of("theirs").der, sign_on="https://idp.example/sso?x=1&amp;y=2", logout=LOGOUT)
    )
    return str(path)


def scene_of(place: str, **more: object) -> Scene:
    ours = keys_of("ours")
    values = {
        "address": "https://dicomfab.example/lab",
        "certificate": ours.certificate,
        "key": ours.key,
        "metadata": place,
    }
    return Scene(keys_of("theirs"), SamlSettings(**(values | more)), keys_of("attacker"))


def asked(scene: Scene, attributes: dict[str, list[str]]) -> SamlAnswer | Rejected:
    answer = made_answer(scene, ISSUER, "_question", attributes=attributes)
    return SamlProvider(scene.settings, now).answered(brought(answer))


# ------------------------------------------------------------------ attributes


@pytest.mark.parametrize(
    "names",
    [
        ("uid", "displayName", "memberOf"),
        (f"{MACE}uid", f"{MACE}displayName", f"{MACE}memberOf"),
        (
            "urn:oid:0.9.2342.19200300.100.1.1",
            "urn:oid:2.16.840.1.113730.3.1.241",
            "urn:oid:1.2.840.113556.1.2.102",
        ),
    ],
)
def test_reads_every_spelling(names, place):
    uid, display, groups = names
    found = asked(scene_of(place), {uid: ["eva"], display: ["Eva Maria"], groups: ["B", "A", "B"], "other": ["C"]})
    assert found.person == Person("ben", "eva", "Eva Maria", frozenset({"A", "B"}))


def test_the_name_that_is_set_goes_before_its_other_spellings(place):
    found = asked(scene_of(place), {f"{MACE}uid": ["wrong"], "uid": ["right"]})
    assert found.person == Person("ben", "right", "right", frozenset())


def test_attributes_may_be_named_at_will(place):
    claims = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims"
    scene = scene_of(
        place,
        name_attribute=f"{claims}/upn",
        display_name_attribute=f"{claims}/name",
        groups_attribute=f"{claims}/groups",
        subject_attribute="objectidentifier",
    )
    said = {
        f"{claims}/upn": ["eva@lab.example"],
        f"{claims}/name": ["Eva"],
        f"{claims}/groups": ["g-1"],
        "objectidentifier": ["42"],
        "uid": ["wrong"],
        "memberOf": ["DF-Admin"],
    }
    assert asked(scene, said).person == Person("42", "eva@lab.example", "Eva", frozenset({"g-1"}))


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({}, "has no attribute uid; those that it has: none"),
        ({"mail": ["x"], "cn": ["y"]}, "has no attribute uid; those that it has: cn, mail"),
        ({"uid": []}, "has no attribute uid"),
        ({"uid": [" "]}, "has no attribute uid"),
        ({"uid": ["ben", "anna"]}, "uid has 2 values"),
        ({"uid": ["ben"], "http://schemas.microsoft.com/claims/groups.link": ["https://x"]}, "too many groups"),
    ],
)
def test_says_what_is_missing(attributes, why, place):
    found = asked(scene_of(place), attributes)
    assert isinstance(found, Rejected)
    assert found.refusal is Refusal.ANSWER_INVALID
    assert why in found.why


def test_groups_may_stand_in_attributes_of_their_own(place):
    """As Keycloak writes them."""
    scene = scene_of(place)
    answer = made_answer(scene, ISSUER, "_q", attributes={"uid": ["ben"], "memberOf": ["A"], "x": ["B"]})
    for attribute in answer.iter(f"{SAML}Attribute"):
        if attribute.get("Name") == "x":
            attribute.set("Name", "memberOf")
    found = SamlProvider(scene.settings, now).answered(brought(signed_twice(answer, scene.provider)))
    assert found.person.groups == {"A", "B"}


def _named(scene: Scene, form: str | None) -> SamlAnswer | Rejected:
    answer = made_answer(scene, ISSUER, "_question")
    for name in answer.iter(f"{SAML}NameID"):
        if form is None:
            name.getparent().remove(name)
        else:
            name.set("Format", form)
    return SamlProvider(scene.settings, now).answered(brought(signed_twice(answer, scene.provider)))


def test_a_name_of_one_visit_identifies_nobody(place):
    transient = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
    assert "another one each time" in _named(scene_of(place), transient).why
    assert _named(scene_of(place, subject_attribute="uid"), transient).person.subject == "ben"


def test_without_name_an_attribute_is_needed(place):
    assert "no NameID" in _named(scene_of(place), None).why
    found = _named(scene_of(place, subject_attribute="uid"), None)
    assert (found.person.subject, found.name_id) == ("ben", "")
    assert SamlProvider(scene_of(place).settings, now).logout("", "", "") == ""


def test_an_answer_nobody_asked_for_only_if_so_set(place):
    for allowed in (False, True):
        scene = scene_of(place, allow_unsolicited=allowed)
        answer = nobody_asked(made_answer(scene, ISSUER, "_question"), scene)
        found = SamlProvider(scene.settings, now).answered(brought(answer))
        assert isinstance(found, SamlAnswer) is allowed
        if isinstance(found, SamlAnswer):
            assert found.in_response_to == ""


def test_tells_of_each_step_without_secrets(place):
    scene, steps = scene_of(place), []
    field = brought(made_answer(scene, ISSUER, "_question"))
    SamlProvider(scene.settings, now).answered(field, steps.append)
    assert all(step.is_good for step in steps)
    assert "ben" in steps[-1].came
    SamlProvider(scene.settings, now).answered("%", steps.append)
    assert not steps[-1].is_good


@pytest.mark.parametrize(("ahead", "is_taken"), [(50, True), (-50, True), (100, False), (-400, False)])
def test_clocks_may_be_a_little_apart(ahead, is_taken, place):
    """Ours against that of the identity provider, whose answers hold from 30 s ago for 5 minutes."""
    scene = scene_of(place)
    answer = brought(made_answer(scene, ISSUER, "_question"))
    found = SamlProvider(scene.settings, lambda: now() - dt.timedelta(seconds=ahead)).answered(answer)
    assert isinstance(found, SamlAnswer) is is_taken, found


# ------------------------------------------------------------------ what we send


def unpacked(address: str, kind: str) -> tuple[etree._Element, dict[str, str]]:
    """The message of an address whose signature is right."""
    query = urlsplit(address).query
    values = {name: value[0] for name, value in parse_qs(query, keep_blank_values=True).items()}
    signed = query[query.index(kind) :].partition("&Signature=")[0]
    certificate = x509.load_pem_x509_certificate(keys_of("ours").certificate.encode())
    certificate.public_key().verify(base64.b64decode(values["Signature"]), signed.encode(), PKCS1v15(), SHA256())
    return etree.fromstring(zlib.decompress(base64.b64decode(values[kind]), -15)), values


def test_a_question(place):
    provider = SamlProvider(scene_of(place).settings, now)
    first, second = provider.begin("/a?b=c&d=ä"), provider.begin("")
    assert first.id != second.id
    root, values = unpacked(first.address, "SAMLRequest")
    assert first.address.startswith("https://idp.example/sso?x=1&y=2&SAMLRequest=")
    assert (values["x"], values["y"], values["RelayState"]) == ("1", "2", "/a?b=c&d=ä")
    assert root.get("ID") == first.id
    assert root.get("Destination") == "https://idp.example/sso?x=1&y=2"
    assert root.get("AssertionConsumerServiceURL") == "https://dicomfab.example/lab/saml/acs"
    assert root.findtext(f"{SAML}Issuer") == "https://dicomfab.example/lab/saml/metadata"
    assert root.find(f"{SAMLP}RequestedAuthnContext") is None


def test_a_request_to_end_a_session_keeps_every_letter(place):
    provider = SamlProvider(scene_of(place).settings, now)
    root, _ = unpacked(provider.logout("<a&b>", "urn:x", "<&>"), "SAMLRequest")
    assert root.findtext(f"{SAML}NameID") == "<a&b>"
    assert root.find(f"{SAML}NameID").get("Format") == "urn:x"
    assert root.findtext(f"{SAMLP}SessionIndex") == "<&>"
    bare, _ = unpacked(provider.logout("a", "", ""), "SAMLRequest")
    assert bare.find(f"{SAMLP}SessionIndex") is None


def test_without_single_logout_there_is_nothing_to_ask(tmp_path):
    path = tmp_path / "idp.xml"
    path.write_text(idp_metadata(ISSUER, keys_of("theirs").der))
    assert SamlProvider(scene_of(str(path)).settings, now).logout("a", "", "") == ""


# ------------------------------------------------------------------ anything at all


@given(st.one_of(st.text(), st.binary().map(lambda data: base64.b64encode(data).decode())))
def test_nothing_escapes(place, text):
    provider = SamlProvider(scene_of(place).settings, now)
    assert isinstance(provider.answered(text), Rejected)
    for query in (text, f"SAMLRequest={text}&SigAlg=x&Signature={text}"):
        assert isinstance(provider.logout_asked(query), Rejected)
        assert isinstance(provider.logout_answered(query), Rejected)


@given(st.data())
def test_nothing_escapes_of_an_answer_that_was_damaged(place, data):
    scene = scene_of(place)
    text = etree.tostring(made_answer(scene, ISSUER, "_question"))
    at = data.draw(st.integers(0, len(text) - 1))
    damaged = text[:at] + data.draw(st.binary(max_size=4)) + text[at + data.draw(st.integers(1, 60)) :]
    found = SamlProvider(scene.settings, now).answered(base64.b64encode(damaged).decode())
    assert isinstance(found, SamlAnswer | Rejected)
    if isinstance(found, SamlAnswer):
        assert found.person == Person("ben", "ben", "ben", frozenset({"DF-TestRead"}))
