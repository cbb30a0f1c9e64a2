"""The first run: a code that is printed where the server is started makes the first administrator. No account exists
before, and no password comes with the product.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from dicomfab.model.account import Account, AccountEvent, AccountEventKind, Origin, Refusal
from dicomfab.model.actor import Actor, Role
from dicomfab.model.errors import NotSignedIn, TooManyAttempts
from dicomfab.services.account_rules import OnEvent, may_manage, sha256, tell_nobody
from dicomfab.services.accounts import new_local
from dicomfab.services.attempts import Attempts
from dicomfab.services.passwords import Passwords, check_password
from dicomfab.storage.accounts import AccountRepository

if TYPE_CHECKING:
    from dicomfab.storage.audit import Transaction

LASTS: Final = timedelta(hours=1)


class SetUpService:
    """Use cases on the first run.

    Args:
        accounts: where they are kept.
        passwords: hashes them.
        attempts: counts wrong codes.
        now: the moment, with time zone.
        on_event: told what happens, in the transaction that does it.
    """

    def __init__(
        self,
        accounts: AccountRepository,
        passwords: Passwords,
        attempts: Attempts,
        *,
        now: Callable[[], datetime],
        on_event: OnEvent = tell_nobody,
    ) -> None:
        self._accounts = accounts
        self._passwords = passwords
        self._attempts = attempts
        self._now = now
        self._on_event = on_event

    def is_needed(self) -> bool:
        """Whether there is no administrator who could sign in."""
        return not self._accounts.has_admin()

    def offer(self, actor: Actor) -> str | None:
        """A new code, which expires in an hour and works once; codes before it are worthless.

        Args:
            actor: the owner of the home, who starts the server and prints the code.

        Returns:
            ``XXXX-XXXX-XXXX-XXXX``, kept nowhere; ``None`` if there is an administrator already.

        Raises:
            AccessDenied: the actor does not manage users.
        """
        may_manage(actor)
        letters = base64.b32encode(secrets.token_bytes(10)).decode()
        event = AccountEvent(AccountEventKind.SET_UP_OFFERED, actor.name, door=actor.door)
        expires_at = self._now() + LASTS
        if not self._accounts.offer_set_up(_hash(letters), expires_at, lambda within: self._on_event(event, within)):
            return None
        return "-".join(letters[i : i + 4] for i in range(0, 16, 4))

    def make_first_admin(
        self, code: str, name: str, password: str, origin: Origin, *, display_name: str = ""
    ) -> Account:
        """Make the first administrator. Nobody can have signed in yet, so there is no actor.

        Args:
            code: as printed; capitals and hyphens make no difference.
            name: to sign in with.
            password: of the new account.
            origin: where it comes from.
            display_name: for people.

        Raises:
            InvalidInput: name, display name or password cannot be used; the code still works.
            NotSignedIn: the code is not right, was used or has expired, or there is an administrator.
            TooManyAttempts: nothing was checked.
            Conflict: there is an account of this name.
        """
        identity = new_local(name, (Role.ADMIN,), display_name)
        check_password(password, identity.name, identity.display_name)
        try:
            attempt = self._attempts.begin("set-up", "", origin.address)
        except TooManyAttempts:
            self._tell(AccountEventKind.REFUSED, identity.name, origin, Refusal.TOO_MANY)
            raise

        def note(within: Transaction, first: Account) -> None:
            self._tell(AccountEventKind.ADDED, first.name, origin, None, within)

        made = self._accounts.add_first(identity, self._passwords.hash(password), _hash(code), note)
        if made is None:
            self._tell(AccountEventKind.REFUSED, identity.name, origin, Refusal.SET_UP_CODE)
            raise NotSignedIn(
                "this set-up code is not valid",
                reason=Refusal.SET_UP_CODE,
                cause="it was mistyped, was used, or is older than an hour; or there is an administrator already",
                remedy="start the server again: it prints a new one as long as there is no administrator",
            )
        self._attempts.succeed(attempt)
        return made

    def _tell(
        self,
        kind: AccountEventKind,
        name: str,
        origin: Origin,
        refusal: Refusal | None,
        within: Transaction | None = None,
    ) -> None:
        detail = {"set-up": "first administrator"}
        self._on_event(AccountEvent(kind, "", name, refusal=refusal, address=origin.address, detail=detail), within)


def _hash(code: str) -> str:
    return sha256("".join(code.split()).replace("-", "").upper())
