"""Messages of the single logout, which come in by HTTP-Redirect (SAML Bindings 3.4): always signed, or refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import unquote_plus

import xmlsec
from lxml import etree
from onelogin.saml2.errors import OneLogin_Saml2_Error, OneLogin_Saml2_ValidationError
from onelogin.saml2.logout_request import OneLogin_Saml2_Logout_Request
from onelogin.saml2.logout_response import OneLogin_Saml2_Logout_Response
from onelogin.saml2.utils import OneLogin_Saml2_Utils

from dicomfab.identity.saml_library import request_at, settings_for
from dicomfab.identity.saml_messages import SUCCESS
from dicomfab.identity.saml_metadata import IdentityProvider
from dicomfab.identity.saml_values import Refused, SamlSettings
from dicomfab.identity.saml_xml import (
    ASSERTION,
    PROTOCOL,
    SIGNATURE_METHODS,
    decoded,
    inflated,
    moment,
    parsed,
    text_of,
)
from dicomfab.model.account import Refusal

_MAX_QUERY: Final = 32 << 10
_NAMES: Final = ("SAMLRequest", "SAMLResponse", "RelayState", "SigAlg", "Signature")
_FRESH: Final = timedelta(minutes=5)
#: Of these, python3-saml can check the signature of a query.
_CHECKED: Final = frozenset(name for name in SIGNATURE_METHODS if "#rsa-" in name)

_LIBRARY: Final = (
    OneLogin_Saml2_Error,
    OneLogin_Saml2_ValidationError,
    xmlsec.Error,
    etree.LxmlError,
    ValueError,  # of binascii and of the library's DTDForbidden too
)


@dataclass(frozen=True, slots=True)
class LogoutRequest:
    """A request to end sessions.

    Args:
        id: the answer names it.
        name_id: whose.
        session_index: which; blank for all of that person.
        relay_state: goes back with the answer; none if ``None``.
    """

    id: str
    name_id: str
    session_index: str
    relay_state: str | None


def logout_request(settings: SamlSettings, provider: IdentityProvider, query: str, now: datetime) -> LogoutRequest:
    """Read a request (SAML Core 3.7.1).

    Raises:
        Refused: it is not signed by the identity provider, not for us, not of now, or says nothing that can be done.
    """
    values, root = _signed(provider, query, "SAMLRequest", "LogoutRequest")
    library = settings_for(settings, provider)
    try:
        request = OneLogin_Saml2_Logout_Request(library, values["SAMLRequest"])
        is_valid = request.is_valid(request_at(settings.logout, values))
    except _LIBRARY as error:
        raise Refused(f"the request cannot be read: {error}") from error
    if not is_valid:
        raise Refused(f"the request is refused: {request.get_error()}")
    _demand_ours(settings, provider, root, now)
    names = root.findall(f"{ASSERTION}NameID")
    if len(names) != 1 or not text_of(names[0]):
        raise Refused("the request does not name anybody")
    indexes = [text_of(index) for index in root.findall(f"{PROTOCOL}SessionIndex")]
    index = indexes[0] if len(indexes) == 1 else ""
    return LogoutRequest(root.get("ID"), text_of(names[0]), index, values.get("RelayState"))


def logout_answer(settings: SamlSettings, provider: IdentityProvider, query: str, now: datetime) -> None:
    """Read an answer (SAML Core 3.7.2).

    Raises:
        Refused: it is not signed by the identity provider, not for us, not of now, or says no.
    """
    values, root = _signed(provider, query, "SAMLResponse", "LogoutResponse")
    library = settings_for(settings, provider)
    try:
        answer = OneLogin_Saml2_Logout_Response(library, values["SAMLResponse"])
        is_valid = answer.is_valid(request_at(settings.logout, values))
    except _LIBRARY as error:
        raise Refused(f"the answer cannot be read: {error}") from error
    if not is_valid:
        raise Refused(f"the answer is refused: {answer.get_error()}")
    _demand_ours(settings, provider, root, now)
    codes = [code.get("Value") for code in root.iterfind(f"{PROTOCOL}Status/{PROTOCOL}StatusCode")]
    if codes != [SUCCESS]:
        raise Refused(f"the identity provider could not end every session: {codes}", Refusal.DENIED_THERE)


def _signed(provider: IdentityProvider, query: str, kind: str, name: str) -> tuple[dict[str, str], Any]:
    raw = _parts(query)
    values = {key: unquote_plus(value) for key, value in raw.items()}
    if kind not in values:
        raise Refused(f"the address holds no {kind}")
    if not values.get("Signature") or "SigAlg" not in values:
        raise Refused("the message is not signed")
    if values["SigAlg"] not in _CHECKED:
        raise Refused(f"the algorithm {values['SigAlg']} is not accepted")
    # As it came, not written anew: what is signed are the very octets (SAML Bindings 3.4.4.1).
    signed = "&".join(f"{key}={raw[key]}" for key in (kind, "RelayState", "SigAlg") if key in raw)
    signature = decoded(values["Signature"])
    if not any(_fits(certificate, signed, signature, values["SigAlg"]) for certificate in provider.certificates):
        raise Refused("the signature does not fit", is_signature=True)
    root = parsed(inflated(decoded(values[kind])))
    if root.tag != f"{PROTOCOL}{name}":
        raise Refused(f"the message is no {name}")
    return values, root


def _parts(query: str) -> dict[str, str]:
    if len(query) > _MAX_QUERY or not query.isascii():
        raise Refused("the address is too long, or not ASCII")
    raw: dict[str, str] = {}
    for part in query.removeprefix("?").split("&"):
        key, _, value = part.partition("=")
        if key in _NAMES:
            if key in raw:
                raise Refused(f"the address says {key} twice")
            raw[key] = value
    if "SAMLRequest" in raw and "SAMLResponse" in raw:
        raise Refused("the address holds two messages")
    return raw


def _fits(certificate: str, signed: str, signature: bytes, algorithm: str) -> bool:
    pem = OneLogin_Saml2_Utils.format_cert(certificate)
    return bool(OneLogin_Saml2_Utils.validate_binary_sign(signed, signature, pem, algorithm))


def _demand_ours(settings: SamlSettings, provider: IdentityProvider, root: Any, now: datetime) -> None:
    """What the library takes if it is missing, or begins right."""
    if root.get("Destination") != settings.logout:
        raise Refused(f"the message is for {root.get('Destination')}, not for {settings.logout}")
    issuers = [text_of(issuer) for issuer in root.findall(f"{ASSERTION}Issuer")]
    if issuers != [provider.entity_id]:
        raise Refused(f"the message is from {issuers}, not from {provider.entity_id}")
    issued = moment(root.get("IssueInstant"))
    skew = timedelta(seconds=settings.skew_s)
    if issued is None or not now - _FRESH - skew <= issued <= now + skew:
        raise Refused(f"the message is of {issued}, and not of now")
