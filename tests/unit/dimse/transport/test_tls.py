from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from dicomfab.dimse.tls_settings import TlsProfile, TlsServerSettings, TlsSettings
from dicomfab.dimse.transport.tls import CIPHER_SUITES, client_context, describe, server_context
from dicomfab.model.errors import InvalidInput, TlsFailed
from tests.unit.dimse.transport.secure_peers import HOST, converse, handshake, old_server, peer, secure, serving

TLS_1_2 = ssl.TLSVersion.TLSv1_2
SUITES = [(profile, suite) for profile, suites in CIPHER_SUITES.items() for suite in suites]


@pytest.mark.parametrize("profile", TlsProfile)
def test_both_sides_agree_on_tls_1_3(pki, trusting, open_server, profile):
    server = server_context(replace(open_server, profile=profile))
    with serving(secure(server)) as served, handshake(peer(served.port, replace(trusting, profile=profile))) as wrapped:
        assert describe(wrapped).version == "TLSv1.3"


@pytest.mark.parametrize(("profile", "suite"), SUITES)
def test_every_cipher_suite_of_a_profile_works_in_tls_1_2(pki, trusting, profile, suite):
    context = old_server(pki.server if "ECDSA" in suite else pki.rsa, TLS_1_2)
    context.load_dh_params(pki.dh_parameters)
    context.set_ciphers(suite)
    with serving(secure(context)) as served, handshake(peer(served.port, replace(trusting, profile=profile))) as made:
        details = describe(made)
    assert (details.version, details.cipher) == ("TLSv1.2", suite)


def test_the_profiles_are_of_forward_secrecy_and_authenticated_encryption_only():
    assert set(CIPHER_SUITES) == set(TlsProfile)
    for _, suite in SUITES:
        assert suite.startswith(("ECDHE-", "DHE-"))
        assert any(mode in suite for mode in ("-GCM-", "-CHACHA20-", "-AES128-CCM", "-AES256-CCM"))


@pytest.mark.parametrize("profile", TlsProfile)
@pytest.mark.parametrize("suite", ["AES128-SHA", "ECDHE-RSA-AES128-SHA256", "AES256-GCM-SHA384"])
def test_no_profile_takes_a_suite_without_these(pki, trusting, profile, suite):
    context = old_server(pki.rsa, TLS_1_2)
    context.set_ciphers(f"{suite}:@SECLEVEL=0")
    with serving(secure(context)) as served, pytest.raises(TlsFailed, match="in common"):
        handshake(peer(served.port, replace(trusting, profile=profile)))


def test_a_server_takes_no_version_before_tls_1_2(pki, open_server):
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with serving(secure(server_context(open_server))) as served:
        raw = socket.create_connection((HOST, served.port))
        with raw, pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
            old.wrap_socket(raw)


# Trust


def test_bytes_go_both_ways_when_both_certificates_are_trusted(pki, trusting, strict_server):
    known = replace(trusting, certificate_file=pki.client.certificate, key_file=pki.client.key)
    with serving(secure(server_context(strict_server))) as served:
        assert converse(peer(served.port, known)) == b"pong"
    assert served.said == [b"ping"]


def test_verification_is_on_unless_it_is_switched_off(pki, open_server):
    assert TlsSettings().verify
    with serving(secure(server_context(open_server))) as served, pytest.raises(TlsFailed, match="not trusted"):
        handshake(peer(served.port, TlsSettings()))
    with serving(secure(server_context(open_server))) as served:
        assert converse(peer(served.port, TlsSettings(verify=False, ca_file="/gone.pem"))) == b"pong"


