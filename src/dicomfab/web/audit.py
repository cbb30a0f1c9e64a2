"""The audit log: entries in a list, one on a page of its own, all in a file, and whether the chain is whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from dicomfab.access.policy import Action
from dicomfab.app import audit_delivery_words
from dicomfab.app.audit_words import OUTCOME_WORDS, audit_filter, facts, what
from dicomfab.app.build import Application
from dicomfab.model.actor import Actor
from dicomfab.model.audit import EventKind, Outcome
from dicomfab.model.errors import InvalidInput
from dicomfab.services.audit import EXPORTS
from dicomfab.storage.audit import AuditFilter
from dicomfab.storage.audit_chain import Verification
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.errors import status_of
from dicomfab.web.templating import capitalize_first, page

PAGE_SIZE: Final = 50
_LARGEST_NUMBER: Final = 2**62

router = APIRouter(prefix="/audit", dependencies=[permission(Action.READ_AUDIT)])


@dataclass(frozen=True, slots=True)
class Listing:
    """Which entries are shown, as the address of the page holds it."""

    actor: str
    kind: str
    outcome: str
    since: str
    until: str
    environment: str
    text: str
    before: int | None

    @property
    def parameters(self) -> dict[str, Any]:
        """For an address that shows the same, from the newest on; what is blank is left out."""
        names = ("actor", "kind", "outcome", "since", "until", "environment", "text")
        return {name: getattr(self, name) for name in names if getattr(self, name)}

    def filter(self) -> AuditFilter:
        """The same for the log.

        Raises:
            InvalidInput: a day or a word that is none.
        """
        words = self.parameters
        kinds, outcomes = (words.pop("kind", ""),), (words.pop("outcome", ""),)
        return audit_filter(kinds=kinds, outcomes=outcomes, **words)


def listing_of(
    actor: str = "",
    kind: str = "",
    outcome: str = "",
    since: str = "",
    until: str = "",
    environment: str = "",
    text: str = "",
    before: Annotated[int | None, Query(ge=1, lt=_LARGEST_NUMBER)] = None,
) -> Listing:
    """Read the listing from the address."""
    return Listing(
        actor=actor.strip(),
        kind=kind,
        outcome=outcome,
        since=since.strip(),
        until=until.strip(),
        environment=environment,
        text=text.strip(),
        before=before,
    )


CurrentListing = Annotated[Listing, Depends(listing_of)]


@router.get("")
def overview(
    request: Request, listing: CurrentListing, actor: CurrentActor, application: CurrentApplication
) -> Response:
    """One page of the entries, the newest first; that it was read becomes an entry."""
    return _list(request, listing, actor, application)


@router.post("/verify")
def verify(request: Request, listing: CurrentListing, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Check the whole log, and show what was found above the entries."""
    return _list(request, listing, actor, application, verified=application.audit.verify(actor))


@router.get("/export")
def export(
    listing: CurrentListing, actor: CurrentActor, application: CurrentApplication, form: str = "csv"
) -> Response:
    """The entries as a file: all pages of the list, the oldest first."""
    pieces = application.audit.export(actor, listing.filter(), form)
    headers = {"Content-Disposition": f'attachment; filename="audit.{form}"', "Cache-Control": "no-store"}
    return StreamingResponse(pieces, media_type=EXPORTS[form], headers=headers)


@router.get("/delivery")
def delivery(request: Request, actor: CurrentActor, application: CurrentApplication) -> Response:
    """How far the delivery to the syslog receiver is: the part of the page that is asked for again and again."""
    return page(request, "audit/delivery.html", _delivery(application, actor))


@router.get("/{seq}")
def show(
    request: Request,
    seq: Annotated[int, Path(ge=1, lt=_LARGEST_NUMBER)],
    actor: CurrentActor,
    application: CurrentApplication,
) -> Response:
    """Everything that an entry says."""
    entry = application.audit.show(actor, seq)
    message = application.audit.message(entry, for_reading=True)
    context = {"entry": entry, "facts": facts(entry.event), "what": what, "message": message}
    return page(request, "audit/show.html", context)


def _delivery(application: Application, actor: Actor) -> dict[str, Any]:
    words = audit_delivery_words
    return {
        "gauge": application.audit.delivery(actor),
        "delivery_verdict": words.verdict,
        "delivery_facts": words.facts,
    }


def _list(
    request: Request,
    listing: Listing,
    actor: Actor,
    application: Application,
    verified: Verification | None = None,
) -> Response:
    context: dict[str, Any] = {
        "listing": listing,
        "verified": verified,
        "found": None,
        "gauge": None,
        "error": None,
        "what": what,
        "outcomes": OUTCOME_WORDS,
        "kind_words": [(str(kind), capitalize_first(kind.replace("-", " "))) for kind in EventKind],
        "outcome_words": [(str(one), capitalize_first(OUTCOME_WORDS[one])) for one in Outcome],
    }
    try:
        wanted = listing.filter()
    except InvalidInput as error:
        return page(request, "audit/list.html", {**context, "error": error}, status_code=status_of(error))
    found = application.audit.page(actor, wanted, limit=PAGE_SIZE, before=listing.before)
    context |= _delivery(application, actor)  # with the entry that it was read
    is_full = len(found.entries) == PAGE_SIZE and found.entries[-1].seq > 1
    return page(request, "audit/list.html", {**context, "found": found, "has_older": is_full})
