"""HL7 messages that came and went: all in a list, each with what was read from it and what became of it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.hl7.character_sets import decoded
from dicomfab.model.actor import Actor
from dicomfab.model.errors import InvalidInput, PeerError
from dicomfab.model.hl7_message import Direction, Hl7Message, MessageState
from dicomfab.model.order import Order
from dicomfab.storage.hl7_messages import MessageFilter
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.listing import PAGE_SIZE, Number, page_count, page_number
from dicomfab.web.message_view import lines_of, segments_of
from dicomfab.web.templating import page

#: State -> class and symbol of how it is shown.
LOOKS: Final = {
    MessageState.KEPT: ("quiet", "hourglass-split"),
    MessageState.APPLIED: ("good", "check-circle-fill"),
    MessageState.REFUSED: ("bad", "x-octagon-fill"),
    MessageState.WAITING: ("quiet", "hourglass-split"),
    MessageState.SENT: ("good", "send-check-fill"),
    MessageState.FAILED: ("bad", "x-octagon-fill"),
}

router = APIRouter(prefix="/messages")


@dataclass(frozen=True, slots=True)
class Listing:
    """Which messages are shown, as the address of the page holds it."""

    search: str
    state: str
    direction: str
    number: int

    @property
    def parameters(self) -> dict[str, Any]:
        """For an address that shows the same; what is as usual is left out."""
        number = "" if self.number == 1 else self.number
        return {"q": self.search, "state": self.state, "direction": self.direction, "page": number}

    @property
    def is_narrowed(self) -> bool:
        """Whether some messages are left out."""
        return any((self.search, self.state, self.direction))

    @property
    def filter(self) -> MessageFilter:
        """The same for the ledger."""
        states = frozenset({MessageState(self.state)} if self.state else ())
        return MessageFilter(self.search, states, Direction(self.direction) if self.direction else None)


def listing_of(q: str = "", state: str = "", direction: str = "", page: str = "1") -> Listing:
    """Read the listing from the address; what makes no sense there is taken as absent."""
    known_state = state if state in set(MessageState) else ""
    return Listing(q.strip(), known_state, direction if direction in set(Direction) else "", page_number(page))


@router.get("", dependencies=[permission(Action.VIEW)])
def overview(
    request: Request,
    listing: Annotated[Listing, Depends(listing_of)],
    actor: CurrentActor,
    application: CurrentApplication,
) -> Response:
    """One page of the messages, the newest first."""
    offset = (listing.number - 1) * PAGE_SIZE
    found = application.ordering.messages.page(actor, listing.filter, limit=PAGE_SIZE, offset=offset)
    context = {
        "found": found,
        "listing": listing,
        "pages": page_count(found.total),
        "states": [("", "Any state"), *((str(one), str(one)) for one in MessageState)],
        "directions": [("", "In and out"), ("in", "Came in"), ("out", "Went out")],
        "looks": LOOKS,
    }
    return page(request, "messages/list.html", context)


@router.get("/{number}", dependencies=[permission(Action.VIEW)])
def show(request: Request, number: Number, actor: CurrentActor, application: CurrentApplication) -> Response:
    """One message: what became of it, its segments with what was read from them, and the acknowledgement."""
    found = application.ordering.messages.show(actor, number)
    text, notes = decoded(found.data)
    orders = _read(application, actor, found)
    context = {
        "found": found,
        "text": lines_of(text),
        "notes": notes,
        "acknowledgement": lines_of(found.acknowledgement),
        "segments": segments_of(text, orders),
        "answer": segments_of(found.acknowledgement),
        "delivery": application.ordering.messages.delivery(actor, number),
        "procedures": application.ordering.schedule.of_message(actor, found),
        "looks": LOOKS,
    }
    return page(request, "messages/show.html", context)


@router.post("/{number}/resend", dependencies=[permission(Action.STORE)])
def resend(number: Number, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Send a message that failed once more; the page that it leads to says what was answered."""
    with suppress(PeerError):  # the ledger says it
        application.ordering.messages.resend(actor, number)
    return RedirectResponse(f"/messages/{number}", status_code=303)


def _read(application: Application, actor: Actor, found: Hl7Message) -> tuple[Order, ...]:
    try:
        return application.orders.said_by(actor, found)
    except InvalidInput:  # it was refused for that, and is shown as it came
        return ()
