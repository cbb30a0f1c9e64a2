"""What we send: our metadata, questions, and requests and answers of the single logout."""

from __future__ import annotations

import base64
import secrets
import zlib
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote_plus

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from lxml import etree

from dicomfab.identity.saml_metadata import POST, REDIRECT
from dicomfab.identity.saml_values import SamlSettings
from dicomfab.identity.saml_xml import ASSERTION, METADATA, PROTOCOL, SIGNATURE
from dicomfab.model.errors import DirectoryUnavailable

PERSISTENT: Final = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
TRANSIENT: Final = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
UNSPECIFIED: Final = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
SUCCESS: Final = "urn:oasis:names:tc:SAML:2.0:status:Success"
RSA_SHA256: Final = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
_PREFIXES: Final = {
    "samlp": PROTOCOL[1:-1], "saml": ASSERTION[1:-1], "md": METADATA[1:-1], "ds": SIGNATURE[1:-1],
}  # fmt: skip
_OURS_ENCRYPTED: Final = (
    "http://www.w3.org/2009/xmlenc11#aes256-gcm",
    "http://www.w3.org/2009/xmlenc11#aes128-gcm",
    "http://www.w3.org/2001/04/xmlenc#aes256-cbc",
    "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p",
)


def name_id_policy(settings: SamlSettings) -> str:
    """The form of NameID to ask for: one that stays, unless an attribute identifies people."""
    return UNSPECIFIED if settings.subject_attribute else PERSISTENT


def metadata(settings: SamlSettings) -> str:
    """Ours (SAML Metadata 2.4.4). They do not end, as they may be copied by hand.

    Raises:
        DirectoryUnavailable: our certificate cannot be read.
    """
    root = _element(f"{METADATA}EntityDescriptor", entityID=settings.entity_id)
    role = _child(
        root,
        f"{METADATA}SPSSODescriptor",
        AuthnRequestsSigned="true",
        WantAssertionsSigned="true",
        protocolSupportEnumeration=PROTOCOL[1:-1],
    )
    certificate = _certificate(settings.certificate)
    for use in ("signing", "encryption"):
        key = _child(role, f"{METADATA}KeyDescriptor", use=use)
        held = _child(_child(key, f"{SIGNATURE}KeyInfo"), f"{SIGNATURE}X509Data")
        _child(held, f"{SIGNATURE}X509Certificate").text = certificate
        for algorithm in _OURS_ENCRYPTED if use == "encryption" else ():
            _child(key, f"{METADATA}EncryptionMethod", Algorithm=algorithm)
    _child(role, f"{METADATA}SingleLogoutService", Binding=REDIRECT, Location=settings.logout)
    _child(role, f"{METADATA}NameIDFormat").text = name_id_policy(settings)
    where = {"Binding": POST, "Location": settings.answers_to, "index": "0", "isDefault": "true"}
    _child(role, f"{METADATA}AssertionConsumerService", **where)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{etree.tostring(root, encoding="unicode", pretty_print=True)}'


def question(settings: SamlSettings, destination: str, moment: datetime) -> tuple[str, bytes]:
    """Asks who somebody is (SAML Core 3.4.1); gives the identifier and the message."""
    root = _message("AuthnRequest", settings, destination, moment)
    root.set("ProtocolBinding", POST)
    root.set("AssertionConsumerServiceURL", settings.answers_to)
    _child(root, f"{PROTOCOL}NameIDPolicy", Format=name_id_policy(settings), AllowCreate="true")
    return str(root.get("ID")), _bytes(root)


def logout_request(
    settings: SamlSettings, destination: str, moment: datetime, name_id: tuple[str, str], session_index: str
) -> bytes:
    """Asks to end a session there (SAML Core 3.7.1).

    Args:
        settings: ours.
        destination: where it goes.
        moment: now.
        name_id: the name and its format; the format may be blank.
        session_index: which one; blank for all.
    """
    root = _message("LogoutRequest", settings, destination, moment)
    name, form = name_id
    subject = _child(root, f"{ASSERTION}NameID", **({"Format": form} if form else {}))
    subject.text = name
    if session_index:
        _child(root, f"{PROTOCOL}SessionIndex").text = session_index
    return _bytes(root)


def logout_response(settings: SamlSettings, destination: str, moment: datetime, in_response_to: str) -> bytes:
    """Says that sessions are ended here (SAML Core 3.7.2)."""
    root = _message("LogoutResponse", settings, destination, moment)
    root.set("InResponseTo", in_response_to)
    _child(_child(root, f"{PROTOCOL}Status"), f"{PROTOCOL}StatusCode", Value=SUCCESS)
    return _bytes(root)


def signed_address(settings: SamlSettings, address: str, kind: str, message: bytes, relay_state: str | None) -> str:
    """An address that carries a signed message (SAML Bindings 3.4.4.1).

    Args:
        settings: our key.
        address: where it goes.
        kind: ``SAMLRequest`` or ``SAMLResponse``.
        message: XML.
        relay_state: comes back with the answer; none if ``None``.

    Raises:
        DirectoryUnavailable: our key cannot be used.
    """
    packing = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = base64.b64encode(packing.compress(message) + packing.flush()).decode("ascii")
    values = {kind: packed, **({} if relay_state is None else {"RelayState": relay_state}), "SigAlg": RSA_SHA256}
    query = "&".join(f"{name}={quote_plus(value)}" for name, value in values.items())
    signature = _key(settings.key).sign(query.encode("ascii"), PKCS1v15(), SHA256())
    query += f"&Signature={quote_plus(base64.b64encode(signature).decode('ascii'))}"
    return f"{address}{'&' if '?' in address else '?'}{query}"


def our_key_unusable() -> DirectoryUnavailable:
    """What to raise when we cannot sign."""
    return DirectoryUnavailable(
        "Our own certificate or key for SAML cannot be used.",
        cause="It is not an RSA certificate with its key in PEM, or is encrypted.",
        remedy="Have a new pair made, and give the identity provider our metadata again.",
    )


def _message(name: str, settings: SamlSettings, destination: str, moment: datetime) -> Any:
    root = _element(
        f"{PROTOCOL}{name}",
        ID=f"_{secrets.token_hex(20)}",
        Version="2.0",
        IssueInstant=moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        Destination=destination,
    )
    _child(root, f"{ASSERTION}Issuer").text = settings.entity_id
    return root


def _key(pem: str) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise our_key_unusable() from error
    if not isinstance(key, RSAPrivateKey):
        raise our_key_unusable()
    return key


def _certificate(pem: str) -> str:
    try:
        der = x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)
    except ValueError as error:
        raise our_key_unusable() from error
    return base64.b64encode(der).decode("ascii")


def _bytes(root: Any) -> bytes:
    data: bytes = etree.tostring(root)
    return data


def _element(tag: str, **attributes: str) -> Any:
    used = {prefix: name for prefix, name in _PREFIXES.items() if (prefix in ("md", "ds")) == (METADATA in tag)}
    return etree.Element(tag, attributes, nsmap=used)


def _child(parent: Any, tag: str, **attributes: str) -> Any:
    return etree.SubElement(parent, tag, attributes)
