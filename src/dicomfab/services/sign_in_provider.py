"""Sources of accounts: local users, whose passwords are kept here; directories come beside them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol

from dicomfab.model.account import LOCAL, Account, AccountEvent, AccountEventKind, Identity, Refusal
from dicomfab.model.actor import Role
from dicomfab.model.errors import DirectoryUnavailable
from dicomfab.services.account_rules import OnEvent, names_of, subject_of, tell_nobody
from dicomfab.services.directory_users import HOLDS
from dicomfab.services.passwords import Passwords
from dicomfab.storage.accounts import AccountRepository

if TYPE_CHECKING:
    from dicomfab.storage.audit import Transaction


#: When a directory could not be asked, whoever waits for a page is told so at once for so long.
_REST_S: Final = 30.0


class SignInProvider(Protocol):
    """One source of accounts."""

    @property
    def source(self) -> str:
        """Its name: ``local``, or that of a directory. With the subject it identifies an account."""

    @property
    def recheck(self) -> timedelta | None:
        """How long the roles that it gave hold without asking again; ``None`` if they are kept here."""

    @property
    def is_elsewhere(self) -> bool:
        """Whether people sign in at an identity provider, so that only their browser can ask it again."""

    def authenticate(self, name: str, password: str) -> Identity | Account | Refusal:
        """Who somebody is, with roles.

        Args:
            name: as typed.
            password: as typed.

        Returns:
            The identity; of a source that keeps its accounts here, the account as it was when it was proven; or the
            true reason why not.

        Raises:
            DicomFabError: it could not be asked. That never lets anybody in, and counts against nobody.
        """

    def refresh(self, account: Account) -> frozenset[Role] | None:
        """The roles that an account has now; ``None`` if it is gone or disabled there.

        Raises:
            DicomFabError: it could not be asked.
        """


class LocalUsers:
    """Accounts whose passwords and roles are kept here.

    Args:
        accounts: where.
        passwords: checks them.
    """

    source = LOCAL
    recheck: timedelta | None = None
    is_elsewhere = False

    def __init__(self, accounts: AccountRepository, passwords: Passwords) -> None:
        self._accounts = accounts
        self._passwords = passwords

    def authenticate(self, name: str, password: str) -> Identity | Account | Refusal:
        """The account of this name and password; every refusal takes as long as the others."""
        found = self._accounts.by_subject(LOCAL, subject_of(name))
        kept = found[1].password_hash if found else ""
        right, better = self._passwords.verify(password, kept)
        if found is None:
            return Refusal.UNKNOWN_NAME
        account = found[0]
        if not right:
            return Refusal.WRONG_PASSWORD
        if not account.is_active:
            return Refusal.DISABLED
        if better is not None:
            self._accounts.strengthen(account.id, kept, better)
        return account

    def refresh(self, account: Account) -> frozenset[Role] | None:
        """Those of its row."""
        return account.roles


class ElsewhereUsers:
    """Accounts of an identity provider, to which a browser goes to sign in (SAML, OpenID Connect).

    Args:
        source: its name.
    """

    recheck: timedelta | None = HOLDS
    is_elsewhere = True

    def __init__(self, source: str) -> None:
        self.source = source

    def authenticate(self, name: str, password: str) -> Identity | Account | Refusal:
        """Nobody: it takes no passwords here."""
        return Refusal.UNKNOWN_SOURCE

    def refresh(self, account: Account) -> frozenset[Role] | None:
        """Those of its row; whether they are too old is known to who asks."""
        return account.roles


class Providers:
    """The sources of accounts of one installation, and the roles that they give now.

    Args:
        every: the sources.
        accounts: where accounts are kept.
        now: the moment, with time zone.
        on_event: told when a directory gives an account other roles.
    """

    def __init__(
        self,
        every: Iterable[SignInProvider],
        accounts: AccountRepository,
        *,
        now: Callable[[], datetime],
        on_event: OnEvent = tell_nobody,
    ) -> None:
        self._every = {provider.source: provider for provider in every}
        self._accounts = accounts
        self._now = now
        self._on_event = on_event
        self._resting: dict[str, tuple[float, DirectoryUnavailable | None]] = {}

    def get(self, source: str) -> SignInProvider | None:
        """The one of this name."""
        return self._every.get(source)

    def present(self, account: Account, *, within: timedelta | None = None) -> Account | Refusal:
        """An account with the roles that its source gives it now, or why it may not be used.

        Args:
            account: as it is kept.
            within: of an identity provider: what it said so long ago holds; as long as its source says if not given.

        Raises:
            DicomFabError: its directory has to be asked, and could not be.
        """
        if not account.is_active:
            return Refusal.DISABLED
        provider = self._every.get(account.source)
        if provider is None:
            return Refusal.UNKNOWN_SOURCE
        age = self._now() - account.checked_at
        if provider.is_elsewhere:
            return account if age < (within or provider.recheck or age) else Refusal.STALE
        if provider.recheck is None or age < provider.recheck:
            return account
        rests_until, failure = self._resting.get(account.source, (0.0, None))
        if failure is not None and time.monotonic() < rests_until:
            raise failure
        return self.check(provider, account)

    def check(self, provider: SignInProvider, account: Account) -> Account | Refusal:
        """Ask a directory about an account, and keep what it says.

        Raises:
            DicomFabError: it could not be asked.
        """
        try:
            roles = provider.refresh(account)
        except DirectoryUnavailable as error:
            self._resting[provider.source] = (time.monotonic() + _REST_S, error)
            raise
        self._resting.pop(provider.source, None)
        after = self._accounts.checked(account.id, roles or frozenset(), self._tell_changed)
        return Refusal.GONE if roles is None else after

    def _tell_changed(self, within: Transaction, account: Account) -> None:
        detail = {"roles": names_of(account.roles), "why": f"{account.source} says so"}
        kind = AccountEventKind.ROLES_CHANGED
        self._on_event(AccountEvent(kind, account.source, account.name, account.source, detail=detail), within)

    def directories(self) -> tuple[SignInProvider, ...]:
        """Those that can be asked again about an account without its person."""
        return tuple(one for one in self._every.values() if one.recheck is not None and not one.is_elsewhere)
