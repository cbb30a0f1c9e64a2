"""When messages count as read, and what is said when they do not."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomfab.model.errors import ConnectionFailed, ConnectionLost, InvalidInput, PeerError, PeerTimeout, TlsFailed
from dicomfab.syslog.message import framed
from dicomfab.syslog.receiver import SyslogReceiver
from dicomfab.syslog.sender import deliver
from tests.unit.dimse.transport.secure_peers import Authority
from tests.unit.syslog.syslog_peer import Peer, Site, listening

FEW = [framed(b"message %d" % number) for number in range(5)]
MUCH = [framed(b'<85>1 - - - - - [x entry="%d"] ' % number + b"x" * 30_000) for number in range(300)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site.made(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize("says_goodbye", [False, True])
@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_what_was_delivered_is_there_when_it_returns(site: Site, tls: str, *, says_goodbye: bool):
    with listening(site, Peer(says_goodbye=says_goodbye), tls=tls) as peer:
        deliver(site.receiver(peer.port), FEW, within_s=10)
        deliver(site.receiver(peer.port), MUCH, within_s=10)
    assert peer.messages[:5] == [frame.partition(b" ")[2] for frame in FEW]
    assert peer.numbers == list(range(300))


@pytest.mark.parametrize(("frames", "read"), [(FEW, 0), (FEW, 10), (MUCH, 0), (MUCH, 20_000), (MUCH, 2_000_000)])
def test_a_receiver_that_hangs_up_early_has_not_read_all(site: Site, frames: list[bytes], read: int):
    with listening(site, Peer(hang_up_after=read)) as peer:
        for _ in range(5):
            with pytest.raises(ConnectionLost, match="hung up before it had read everything"):
                deliver(site.receiver(peer.port), frames, within_s=10)


@pytest.mark.parametrize("frames", [FEW, MUCH])
def test_a_receiver_that_reads_nothing_is_left_in_time(site: Site, frames: list[bytes]):
    with listening(site, Peer(is_deaf=True)) as peer:
        began = time.monotonic()
        with pytest.raises(PeerTimeout, match="did not read everything in 1 s"):
            deliver(site.receiver(peer.port), frames, within_s=1)
        assert time.monotonic() - began < 5


def explained(receiver: SyslogReceiver, kind: type[PeerError] = TlsFailed) -> str:
    with pytest.raises(kind) as refused:
        deliver(receiver, FEW, within_s=5)
    assert type(refused.value) is kind
    return str(refused.value)


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_our_certificate_is_refused(site: Site, tmp_path: Path, tls: str):
    """TLS 1.3 tells it only when we have begun to send."""
    stranger = Authority(tmp_path, "stranger").issue("dicomfab.example")
    expired = site.authority.issue("dicomfab.example", valid=(2001, 2002))
    with listening(site, tls=tls) as peer:
        for client, words in ((stranger, "unknown ca"), (expired, "certificate expired")):
            said = explained(site.receiver(peer.port, client))
            assert f"does not accept our certificate ({words})" in said
            assert "DICOMFAB_AUDIT_SYSLOG_CERTIFICATE" in said
    assert peer.messages == []


def test_the_receivers_certificate_is_always_checked(site: Site, tmp_path: Path):
    stranger = Authority(tmp_path, "stranger")
    with listening(site) as peer:
        said = explained(site.receiver(peer.port, ca=stranger.file))
        assert "is not trusted" in said
        assert "DICOMFAB_AUDIT_SYSLOG_CA" in said
    with listening(site, server=site.authority.issue("elsewhere.example")) as peer:
        assert "is not made for the name 'localhost'" in explained(site.receiver(peer.port))
    with listening(site, server=site.authority.issue("localhost", valid=(2001, 2002))) as peer:
        assert "has expired" in explained(site.receiver(peer.port))
    with listening(site, server=site.authority.issue("localhost", valid=(2901, 2902))) as peer:
        assert "is not yet valid" in explained(site.receiver(peer.port))
    assert peer.messages == []


def test_who_does_not_speak_tls(site: Site):
    with _plain(b"220 hello\r\n") as port:
        assert "no secure connection" in explained(site.receiver(port))
    with _plain(b"") as port:
        assert "did not finish the TLS handshake" in explained(site.receiver(port))


def test_nobody_listens(site: Site):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert "cannot be reached (connection refused)" in explained(site.receiver(port), ConnectionFailed)
    unknown = site.receiver(port, host="nobody.invalid")
    assert "nobody.invalid" in explained(unknown, ConnectionFailed)


def test_our_files_cannot_be_used(site: Site, tmp_path: Path):
    other = site.authority.issue("dicomfab.example")
    ours, empty = Path(site.client.certificate), tmp_path / "empty.pem"
    empty.write_text("")
    wrong = {
        SyslogReceiver("localhost", 1, ours, Path(other.key)): "the key does not belong to the certificate",
        SyslogReceiver("localhost", 1, tmp_path / "none.pem", ours): "No such file",
        SyslogReceiver("localhost", 1, empty, Path(other.key)): "PEM",
        SyslogReceiver("localhost", 1, ours, Path(site.client.key), empty): "no certificate",
        SyslogReceiver("localhost", 1, ours, Path(site.client.key), tmp_path / "none.pem"): "No such file",
    }
    for receiver, words in wrong.items():
        with pytest.raises(InvalidInput) as refused:
            deliver(receiver, FEW, within_s=5)
        assert words in refused.value.cause
    assert refused.value.field == "DICOMFAB_AUDIT_SYSLOG_CA"


@contextlib.contextmanager
def _plain(words: bytes) -> Iterator[int]:
    """A server that says something to whoever comes, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_say, args=(listener, words))
        thread.start()
        yield int(listener.getsockname()[1])
        thread.join()


def _say(listener: socket.socket, words: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(1 << 16)
        connection.sendall(words)
