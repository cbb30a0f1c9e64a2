"""What an OpenID provider says of itself (OpenID Connect Discovery 1.0), believed only as far as it is safe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from dicomfab.identity.oidc_http import Http
from dicomfab.identity.oidc_values import OidcSettings, is_plain_here, is_secret
from dicomfab.model.errors import DirectoryUnavailable

#: Signatures that are believed. ``none``, and HS*, whose key is the client secret, never are.
ALGORITHMS: Final = frozenset(f"{kind}{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512))
_DOCUMENT: Final = "its discovery document"
_BASIC: Final = "client_secret_basic"
_POST: Final = "client_secret_post"


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovered:
    """A provider's addresses and abilities.

    Args:
        authorization, token, keys: where browsers, codes and keys are handled.
        userinfo, logout: the same; empty if there is none.
        algorithms: of signatures, that it has and that are believed.
        proves_by: how it wants the client secret: ``client_secret_basic`` or ``client_secret_post``.
        names_itself: whether its answers always say whose they are (RFC 9207).
    """

    authorization: str
    token: str
    keys: str
    userinfo: str
    logout: str
    algorithms: frozenset[str]
    proves_by: str
    names_itself: bool


def document_address(issuer: str) -> str:
    """Where the discovery document of an issuer is (section 4)."""
    return issuer.removesuffix("/") + "/.well-known/openid-configuration"


def discover(settings: OidcSettings, http: Http) -> Discovered:
    """Ask the provider.

    Raises:
        DirectoryUnavailable: it cannot be asked, or says what cannot be believed.
    """
    document = http.json(_DOCUMENT, document_address(settings.issuer))
    if document.get("issuer") != settings.issuer:
        raise _unusable(settings, "another issuer is named in it than the one that is set here", "copy it from there")
    return Discovered(
        authorization=_endpoint(settings, document, "authorization_endpoint"),
        token=_endpoint(settings, document, "token_endpoint"),
        keys=_endpoint(settings, document, "jwks_uri"),
        userinfo=_endpoint(settings, document, "userinfo_endpoint", is_needed=False),
        logout=_endpoint(settings, document, "end_session_endpoint", is_needed=False),
        algorithms=_algorithms(settings, document),
        proves_by=_proof(settings, document),
        names_itself=document.get("authorization_response_iss_parameter_supported") is True,
    )


def _endpoint(settings: OidcSettings, document: Mapping[str, Any], name: str, *, is_needed: bool = True) -> str:
    value: Any = document.get(name)
    if value is None and not is_needed:
        return ""
    # Plain http stays on this machine; and a provider elsewhere has no business with what listens here.
    may_be_plain = is_plain_here(settings.issuer)
    is_good = isinstance(value, str) and "#" not in value
    if not is_good or not (is_secret(value) or (may_be_plain and is_plain_here(value))):
        raise _unusable(settings, f"{name} is no https address", "have the provider publish https addresses")
    return str(value)


def _algorithms(settings: OidcSettings, document: Mapping[str, Any]) -> frozenset[str]:
    # RS256 is what every provider must have (section 3).
    offered = _words(document, "id_token_signing_alg_values_supported", ("RS256",))
    if not offered & ALGORITHMS:
        raise _unusable(settings, "it signs ID tokens in no way that is believed", "have it sign with RS256 or ES256")
    return offered & ALGORITHMS


def _proof(settings: OidcSettings, document: Mapping[str, Any]) -> str:
    offered = _words(document, "token_endpoint_auth_methods_supported", (_BASIC,))
    if _BASIC in offered:
        return _BASIC
    if _POST in offered:
        return _POST
    raise _unusable(settings, "it takes no client secret", f"allow {_BASIC} for our client there")


def _words(document: Mapping[str, Any], name: str, otherwise: tuple[str, ...]) -> frozenset[str]:
    value = document.get(name, otherwise)
    return frozenset(one for one in value if isinstance(one, str)) if isinstance(value, list | tuple) else frozenset()


def _unusable(settings: OidcSettings, cause: str, remedy: str) -> DirectoryUnavailable:
    return DirectoryUnavailable(
        f"The discovery document of {settings.issuer} cannot be used", cause=cause, remedy=remedy
    )
