"""Answers and metadata of an identity provider, made by ourselves: good ones, signed and encrypted."""

from __future__ import annotations

import base64
import datetime as dt
import functools
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from lxml import etree

from dicomfab.identity.saml_values import SamlSettings

SAML: Final = "{urn:oasis:names:tc:SAML:2.0:assertion}"
SAMLP: Final = "{urn:oasis:names:tc:SAML:2.0:protocol}"
DS: Final = "{http://www.w3.org/2000/09/xmldsig#}"
XENC: Final = "{http://www.w3.org/2001/04/xmlenc#}"
BEARER: Final = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
PERSISTENT: Final = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
SUCCESS: Final = "urn:oasis:names:tc:SAML:2.0:status:Success"


@dataclass(frozen=True)
class Keys:
    """A certificate and its key, in PEM."""

    certificate: str
    key: str

    @property
    def der(self) -> str:
        """The certificate as metadata hold it."""
        return "".join(line for line in self.certificate.splitlines() if "-----" not in line)


@functools.cache
def keys_of(name: str) -> Keys:
    """A pair that signs itself; the same for the same name in one run."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    written = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Keys(certificate.public_bytes(serialization.Encoding.PEM).decode(), written.decode())


@dataclass(frozen=True)
class Scene:
    """Who is in the play.

    Args:
        provider: what the identity provider signs with.
        settings: of the service provider.
        attacker: a pair that nobody trusts.
    """

    provider: Keys
    settings: SamlSettings
    attacker: Keys


def brought(answer: Any) -> str:
    """What a browser brings: an element or text, in base64; bytes of ASCII as they are."""
    if isinstance(answer, bytes):
        return answer.decode("ascii")
    data = answer.encode() if isinstance(answer, str) else etree.tostring(answer)
    return base64.b64encode(data).decode("ascii")


def read(field: str) -> Any:
    return etree.fromstring(base64.b64decode(field))


def fresh(element: Any) -> Any:
    """The same, parsed: lxml does not find what xmlsec has put in."""
    return etree.fromstring(etree.tostring(element))


def assertion_of(answer: Any) -> Any:
    return answer.find(f"{SAML}Assertion")


# ------------------------------------------------------------------ made by ourselves


def stamp(seconds: float) -> str:
    """A moment from now."""
    moment = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def idp_metadata(
    entity_id: str, *certificates: str, sign_on: str = "https://idp.example/sso", logout: str = "", more: str = ""
) -> str:
    """Metadata of an identity provider.

    Args:
        entity_id: its name.
        certificates: base64 of DER.
        sign_on: where to sign in.
        logout: where to sign out.
        more: attributes of the root.
    """
    binding = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
    keys = "".join(
        f'<KeyDescriptor use="signing"><d:KeyInfo xmlns:d="{DS[1:-1]}"><d:X509Data><d:X509Certificate>{one}'
        f"</d:X509Certificate></d:X509Data></d:KeyInfo></KeyDescriptor>"
        for one in certificates
    )
    out = f'<SingleLogoutService Binding="{binding}" Location="{logout}"/>' if logout else ""
    return (
        f'<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{entity_id}" {more}>'
        f'<IDPSSODescriptor protocolSupportEnumeration="{SAMLP[1:-1]}">{keys}{out}'
        f'<SingleSignOnService Binding="{binding}" Location="{sign_on}"/></IDPSSODescriptor></EntityDescriptor>'
    )


def made_answer(
    scene: Scene, issuer: str, question: str, *, name: str = "ben", attributes: dict[str, list[str]] | None = None
) -> Any:
    """A good answer, signed twice."""
    here, entity = scene.settings.answers_to, scene.settings.entity_id
    attributes = {"uid": [name], "memberOf": ["DF-TestRead"]} if attributes is None else attributes
    said = "".join(
        f'<a:Attribute Name="{key}">{"".join(f"<a:AttributeValue>{one}</a:AttributeValue>" for one in values)}'
        "</a:Attribute>"
        for key, values in attributes.items()
    )
    statement = f"<a:AttributeStatement>{said}</a:AttributeStatement>" if said else ""
    text = f"""<p:Response xmlns:p="{SAMLP[1:-1]}" xmlns:a="{SAML[1:-1]}" ID="_{secrets.token_hex(16)}" Version="2.0"
 IssueInstant="{stamp(0)}" Destination="{here}" InResponseTo="{question}"><a:Issuer>{issuer}</a:Issuer><p:Status
