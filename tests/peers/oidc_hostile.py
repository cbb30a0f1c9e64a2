"""A hostile OpenID provider: it does everything right but for one lie at a time."""

from __future__ import annotations

import base64
import copy
import functools
import hashlib
import hmac
import json
import secrets
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote_plus, urlencode, urlsplit

import httpx
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

CLIENT_ID = "dicomfab"
CLIENT_SECRET = "a secret+of/tests: 100%"
ACCESS_TOKEN = "opens-userinfo"
ALGORITHMS = [f"{kind}{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512)]
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}

#: Given a path and what would honestly be answered there, writes something else; returns whether it did.
Wire = Callable[["Connection", str], bool]


def _unchanged(_value: dict[str, Any]) -> None:
    pass


@dataclass(frozen=True)
class Lie:
    """What one lie changes. Each is given what would be said honestly, and changes it.

    Args:
        document: the discovery document.
        query: the parameters that the browser comes back with.
        header, claims: of the ID token.
        token: the answer of the token endpoint.
        keys: the key set.
        userinfo: the answer of userinfo.
        sign: gives the ID token of a header and claims.
        wire: answers a request in place of the provider.
    """

    document: Callable[[dict[str, Any]], object] = _unchanged
    query: Callable[[dict[str, Any]], object] = _unchanged
    header: Callable[[dict[str, Any]], object] = _unchanged
    claims: Callable[[dict[str, Any]], object] = _unchanged
    token: Callable[[dict[str, Any]], object] = _unchanged
    keys: Callable[[dict[str, Any]], object] = _unchanged
    userinfo: Callable[[dict[str, Any]], object] = _unchanged
    sign: Callable[[dict[str, Any], dict[str, Any]], str] | None = None
    wire: Wire | None = None


HONEST = Lie()


_making = threading.Lock()


def key_of(algorithm: str, name: str = "k1") -> RSAKey | ECKey:
    """A key for an algorithm; another one for each name. For any thread."""
    # A cache alone lets threads that ask at once make one each, and keeps the last.
    with _making:
        return _made(algorithm, name)


@functools.cache
def _made(algorithm: str, name: str) -> RSAKey | ECKey:
    parameters: Any = {"kid": name, "use": "sig", "alg": algorithm}
    if algorithm in _CURVES:
        return ECKey.generate_key(_CURVES[algorithm], parameters)
    return RSAKey.generate_key(2048, parameters)


def signed(header: dict[str, Any], claims: dict[str, Any], key: RSAKey | ECKey) -> str:
    """An ID token, of whatever it says."""
    registry = jws.JWSRegistry(algorithms=[header["alg"]], strict_check_header=False)
    return jws.serialize_compact(header, json.dumps(claims).encode(), key, registry=registry)


def unsigned(header: dict[str, Any], claims: object) -> str:
    """Its first two parts."""
    return ".".join(_base64(json.dumps(part).encode()) for part in (header, claims))


