"""An OpenID provider over TLS: only one whose certificate is trusted is asked, and only over TLS."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from dicomfab.identity.oidc import OidcAnswer, OidcProvider, OidcSettings
from dicomfab.model.errors import DirectoryUnavailable
from tests.peers.oidc_hostile import CLIENT_ID, CLIENT_SECRET, Hostile, Lie, hostile_provider
from tests.peers.oidc_lies import put

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@contextmanager
def secure(authority: trustme.CA, name: str = "localhost") -> Iterator[Hostile]:
    """One with a certificate of this authority for this name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    with hostile_provider(context, "localhost") as hostile:
        yield hostile


def client_of(hostile: Hostile, ca_file: Path | None) -> OidcProvider:
    settings = OidcSettings(
        address="https://dicomfab.example.com",
        issuer=hostile.issuer,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        ca_file=str(ca_file or ""),
    )
    return OidcProvider(settings, lambda: datetime.now(UTC))


@pytest.fixture
def ca_file(authority, tmp_path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


def test_trusted_one(authority, ca_file):
    with secure(authority) as hostile:
        client = client_of(hostile, ca_file)
        request = client.begin()
        trust = ssl.create_default_context(cafile=ca_file)
        assert isinstance(client.answered(hostile.answer_of(request.address, trust), request), OidcAnswer)


def test_unknown_authority(authority):
    with secure(authority) as hostile:
        with pytest.raises(DirectoryUnavailable) as caught:
            client_of(hostile, None).begin()
        assert hostile.asked == []
    assert "its certificate is not trusted" in caught.value.cause


def test_certificate_of_another_name(authority, ca_file):
    with secure(authority, "id.example.com") as hostile:
        with pytest.raises(DirectoryUnavailable) as caught:
            client_of(hostile, ca_file).begin()
        assert hostile.asked == []
    assert "its certificate is not trusted" in caught.value.cause


def test_one_that_speaks_no_tls(ca_file):
    with hostile_provider() as hostile:
        hostile.issuer = hostile.issuer.replace("http:", "https:").replace("127.0.0.1", "localhost")
        with pytest.raises(DirectoryUnavailable) as caught:
            client_of(hostile, ca_file).begin()
    assert "no secure connection came about" in caught.value.cause


@pytest.mark.parametrize("endpoint", ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"])
def test_one_that_sends_us_to_plain_http_of_this_machine(authority, ca_file, endpoint):
    with secure(authority) as hostile:
        hostile.lie = Lie(document=put(**{endpoint: "http://127.0.0.1:8080/"}))
        with pytest.raises(DirectoryUnavailable) as caught:
            client_of(hostile, ca_file).begin()
    assert caught.value.cause == f"{endpoint} is no https address"


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificates_that_cannot_be_read(authority, tmp_path, content):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with secure(authority) as hostile, pytest.raises(DirectoryUnavailable) as caught:
        client_of(hostile, path).begin()
    assert str(path) in caught.value.cause
