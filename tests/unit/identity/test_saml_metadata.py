"""Metadata: what they say, and when they are read again."""

from __future__ import annotations

import datetime as dt
import http.server
import logging
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
from lxml import etree

from dicomfab.identity import saml_fetch
from dicomfab.identity.saml import SamlAnswer, SamlProvider, SamlSettings
from dicomfab.identity.saml_metadata import read
from dicomfab.identity.saml_values import Refused
from dicomfab.model.errors import DirectoryUnavailable
from dicomfab.model.person import Rejected
from tests.peers.saml_answers import Scene, brought, idp_metadata, keys_of, made_answer

ISSUER = "https://idp.example/idp"
ADDRESS = "https://dicomfab.example"


class Clock:
    """Stands until it is moved; what python3-saml thinks is later stays as it is."""

    def __init__(self) -> None:
        self.moved = dt.timedelta(0)

    def __call__(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC) + self.moved

    def forward(self, **span: float) -> None:
        self.moved += dt.timedelta(**span)


def settings_for(place: str, **more: object) -> SamlSettings:
    ours = keys_of("ours")
    values = {"address": ADDRESS, "certificate": ours.certificate, "key": ours.key, "metadata": place}
    return SamlSettings(**(values | more))


def answer_by(name: str, settings: SamlSettings) -> str:
    return brought(made_answer(Scene(keys_of(name), settings, keys_of("attacker")), ISSUER, "_question"))


def takes(provider: SamlProvider, settings: SamlSettings, name: str) -> bool:
    """Whether it believes what this key signs."""
    found = provider.answered(answer_by(name, settings))
    assert isinstance(found, SamlAnswer | Rejected)
    return isinstance(found, SamlAnswer)


# ------------------------------------------------------------------ servers


