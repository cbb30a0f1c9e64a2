"""What the metadata of an identity provider say (SAML Metadata 2.0)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography import x509

from dicomfab.identity.saml_values import Refused
from dicomfab.identity.saml_xml import METADATA, SIGNATURE, moment, parsed, text_of

REDIRECT: Final = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
POST: Final = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
_PROTOCOL: Final = "urn:oasis:names:tc:SAML:2.0:protocol"


@dataclass(frozen=True, slots=True)
class IdentityProvider:
    """An identity provider, as it describes itself.

    Args:
        entity_id: what it calls itself.
        sign_on: where questions go, by HTTP-Redirect.
        logout: where requests of the single logout go, by HTTP-Redirect; blank if there is none.
        logout_answers: where answers to its own requests go.
        certificates: what it signs with: base64 of DER. Only their keys count, not their dates, as the metadata are
            what is trusted (SAML Metadata Interoperability Profile 2.5).
        valid_until: when the metadata end, if they say so.
    """

    entity_id: str
    sign_on: str
    logout: str
    logout_answers: str
    certificates: tuple[str, ...]
    valid_until: datetime | None


def read(data: bytes) -> IdentityProvider:
    """Read the metadata of one identity provider.

    Raises:
        Refused: they cannot be used; says why.
    """
    root = parsed(data)
    found = [
        (entity, role)
        for entity in root.iter(f"{METADATA}EntityDescriptor")
        for role in entity.findall(f"{METADATA}IDPSSODescriptor")
        if _PROTOCOL in role.get("protocolSupportEnumeration", "").split()
    ]
    if len(found) != 1:
        raise Refused(f"they describe {len(found) or 'no'} identity providers of SAML 2.0, not one")
    entity, role = found[0]
    entity_id = entity.get("entityID", "")
    if not entity_id:
        raise Refused("they do not say what the identity provider is called")
    sign_on, _ = _service(role, "SingleSignOnService")
    if not sign_on:
        raise Refused("they name no place to sign in by HTTP-Redirect")
    logout, answers = _service(role, "SingleLogoutService")
    ends = [end for node in (role, *_above(entity)) if (end := moment(node.get("validUntil"))) is not None]
    return IdentityProvider(entity_id, sign_on, logout, answers, _certificates(role), min(ends, default=None))


def _above(entity: Any) -> list[Any]:
    """An entity and the groups around it: each may say when it ends."""
    return [entity, *entity.iterancestors(f"{METADATA}EntitiesDescriptor")]


def _service(role: Any, name: str) -> tuple[str, str]:
    for service in role.findall(f"{METADATA}{name}"):
        if service.get("Binding") == REDIRECT:
            location = service.get("Location", "")
            answers = service.get("ResponseLocation") or location
            for address in (location, answers):
                _demand_address(address)
            return location, answers
    return "", ""


def _demand_address(address: str) -> None:
    try:
        parts = urlsplit(address)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.fragment
    except ValueError:
        is_good = False
    if not is_good:
        raise Refused(f"{address!r} is no address")


def _certificates(role: Any) -> tuple[str, ...]:
    found: list[str] = []
    for descriptor in role.findall(f"{METADATA}KeyDescriptor"):
        if descriptor.get("use", "signing") != "signing":
            continue
        for element in descriptor.iter(f"{SIGNATURE}X509Certificate"):
            text = "".join(text_of(element).split())
            try:
                x509.load_der_x509_certificate(base64.b64decode(text, validate=True))
            except (binascii.Error, ValueError) as error:
                raise Refused("one of their certificates cannot be read") from error
            if text not in found:
                found.append(text)
    if not found:
        raise Refused("they hold no certificate to check signatures with")
    return tuple(found)