def with_mac(header: dict[str, Any], claims: dict[str, Any], secret: bytes) -> str:
    """One that a secret vouches for, and no key."""
    text = unsigned({**header, "alg": "HS256"}, claims)
    return f"{text}.{_base64(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def half_hash(text: str, bits: int = 256) -> str:
    """``at_hash`` of an access token."""
    digest = hashlib.new(f"sha{bits}", text.encode()).digest()
    return _base64(digest[: len(digest) // 2])


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class Hostile:
    """A running one. What is set here holds from the next request on.

    Args:
        issuer: its name and address.
        lie: the one that is told.
        algorithm: of ID tokens.
        key_name: of the key that it signs with; its key set holds this one alone.
        asked: the paths of the requests that came.
    """

    issuer: str
    lie: Lie = HONEST
    algorithm: str = "RS256"
    key_name: str = "k1"
    asked: list[str] = field(default_factory=list)
    _begun: dict[str, dict[str, str]] = field(default_factory=dict)
    lasting: threading.Event = field(default_factory=threading.Event)

    def changed(self, name: str, honest: dict[str, Any]) -> dict[str, Any]:
        """What is said instead."""
        value = copy.deepcopy(honest)
        getattr(self.lie, name)(value)
        return value

    def document(self) -> dict[str, Any]:
        """Of discovery."""
        endpoints = {"authorization_endpoint": "auth", "token_endpoint": "token", "jwks_uri": "keys"} | {
            "userinfo_endpoint": "userinfo",
            "end_session_endpoint": "end",
        }
        return {
            "issuer": self.issuer,
            **{name: f"{self.issuer}/{path}" for name, path in endpoints.items()},
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [self.algorithm],
            "authorization_response_iss_parameter_supported": True,
        }

    def authorize(self, asked: dict[str, str]) -> str:
        """Where the browser is sent back to: nobody is asked for a password here."""
        code = secrets.token_urlsafe(16)
        self._begun[code] = asked
        query = self.changed("query", {"code": code, "state": asked["state"], "iss": self.issuer})
        return f"{asked['redirect_uri']}?{urlencode(query)}"

    def redeem(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """Tokens for a code, once, for the client that may have them and that began it (RFC 7636)."""
        pair = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        if [unquote_plus(part) for part in pair.split(":")] != [CLIENT_ID, CLIENT_SECRET]:
            return 401, {"error": "invalid_client"}
        asked = self._begun.pop(form.get("code", ""), None)
        challenge = _base64(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if asked is None or asked["code_challenge"] != challenge or asked["redirect_uri"] != form["redirect_uri"]:
            return 400, {"error": "invalid_grant", "error_description": f"not with {CLIENT_SECRET}"}
        return 200, self.changed(
            "token",
            {
                "access_token": ACCESS_TOKEN,
                "token_type": "Bearer",
                "expires_in": 300,
                "id_token": self.id_token(asked["nonce"]),
            },
        )

    def id_token(self, nonce: str) -> str:
        """That of anna."""
        now = int(time.time())
        header = self.changed("header", {"alg": self.algorithm, "kid": self.key_name})
        claims = self.changed(
            "claims",
            {
                "iss": self.issuer,
                "sub": "4711",
                "aud": CLIENT_ID,
                "exp": now + 300,
                "iat": now,
                "nonce": nonce,
                "at_hash": half_hash(ACCESS_TOKEN, int(self.algorithm[2:])),
                "preferred_username": "anna",
                "name": "Anna Tester",
                "groups": ["DF-Admin"],
            },
        )
        if self.lie.sign is not None:
            return self.lie.sign(header, claims)
        return signed(header, claims, key_of(self.algorithm, self.key_name))

    def keys(self) -> dict[str, Any]:
        """Its key set."""
        return self.changed("keys", {"keys": [key_of(self.algorithm, self.key_name).as_dict(private=False)]})

    def answer_of(self, address: str, trust: ssl.SSLContext | bool = False) -> dict[str, str]:
        """What a browser comes back with that was sent to an address."""
        with httpx.Client(trust_env=False, verify=trust) as browser:
            answer = browser.get(address)
        assert answer.status_code == 302, answer.text
        return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


class Connection(BaseHTTPRequestHandler):
    """Answers requests."""

    hostile: Hostile
    timeout = 10

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if self._lied(path):
            return
        hostile = self.hostile
        if path == "/.well-known/openid-configuration":
            self.say(200, hostile.changed("document", hostile.document()))
        elif path == "/auth":
            asked = {name: values[0] for name, values in parse_qs(query).items()}
            self.answer(302, b"", Location=hostile.authorize(asked))
        elif path == "/keys":
            self.say(200, hostile.keys())
        elif path == "/userinfo" and self.headers["Authorization"] == f"Bearer {ACCESS_TOKEN}":
            self.say(200, hostile.changed("userinfo", {"sub": "4711", "groups": ["DF-ProdRead"]}))
        else:
            self.say(401, {})

    def do_POST(self) -> None:
        form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        if not self._lied(self.path):
            self.say(*self.hostile.redeem(form, self.headers["Authorization"]))

    def _lied(self, path: str) -> bool:
        self.hostile.asked.append(path)
        return self.hostile.lie.wire is not None and self.hostile.lie.wire(self, path)

    def say(self, status: int, value: dict[str, Any]) -> None:
        """Answer with JSON."""
        self.answer(status, json.dumps(value).encode(), **{"Content-Type": "application/json"})

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        """Answer with bytes."""
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Nobody reads it."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up, as it should when it is lied to."""


@contextmanager
def hostile_provider(tls: ssl.SSLContext | None = None, name: str = "127.0.0.1") -> Iterator[Hostile]:
    """One that listens on a free port of this machine, and is honest at first.

    Args:
        tls: secures it; none means plain HTTP.
        name: of the host in its address.
    """
    server = _Server(("127.0.0.1", 0), Connection)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    hostile = Hostile(f"{'http' if tls is None else 'https'}://{name}:{server.server_address[1]}")
    server.RequestHandlerClass = type("Bound", (Connection,), {"hostile": hostile})
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield hostile
    finally:
        hostile.lasting.set()
        server.shutdown()
        thread.join(10)
        server.server_close()
