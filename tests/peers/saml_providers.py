"""Real identity providers of SAML 2.0: SimpleSAMLphp, from Debian, and the one of pysaml2, a second implementation.

They are at ``localhost``, so that they are another site for a browser that sees us at ``127.0.0.1``: its Lax cookies do
not come with their answers, as in real life.
"""

from __future__ import annotations

import os
import subprocess
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from lxml import html

from tests.peers.programs import free_port, program
from tests.peers.saml_answers import Keys, keys_of

with warnings.catch_warnings():
    # What cryptography will move elsewhere, and pysaml2 imports.
    warnings.simplefilter("ignore")
    from saml2 import BINDING_HTTP_POST, BINDING_HTTP_REDIRECT, xmldsig
    from saml2.authn_context import PASSWORD
    from saml2.config import IdPConfig
    from saml2.metadata import entity_descriptor
    from saml2.response import IncorrectlySigned
    from saml2.s_utils import UnknownPrincipal, UnsupportedBinding
    from saml2.saml import NAMEID_FORMAT_PERSISTENT, NameID
    from saml2.server import Server
    from saml2.sigver import SignatureError

#: Sign-in names -> groups. The password of each is ``Passw0rd-`` and the name.
USERS: Final = {
    "anna": ["DF-Admin"],
    "ben": ["DF-TestRead"],
    "carla": ["DF-TestWrite", "DF-ProdRead", "Other"],
    "nogroup": [],
}
_CONFIGURATION: Final = Path(__file__).parent / "saml"
_SIMPLESAMLPHP: Final = Path("/usr/share/simplesamlphp/www")
_ATTEMPTS: Final = 200
_REFUSALS: Final = (UnknownPrincipal, UnsupportedBinding, SignatureError, IncorrectlySigned, AssertionError)


def password_of(name: str) -> str:
    return f"Passw0rd-{name}"


def display_name_of(name: str) -> str:
    return f"{name.capitalize()} Tester"


@dataclass(frozen=True)
class IdentityProvider:
    """A running identity provider.

    Args:
        address: where it is.
        metadata: where its metadata are.
        entity_id: what it calls itself.
        keys: what it signs with, for who wants to sign in its name.
        trusted: the file with the metadata of the service provider that it answers to.
    """

    address: str
    metadata: str
    entity_id: str
    keys: Keys
    trusted: Path

    def trust(self, metadata: str) -> None:
        """Answer to this service provider from now on."""
        self.trusted.write_text(metadata)


# ------------------------------------------------------------------ SimpleSAMLphp


@contextmanager
def simplesamlphp(folder: Path, *, encrypt: bool = False) -> Iterator[IdentityProvider]:
    """SimpleSAMLphp on PHP's own server; it checks our signatures, and signs everything.

    Args:
        folder: an empty one.
        encrypt: whether it encrypts assertions.
    """
    php = program("php")
    if not _SIMPLESAMLPHP.exists():
        if os.environ.get("CI"):
            pytest.fail("SimpleSAMLphp is not installed, and CI allows no skip")
        pytest.skip("SimpleSAMLphp is not installed: run tools/debian_peers.sh")
    port = free_port()
    address = f"http://localhost:{port}"
    keys = keys_of("simplesamlphp")
    for name in ("cert", "log", "data", "tmp", "sessions"):
        (folder / name).mkdir()
    (folder / "cert" / "idp.crt").write_text(keys.certificate)
    (folder / "cert" / "idp.pem").write_text(keys.key)
    environment = os.environ | {
        "SIMPLESAMLPHP_CONFIG_DIR": str(_CONFIGURATION / "config"),
        "PEER_FOLDER": str(folder),
        "PEER_METADATA": str(_CONFIGURATION / "metadata"),
        "PEER_ADDRESS": address,
        "PEER_ENCRYPT": "1" if encrypt else "",
    }
    arguments = [php, "-d", "opcache.enable=0", "-S", f"127.0.0.1:{port}", "-t", str(_SIMPLESAMLPHP)]
    provider = IdentityProvider(address, f"{address}/saml2/idp/metadata.php", f"{address}/idp", keys, folder / "sp.xml")
    with (folder / "php.txt").open("wb") as log:
        process = subprocess.Popen(arguments, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            _await(process, provider.metadata, folder / "php.txt")
            yield provider
        finally:
            process.terminate()
            process.wait(10)


def _await(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    for _ in range(_ATTEMPTS):
        try:
            if httpx.get(address, timeout=10, trust_env=False).status_code == httpx.codes.OK:
                return
        except httpx.ConnectError:
            pass
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        break
    pytest.fail(f"SimpleSAMLphp did not start:\n{log.read_text(errors='replace')}")


# ------------------------------------------------------------------ pysaml2


@contextmanager
def pysaml2_idp(folder: Path, *, keys: Keys | None = None) -> Iterator[IdentityProvider]:
    """pysaml2's identity provider, in a thread of this process.

    Args:
        folder: an empty one.
        keys: what it signs with.
    """
    xmlsec1 = program("xmlsec1")
    keys = keys or keys_of("pysaml2")
    (folder / "idp.crt").write_text(keys.certificate)
    (folder / "idp.pem").write_text(keys.key)
    site = _Site(folder, xmlsec1)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, site)) as server:
        site.address = f"http://localhost:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield IdentityProvider(
                site.address, f"{site.address}/metadata", f"{site.address}/idp", keys, folder / "sp.xml"
            )
        finally:
            server.shutdown()
            thread.join(10)


