"""The audit log."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query, Request
from pydantic import Field

from dicomfab.access.policy import Action
from dicomfab.app.audit_words import audit_filter
from dicomfab.app.plain import verification_dict
from dicomfab.model.audit import EventKind, Outcome
from dicomfab.model.values import Environment
from dicomfab.services.audit import entry_values
from dicomfab.storage.audit_anchors import Anchor
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.api.shared import Given, Limit, Listed, Told, resource

router = resource("audit")


class AuditEntry(Told):
    """One entry; what is blank of it is left out."""

    seq: int = Field(description="Its number; the first one is 1.")
    kind: EventKind
    mac: str


class Anchors(Given):
    """What was kept elsewhere, so that an end that was cut off is missed."""

    anchors: list[str] = Field([], max_length=1000, description="Each as SEQ:MAC.", examples=[[]])


class Verification(Told):
    """Whether the audit log is as it was written."""

    ok: bool
    entries: int
    first: int | None
    anchor: str | None = Field(description="Keep it elsewhere, and give it the next time.")
    anchors_compared: int
    earlier_keys: list[dict[str, Any]] = Field(
        description="Until which entry an earlier key was used, and whether those entries were checked with it."
    )
    broken: dict[str, Any] | None


@router.get("", response_model=Listed[AuditEntry], dependencies=[permission(Action.READ_AUDIT)])
def every(
    request: Request,
    actor: CurrentActor,
    application: CurrentApplication,
    who: str = "",
    kind: Annotated[list[EventKind], Query(description="Again for more.")] = [],  # noqa: B006
    outcome: Annotated[list[Outcome], Query(description="Again for more.")] = [],  # noqa: B006
    since: Annotated[str, Query(description="A day or a moment, ISO 8601.")] = "",
    until: Annotated[str, Query(description="The same; a day is meant to its end.")] = "",
    environment: Environment | None = None,
    text: str = "",
    limit: Limit = 50,
    before: Annotated[int | None, Query(ge=1, lt=2**63, description="Only entries with a smaller number.")] = None,
) -> Any:
    """List entries, the newest first; that you read them becomes an entry, too."""
    wanted = audit_filter(
        actor=who, kinds=kind, outcomes=outcome, since=since, until=until, environment=environment or "", text=text
    )
    page = application.audit.page(actor, wanted, limit=limit, before=before)
    address = None
    if len(page.entries) == limit and page.entries[-1].seq > 1:
        url = request.url.include_query_params(before=page.entries[-1].seq)
        address = f"{url.path}?{url.query}"
    return {"items": [entry_values(entry) for entry in page.entries], "total": page.total, "next": address}


@router.get("/{seq}", response_model=AuditEntry, dependencies=[permission(Action.READ_AUDIT)])
def show(
    seq: Annotated[int, Path(ge=1, lt=2**63, description="Number of the entry.")],
    actor: CurrentActor,
    application: CurrentApplication,
) -> Any:
    """Show everything that was recorded in one entry."""
    return entry_values(application.audit.show(actor, seq))


@router.post("/verify", response_model=Verification, dependencies=[permission(Action.READ_AUDIT)])
def verify(body: Anchors, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Check that no entry was edited, removed or cut off."""
    return verification_dict(application.audit.verify(actor, *(Anchor.parse(one) for one in body.anchors)))
