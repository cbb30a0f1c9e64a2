"""Who a certificate is for, read from its DER (RFC 5280 4.1): the standard library tells only of verified ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

_VERSION = 0xA0
_UTC_TIME = 0x17
_ENCODINGS = {0x14: "latin-1", 0x1C: "utf-32-be", 0x1E: "utf-16-be"}

# RFC 4514 section 3 and RFC 5280 annex A, by the encoded object identifier.
_ATTRIBUTES = {
    bytes.fromhex("550403"): "CN",
    bytes.fromhex("550406"): "C",
    bytes.fromhex("550407"): "L",
    bytes.fromhex("550408"): "ST",
    bytes.fromhex("55040a"): "O",
    bytes.fromhex("55040b"): "OU",
    bytes.fromhex("0992268993f22c640119"): "DC",
    bytes.fromhex("2a864886f70d010901"): "emailAddress",
}


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a certificate claims.

    Args:
        subject: whom it is for, such as ``CN=pacs.example.com, O=Hospital``.
        issuer: who signed it, in the same form.
        not_before: the moment from which it is valid.
        not_after: the moment until which it is valid.
    """

    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime


def read_certificate(der: bytes) -> CertificateFacts | None:
    """Read what a certificate claims, without any judgement of it; none if it is no certificate."""
    try:
        return _facts(der)
    except (LookupError, ValueError):
        return None


def _facts(der: bytes) -> CertificateFacts:
    signed = list(_elements(_first(_first(der))))
    if signed[0][0] == _VERSION:
        del signed[0]
    _serial, _algorithm, issuer, validity, subject = signed[:5]
    not_before, not_after = (_moment(tag, content) for tag, content in _elements(validity[1]))
    return CertificateFacts(_name(subject[1]), _name(issuer[1]), not_before, not_after)


def _first(data: bytes) -> bytes:
    for _, content in _elements(data):
        return content
    raise ValueError("an element holds nothing")


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element that stands in the data (X.690 8.1)."""
    at = 0
    while at < len(data):
        tag, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:
            octets = length & 0x7F
            length = int.from_bytes(data[at : at + octets], "big")
            at += octets
        if at + length > len(data):
            raise ValueError("an element is longer than what holds it")
        yield tag, data[at : at + length]
        at += length


def _name(content: bytes) -> str:
    parts = []
    for _, relative in _elements(content):
        for _, attribute in _elements(relative):
            (_, identifier), (tag, value) = _elements(attribute)
            text = value.decode(_ENCODINGS.get(tag, "utf-8"), errors="replace")
            shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
            parts.append(f"{_ATTRIBUTES.get(identifier, 'OID.' + identifier.hex())}={shown}")
    return ", ".join(parts)


def _moment(tag: int, content: bytes) -> datetime:
    """UTCTime or GeneralizedTime (RFC 5280 4.1.2.5): a year of two digits is between 1950 and 2049."""
    text = content.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
