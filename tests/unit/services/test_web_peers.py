"""DICOMweb over TLS, with the settings that DIMSE has: what fails is explained in the same words."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from dicomfab.dimse.peer import Peer, Timeouts, WebAccess
from dicomfab.dimse.tls_settings import TlsSettings
from dicomfab.dimse.transport.tls import client_context, web_context
from dicomfab.model.errors import InvalidInput, TlsFailed
from dicomfab.services.by_web import find
from dicomfab.services.study_filter import StudyFilter
from tests.unit.dicomweb.client.servers import Reply, WebServer, web_server


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(made)
    return made


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[WebServer]:
    with web_server(lambda _: Reply(), context(authority, "127.0.0.1")) as server:
        yield server


def ask(root: str, tls: TlsSettings) -> int:
    access = WebAccess(root, tls)
    peer = Peer("127.0.0.1", 104, "THERE", timeouts=Timeouts(2, 2, 2, 2), name="There", web=access)
    wanted = StudyFilter()
    return len(list(find(peer, wanted.model, wanted.identifier())))


def failure(root: str, tls: TlsSettings) -> TlsFailed:
    with pytest.raises(TlsFailed) as caught:
        ask(root, tls)
    return caught.value


def test_a_certificate_that_is_trusted(secure: WebServer, trusted: str) -> None:
    assert ask(secure.root, TlsSettings(ca_file=trusted)) == 0
    assert ask(secure.root, TlsSettings(verify=False)) == 0
    assert len(secure.asked) == 2


def test_a_certificate_that_is_not(secure: WebServer) -> None:
    error = failure(secure.root, TlsSettings())
    assert error.code in ("tls-unknown-issuer", "tls-self-signed")
    assert "--tls-ca-file" in error.remedy
    assert secure.asked == []


def test_a_certificate_for_another_name(authority: trustme.CA, trusted: str) -> None:
    with web_server(lambda _: Reply(), context(authority, "pacs.example.com")) as server:
        assert failure(server.root, TlsSettings(ca_file=trusted)).code == "tls-other-name"
        assert ask(server.root, TlsSettings(ca_file=trusted, server_name="pacs.example.com")) == 0


def test_a_server_that_demands_a_certificate(authority: trustme.CA, trusted: str, tmp_path: Path) -> None:
    demanding = context(authority, "127.0.0.1")
    authority.configure_trust(demanding)
    demanding.verify_mode = ssl.CERT_REQUIRED
    ours = authority.issue_cert("us@example.com")
    ours.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    ours.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    with web_server(lambda _: Reply(), demanding) as server:
        assert failure(server.root, TlsSettings(ca_file=trusted)).code == "tls-certificate-demanded"
        shown = TlsSettings(trusted, str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))
        assert ask(server.root, shown) == 0


def test_https_where_http_is_spoken(trusted: str) -> None:
    with web_server(lambda _: Reply()) as server:
        error = failure(server.root.replace("http:", "https:"), TlsSettings(ca_file=trusted))
    assert "--dicomweb-root" in error.remedy
    assert "2762" not in str(error)


def test_a_file_that_is_gone(trusted: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        ask("https://127.0.0.1:9/dicom-web", TlsSettings(ca_file=f"{trusted}.gone"))
    assert caught.value.field == "tls_ca_file"


def test_what_http_writes_into_its_context_is_not_in_that_of_associations(trusted: str) -> None:
    settings = TlsSettings(ca_file=trusted)
    assert web_context(settings) is web_context(settings)
    assert web_context(settings) is not client_context(settings)
