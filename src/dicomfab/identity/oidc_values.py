"""What an OpenID provider is asked with and what comes of it, as plain values."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, urlsplit

from dicomfab.model.account import Refusal
from dicomfab.model.errors import InvalidInput
from dicomfab.model.person import Person

#: Clocks that differ by more are to be set, not forgiven.
LONGEST_SKEW_S: Final = 300.0
_CALLBACK: Final = "/oidc/callback"
_SIGN_IN: Final = "/sign-in"


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcSettings:
    """How an OpenID provider is used.

    Args:
        address: ours, as browsers know it, such as ``https://dicomfab.example.com``.
        issuer: of the provider: https, or http on this machine alone.
        client_id: our name there.
        client_secret: proves there that it is us.
        ca_file: certificates (PEM) to trust for it; those of the system if empty.
        name_claim: what a sign-in name is read from.
        display_name_claim: what a name for people is read from.
        groups_claim: what groups are read from.
        scope: what is asked for, separated by spaces; ``openid`` is always among it.
        skew_s: seconds that the provider's clock may differ from ours.

    Raises:
        InvalidInput: a value that nobody could be let in safely with.
    """

    address: str
    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    ca_file: str = ""
    name_claim: str = "preferred_username"
    display_name_claim: str = "name"
    groups_claim: str = "groups"
    scope: str = "openid profile email"
    skew_s: float = 60.0

    def __post_init__(self) -> None:
        is_safe = is_web(self.issuer) and (is_secret(self.issuer) or is_plain_here(self.issuer))
        _need(is_safe, "issuer", self.issuer, "an https address without ? and #, such as https://id.example.com")
        _need(is_web(self.address), "address", self.address, "such as https://dicomfab.example.com")
        _need(self.client_id, "client_id", self.client_id, "the client id that the provider gave")
        _need(self.client_secret, "client_secret", None, "the client secret that the provider gave")
        _need(0 <= self.skew_s <= LONGEST_SKEW_S, "skew_s", self.skew_s, f"0 to {LONGEST_SKEW_S:.0f} seconds")
        _need("openid" in self.scope.split(), "scope", self.scope, "with openid among it")

    @property
    def callback(self) -> str:
        """Where the provider sends a browser back to; to be entered there."""
        return self.address.rstrip("/") + _CALLBACK

    @property
    def after_logout(self) -> str:
        """Where it sends one after signing out; to be entered there."""
        return self.address.rstrip("/") + _SIGN_IN


@dataclass(frozen=True, slots=True)
class OidcRequest:
    """A sign-in that was begun. It belongs to one browser and is used once.

    Args:
        address: where the browser is to go.
        state: has to come back in the answer.
        nonce: has to come back in the ID token.
        verifier: proves that whoever redeems the code began the sign-in (RFC 7636).
    """

    address: str = field(repr=False)
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class OidcAnswer:
    """Somebody whom an OpenID provider has proven.

    Args:
        person: who.
        id_token: tells the provider later whose session is to end.
    """

    person: Person
    id_token: str = field(repr=False)


class Refused(Exception):
    """What a provider's answer lacks. It never leaves this package.

    Args:
        why: in words, without secrets.
        refusal: in a word.
    """

    def __init__(self, why: str, refusal: Refusal = Refusal.ANSWER_INVALID) -> None:
        super().__init__(why)
        self.why = why
        self.refusal = refusal


def is_web(address: str) -> bool:
    """Whether it is an address of the web without a query and a fragment."""
    return _parts(address) is not None and "?" not in address and "#" not in address


def is_secret(address: str) -> bool:
    """Whether nobody on the way can read what is sent there: https."""
    parts = _parts(address)
    return parts is not None and parts.scheme == "https"


def is_plain_here(address: str) -> bool:
    """Whether it is plain http to this machine."""
    parts = _parts(address)
    if parts is None or parts.scheme != "http":
        return False
    if parts.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def _parts(address: str) -> SplitResult | None:
    """An address of http or https taken apart; none if it is not one, names a user or cannot be read."""
    if not address.isascii() or not address.isprintable() or " " in address or "\\" in address:
        return None
    try:
        parts = urlsplit(address)
        is_good = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        return None
    return parts if is_good else None


def _need(is_good: object, name: str, value: object, wanted: str) -> None:
    if not is_good:
        raise InvalidInput(
            f"{name}: {'this' if value is None else repr(value)} cannot be used with an OpenID provider",
            field=name,
            value=value,
            cause="it is missing, misspelt or not safe",
            remedy=f"give {wanted}",
        )
