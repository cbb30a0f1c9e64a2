"""One server: the road before DICOM begins, and ports that are none of DICOM."""

from __future__ import annotations

import errno
import socket
import ssl
import struct
import threading
from typing import Any

from dicomfab.diagnosis.reason import Diagnosis, Verdict
from dicomfab.dimse.tls_settings import TlsServerSettings
from dicomfab.dimse.transport import connect
from dicomfab.ul import Abort
from dicomfab.ul.pdu import encode_pdu
from tests.doctor.cases import Case, healthy
from tests.doctor.site import SOON_S, Site, answering, closing, greeting
from tests.unit.dimse import raw
from tests.unit.dimse.raw import Wire
from tests.unit.dimse.transport.secure_peers import Authority, old_server

QUICK = {"connect_timeout_s": SOON_S, "association_timeout_s": SOON_S, "dimse_timeout_s": SOON_S}


def inactive(site: Site) -> Diagnosis:
    return site.diagnosis(site.pacs(is_active=False))


def no_such_name(site: Site) -> Diagnosis:
    def unknown(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    site.monkeypatch.setattr(socket, "getaddrinfo", unknown)
    return site.diagnosis(site.entry(104, host="pacs.hospital.example"))


def resolver_hangs(site: Site) -> Diagnosis:
    over = site.stack.enter_context(_Over())
    site.monkeypatch.setattr(socket, "getaddrinfo", over.wait)
    return site.diagnosis(site.entry(104, host="pacs.hospital.example"), limit_s=1.0)


class _Over:
    """Somebody waits until the world ends."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def __enter__(self) -> _Over:
        return self

    def __exit__(self, *_: object) -> None:
        self._event.set()

    def wait(self, *_: Any, **__: Any) -> list[Any]:
        self._event.wait(20)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


def refused(site: Site) -> Diagnosis:
    return site.diagnosis(site.entry(site.closed_port()))


def refused_beside_a_living_one(site: Site) -> Diagnosis:
    neighbour = site.pacs(name="other", host="localhost")
    return site.diagnosis(site.entry(site.closed_port()), neighbour)


def refused_beside_a_dead_one(site: Site) -> Diagnosis:
    neighbour = site.entry(site.closed_port(), name="other")
    return site.diagnosis(site.entry(site.closed_port()), neighbour)


def hole(site: Site) -> Diagnosis:
    return site.diagnosis(site.entry(site.black_hole(), **QUICK))


def hole_beside_a_living_one(site: Site) -> Diagnosis:
    return site.diagnosis(site.entry(site.black_hole(), **QUICK), site.pacs(name="other"))


def hole_beside_another(site: Site) -> Diagnosis:
    return site.diagnosis(site.entry(site.black_hole(), **QUICK), site.entry(site.black_hole(), name="other"))


def no_route(site: Site) -> Diagnosis:
    def unreachable(*_: Any) -> socket.socket:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    site.monkeypatch.setattr(connect, "_tcp_to", unreachable)
    return site.diagnosis(site.entry(104))


# ---------------------------------------------------------------------- TLS


def tls_pacs(site: Site, server: TlsServerSettings, **settings: Any) -> Diagnosis:
    entry = {"tls": True, "tls_ca_file": site.pki.ca, **settings}
    return site.diagnosis(site.pacs(config={"tls": server}, **entry))


def of(pair: Any, **more: Any) -> TlsServerSettings:
    return TlsServerSettings(pair.certificate, pair.key, **more)


def strict(site: Site) -> TlsServerSettings:
    return of(site.pki.server, ca_file=site.pki.ca, require_client_certificate=True)


def tls_by_name(site: Site) -> Diagnosis:
    """A certificate for the server's name alone, which is called at its address."""
    lab = Authority(site.folder, "Lab")
    return tls_pacs(site, of(lab.issue("localhost")), tls_ca_file=lab.file, host="localhost")


def answers_in_tls(site: Site) -> Diagnosis:
    return site.diagnosis(site.raw(answering(raw.TLS_ALERT)))


def only_tls(site: Site) -> Diagnosis:
    """Hangs up on whatever does not begin a handshake."""
    context = old_server(site.pki.server, ssl.TLSVersion.TLSv1_3)

    def behave(wire: Wire) -> None:
        if wire.sock.recv(1, socket.MSG_PEEK) == b"\x16":
            context.wrap_socket(wire.sock, server_side=True).close()
        wire.sock.close()

    return site.diagnosis(site.raw(behave))


def tls_on_a_plain_port(site: Site) -> Diagnosis:
    return site.diagnosis(site.pacs(tls=True))


def tls_on_a_web_port(site: Site) -> Diagnosis:
    return site.diagnosis(site.raw(answering_anything(raw.HTTP), tls=True))


def answering_anything(data: bytes) -> raw.Behaviour:
    def behave(wire: Wire) -> None:
        wire.sock.recv(10_000)
        wire.send(data)
        wire.sock.shutdown(socket.SHUT_WR)
        wire.rest()

    return behave


def old_tls(site: Site) -> Diagnosis:
    port = site.secure(old_server(site.pki.server, ssl.TLSVersion.TLSv1_1))
    return site.diagnosis(site.entry(port, tls=True, tls_ca_file=site.pki.ca))


def weak(site: Site) -> Diagnosis:
    port = site.secure(old_server(site.pki.weak, ssl.TLSVersion.TLSv1_3))
    return site.diagnosis(site.entry(port, tls=True, tls_ca_file=site.pki.weak.certificate))


def hangs_up_after_the_handshake(site: Site) -> Diagnosis:
    port = site.secure(old_server(site.pki.server, ssl.TLSVersion.TLSv1_3))
    return site.diagnosis(site.entry(port, tls=True, tls_ca_file=site.pki.ca))


# ---------------------------------------------------------------------- other ports


def resets(wire: Wire) -> None:
    wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.sock.close()


def half_an_answer(wire: Wire) -> None:
    answer = wire.acceptance()
    wire.send(answer[: len(answer) // 2])
    wire.hold()


CASES = [
    healthy("healthy", lambda site: site.diagnosis(site.pacs())),
    healthy("healthy by name", lambda site: site.diagnosis(site.pacs(host="localhost"))),
    healthy("healthy over TLS", lambda site: tls_pacs(site, of(site.pki.server))),
    healthy("healthy over TLS by name", tls_by_name),
    healthy(
        "healthy over TLS with a client certificate",
        lambda site: tls_pacs(
            site,
            strict(site),
            tls_certificate_file=site.pki.client.certificate,
            tls_key_file=site.pki.client.key,
        ),
    ),
    Case("inactive entry", "entry-inactive", inactive),
    Case("host name unknown", "name-unknown", no_such_name),
    Case("resolver hangs", "name-no-answer", resolver_hangs),
    Case("refused", "tcp-refused", refused),
    Case("refused beside a living server", "tcp-refused-one-port", refused_beside_a_living_one),
    Case("refused beside a dead server", "tcp-refused-all-ports", refused_beside_a_dead_one),
    Case("black hole", "tcp-no-answer", hole),
    Case("black hole beside a living server", "tcp-no-answer-one-port", hole_beside_a_living_one),
    Case("black hole beside another", "tcp-no-answer-all-ports", hole_beside_another),
    Case("no route", "tcp-unreachable", no_route),
    Case("TLS alert to a plain call", "tls-expected", answers_in_tls),
    Case("TLS server called without", "tls-port", lambda site: site.diagnosis(_secured(site))),
    Case("TLS port that hangs up on all else", "tls-port", only_tls),
    Case("plain port called with TLS", "tls-not-offered", tls_on_a_plain_port),
    Case("web port called with TLS", "tls-neither", tls_on_a_web_port),
    Case(
        "CA file missing",
        "tls-our-files",
        lambda site: tls_pacs(site, of(site.pki.server), tls_ca_file=str(site.folder / "no.pem")),
    ),
    Case("certificate expired", "tls-expired", lambda site: tls_pacs(site, of(site.pki.expired))),
    Case("certificate of the future", "tls-not-yet-valid", lambda site: tls_pacs(site, of(site.pki.future))),
    Case(
        "self-signed certificate",
        "tls-self-signed",
        lambda site: tls_pacs(site, of(site.pki.self_signed)),
    ),
    Case(
        "certificate of a strange authority",
        "tls-unknown-issuer",
        lambda site: tls_pacs(site, of(site.pki.server), tls_ca_file=site.pki.stranger_ca),
    ),
    Case("certificate for another name", "tls-other-name", lambda site: tls_pacs(site, of(site.pki.named))),
    Case("certificate too weak", "tls-bad-certificate", weak),
    Case("client certificate demanded", "tls-certificate-demanded", lambda site: tls_pacs(site, strict(site))),
    Case("hangs up after the handshake", "tls-certificate-perhaps-demanded", hangs_up_after_the_handshake),
    Case(
        "client certificate of a strange authority",
        "tls-our-certificate",
        lambda site: tls_pacs(
            site,
            strict(site),
            tls_certificate_file=site.pki.strange_client.certificate,
            tls_key_file=site.pki.strange_client.key,
        ),
    ),
    Case("TLS of former times", "tls-nothing-in-common", old_tls),
    Case("web port", "port-http", lambda site: site.diagnosis(site.raw(answering(raw.HTTP)))),
    Case("SSH port", "port-other-service", lambda site: site.diagnosis(site.raw(greeting(b"SSH-2.0-OpenSSH_9.2\r\n")))),
    Case("HL7 port", "port-hl7", lambda site: site.diagnosis(site.raw(answering(b"\x0bMSH|^~\\&|RIS|\r\x1c\r")))),
    Case(
        "garbage",
        "port-not-dicom",
        lambda site: site.diagnosis(site.raw(answering(bytes(range(200, 256)), closing), **QUICK)),
    ),
    Case("drops at once", "port-hangs-up", lambda site: site.diagnosis(site.raw(closing))),
    Case("resets at once", "port-hangs-up", lambda site: site.diagnosis(site.raw(resets))),
    Case("silent port", "port-silent", lambda site: site.diagnosis(site.raw(Wire.hold, **QUICK))),
    Case(
        "abort instead of an answer",
        "association-aborted",
        lambda site: site.diagnosis(site.raw(answering(encode_pdu(Abort(0))))),
    ),
    Case("half an answer", "association-garbled", lambda site: site.diagnosis(site.raw(half_an_answer, **QUICK))),
    Case(
        "everything slower than the time allows",
        "time-over",
        lambda site: site.diagnosis(site.raw(Wire.hold, association_timeout_s=5), limit_s=0.5),
        Verdict.CANNOT_TELL,
    ),
]


def _secured(site: Site) -> Any:
    return site.pacs(config={"tls": of(site.pki.server)})
