"""API tokens: what a program shows instead of a password, with roles of its owner and an end."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from dicomfab.access.within import within
from dicomfab.model.account import Account, AccountEvent, AccountEventKind, ApiToken, Origin, Refusal, SignedIn
from dicomfab.model.actor import Actor, Role
from dicomfab.model.errors import Conflict, InvalidInput, NotSignedIn
from dicomfab.services.account_rules import (
    OnEvent,
    may_hold_secrets_of,
    may_manage,
    may_see,
    names_of,
    roles_of,
    sha256,
    tell_nobody,
    text_for_people,
)
from dicomfab.services.sign_in_provider import Providers
from dicomfab.storage.accounts import AccountRepository
from dicomfab.storage.api_tokens import ApiTokenRepository, Note, no_such_token

if TYPE_CHECKING:
    from dicomfab.storage.audit import Transaction

LONGEST_DAYS: Final = 90
_FORM: Final = re.compile(r"dfl_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
_USED_EVERY: Final = timedelta(minutes=1)


class ApiTokenService:
    """Use cases on API tokens.

    Args:
        accounts, tokens: where they are kept.
        providers: the sources of accounts.
        now: the moment, with time zone.
        on_event: told what happens, in the transaction that does it.
    """

    def __init__(
        self,
        accounts: AccountRepository,
        tokens: ApiTokenRepository,
        providers: Providers,
        *,
        now: Callable[[], datetime],
        on_event: OnEvent = tell_nobody,
    ) -> None:
        self._accounts = accounts
        self._tokens = tokens
        self._providers = providers
        self._now = now
        self._on_event = on_event

    def create(
        self, actor: Actor, account_id: int, roles: Iterable[str], *, label: str, days: int = LONGEST_DAYS
    ) -> tuple[str, ApiToken]:
        """Make a token for one's own account; the owner of the home makes one for any.

        Args:
            actor: who asks.
            account_id: whose token it will be.
            roles: at least one; nothing beyond what the owner may do now.
            label: what it is for.
            days: until it expires, 1 to 90.

        Returns:
            The token, which is shown once and kept nowhere; and what is known about it.

        Raises:
            AccessDenied: it is somebody else's account, or the actor is itself a token.
            InvalidInput: roles, label or days cannot be used.
            NotFound: there is no such account.
            Conflict: the account is disabled, or an identity provider's, which nobody but its person's browser can ask.
        """
        may_hold_secrets_of(actor, account_id)
        owner = self._accounts.find(account_id)
        provider = self._providers.get(owner.source)
        if provider is not None and provider.is_elsewhere:
            raise Conflict(
                f"an account of {owner.source} can have no API token",
                cause="only its person's browser can ask there whether it still has its roles",
                remedy="have an administrator make a local account for the program",
            )
        wanted = roles_of(roles)
        if not wanted:
            raise InvalidInput("roles: a token needs at least one", field="roles", remedy="name a role")
        if not 1 <= days <= LONGEST_DAYS:
            raise InvalidInput(
                f"days: {days} cannot be used",
                field="days",
                value=days,
                cause=f"a token must end; it lasts 1 to {LONGEST_DAYS} days",
                remedy="make a new one when it has expired",
            )
        purpose = text_for_people(label, "label", 100)
        token_id, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
        made = self._tokens.add(
            account_id,
            token_id,
            sha256(secret),
            label=purpose,
            roles=wanted,
            expires_at=self._now() + timedelta(days=days),
            check=lambda owner: _check_roles(wanted, owner),
            note=self._noting(AccountEventKind.TOKEN_MADE, actor),
        )
        return f"dfl_{token_id}_{secret}", made

    def of(self, actor: Actor, account_id: int) -> list[ApiToken]:
        """The tokens of one's own account, or of any for those who manage users; the newest first.

        Raises:
            AccessDenied: neither.
            NotFound: there is no such account.
        """
        may_see(actor, account_id)
        return self._tokens.of(self._accounts.find(account_id).id)

    def every(self, actor: Actor) -> list[ApiToken]:
        """The tokens of all accounts, the newest first.

        Raises:
            AccessDenied: the actor does not manage users.
        """
        may_manage(actor)
        return self._tokens.of()

    def revoke(self, actor: Actor, token_id: str) -> ApiToken:
        """Make a token worthless: one's own, or any for those who manage users.

        Raises:
            AccessDenied: neither; also for a token that is not there.
            NotFound: there is no such token.
        """
        found = self._tokens.find(token_id)
        if found is None:
            may_manage(actor)
            raise no_such_token(token_id)
        may_see(actor, found[0].id)
        return self._tokens.revoke(token_id, self._noting(AccountEventKind.TOKEN_REVOKED, actor))

    def by_token(self, text: str, origin: Origin) -> SignedIn:
        """Who asks, by what follows ``Authorization: Bearer``.

        Raises:
            NotSignedIn: it is no valid token, for whatever reason with the same words.
            DicomFabError: the source of the account has to be asked again, and could not be.
        """
        form = _FORM.fullmatch(text)
        found = self._tokens.find(form[1]) if form else None
        if form is None or found is None or not hmac.compare_digest(sha256(form[2]), found[2]):
            raise self._refused(Refusal.TOKEN_UNKNOWN, "", "", origin)
        account, token, _ = found
        present = self._over(token) or self._providers.present(account)
        if isinstance(present, Refusal):
            raise self._refused(present, account.name, token.id, origin)
        if token.used_at is None or self._now() - token.used_at >= _USED_EVERY:
            self._tokens.touch(token.id)
        actor = Actor(present.name, within(token.roles, present.roles), "api", present.id, token.id)
        return SignedIn(actor, present, token=token)

    def _over(self, token: ApiToken) -> Refusal | None:
        if token.revoked_at is not None:
            return Refusal.TOKEN_REVOKED
        return Refusal.TOKEN_EXPIRED if self._now() >= token.expires_at else None

    def _refused(self, refusal: Refusal, name: str, token_id: str, origin: Origin) -> NotSignedIn:
        detail = {"token": token_id} if token_id else {}
        kind = AccountEventKind.REFUSED
        self._on_event(AccountEvent(kind, "", name, refusal=refusal, address=origin.address, detail=detail))
        return NotSignedIn(
            "this API token is not valid",
            reason=refusal,
            cause="it was mistyped, has expired or was revoked, or its owner may not sign in any more",
            remedy="make a new one",
        )

    def _noting(self, kind: AccountEventKind, actor: Actor) -> Note:
        def note(within: Transaction, owner: Account, token: ApiToken) -> None:
            detail = {"token": token.id}
            if kind is AccountEventKind.TOKEN_MADE:
                detail |= {"roles": names_of(token.roles), "expires": token.expires_at.isoformat()}
            event = AccountEvent(
                kind, actor.name, owner.name, owner.source, detail=detail, address=actor.address, door=actor.door
            )
            self._on_event(event, within)

        return note


def _check_roles(wanted: frozenset[Role], owner: Account) -> None:
    beyond = wanted - within(wanted, owner.roles)
    if beyond:
        raise InvalidInput(
            f"roles: {owner.name} may not do what {names_of(beyond)} allows",
            field="roles",
            value=names_of(beyond),
            cause=f"the roles of {owner.name} are {names_of(owner.roles)}",
            remedy="name roles that the owner has",
        )
