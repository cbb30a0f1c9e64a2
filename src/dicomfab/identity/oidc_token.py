"""Believe an ID token, or say why not (OpenID Connect Core 1.0, section 3.1.3.7)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError

from dicomfab.identity.oidc_discovery import Discovered
from dicomfab.identity.oidc_http import MAX_BODY_BYTES, object_of
from dicomfab.identity.oidc_keys import Keys
from dicomfab.identity.oidc_values import OidcSettings, Refused
from dicomfab.model.account import Refusal

_OLDEST_S: Final = 600.0
_LONGEST_SUBJECT: Final = 255
_LATEST: Final = 1e11  # the year 5138: further ones are no moments
_PARTS: Final = 3


@dataclass(frozen=True, slots=True)
class Expected:
    """What an ID token has to fit.

    Args:
        settings: of the provider.
        nonce: of the sign-in.
        access_token: that came with it, if one did.
        now: the moment, with time zone.
    """

    settings: OidcSettings
    nonce: str = field(repr=False)
    access_token: str = field(repr=False)
    now: datetime


def claims_of(token: str, expected: Expected, discovered: Discovered, keys: Keys) -> Mapping[str, Any]:
    """What an ID token says, when everything about it is right.

    Raises:
        Refused: something is not.
        DirectoryUnavailable: the provider's keys cannot be got.
    """
    algorithm, claims = _signed(token, discovered, keys)
    _check_parties(claims, expected.settings)
    _check_moments(claims, expected)
    _check_nonce(claims, expected)
    _check_access_token(claims, expected, algorithm)
    return claims


def _signed(token: str, discovered: Discovered, keys: Keys) -> tuple[str, Mapping[str, Any]]:
    parts = token.split(".")
    header = _header(parts[0])
    if len(parts) != _PARTS or header is None:
        raise Refused("the ID token is no signed JWT; encrypted ones cannot be read")
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in discovered.algorithms:
        raise Refused("the ID token is signed in a way that the provider does not announce or that is not safe")
    if not isinstance(kid, str | None) or "crit" in header:
        raise Refused("the header of the ID token cannot be understood")
    fitting = keys.fitting(discovered.keys, kid, algorithm)
    if not fitting:
        raise Refused("the provider has no key by the name that the ID token gives")
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    registry.max_header_length = registry.max_payload_length = registry.max_signature_length = MAX_BODY_BYTES
    for key in fitting:
        try:
            signed = jws.deserialize_compact(token, key, registry=registry)
        except (JoseError, ValueError, TypeError, KeyError):
            continue
        claims = object_of(signed.payload or b"")
        if claims is None:
            raise Refused("the ID token holds no JSON object")
        return algorithm, claims
    raise Refused("the signature of the ID token is not that of the provider's key")


def _header(part: str) -> dict[str, Any] | None:
    try:
        return object_of(base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True))
    except ValueError:
        return None


def _check_parties(claims: Mapping[str, Any], settings: OidcSettings) -> None:
    """Points 2 to 5: who made it, and for whom."""
    if claims.get("iss") != settings.issuer:
        raise Refused("the ID token is of another issuer, or names none")
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or settings.client_id not in audiences:
        raise Refused("the ID token is made for another client, or names none")
    party = claims.get("azp")
    if (party is not None or len(audiences) > 1) and party != settings.client_id:
        raise Refused("the ID token was given to another client (azp)")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject.strip() or len(subject) > _LONGEST_SUBJECT:
        raise Refused("the ID token does not say whose it is (sub)")


def _check_moments(claims: Mapping[str, Any], expected: Expected) -> None:
    """Points 9 and 10, and nbf of RFC 7519."""
    now, skew = expected.now.timestamp(), expected.settings.skew_s
    clocks = "or the clocks differ: compare the provider's with ours"
    if _moment(claims, "exp") <= now - skew:
        raise Refused(f"the ID token has expired, {clocks}")
    issued = _moment(claims, "iat")
    if issued > now + skew:
        raise Refused(f"the ID token is of the future, {clocks}")
    if issued < now - _OLDEST_S - skew:
        raise Refused(f"the ID token was made more than {_OLDEST_S / 60:.0f} minutes ago, {clocks}")
    if "nbf" in claims and _moment(claims, "nbf") > now + skew:
        raise Refused(f"the ID token is not valid yet, {clocks}")


def _moment(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    # Comparisons with a number that is none are all false.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _LATEST:
        raise Refused(f"the ID token lacks a moment ({name})")
    return float(value)


def _check_nonce(claims: Mapping[str, Any], expected: Expected) -> None:
    """Point 11."""
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not nonce:
        raise Refused("the ID token does not say for which sign-in it is (nonce)")
    if not is_same(nonce, expected.nonce):
        raise Refused("the ID token is of another sign-in (nonce)", Refusal.NOT_ASKED)


def _check_access_token(claims: Mapping[str, Any], expected: Expected, algorithm: str) -> None:
    """Section 3.1.3.8: half of the hash of the access token, by the algorithm of the signature."""
    if "at_hash" not in claims:
        return
    said, token = claims["at_hash"], expected.access_token
    digest = hashlib.new(f"sha{algorithm[2:]}", token.encode("utf-8", "surrogatepass")).digest()
    half = base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode("ascii")
    if not token or not isinstance(said, str) or not is_same(said, half):
        raise Refused("the access token is not that of the ID token (at_hash)")


def is_same(one: str, other: str) -> bool:
    """Whether two secrets are the same; how long that takes does not tell how much of them is."""
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))
