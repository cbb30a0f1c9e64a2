"""The lies of a hostile OpenID provider, by name, with what has to come of each; and what is no lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from dicomfab.identity.oidc_http import MAX_BODY_BYTES
from dicomfab.model.account import Refusal
from tests.peers.oidc_hostile import (
    CLIENT_ID,
    CLIENT_SECRET,
    Connection,
    Lie,
    Wire,
    key_of,
    signed,
    unsigned,
    with_mac,
)

INVALID = Refusal.ANSWER_INVALID
DOCUMENT, TOKEN, KEYS, USERINFO = "/.well-known/openid-configuration", "/token", "/keys", "/userinfo"
_DAY_S = 86400


@dataclass(frozen=True)
class Told:
    """A lie, and what has to come of it.

    Args:
        lie: what is changed.
        refusal: why nobody is let in; none if the provider then counts as one that cannot be asked.
        words: what the reason says.
    """

    lie: Lie
    refusal: Refusal | None
    words: str


def put(**values: object) -> Callable[[dict[str, Any]], object]:
    """Put values in place of the honest ones."""
    return lambda honest: honest.update(values)


def drop(*names: str) -> Callable[[dict[str, Any]], object]:
    """Leave values out."""
    return lambda honest: [honest.pop(name) for name in names]


def shift(**seconds: int) -> Callable[[dict[str, Any]], object]:
    """Move moments."""
    return lambda honest: honest.update({name: honest["iat"] + by for name, by in seconds.items()})


def at(path: str, answer: Callable[[Connection], object]) -> Wire:
    """Answer one path otherwise."""

    def wire(connection: Connection, asked: str) -> bool:
        if asked == path:
            answer(connection)
        return asked == path

    return wire


def drip(connection: Connection) -> None:
    """A byte now and then, without end: within every single wait, and never within all of them."""
    connection.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    _slowly(connection)


def drip_headers(connection: Connection) -> None:
    connection.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    _slowly(connection)


def _slowly(connection: Connection) -> None:
    while not connection.hostile.lasting.wait(0.05):
        connection.wfile.write(b" ")
        connection.wfile.flush()


def silent(connection: Connection) -> None:
    connection.hostile.lasting.wait(30)


def cut_off(connection: Connection) -> None:
    connection.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"access_token":')


def huge(connection: Connection) -> None:
    connection.answer(200, b'{"x":"' + b"x" * MAX_BODY_BYTES + b'"}')


def huge_without_length(connection: Connection) -> None:
    connection.wfile.write(b'HTTP/1.1 200 OK\r\n\r\n{"x":"')
    while True:  # until the other side hangs up
        connection.wfile.write(b"x" * 65536)


def redirect(connection: Connection) -> None:
    connection.answer(302, b"{}", Location=f"{connection.hostile.issuer}/elsewhere")


def status(code: int, body: bytes = b"{}") -> Callable[[Connection], object]:
    return lambda connection: connection.answer(code, body)


def failure(code: int, error: object, **more: str) -> Callable[[Connection], object]:
    return lambda connection: connection.say(code, {"error": error, **more})


def _short_key() -> RSAKey:
    with pytest.warns(UserWarning, match="2048"):
        return RSAKey.generate_key(1024, {"kid": "k1", "use": "sig", "alg": "RS256"})


def _sign_with(make: Callable[[], RSAKey]) -> Callable[[dict[str, Any], dict[str, Any]], str]:
    return lambda header, claims: signed(header, claims, make())


def _other_key() -> Any:
    return key_of("RS256", "other")


def _with_other_key_inside(header: dict[str, Any], claims: dict[str, Any]) -> str:
    key = _other_key()
    return signed({**header, "kid": "other", "jwk": key.as_dict(private=False)}, claims, key)


def _with_public_key_as_secret(header: dict[str, Any], claims: dict[str, Any]) -> str:
    return with_mac(header, claims, key_of("RS256").as_pem(private=False))


def _changed_after_signing(header: dict[str, Any], claims: dict[str, Any]) -> str:
    signature = signed(header, claims, key_of("RS256")).rpartition(".")[2]
    return f"{unsigned(header, {**claims, 'sub': '1'})}.{signature}"


def _short_key_published(honest: dict[str, Any]) -> None:
    honest["keys"] = [_SHORT.as_dict(private=False)]


def _first(**values: object) -> Callable[[dict[str, Any]], object]:
    return lambda honest: honest["keys"][0].update(values)


def _two_keys(honest: dict[str, Any]) -> None:
    honest["keys"].append(_other_key().as_dict(private=False))


_SHORT = _short_key()
_PLAIN = "http://id.example.com/somewhere"
_AN_HOUR_AGO = {"exp": -3600, "iat": -7200}
_POINTERS: dict[str, Any] = {
    "_claim_names": {"groups": "src1"},
    "_claim_sources": {"src1": {"endpoint": "https://graph.example.com/groups"}},
}


def _overage(honest: dict[str, Any]) -> None:
    honest.pop("groups", None)
    honest.update(_POINTERS)


def _no_groups_in_token(**userinfo: object) -> Lie:
    return Lie(claims=drop("groups"), userinfo=put(**userinfo))


def _asked_without_groups(answer: Callable[[Connection], object]) -> Lie:
    return Lie(claims=drop("groups"), wire=at(USERINFO, answer))


LIES: dict[str, Told] = {
    # Who made the ID token, and for whom
    "iss": Told(Lie(claims=put(iss="https://evil.example.com")), INVALID, "another issuer"),
    "no_iss": Told(Lie(claims=drop("iss")), INVALID, "another issuer"),
    "aud": Told(Lie(claims=put(aud="other")), INVALID, "another client"),
    "aud_like_ours": Told(Lie(claims=put(aud=f"{CLIENT_ID}-2")), INVALID, "another client"),
    "no_aud": Told(Lie(claims=drop("aud")), INVALID, "another client"),
    "aud_azp": Told(Lie(claims=put(aud="other", azp=CLIENT_ID)), INVALID, "another client"),
    "azp": Told(Lie(claims=put(aud=[CLIENT_ID, "x"], azp="x")), INVALID, "azp"),
    "azp_alone": Told(Lie(claims=put(azp="x")), INVALID, "azp"),
    "several_aud_no_azp": Told(Lie(claims=put(aud=[CLIENT_ID, "x"])), INVALID, "azp"),
    "no_sub": Told(Lie(claims=drop("sub")), INVALID, "whose it is"),
    "blank_sub": Told(Lie(claims=put(sub=" ")), INVALID, "whose it is"),
    "sub_a_number": Told(Lie(claims=put(sub=4711)), INVALID, "whose it is"),
    "long_sub": Told(Lie(claims=put(sub="4" * 256)), INVALID, "whose it is"),
    # When
    "expired": Told(Lie(claims=shift(**_AN_HOUR_AGO)), INVALID, "expired"),
    "no_exp": Told(Lie(claims=drop("exp")), INVALID, "exp"),
    "exp_as_text": Told(Lie(claims=put(exp="4102444800")), INVALID, "exp"),
    "exp_not_a_number": Told(Lie(claims=put(exp=float("nan"))), INVALID, "no JSON object"),
    "exp_without_end": Told(Lie(claims=put(exp=10**400)), INVALID, "exp"),
    "future_iat": Told(Lie(claims=shift(iat=_DAY_S, exp=2 * _DAY_S)), INVALID, "of the future"),
    "old_iat": Told(Lie(claims=shift(exp=_DAY_S, iat=-3600)), INVALID, "10 minutes ago"),
    "no_iat": Told(Lie(claims=drop("iat")), INVALID, "iat"),
    "future_nbf": Told(Lie(claims=shift(nbf=3600)), INVALID, "not valid yet"),
    "nbf_as_text": Told(Lie(claims=put(nbf="0")), INVALID, "nbf"),
    # For which sign-in
    "nonce": Told(Lie(claims=put(nonce="zzz")), Refusal.NOT_ASKED, "another sign-in"),
    "no_nonce": Told(Lie(claims=drop("nonce")), INVALID, "nonce"),
    "at_hash": Told(Lie(claims=put(at_hash="AAAAAAAAAAAAAAAAAAAAAA")), INVALID, "at_hash"),
    "at_hash_without_access_token": Told(Lie(token=drop("access_token")), INVALID, "at_hash"),
    # Signature
    "badkey": Told(Lie(sign=_sign_with(_other_key)), INVALID, "signature"),
    "unknown_key": Told(Lie(header=put(kid="other"), sign=_sign_with(_other_key)), INVALID, "no key"),
    "key_inside": Told(Lie(sign=_with_other_key_inside), INVALID, "no key"),
    "short_key": Told(Lie(keys=_short_key_published, sign=_sign_with(lambda: _SHORT)), INVALID, "no key"),
    "key_for_encryption": Told(Lie(keys=_first(use="enc")), INVALID, "no key"),
    "key_for_another_algorithm": Told(
        Lie(keys=lambda honest: honest["keys"][0].update(alg="PS256")), INVALID, "no key"
    ),
    "no_kid_of_two": Told(Lie(header=drop("kid"), keys=_two_keys), INVALID, "no key"),
    "none": Told(Lie(sign=lambda header, claims: unsigned({"alg": "none"}, claims) + "."), INVALID, "announce"),
    "none_announced": Told(
        Lie(
            document=put(id_token_signing_alg_values_supported=["none", "RS256"]),
            sign=lambda header, claims: unsigned({"alg": "none"}, claims) + ".",
        ),
        INVALID,
        "announce",
    ),
    "hs256": Told(Lie(sign=_with_public_key_as_secret), INVALID, "announce"),
    "hs256_announced": Told(
        Lie(
            document=put(id_token_signing_alg_values_supported=["HS256", "RS256"]),
            sign=lambda header, claims: with_mac(header, claims, CLIENT_SECRET.encode()),
        ),
        INVALID,
        "announce",
    ),
    "alg_not_announced": Told(Lie(document=put(id_token_signing_alg_values_supported=["ES256"])), INVALID, "announce"),
    "critical_header": Told(Lie(header=put(crit=["b64"], b64=True)), INVALID, "header"),
    "kid_a_list": Told(
        Lie(sign=lambda header, claims: unsigned({**header, "kid": ["k1"]}, claims) + ".x"), INVALID, "header"
    ),
    "claims_changed_after_signing": Told(Lie(sign=_changed_after_signing), INVALID, "signature"),
    "no_signature": Told(Lie(sign=lambda header, claims: unsigned(header, claims) + "."), INVALID, "signature"),
    "encrypted": Told(Lie(sign=lambda header, claims: unsigned(header, claims) + ".a.b.c"), INVALID, "no signed JWT"),
    "not_a_token": Told(Lie(token=put(id_token="anna")), INVALID, "no signed JWT"),
    "deep_header": Told(Lie(token=put(id_token="W1tb" * 50000 + ".e30.e30")), INVALID, "no signed JWT"),
    # Groups
    "groups_overage": Told(Lie(claims=_overage), INVALID, "so many groups"),
    "has_groups": Told(Lie(claims=put(hasgroups=True)), INVALID, "so many groups"),
    "userinfo_overage": Told(Lie(claims=drop("groups"), userinfo=_overage), INVALID, "so many groups"),
    "groups_no_list": Told(Lie(claims=put(groups={"DF-Admin": True})), INVALID, "no list of names"),
    "groups_no_names": Told(Lie(claims=put(groups=["DF-Admin", 5])), INVALID, "no list of names"),
    # Userinfo
    "userinfo_of_another": Told(_no_groups_in_token(sub="4712"), INVALID, "another person"),
    "userinfo_of_nobody": Told(Lie(claims=drop("groups"), userinfo=drop("sub")), INVALID, "another person"),
    "userinfo_500": Told(_asked_without_groups(status(500)), None, "500"),
    "userinfo_401": Told(_asked_without_groups(status(401)), None, "401"),
    "userinfo_signed": Told(_asked_without_groups(status(200, b"e30.e30.e30")), None, "no JSON object"),
    "userinfo_redirect": Told(_asked_without_groups(redirect), None, "elsewhere"),
    "userinfo_drip": Told(_asked_without_groups(drip), None, "within"),
    # The token endpoint
    "no_id_token": Told(Lie(token=drop("id_token")), INVALID, "no ID token"),
    "token_of_another_type": Told(Lie(token=put(token_type="mac")), INVALID, "type"),
    "token_redirect": Told(Lie(wire=at(TOKEN, redirect)), None, "elsewhere"),
    "token_500": Told(Lie(wire=at(TOKEN, status(500))), None, "500"),
    "token_not_json": Told(Lie(wire=at(TOKEN, status(200, b"<html>"))), None, "cannot be read"),
    "token_a_list": Told(Lie(wire=at(TOKEN, status(200, b"[]"))), None, "cannot be read"),
    "token_deep": Told(Lie(wire=at(TOKEN, status(200, b"[" * 100000))), None, "cannot be read"),
    "token_expires_never": Told(Lie(token=put(expires_in="never")), None, "cannot be read"),
    "token_huge": Told(Lie(wire=at(TOKEN, huge)), None, "longer than"),
    "token_drip": Told(Lie(wire=at(TOKEN, drip)), None, "within"),
    "token_silent": Told(Lie(wire=at(TOKEN, silent)), None, "within"),
    "token_cut_off": Told(Lie(wire=at(TOKEN, cut_off)), None, "cut off"),
    "token_refused": Told(Lie(wire=at(TOKEN, failure(400, "invalid_grant"))), INVALID, "nothing for the code"),
    "token_denied": Told(Lie(wire=at(TOKEN, failure(403, "access_denied"))), Refusal.DENIED_THERE, "access_denied"),
    "client_unknown": Told(Lie(wire=at(TOKEN, failure(401, "invalid_client"))), None, "client id and secret"),
    "error_no_word": Told(Lie(wire=at(TOKEN, failure(400, {"a": 1}))), None, "how we ask"),
    "error_tells_secret": Told(
        Lie(wire=at(TOKEN, failure(400, CLIENT_SECRET, error_description=CLIENT_SECRET))), None, "how we ask"
    ),
    "error_that_is_none": Told(Lie(token=put(error="invalid_grant")), None, "cannot be read"),
    # Keys
    "jwks_500": Told(Lie(wire=at(KEYS, status(500))), None, "500"),
    "jwks_redirect": Told(Lie(wire=at(KEYS, redirect)), None, "elsewhere"),
    "jwks_not_json": Told(Lie(wire=at(KEYS, status(200, b"\xff\xfe"))), None, "no JSON object"),
    "jwks_no_list": Told(Lie(keys=put(keys={"k1": "x"})), None, "no list of keys"),
    "jwks_empty": Told(Lie(keys=put(keys=[])), INVALID, "no key"),
    "jwks_nonsense": Told(Lie(keys=put(keys=["x", {"kty": "RSA", "kid": "k1", "n": "%", "e": 3}])), INVALID, "no key"),
    "jwks_secret": Told(Lie(keys=put(keys=[{"kty": "oct", "kid": "k1", "k": "AAAA"}])), INVALID, "no key"),
    "jwks_huge": Told(Lie(wire=at(KEYS, huge_without_length)), None, "longer than"),
    "jwks_drip": Told(Lie(wire=at(KEYS, drip)), None, "within"),
    # Discovery
    "discovery_other_issuer": Told(Lie(document=put(issuer="https://evil.example.com")), None, "another issuer"),
    "discovery_issuer_slash": Told(
        Lie(document=lambda honest: honest.update(issuer=honest["issuer"] + "/")), None, "another issuer"
    ),
    "discovery_no_issuer": Told(Lie(document=drop("issuer")), None, "another issuer"),
    "http_authorization": Told(Lie(document=put(authorization_endpoint=_PLAIN)), None, "no https address"),
    "http_token": Told(Lie(document=put(token_endpoint=_PLAIN)), None, "no https address"),
    "http_jwks": Told(Lie(document=put(jwks_uri=_PLAIN)), None, "no https address"),
    "http_userinfo": Told(Lie(document=put(userinfo_endpoint=_PLAIN)), None, "no https address"),
    "http_logout": Told(Lie(document=put(end_session_endpoint=_PLAIN)), None, "no https address"),
    "script_logout": Told(Lie(document=put(end_session_endpoint="javascript:alert(1)")), None, "no https address"),
    "file_jwks": Told(Lie(document=put(jwks_uri="file:///etc/passwd")), None, "no https address"),
    "token_with_user": Told(Lie(document=put(token_endpoint="https://a@id.example.com/")), None, "no https address"),
    "token_two_lines": Told(Lie(document=put(token_endpoint="https://id.example.com/\r\nX: y")), None, "no https"),
    "token_no_host": Told(Lie(document=put(token_endpoint="https://a..b/token")), None, "cannot be reached"),
    "no_token_endpoint": Told(Lie(document=drop("token_endpoint")), None, "no https address"),
    "only_none": Told(Lie(document=put(id_token_signing_alg_values_supported=["none", "HS256"])), None, "believed"),
    "algorithms_no_list": Told(Lie(document=put(id_token_signing_alg_values_supported="RS256")), None, "believed"),
    "no_client_secret": Told(Lie(document=put(token_endpoint_auth_methods_supported=["none"])), None, "client secret"),
    "discovery_missing": Told(Lie(wire=at(DOCUMENT, status(404))), None, "404"),
    "discovery_500": Told(Lie(wire=at(DOCUMENT, status(500))), None, "500"),
    "discovery_redirect": Told(Lie(wire=at(DOCUMENT, redirect)), None, "elsewhere"),
    "discovery_not_json": Told(Lie(wire=at(DOCUMENT, status(200, b"<html>"))), None, "no JSON object"),
    "discovery_not_http": Told(Lie(wire=at(DOCUMENT, lambda one: one.wfile.write(b"220 mail\r\n"))), None, "not HTTP"),
    "discovery_huge": Told(Lie(wire=at(DOCUMENT, huge)), None, "longer than"),
    "discovery_drip": Told(Lie(wire=at(DOCUMENT, drip)), None, "within"),
    "discovery_drip_headers": Told(Lie(wire=at(DOCUMENT, drip_headers)), None, "within"),
    # What the browser brings
    "state": Told(Lie(query=put(state="zzz")), Refusal.NOT_ASKED, "not that of the sign-in"),
    "no_state": Told(Lie(query=drop("state")), Refusal.NOT_ASKED, "not that of the sign-in"),
    "mix_up": Told(Lie(query=put(iss="https://evil.example.com")), INVALID, "another provider"),
    "mix_up_not_announced": Told(
        Lie(
            document=drop("authorization_response_iss_parameter_supported"),
            query=put(iss="https://evil.example.com"),
        ),
        INVALID,
        "another provider",
    ),
    "no_iss_parameter": Told(Lie(query=drop("iss")), INVALID, "another provider"),
    "no_code": Told(Lie(query=drop("code")), INVALID, "no code"),
    "code_two_lines": Told(Lie(query=put(code="a\r\nb")), INVALID, "no code"),
    "made_up_code": Told(Lie(query=put(code="made-up")), INVALID, "nothing for the code"),
    "denied": Told(Lie(query=put(error="access_denied")), Refusal.DENIED_THERE, "access_denied"),
    "denied_and_mix_up": Told(Lie(query=put(error="x", iss="https://evil.example.com")), INVALID, "another provider"),
    "denied_with_secret": Told(
        Lie(query=put(error="access_denied", error_description=CLIENT_SECRET)), Refusal.DENIED_THERE, "access_denied"
    ),
}


#: Unusual, and allowed.
FINE: dict[str, Lie] = {
    "several_aud_with_azp": Lie(claims=put(aud=[CLIENT_ID, "x"], azp=CLIENT_ID)),
    "azp_ours": Lie(claims=put(azp=CLIENT_ID)),
    "no_at_hash": Lie(claims=drop("at_hash")),
    "a_little_late": Lie(claims=shift(exp=-30, iat=-330)),
    "a_little_early": Lie(claims=shift(iat=30, nbf=30)),
    "half_seconds": Lie(claims=shift(iat=0.5)),  # type: ignore[arg-type]
    "unknown_header": Lie(header=put(**{"pi.atm": "1", "x5t": "AAAA"})),
    "no_kid_of_one": Lie(header=drop("kid")),
    "key_without_kid": Lie(header=drop("kid"), keys=lambda honest: honest["keys"][0].pop("kid")),
    "unknown_keys_beside": Lie(keys=lambda honest: honest["keys"].insert(0, {"kty": "AKP", "kid": "k1"})),
    "iss_not_announced": Lie(document=drop("authorization_response_iss_parameter_supported"), query=drop("iss")),
    "few_words_in_discovery": Lie(document=drop("id_token_signing_alg_values_supported", "end_session_endpoint")),
    "other_pointers": Lie(claims=put(_claim_names={"address": "src1"})),
    "no_access_token_shown": Lie(claims=drop("at_hash"), token=drop("access_token")),
}
