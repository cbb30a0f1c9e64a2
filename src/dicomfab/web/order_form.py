"""The form that makes a study from an order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dicomfab.model.errors import InvalidInput
from dicomfab.model.values import Environment
from dicomfab.services.order_study import TAKEN, proposal
from dicomfab.storage.orders import MadeStudy
from dicomfab.web.study_form import ORDER_FIELDS, StudyForm

if TYPE_CHECKING:
    from dicomfab.app.build import Application
    from dicomfab.fabricate.recipe import ResolvedStudy
    from dicomfab.model.actor import Actor
    from dicomfab.model.job import Job
    from dicomfab.model.order import Order
    from dicomfab.storage.orders import StoredOrder


def filled(form: StudyForm, order: Order) -> StudyForm:
    """The form with what an order proposes."""
    found = proposal(order, environment_of(form))
    values = {name: found.values.get(name, "") for name in ORDER_FIELDS}
    return form.model_copy(update=values).with_rows([(found.kind, "", "")])


def shown_order(application: Application, actor: Actor, form: StudyForm) -> dict[str, Any]:
    """What the page shows of the order behind the form: the order, where each value came from."""
    nothing: dict[str, Any] = {"orders": (), "order": None, "unread": form.message, "reading_notes": (), "origins": {}}
    if not form.order and not form.message:
        return nothing
    if form.order:
        orders: tuple[Order, ...] = (application.orders.brief(actor, order_number(form.order)).order,)
    else:
        try:
            orders = application.orders.read(actor, form.message)
        except InvalidInput:
            return nothing
    order = orders[min(max(0, form.which), len(orders) - 1)]
    origins = {name: order.field(keyword) for name, keyword in TAKEN.items()}
    origins["study_id"] = order.field("RequestedProcedureID")
    used = set(TAKEN.values())
    rest = [one for one in order.fields if one.keyword not in used]
    found = proposal(order, environment_of(form))
    said = {"order": order, "orders": orders, "origins": origins, "rest": rest, "why": found.why, "found": found.kind}
    return {**nothing, **said}


def order_of(application: Application, actor: Actor, form: StudyForm) -> StudyForm:
    """The form as it may be used: an order of production gives no patient, identifier or text away.

    Raises:
        NotFound: the order is of an environment that the actor does not see.
    """
    if form.order:
        form = form.model_copy(update=kept(application.orders.brief(actor, order_number(form.order))))
    if not form.message.strip():
        raise InvalidInput("message: is empty", field="message", value="", remedy="paste an HL7 order first")
    application.orders.read(actor, form.message)
    return form if form.is_test else form.model_copy(update=dict.fromkeys(ORDER_FIELDS, ""))


def keep_order(application: Application, actor: Actor, form: StudyForm) -> int:
    """The number of the form's order, which is kept now unless it was already."""
    if form.order:
        return application.orders.brief(actor, order_number(form.order)).number
    added = application.orders.add(actor, form.message, environment_of(form))
    return added[min(max(0, form.which), len(added) - 1)].number


def note_made(application: Application, actor: Actor, number: int, studies: list[ResolvedStudy], job: Job) -> None:
    """Note at the order what is made from it."""
    made = tuple(MadeStudy(one.study_instance_uid, job.id) for one in studies)
    application.orders.note_studies(actor, number, made)


def kept(found: StoredOrder) -> dict[str, Any]:
    """What the form says of an order that is kept."""
    return {"message": found.message, "is_test": found.environment is Environment.TEST, "order": str(found.number)}


def environment_of(form: StudyForm) -> Environment:
    """Production, unless somebody says that no real person is in the message."""
    return Environment.TEST if form.is_test else Environment.PROD


def order_number(text: str) -> int:
    """The number of an order as typed.

    Raises:
        InvalidInput: it is none.
    """
    if text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    raise InvalidInput(f"order: {text!r} is no number of an order", field="order", value=text)
