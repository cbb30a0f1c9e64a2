"""HL7 messages in the database: each is there before anything is done with it, and with what became of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, bindparam, func, insert, select, update

from dicomfab.model.errors import NotFound
from dicomfab.model.hl7_message import Direction, Hl7Message, MessageState
from dicomfab.model.values import Environment
from dicomfab.storage.database import Database
from dicomfab.storage.order_tables import hl7_message

_LARGEST: Final = 2**63
_BRIEF: Final = [column for column in hl7_message.c if column.name != "data"]
_columns: Final = hl7_message.c
# Put together once: that costs more than executing them, and each message needs them all.
_ADD: Final = insert(hl7_message).returning(_columns.number)
_EARLIER: Final = (
    select(*_BRIEF)
    .where(
        _columns.control_id == bindparam("with_control_id"),
        _columns.sender == bindparam("of_sender"),
        _columns.direction == bindparam("in_direction"),
        _columns.environment == bindparam("in_environment"),
        _columns.at >= bindparam("since"),
    )
    .order_by(_columns.number.desc())
    .limit(20)
)
_IT: Final = update(hl7_message).where(_columns.number == bindparam("of_number"))
_FINISH: Final = _IT.values(state=bindparam("state"), reason=bindparam("reason"))
_ANSWER: Final = _FINISH.values(code=bindparam("code"), acknowledgement=bindparam("acknowledgement"))
_AGAIN: Final = _IT.values(repeats=_columns.repeats + 1)


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """Which messages are wanted.

    Args:
        search: part of control ID, sender or type.
        states: any of them, or all if none is named.
        direction: ``None`` for both.
        environments: what the actor may see.
    """

    search: str = ""
    states: frozenset[MessageState] = frozenset()
    direction: Direction | None = None
    environments: frozenset[Environment] = field(default_factory=lambda: frozenset(Environment))


@dataclass(frozen=True, slots=True)
class MessagePage:
    """A page of a list, without the bytes of the messages, and how many the whole list has."""

    messages: tuple[Hl7Message, ...]
    total: int


class MessageRows:
    """The ledger within one transaction.

    Args:
        connection: of the transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, message: Hl7Message) -> Hl7Message:
        """Keep a message; its number is given here."""
        values = {
            "direction": str(message.direction),
            "environment": str(message.environment),
            "peer": message.peer[:200],
            "sender": _storable(message.sender)[:200],
            "control_id": _storable(message.control_id)[:200],
            "message_type": _storable(message.message_type)[:32],
            "digest": digest(message.data),
            "data": message.data,
            "state": str(message.state),
            "code": message.code,
            "acknowledgement": _storable(message.acknowledgement),
            "reason": _storable(message.reason),
            "repeats": 0,
            "at": message.at,
        }
        return replace(message, number=int(self._connection.execute(_ADD, values).scalar_one()))

    def earlier(self, message: Hl7Message, since: datetime) -> Sequence[tuple[Hl7Message, bool]]:
        """Messages of the same sender with the same control ID, the newest first, each with whether it is the same.

        Args:
            message: the one that came.
            since: only those that came since then.
        """
        own = digest(message.data)
        values = {
            "with_control_id": message.control_id[:200],
            "of_sender": message.sender[:200],
            "in_direction": str(message.direction),
            "in_environment": str(message.environment),
            "since": since,
        }
        rows = self._connection.execute(_EARLIER, values)
        return [(_message(row), row.digest == own) for row in rows]

    def sent(self, control_id: str, environment: Environment) -> list[Hl7Message]:
        """Messages with a control ID that went out, the newest first, bytes and all."""
        of_it = (
            hl7_message.c.control_id == control_id[:200],
            hl7_message.c.direction == str(Direction.OUT),
            hl7_message.c.environment == str(environment),
        )
        chosen = select(hl7_message).where(*of_it).order_by(hl7_message.c.number.desc())
        return [_message(row) for row in self._connection.execute(chosen)]

    def came_again(self, number: int) -> None:
        """Count that a message came once more, unchanged."""
        self._connection.execute(_AGAIN, {"of_number": number})

    def finish(
        self, number: int, state: MessageState, *, code: str = "", acknowledgement: str = "", reason: str = ""
    ) -> None:
        """Note what became of a message; an acknowledgement that is not given stays."""
        values: dict[str, Any] = {"of_number": number, "state": str(state), "reason": _storable(reason)}
        if code:
            values |= {"code": code, "acknowledgement": _storable(acknowledgement)}
        self._connection.execute(_ANSWER if code else _FINISH, values)

    def with_state(
        self, direction: Direction, state: MessageState, environment: Environment, limit: int
    ) -> list[Hl7Message]:
        """The oldest of an environment in a state, bytes and all."""
        columns = hl7_message.c
        of_it = (columns.state == str(state), columns.environment == str(environment))
        found = select(hl7_message).where(columns.direction == str(direction), *of_it)
        return [_message(row) for row in self._connection.execute(found.order_by(columns.number).limit(limit))]

    def get(self, number: int) -> Hl7Message:
        """One message, bytes and all.

        Raises:
            NotFound: there is none.
        """
        found = None
        if 0 < number < _LARGEST:
            found = self._connection.execute(select(hl7_message).where(hl7_message.c.number == number)).one_or_none()
        if found is None:
            raise NotFound(
                f"there is no message {number}.",
                cause="the number is mistyped, or the message is of an environment that you do not see",
                remedy="see what there is: dicomfab hl7 list",
            )
        return _message(found)

    def page(self, wanted: MessageFilter, *, limit: int, offset: int) -> MessagePage:
        """One page, the newest first."""
        columns = hl7_message.c
        where: list[ColumnElement[bool]] = [columns.environment.in_([str(one) for one in wanted.environments])]
        for word in wanted.search.split():
            where.append(
                columns.control_id.icontains(word, autoescape=True)
                | columns.sender.icontains(word, autoescape=True)
                | columns.message_type.icontains(word, autoescape=True)
            )
        if wanted.states:
            where.append(columns.state.in_([str(one) for one in wanted.states]))
        if wanted.direction:
            where.append(columns.direction == str(wanted.direction))
        total = self._connection.execute(select(func.count()).select_from(hl7_message).where(*where)).scalar_one()
        chosen = select(*_BRIEF).where(*where).order_by(columns.number.desc()).limit(limit).offset(offset)
        return MessagePage(tuple(_message(row) for row in self._connection.execute(chosen)), total)


