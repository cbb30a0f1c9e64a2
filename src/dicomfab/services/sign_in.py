"""Sign in, know who asks by a session, and end sessions."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NoReturn

from dicomfab.model.account import (
    LOCAL,
    Account,
    AccountEvent,
    AccountEventKind,
    Identity,
    Origin,
    Refusal,
    Session,
    SignedIn,
)
from dicomfab.model.actor import Actor
from dicomfab.model.errors import CodeNeeded, DicomFabError, NotSignedIn, RenewalNeeded, TooManyAttempts
from dicomfab.services.account_rules import OnEvent, may_see, printable, sha256, tell_nobody
from dicomfab.services.attempts import Attempts
from dicomfab.services.sign_in_provider import Providers
from dicomfab.services.totp import step_of
from dicomfab.storage.accounts import AccountRepository
from dicomfab.storage.sessions import NoteEnded, SessionRepository

if TYPE_CHECKING:
    from dicomfab.storage.audit import Transaction

_SEEN_EVERY: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How long a session lasts.

    Args:
        idle: it is over when it was not used for so long.
        lasts: it is over after this, used or not.
    """

    idle: timedelta = timedelta(minutes=30)
    lasts: timedelta = timedelta(hours=12)


class SignInService:
    """Use cases on signing in.

    Args:
        accounts, sessions: where they are kept.
        attempts: counts those that fail.
        providers: the sources of accounts.
        now: the moment, with time zone.
        limits: how long a session lasts.
        on_event: told what happens, in the transaction that does it.
        offered: the sources that people may sign in with.
    """

    def __init__(
        self,
        accounts: AccountRepository,
        sessions: SessionRepository,
        attempts: Attempts,
        providers: Providers,
        *,
        now: Callable[[], datetime],
        limits: SessionLimits | None = None,
        on_event: OnEvent = tell_nobody,
        offered: Collection[str] = (LOCAL,),
    ) -> None:
        self._offered = offered
        self._accounts = accounts
        self._sessions = sessions
        self._attempts = attempts
        self._providers = providers
        self._now = now
        self._limits = limits or SessionLimits()
        self._on_event = on_event

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources of accounts that somebody can sign in with."""
        return tuple(self._offered)

    def sign_in(
        self, name: str, password: str, origin: Origin, *, code: str = "", source: str = LOCAL
    ) -> tuple[str, SignedIn]:
        """Begin a session. Nobody has signed in yet, so there is no actor.

        Args:
            name: as typed.
            password: as typed.
            origin: where it comes from.
            code: of the second factor, for an account that has one.
            source: where the account is kept.

        Returns:
            The token of a new session, for a cookie; it is shown nowhere else. And who it is.

        Raises:
            CodeNeeded: all is right, but the code of the second factor is missing.
            TooManyAttempts: nothing was checked.
            NotSignedIn: for any other reason, with the same words.
            DicomFabError: the source of the account could not be asked.
        """
        try:
            attempt = self._attempts.begin(source, name, origin.address)
        except TooManyAttempts:
            self._tell_refused(Refusal.TOO_MANY, name, source, origin)
            raise
        try:
            proven = self._prove(name, password, code, source)
        except DicomFabError:
            self._attempts.take_back(attempt)
            raise
        begun = proven if isinstance(proven, Refusal) else self._begin(proven, origin)
        if not isinstance(begun, Refusal):
            self._attempts.succeed(attempt)
            return begun
        if begun is Refusal.CODE_MISSING:
            self._attempts.take_back(attempt)
            raise CodeNeeded(
                "the code of the second factor is needed",
                reason=begun,
                cause="this account is protected by an app that shows codes",
                remedy="type the six digits that the app shows",
            )
        self._tell_refused(begun, name, source, origin)
        raise refused(begun)

    def begin_as(self, identity: Identity, origin: Origin, elsewhere: Mapping[str, str]) -> tuple[str, SignedIn]:
        """Begin a session of somebody whom an identity provider has proven.

        Args:
            identity: who it is.
            origin: where the browser is.
            elsewhere: what the provider knows its session by.

        Returns:
            As :meth:`sign_in`.

        Raises:
            NotSignedIn: the account was disabled here.
        """
        account = self._accounts.know(identity)
        begun = self._begin(account, origin, elsewhere) if account.is_active else Refusal.DISABLED
        if isinstance(begun, Refusal):
            self.refuse(begun, identity.name, identity.source, origin)
        return begun

    def renewed(self, identity: Identity, token: str, elsewhere: Mapping[str, str]) -> bool:
        """Whether a session goes on, with what an identity provider has just said again of its person.

        It does not last longer by that. It ends if it was somebody else's, is over, or the roles are others now.

        Args:
            identity: as the provider has it.
            token: of the session that the browser has; blank without one.
            elsewhere: what the provider knows its session by.
        """
        found = self._sessions.find(sha256(token)) if token else None
        if found is None:
            return False
        account, session = found
        if (account.source, account.subject) != (identity.source, identity.subject) or self._over(session):
            return False
        now = self._accounts.know(identity)
        return now.is_active and self._sessions.keep_elsewhere(session.id, elsewhere)

    def refuse(self, refusal: Refusal, name: str, source: str, origin: Origin) -> NoReturn:
        """Note that somebody was refused whom an identity provider sent, and say so.

        Raises:
            NotSignedIn: always.
        """
        self._tell_refused(refusal, name, source, origin)
        raise refused(refusal)

    def by_session(self, token: str, *, within: timedelta | None = None) -> SignedIn:
        """Who asks, by the token in the cookie.

        Args:
            token: what it holds.
            within: see :meth:`Providers.present`.

        Raises:
            NotSignedIn: there is no such session, or it is over.
            DicomFabError: the source of the account has to be asked again, and could not be.
        """
        token_hash = sha256(token)
        found = self._sessions.find(token_hash)
        if found is None:
            raise _over(Refusal.SESSION_UNKNOWN)
        account, session = found
        present = self._over(session) or self._providers.present(account, within=within)
        if isinstance(present, Refusal):
            if present is Refusal.STALE:  # it goes on when its browser has been at the provider
                raise RenewalNeeded(account.source, reason=present)
            self._sessions.end(token_hash)
            raise _over(present)
        if not account.roles <= present.roles:  # what the directory took away has ended the session
            raise _over(Refusal.CHANGED)
        if self._now() - session.seen_at >= _SEEN_EVERY:
            self._sessions.touch(session.id)
        return _signed_in(present, session)

    def sign_out(self, token: str, origin: Origin) -> None:
        """End the session of a token; there need not be one."""
        found = self._sessions.find(sha256(token))
        if found is None:
            return
        account, kind = found[0], AccountEventKind.SIGNED_OUT
        event = AccountEvent(kind, account.name, account.name, account.source, address=origin.address)
        self._sessions.end(sha256(token), lambda within, _ended: self._on_event(event, within))

    def sessions(self, actor: Actor, account_id: int) -> list[Session]:
        """The sessions of one's own account, or of any for those who manage users; the newest first.

        Raises:
            AccessDenied: neither.
            NotFound: there is no such account.
        """
        may_see(actor, account_id)
        return self._sessions.of(self._accounts.find(account_id).id, self._limits.idle)

    def end_session(self, actor: Actor, account_id: int, session_id: int) -> None:
        """End one session.

        Raises:
            AccessDenied: as :meth:`sessions`.
            NotFound: there is no such account, or it has no such session.
        """
        may_see(actor, account_id)
        account = self._accounts.find(account_id)
        self._sessions.end_one(account_id, session_id, self._noting_ended(actor, account))

    def end_sessions(self, actor: Actor, account_id: int) -> int:
        """End all sessions of an account; returns how many there were.

        Raises:
            AccessDenied, NotFound: as :meth:`sessions`.
        """
        may_see(actor, account_id)
        account = self._accounts.find(account_id)
        return self._sessions.end_all(account_id, self._noting_ended(actor, account))

    def _prove(self, name: str, password: str, code: str, source: str) -> Account | Refusal:
        provider = self._providers.get(source) if source in self._offered else None
        if provider is None:
            return Refusal.UNKNOWN_SOURCE
        proven = provider.authenticate(name, password)
        if isinstance(proven, Refusal):
            return proven
        account = proven if isinstance(proven, Account) else self._accounts.know(proven)
        if not account.is_active:
            return Refusal.DISABLED
        return self._check_code(account, code) or account

    def _check_code(self, account: Account, code: str) -> Refusal | None:
        if not account.has_totp:
            return None
        if not code.strip():
            return Refusal.CODE_MISSING
        step = step_of(self._accounts.secrets(account.id).totp_secret, code, self._now())
        if step is None:
            return Refusal.WRONG_CODE
        return None if self._accounts.use_totp_step(account.id, step) else Refusal.CODE_USED

    def _begin(
        self, proven: Account, origin: Origin, elsewhere: Mapping[str, str] | None = None
    ) -> tuple[str, SignedIn] | Refusal:
        token = secrets.token_urlsafe(32)
        limits = self._limits

        def note(within: Transaction, account: Account) -> None:
            kind = AccountEventKind.SIGNED_IN
            event = AccountEvent(kind, account.name, account.name, account.source, address=origin.address)
            self._on_event(event, within)

        begun = self._sessions.begin(
            proven, sha256(token), origin, idle=limits.idle, lasts=limits.lasts, elsewhere=elsewhere, note=note
        )
        return Refusal.CHANGED if begun is None else (token, _signed_in(*begun))

    def _over(self, session: Session) -> Refusal | None:
        now = self._now()
        if now >= session.expires_at:
            return Refusal.SESSION_EXPIRED
        return Refusal.SESSION_IDLE if now - session.seen_at >= self._limits.idle else None

    def _tell_refused(self, refusal: Refusal, name: str, source: str, origin: Origin) -> None:
        kind = AccountEventKind.REFUSED
        self._on_event(AccountEvent(kind, "", printable(name[:200]), source, refusal=refusal, address=origin.address))

    def _noting_ended(self, actor: Actor, account: Account) -> NoteEnded:
        def note(within: Transaction, ended: int) -> None:
            kind, detail = AccountEventKind.SESSIONS_ENDED, {"sessions": str(ended)}
            event = AccountEvent(
                kind, actor.name, account.name, account.source, detail=detail, address=actor.address, door=actor.door
            )
            self._on_event(event, within)

        return note


def refused(refusal: Refusal) -> NotSignedIn:
    """The answer to whoever is not let in: one for all, but for who has proven who it is."""
    if refusal is Refusal.NO_GROUP:
        return NotSignedIn(
            "you are known, but none of your groups gives access here",
            reason=refusal,
            cause="access is given by groups of the hospital's directory",
            remedy="ask an administrator of DICOM Fabricator for one of them",
        )
    return NotSignedIn(
        "name, password or code is not right",
        reason=refusal,
        cause="a typing mistake, or the account may not be used",
        remedy="try again, or ask an administrator",
    )


def _signed_in(account: Account, session: Session) -> SignedIn:
    return SignedIn(Actor(account.name, account.roles, "web", account.id), account, session)


def _over(refusal: Refusal) -> NotSignedIn:
    return NotSignedIn(
        "nobody is signed in here",
        reason=refusal,
        cause="the session is over: signed out, not used for a while, or ended by an administrator or a change",
        remedy="sign in",
    )