class _Site:
    """What the identity provider knows."""

    def __init__(self, folder: Path, xmlsec1: str) -> None:
        self.folder = folder
        self.xmlsec1 = xmlsec1
        self.address = ""
        self.sessions: dict[str, str] = {}

    def config(self) -> Any:
        trusted = self.folder / "sp.xml"
        endpoints = {
            "single_sign_on_service": [(f"{self.address}/sso", BINDING_HTTP_REDIRECT)],
            "single_logout_service": [(f"{self.address}/slo", BINDING_HTTP_REDIRECT)],
        }
        service = {
            "endpoints": endpoints,
            "want_authn_requests_signed": True,
            "signing_algorithm": xmldsig.SIG_RSA_SHA256,
            "digest_algorithm": xmldsig.DIGEST_SHA256,
            "policy": {"default": {"lifetime": {"minutes": 5}}},
        }
        return IdPConfig().load(
            {
                "entityid": f"{self.address}/idp",
                "xmlsec_binary": self.xmlsec1,
                "key_file": str(self.folder / "idp.pem"),
                "cert_file": str(self.folder / "idp.crt"),
                "metadata": {"local": [str(trusted)]} if trusted.exists() else {},
                "service": {"idp": service},
            }
        )

    def server(self) -> Server:
        return Server(config=self.config())

    def answer(self, query: dict[str, str], name: str) -> str:
        """A page that sends the answer on."""
        server = self.server()
        asked = _asked(query)
        request = server.parse_authn_request(query["SAMLRequest"], BINDING_HTTP_REDIRECT, **asked)
        where = server.response_args(request.message)
        attributes = {"uid": [name], "displayName": [display_name_of(name)], "memberOf": USERS[name]}
        answer = server.create_authn_response(
            {key: values for key, values in attributes.items() if values},
            userid=name,
            name_id=NameID(format=NAMEID_FORMAT_PERSISTENT, text=f"persistent-{name}"),
            authn={"class_ref": PASSWORD, "authn_auth": f"{self.address}/idp"},
            sign_response=True,
            sign_assertion=True,
            in_response_to=where["in_response_to"],
            destination=where["destination"],
            sp_entity_id=where["sp_entity_id"],
        )
        state = query.get("RelayState", "")
        page = server.apply_binding(BINDING_HTTP_POST, str(answer), where["destination"], state, response=True)
        return str(page["data"])

    def logout(self, query: dict[str, str]) -> str:
        """Where to send the browser with the answer to a request to end a session."""
        server = self.server()
        request = server.parse_logout_request(query["SAMLRequest"], BINDING_HTTP_REDIRECT, **_asked(query))
        answer = server.create_logout_response(request.message, [BINDING_HTTP_REDIRECT], sign=False)
        return self._signed(server, str(answer), answer.destination, query.get("RelayState", ""), is_answer=True)

    def _signed(self, server: Server, message: str, to: str, state: str, *, is_answer: bool) -> str:
        sent = server.apply_binding(
            BINDING_HTTP_REDIRECT, message, to, state, response=is_answer, sign=True, sigalg=xmldsig.SIG_RSA_SHA256
        )
        return dict(sent["headers"])["Location"]

    def end(self, name_id: str, session_index: str) -> str:
        """Where to send the browser of somebody whose session the identity provider ends."""
        server = self.server()
        [entity] = server.metadata.with_descriptor("spsso")
        [service] = server.metadata.single_logout_service(entity, BINDING_HTTP_REDIRECT, "spsso")
        _, message = server.create_logout_request(
            service["location"],
            entity,
            name_id=NameID(format=NAMEID_FORMAT_PERSISTENT, text=name_id),
            session_indexes=[session_index] if session_index else None,
            sign=False,
        )
        return self._signed(server, str(message), service["location"], "state & more", is_answer=False)

    def check_answer(self, query: dict[str, str]) -> str:
        server = self.server()
        answer = server.parse_logout_request_response(query["SAMLResponse"], BINDING_HTTP_REDIRECT)
        return str(answer.status_ok())


