"""Which roles the groups of directories give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, TypeAlias

from sqlalchemy import Connection, delete, insert, select, update

from dicomfab.model.account import LOCAL
from dicomfab.model.actor import Role
from dicomfab.model.errors import NotFound
from dicomfab.storage.account_tables import account, group_role
from dicomfab.storage.accounts import SUBJECT
from dicomfab.storage.database import Database

_LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)

NoteGroup: TypeAlias = Callable[[Connection], None]
"""Called within the transaction of a change; what it raises undoes the change."""


class GroupRoleRepository:
    """Groups and their roles, of one installation. Capital and small letters of a group make no difference.

    Args:
        database: where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def every(self) -> Mapping[str, frozenset[Role]]:
        """All groups by name, with the roles that each gives."""
        with self._database.read() as connection:
            rows = connection.execute(select(group_role.c.name, group_role.c.roles).order_by(group_role.c.folded))
            return {row.name: frozenset(Role(role) for role in row.roles) for row in rows}

    def put(self, name: str, roles: frozenset[Role], note: NoteGroup) -> None:
        """Have a group give these roles, in place of those that it gave before."""
        folded, plain = name.casefold(), sorted(map(str, roles))
        with self._database.changing(SUBJECT) as connection:
            values = {"name": name, "roles": plain}
            changed = connection.execute(update(group_role).where(group_role.c.folded == folded).values(values))
            if not changed.rowcount:
                connection.execute(insert(group_role).values(folded=folded, **values))
            _ask_again(connection)
            note(connection)

    def remove(self, name: str, note: NoteGroup) -> None:
        """Have a group give nothing any more.

        Raises:
            NotFound: it gives nothing.
        """
        with self._database.changing(SUBJECT) as connection:
            gone = connection.execute(delete(group_role).where(group_role.c.folded == name.casefold()))
            if not gone.rowcount:
                raise NotFound(f"the group {name!r} gives no role", remedy="dicomfab auth groups")
            _ask_again(connection)
            note(connection)


def _ask_again(connection: Connection) -> None:
    """What was found out about accounts of directories, by the groups of before, holds no longer."""
    connection.execute(update(account).where(account.c.source != LOCAL).values(checked_at=_LONG_AGO))
