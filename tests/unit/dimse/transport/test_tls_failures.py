"""Each way in which a secure connection can fail, on real sockets, and what the user is told."""

from __future__ import annotations

import errno
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from dicomfab.dimse.explain_tls import (
    alert_after_handshake,
    caller_failed,
    caller_speaks_tls,
    looks_like_tls,
    peer_speaks_tls,
    tls_failed,
)
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.tls_settings import TlsProfile, TlsServerSettings, TlsSettings
from dicomfab.dimse.transport.tls import client_context, pending_alert, server_context
from dicomfab.model.errors import ConnectionFailed, TlsFailed
from tests.unit.dimse.transport.secure_peers import (
    HOST,
    Behaviour,
    Served,
    answering,
    converse,
    handshake,
    old_server,
    peer,
    secure,
    serving,
)

TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
A_ASSOCIATE_RQ = bytes.fromhex("0100000000440001 0000") + b"PACS".ljust(16) + b"DICOMFAB".ljust(16) + bytes(32)
A_ASSOCIATE_RJ = bytes.fromhex("03000000000400010101")
A_ABORT = bytes.fromhex("07000000000400000200")


def serve(pair: Any, newest: ssl.TLSVersion = TLS_1_3, ca: str = "") -> Behaviour:
    """A server with a certificate; with an authority it demands certificates of its callers."""
    context = old_server(pair, newest)
    if ca:
        context.load_verify_locations(ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return secure(context)


def failure(behave: Behaviour, tls: TlsSettings, *, host: str = HOST, wait_s: float = 10.0) -> TlsFailed:
    with serving(behave) as served, pytest.raises(TlsFailed) as caught:
        converse(peer(served.port, tls, host=host, wait_s=wait_s))
    error = caught.value
    assert isinstance(error, ConnectionFailed)
    assert error.heading == "Secure connection failed"
    assert f"Hospital PACS ({host}:{served.port})" in error.what
    assert error.cause
    assert error.remedy
    assert not any(brace in str(error) for brace in "{}")
    return error


def silent(connection: socket.socket, served: Served) -> None:
    while connection.recv(10_000):
        pass


def closing(connection: socket.socket, served: Served) -> None:
    connection.recv(10_000)


def resetting(connection: socket.socket, served: Served) -> None:
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


# A peer without TLS


@pytest.mark.parametrize("reply", [A_ABORT, A_ASSOCIATE_RJ, b"HTTP/1.1 400 Bad Request\r\n"])
def test_a_peer_that_answers_in_something_else(trusting, reply):
    error = failure(answering(reply), trusting)
    assert "does not speak TLS on this port" in error.what
    assert "dicomfab pacs edit 'Hospital PACS' --no-tls" in error.remedy


@pytest.mark.parametrize("behave", [answering(b""), closing, resetting])
def test_a_peer_that_hangs_up_during_the_handshake(trusting, behave):
    error = failure(behave, trusting)
    assert "closed the connection during the TLS handshake" in error.what
    assert "without TLS" in error.cause


def test_a_peer_that_never_answers_may_be_asked_again(trusting):
    error = failure(silent, trusting, wait_s=0.2)
    assert "did not finish the TLS handshake within 0.2 s" in error.what
    assert error.transient


# The peer's certificate


@pytest.mark.parametrize("newest", [TLS_1_2, TLS_1_3])
class TestCertificateOfThePeer:
    def test_signed_by_an_unknown_authority(self, pki, newest):
        error = failure(serve(pki.server, newest), TlsSettings(ca_file=pki.stranger_ca))
        assert "is not trusted: unable to get local issuer certificate" in error.what
        assert repr(pki.stranger_ca) in error.cause
        assert "--tls-ca-file FILE" in error.remedy
        assert not error.transient

    def test_self_signed(self, pki, newest):
        error = failure(serve(pki.self_signed, newest), TlsSettings())
        assert "is self-signed" in error.what
        assert "the trust store of this machine" in error.what
        assert "fingerprint" in error.remedy

    def test_expired(self, pki, trusting, newest):
        error = failure(serve(pki.expired, newest), trusting)
        assert "has expired" in error.what
        assert "renew" in error.remedy

    def test_not_yet_valid(self, pki, trusting, newest):
        error = failure(serve(pki.future, newest), trusting)
        assert "is not yet valid" in error.what
        assert "clock" in error.cause

    @pytest.mark.parametrize("server_name", ["", "archive.example.com"])
    def test_made_for_another_name(self, pki, trusting, newest, server_name):
        error = failure(serve(pki.named, newest), replace(trusting, server_name=server_name))
        assert f"is not made for the name {server_name or HOST!r}" in error.what
        assert "--tls-server-name NAME" in error.remedy

    def test_weak(self, pki, newest):
        error = failure(serve(pki.weak, newest), TlsSettings(ca_file=pki.weak.certificate))
        assert "is too weak" in error.what


# Our certificate


@pytest.mark.parametrize("newest", [TLS_1_2, TLS_1_3])
class TestOurCertificate:
    def test_demanded_and_not_there(self, pki, trusting, newest):
        error = failure(serve(pki.server, newest, pki.ca), trusting)
        assert "demands a client certificate, and we have none" in error.what
        assert "--tls-certificate-file FILE --tls-key-file FILE" in error.remedy

    @pytest.mark.parametrize(
        ("which", "alert"), [("strange_client", "unknown_ca"), ("stale_client", "certificate_expired")]
    )
    def test_not_accepted(self, pki, trusting, newest, which, alert):
        pair = getattr(pki, which)
        ours = replace(trusting, certificate_file=pair.certificate, key_file=pair.key)
        error = failure(serve(pki.server, newest, pki.ca), ours)
        assert "does not accept our client certificate" in error.what
        assert pair.certificate in error.what
        assert f"alert {alert}" in error.what


def test_a_peer_that_just_closes_after_the_handshake_may_want_a_certificate(pki, trusting):
    def behave(connection: socket.socket, served: Served) -> None:
        with suppress(OSError):
            old_server(pki.server, TLS_1_3).wrap_socket(connection, server_side=True).close()

    error = failure(behave, trusting)
    assert "closed the connection right after the TLS handshake" in error.what
    assert "client certificate" in error.what


@pytest.mark.parametrize("error", [None, ConnectionResetError(errno.ECONNRESET, "reset"), ssl.SSLEOFError(8, "EOF")])
def test_an_end_after_the_handshake_tells_nothing_of_a_certificate_that_was_sent(trusting, error):
    ours = replace(trusting, certificate_file="/c.pem", key_file="/k.pem")
    assert alert_after_handshake(peer(104, ours), error) is None
    assert alert_after_handshake(peer(104, trusting), error) is not None


def test_another_error_after_the_handshake_tells_nothing_of_tls(trusting):
    assert alert_after_handshake(peer(104, trusting), TimeoutError("timed out")) is None
    assert alert_after_handshake(peer(104, trusting), OSError(errno.EHOSTUNREACH, "No route to host")) is None


def test_the_alert_behind_a_failed_write_is_found(pki, trusting):
    """The server has closed before we write, so that the write fails and the alert waits unread."""
    with serving(serve(pki.server, TLS_1_3, pki.ca)) as served, handshake(peer(served.port, trusting)) as wrapped:
        assert served.over.wait(10)
        with pytest.raises(OSError) as caught:  # noqa: PT011 (which one it is differs from system to system)
            wrapped.sendall(A_ASSOCIATE_RQ * 100_000)
        found = pending_alert(wrapped)
    assert "CERTIFICATE_REQUIRED" not in str(caught.value)
    assert found is not None
    assert found.reason == "TLSV13_ALERT_CERTIFICATE_REQUIRED"


def test_a_silent_connection_has_no_alert_and_keeps_its_timeout(trusting, open_server):
    with serving(secure(server_context(open_server))) as served:
        raw = socket.create_connection((HOST, served.port), 7)
        with client_context(trusting).wrap_socket(raw, server_hostname=HOST) as wrapped:
            assert pending_alert(wrapped) is None
            assert wrapped.gettimeout() == 7
            wrapped.sendall(b"ping")
            assert wrapped.recv(10) == b"pong"


# Nothing in common


def test_a_peer_of_former_times(pki, trusting):
    context = old_server(pki.server, ssl.TLSVersion.TLSv1_1)
    error = failure(secure(context), trusting)
    assert "no TLS version or cipher suite in common" in error.what
    assert "--tls-profile non-downgrading-bcp-195" in error.remedy
    older = failure(secure(context), replace(trusting, profile=TlsProfile.NON_DOWNGRADING_BCP_195))
    assert "--tls-profile" not in older.remedy


@pytest.mark.parametrize("with_certificate", [False, True])
def test_a_peer_with_other_cipher_suites(pki, trusting, with_certificate):
    context = old_server(pki.rsa, TLS_1_2)
    context.set_ciphers("AES256-SHA:@SECLEVEL=0")
    if with_certificate:
        trusting = replace(trusting, certificate_file=pki.client.certificate, key_file=pki.client.key)
    error = failure(secure(context), trusting)
    assert "no TLS version or cipher suite in common (alert handshake_failure)" in error.what


def alert(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}]")
    error.reason, error.library = reason, "SSL"
    return error