def _asked(query: dict[str, str]) -> dict[str, str]:
    return {"relay_state": query.get("RelayState"), "sigalg": query.get("SigAlg"), "signature": query.get("Signature")}


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, site: _Site, *arguments: Any) -> None:
        self.site = site
        super().__init__(*arguments)

    def log_message(self, *_: object) -> None:
        """Nowhere."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
        try:
            if parts.path == "/metadata":
                self._send(str(entity_descriptor(self.site.config())), "application/samlmetadata+xml")
            elif parts.path == "/sso":
                hidden = "".join(f'<input type="hidden" name="{key}" value="{one}">' for key, one in query.items())
                fields = '<input name="username"><input name="password" type="password">'
                self._send(f'<form method="post" action="/login">{hidden}{fields}<button>Sign in</button></form>')
            elif parts.path == "/slo" and "SAMLResponse" in query:
                self._send(self.site.check_answer(query), "text/plain")
            elif parts.path == "/slo":
                self._redirect(self.site.logout(query))
            elif parts.path == "/end":
                self._redirect(self.site.end(query["name_id"], query.get("session_index", "")))
            else:
                self._send("nothing here", status=404)
        except _REFUSALS as error:
            self._send(f"refused: {type(error).__name__}", status=403)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {key: values[0] for key, values in parse_qs(body, keep_blank_values=True).items()}
        name = form.get("username", "")
        if name not in USERS or form.get("password") != password_of(name):
            self._send("Incorrect username or password", status=401)
            return
        try:
            self._send(self.site.answer(form, name))
        except _REFUSALS as error:
            self._send(f"refused: {type(error).__name__}", status=403)

    def _redirect(self, to: str) -> None:
        self.send_response(302)
        self.send_header("Location", to)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, text: str, media_type: str = "text/html", *, status: int = 200) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


# ------------------------------------------------------------------ a browser


@dataclass(frozen=True)
class Form:
    """What a browser would send.

    Args:
        action: where to.
        fields: names -> values.
    """

    action: str
    fields: dict[str, str]


def form_of(page: httpx.Response) -> Form:
    """The form of a page.

    Raises:
        ValueError: there is none.
    """
    found = html.fromstring(page.text)
    forms = [found] if found.tag == "form" else found.forms
    if not forms:
        raise ValueError(" ".join(found.text_content().split())[:2000])
    form = forms[0]
    return Form(str(page.url.join(form.action or "")), {key: value or "" for key, value in form.form_values()})


def sign_in(browser: httpx.Client, address: str, name: str, password: str | None = None) -> Form:
    """Sign in at the identity provider; gives the form with its answer.

    Args:
        browser: follows redirections.
        address: with the question.
        name: of a user.
        password: if another than the right one.

    Raises:
        ValueError: the identity provider gave no answer.
    """
    page = browser.get(address)
    if "SAMLResponse" not in page.text:
        if page.status_code != httpx.codes.OK:
            raise ValueError(page.text[:2000])
        asking = form_of(page)
        fields = asking.fields | {"username": name, "password": password or password_of(name)}
        page = browser.post(asking.action, data=fields)
    if "SAMLResponse" not in page.text:
        raise ValueError(page.text[:2000])
    return form_of(page)


@contextmanager
def browser() -> Iterator[httpx.Client]:
    """One that keeps cookies and follows redirections, but of those only the ones to the identity provider."""
    with httpx.Client(follow_redirects=True, timeout=20, trust_env=False) as client:
        yield client
