"""Redeem a code for tokens (RFC 6749 section 4.1.3), through Authlib, over requests that are bounded."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

import httpx
from authlib.oauth2 import OAuth2Client, OAuth2Error  # type: ignore[import-untyped]

from dicomfab.identity.oidc_discovery import Discovered
from dicomfab.identity.oidc_http import Http, object_of
from dicomfab.identity.oidc_values import OidcSettings, Refused
from dicomfab.model.account import Refusal
from dicomfab.model.errors import DirectoryUnavailable

_WHAT: Final = "tokens for the code"
_ALL_RIGHT: Final = 200
_FAILURES: Final = (400, 401, 403)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What came for a code.

    Args:
        id_token: says who somebody is; not checked yet.
        access_token: opens userinfo; empty if none came that can be shown there.
    """

    id_token: str = field(repr=False)
    access_token: str = field(repr=False)


def with_query(address: str, values: Mapping[str, str]) -> str:
    """An address with more parameters."""
    return f"{address}{'&' if '?' in address else '?'}{urlencode(values)}"


def redeem(code: str, verifier: str, settings: OidcSettings, discovered: Discovered, http: Http) -> Tokens:
    """Redeem a code.

    Args:
        code: from the browser.
        verifier: of the sign-in.
        settings: of the provider.
        discovered: what it says of itself.
        http: asks it.

    Raises:
        Refused: it gives nothing for this code, or no ID token.
        DirectoryUnavailable: it could not be asked, or does not know us.
    """
    client = OAuth2Client(
        _Session(http),
        client_id=settings.client_id,
        client_secret=settings.client_secret,
        token_endpoint_auth_method=discovered.proves_by,
        redirect_uri=settings.callback,
    )
    client.register_client_auth_method(("client_secret_basic", _basic))
    try:
        found = client.fetch_token(discovered.token, grant_type="authorization_code", code=code, code_verifier=verifier)
    except OAuth2Error as error:
        raise _explained(settings, error.error) from None
    except (ValueError, TypeError, OverflowError):
        raise http.nonsense(_WHAT, "what it answered cannot be read") from None
    return _tokens(found)


def _tokens(found: Mapping[str, Any]) -> Tokens:
    id_token, access_token = found.get("id_token"), found.get("access_token")
    if not isinstance(id_token, str) or not id_token:
        raise Refused("no ID token came for the code: the provider does not take it for a sign-in of OpenID Connect")
    if str(found.get("token_type")).lower() != "bearer":
        raise Refused("the tokens are of a type that is none of OpenID Connect")
    if not isinstance(access_token, str) or not access_token.isascii() or not access_token.isprintable():
        access_token = ""
    return Tokens(id_token, access_token)


def _explained(settings: OidcSettings, error: object) -> Exception:
    """RFC 6749 section 5.2. Only known words are repeated: a provider could write our secret beside them."""
    if error == "access_denied":
        return Refused("the provider let nobody in: access_denied", Refusal.DENIED_THERE)
    if error == "invalid_grant":
        return Refused("the provider gives nothing for the code: it was used, has expired or is of another sign-in")
    known = error in ("invalid_client", "unauthorized_client")
    return DirectoryUnavailable(
        f"{settings.issuer} did not give {_WHAT}",
        cause="it does not know our client id and secret" if known else "it refuses how we ask",
        remedy="check client id and secret, and there the redirect address " + settings.callback,
    )


def _basic(client: Any, _method: str, uri: str, headers: dict[str, str], body: str) -> tuple[str, dict[str, str], str]:
    """RFC 6749 section 2.3.1 has both encoded as in a form first, which Authlib leaves out."""
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    headers["Authorization"] = f"Basic {base64.b64encode(pair.encode('ascii')).decode('ascii')}"
    return uri, headers, body


class _Session:
    """What Authlib's client sends with."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def post(self, url: str, *, data: Mapping[str, str], headers: Mapping[str, str], auth: Any) -> httpx.Response:
        """A form, with what proves that it is us."""
        sent = {"Accept": headers.get("Accept", "application/json")}
        _, sent, form = auth.prepare("POST", url, sent, urlencode(data))
        status, body = self._http.ask(_WHAT, url, sent, form.encode("ascii"))
        found = object_of(body)
        if found is None or status not in (_ALL_RIGHT, *_FAILURES) or (status != _ALL_RIGHT) != ("error" in found):
            raise self._http.nonsense(_WHAT, f"what it answered cannot be read (status {status})")
        return httpx.Response(status, content=body)
