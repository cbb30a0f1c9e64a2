"""An installation's accounts for tests: a clock to be moved, cheap argon2id, and the events that were told."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pyotp
import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from dicomfab.app import account_parts
from dicomfab.model.account import Account, AccountEvent, Identity, Origin, Refusal, SignedIn
from dicomfab.model.actor import Actor, Role, local_admin
from dicomfab.services.accounts import AccountService
from dicomfab.services.api_tokens import ApiTokenService
from dicomfab.services.attempts import Attempts
from dicomfab.services.passwords import Passwords
from dicomfab.services.set_up import SetUpService
from dicomfab.services.sign_in import SessionLimits, SignInService
from dicomfab.services.sign_in_provider import ElsewhereUsers, LocalUsers, Providers
from dicomfab.storage.accounts import AccountRepository
from dicomfab.storage.api_tokens import ApiTokenRepository
from dicomfab.storage.database import Database
from dicomfab.storage.sessions import SessionRepository
from dicomfab.storage.sign_in_failures import SignInFailures

OWNER = local_admin("owner", "cli")
HOME = Origin("192.0.2.1", "a browser")
ELSEWHERE = Origin("198.51.100.7")
PASSWORD = "tulip marble seven"
OTHER_PASSWORD = "copper window nine"


def cheap_hasher() -> PasswordHash:
    """Real argon2id, as weak as it can be: a test needs its answers, not its strength."""
    return PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))


def weaken_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the installations that this process builds hash with it."""
    monkeypatch.setattr(account_parts, "Passwords", lambda: Passwords(hasher=cheap_hasher()))


@cache
def _up_to_date() -> bytes:
    """A new database: made once, since migrations take a second."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "new" / "dicomfab.sqlite3"
        database = Database(file)
        with database.read():
            pass
        database.close()
        return file.read_bytes()


class Directory:
    """A source of accounts beside the local one; people come and go in ``people``."""

    source = "ad"
    recheck = timedelta(minutes=15)
    is_elsewhere = False

    def __init__(self) -> None:
        self.people: dict[str, frozenset[Role]] = {}
        self.error: Exception | None = None
        self.asked = 0

    def authenticate(self, name: str, password: str) -> Identity | Account | Refusal:
        if self.error is not None:
            raise self.error
        if name not in self.people:
            return Refusal.UNKNOWN_NAME
        if password != PASSWORD:
            return Refusal.WRONG_PASSWORD
        return Identity("ad", f"guid of {name}", name, name.title(), self.people[name])

    def refresh(self, account: Account) -> frozenset[Role] | None:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.people.get(account.name)


class AccountsOffice:
    """Everything about accounts, on a database of its own.

    Args:
        folder: where the database is made.
        passwords: cheap ones if left out.
    """

    def __init__(self, folder: Path, passwords: Passwords | None = None) -> None:
        self.moment = datetime(2026, 5, 1, 12, tzinfo=UTC)
        self.events: list[AccountEvent] = []
        file = folder / "home" / "dicomfab.sqlite3"
        file.parent.mkdir()
        file.write_bytes(_up_to_date())
        file.chmod(0o600)
        self.database = Database(file)
        self.repository = AccountRepository(self.database, now=self.now)
        self.directory = Directory()
        self.passwords = passwords or Passwords(hasher=cheap_hasher())
        attempts = Attempts(SignInFailures(self.database, now=self.now))

        def told(event: AccountEvent, within: object = None) -> None:
            self.events.append(event)

        sources = [LocalUsers(self.repository, self.passwords), self.directory, ElsewhereUsers("saml")]
        self.providers = providers = Providers(sources, self.repository, now=self.now, on_event=told)

        self.accounts = AccountService(self.repository, self.passwords, attempts, now=self.now, on_event=told)
        self.sign_ins = SignInService(
            self.repository,
            SessionRepository(self.database, now=self.now),
            attempts,
            providers,
            now=self.now,
            limits=SessionLimits(),
            on_event=told,
            offered=("local", "ad"),
        )
        tokens = ApiTokenRepository(self.database, now=self.now)
        self.tokens = ApiTokenService(self.repository, tokens, providers, now=self.now, on_event=told)
        self.set_up = SetUpService(self.repository, self.passwords, attempts, now=self.now, on_event=told)

    def now(self) -> datetime:
        return self.moment

    def move(self, **by: float) -> None:
        self.moment += timedelta(**by)

    def add(self, name: str, *roles: str) -> Account:
        return self.accounts.add(OWNER, name, roles, password=PASSWORD)

    def enter(self, name: str, password: str = PASSWORD, origin: Origin = HOME, **more: str) -> tuple[str, SignedIn]:
        return self.sign_ins.sign_in(name, password, origin, **more)  # type: ignore[arg-type]

    def actor(self, name: str) -> Actor:
        return self.enter(name)[1].actor

    def protect(self, account: Account) -> pyotp.TOTP:
        """Give an account a second factor; the step of its confirmation is over then."""
        totp = pyotp.TOTP(self.accounts.offer_totp(OWNER, account.id).secret)
        self.accounts.confirm_totp(OWNER, account.id, totp.at(self.moment))
        self.move(seconds=30)
        return totp
