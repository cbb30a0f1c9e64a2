"""Accounts in the database. Changes take turns, so that the last administrator stays whoever else is changing what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, Row, and_, delete, exists, insert, or_, select, true, update

from dicomfab.model.account import LOCAL, Account, Identity
from dicomfab.model.actor import Role
from dicomfab.model.errors import Conflict, NotFound
from dicomfab.storage.account_tables import account, api_token, session, set_up_code
from dicomfab.storage.database import Database

SUBJECT: Final = "accounts"
"""The row of the table ``revision`` for which changes of accounts wait."""

Note: TypeAlias = Callable[[Connection, Account], None]
"""Given the account as a change leaves it, within the transaction of the change; what it raises undoes the change."""


def unnoted(_connection: Connection, _account: Account) -> None:
    """For changes of which nobody has to know."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What proves an account. It stays between the repository and those who check it.

    Args:
        password_hash: as argon2 writes it; empty if there is none.
        totp_secret: of the second factor, in base 32; empty if there is none.
        totp_offered: one that is still to be confirmed by a code.
        totp_step: the newest time step whose code was used.
    """

    password_hash: str = field(repr=False)
    totp_secret: str = field(repr=False)
    totp_offered: str = field(repr=False)
    totp_step: int


class AccountRepository:
    """Accounts of one installation.

    Args:
        database: where they are kept.
        now: the moment, with time zone.
    """

    def __init__(self, database: Database, *, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    def every(self) -> list[Account]:
        """All accounts, by name and source."""
        with self._database.read() as connection:
            found = [account_of(row) for row in connection.execute(select(account))]
        return sorted(found, key=lambda one: (one.name.casefold(), one.source, one.id))

    def find(self, account_id: int) -> Account:
        """One account.

        Raises:
            NotFound: there is none of this number.
        """
        with self._database.read() as connection:
            return found(connection, account_id)

    def by_subject(self, source: str, subject: str) -> tuple[Account, Secrets] | None:
        """The account that a source knows by this subject, with what proves it; ``None`` if there is none."""
        with self._database.read() as connection:
            row = _by_subject(connection, source, subject)
            return row and (account_of(row), _secrets(row))

    def secrets(self, account_id: int) -> Secrets:
        """What proves an account.

        Raises:
            NotFound: there is none of this number.
        """
        with self._database.read() as connection:
            return _secrets(_row(connection, account_id))

    def has_admin(self) -> bool:
        """Whether there is an administrator who may sign in."""
        with self._database.read() as connection:
            return _has_other_admin(connection, 0)

    def add(self, identity: Identity, password_hash: str, note: Note = unnoted) -> Account:
        """Keep a new account.

        Raises:
            Conflict: its source knows one by this subject already.
        """
        with self._database.changing(SUBJECT) as connection:
            return _add(connection, identity, self._now(), password_hash, note)

    def add_first(self, identity: Identity, password_hash: str, code_hash: str, note: Note = unnoted) -> Account | None:
        """Keep the first administrator, and use up the set-up code, in one transaction.

        Returns:
            ``None`` if the code is not the one that was given out, is used up or has expired, or there is an
            administrator: nothing was done then.

        Raises:
            Conflict: there is an account of this name, which is no administrator.
        """
        now = self._now()
        with self._database.changing(SUBJECT) as connection:
            valid = and_(set_up_code.c.code_hash == code_hash, set_up_code.c.expires_at > now)
            if _has_other_admin(connection, 0) or connection.execute(delete(set_up_code).where(valid)).rowcount != 1:
                return None
            return _add(connection, identity, now, password_hash, note)

    def offer_set_up(
        self, code_hash: str, expires_at: datetime, note: Callable[[Connection], None] = lambda _: None
    ) -> bool:
        """Keep a set-up code in place of the one before; false, and nothing, if there is an administrator."""
        with self._database.changing(SUBJECT) as connection:
            connection.execute(delete(set_up_code))
            if _has_other_admin(connection, 0):
                return False
            connection.execute(insert(set_up_code).values(code_hash=code_hash, expires_at=expires_at))
            note(connection)
            return True

    def set_roles(self, account_id: int, roles: Iterable[Role], note: Note = unnoted) -> Account:
        """Give an account other roles; its sessions end.

        Raises:
            NotFound: there is no such account.
            Conflict: it is the last administrator, and would be none any more.
        """
        wanted = frozenset(roles)
        with self._change(account_id) as (connection, before):
            if Role.ADMIN not in wanted:
                _keep_an_admin(connection, before)
            end_sessions(connection, account_id)
            return _set(connection, before, {"roles": _plain(wanted)}, note)

    def set_active(self, account_id: int, is_active: bool, note: Note = unnoted) -> Account:
        """Let an account be used, or not. When it may not be, its sessions end and its tokens are revoked for good.

        Raises:
            NotFound: there is no such account.
            Conflict: it is the last administrator.
        """
        with self._change(account_id) as (connection, before):
            if is_active is before.is_active:
                return before
            if not is_active:
                _keep_an_admin(connection, before)
                end_sessions(connection, account_id)
                valid = and_(api_token.c.account_id == account_id, api_token.c.revoked_at.is_(None))
                connection.execute(update(api_token).where(valid).values(revoked_at=self._now()))
            return _set(connection, before, {"is_active": is_active}, note)

    def remove(self, account_id: int, note: Note = unnoted) -> Account:
        """Forget an account with its sessions and tokens.

        Returns:
            As it was.

        Raises:
            NotFound: there is no such account.
            Conflict: it is the last administrator.
        """
        with self._change(account_id) as (connection, before):
            _keep_an_admin(connection, before)
            connection.execute(delete(account).where(account.c.id == account_id))
            note(connection, before)
            return before

    def set_display_name(self, account_id: int, display_name: str, note: Note = unnoted) -> Account:
        """Name an account for people.

        Raises:
            NotFound: there is no such account.
        """
        with self._change(account_id) as (connection, before):
            return _set(connection, before, {"display_name": display_name}, note, proof_changes=False)

    def set_password(self, account_id: int, password_hash: str, note: Note = unnoted) -> Account:
        """Give an account another password; its sessions end.

        Raises:
            NotFound: there is no such account.
            Conflict: it is not a local one.
        """
        with self._change(account_id) as (connection, before):
            only_local(before)
            end_sessions(connection, account_id)
            return _set(connection, before, {"password_hash": password_hash}, note)

    def strengthen(self, account_id: int, old_hash: str, new_hash: str) -> None:
        """Put a better hash of the same password in the place of an old one, unless it was changed meanwhile."""
        unchanged = and_(account.c.id == account_id, account.c.password_hash == old_hash)
        with self._database.write() as connection:
            connection.execute(update(account).where(unchanged).values(password_hash=new_hash))

    def offer_totp(self, account_id: int, secret: str) -> Account:
        """Keep a secret of a second factor that is still to be confirmed.

        Raises:
            NotFound: there is no such account.
            Conflict: it is not a local one.
        """
        with self._change(account_id) as (connection, before):
            only_local(before)
            return _set(connection, before, {"totp_offered": secret}, proof_changes=False)

    def confirm_totp(self, account_id: int, secret: str, step: int, note: Note = unnoted) -> Account | None:
        """Ask for the second factor from now on; ``None`` if the secret is not the one offered last."""
        with self._change(account_id) as (connection, before):
            if _secrets(_row(connection, account_id)).totp_offered != secret:
                return None
            return _set(connection, before, {"totp_secret": secret, "totp_offered": "", "totp_step": step}, note)

    def remove_totp(self, account_id: int, note: Note = unnoted) -> Account:
        """Ask for no second factor any more.

        Raises:
            NotFound: there is no such account.
        """
        with self._change(account_id) as (connection, before):
            return _set(connection, before, {"totp_secret": "", "totp_offered": ""}, note)

    def use_totp_step(self, account_id: int, step: int) -> bool:
        """Note that the code of a time step was used; false if it, or a later one, was used before."""
        unused = and_(account.c.id == account_id, account.c.totp_step < step)
        with self._database.write() as connection:
            return connection.execute(update(account).where(unused).values(totp_step=step)).rowcount == 1

    def know(self, identity: Identity) -> Account:
        """The account of somebody whom a directory has proven: made at the first time, else with what is new about it.

        An account that was disabled here stays so. Other roles than before end its sessions.
        """
        now = self._now()
        with self._database.changing(SUBJECT) as connection:
            row = _by_subject(connection, identity.source, identity.subject)
            if row is None:
                return _add(connection, identity, now, "")
            before = account_of(row)
            news = {"name": identity.name, "display_name": identity.display_name, "checked_at": now}
            if identity.roles == before.roles:
                return _set(connection, before, news, proof_changes=False)
            end_sessions(connection, before.id)
            return _set(connection, before, news | {"roles": _plain(identity.roles)})

    def checked(self, account_id: int, roles: frozenset[Role], note: Note = unnoted) -> Account:
        """Note which roles a directory gives an account now. More hold at once; one that is lost ends its sessions.

        Raises:
            NotFound: there is no such account any more.
        """
        with self._change(account_id) as (connection, before):
            news = {"roles": _plain(roles), "checked_at": self._now()}
            if not before.roles <= roles:
                end_sessions(connection, account_id)
            is_new = roles != before.roles
            return _set(connection, before, news, note if is_new else unnoted, proof_changes=is_new)

    def to_check(self, source: str, before: datetime) -> list[Account]:
        """Accounts of a directory that something stands for, whose roles were last found out before a moment."""
        now = self._now()
        session_lives = exists().where(session.c.account_id == account.c.id, session.c.expires_at > now)
        token_lives = exists().where(
            api_token.c.account_id == account.c.id, api_token.c.revoked_at.is_(None), api_token.c.expires_at > now
        )
        of_source = and_(account.c.source == source, account.c.is_active, account.c.checked_at < before)
        query = select(account).where(of_source, or_(session_lives, token_lives)).order_by(account.c.checked_at)
        with self._database.read() as connection:
            return [account_of(row) for row in connection.execute(query)]

    @contextmanager
    def _change(self, account_id: int) -> Iterator[tuple[Connection, Account]]:
        with self._database.changing(SUBJECT) as connection:
            yield connection, found(connection, account_id)


def found(connection: Connection, account_id: int) -> Account:
    """One account.

    Raises:
        NotFound: there is none of this number.
    """
    return account_of(_row(connection, account_id))


def account_of(row: Row[Any]) -> Account:
    """The account in a row that has all its columns."""
    return Account(
        id=row.id,
        source=row.source,
        subject=row.subject,
        name=row.name,
        display_name=row.display_name,
        roles=frozenset(Role(role) for role in row.roles),
        is_active=row.is_active,
        has_password=row.password_hash != "",
        has_totp=row.totp_secret != "",
        created_at=row.created_at,
        last_sign_in_at=row.last_sign_in_at,
        checked_at=row.checked_at,
        version=row.version,
    )


def end_sessions(connection: Connection, account_id: int) -> int:
    """Forget the sessions of an account; returns how many there were."""
    return connection.execute(delete(session).where(session.c.account_id == account_id)).rowcount


def only_local(one: Account) -> None:
    """Raise for an account whose password and second factor are kept elsewhere.

    Raises:
        Conflict: it is not a local one.
    """
    if one.source != LOCAL:
        raise Conflict(
            f"the account {one.name} is kept in {one.source}, not here",
            cause="its password and second factor are those of that directory",
            remedy=f"change them in {one.source}",
        )


def _row(connection: Connection, account_id: int) -> Row[Any]:
    row = connection.execute(select(account).where(account.c.id == account_id)).first()
    if row is None:
        raise NotFound(
            f"there is no account {account_id}.",
            cause="it was removed, or the number is mistyped",
            remedy="dicomfab users list",
        )
    return row


def _by_subject(connection: Connection, source: str, subject: str) -> Row[Any] | None:
    is_it = and_(account.c.source == source, account.c.subject == subject)
    return connection.execute(select(account).where(is_it)).first()


def _secrets(row: Row[Any]) -> Secrets:
    return Secrets(row.password_hash, row.totp_secret, row.totp_offered, row.totp_step)


def _add(
    connection: Connection, identity: Identity, now: datetime, password_hash: str, note: Note = unnoted
) -> Account:
    if _by_subject(connection, identity.source, identity.subject) is not None:
        raise Conflict(
            f"there is an account {identity.name} already",
            cause="capital and small letters make no difference in a sign-in name",
            remedy="take another name, or change the account that is there",
        )
    values = {
        "source": identity.source,
        "subject": identity.subject,
        "name": identity.name,
        "display_name": identity.display_name,
        "roles": _plain(identity.roles),
        "is_active": True,
        "password_hash": password_hash,
        "totp_secret": "",
        "totp_offered": "",
        "totp_step": 0,
        "created_at": now,
        "checked_at": now,
        "version": 1,
    }
    made: int = connection.execute(insert(account).values(values).returning(account.c.id)).scalar_one()
    note(connection, added := found(connection, made))
    return added


def _set(
    connection: Connection,
    before: Account,
    values: Mapping[str, Any],
    note: Note = unnoted,
    *,
    proof_changes: bool = True,
) -> Account:
    """Change columns of an account, and its version unless what was proven before still holds."""
    version = {"version": before.version + 1} if proof_changes else {}
    connection.execute(update(account).where(account.c.id == before.id).values({**values, **version}))
    note(connection, after := found(connection, before.id))
    return after


def _keep_an_admin(connection: Connection, leaving: Account) -> None:
    if leaving.is_admin and not _has_other_admin(connection, leaving.id):
        raise Conflict(
            f"{leaving.name} is the last administrator",
            cause="without one nobody could manage users any more",
            remedy="make somebody else administrator first",
        )


def _has_other_admin(connection: Connection, account_id: int) -> bool:
    others = and_(account.c.is_active == true(), account.c.id != account_id)
    return any(Role.ADMIN in roles for roles in connection.execute(select(account.c.roles).where(others)).scalars())


def _plain(roles: Iterable[Role]) -> list[str]:
    return sorted(str(role) for role in roles)
