"""API tokens in the database: what begins them, and the SHA-256 of the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, Row, and_, bindparam, insert, select, update

from dicomfab.model.account import Account, ApiToken
from dicomfab.model.actor import Role
from dicomfab.model.errors import Conflict, NotFound
from dicomfab.storage.account_tables import account, api_token
from dicomfab.storage.accounts import SUBJECT, account_of, found
from dicomfab.storage.database import Database

Note: TypeAlias = Callable[[Connection, Account, ApiToken], None]
"""Given the owner and the token, within the transaction of the change; what it raises undoes the change."""

_COLUMNS: Final = [column.label(f"token_{column.name}") for column in api_token.c]
_BY_ID: Final = (
    select(account, *_COLUMNS)
    .join(api_token, api_token.c.account_id == account.c.id)
    .where(api_token.c.id == bindparam("id_"))
)


class ApiTokenRepository:
    """API tokens of one installation.

    Args:
        database: where they are kept.
        now: the moment, with time zone.
    """

    def __init__(self, database: Database, *, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    def add(
        self,
        account_id: int,
        token_id: str,
        token_hash: str,
        *,
        label: str,
        roles: Iterable[Role],
        expires_at: datetime,
        check: Callable[[Account], None],
        note: Note = lambda *_: None,
    ) -> ApiToken:
        """Keep a new token.

        Args:
            account_id: of its owner.
            token_id: what begins it.
            token_hash: SHA-256 of the rest, hexadecimal.
            label: what it is for.
            roles: those that it may use of its owner's.
            expires_at: with time zone.
            check: raises unless the owner, as it is now, may have such a token.
            note: see :data:`Note`.

        Raises:
            NotFound: there is no such account.
            Conflict: the account is disabled.
        """
        values = {
            "id": token_id,
            "token_hash": token_hash,
            "account_id": account_id,
            "label": label,
            "roles": sorted(str(role) for role in roles),
            "created_at": self._now(),
            "expires_at": expires_at,
        }
        with self._database.changing(SUBJECT) as connection:
            owner = found(connection, account_id)
            if not owner.is_active:
                raise Conflict(f"the account {owner.name} is disabled", remedy="enable it first")
            check(owner)
            connection.execute(insert(api_token).values(values))
            note(connection, owner, made := _token(_row(connection, token_id)))
            return made

    def find(self, token_id: str) -> tuple[Account, ApiToken, str] | None:
        """A token, expired or revoked or not, with its owner and its hash; ``None`` if there is none."""
        with self._database.read() as connection:
            row = connection.execute(_BY_ID, {"id_": token_id}).first()
        return row and (account_of(row), _token(row), row.token_token_hash)

    def of(self, account_id: int | None = None) -> list[ApiToken]:
        """The tokens of an account, or of all accounts, the newest first; those that are no longer valid too."""
        query = select(*_COLUMNS).order_by(api_token.c.created_at.desc(), api_token.c.id)
        if account_id is not None:
            query = query.where(api_token.c.account_id == account_id)
        with self._database.read() as connection:
            return [_token(row) for row in connection.execute(query)]

    def touch(self, token_id: str) -> None:
        """Note that a token is used now."""
        with self._database.write(synced=False) as connection:
            connection.execute(update(api_token).where(api_token.c.id == token_id).values(used_at=self._now()))

    def revoke(self, token_id: str, note: Note = lambda *_: None) -> ApiToken:
        """Make a token worthless, for good.

        Raises:
            NotFound: there is no such token.
        """
        valid = and_(api_token.c.id == token_id, api_token.c.revoked_at.is_(None))
        with self._database.write() as connection:
            connection.execute(update(api_token).where(valid).values(revoked_at=self._now()))
            row = _row(connection, token_id)
            note(connection, account_of(row), revoked := _token(row))
            return revoked


def no_such_token(token_id: str) -> NotFound:
    """What to raise for a token that is not there."""
    return NotFound(
        f"there is no token {token_id}.",
        cause="it is mistyped, or its account was removed",
        remedy="dicomfab token list",
    )


def _row(connection: Connection, token_id: str) -> Row[Any]:
    row = connection.execute(_BY_ID, {"id_": token_id}).first()
    if row is None:
        raise no_such_token(token_id)
    return row


def _token(row: Row[Any]) -> ApiToken:
    return ApiToken(
        id=row.token_id,
        account_id=row.token_account_id,
        label=row.token_label,
        roles=frozenset(Role(role) for role in row.token_roles),
        created_at=row.token_created_at,
        expires_at=row.token_expires_at,
        used_at=row.token_used_at,
        revoked_at=row.token_revoked_at,
    )
