"""Sign in at an identity provider: the browser goes there and comes back with an answer (SAML, OpenID Connect).

What was noted when the browser left is used once, by that browser, within ten minutes. A SAML answer comes by a request
of another site, with which browsers send no cookie of ours; so it is kept for a minute under a code, and the browser
comes with cookie and code in a second request.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NoReturn

from dicomfab.identity.oidc import OidcProvider, OidcRequest
from dicomfab.identity.saml import SamlProvider
from dicomfab.model.account import AccountEvent, AccountEventKind, Identity, Origin, Refusal, Session
from dicomfab.model.actor import Role
from dicomfab.model.errors import DirectoryUnavailable, NotFound
from dicomfab.model.person import Person, Rejected, Step
from dicomfab.services.account_rules import OnEvent, printable, sha256, tell_nobody
from dicomfab.services.attempts import Attempts
from dicomfab.services.directory_users import GroupRoles, gave_up, identity_of
from dicomfab.services.sign_in import SignInService
from dicomfab.storage.accounts import Note
from dicomfab.storage.sessions import SessionRepository
from dicomfab.storage.sign_in_failures import Attempt
from dicomfab.storage.sign_in_requests import SignInRequest, SignInRequests
from dicomfab.storage.sign_in_traces import SignInTraces

if TYPE_CHECKING:
    from dicomfab.model.account import Account
    from dicomfab.storage.audit import Transaction

SAML: Final = "saml"
OIDC: Final = "oidc"
#: A person may take so long at the provider.
AWAY_FOR: Final = timedelta(minutes=10)
_CODE_LASTS: Final = timedelta(minutes=1)
_SIGNED_IN: Final = "signed_in"


@dataclass(frozen=True, slots=True)
class Away:
    """A browser that is sent to an identity provider.

    Args:
        address: where to.
        browser: for a cookie; who comes back without it is another.
    """

    address: str
    browser: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Back:
    """A browser that came back and is signed in.

    Args:
        token: of the session, for a cookie.
        page: where it wanted to go.
    """

    token: str = field(repr=False)
    page: str


@dataclass(slots=True)
class _Trace:
    source: str
    name: str = ""
    came: str = "unavailable"
    steps: list[Step] = field(default_factory=list)


class Elsewhere:
    """Use cases on signing in at identity providers.

    Args:
        sign_in: begins the sessions.
        sessions: that it begins.
        requests: what is under way.
        attempts: counts answers that let nobody in.
        group_roles: which roles groups give.
        traces: how sign-ins went.
        saml, oidc: the providers that there are.
        on_event: told what happens.
    """

    def __init__(
        self,
        sign_in: SignInService,
        sessions: SessionRepository,
        requests: SignInRequests,
        attempts: Attempts,
        group_roles: GroupRoles,
        traces: SignInTraces,
        *,
        saml: SamlProvider | None = None,
        oidc: OidcProvider | None = None,
        on_event: OnEvent = tell_nobody,
    ) -> None:
        self._sign_in = sign_in
        self._sessions = sessions
        self._requests = requests
        self._attempts = attempts
        self._group_roles = group_roles
        self._traces = traces
        self._saml = saml
        self._oidc = oidc
        self._on_event = on_event

    def begin(self, source: str, page: str, browser: str = "") -> Away:
        """Send a browser away.

        Args:
            source: the provider.
            page: where it wants to go afterwards.
            browser: what it holds already, if it has begun before: several of its tabs may be under way.

        Raises:
            NotSignedIn: there is no such provider.
            DirectoryUnavailable: it cannot be asked.
        """
        browser = browser or secrets.token_urlsafe(32)
        if source == SAML and self._saml is not None:
            request = self._saml.begin("")
            key, given, address = request.id, {"page": page}, request.address
        elif source == OIDC and self._oidc is not None:
            asked = self._oidc.begin()
            key, given, address = asked.state, {"page": page, **asdict(asked)}, asked.address
        else:
            self._sign_in.refuse(Refusal.UNKNOWN_SOURCE, "", printable(source)[:32], Origin())
        self._requests.keep(sha256(key), SignInRequest(source, sha256(browser), given), AWAY_FOR)
        return Away(address, browser)

    def saml_answered(self, answer: str, origin: Origin) -> str:
        """Take a SAML answer; gives a code with which its browser goes on at :meth:`finish`.

        Raises:
            NotSignedIn: it lets nobody in.
            TooManyAttempts: too many answers from there did not.
            DirectoryUnavailable: it cannot be checked.
        """
        if self._saml is None:
            self._sign_in.refuse(Refusal.UNKNOWN_SOURCE, "", SAML, origin)
        with self._tried(SAML, origin) as (trace, attempt):
            found = self._saml.answered(answer, trace.steps.append)
            if isinstance(found, Rejected):
                trace.steps.append(Step("check the answer", found.why, is_good=False))
                self._refuse(trace, found.refusal, origin)
            trace.name = printable(found.person.name)
            request = SignInRequest(SAML, "", {"page": "/"})
            if found.in_response_to:
                asked = self._requests.take(sha256(found.in_response_to), SAML)
                if asked is None:
                    trace.steps.append(Step("find the request that it answers", "none is open", is_good=False))
                    self._refuse(trace, Refusal.NOT_ASKED, origin)
                request = asked
            if not self._requests.use_answer(sha256(found.assertion_id), found.expires_at):
                trace.steps.append(Step("see whether it was used before", "it was", is_good=False))
                self._refuse(trace, Refusal.REPLAYED, origin)
            identity = self._identity(trace, found.person, origin)
            known_by = {
                "name_id": found.name_id,
                "name_id_format": found.name_id_format,
                "session_index": found.session_index,
            }
            given = {"page": request.given["page"], "identity": _plain(identity), "known_by": known_by}
            code = secrets.token_urlsafe(32)
            self._requests.keep(sha256(code), SignInRequest(SAML, request.browser_hash, given), _CODE_LASTS)
            self._attempts.take_back(attempt)
            trace.came = "proven"
        return code

    def finish(self, code: str, browser: str, origin: Origin, session: str = "") -> Back:
        """Sign in the browser whose SAML answer was taken.

        Args:
            code: of :meth:`saml_answered`.
            browser: what it holds of :meth:`begin`.
            origin: where it is.
            session: token of one that it has already, which goes on if it is the same person's.

        Raises:
            NotSignedIn: another browser began this, the code was used, or is older than a minute.
        """
        if self._saml is None:
            self._sign_in.refuse(Refusal.UNKNOWN_SOURCE, "", SAML, origin)
        with self._tried(SAML, origin) as (trace, attempt):
            kept = self._requests.take(sha256(code), SAML)
            if kept is None or not _is_of(kept, browser):
                trace.steps.append(Step("see whether this browser began it", "it did not", is_good=False))
                self._refuse(trace, Refusal.NOT_ASKED, origin)
            identity = _identity_of(kept.given["identity"])
            trace.name = identity.name
            token = self._begun(trace, identity, origin, kept.given["known_by"], session)
            self._attempts.take_back(attempt)
        return Back(token, kept.given["page"])

    def oidc_answered(self, query: Mapping[str, str], browser: str, origin: Origin, session: str = "") -> Back:
        """Take an answer of OpenID Connect, and sign in the browser that brings it.

        Args:
            query: of the address that the provider sent it to.
            browser: what it holds of :meth:`begin`.
            origin: where it is.
            session: as of :meth:`finish`.

        Raises:
            NotSignedIn: the answer lets nobody in.
            TooManyAttempts: too many answers from there did not.
            DirectoryUnavailable: the provider cannot be asked.
        """
        if self._oidc is None:
            self._sign_in.refuse(Refusal.UNKNOWN_SOURCE, "", OIDC, origin)
        with self._tried(OIDC, origin) as (trace, attempt):
            kept = self._requests.take(sha256(query.get("state", "")), OIDC)
            if kept is None or not _is_of(kept, browser):
                trace.steps.append(Step("see whether this browser began it", "it did not", is_good=False))
                self._refuse(trace, Refusal.NOT_ASKED, origin)
            asked = OidcRequest(**{key: value for key, value in kept.given.items() if key != "page"})
            found = self._oidc.answered(query, asked, trace.steps.append)
            if isinstance(found, Rejected):
                trace.steps.append(Step("check the answer", found.why, is_good=False))
                self._refuse(trace, found.refusal, origin)
            trace.name = printable(found.person.name)
            identity = self._identity(trace, found.person, origin)
            token = self._begun(trace, identity, origin, {"id_token": found.id_token}, session)
            self._attempts.take_back(attempt)
        return Back(token, kept.given["page"])

    def leave(self, source: str, session: Session) -> str:
        """Where a browser goes to end its session at the provider as well; blank if that has no place for it.

        Raises:
            DirectoryUnavailable: it cannot be found out.
        """
        known = session.elsewhere
        if source == SAML and self._saml is not None and known.get("name_id"):
            return self._saml.logout(known["name_id"], known["name_id_format"], known["session_index"])
        if source == OIDC and self._oidc is not None and known.get("id_token"):
            return self._oidc.logout_address(known["id_token"])
        return ""

    def saml_logout(self, query: str, origin: Origin) -> str:
        """Take what comes to the address of logout: a request of the provider, or its answer to ours.

        Args:
            query: as it came, with its signature.
            origin: where the browser is.

        Returns:
            Where the browser goes next.

        Raises:
            NotSignedIn: it is not of the provider.
            DirectoryUnavailable: it cannot be checked.
        """
        if self._saml is None:
            self._sign_in.refuse(Refusal.UNKNOWN_SOURCE, "", SAML, origin)
        if "SAMLRequest=" not in query:
            self._saml.logout_answered(query)  # our session is over in any case
            return "/sign-in"
        asked = self._saml.logout_asked(query)
        if isinstance(asked, Rejected):
            self._sign_in.refuse(asked.refusal, "", SAML, origin)
        known_by = {"name_id": asked.name_id}
        if asked.session_index:
            known_by["session_index"] = asked.session_index
        self._sessions.end_elsewhere(SAML, known_by, self._noting_signed_out(origin))
        return asked.answer_address

    def saml_metadata(self) -> str:
        """What the SAML provider has to know about us, as XML.

        Raises:
            NotFound: there is no such provider.
        """
        if self._saml is None:
            raise NotFound("people do not sign in by SAML here", remedy="set DICOMFAB_AUTH and DICOMFAB_SAML_METADATA")
        return self._saml.metadata()

    @contextmanager
    def _tried(self, source: str, origin: Origin) -> Iterator[tuple[_Trace, Attempt]]:
        # Of no name: only how many come from one place is limited.
        attempt = self._attempts.begin(source, secrets.token_hex(8), origin.address)
        trace = _Trace(source)
        try:
            yield trace, attempt
        except DirectoryUnavailable as error:
            self._attempts.take_back(attempt)
            trace.steps.append(gave_up(error))
            raise
        finally:
            self._traces.add(source, trace.name, trace.came, trace.steps)

    def _identity(self, trace: _Trace, person: Person, origin: Origin) -> Identity:
        found = identity_of(trace.source, person, self._group_roles(), trace.steps.append)
        if isinstance(found, Refusal):
            self._refuse(trace, found, origin)
        return found

    def _begun(
        self, trace: _Trace, identity: Identity, origin: Origin, known_by: Mapping[str, str], session: str
    ) -> str:
        if self._sign_in.renewed(identity, session, known_by):
            trace.came = _SIGNED_IN
            trace.steps.append(Step("look for a session of the browser", "it goes on"))
            return session
        trace.came = Refusal.DISABLED
        token, _ = self._sign_in.begin_as(identity, origin, known_by)
        trace.came = _SIGNED_IN
        trace.steps.append(Step("begin a session", "signed in"))
        return token

    def _refuse(self, trace: _Trace, refusal: Refusal, origin: Origin) -> NoReturn:
        trace.came = str(refusal)
        self._sign_in.refuse(refusal, trace.name, trace.source, origin)

    def _noting_signed_out(self, origin: Origin) -> Note:
        def note(within: Transaction, account: Account) -> None:
            kind, detail = AccountEventKind.SIGNED_OUT, {"why": f"{SAML} asked for it"}
            event = AccountEvent(kind, account.name, account.name, SAML, address=origin.address, detail=detail)
            self._on_event(event, within)

        return note


def _is_of(request: SignInRequest, browser: str) -> bool:
    """Whether a browser began a request; what nobody began here, and is allowed, is any browser's."""
    return not request.browser_hash or secrets.compare_digest(request.browser_hash, sha256(browser))


def _plain(identity: Identity) -> dict[str, Any]:
    return {**asdict(identity), "roles": sorted(map(str, identity.roles))}


def _identity_of(plain: Mapping[str, Any]) -> Identity:
    return Identity(**{**plain, "roles": frozenset(Role(role) for role in plain["roles"])})
