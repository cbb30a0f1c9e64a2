"""Accounts, sign-in, API tokens and the first run, wired; each is made when it is first asked for."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import TYPE_CHECKING

from dicomfab.app.part import part
from dicomfab.app.settings import Settings
from dicomfab.app.sign_in_settings import SignInSettings, load_sign_in_settings
from dicomfab.model.account import Refusal
from dicomfab.model.actor import Actor
from dicomfab.model.errors import NotFound
from dicomfab.services.account_rules import OnEvent, tell_nobody
from dicomfab.services.passwords import Passwords
from dicomfab.storage.accounts import AccountRepository
from dicomfab.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable

    from dicomfab.identity.oidc import OidcProvider
    from dicomfab.identity.saml import SamlProvider
    from dicomfab.services.accounts import AccountService
    from dicomfab.services.api_tokens import ApiTokenService
    from dicomfab.services.attempts import Attempts
    from dicomfab.services.directory_users import DirectoryUsers
    from dicomfab.services.elsewhere import Elsewhere
    from dicomfab.services.group_roles import GroupRoleService
    from dicomfab.services.rechecking import Rechecking
    from dicomfab.services.set_up import SetUpService
    from dicomfab.services.sign_in import SignInService
    from dicomfab.services.sign_in_provider import Providers
    from dicomfab.storage.group_roles import GroupRoleRepository
    from dicomfab.storage.sessions import SessionRepository
    from dicomfab.storage.sign_in_traces import SignInTraces


class AccountParts:
    """What belongs to signing in.

    Args:
        database: where all of it is kept.
        settings: how long sessions last.
        on_event: told what has happened, for the audit trail.
        load_sign_in: reads how people sign in, when that is first asked for.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        on_event: OnEvent = tell_nobody,
        load_sign_in: Callable[[], SignInSettings] = load_sign_in_settings,
    ) -> None:
        self._database = database
        self._settings = settings
        self._on_event = on_event
        self._load_sign_in = load_sign_in
        self._repository = AccountRepository(database, now=_now)
        self._passwords = Passwords()

    @part
    def accounts(self) -> AccountService:
        """Manage accounts."""
        from dicomfab.services.accounts import AccountService

        return AccountService(self._repository, self._passwords, self._attempts, now=_now, on_event=self._on_event)

    @part
    def sign_in(self) -> SignInService:
        """Sessions."""
        from dicomfab.services.sign_in import SessionLimits, SignInService

        limits = SessionLimits(
            idle=datetime.timedelta(minutes=self._settings.session_idle_minutes),
            lasts=datetime.timedelta(hours=self._settings.session_hours),
        )
        return SignInService(
            self._repository,
            self._sessions,
            self._attempts,
            self._providers,
            now=_now,
            limits=limits,
            on_event=self._on_event,
            offered=self.how.sources,
        )

    @part
    def how(self) -> SignInSettings:
        """How people sign in.

        Raises:
            InvalidInput: a setting cannot be used.
        """
        return self._load_sign_in()

    @part
    def elsewhere(self) -> Elsewhere:
        """Identity providers."""
        from dicomfab.services.elsewhere import Elsewhere
        from dicomfab.storage.sign_in_requests import SignInRequests

        return Elsewhere(
            self.sign_in,
            self._sessions,
            SignInRequests(self._database, now=_now),
            self._attempts,
            self._groups.every,
            self._traces,
            saml=self._saml,
            oidc=self._oidc,
            on_event=self._on_event,
        )

    @part
    def group_roles(self) -> GroupRoleService:
        """Which roles groups give, and how sign-ins went."""
        from dicomfab.services.group_roles import GroupRoleService

        return GroupRoleService(self._groups, self._traces, self._directory, self._on_event)

    def rechecking(self) -> Rechecking:
        """What asks directories again while pages are served."""
        from dicomfab.services.rechecking import Rechecking

        return Rechecking(self._providers, self._repository, _now)

    @part
    def api_tokens(self) -> ApiTokenService:
        """What programs show."""
        from dicomfab.services.api_tokens import ApiTokenService
        from dicomfab.storage.api_tokens import ApiTokenRepository

        tokens = ApiTokenRepository(self._database, now=_now)
        return ApiTokenService(self._repository, tokens, self._providers, now=_now, on_event=self._on_event)

    @part
    def set_up(self) -> SetUpService:
        """The first administrator."""
        from dicomfab.services.set_up import SetUpService

        return SetUpService(self._repository, self._passwords, self._attempts, now=_now, on_event=self._on_event)

    def present(self, actor: Actor) -> Actor:
        """Somebody as of now, with those of the roles given that the account still has; without one, unchanged.

        An account that is gone or disabled has none left.

        Raises:
            DicomFabError: the source of the account has to be asked again, and could not be.
        """
        from dicomfab.access.within import within

        if actor.account_id is None:
            return actor
        lasts = datetime.timedelta(hours=self._settings.session_hours)
        try:
            # Work that somebody began goes on when nobody's browser is there to ask an identity provider again.
            now = self._providers.present(self._repository.find(actor.account_id), within=lasts)
        except NotFound:
            return replace(actor, roles=frozenset())
        return replace(actor, roles=frozenset() if isinstance(now, Refusal) else within(actor.roles, now.roles))

    @part
    def _attempts(self) -> Attempts:
        from dicomfab.services.attempts import Attempts
        from dicomfab.storage.sign_in_failures import SignInFailures

        return Attempts(SignInFailures(self._database, now=_now))

    @part
    def _providers(self) -> Providers:
        from dicomfab.services.sign_in_provider import ElsewhereUsers, LocalUsers, Providers, SignInProvider

        every: list[SignInProvider] = [LocalUsers(self._repository, self._passwords)]
        if self._directory is not None:
            every.append(self._directory)
        every += [ElsewhereUsers(source) for source in self.how.sources if source in {"saml", "oidc"}]
        return Providers(every, self._repository, now=_now, on_event=self._on_event)

    @part
    def _directory(self) -> DirectoryUsers | None:
        if self.how.ldap is None:
            return None
        from dicomfab.identity.ldap import LdapDirectory
        from dicomfab.services.directory_users import DirectoryUsers

        return DirectoryUsers(LdapDirectory(self.how.ldap), self._groups.every, self._traces)

    @part
    def _saml(self) -> SamlProvider | None:
        if self.how.saml is None:
            return None
        from dicomfab.identity.saml import SamlProvider

        return SamlProvider(self.how.saml, _now)

    @part
    def _oidc(self) -> OidcProvider | None:
        if self.how.oidc is None:
            return None
        from dicomfab.identity.oidc import OidcProvider

        return OidcProvider(self.how.oidc, _now)

    @part
    def _sessions(self) -> SessionRepository:
        from dicomfab.storage.sessions import SessionRepository

        return SessionRepository(self._database, now=_now)

    @part
    def _groups(self) -> GroupRoleRepository:
        from dicomfab.storage.group_roles import GroupRoleRepository

        return GroupRoleRepository(self._database)

    @part
    def _traces(self) -> SignInTraces:
        from dicomfab.storage.sign_in_traces import SignInTraces

        return SignInTraces(self._database, now=_now)


def _now() -> datetime.datetime:
    """This machine's clock: asking the database's would cost a round trip with each request."""
    return datetime.datetime.now(datetime.UTC)