><p:StatusCode Value="{SUCCESS}"/></p:Status><a:Assertion ID="_{secrets.token_hex(16)}" Version="2.0"
 IssueInstant="{stamp(0)}"><a:Issuer>{issuer}</a:Issuer><a:Subject><a:NameID Format="{PERSISTENT}">{name}</a:NameID
><a:SubjectConfirmation Method="{BEARER}"><a:SubjectConfirmationData NotOnOrAfter="{stamp(300)}" Recipient="{here}"
 InResponseTo="{question}"/></a:SubjectConfirmation></a:Subject><a:Conditions NotBefore="{stamp(-30)}"
 NotOnOrAfter="{stamp(300)}"><a:AudienceRestriction><a:Audience>{entity}</a:Audience></a:AudienceRestriction
></a:Conditions><a:AuthnStatement AuthnInstant="{stamp(0)}" SessionIndex="_session"><a:AuthnContext
><a:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:Password</a:AuthnContextClassRef></a:AuthnContext
></a:AuthnStatement>{statement}</a:Assertion></p:Response>"""
    return fresh(signed_twice(etree.fromstring(text), scene.provider))


# ------------------------------------------------------------------ tools


def unsigned(element: Any) -> Any:
    for signature in element.findall(f"{DS}Signature"):
        element.remove(signature)
    return element


def signed(
    element: Any, keys: Keys, *, method: Any = None, digest: Any = None, more: Callable[[Any], None] | None = None
) -> Any:
    """Sign an element anew.

    Args:
        element: a response or an assertion.
        keys: by whom.
        method: of signing, else RSA with SHA-256.
        digest: else SHA-256.
        more: done to the signature before it is computed.
    """
    unsigned(element)
    signature = xmlsec.template.create(
        element, xmlsec.Transform.EXCL_C14N, method or xmlsec.Transform.RSA_SHA256, ns="ds"
    )
    element.insert(list(element).index(element.find(f"{SAML}Issuer")) + 1, signature)
    reference = xmlsec.template.add_reference(signature, digest or xmlsec.Transform.SHA256, uri=f"#{element.get('ID')}")
    xmlsec.template.add_transform(reference, xmlsec.Transform.ENVELOPED)
    xmlsec.template.add_transform(reference, xmlsec.Transform.EXCL_C14N)
    xmlsec.template.add_x509_data(xmlsec.template.ensure_key_info(signature))
    if more is not None:
        more(signature)
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(keys.key, xmlsec.KeyFormat.PEM, None)
    context.key.load_cert_from_memory(keys.certificate, xmlsec.KeyFormat.PEM)
    context.register_id(element, "ID")
    context.sign(signature)
    return element


def signed_twice(answer: Any, keys: Keys, **options: Any) -> Any:
    """The assertion, and the response around it."""
    unsigned(answer)
    if assertion_of(answer) is not None:
        signed(assertion_of(answer), keys, **options)
    return signed(answer, keys, **options)


def encrypted(answer: Any, certificate: str, *, cipher: Any = None, key_cipher: Any = None) -> Any:
    """Put the assertion out of sight, for who has the key of the certificate."""
    plain = assertion_of(answer)
    manager = xmlsec.KeysManager()
    manager.add_key(xmlsec.Key.from_memory(certificate, xmlsec.KeyFormat.CERT_PEM, None))
    template = xmlsec.template.encrypted_data_create(
        answer, cipher or xmlsec.Transform.AES256, type=xmlsec.EncryptionType.ELEMENT, ns="xenc"
    )
    xmlsec.template.encrypted_data_ensure_cipher_value(template)
    held = xmlsec.template.encrypted_data_ensure_key_info(template, ns="ds")
    key = xmlsec.template.add_encrypted_key(held, key_cipher or xmlsec.Transform.RSA_OAEP)
    xmlsec.template.encrypted_data_ensure_cipher_value(key)
    context = xmlsec.EncryptionContext(manager)
    is_triple = cipher == xmlsec.Transform.DES3
    kind, bits = (xmlsec.KeyData.DES, 192) if is_triple else (xmlsec.KeyData.AES, 256)
    context.key = xmlsec.Key.generate(kind, bits, xmlsec.KeyDataType.SESSION)
    data = context.encrypt_xml(template, plain)
    wrapped = etree.Element(f"{SAML}EncryptedAssertion")
    data.getparent().replace(data, wrapped)
    wrapped.append(data)
    return fresh(answer)
