from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from dicomfab.dimse.transport.certificate import read_certificate

KEY = ec.generate_private_key(ec.SECP256R1())
START = datetime.datetime(1999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)
END = datetime.datetime(2049, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)


def made(
    *subject: x509.NameAttribute, not_before: datetime.datetime = START, not_after: datetime.datetime = END
) -> bytes:
    issuer = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, "Root"), x509.NameAttribute(NameOID.COUNTRY_NAME, "SE")]
    )
    builder = x509.CertificateBuilder(issuer, x509.Name(subject), KEY.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(not_before).not_valid_after(not_after)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER)


def name(text: str, kind: _ASN1Type = _ASN1Type.UTF8String) -> x509.NameAttribute:
    return x509.NameAttribute(NameOID.COMMON_NAME, text, kind)


SAMPLE = made(name("pacs.example.com"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Größe 放射線"))


def test_what_a_certificate_claims_is_read():
    facts = read_certificate(SAMPLE)
    assert facts is not None
    assert facts.subject == "CN=pacs.example.com, O=Größe 放射線"
    assert facts.issuer == "CN=Root, C=SE"
    assert facts.not_before == START
    assert facts.not_after == END


@pytest.mark.parametrize("year", [1950, 1999, 2049, 2050, 9999])
def test_the_year_is_read_in_both_ways_of_writing_it(year):
    moment = datetime.datetime(year, 6, 1, 12, 30, 15, tzinfo=datetime.UTC)
    first, last = (moment, END) if moment < END else (START, moment)
    facts = read_certificate(made(name("x"), not_before=first, not_after=last))
    assert facts is not None
    assert moment in (facts.not_before, facts.not_after)


@pytest.mark.parametrize("kind", [_ASN1Type.UTF8String, _ASN1Type.PrintableString, _ASN1Type.BMPString])
def test_names_are_read_in_every_way_of_writing_them(kind):
    facts = read_certificate(made(name("Radiology", kind)))
    assert facts is not None
    assert facts.subject == "CN=Radiology"


def test_an_attribute_without_a_short_name_has_its_identifier():
    facts = read_certificate(made(x509.NameAttribute(NameOID.SERIAL_NUMBER, "7")))
    assert facts is not None
    assert facts.subject == "OID.550405=7"


def test_names_cannot_steer_a_terminal():
    facts = read_certificate(made(name("\x1b]0;title\x07\n")))
    assert facts is not None
    assert facts.subject == "CN=\ufffd]0;title\ufffd\ufffd"


def test_it_agrees_with_the_certificates_that_the_library_reads(pki):
    """The standard library decodes the authorities that it trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(pki.ca)
    (known,) = context.get_ca_certs()
    facts = read_certificate(ssl.PEM_cert_to_DER_cert(Path(pki.ca).read_text()))
    assert facts is not None
    moments = {key: ssl.cert_time_to_seconds(str(known[key])) for key in ("notBefore", "notAfter")}
    assert (facts.not_before.timestamp(), facts.not_after.timestamp()) == tuple(moments.values())
    assert all(f"={value}" in facts.subject for ((_, value),) in known["subject"])


@given(st.binary(max_size=200))
def test_what_is_no_certificate_gives_nothing(data):
    assert read_certificate(data) is None


@given(st.integers(0, len(SAMPLE) - 1), st.integers(0, 255), st.integers(0, len(SAMPLE)))
def test_a_damaged_certificate_gives_its_names_or_nothing(position, octet, length):
    damaged = (SAMPLE[:position] + bytes([octet]) + SAMPLE[position + 1 :])[:length]
    facts = read_certificate(damaged)
    assert facts is None or facts.not_before.tzinfo is datetime.UTC