class MessageRepository:
    """The ledger of one installation, for reading.

    Args:
        database: where it is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, number: int) -> Hl7Message:
        """One message, bytes and all.

        Raises:
            NotFound: there is none.
        """
        with self._database.read() as connection:
            return MessageRows(connection).get(number)

    def page(self, wanted: MessageFilter, *, limit: int, offset: int = 0) -> MessagePage:
        """One page, the newest first; without the bytes."""
        with self._database.read() as connection:
            return MessageRows(connection).page(wanted, limit=limit, offset=offset)


def digest(data: bytes) -> str:
    """What tells a message from another."""
    return hashlib.sha256(data).hexdigest()


def _storable(text: str) -> str:
    """Without NUL, which PostgreSQL keeps in no text, and which what others send may have."""
    return text.replace("\0", "")


def _message(row: Row[Any]) -> Hl7Message:
    return Hl7Message(
        number=row.number,
        direction=Direction(row.direction),
        environment=Environment(row.environment),
        peer=row.peer,
        sender=row.sender,
        control_id=row.control_id,
        message_type=row.message_type,
        data=getattr(row, "data", b""),
        state=MessageState(row.state),
        code=row.code,
        acknowledgement=row.acknowledgement,
        reason=row.reason,
        repeats=row.repeats,
        at=row.at,
    )