class _Pages(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked += 1
        data = self.server.page.encode()
        self.send_response(self.server.status)
        self.send_header("Location", "https://elsewhere.example/")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nowhere."""


class Server(http.server.ThreadingHTTPServer):
    page = ""
    status = 200
    asked = 0

    def handle_error(self, *_: object) -> None:
        """Of clients who went away."""


@contextmanager
def serving(page: str, certificate: trustme.LeafCert | None = None) -> Iterator[Server]:
    with Server(("127.0.0.1", 0), _Pages) as server:
        server.page = page
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def place_of(server: Server, scheme: str = "http") -> str:
    return f"{scheme}://localhost:{server.server_address[1]}/metadata"


# ------------------------------------------------------------------ what they say


def test_reads_what_an_identity_provider_says():
    one, other = keys_of("theirs").der, keys_of("new").der
    text = idp_metadata(
        ISSUER, one, other, one, logout="https://idp.example/slo?a=1&amp;b=2", more='validUntil="2030-01-02T03:04:05Z"'
    )
    found = read(text.encode())
    assert found.entity_id == ISSUER
    assert found.certificates == (one, other)
    assert found.sign_on == "https://idp.example/sso"
    assert found.logout == found.logout_answers == "https://idp.example/slo?a=1&b=2"
    assert found.valid_until == dt.datetime(2030, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


def test_a_group_of_one_is_read_and_ends_with_its_group():
    inner = idp_metadata(ISSUER, keys_of("theirs").der, more='validUntil="2030-01-02T03:04:05Z"')
    outer = '<EntitiesDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" validUntil="2029-01-01T00:00:00Z">'
    found = read(f"{outer}{inner}</EntitiesDescriptor>".encode())
    assert found.valid_until == dt.datetime(2029, 1, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no XML"),
        ("<html/>", "describe no identity providers"),
        (idp_metadata(ISSUER), "no certificate"),
        (idp_metadata(ISSUER, "AAAA"), "certificates cannot be read"),
        (idp_metadata("", keys_of("theirs").der), "what the identity provider is called"),
        (idp_metadata(ISSUER, keys_of("theirs").der, sign_on="javascript:alert(1)"), "is no address"),
        (idp_metadata(ISSUER, keys_of("theirs").der).replace("HTTP-Redirect", "HTTP-POST"), "by HTTP-Redirect"),
        (idp_metadata(ISSUER, keys_of("theirs").der).replace('"signing"', '"encryption"'), "no certificate"),
        (idp_metadata(ISSUER, keys_of("theirs").der, more='validUntil="soon"'), "is no moment"),
        (f"<!DOCTYPE x>{idp_metadata(ISSUER, keys_of('theirs').der)}", "document type"),
        (f"<two>{idp_metadata(ISSUER, keys_of('theirs').der) * 2}</two>", "describe 2 identity providers"),
    ],
)
def test_says_why_metadata_cannot_be_used(text, why, tmp_path):
    with pytest.raises(Refused, match=why):
        read(text.encode())
    path = tmp_path / "idp.xml"
    path.write_text(text)
    with pytest.raises(DirectoryUnavailable) as caught:
        SamlProvider(settings_for(str(path)), Clock()).begin("")
    assert why in caught.value.cause
    assert str(path) in caught.value.what


def test_ours_say_where_answers_go_and_how_to_encrypt():
    settings = settings_for("")
    root = etree.fromstring(SamlProvider(settings, Clock()).metadata().encode())
    metadata = "{urn:oasis:names:tc:SAML:2.0:metadata}"
    assert root.get("entityID") == f"{ADDRESS}/saml/metadata"
    assert {key.get("use") for key in root.iter(f"{metadata}KeyDescriptor")} == {"signing", "encryption"}
    assert [one.get("Location") for one in root.iter(f"{metadata}AssertionConsumerService")] == [f"{ADDRESS}/saml/acs"]
    assert [one.get("Location") for one in root.iter(f"{metadata}SingleLogoutService")] == [f"{ADDRESS}/saml/logout"]
    [role] = root
    assert (role.get("AuthnRequestsSigned"), role.get("WantAssertionsSigned")) == ("true", "true")
    schema = Path(sys.modules["onelogin.saml2.response"].__file__).parent / "schemas" / "saml-schema-metadata-2.0.xsd"
    etree.XMLSchema(etree.parse(schema)).assertValid(root)


# ------------------------------------------------------------------ a file


def test_a_file_is_read_again_when_it_changed(tmp_path):
    path, clock = tmp_path / "idp.xml", Clock()
    path.write_text(idp_metadata(ISSUER, keys_of("theirs").der))
    settings = settings_for(str(path))
    provider = SamlProvider(settings, clock)
    assert takes(provider, settings, "theirs")
    assert not takes(provider, settings, "new")
    path.write_text(idp_metadata(ISSUER, keys_of("theirs").der, keys_of("new").der))
    assert takes(provider, settings, "new")
    assert takes(provider, settings, "theirs")
    path.write_text(idp_metadata(ISSUER, keys_of("new").der))
    assert not takes(provider, settings, "theirs")


def test_the_last_good_ones_stay_in_use(tmp_path, caplog):
    path = tmp_path / "idp.xml"
    path.write_text(idp_metadata(ISSUER, keys_of("theirs").der))
    settings = settings_for(str(path))
    provider = SamlProvider(settings, Clock())
    assert takes(provider, settings, "theirs")
    for broken in ("<half", idp_metadata(ISSUER, keys_of("new").der, more='validUntil="2020-01-01T00:00:00Z"')):
        path.write_text(broken)
        with caplog.at_level(logging.WARNING):
            assert takes(provider, settings, "theirs")
            assert takes(provider, settings, "theirs")
        [record] = caplog.records
        assert "Those read before stay in use." in record.getMessage()
        caplog.clear()
    path.unlink()
    assert takes(provider, settings, "theirs")


def test_ended_ones_are_refused(tmp_path):
    path, clock = tmp_path / "idp.xml", Clock()
    ends = (clock() + dt.timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    path.write_text(idp_metadata(ISSUER, keys_of("theirs").der, more=f'validUntil="{ends}"'))
    provider = SamlProvider(settings_for(str(path)), clock)
    assert provider.begin("").address.startswith("https://idp.example/sso?SAMLRequest=")
    clock.forward(hours=3)
    with pytest.raises(DirectoryUnavailable) as caught:
        provider.begin("")
    assert "ended" in caught.value.cause


@pytest.mark.parametrize("place", ["/nowhere/idp.xml", "", ".", "\0"])
def test_a_file_that_cannot_be_read(place):
    with pytest.raises(DirectoryUnavailable):
        SamlProvider(settings_for(place), Clock()).begin("")


def test_a_file_that_is_too_long(tmp_path):
    path = tmp_path / "idp.xml"
    path.write_bytes(b" " * (saml_fetch.MAX_BYTES + 1))
    with pytest.raises(DirectoryUnavailable) as caught:
        SamlProvider(settings_for(str(path)), Clock()).begin("")
    assert "longer" in caught.value.cause


# ------------------------------------------------------------------ an address


def test_an_address_is_kept_for_an_hour():
    clock = Clock()
    with serving(idp_metadata(ISSUER, keys_of("theirs").der)) as server:
        settings = settings_for(place_of(server))
        provider = SamlProvider(settings, clock)
        assert server.asked == 0
        assert takes(provider, settings, "theirs")
        assert takes(provider, settings, "theirs")
        assert server.asked == 1
        clock.forward(minutes=61)
        provider.begin("")
        assert server.asked == 2


def test_a_new_certificate_is_taken_up_when_a_signature_does_not_fit():
    clock = Clock()
    with serving(idp_metadata(ISSUER, keys_of("theirs").der)) as server:
        settings = settings_for(place_of(server))
        provider = SamlProvider(settings, clock)
        assert takes(provider, settings, "theirs")
        server.page = idp_metadata(ISSUER, keys_of("new").der)
        assert not takes(provider, settings, "new")  # less than a minute ago
        clock.forward(seconds=61)
        assert takes(provider, settings, "new")
        assert server.asked == 2
        for _ in range(3):
            assert not takes(provider, settings, "attacker")
        assert server.asked == 2
        clock.forward(seconds=61)
        for _ in range(3):
            assert not takes(provider, settings, "attacker")
        assert server.asked == 3


def test_an_address_that_fails_leaves_the_last_good_ones(caplog):
    clock = Clock()
    with serving(idp_metadata(ISSUER, keys_of("theirs").der)) as server:
        provider = SamlProvider(settings_for(place_of(server)), clock)
        provider.begin("")
        server.status = 404
        clock.forward(minutes=61)
        with caplog.at_level(logging.WARNING):
            provider.begin("")
            provider.begin("")
        assert server.asked == 2
        clock.forward(minutes=2)
        server.status, server.page = 200, "<nonsense"
        provider.begin("")
        assert server.asked == 3
    assert len(caplog.records) == 2
    clock.forward(minutes=2)
    assert provider.begin("").id


def test_a_server_that_failed_is_not_asked_by_everybody_at_once():
    clock = Clock()
    with serving(idp_metadata(ISSUER, keys_of("theirs").der)) as server:
        server.status = 503
        provider = SamlProvider(settings_for(place_of(server)), clock)
        for _ in range(3):
            with pytest.raises(DirectoryUnavailable) as caught:
                provider.begin("")
            assert caught.value.cause
        assert server.asked == 1
        server.status = 200
        clock.forward(seconds=6)
        assert provider.begin("").id
        assert server.asked == 2


def test_several_threads_may_ask(tmp_path):
    path = tmp_path / "idp.xml"
    path.write_text(idp_metadata(ISSUER, keys_of("theirs").der))
    settings = settings_for(str(path))
    provider = SamlProvider(settings, Clock())
    answers = {name: answer_by(name, settings) for name in ("theirs", "attacker")}
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda name: (name, provider.answered(answers[name])), ["theirs", "attacker"] * 20))
    assert all(isinstance(one, SamlAnswer) is (name == "theirs") for name, one in found)


@pytest.mark.parametrize("status", [204, 302, 404, 500])
def test_another_status_is_no_answer(status):
    with serving(idp_metadata(ISSUER, keys_of("theirs").der)) as server:
        server.status = status
        if status == 204:
            server.page = ""
        with pytest.raises(DirectoryUnavailable):
            SamlProvider(settings_for(place_of(server)), Clock()).begin("")


@pytest.mark.parametrize(
    "place",
    [
        "http://idp.example/metadata",
        "http://192.0.2.1/metadata",
        "http://127.0.0.1.example/m",
        "https://",
        "https://a:b/",
    ],
)
def test_without_encryption_only_from_this_machine(place):
    with pytest.raises(DirectoryUnavailable) as caught:
        SamlProvider(settings_for(place), Clock()).begin("")
    assert "https" in caught.value.remedy


def test_the_certificate_of_the_server_is_checked(tmp_path):
    ca, other = trustme.CA(), trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    other.cert_pem.write_to_path(tmp_path / "other.pem")
    with serving(idp_metadata(ISSUER, keys_of("theirs").der), ca.issue_cert("localhost")) as server:
        place = place_of(server, "https")
        assert SamlProvider(settings_for(place, ca_file=str(tmp_path / "ca.pem")), Clock()).begin("").id
        for wrong in (str(tmp_path / "other.pem"), "", str(tmp_path / "none.pem")):
            with pytest.raises(DirectoryUnavailable):
                SamlProvider(settings_for(place, ca_file=wrong), Clock()).begin("")
        numbers = place.replace("localhost", "127.0.0.1")
        with pytest.raises(DirectoryUnavailable):
            SamlProvider(settings_for(numbers, ca_file=str(tmp_path / "ca.pem")), Clock()).begin("")
        assert server.asked == 1


def test_an_address_that_gives_too_much():
    with serving(" " * (2 << 20)) as server, pytest.raises(DirectoryUnavailable):
        SamlProvider(settings_for(place_of(server)), Clock()).begin("")


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n"])
def test_a_server_that_says_little_holds_nobody(said, monkeypatch):
    monkeypatch.setattr(saml_fetch, "WHOLE_S", 0.5)
    done = threading.Event()

    def drip(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(said)
            while said and not done.wait(0.05):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return
            done.wait(20)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=drip, args=(listening,))
        thread.start()
        began = time.monotonic()
        with pytest.raises(DirectoryUnavailable):
            SamlProvider(settings_for(f"http://127.0.0.1:{listening.getsockname()[1]}/"), Clock()).begin("")
        assert time.monotonic() - began < 5
        done.set()
        thread.join()


# ------------------------------------------------------------------ our own


@pytest.mark.parametrize("key", ["", "no key", keys_of("ours").certificate])
def test_our_own_key_that_is_none(key, tmp_path):
    path = tmp_path / "idp.xml"
    path.write_text(idp_metadata(ISSUER, keys_of("theirs").der))
    settings = settings_for(str(path), key=key)
    with pytest.raises(DirectoryUnavailable) as caught:
        SamlProvider(settings, Clock()).begin("")
    assert caught.value.what.startswith("Our own")
    assert "PRIVATE" not in repr(settings_for(""))


def test_our_own_certificate_that_is_none():
    with pytest.raises(DirectoryUnavailable):
        SamlProvider(settings_for("", certificate="no certificate"), Clock()).metadata()


@pytest.mark.parametrize("order", ["lxml.etree, xmlsec", "xmlsec, lxml.etree", "onelogin.saml2.response"])
def test_the_pair_of_libraries_goes_together(order):
    """xmlsec refuses to be imported beside an lxml that brings another libxml2."""
    program = (
        f"import {order}, xmlsec, lxml.etree as e; r = e.fromstring('<a ID=\"x\"/>'); "
        "s = xmlsec.template.create(r, xmlsec.Transform.EXCL_C14N, xmlsec.Transform.RSA_SHA256); r.append(s)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, env=os.environ, timeout=60)


def test_the_values_cost_no_library():
    program = "import sys, dicomfab.identity.saml_values; sys.exit('lxml' in sys.modules or 'onelogin' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