def test_a_bare_handshake_failure_names_both_causes(trusting):
    error = tls_failed(peer(104, trusting), alert("SSLV3_ALERT_HANDSHAKE_FAILURE"))
    assert "client certificate" in error.cause
    assert "cipher suite" in error.cause


def test_a_peer_that_refuses_the_name_asked_for(trusting):
    named = replace(trusting, server_name="archive.example.com")
    error = tls_failed(peer(104, named), alert("TLSV1_UNRECOGNIZED_NAME"))
    assert "does not go by the name 'archive.example.com'" in error.what


@pytest.mark.parametrize("reason", ["BAD_SIGNATURE", "UNKNOWN_ALERT_TYPE", "TLSV1_ALERT_INTERNAL_ERROR", ""])
def test_what_has_no_case_of_its_own_is_still_said(trusting, reason):
    error = tls_failed(peer(104, trusting), alert(reason))
    assert "failed" in error.what
    assert reason.rpartition("ALERT_")[2].lower().replace("_", " ") in error.what.replace("_", " ")
    other = tls_failed(peer(104, trusting), OSError(errno.EHOSTUNREACH, "No route to host"))
    assert "No route to host" in other.what


def test_no_two_failures_are_told_alike(trusting):
    kinds = [
        alert("WRONG_VERSION_NUMBER"),
        ConnectionResetError(errno.ECONNRESET, "reset"),
        TimeoutError("timed out"),
        alert("TLSV13_ALERT_CERTIFICATE_REQUIRED"),
        alert("TLSV1_ALERT_PROTOCOL_VERSION"),
        alert("SSLV3_ALERT_HANDSHAKE_FAILURE"),
        alert("TLSV1_UNRECOGNIZED_NAME"),
        alert("BAD_SIGNATURE"),
    ]
    for code in (9, 10, 18, 20, 62, 66, 24):
        wrong = ssl.SSLCertVerificationError(1, "certificate verify failed")
        wrong.verify_code, wrong.verify_message = code, "what OpenSSL says."
        kinds.append(wrong)
    told = [tls_failed(peer(104, trusting), kind) for kind in kinds]
    told += [tls_failed(peer(104, replace(trusting, certificate_file="/c", key_file="/k")), kinds[3])]
    told += [peer_speaks_tls(peer(104, None)), caller_speaks_tls("10.0.0.5")]
    assert len({error.what for error in told}) == len(told)
    assert all(error.cause and error.remedy for error in told)


