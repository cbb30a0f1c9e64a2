from __future__ import annotations

from types import SimpleNamespace

import pytest
import trustme

from dicomfab.dimse.tls_settings import TlsServerSettings, TlsSettings
from tests.unit.dimse.transport.secure_peers import HOST, Authority, ffdhe2048, self_signed


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    """A hospital's authority and a stranger's, and what they have issued."""
    folder = tmp_path_factory.mktemp("pki")
    hospital, stranger = Authority(folder, "Hospital"), Authority(folder, "Stranger")
    return SimpleNamespace(
        ca=hospital.file,
        stranger_ca=stranger.file,
        server=hospital.issue(HOST, "localhost"),
        rsa=hospital.issue(HOST, key_type=trustme.KeyType.RSA),
        named=hospital.issue("pacs.example.com"),
        expired=hospital.issue(HOST, valid=(2019, 2020)),
        future=hospital.issue(HOST, valid=(2090, 2091)),
        client=hospital.issue("station.example.com", unit="Radiology"),
        stale_client=hospital.issue("station.example.com", valid=(2019, 2020)),
        strange_client=stranger.issue("station.example.com"),
        self_signed=self_signed(folder),
        weak=self_signed(folder, 1024),
        dh_parameters=ffdhe2048(folder),
    )


@pytest.fixture
def trusting(pki):
    """Settings of a caller who knows the hospital's authority."""
    return TlsSettings(ca_file=pki.ca)


@pytest.fixture
def open_server(pki):
    """Settings of a server that asks nobody for a certificate."""
    return TlsServerSettings(pki.server.certificate, pki.server.key)


@pytest.fixture
def strict_server(pki):
    """Settings of a server that demands a certificate of the hospital's authority."""
    return TlsServerSettings(pki.server.certificate, pki.server.key, ca_file=pki.ca, require_client_certificate=True)
