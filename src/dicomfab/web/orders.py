"""Orders: all that are kept in a list, each on a page of its own, and the form that makes a study from one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from starlette.responses import RedirectResponse, Response

from dicomfab.access.policy import Action
from dicomfab.fabricate.kinds import ALL_KINDS
from dicomfab.model.errors import InvalidInput
from dicomfab.model.order import OrderState
from dicomfab.model.values import Environment
from dicomfab.services.order_study import proposal
from dicomfab.services.orders import state_of
from dicomfab.storage.orders import OrderFilter
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.create_page import show_form
from dicomfab.web.listing import PAGE_SIZE, Listing, Number, page_count, page_number
from dicomfab.web.order_form import environment_of, filled, kept, order_number, shown_order
from dicomfab.web.study_form import ORDER, StudyForm
from dicomfab.web.templating import page

if TYPE_CHECKING:
    from dicomfab.storage.orders import StoredOrder

MAX_BYTES: Final = 10 << 20

router = APIRouter()


def listing_of(q: str = "", state: str = "", page: str = "1") -> Listing:
    """Read the listing from the address; what makes no sense there is taken as absent."""
    return Listing(q.strip(), state if state_of(state) else "", page_number(page))


@router.get("/orders", dependencies=[permission(Action.VIEW)])
def overview(
    request: Request,
    listing: Annotated[Listing, Depends(listing_of)],
    actor: CurrentActor,
    application: CurrentApplication,
) -> Response:
    """One page of the orders, the newest first."""
    state = state_of(listing.state)
    wanted = OrderFilter(search=listing.search, states=frozenset({state} if state else ()))
    offset = (listing.number - 1) * PAGE_SIZE
    found = application.orders.page(actor, wanted, limit=PAGE_SIZE, offset=offset)
    pages = page_count(found.total)
    states = [("", "Any state"), *((str(one), str(one)) for one in OrderState)]
    return page(request, "orders/list.html", {"found": found, "listing": listing, "pages": pages, "states": states})


@router.get("/orders/{number}", dependencies=[permission(Action.VIEW)])
def show(request: Request, number: Number, actor: CurrentActor, application: CurrentApplication) -> Response:
    """One order: what was read and from where, the message, and what was made from it."""
    found = application.orders.show(actor, number)
    studies = [(one, application.studies.local.has_study(one.study_instance_uid)) for one in found.studies]
    context = {"found": found, "order": found.order, "studies": studies, "proposed": _proposed(found)}
    return page(request, "orders/show.html", context)


@router.get("/studies/new/order", dependencies=[permission(Action.FABRICATE)])
def new_by_order(request: Request, actor: CurrentActor, application: CurrentApplication, order: str = "") -> Response:
    """The page on which a message is pasted; with an order that is kept, the form that makes a study from it."""
    form = StudyForm(recipe="", tab=ORDER, order=order)
    if order:
        found = application.orders.brief(actor, order_number(order))
        form = filled(form.model_copy(update=kept(found)), found.order)
    return show_form(request, application, actor, form)


@router.post("/studies/new/order/read", dependencies=[permission(Action.FABRICATE)])
def read(
    request: Request,
    actor: CurrentActor,
    application: CurrentApplication,
    message: Annotated[str, Form()] = "",
    origin: Annotated[str, Form()] = "",
    which: Annotated[int, Form()] = 0,
    upload: Annotated[UploadFile | None, File()] = None,
) -> Response:
    """What a message says, in the form; nothing is kept."""
    from dicomfab.hl7.character_sets import decoded

    notes: tuple[str, ...] = ()
    data = upload.file.read(MAX_BYTES + 1) if upload is not None and upload.filename else b""
    if data:
        message, notes = decoded(data)
    form = StudyForm(
        recipe="", tab=ORDER, message=message, is_test=origin == str(Environment.TEST), which=max(0, which)
    )
    try:
        orders = application.orders.read(actor, message)
        form = filled(form, orders[min(form.which, len(orders) - 1)])
    except InvalidInput as error:
        # Still to be read: the message goes back into its field.
        return show_form(request, application, actor, form, error, orders=(), order=None, unread=message)
    more = {**shown_order(application, actor, form), "reading_notes": notes}
    return show_form(request, application, actor, form, **more)


@router.post("/studies/new/order/keep", dependencies=[permission(Action.FABRICATE)])
def keep(form: Annotated[StudyForm, Form()], actor: CurrentActor, application: CurrentApplication) -> Response:
    """Keep the orders of a message without making a study."""
    added = application.orders.add(actor, form.message, environment_of(form))
    return RedirectResponse(f"/orders/{added[0].number}" if len(added) == 1 else "/orders", status_code=303)


def _proposed(found: StoredOrder) -> str:
    made = proposal(found.order, found.environment)
    return f"{ALL_KINDS[made.kind].title}: {made.why}" if made.kind else made.why