# TLS where none was expected


@pytest.mark.parametrize("first", [b"\x15\x03\x01\x00\x02\x02F", b"\x16\x03\x01", b"\x15\x03", b"\x16\x03\x03\x02"])
def test_records_of_tls_are_known_by_their_first_bytes(first):
    assert looks_like_tls(first)


@pytest.mark.parametrize("first", [b"", b"\x15", b"\x16", A_ASSOCIATE_RQ, A_ABORT, b"HTTP", b"\x17\x03", b"\x16\x02"])
def test_nothing_else_is_taken_for_tls(first):
    assert not looks_like_tls(first)


def test_a_real_client_hello_is_known(trusting):
    with serving(answering(A_ABORT)) as served, pytest.raises(TlsFailed):
        converse(peer(served.port, trusting))
    (hello,) = served.said
    assert isinstance(hello, bytes)
    assert looks_like_tls(hello)


def test_a_peer_that_expects_tls_has_its_command():
    error = peer_speaks_tls(Peer(HOST, 2762, "PACS", name="Hospital PACS"))
    assert "expects TLS" in error.what
    assert "dicomfab pacs edit 'Hospital PACS' --tls" in error.remedy
    assert "dicomfab pacs edit SERVER --tls" in peer_speaks_tls(Peer(HOST, 2762, "PACS")).remedy


