"""The single logout: messages that the identity provider signed, and that still must not be believed."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable
from urllib.parse import quote_plus, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from lxml import etree

from dicomfab.identity import saml_messages
from dicomfab.identity.saml import LogoutAsked, SamlProvider, SamlSettings
from dicomfab.model.account import Refusal
from dicomfab.model.person import Rejected
from tests.peers.saml_answers import PERSISTENT, SAML, SAMLP, idp_metadata, keys_of

OURS = "https://dicomfab.example"
THEIRS = "https://idp.example"
LOGOUT = f"{OURS}/saml/logout"


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def settings_of(address: str, name: str, place: str = "") -> SamlSettings:
    keys = keys_of(name)
    return SamlSettings(address=address, certificate=keys.certificate, key=keys.key, metadata=place)


#: The identity provider, which writes its messages as we would.
IDP = settings_of(THEIRS, "theirs")


@pytest.fixture
def provider(tmp_path) -> SamlProvider:
    path = tmp_path / "idp.xml"
    path.write_text(idp_metadata(IDP.entity_id, keys_of("new").der, keys_of("theirs").der, logout=f"{THEIRS}/slo"))
    return SamlProvider(settings_of(OURS, "ours", str(path)), now)


def asked(
    alter: Callable[[etree._Element], object] = lambda _: None,
    *,
    to: str = LOGOUT,
    at: float = 0.0,
    by: SamlSettings = IDP,
    kind: str = "SAMLRequest",
) -> str:
    """The query of a request to end a session.

    Args:
        alter: done to it before it is signed.
        to: where it goes.
        at: when it was written, in seconds from now.
        by: who writes and signs it.
        kind: what the query calls it.
    """
    moment = now() + dt.timedelta(seconds=at)
    root = etree.fromstring(saml_messages.logout_request(by, to, moment, ("ben", PERSISTENT), "_session"))
    alter(root)
    return sent(etree.tostring(root), kind, by=by)


def sent(message: bytes, kind: str, state: str | None = "a b&c", by: SamlSettings = IDP) -> str:
    return urlsplit(saml_messages.signed_address(by, LOGOUT, kind, message, state)).query


def answered(status: str = saml_messages.SUCCESS) -> str:
    message = saml_messages.logout_response(IDP, LOGOUT, now(), "_ours")
    return sent(message.replace(saml_messages.SUCCESS.encode(), status.encode()), "SAMLResponse")


def again(root: etree._Element) -> None:
    other = etree.SubElement(root, f"{SAMLP}SessionIndex")
    other.text = "_other"


def without(tag: str) -> Callable[[etree._Element], object]:
    return lambda root: root.remove(root.find(tag))


def test_is_believed_and_answered(provider):
    found = provider.logout_asked(asked())
    assert isinstance(found, LogoutAsked), found
    assert (found.name_id, found.session_index) == ("ben", "_session")
    assert found.answer_address.startswith(f"{THEIRS}/slo?SAMLResponse=")
    assert "&RelayState=a+b%26c&" in found.answer_address
    assert provider.logout_answered(answered()) is None


@pytest.mark.parametrize("alter", [again, without(f"{SAMLP}SessionIndex")])
def test_several_sessions_or_none_means_all(alter, provider):
    assert provider.logout_asked(asked(alter)).session_index == ""


def test_a_name_is_read_past_a_comment(provider):
    def comment(root: etree._Element) -> None:
        name = root.find(f"{SAML}NameID")
        name.text, inner = "b", etree.Comment("x")
        inner.tail = "en"
        name.append(inner)

    assert provider.logout_asked(asked(comment)).name_id == "ben"


BAD = {
    "for somebody else": (lambda: asked(to="https://other.example/"), "refused"),
    "to a longer address": (lambda: asked(to=f"{LOGOUT}.other.example"), "not for"),
    "to nowhere": (lambda: asked(lambda root: root.attrib.pop("Destination")), "not for"),
    "by another": (lambda: asked(lambda root: root[0].__setattr__("text", "https://x")), "refused"),
    "by nobody": (lambda: asked(without(f"{SAML}Issuer")), "not from"),
    "of long ago": (lambda: asked(at=-400), "not of now"),
    "of later": (lambda: asked(at=100), "not of now"),
    "ended": (lambda: asked(lambda root: root.set("NotOnOrAfter", "2020-01-01T00:00:00Z")), "expired"),
    "about nobody": (lambda: asked(without(f"{SAML}NameID")), "refused"),
    "with an empty name": (lambda: asked(lambda root: root[1].__setattr__("text", " ")), "anybody"),
    "signed by another": (lambda: asked(by=settings_of(THEIRS, "attacker")), "does not fit"),
    "signed by ourselves": (lambda: asked(by=settings_of(THEIRS, "ours")), "does not fit"),
    "an answer": (lambda: asked(kind="SAMLResponse"), "no SAMLRequest"),
    "another message": (lambda: sent(b"<x/>", "SAMLRequest"), "no LogoutRequest"),
    "a document type": (lambda: sent(b"<!DOCTYPE x><x/>", "SAMLRequest"), "document type"),
    "no XML": (lambda: sent(b"<x", "SAMLRequest"), "no XML"),
    "a bomb": (lambda: sent(b" " * (20 << 20), "SAMLRequest"), "longer than"),
}


@pytest.mark.parametrize("how", BAD)
def test_refuses_a_request(how, provider):
    query, why = BAD[how]
    found = provider.logout_asked(query())
    assert isinstance(found, Rejected)
    assert found.refusal is Refusal.ANSWER_INVALID
    assert why in found.why


def test_refuses_what_is_not_deflated(provider):
    packed = quote_plus(base64.b64encode(b"\xff" * 20).decode())
    query = f"SAMLRequest={packed}&SigAlg={quote_plus(saml_messages.RSA_SHA256)}"
    key = load_pem_private_key(IDP.key.encode(), None)
    signature = quote_plus(base64.b64encode(key.sign(query.encode(), PKCS1v15(), SHA256())).decode())
    assert "not deflated" in provider.logout_asked(f"{query}&Signature={signature}").why


def test_says_that_not_every_session_ended(provider):
    found = provider.logout_answered(answered("urn:oasis:names:tc:SAML:2.0:status:PartialLogout"))
    assert found.refusal is Refusal.DENIED_THERE
