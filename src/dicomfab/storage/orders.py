"""Orders in the database, each with the environment that it came from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select, update

from dicomfab.fabricate.patients import folded
from dicomfab.model.errors import NotFound
from dicomfab.model.order import Order, OrderState
from dicomfab.model.values import Environment
from dicomfab.storage.database import Database
from dicomfab.storage.order_tables import imaging_order

_SUBJECT: Final = "orders"
_LARGEST: Final = 2**63

#: What an order can be found by.
_SEARCHED: Final = (
    "PatientName",
    "PatientID",
    "AccessionNumber",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
    "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest",
    "Modality",
)

# Put together once: that costs more than executing it.
_NUMBERED: Final = insert(imaging_order).returning(imaging_order.c.number, sort_by_parameter_order=True)


@dataclass(frozen=True, slots=True)
class MadeStudy:
    """A study that was asked to be made from an order.

    Args:
        study_instance_uid: of the study.
        job: that makes it; ``None`` if none did.
    """

    study_instance_uid: str
    job: int | None = None


@dataclass(frozen=True, slots=True)
class StoredOrder:
    """An order that is kept.

    Args:
        number: identifies it.
        environment: where it came from; that of production, unless somebody said that it is for testing.
        order: what was read.
        message: as it came, as text.
        state: where it stands here.
        studies: what was made from it, the oldest first.
        procedure: number of the requested procedure that it is about; ``None`` if nothing was scheduled.
        added_by, added_at: by whom and when, with time zone.
    """

    number: int
    environment: Environment
    order: Order
    message: str
    state: OrderState
    studies: tuple[MadeStudy, ...]
    procedure: int | None
    added_by: str
    added_at: datetime


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """Which orders are wanted.

    Args:
        search: words, each of which occurs in name, ID, accession number, description or another identifier.
        states: any of them, or all if none is named.
        accession_number: exactly.
        environments: what the actor may see.
    """

    search: str = ""
    states: frozenset[OrderState] = frozenset()
    accession_number: str = ""
    environments: frozenset[Environment] = field(default_factory=lambda: frozenset(Environment))


@dataclass(frozen=True, slots=True)
class OrderPage:
    """A page of a list, and how many orders the whole list has."""

    orders: tuple[StoredOrder, ...]
    total: int


class OrderRepository:
    """Orders of one installation.

    Args:
        database: where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, orders: Sequence[Order], message: str, environment: Environment, by: str) -> tuple[StoredOrder, ...]:
        """Keep the orders of a message."""
        now = self._database.now()
        with self._database.changing(_SUBJECT) as connection:
            return add_orders(connection, now, orders, message, environment, by)

    def get(self, number: int) -> StoredOrder:
        """One order.

        Raises:
            NotFound: there is none.
        """
        with self._database.read() as connection:
            return _get(connection, number)

    def page(self, wanted: OrderFilter, *, limit: int, offset: int = 0) -> OrderPage:
        """One page, the newest first."""
        columns = imaging_order.c
        where: list[ColumnElement[bool]] = [columns.environment.in_([str(one) for one in wanted.environments])]
        where += [columns.search_text.contains(word, autoescape=True) for word in folded(wanted.search).split()]
        if wanted.states:
            where.append(columns.state.in_([str(one) for one in wanted.states]))
        if wanted.accession_number:
            where.append(columns.accession_number == wanted.accession_number)
        counted = select(func.count()).select_from(imaging_order).where(*where)
        chosen = select(imaging_order).where(*where).order_by(columns.number.desc()).limit(limit).offset(offset)
        with self._database.read() as connection:
            total = connection.execute(counted).scalar_one()
            return OrderPage(tuple(_stored(row) for row in connection.execute(chosen)), total)

    def note_studies(self, number: int, made: Iterable[MadeStudy]) -> StoredOrder:
        """Note what is made from an order.

        Raises:
            NotFound: there is no such order.
        """
        with self._database.changing(_SUBJECT) as connection:
            found = _get(connection, number)
            studies = dict.fromkeys((*found.studies, *made))
            plain = [[one.study_instance_uid, one.job] for one in studies]
            values = {"studies": plain, "state": str(OrderState.MADE)}
            connection.execute(update(imaging_order).where(imaging_order.c.number == number).values(values))
            return _get(connection, number)


def add_orders(
    connection: Connection, now: datetime, orders: Sequence[Order], message: str, environment: Environment, by: str
) -> tuple[StoredOrder, ...]:
    """Keep the orders of a message, as a part of a transaction."""
    rows: list[dict[str, Any]] = [
        {
            "environment": str(environment),
            "state": str(order.state),
            "accession_number": order.value("AccessionNumber")[:64],
            "search_text": _search_text(order),
            "message": message.replace("\0", ""),
            "content": order.as_dict(),
            "studies": [],
            "added_by": by[:200],
            "added_at": now,
        }
        for order in orders
    ]
    numbers = connection.execute(_NUMBERED, rows).scalars().all()
    return tuple(
        StoredOrder(number, environment, order, row["message"], order.state, (), None, row["added_by"], now)
        for number, order, row in zip(numbers, orders, rows, strict=True)
    )


def add_note(connection: Connection, kept: StoredOrder, note: str) -> None:
    """Say more about an order that was kept in the same transaction."""
    found = _get(connection, kept.number).order
    content = replace(found, notes=(*found.notes, note)).as_dict()
    connection.execute(update(imaging_order).where(imaging_order.c.number == kept.number).values(content=content))


def _get(connection: Connection, number: int) -> StoredOrder:
    found = None
    if 0 < number < _LARGEST:
        found = connection.execute(select(imaging_order).where(imaging_order.c.number == number)).one_or_none()
    if found is None:
        raise NotFound(
            f"there is no order {number}.",
            cause="the number is mistyped, or the order is of an environment that you do not see",
            remedy="see what there is: dicomfab order list",
        )
    return _stored(found)


def _stored(row: Row[Any]) -> StoredOrder:
    return StoredOrder(
        number=row.number,
        environment=Environment(row.environment),
        order=Order.from_dict(row.content),
        message=row.message,
        state=OrderState(row.state),
        studies=tuple(MadeStudy(*one) for one in row.studies),
        procedure=row.procedure,
        added_by=row.added_by,
        added_at=row.added_at,
    )


def _search_text(order: Order) -> str:
    texts = [order.value(keyword).replace("^", " ").replace("=", " ") for keyword in _SEARCHED]
    return folded("\n".join(texts)).replace("\0", "")