def test_a_caller_in_tls_is_told_of(trusting):
    assert "10.0.0.5:1234 called in TLS" in caller_speaks_tls("10.0.0.5:1234").what


# Where we are called


def refused_call(settings: TlsServerSettings, call: Callable[[int], Any]) -> TlsFailed:
    """What a server of ours says of one call."""
    said: list[TlsFailed] = []

    def behave(connection: socket.socket, served: Served) -> None:
        connection.settimeout(0.5)
        try:
            with server_context(settings).wrap_socket(connection, server_side=True) as wrapped:
                wrapped.recv(1)
        except OSError as error:
            said.append(caller_failed("10.0.0.5:1234", error, timeout_s=0.5))

    with serving(behave) as served, suppress(TlsFailed, OSError):
        call(served.port)
    (error,) = said
    assert "10.0.0.5:1234" in error.what
    assert error.cause
    assert error.remedy
    return error


def plainly(first: bytes) -> Callable[[int], None]:
    def call(port: int) -> None:
        with socket.create_connection((HOST, port), 10) as raw:
            raw.sendall(first)
            if first:
                raw.recv(100)

    return call


def test_a_call_without_tls_is_told_of(open_server):
    assert "called without TLS" in refused_call(open_server, plainly(A_ASSOCIATE_RQ)).what


def test_a_call_that_ends_at_once_is_told_of(open_server):
    assert "ended the connection" in refused_call(open_server, plainly(b"")).what


def test_a_call_that_says_nothing_is_told_of(open_server):
    def call(port: int) -> None:
        with socket.create_connection((HOST, port), 10) as raw:
            raw.recv(100)

    assert "within 0.5 s" in refused_call(open_server, call).what


def test_a_caller_without_certificate_is_told_of(trusting, strict_server):
    error = refused_call(strict_server, lambda port: converse(peer(port, trusting)))
    assert "sent no certificate" in error.what


def test_a_caller_with_a_strange_certificate_is_told_of(pki, trusting, strict_server):
    strange = replace(trusting, certificate_file=pki.strange_client.certificate, key_file=pki.strange_client.key)
    error = refused_call(strict_server, lambda port: converse(peer(port, strange)))
    assert "is not accepted: unable to get local issuer certificate" in error.what


def test_a_caller_that_does_not_trust_us_is_told_of(pki, open_server):
    error = refused_call(open_server, lambda port: converse(peer(port, TlsSettings(ca_file=pki.stranger_ca))))
    assert "does not accept our certificate (alert unknown_ca)" in error.what


def test_a_caller_of_former_times_is_told_of(open_server):
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("AES128-SHA:@SECLEVEL=0")
    old.maximum_version = TLS_1_2

    def call(port: int) -> None:
        with socket.create_connection((HOST, port), 10) as raw:
            old.wrap_socket(raw)

    assert "in common" in refused_call(open_server, call).what


def test_a_callers_failure_without_a_case_of_its_own_is_still_said():
    assert "failed: bad signature" in caller_failed("10.0.0.5", alert("BAD_SIGNATURE")).what
