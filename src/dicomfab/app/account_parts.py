"""Accounts, sign-in, API tokens and the first run, wired; each is made when it is first asked for."""

from __future__ import annotations

import datetime
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from dicomfab.app.settings import Settings
from dicomfab.model.account import Refusal
from dicomfab.model.actor import Actor
from dicomfab.model.errors import NotFound
from dicomfab.services.account_rules import OnEvent, tell_nobody
from dicomfab.services.passwords import Passwords
from dicomfab.storage.accounts import AccountRepository
from dicomfab.storage.database import Database

if TYPE_CHECKING:
    from dicomfab.services.accounts import AccountService
    from dicomfab.services.api_tokens import ApiTokenService
    from dicomfab.services.attempts import Attempts
    from dicomfab.services.set_up import SetUpService
    from dicomfab.services.sign_in import SignInService
    from dicomfab.services.sign_in_provider import Providers


class AccountParts:
    """What belongs to signing in.

    Args:
        database: where all of it is kept.
        settings: how long sessions last.
        on_event: told what has happened, for the audit trail.
    """

    def __init__(self, database: Database, settings: Settings, on_event: OnEvent = tell_nobody) -> None:
        self._database = database
        self._settings = settings
        self._on_event = on_event
        self._repository = AccountRepository(database, now=_now)
        self._passwords = Passwords()

    @cached_property
    def accounts(self) -> AccountService:
        """Manage accounts."""
        from dicomfab.services.accounts import AccountService

        return AccountService(self._repository, self._passwords, self._attempts, now=_now, on_event=self._on_event)

    @cached_property
    def sign_in(self) -> SignInService:
        """Sessions."""
        from dicomfab.services.sign_in import SessionLimits, SignInService
        from dicomfab.storage.sessions import SessionRepository

        limits = SessionLimits(
            idle=datetime.timedelta(minutes=self._settings.session_idle_minutes),
            lasts=datetime.timedelta(hours=self._settings.session_hours),
        )
        return SignInService(
            self._repository,
            SessionRepository(self._database, now=_now),
            self._attempts,
            self._providers,
            now=_now,
            limits=limits,
            on_event=self._on_event,
        )

    @cached_property
    def api_tokens(self) -> ApiTokenService:
        """What programs show."""
        from dicomfab.services.api_tokens import ApiTokenService
        from dicomfab.storage.api_tokens import ApiTokenRepository

        tokens = ApiTokenRepository(self._database, now=_now)
        return ApiTokenService(self._repository, tokens, self._providers, now=_now, on_event=self._on_event)

    @cached_property
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
        try:
            now = self._providers.present(self._repository.find(actor.account_id))
        except NotFound:
            return replace(actor, roles=frozenset())
        return replace(actor, roles=frozenset() if isinstance(now, Refusal) else within(actor.roles, now.roles))

    @cached_property
    def _attempts(self) -> Attempts:
        from dicomfab.services.attempts import Attempts
        from dicomfab.storage.sign_in_failures import SignInFailures

        return Attempts(SignInFailures(self._database, now=_now))

    @cached_property
    def _providers(self) -> Providers:
        from dicomfab.services.sign_in_provider import LocalUsers, Providers

        return Providers([LocalUsers(self._repository, self._passwords)], self._repository, now=_now)


def _now() -> datetime.datetime:
    """This machine's clock: asking the database's would cost a round trip with each request."""
    return datetime.datetime.now(datetime.UTC)
