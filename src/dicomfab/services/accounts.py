"""Manage accounts: who there is, with which roles, and what proves a local one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from dicomfab.model.account import LOCAL, Account, AccountEvent, AccountEventKind, Identity, Origin, Refusal
from dicomfab.model.actor import Actor
from dicomfab.model.errors import AccessDenied, Conflict, InvalidInput, NotFound, NotSignedIn
from dicomfab.services.account_rules import (
    OnEvent,
    fold,
    may_hold_secrets_of,
    may_manage,
    may_see,
    names_of,
    roles_of,
    sign_in_name,
    tell_nobody,
    text_for_people,
)
from dicomfab.services.attempts import Attempts
from dicomfab.services.passwords import Passwords, check_password
from dicomfab.services.totp import TotpOffer, new_offer, step_of
from dicomfab.storage.accounts import AccountRepository, Note, only_local

if TYPE_CHECKING:
    from dicomfab.storage.audit import Transaction


class AccountService:
    """Use cases on accounts.

    Args:
        accounts: where they are kept.
        passwords: hashes and checks them.
        attempts: counts wrong passwords and codes.
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

    def every(self, actor: Actor) -> list[Account]:
        """All accounts, by name.

        Raises:
            AccessDenied: the actor does not manage users.
        """
        may_manage(actor)
        return self._accounts.every()

    def find(self, actor: Actor, account_id: int) -> Account:
        """One's own account, or any for those who manage users.

        Raises:
            AccessDenied: neither.
            NotFound: there is none of this number.
        """
        may_see(actor, account_id)
        return self._accounts.find(account_id)

    def named(self, actor: Actor, name: str, *, source: str = "") -> Account:
        """The account of a sign-in name.

        Args:
            actor: manages users.
            name: capital and small letters make no difference.
            source: where it is kept; anywhere if left out.

        Raises:
            AccessDenied: the actor does not manage users.
            NotFound: there is none.
            Conflict: several sources have one.
        """
        wanted = fold(name)
        matching = [a for a in self.every(actor) if fold(a.name) == wanted and source in ("", a.source)]
        if not matching:
            raise NotFound(
                f"there is no account {name}.",
                cause="it was removed, or the name is mistyped",
                remedy="dicomfab users list",
            )
        if len(matching) > 1:
            raise Conflict(
                f"there are {len(matching)} accounts {name}",
                cause=f"in {', '.join(account.source for account in matching)}",
                remedy="say which one is meant: --source",
            )
        return matching[0]

    def add(self, actor: Actor, name: str, roles: Iterable[str], *, password: str, display_name: str = "") -> Account:
        """Add a local account.

        Raises:
            AccessDenied: the actor does not manage users.
            InvalidInput: name, roles, display name or password cannot be used.
            Conflict: there is one of this name.
        """
        may_manage(actor)
        identity = new_local(name, roles, display_name)
        check_password(password, identity.name, identity.display_name)
        note = self._noting(AccountEventKind.ADDED, actor, roles=names_of(identity.roles))
        return self._accounts.add(identity, self._passwords.hash(password), note)

    def set_roles(self, actor: Actor, account_id: int, roles: Iterable[str]) -> Account:
        """Give a local account other roles than it has; its sessions end.

        Raises:
            AccessDenied: the actor does not manage users.
            InvalidInput: there is no such role.
            NotFound: there is no such account.
            Conflict: a directory gives its roles, or it is the last administrator.
        """
        may_manage(actor)
        wanted = roles_of(roles)
        before = self._accounts.find(account_id)
        only_local(before)
        if wanted == before.roles:
            return before
        roles_ = {"before": names_of(before.roles), "after": names_of(wanted)}
        return self._accounts.set_roles(
            account_id, wanted, self._noting(AccountEventKind.ROLES_CHANGED, actor, **roles_)
        )

    def rename(self, actor: Actor, account_id: int, display_name: str) -> Account:
        """Name a local account for people; the sign-in name stays.

        Raises:
            AccessDenied: it is not the actor's own, and the actor does not manage users.
            InvalidInput: it cannot be used.
            NotFound: there is no such account.
            Conflict: a directory gives its name.
        """
        may_see(actor, account_id)
        only_local(self._accounts.find(account_id))
        wanted = text_for_people(display_name, "display_name", 200)
        return self._accounts.set_display_name(account_id, wanted, self._noting(AccountEventKind.RENAMED, actor))

    def disable(self, actor: Actor, account_id: int) -> Account:
        """Let nobody use an account; its sessions end and its tokens are revoked for good.

        Raises:
            AccessDenied: the actor does not manage users.
            NotFound: there is no such account.
            Conflict: it is the last administrator.
        """
        may_manage(actor)
        return self._set_active(actor, account_id, False)

    def enable(self, actor: Actor, account_id: int) -> Account:
        """Let an account be used again.

        Raises:
            AccessDenied: the actor does not manage users.
            NotFound: there is no such account.
        """
        may_manage(actor)
        return self._set_active(actor, account_id, True)

    def remove(self, actor: Actor, account_id: int) -> Account:
        """Forget an account with its sessions and tokens; what it did stays in the audit trail.

        Returns:
            As it was.

        Raises:
            AccessDenied, NotFound, Conflict: as :meth:`disable`.
        """
        may_manage(actor)
        return self._accounts.remove(account_id, self._noting(AccountEventKind.REMOVED, actor))

    def set_password(self, actor: Actor, account_id: int, password: str) -> Account:
        """Give somebody else's local account a password; its sessions end.

        Raises:
            AccessDenied: the actor does not manage users, or it is the actor's own account (:meth:`change_password`).
            InvalidInput: the password cannot be used.
            NotFound: there is no such account.
            Conflict: it is not a local one.
        """
        may_manage(actor)
        if actor.account_id == account_id:
            raise AccessDenied(
                "one's own password is changed with the old one",
                cause="somebody else may sit at this computer",
                remedy="change it on the page of your own account",
            )
        return self._keep_password(actor, self._accounts.find(account_id), password)

    def change_password(self, actor: Actor, old: str, new: str, origin: Origin) -> Account:
        """Change one's own password; all sessions end, this one too.

        Raises:
            AccessDenied: the actor has not signed in with a password.
            NotSignedIn, TooManyAttempts: the old password is not right, or was not too often.
            InvalidInput: the new one cannot be used.
        """
        account = self._own(actor)
        attempt = self._attempts.begin(account.source, account.name, origin.address)
        right, _ = self._passwords.verify(old, self._accounts.secrets(account.id).password_hash)
        if not right:
            self._tell_refused(actor, account, Refusal.WRONG_PASSWORD, origin)
            raise NotSignedIn(
                "the old password is not right", reason=Refusal.WRONG_PASSWORD, remedy="type the password of now again"
            )
        self._attempts.take_back(attempt)
        return self._keep_password(actor, account, new)

    def offer_totp(self, actor: Actor, account_id: int) -> TotpOffer:
        """A second factor for a local account, shown once. It is asked for when :meth:`confirm_totp` has seen a code.

        Raises:
            AccessDenied: it is not the actor's own account, nor is the actor the owner of the home.
            NotFound: there is no such account.
            Conflict: it is not a local one, or has a second factor.
        """
        may_hold_secrets_of(actor, account_id)
        account = self._accounts.find(account_id)
        if account.has_totp:
            raise Conflict(
                f"{account.name} has a second factor already",
                cause="a second one would take its place unseen",
                remedy="remove it first",
            )
        offer = new_offer(account.name)
        self._accounts.offer_totp(account_id, offer.secret)
        return offer

    def confirm_totp(self, actor: Actor, account_id: int, code: str) -> Account:
        """Ask for the second factor from now on, since its app shows the right code.

        Raises:
            AccessDenied, NotFound: as :meth:`offer_totp`.
            Conflict: none was offered.
            InvalidInput: the code is not right; the offer stands.
        """
        may_hold_secrets_of(actor, account_id)
        offered = self._accounts.secrets(account_id).totp_offered
        step = step_of(offered, code, self._now()) if offered else None
        if offered and step is None:
            raise InvalidInput(
                "code: it is not the one that the app should show now",
                field="code",
                cause="it was mistyped or is too old, or the clock of the telephone or of this server is wrong",
                remedy="type the six digits that the app shows now",
            )
        note = self._noting(AccountEventKind.TOTP_ON, actor)
        after = self._accounts.confirm_totp(account_id, offered, step, note) if step is not None else None
        if after is None:
            raise Conflict("no second factor was offered to this account", remedy="ask for one first")
        return after

    def remove_totp(self, actor: Actor, account_id: int) -> Account:
        """Ask for no second factor any more: for those who manage users, of an account other than their own.

        Raises:
            AccessDenied: the actor does not manage users, or it is the actor's own account.
            NotFound: there is no such account.
        """
        may_manage(actor)
        if actor.account_id == account_id:
            raise AccessDenied(
                "one's own second factor is removed with a code of it",
                cause="somebody else may sit at this computer",
                remedy="remove it on the page of your own account",
            )
        return self._drop_totp(actor, account_id)

    def drop_own_totp(self, actor: Actor, code: str, origin: Origin) -> Account:
        """Be asked for no second factor any more.

        Raises:
            AccessDenied: the actor has not signed in.
            NotSignedIn, TooManyAttempts: the code is not right, or was not too often.
        """
        account = self._own(actor)
        attempt = self._attempts.begin(account.source, account.name, origin.address)
        secret = self._accounts.secrets(account.id).totp_secret
        step = step_of(secret, code, self._now()) if secret else None
        if step is None or not self._accounts.use_totp_step(account.id, step):
            refusal = Refusal.WRONG_CODE if step is None else Refusal.CODE_USED
            self._tell_refused(actor, account, refusal, origin)
            raise NotSignedIn("the code is not right", reason=refusal, remedy="type the digits that the app shows now")
        self._attempts.take_back(attempt)
        return self._drop_totp(actor, account.id)

    def _set_active(self, actor: Actor, account_id: int, is_active: bool) -> Account:
        kind = AccountEventKind.ENABLED if is_active else AccountEventKind.DISABLED
        return self._accounts.set_active(account_id, is_active, self._noting(kind, actor))

    def _own(self, actor: Actor) -> Account:
        if actor.account_id is None or actor.token_id:
            raise AccessDenied(
                f"{actor.name} has no account here that could be changed",
                cause="nobody has signed in with a password",
                remedy="sign in first",
            )
        return self._accounts.find(actor.account_id)

    def _keep_password(self, actor: Actor, account: Account, password: str) -> Account:
        only_local(account)
        check_password(password, account.name, account.display_name)
        note = self._noting(AccountEventKind.PASSWORD_CHANGED, actor)
        return self._accounts.set_password(account.id, self._passwords.hash(password), note)

    def _drop_totp(self, actor: Actor, account_id: int) -> Account:
        return self._accounts.remove_totp(account_id, self._noting(AccountEventKind.TOTP_OFF, actor))

    def _noting(self, kind: AccountEventKind, actor: Actor, **detail: str) -> Note:
        def note(within: Transaction, account: Account) -> None:
            event = AccountEvent(
                kind, actor.name, account.name, account.source, detail=detail, address=actor.address, door=actor.door
            )
            self._on_event(event, within)

        return note

    def _tell_refused(self, actor: Actor, account: Account, refusal: Refusal, origin: Origin) -> None:
        kind = AccountEventKind.REFUSED
        event = AccountEvent(kind, actor.name, account.name, account.source, refusal=refusal, address=origin.address)
        self._on_event(event)


def new_local(name: str, roles: Iterable[str], display_name: str) -> Identity:
    """A local account to be.

    Raises:
        InvalidInput: name, roles or display name cannot be used.
    """
    clean = sign_in_name(name)
    shown = text_for_people(display_name, "display_name", 200) or clean
    return Identity(LOCAL, fold(clean), clean, shown, roles_of(roles))
