"""Lists of studies: pasted or uploaded, looked up on many servers, moved or fetched by a job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Form, Request, UploadFile
from starlette.responses import RedirectResponse, Response, StreamingResponse

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.model.actor import Actor
from dicomfab.model.errors import InvalidInput
from dicomfab.services import search_export
from dicomfab.services.jobs.service import IN_THE_BACKGROUND
from dicomfab.services.query_list import ListQuery, table
from dicomfab.services.search_export import KINDS
from dicomfab.services.study_list import ListedStudy, read_list
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.jobs import to_job
from dicomfab.web.list_runs import ListRun, ListRuns
from dicomfab.web.query import chosen_destination
from dicomfab.web.query_rows import rows_of
from dicomfab.web.query_servers import offered
from dicomfab.web.templating import page
from dicomfab.web.uploads import text_of

router = APIRouter(prefix="/query/list")

#: What the lines of a list are; ``csv`` has a heading line that says so.
CONTENTS: Final = {
    "accession_number": "Accession numbers",
    "patient_id": "Patient IDs",
    "study_instance_uid": "Study Instance UIDs",
    "csv": "CSV with a heading line",
}
SHOWN_ROWS: Final = 500
_MOST_MB: Final = 5


@dataclass(frozen=True, slots=True)
class Given:
    """What the form holds.

    Args:
        contents: a key of :data:`CONTENTS`.
        text: a row a line.
        pacs: ids of servers to be asked.
        source, destination: ids of servers; without a destination, the local store.
    """

    contents: str = "accession_number"
    text: str = ""
    pacs: tuple[str, ...] = ()
    source: str = ""
    destination: str = ""

    def rows(self, file: UploadFile | None) -> list[ListedStudy]:
        """The rows of the file, if there is one, else of the text.

        Raises:
            InvalidInput: what cannot be used, each row by its line.
        """
        text = self.text
        if file is not None and file.filename:
            text = text_of(file, most_mb=_MOST_MB, remedy="save it as CSV UTF-8 or as plain text")
        if not text.strip():
            raise InvalidInput("text: paste a list, or choose a file", field="text", value="")
        if self.contents != "csv":
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            text = "\n".join([self.contents, *(_cell(line) for line in lines)])
        return read_list(text, source="list")


def _cell(text: str) -> str:
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def _given(
    contents: Annotated[str, Form()] = "accession_number",
    text: Annotated[str, Form()] = "",
    pacs: Annotated[list[str] | None, Form()] = None,
    source: Annotated[str, Form()] = "",
    destination: Annotated[str, Form()] = "",
) -> Given:
    return Given(
        contents if contents in CONTENTS else "csv", text, tuple(filter(None, pacs or ())), source, destination
    )


def _runs(request: Request) -> ListRuns:
    runs: ListRuns = request.app.state.list_runs
    return runs


GivenInForm = Annotated[Given, Depends(_given)]
Runs = Annotated[ListRuns, Depends(_runs)]


@router.get("", dependencies=[permission(Action.QUERY)])
def form(request: Request, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Where a list is pasted; nothing is asked."""
    return _form(request, application, actor, Given())


@router.post("", dependencies=[permission(Action.QUERY)])
def look_up(
    request: Request,
    given: GivenInForm,
    runs: Runs,
    actor: CurrentActor,
    application: CurrentApplication,
    file: UploadFile | None = None,
) -> Response:
    """Begin to ask the servers; the page that follows shows what they say."""
    try:
        rows = given.rows(file)
        if not given.pacs:
            raise InvalidInput("pacs: choose at least one server", field="pacs", value="")
        servers = application.searches.targets(actor, given.pacs)
    except InvalidInput as error:
        return _form(request, application, actor, given, error)
    run_id = runs.begin(ListRun(actor, rows, servers, ListQuery(application.queries, application.database.now)))
    return RedirectResponse(f"/query/list/{run_id}", status_code=303)


