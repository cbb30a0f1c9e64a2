"""HL7 orders that are kept."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Path, Query, Request, Response
from pydantic import BaseModel, Field

from dicomfab.access.policy import Action
from dicomfab.app.plain_orders import order_details, order_dict
from dicomfab.model.order import OrderField, OrderState
from dicomfab.model.values import Environment
from dicomfab.storage.orders import MadeStudy, OrderFilter
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.api.shared import Given, Limit, Listed, Offset, Told, listed, resource, told_model

router = resource("orders")

#: Of a pasted message; more is not read anyway.
MOST_CHARACTERS: Final = 10 << 20

Number = Annotated[int, Path(ge=1, lt=2**63, description="Its number.")]
Search = Annotated[
    str, Query(description="Words, each in name, ID, accession number, description or another identifier.")
]
Accession = Annotated[str, Query(description="AccessionNumber (0008,0050), exactly.", examples=["A100"])]
OfEnvironment = Annotated[Environment | None, Query(description="Only of this environment.")]

Value: Any = told_model("OrderValue", OrderField)
Made: Any = told_model("MadeStudy", MadeStudy)


class Order(Told):
    """An order of a message, or what a message says about a patient."""

    number: int
    environment: Environment
    state: OrderState
    message_type: str = Field(description="Such as ORM^O01.")
    control: str = Field(description="Order control code (ORC-1), such as NW; blank in a message without an order.")
    status: str = Field(description="Order status (ORC-5).")
    control_id: str = Field(description="MSH-10.")
    sender: str = Field(description="Sending application and facility (MSH-3, MSH-4).")
    patient_id: str
    patient_name: str
    accession_number: str
    procedure: int | None = Field(description="Number of the requested procedure; null if nothing was scheduled.")
    added_by: str
    added_at: str


class OrderDetail(Order):
    """An order with all that was read of it, and its message."""

    fields: list[Value]
    notes: list[str] = Field(description="About the message as a whole.")
    studies: list[Made] = Field(description="What was made from it, the oldest first.")
    message: str


class NewOrders(Given):
    """A message with orders."""

    message: str = Field(
        max_length=MOST_CHARACTERS,
        description="HL7 v2 (ORM, OMG, OMI; ADT for the patient alone), its segments on lines of their own.",
        examples=[
            "MSH|^~\\&|RIS|HOSP|||||ORM^O01|M7|T|2.5.1\nPID|1||P7||DOE^JANE\nORC|NW|PL7\n"
            "OBR|1|PL7||CT^CT chest||||||||||||||A7||||||CT"
        ],
    )
    environment: Environment = Field(
        Environment.PROD, description="test only if no real person is in it.", examples=["test"]
    )


class Kept(BaseModel):
    """Orders that were kept."""

    items: list[OrderDetail]


def environments(environment: Environment | None) -> frozenset[Environment]:
    """For a filter."""
    return frozenset(Environment) if environment is None else frozenset({environment})


@router.get("", response_model=Listed[Order], dependencies=[permission(Action.VIEW)])
def every(
    request: Request,
    actor: CurrentActor,
    application: CurrentApplication,
    search: Search = "",
    state: Annotated[list[OrderState], Query(description="Only in this state; again for more.")] = [],  # noqa: B006
    accession_number: Accession = "",
    environment: OfEnvironment = None,
    limit: Limit = 50,
    offset: Offset = 0,
) -> Any:
    """List the orders, the newest first."""
    wanted = OrderFilter(search, frozenset(state), accession_number, environments(environment))
    page = application.orders.page(actor, wanted, limit=limit, offset=offset)
    return listed(request, [order_dict(one) for one in page.orders], page.total, limit, offset)


@router.post("", status_code=201, response_model=Kept, dependencies=[permission(Action.FABRICATE)])
def add(body: NewOrders, response: Response, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Keep the orders of a message and schedule what they ask for; what cannot be scheduled says why in its notes.

    Nothing is answered to the sender, and the message is not recognised when it comes again: for that,
    `POST /api/v1/messages`.
    """
    kept = application.orders.add(actor, body.message, body.environment)
    response.headers["Location"] = f"/api/v1/orders/{kept[0].number}"
    return {"items": [order_details(one) for one in kept]}


@router.get("/{number}", response_model=OrderDetail, dependencies=[permission(Action.VIEW)])
def show(number: Number, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Show an order: each value with where in the message it stands, and what was made from it."""
    return order_details(application.orders.show(actor, number))
