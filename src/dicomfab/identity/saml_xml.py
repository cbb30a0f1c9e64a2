"""XML from strangers: read safely, and only with signatures and encryptions of the plain kind.

The signature itself is checked by xmlsec. It would follow references and run transformations before it knows whether
the signature is right (XML Signature 3.2), so everything but the plain kind that SAML allows (SAML Core 5.4) is refused
before it sees the message.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from lxml import etree

from dicomfab.identity.saml_values import Refused

#: The longest message, in bytes.
MAX_BYTES: Final = 256 << 10

ASSERTION: Final = "{urn:oasis:names:tc:SAML:2.0:assertion}"
PROTOCOL: Final = "{urn:oasis:names:tc:SAML:2.0:protocol}"
METADATA: Final = "{urn:oasis:names:tc:SAML:2.0:metadata}"
SIGNATURE: Final = "{http://www.w3.org/2000/09/xmldsig#}"
ENCRYPTION: Final = "{http://www.w3.org/2001/04/xmlenc#}"
_XML_ID: Final = "{http://www.w3.org/XML/1998/namespace}id"

_MORE: Final = "http://www.w3.org/2001/04/xmldsig-more#"
#: RFC 9231; without SHA-1, and without what signs with a shared secret.
SIGNATURE_METHODS: Final = frozenset(
    [f"{_MORE}{kind}-sha{bits}" for kind in ("rsa", "ecdsa") for bits in (256, 384, 512)]
    + [f"http://www.w3.org/2007/05/xmldsig-more#sha{bits}-rsa-MGF1" for bits in (256, 384, 512)]
)
_DIGESTS: Final = frozenset(
    ("http://www.w3.org/2001/04/xmlenc#sha256", f"{_MORE}sha384", "http://www.w3.org/2001/04/xmlenc#sha512")
)
_CANONICAL: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"
_TRANSFORMS: Final = frozenset(
    ("http://www.w3.org/2000/09/xmldsig#enveloped-signature", _CANONICAL, f"{_CANONICAL}WithComments")
)
_SIGNATURE_PARTS: Final = [f"{SIGNATURE}{name}" for name in ("SignedInfo", "SignatureValue", "KeyInfo")]
_CIPHERS: Final = frozenset(
    f"http://www.w3.org/{place}#aes{bits}-{mode}"
    for place, mode in (("2001/04/xmlenc", "cbc"), ("2009/xmlenc11", "gcm"))
    for bits in (128, 192, 256)
)
# Without RSA 1.5, which gives away what it decrypts to who may ask often enough (XML Encryption 1.1, 5.5.1).
_KEY_CIPHERS: Final = frozenset(
    ("http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p", "http://www.w3.org/2009/xmlenc11#rsa-oaep")
)


def decoded(text: str, most: int = MAX_BYTES) -> bytes:
    """What was written in base64; breaks of lines are allowed (RFC 2045 6.8).

    Raises:
        Refused: it is not base64, or too long.
    """
    if len(text) > most * 2:
        raise Refused(f"the message is longer than {most} bytes")
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused("the message is not base64") from error
    if len(data) > most:
        raise Refused(f"the message is longer than {most} bytes")
    return data


def inflated(data: bytes, most: int = MAX_BYTES) -> bytes:
    """What was deflated (RFC 1951), as the HTTP-Redirect binding has it (SAML Bindings 3.4.4.1).

    Raises:
        Refused: it was not, or is too long.
    """
    unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        whole = unpacking.decompress(data, most)
    except zlib.error as error:
        raise Refused("the message is not deflated") from error
    if unpacking.unconsumed_tail or not unpacking.eof:
        raise Refused(f"the message is longer than {most} bytes, or incomplete")
    return whole


def parsed(data: bytes) -> Any:
    """The root element; comments and processing instructions are left out.

    Raises:
        Refused: it is no XML of UTF-8, or declares a document type.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused("the message is not XML in UTF-8") from error
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise Refused("the message declares a document type")
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        collect_ids=False,
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Refused(f"the message is no XML: {error}") from error
    about = root.getroottree().docinfo
    if about.doctype or about.internalDTD is not None:
        raise Refused("the message declares a document type")
    if (about.encoding or "UTF-8").upper() not in ("UTF-8", "ASCII", "US-ASCII"):
        raise Refused("the message is not XML in UTF-8")
    return root


def text_of(element: Any) -> str:
    """The whole text of an element, comments apart: what stands on both sides of one is one text."""
    return "".join(element.xpath("text()")).strip()


def moment(text: str | None) -> datetime | None:
    """A moment (SAML Core 1.3.3).

    Raises:
        Refused: it cannot be read.
    """
    if not text:
        return None
    try:
        read = datetime.fromisoformat(text.strip())
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Refused(f"{text!r} is no moment") from error


def demand_plain_signatures(root: Any) -> None:
    """See that every signature in a message is of the element that holds it, and of nothing else.

    Raises:
        Refused: one is not.
    """
    seen: set[str] = set()
    for element in root.iter("*"):
        if element.get(_XML_ID) is not None:
            raise Refused("an element of the message has an xml:id")
        name = element.get("ID")
        if name is not None:
            if name in seen:
                raise Refused("two elements of the message have the same ID")
            seen.add(name)
    for signature in root.iter(f"{SIGNATURE}Signature"):
        _demand_plain(signature)


def _demand_plain(signature: Any) -> None:
    parts = [child.tag for child in signature]
    if parts not in (_SIGNATURE_PARTS, _SIGNATURE_PARTS[:2]):
        raise Refused("a signature holds more than a signature")
    references = signature[0].findall(f"{SIGNATURE}Reference")
    owner = signature.getparent()
    if len(references) != 1 or owner is None or not owner.get("ID"):
        raise Refused("a signature is not of one element")
    if references[0].get("URI") != f"#{owner.get('ID')}":
        raise Refused("a signature is not of the element that holds it")
    _demand_known(signature.iter(f"{SIGNATURE}SignatureMethod"), SIGNATURE_METHODS)
    _demand_known(signature[0].iter(f"{SIGNATURE}CanonicalizationMethod"), _TRANSFORMS)
    _demand_known(signature.iter(f"{SIGNATURE}DigestMethod"), _DIGESTS)
    _demand_known(signature.iter(f"{SIGNATURE}Transform"), _TRANSFORMS)


def demand_plain_encryption(root: Any) -> None:
    """See that what is encrypted holds its own data, by ciphers that are still good.

    Raises:
        Refused: it does not.
    """
    if any(True for _ in root.iter(f"{ENCRYPTION}CipherReference")):
        raise Refused("what is encrypted lies elsewhere")
    for retrieval in root.iter(f"{SIGNATURE}RetrievalMethod"):
        if not retrieval.get("URI", "").startswith("#") or retrieval.get("Type") != f"{ENCRYPTION[1:-1]}EncryptedKey":
            raise Refused("the key of what is encrypted lies elsewhere")
        if len(retrieval):
            raise Refused("the key of what is encrypted would have to be transformed")
    for kind, allowed in (("EncryptedData", _CIPHERS), ("EncryptedKey", _KEY_CIPHERS)):
        for encrypted in root.iter(f"{ENCRYPTION}{kind}"):
            methods = encrypted.findall(f"{ENCRYPTION}EncryptionMethod")
            if len(methods) != 1:
                raise Refused("what is encrypted does not say how")
            _demand_known(methods, allowed)


def _demand_known(elements: Iterable[Any], allowed: frozenset[str]) -> None:
    for element in elements:
        algorithm = element.get("Algorithm", "")
        if algorithm not in allowed:
            raise Refused(f"the algorithm {algorithm} is not accepted")
