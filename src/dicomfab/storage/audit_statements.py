"""What adding an entry to the audit log says to the driver, put together once: that costs more than executing it."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import Dialect, insert, select, update
from sqlalchemy.sql.compiler import SQLCompiler

from dicomfab.model.audit import AuditEvent
from dicomfab.storage.audit_anchors import Anchor
from dicomfab.storage.tables import audit_entry, revision

IN_TURN: Final = update(revision).where(revision.c.subject == "audit").values(number=revision.c.number + 1)
NEWEST: Final = select(audit_entry.c.seq, audit_entry.c.mac).order_by(audit_entry.c.seq.desc()).limit(1)
KEY_SUBJECT: Final = "audit key"
"""The row of the table ``revision`` with the mark of the key, from the first time on that another one was begun."""
_MARK: Final = select(revision.c.number).where(revision.c.subject == KEY_SUBJECT)


class Statements:
    """What adding an entry says to the driver: SQLAlchemy's own way of saying it would be half the cost."""

    def __init__(self, dialect: Dialect) -> None:
        self.newest = str(NEWEST.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
        self.mark = str(_MARK.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
        self.in_turn = str(IN_TURN.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
        add = insert(audit_entry).compile(dialect=dialect)
        self.add = str(add)
        self._order = add.positiontup if isinstance(add, SQLCompiler) else None
        self._moment = audit_entry.c.at.type.dialect_impl(dialect).bind_processor(dialect)

    def row(self, place: Anchor, event: AuditEvent, at: datetime, body: str) -> Any:
        """The values of an entry, as ``add`` takes them."""
        values = _row(place, event, self._moment(at) if self._moment else at, body)
        return values if self._order is None else tuple(values[name] for name in self._order)


@cache
def statements_of(dialect: Dialect) -> Statements:
    """Those of a kind of database."""
    return Statements(dialect)


def _row(place: Anchor, event: AuditEvent, at: object, body: str) -> dict[str, object]:
    return {
        "seq": place.seq,
        "at": at,
        "kind": str(event.kind),
        "outcome": str(event.outcome),
        "actor": event.actor,
        "environment": event.environment,
        "body": body,
        "mac": place.mac,
    }