@router.post("/move", dependencies=[permission(Action.STORE)])
def move(
    request: Request,
    given: GivenInForm,
    actor: CurrentActor,
    application: CurrentApplication,
    file: UploadFile | None = None,
    confirm_name: Annotated[str, Form()] = "",
) -> Response:
    """Submit a job that looks for each row on the source and moves it; what is ambiguous is held back there."""
    try:
        rows = given.rows(file)
        source = application.pacs.get(actor, _source(given))
        end = chosen_destination(application, actor, given.destination, confirm_name=confirm_name)
    except InvalidInput as error:
        return _form(request, application, actor, given, error)
    job = application.jobs.move(
        actor, rows, source, end, confirm_production=end.is_production, options=IN_THE_BACKGROUND
    )
    return to_job(application, job)


@router.post("/get", dependencies=[permission(Action.RETRIEVE)])
def get(
    request: Request,
    given: GivenInForm,
    actor: CurrentActor,
    application: CurrentApplication,
    file: UploadFile | None = None,
) -> Response:
    """Submit a job that looks for each row on the source and fetches it."""
    try:
        rows = given.rows(file)
        source = application.pacs.get(actor, _source(given))
    except InvalidInput as error:
        return _form(request, application, actor, given, error)
    return to_job(application, application.jobs.get(actor, rows, source, options=IN_THE_BACKGROUND))


@router.get("/{run_id}", dependencies=[permission(Action.QUERY)])
def show(request: Request, run_id: str, runs: Runs, actor: CurrentActor) -> Response:
    """How far it has come, and then which server holds what."""
    run = runs.get(actor, run_id)
    chosen = rows_of(request.query_params.getlist("row"))
    shown = {f"{s.id}|{u}" for one in run.found[:SHOWN_ROWS] for s, a in zip(run.servers, one.answers, strict=True)
             for u in a.studies}  # fmt: skip
    context: dict[str, Any] = {
        "run": run,
        "run_id": run_id,
        "chosen": chosen,
        "elsewhere": [row for row in chosen if row not in shown],
        "most": SHOWN_ROWS,
        "kinds": tuple(KINDS),
    }
    return page(request, "query/looked_up.html", context)


@router.post("/{run_id}/stop", dependencies=[permission(Action.QUERY)])
def stop(run_id: str, runs: Runs, actor: CurrentActor) -> Response:
    """End it before the next row; what was not asked says so."""
    runs.get(actor, run_id).stop()
    return RedirectResponse(f"/query/list/{run_id}", status_code=303)


@router.get("/{run_id}/export", dependencies=[permission(Action.QUERY)])
def export(run_id: str, kind: str, runs: Runs, actor: CurrentActor) -> Response:
    """All rows as a file."""
    run = runs.get(actor, run_id)
    write = search_export.writer(kind)
    headers = {"Content-Disposition": f'attachment; filename="list.{kind}"'}
    return StreamingResponse(write(table(run.servers, run.found)), media_type=KINDS[kind], headers=headers)


def _source(given: Given) -> str:
    if not given.source:
        raise InvalidInput("source: choose the server that holds the studies", field="source", value="")
    return given.source


def _form(
    request: Request, application: Application, actor: Actor, given: Given, error: InvalidInput | None = None
) -> Response:
    servers = offered(application, actor)
    everyone = application.pacs.servers(actor)
    own: Sequence[str] = ("contents", "text", "file", "pacs", "source", "destination", "confirm_name")
    wrong = error.field if error else ""
    context = {
        "given": given,
        "offered": servers,
        "asked": servers.chosen(given.pacs or servers.ids("test")),
        "everyone": everyone,
        "sources": [("", "Choose a server …"), *((s.id, f"{s.name} ({s.environment})") for s in everyone)],
        "contents": CONTENTS,
        "error": error,
        "wrong": "text" if wrong in ("list", "file") else wrong if wrong in own else "",
    }
    return page(request, "query/list.html", context, status_code=400 if error else 200)