def test_without_a_file_the_trust_store_of_the_machine_counts(pki, open_server, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", pki.ca)
    with serving(secure(server_context(open_server))) as served:
        assert converse(peer(served.port, TlsSettings(server_name="localhost"))) == b"pong"


def test_trusting_the_servers_own_certificate_is_enough(pki, open_server, tmp_path):
    own = tmp_path / "own.pem"
    chain = Path(pki.server.certificate).read_text()
    own.write_text(chain[: chain.index("-----END CERTIFICATE-----") + 26])
    with serving(secure(server_context(open_server))) as served:
        assert converse(peer(served.port, TlsSettings(ca_file=str(own)))) == b"pong"


def test_the_name_of_the_certificate_can_be_given(pki, trusting):
    settings = TlsServerSettings(pki.named.certificate, pki.named.key)
    with serving(secure(server_context(settings))) as served:
        called = peer(served.port, replace(trusting, server_name="pacs.example.com"))
        assert converse(called) == b"pong"


@pytest.mark.parametrize(
    ("host", "name"), [("pacs.example.com.", "pacs.example.com"), ("fe80::1%eth0", "fe80::1"), ("10.0.0.5", "10.0.0.5")]
)
def test_a_zone_and_the_last_dot_are_no_part_of_a_certificates_name(host, name):
    assert TlsSettings().name_for(host) == name
    assert TlsSettings(server_name="other").name_for(host) == "other"


def test_callers_certificates_are_looked_at_but_not_demanded_unless_told(pki, trusting, strict_server):
    context = server_context(replace(strict_server, require_client_certificate=False))
    with serving(secure(context)) as served:
        assert converse(peer(served.port, trusting)) == b"pong"
    with serving(secure(context)) as served:
        strange = replace(trusting, certificate_file=pki.strange_client.certificate, key_file=pki.strange_client.key)
        with pytest.raises(TlsFailed, match="does not accept our client certificate"):
            converse(peer(served.port, strange))


# Contexts are kept


def test_a_context_is_made_once_and_again_when_a_file_has_changed(pki, tmp_path):
    certificate, key, ca = (tmp_path / name for name in ("c.pem", "k.pem", "ca.pem"))
    shutil.copy(pki.client.certificate, certificate)
    shutil.copy(pki.client.key, key)
    shutil.copy(pki.ca, ca)
    client = TlsSettings(str(ca), str(certificate), str(key))
    server = TlsServerSettings(str(certificate), str(key), str(ca))
    for make, settings in ((client_context, client), (server_context, server)):
        first = make(settings)
        assert make(replace(settings)) is first
        assert make(replace(settings, profile=TlsProfile.MODIFIED_BCP_195)) is not first
        for file in (certificate, key, ca):
            before = make(settings)
            os.utime(file, ns=(0, os.stat(file).st_mtime_ns + 1))
            assert make(settings) is not before


def test_what_was_wrong_is_looked_at_again(pki, tmp_path):
    ca = tmp_path / "ca.pem"
    with pytest.raises(InvalidInput):
        client_context(TlsSettings(str(ca)))
    shutil.copy(pki.ca, ca)
    assert client_context(TlsSettings(str(ca)))


# Files that cannot be used


@pytest.fixture
def bad(pki, tmp_path):
    """Paths by name of what is wrong."""
    key = Path(pki.rsa.key)
    paths = {name: str(tmp_path / name) for name in ("absent", "empty", "text", "der", "binary")}
    Path(paths["empty"]).write_bytes(b"")
    Path(paths["text"]).write_text("-----BEGIN SOMETHING-----\nAAAA\n-----END SOMETHING-----\n")
    Path(paths["der"]).write_bytes(ssl.PEM_cert_to_DER_cert(Path(pki.ca).read_text()))
    Path(paths["binary"]).write_bytes(bytes(range(256)) * 4)
    paths |= {"folder": str(tmp_path), "key": str(key), "certificate": pki.rsa.certificate, "ca": pki.ca}
    return paths | {"nul": "/a\0b"}


def refused(settings: TlsSettings | TlsServerSettings) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        client_context(settings) if isinstance(settings, TlsSettings) else server_context(settings)
    assert caught.value.cause
    assert caught.value.remedy
    assert caught.value.what.startswith(caught.value.field)
    return caught.value


@pytest.mark.parametrize("wrong", ["absent", "folder", "nul"])
@pytest.mark.parametrize("field", ["ca_file", "certificate_file", "key_file"])
def test_a_file_that_cannot_be_read_is_named(bad, wrong, field):
    for usual in (
        TlsSettings(bad["ca"], bad["certificate"], bad["key"]),
        TlsServerSettings(bad["certificate"], bad["key"], bad["ca"]),
    ):
        error = refused(replace(usual, **{field: bad[wrong]}))
        assert (error.field, error.value) == (f"tls_{field}", bad[wrong])
        assert "cannot be read" in error.what


@pytest.mark.parametrize("wrong", ["empty", "text", "der", "binary", "key"])
def test_a_file_without_a_certificate_is_named(bad, wrong):
    for settings in (TlsSettings(bad[wrong]), TlsServerSettings(bad["certificate"], bad["key"], bad[wrong])):
        error = refused(settings)
        assert (error.field, error.value) == ("tls_ca_file", bad[wrong])
        assert "no certificate in PEM form" in error.what
    for settings in (TlsSettings(bad["ca"], bad[wrong], bad["key"]), TlsServerSettings(bad[wrong], bad["key"])):
        error = refused(settings)
        assert (error.field, error.value) == ("tls_certificate_file", bad[wrong])
        assert "no certificate in PEM form" in error.what


@pytest.mark.parametrize("wrong", ["empty", "text", "der", "binary", "certificate"])
def test_a_file_without_a_key_is_named(bad, wrong):
    error = refused(TlsSettings(bad["ca"], bad["certificate"], bad[wrong]))
    assert (error.field, error.value) == ("tls_key_file", bad[wrong])
    assert "no private key in PEM form" in error.what


@pytest.mark.parametrize("which", ["server", "client"])
def test_a_key_of_another_certificate_is_named(pki, bad, which):
    for certificate in (pki.rsa.certificate, pki.expired.certificate):
        error = refused(TlsSettings(bad["ca"], certificate, getattr(pki, which).key))
        assert error.field == "tls_key_file"
        assert "does not fit the certificate" in error.what


@pytest.mark.parametrize("form", [PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8])
def test_an_encrypted_key_is_named_and_nobody_is_asked(bad, tmp_path, form):
    key = load_pem_private_key(Path(bad["key"]).read_bytes(), None)
    encrypted = tmp_path / "encrypted.pem"
    encrypted.write_bytes(key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"secret")))
    error = refused(TlsSettings(bad["ca"], bad["certificate"], str(encrypted)))
    assert error.field == "tls_key_file"
    assert "is encrypted" in error.what


