"""Searches over many PACS servers: begun, followed, read page by page, exported."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Path, Query, Request, Response
from pydantic import Field
from starlette.responses import StreamingResponse

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.app.plain import answer_dict, merged_dict
from dicomfab.model.actor import Actor
from dicomfab.model.query import DEFAULT_LIMIT
from dicomfab.registry.fields import Capability
from dicomfab.services.search import View
from dicomfab.services.search_export import KINDS
from dicomfab.services.study_filter import StudyFilter
from dicomfab.storage.searches import StoredSearch
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.api.shared import PREFIX, Given, Limit, Listed, Offset, Told, WaitS, listed, resource, wait_until

router = resource("queries")

QueryId = Annotated[str, Path(description="Id of the query.", max_length=100)]
Text = Annotated[str, Field(max_length=1000)]


class NewQuery(Given):
    """A search; blank fields do not narrow. See the query guide for wildcards, dates and further keys."""

    servers: list[str] = Field(
        [], max_length=500, description="Ids or names; all active ones that answer C-FIND if left out."
    )
    patient_name: Text = Field("", description="* and ? are wildcards.", examples=["DOE*"])
    patient_id: Text = ""
    accession_number: Text = ""
    date: Text = Field("", description="A date, A..B, today, yesterday, 'last 7 days'.", examples=["today"])
    date_from: Text = ""
    date_to: Text = ""
    modality: Text = Field("", examples=["CT"])
    study_description: Text = ""
    level: Text = Field("study", description="patient, study, series or instance.", examples=["study"])
    study_instance_uid: Text = ""
    series_instance_uid: Text = ""
    sop_instance_uid: Text = ""
    keys: list[Text] = Field(
        [], max_length=100, description="Further keys, KEYWORD=VALUE.", examples=[["PatientSex=F"]]
    )
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=10_000_000, description="Matches of each server.")
    via: Text = Field("", description="dimse, or web for DICOMweb; blank: as the entry of each server says.")


class ServerAnswer(Told):
    """What one server said, without its matches."""

    server: str
    name: str
    environment: str
    state: str = Field(description="waiting until it has answered; ok or warning; else why it failed.")
    seconds: float
    found: int
    truncated: bool = Field(description="There were more than the limit.")
    error: dict[str, Any] | None
    warning: str
    notes: list[str]


class StartedQuery(Told):
    """A query and how far it is; its results are kept for a day."""

    id: str
    state: str = Field(description="new, running or done.")
    found: int
    columns: list[str] = Field(description="Keywords of the values of each match.")
    servers: list[ServerAnswer]


class Match(Told):
    """A match of one server, or with merged=true one that several have."""

    values: dict[str, str | None] = Field(description="By keyword; null if the server did not say.")


@router.post("", status_code=202, response_model=StartedQuery, dependencies=[permission(Action.QUERY)])
def begin(
    body: NewQuery, response: Response, actor: CurrentActor, application: CurrentApplication, wait_s: WaitS = 0
) -> Any:
    """Begin a query, and wait for it if wanted; a server that fails is told, and never looks as if it had nothing."""
    service = application.searches
    labels = body.servers or [
        one.id for one in application.pacs.servers(actor) if one.is_active and one.can(Capability.FIND)
    ]
    given = body.model_dump(exclude={"servers", "limit", "via"})
    wanted = StudyFilter(**{**given, "keys": tuple(body.keys)})
    search_id = service.begin(actor, service.targets(actor, labels), wanted, body.limit, via=body.via)
    service.start(actor, search_id)
    response.headers["Location"] = f"{PREFIX}/queries/{search_id}"
    return _told(application, actor, search_id, wait_s)


@router.get("/{query_id}", response_model=StartedQuery, dependencies=[permission(Action.QUERY)])
def show(query_id: QueryId, actor: CurrentActor, application: CurrentApplication, wait_s: WaitS = 0) -> Any:
    """Show how far a query is, at once, or when it has ended or `wait_s` seconds are over."""
    application.searches.get(actor, query_id)
    return _told(application, actor, query_id, wait_s)


@router.get("/{query_id}/results", response_model=Listed[Match], dependencies=[permission(Action.QUERY)])
def results(
    request: Request,
    query_id: QueryId,
    actor: CurrentActor,
    application: CurrentApplication,
    server: Annotated[str, Query(description="Only of this server, by id.")] = "",
    text: Annotated[str, Query(description="Each word occurs somewhere in a row.")] = "",
    sort: Annotated[str, Query(description="A keyword of the columns.")] = "",
    descending: bool = False,
    merged: Annotated[bool, Query(description="The same study on several servers is one item.")] = False,
    limit: Limit = 50,
    offset: Offset = 0,
) -> Any:
    """List results, filtered and sorted here; no server is asked again."""
    view = View(server, text, sort, descending, merged, size=limit, skip=offset)
    page = application.searches.page(actor, query_id, view)
    items = [merged_dict(row) for row in page.merged] if merged else [row.match.as_dict() for row in page.rows]
    return listed(request, items, page.total, limit, offset)


@router.get(
    "/{query_id}/export",
    response_class=StreamingResponse,
    responses={200: {"content": {kind: {} for kind in KINDS.values()}, "description": "The file."}},
    dependencies=[permission(Action.QUERY)],
)
def export(
    query_id: QueryId,
    actor: CurrentActor,
    application: CurrentApplication,
    kind: Literal["csv", "json", "xlsx"] = "csv",
    merged: bool = False,
) -> StreamingResponse:
    """Export all results as a file."""
    pieces = application.searches.export(actor, query_id, kind, View(merged=merged))
    headers = {"Content-Disposition": f'attachment; filename="query.{kind}"'}
    return StreamingResponse(pieces, media_type=KINDS[kind], headers=headers)


@router.delete("/{query_id}", status_code=204, dependencies=[permission(Action.QUERY)])
def forget(query_id: QueryId, actor: CurrentActor, application: CurrentApplication) -> None:
    """Forget the results of a query."""
    application.searches.forget(actor, query_id)


def _told(application: Application, actor: Actor, search_id: str, wait_s: float) -> dict[str, Any]:
    service = application.searches

    def has_ended() -> bool:
        search = service.get(actor, search_id)
        return search.state == "done" or service.failure(search) is not None

    wait_until(has_ended, wait_s)
    search: StoredSearch = service.get(actor, search_id)
    failure = service.failure(search)
    if failure is not None:
        raise failure
    answers = [answer_dict(answer) for answer in search.answers]
    return {
        "id": search.id,
        "state": search.state,
        "found": sum(answer.found for answer in search.answers),
        "columns": list(search.columns),
        "servers": answers,
    }
