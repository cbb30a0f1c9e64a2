"""The keys that an OpenID provider signs with (RFC 7517)."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from dicomfab.identity.oidc_http import Http

#: A key that the provider withdrew is believed no longer than this.
KEPT: Final = timedelta(minutes=10)
#: Tokens with made-up keys must not have us ask the provider without end.
_ASKED_ANEW: Final = timedelta(minutes=1)
_MOST_KEYS: Final = 100
_RSA_BITS: Final = range(2048, 16384 + 1)
_WHAT: Final = "its keys"
_Key: TypeAlias = dict[str, Any]
_CURVES: Final = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}


class Keys:
    """Those of one provider, kept for a while. For any thread.

    Args:
        http: asks it.
        now: the moment, with time zone.
    """

    def __init__(self, http: Http, now: Callable[[], datetime]) -> None:
        self._http = http
        self._now = now
        self._lock = threading.Lock()
        self._held: tuple[str, datetime, list[_Key]] | None = None
        self._anew_at: datetime | None = None

    def fitting(self, address: str, kid: str | None, algorithm: str) -> list[RSAKey | ECKey]:
        """Those that a signature may be of.

        Args:
            address: of the keys.
            kid: names the key; a token without one may be of the only key that there is.
            algorithm: of the signature.

        Raises:
            DirectoryUnavailable: they cannot be got.
        """
        # Others wait: what they need is being fetched, and that is bounded.
        with self._lock:
            keys = self._kept(address)
            if keys is None:
                keys = self._fetch(address)
            elif not any(_is_named(key, kid) for key in keys) and self._may_ask_anew():
                self._anew_at = self._now()
                keys = self._fetch(address)
        found = [key for data in keys if _is_named(data, kid) and (key := _key(data, algorithm))]
        return found if kid is not None or len(found) == 1 else []

    def _kept(self, address: str) -> list[_Key] | None:
        if self._held is not None:
            of, since, keys = self._held
            # A clock that was set back must not keep them for ever.
            if of == address and timedelta(0) <= self._now() - since < KEPT:
                return keys
        return None

    def _fetch(self, address: str) -> list[_Key]:
        found = self._http.json(_WHAT, address).get("keys")
        if not isinstance(found, list):
            raise self._http.nonsense(_WHAT, "there is no list of keys in the answer")
        keys = [key for key in found[:_MOST_KEYS] if isinstance(key, dict)]
        self._held = (address, self._now(), keys)
        return keys

    def _may_ask_anew(self) -> bool:
        return self._anew_at is None or not timedelta(0) <= self._now() - self._anew_at < _ASKED_ANEW


def _is_named(key: Mapping[str, Any], kid: str | None) -> bool:
    return kid is None or key.get("kid") == kid


def _key(data: Mapping[str, Any], algorithm: str) -> RSAKey | ECKey | None:
    """The key, if it is public, strong and meant for such signatures. RFC 7517 has others passed over."""
    if data.get("use", "sig") != "sig" or data.get("alg", algorithm) != algorithm:
        return None
    is_curve = algorithm in _CURVES
    if data.get("kty") != ("EC" if is_curve else "RSA"):
        return None
    names = ("kty", "crv", "x", "y") if is_curve else ("kty", "n", "e")
    plain = {name: data[name] for name in names if isinstance(data.get(name), str)}
    try:
        if is_curve:
            return ECKey.import_key(plain) if plain.get("crv") == _CURVES[algorithm] else None
        return RSAKey.import_key(plain) if _bits(plain["n"]) in _RSA_BITS else None
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def _bits(modulus: str) -> int:
    """The length of an RSA key. The library only warns of short ones."""
    return int.from_bytes(base64.urlsafe_b64decode(modulus + "=" * (-len(modulus) % 4))).bit_length()