def test_a_weak_certificate_is_named(pki):
    error = refused(TlsSettings(pki.ca, pki.weak.certificate, pki.weak.key))
    assert error.field == "tls_certificate_file"
    assert "is too weak" in error.what


def test_one_of_certificate_and_key_alone_is_refused(bad):
    assert refused(TlsSettings(bad["ca"], bad["certificate"])).field == "tls_key_file"
    assert refused(TlsSettings(bad["ca"], key_file=bad["key"])).field == "tls_certificate_file"
    assert refused(TlsServerSettings("", "")).field == "tls_certificate_file"


def test_demanding_certificates_without_an_authority_is_refused(bad):
    settings = TlsServerSettings(bad["certificate"], bad["key"], require_client_certificate=True)
    assert refused(settings).field == "tls_ca_file"


# What a connection turned out to be


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("newest", [TLS_1_2, ssl.TLSVersion.TLSv1_3])
def test_a_connection_is_described_whether_verified_or_not(pki, trusting, verify, newest):
    settings = replace(trusting, verify=verify)
    with serving(secure(old_server(pki.server, newest))) as served, handshake(peer(served.port, settings)) as wrapped:
        details = describe(wrapped)
    assert details.version == newest.name.replace("_", ".")
    assert "AES" in details.cipher
    assert details.verified is verify
    assert "O=Hospital" in details.issuer
    assert details.not_after == datetime.fromtimestamp(ssl.cert_time_to_seconds(not_after(pki.server.certificate)), UTC)
    printed = openssl("x509", "-noout", "-fingerprint", "-sha256", "-in", pki.server.certificate)
    assert details.fingerprint == printed.strip().rpartition("=")[2]


def test_a_server_describes_its_caller(pki, trusting, strict_server):
    described = []

    def behave(connection, served):
        with server_context(strict_server).wrap_socket(connection, server_side=True) as wrapped:
            described.append(describe(wrapped))
            wrapped.recv(100)
            wrapped.sendall(b"pong")

    known = replace(trusting, certificate_file=pki.client.certificate, key_file=pki.client.key)
    with serving(behave) as served:
        converse(peer(served.port, known))
    assert described[0].verified
    assert "OU=Radiology" in described[0].subject


def test_a_caller_without_a_certificate_is_described_as_such(trusting, open_server):
    described = []

    def behave(connection, served):
        with server_context(open_server).wrap_socket(connection, server_side=True) as wrapped:
            described.append(describe(wrapped))

    with serving(behave) as served, handshake(peer(served.port, trusting)):
        pass
    (details,) = described
    assert (details.verified, details.subject, details.issuer, details.not_after) == (False, "", "", None)


def openssl(*arguments: str) -> str:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    return subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=True).stdout


def not_after(certificate: str) -> str:
    return openssl("x509", "-noout", "-enddate", "-in", certificate).strip().partition("=")[2]
