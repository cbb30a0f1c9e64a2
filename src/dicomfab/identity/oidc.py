"""Sign in at an OpenID provider: authorization code flow with PKCE (OpenID Connect Core 1.0, RFC 7636, RFC 9700).

Everything that comes from the provider, or from a browser in its name, is taken to be forged until it is proven.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from authlib.oauth2 import OAuth2Client  # type: ignore[import-untyped]

from dicomfab.identity import oidc_code, oidc_person
from dicomfab.identity.oidc_code import Tokens
from dicomfab.identity.oidc_discovery import Discovered, discover
from dicomfab.identity.oidc_http import WHOLE_S, Http
from dicomfab.identity.oidc_keys import KEPT, Keys
from dicomfab.identity.oidc_token import Expected, claims_of, is_same
from dicomfab.identity.oidc_values import OidcAnswer, OidcRequest, OidcSettings, Refused
from dicomfab.model.account import Refusal
from dicomfab.model.errors import DirectoryUnavailable
from dicomfab.model.person import Rejected, Step, Tell, untold

__all__ = ["OidcAnswer", "OidcProvider", "OidcRequest", "OidcSettings"]

_RANDOM_BYTES: Final = 32
_LONGEST_SAID: Final = 200
# Servers refuse addresses that are too long, and the hint is none that has to be given.
_LONGEST_HINT: Final = 4000


class OidcProvider:
    """One OpenID provider. For any thread; nothing is asked before it is needed.

    Args:
        settings: how it is used.
        now: the moment, with time zone.
        whole_s: seconds for each request to it with its answer.
    """

    def __init__(self, settings: OidcSettings, now: Callable[[], datetime], *, whole_s: float = WHOLE_S) -> None:
        self._settings = settings
        self._now = now
        self._http = Http(settings.issuer, settings.ca_file, whole_s)
        self._keys = Keys(self._http, now)
        self._lock = threading.Lock()
        self._held: tuple[datetime, Discovered] | None = None

    def begin(self) -> OidcRequest:
        """Begin a sign-in. What comes of it is to be kept for the browser that is sent there.

        Raises:
            DirectoryUnavailable: the provider cannot be asked where browsers are to go.
        """
        discovered, settings = self._discovered(), self._settings
        state, nonce, verifier = (secrets.token_urlsafe(_RANDOM_BYTES) for _ in range(3))
        client = OAuth2Client(
            None,
            client_id=settings.client_id,
            scope=settings.scope,
            redirect_uri=settings.callback,
            code_challenge_method="S256",
        )
        address, _ = client.create_authorization_url(
            discovered.authorization, state=state, code_verifier=verifier, nonce=nonce
        )
        return OidcRequest(str(address), state, nonce, verifier)

    def answered(self, query: Mapping[str, str], request: OidcRequest, tell: Tell = untold) -> OidcAnswer | Rejected:
        """Who came back.

        Args:
            query: the parameters that the browser came back with.
            request: what this browser was sent away with; the caller sees to it that it is used once.
            tell: told of each step.

        Returns:
            The person, or why nobody is let in.

        Raises:
            DirectoryUnavailable: the provider could not be asked, or not safely.
        """
        try:
            return self._believed(query, request, tell)
        except Refused as refused:
            tell(Step("give up", refused.why, is_good=False))
            return Rejected(refused.refusal, refused.why)
        except DirectoryUnavailable as error:
            tell(Step("give up", f"{error.what}: {error.cause}", is_good=False))
            raise

    def logout_address(self, id_token: str) -> str:
        """Where to send a browser so that its session at the provider ends (OpenID Connect RP-Initiated Logout 1.0).

        Args:
            id_token: of the sign-in.

        Returns:
            empty if the provider offers no such thing.

        Raises:
            DirectoryUnavailable: it cannot be asked whether it does.
        """
        address, settings = self._discovered().logout, self._settings
        if not address:
            return ""
        values = {"client_id": settings.client_id, "post_logout_redirect_uri": settings.after_logout}
        if id_token and len(id_token) <= _LONGEST_HINT:
            values["id_token_hint"] = id_token
        return oidc_code.with_query(address, values)

    def _believed(self, query: Mapping[str, str], request: OidcRequest, tell: Tell) -> OidcAnswer:
        settings = self._settings
        if not request.state or not is_same(query.get("state", ""), request.state):
            raise Refused("the answer is not that of the sign-in that this browser began", Refusal.NOT_ASKED)
        tell(Step("compare the answer with what was asked", "it is of this sign-in"))
        discovered = self._discovered()
        tell(Step(f"read what {settings.issuer} says of itself", "it can be used"))
        code = self._code(query, discovered)
        tell(Step("read the answer", "it holds a code"))
        tokens = oidc_code.redeem(code, request.verifier, settings, discovered, self._http)
        tell(Step(f"redeem the code at {discovered.token}", "an ID token came"))
        expected = Expected(settings, request.nonce, tokens.access_token, self._now())
        claims = claims_of(tokens.id_token, expected, discovered, self._keys)
        tell(Step("check the ID token", "signature, issuer, audience, moments and nonce are right"))
        oidc_person.refuse_overage(settings, claims)
        if discovered.userinfo and tokens.access_token and oidc_person.lacks(settings, claims):
            claims = {**self._userinfo(discovered.userinfo, tokens, claims["sub"]), **claims}
            tell(Step(f"ask {discovered.userinfo} for more", "it is of the same person"))
            oidc_person.refuse_overage(settings, claims)
        person = oidc_person.person_of(settings, claims)
        came = ", ".join(sorted(person.groups)) or f"none came in {settings.groups_claim}"
        tell(Step(f"read the groups of {person.name}", came, is_good=bool(person.groups)))
        return OidcAnswer(person, tokens.id_token)

    def _code(self, query: Mapping[str, str], discovered: Discovered) -> str:
        """The code of an answer that is this provider's, and no failure (RFC 9207 section 2.4, RFC 6749 4.1.2)."""
        issuer = query.get("iss")
        if (issuer is not None or discovered.names_itself) and issuer != self._settings.issuer:
            raise Refused("the answer is of another provider, or does not say of which (iss)")
        if "error" in query:
            said = " ".join(filter(None, (self._said(query["error"]), self._said(query.get("error_description", "")))))
            raise Refused(f"the provider let nobody in: {said}", Refusal.DENIED_THERE)
        code = query.get("code", "")
        if not code or not code.isascii() or not code.isprintable():
            raise Refused("there is no code in the answer")
        return code

    def _said(self, text: str) -> str:
        """What somebody else wrote, as it may stand in a log."""
        if self._settings.client_secret in text:
            return ""
        return "".join(one for one in text if one.isascii() and one.isprintable())[:_LONGEST_SAID]

    def _userinfo(self, address: str, tokens: Tokens, subject: str) -> Mapping[str, Any]:
        """Section 5.3; signed answers are not asked for."""
        found = self._http.json("userinfo", address, {"Authorization": f"Bearer {tokens.access_token}"})
        if found.get("sub") != subject:
            raise Refused("userinfo is of another person than the ID token, or does not say of whom")
        return found

    def _discovered(self) -> Discovered:
        now = self._now()
        with self._lock:
            if self._held is not None and timedelta(0) <= now - self._held[0] < KEPT:
                return self._held[1]
        found = discover(self._settings, self._http)
        with self._lock:
            self._held = (now, found)
        return found
