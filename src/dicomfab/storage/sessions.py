"""Sessions in the database, by the SHA-256 of their tokens: who reads the database cannot use one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, Row, and_, bindparam, delete, insert, or_, select, update

from dicomfab.model.account import Account, Origin, Session
from dicomfab.model.errors import NotFound
from dicomfab.storage.account_tables import account, session
from dicomfab.storage.accounts import SUBJECT, Note, account_of, end_sessions, found, unnoted
from dicomfab.storage.database import Database

NoteEnded: TypeAlias = Callable[[Connection, int], None]
"""Given how many sessions are ended, within the transaction that ends them; what it raises undoes that."""

# Put together once: a request costs less then. The columns of the session bear names of their own beside the account's.
_BY_TOKEN: Final = (
    select(account, *(column.label(f"session_{column.name}") for column in session.c))
    .join(session, session.c.account_id == account.c.id)
    .where(session.c.token_hash == bindparam("token_hash_"))
)


class SessionRepository:
    """Sessions of one installation.

    Args:
        database: where they are kept.
        now: the moment, with time zone.
    """

    def __init__(self, database: Database, *, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    def begin(
        self,
        proven: Account,
        token_hash: str,
        origin: Origin,
        *,
        idle: timedelta,
        lasts: timedelta,
        elsewhere: Mapping[str, str] | None = None,
        note: Note = unnoted,
    ) -> tuple[Account, Session] | None:
        """Keep a new session, and when its account signed in; sessions that are over are forgotten.

        Args:
            proven: the account as it was when it was proven.
            token_hash: SHA-256 of the token, hexadecimal.
            origin: where it comes from.
            idle: after which a session that is not used is over.
            lasts: how long it lasts at most.
            elsewhere: what its identity provider knows it by.
            note: see :data:`~dicomfab.storage.accounts.Note`.

        Returns:
            ``None`` if the account is gone, disabled or changed since it was proven: nothing was done then.
        """
        now = self._now()
        values = {
            "token_hash": token_hash,
            "account_id": proven.id,
            "created_at": now,
            "seen_at": now,
            "expires_at": now + lasts,
            "address": origin.address[:64],
            "user_agent": origin.user_agent[:200],
            "elsewhere": dict(elsewhere) if elsewhere else None,
        }
        as_proven = and_(account.c.id == proven.id, account.c.version == proven.version, account.c.is_active)
        over = or_(session.c.expires_at <= now, session.c.seen_at <= now - idle)
        with self._database.changing(SUBJECT) as connection:
            if connection.execute(update(account).where(as_proven).values(last_sign_in_at=now)).rowcount != 1:
                return None
            connection.execute(delete(session).where(over))
            connection.execute(insert(session).values(values))
            row = connection.execute(_BY_TOKEN, {"token_hash_": token_hash}).one()
            note(connection, begun := account_of(row))
            return begun, _session(row)

    def find(self, token_hash: str) -> tuple[Account, Session] | None:
        """The session of a token and its account, over or not; ``None`` if there is none."""
        with self._database.read() as connection:
            row = connection.execute(_BY_TOKEN, {"token_hash_": token_hash}).first()
        return row and (account_of(row), _session(row))

    def touch(self, session_id: int) -> None:
        """Note that a session is used now."""
        # A power cut may undo it: the session is over a little earlier then.
        with self._database.write(synced=False) as connection:
            connection.execute(update(session).where(session.c.id == session_id).values(seen_at=self._now()))

    def keep_elsewhere(self, session_id: int, elsewhere: Mapping[str, str]) -> bool:
        """Keep what an identity provider knows a session by now; false if there is no such session."""
        with self._database.write() as connection:
            is_it = session.c.id == session_id
            return connection.execute(update(session).where(is_it).values(elsewhere=dict(elsewhere))).rowcount == 1

    def of(self, account_id: int, idle: timedelta) -> list[Session]:
        """The sessions of an account that are not over, the newest first.

        Args:
            account_id: whose.
            idle: after which a session that is not used is over.
        """
        now = self._now()
        lives = and_(session.c.expires_at > now, session.c.seen_at > now - idle)
        columns = [column.label(f"session_{column.name}") for column in session.c]
        query = select(*columns).where(lives, session.c.account_id == account_id).order_by(session.c.id.desc())
        with self._database.read() as connection:
            return [_session(row) for row in connection.execute(query)]

    def end(self, token_hash: str, note: NoteEnded = lambda *_: None) -> bool:
        """Forget the session of a token; false if there was none."""
        with self._database.write() as connection:
            if connection.execute(delete(session).where(session.c.token_hash == token_hash)).rowcount != 1:
                return False
            note(connection, 1)
            return True

    def end_one(self, account_id: int, session_id: int, note: NoteEnded = lambda *_: None) -> None:
        """Forget a session of an account.

        Raises:
            NotFound: it has no session of this number.
        """
        is_it = and_(session.c.id == session_id, session.c.account_id == account_id)
        with self._database.write() as connection:
            if connection.execute(delete(session).where(is_it)).rowcount != 1:
                raise NotFound(
                    f"there is no session {session_id} of this account.",
                    cause="it has ended, or the number is mistyped",
                    remedy="list the sessions again",
                )
            note(connection, 1)

    def end_elsewhere(self, source: str, known_by: Mapping[str, str], note: Note = unnoted) -> int:
        """Forget the sessions that an identity provider knows by these values; returns how many there were."""
        query = select(session.c.id, session.c.account_id, session.c.elsewhere).join(account)
        with self._database.write() as connection:
            ended = 0
            for row in connection.execute(query.where(account.c.source == source)).all():
                if known_by.items() <= (row.elsewhere or {}).items():
                    note(connection, found(connection, row.account_id))
                    ended += connection.execute(delete(session).where(session.c.id == row.id)).rowcount
            return ended

    def end_all(self, account_id: int, note: NoteEnded = lambda *_: None) -> int:
        """Forget the sessions of an account; returns how many there were."""
        with self._database.changing(SUBJECT) as connection:
            ended = end_sessions(connection, account_id)
            note(connection, ended)
            return ended


def _session(row: Row[Any]) -> Session:
    return Session(
        id=row.session_id,
        account_id=row.session_account_id,
        created_at=row.session_created_at,
        seen_at=row.session_seen_at,
        expires_at=row.session_expires_at,
        address=row.session_address,
        user_agent=row.session_user_agent,
        elsewhere=row.session_elsewhere or {},
    )
