"""Orders: read from HL7 v2 messages, kept, looked at.

An order carries the environment that it came from, and the policy applies to it as to a local study. What somebody
pastes is of unknown origin and counts as production, unless he says that it is for testing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dicomfab.access.policy import Action, Scope, require, visible
from dicomfab.model.audit import AuditEvent, EventKind
from dicomfab.model.errors import NotFound
from dicomfab.model.order import Order, OrderState
from dicomfab.model.values import Environment
from dicomfab.services.ordering.scheduling import Scheduler
from dicomfab.services.recording import Record, nobody
from dicomfab.storage.orders import (
    MadeStudy,
    OrderFilter,
    OrderPage,
    OrderRepository,
    StoredOrder,
    add_note,
    add_orders,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dicomfab.hl7.profile import Profile
    from dicomfab.model.actor import Actor
    from dicomfab.model.hl7_message import Hl7Message
    from dicomfab.storage.procedures import ProcedureRepository


@dataclass(frozen=True, slots=True)
class OrderService:
    """Use cases on orders.

    Args:
        repository: where they are kept.
        procedures: where what is to be done for them is kept.
        new_uid: gives a UID that nobody else will.
        record: the audit log.
        profiles: how messages of certain senders are read; asked for each message.
    """

    repository: OrderRepository
    procedures: ProcedureRepository
    new_uid: Callable[[], str]
    record: Record = nobody
    profiles: Callable[[], Sequence[Profile]] = tuple

    def read(self, actor: Actor, message: str | bytes) -> tuple[Order, ...]:
        """What a message says; nothing is kept.

        Raises:
            InvalidInput: it is no HL7 v2 message, or a mapping profile cannot be used.
        """
        from dicomfab.hl7.orders import read

        require(actor, Action.FABRICATE, Scope.SYSTEM)
        return read(message, self.profiles())

    def said_by(self, actor: Actor, message: Hl7Message) -> tuple[Order, ...]:
        """What a message of the ledger says, each value with where it stands.

        Raises:
            InvalidInput: it is no HL7 v2 message, or a mapping profile cannot be used.
        """
        from dicomfab.hl7.orders import read

        require(actor, Action.VIEW, message.environment)
        return read(message.data, self.profiles())

    def known_profiles(self, actor: Actor) -> Sequence[Profile]:
        """The mapping profiles that there are.

        Raises:
            InvalidInput: one cannot be used, by its file and field.
        """
        require(actor, Action.FABRICATE, Scope.SYSTEM)
        return self.profiles()

    def add(
        self, actor: Actor, message: str | bytes, environment: Environment = Environment.PROD
    ) -> tuple[StoredOrder, ...]:
        """Read a message, keep its orders, and schedule what they ask for.

        What cannot be scheduled, such as a cancellation of what was never ordered, is kept all the same, and its notes
        say why.

        Args:
            actor: may see the environment.
            message: text, or bytes in the character set that MSH-18 names.
            environment: ``test`` if somebody says that no real person is in it.

        Raises:
            InvalidInput: it is no HL7 v2 message.
            AccessDenied: the actor may not see orders of this environment, and would not see this one again.
        """
        from dicomfab.hl7.character_sets import decoded

        require(actor, Action.VIEW, environment)
        orders = self.read(actor, message)
        text = decoded(message)[0] if isinstance(message, bytes) else message
        self._record(actor, EventKind.IMPORT, environment, orders)
        with self.procedures.change() as rows:
            kept = add_orders(rows.transaction, rows.now, orders, text, environment, actor.name)
            scheduler = Scheduler(rows, environment, None, self.new_uid)
            for one in kept:
                if one.order.control:
                    self._schedule(scheduler, one)
        return tuple(self.repository.get(one.number) for one in kept)

    @staticmethod
    def _schedule(scheduler: Scheduler, kept: StoredOrder) -> None:
        from dicomfab.hl7.acknowledging import Unacceptable

        transaction = scheduler.rows.transaction
        try:
            with transaction.begin_nested():
                problems = scheduler.apply(kept.order, kept.number)
        except Unacceptable as error:
            add_note(transaction, kept, f"not scheduled: {error.problem.text}")
            return
        for problem in problems:
            add_note(transaction, kept, problem.text)

    def page(self, actor: Actor, wanted: OrderFilter, *, limit: int = 100, offset: int = 0) -> OrderPage:
        """One page of the orders that the actor may see, the newest first."""
        seen = replace(wanted, environments=wanted.environments & visible(actor, Action.VIEW))
        return self.repository.page(seen, limit=limit, offset=offset)

    def show(self, actor: Actor, number: int) -> StoredOrder:
        """One order with its message.

        Raises:
            NotFound: there is none, or it is of an environment that the actor does not see.
        """
        found = self.brief(actor, number)
        self._record(actor, EventKind.VIEW, found.environment, (found.order,))
        return found

    def brief(self, actor: Actor, number: int) -> StoredOrder:
        """As :meth:`show`, for those who do something else with the order, which is recorded by itself.

        Raises:
            NotFound: as :meth:`show`.
        """
        found = self.repository.get(number)
        if found.environment not in visible(actor, Action.VIEW):
            raise NotFound(
                f"there is no order {number}.",
                cause="the number is mistyped, or the order is of an environment that you do not see",
                remedy="see what there is: dicomfab order list",
            )
        return found

    def note_studies(self, actor: Actor, number: int, made: tuple[MadeStudy, ...]) -> StoredOrder:
        """Note what is made from an order.

        Raises:
            NotFound: as :meth:`show`.
        """
        require(actor, Action.FABRICATE, Scope.SYSTEM)
        self.brief(actor, number)
        return self.repository.note_studies(number, made)

    def _record(self, actor: Actor, kind: EventKind, environment: Environment, orders: tuple[Order, ...]) -> None:
        ids = tuple(dict.fromkeys(one.value("PatientID") for one in orders if one.value("PatientID")))
        detail = {"orders": str(len(orders)), "message": orders[0].control_id}
        given = {"environment": str(environment), "subject": "order", "patient_ids": ids, "detail": detail}
        self.record(AuditEvent.by(actor, kind, **given))


def state_of(text: str) -> OrderState | None:
    """A state by its name; ``None`` if there is no such state."""
    return next((one for one in OrderState if str(one) == text), None)
