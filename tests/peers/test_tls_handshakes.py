"""Our TLS contexts against the TLS of DCMTK and Orthanc, as those come."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from dicomfab.dimse.peer import Peer
from dicomfab.dimse.tls_settings import TlsProfile, TlsServerSettings, TlsSettings
from dicomfab.dimse.transport.tls import describe, server_context
from dicomfab.model.errors import TlsFailed
from tests.peers.programs import free_port, program
from tests.unit.dimse.transport.secure_peers import HOST, Authority, Pair, converse, handshake

pytestmark = pytest.mark.peers

DCMTK_PROFILES = {"non-downgrading": [], "BCP 195": ["+px"], "extended": ["+pz"]}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "Hospital")


@pytest.fixture(scope="module", params=[trustme.KeyType.RSA, trustme.KeyType.ECDSA], ids=lambda kind: kind.name)
def pair(request: pytest.FixtureRequest, authority: Authority) -> Pair:
    return authority.issue(HOST, key_type=request.param)


@contextmanager
def listening(arguments: list[str], port: int, folder: Path) -> Iterator[None]:
    """Run a server until the block ends; it is up when its port accepts connections."""
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(arguments, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        try:
            for _ in range(200):
                try:
                    socket.create_connection((HOST, port)).close()
                except OSError:
                    try:
                        process.wait(0.1)
                    except subprocess.TimeoutExpired:
                        continue
                    pytest.fail((folder / "log.txt").read_text(errors="replace"))
                break
            yield
        finally:
            process.terminate()
            process.wait(10)


def called(port: int, tls: TlsSettings) -> Peer:
    return Peer(HOST, port, "PACS", tls=tls)


@pytest.mark.parametrize("theirs", DCMTK_PROFILES)
def test_every_profile_of_ours_with_storescp(tmp_path, authority, pair, theirs):
    port = free_port()
    options = [*DCMTK_PROFILES[theirs], "+tls", pair.key, pair.certificate, "-ic"]
    with listening([program("storescp"), *options, "--ignore", str(port)], port, tmp_path):
        for profile in TlsProfile:
            with handshake(called(port, TlsSettings(authority.file, profile=profile))) as wrapped:
                details = describe(wrapped)
            assert details.verified
            assert details.version == ("TLSv1.2" if theirs == "extended" else "TLSv1.3")


def test_storescp_that_demands_certificates(tmp_path, authority, pair):
    port = free_port()
    options = ["+tls", pair.key, pair.certificate, "+cf", authority.file]
    ours = authority.issue("station.example.com")
    trusting = TlsSettings(authority.file)
    strange = Authority(tmp_path, "Stranger").issue("station.example.com")
    with listening([program("storescp"), *options, "--ignore", str(port)], port, tmp_path):
        with handshake(called(port, replace(trusting, certificate_file=ours.certificate, key_file=ours.key))):
            pass
        with pytest.raises(TlsFailed, match="demands a client certificate"):
            converse(called(port, trusting))
        with pytest.raises(TlsFailed, match=r"does not accept our client certificate.*unknown_ca"):
            converse(called(port, replace(trusting, certificate_file=strange.certificate, key_file=strange.key)))


def test_storescp_without_tls(tmp_path, authority):
    port = free_port()
    with (
        listening([program("storescp"), "--ignore", str(port)], port, tmp_path),
        pytest.raises(TlsFailed, match=r"closed the connection during|does not speak TLS"),
    ):
        handshake(called(port, TlsSettings(authority.file)))


def test_orthanc_that_demands_certificates(tmp_path, authority, pair):
    port = free_port()
    configuration = {
        "DicomPort": port,
        "HttpServerEnabled": False,
        "StorageDirectory": str(tmp_path / "storage"),
        "IndexDirectory": str(tmp_path / "storage"),
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": pair.certificate,
        "DicomTlsPrivateKey": pair.key,
        "DicomTlsTrustedCertificates": authority.file,
        "DicomTlsRemoteCertificateRequired": True,
    }
    (tmp_path / "orthanc.json").write_text(json.dumps(configuration))
    ours = authority.issue("station.example.com")
    trusting = TlsSettings(authority.file)
    known = replace(trusting, certificate_file=ours.certificate, key_file=ours.key)
    with listening([program("Orthanc"), str(tmp_path / "orthanc.json")], port, tmp_path):
        for profile in TlsProfile:
            with handshake(called(port, replace(known, profile=profile))) as wrapped:
                assert describe(wrapped).version == "TLSv1.3"
        with pytest.raises(TlsFailed, match="demands a client certificate"):
            converse(called(port, trusting))


@pytest.mark.parametrize("profile", TlsProfile)
@pytest.mark.parametrize("theirs", DCMTK_PROFILES)
def test_echoscu_calls_us(authority, pair, profile, theirs):
    ours = authority.issue("station.example.com", key_type=trustme.KeyType.RSA)
    settings = TlsServerSettings(
        pair.certificate, pair.key, authority.file, require_client_certificate=True, profile=profile
    )
    with socket.create_server((HOST, 0)) as listener:
        listener.settimeout(20)
        port = listener.getsockname()[1]
        options = [*DCMTK_PROFILES[theirs], "+tls", ours.key, ours.certificate, "+cf", authority.file]
        process = subprocess.Popen([program("echoscu"), *options, HOST, str(port)], stderr=subprocess.DEVNULL)
        try:
            connection, _ = listener.accept()
            with connection, server_context(settings).wrap_socket(connection, server_side=True) as wrapped:
                wrapped.settimeout(20)
                assert wrapped.recv(1) == b"\x01"  # A-ASSOCIATE-RQ (PS3.8 9.3.2)
                details = describe(wrapped)
        finally:
            process.kill()
            process.wait(10)
    assert details.verified
    assert details.version == ("TLSv1.2" if theirs == "extended" else "TLSv1.3")
