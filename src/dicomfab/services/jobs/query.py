"""Query jobs: a search over many servers, an item for each; its results are kept as those of any other search."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dicomfab.model.actor import Actor
from dicomfab.model.errors import DicomFabError, InvalidInput, NotFound, Recorded
from dicomfab.model.job import ItemOutcome, ItemState, Job, JobEvent, JobItem, JobKind, NewItem, NewJob
from dicomfab.model.query import DEFAULT_LIMIT
from dicomfab.model.values import Environment
from dicomfab.registry import fields
from dicomfab.services.jobs.run import JobRun, Result
from dicomfab.services.jobs.service import priority_of
from dicomfab.services.query import AnswerState, Asked, ServerAnswer, Unseen, check
from dicomfab.services.search import SearchService
from dicomfab.services.study_filter import StudyFilter
from dicomfab.storage.jobs import JobRepository
from dicomfab.storage.searches import new_id


def query_job(
    actor: Actor,
    servers: Sequence[Asked],
    search: StudyFilter,
    *,
    limit: int = DEFAULT_LIMIT,
    via: str = "",
    store_id: str,
    priority: int = 5,
    max_attempts: int = 1,
) -> tuple[NewJob, list[NewItem]]:
    """A search to be submitted, after everything that can be refused beforehand has been looked at.

    Args:
        actor: who asks; a server that he may not query fails as an item.
        servers: whom to ask.
        search: what for; a shortcut of a date, such as ``today``, counts from the day on which the job runs.
        limit: matches per server.
        via: the way that all are asked, ``dimse`` or ``web``; blank means each its own.
        store_id: of the local store, beside which the results are kept.
        priority: 1 (first) to 9.
        max_attempts: how often in a row it is begun when servers fail for a reason that may pass.

    Raises:
        InvalidInput: no server is named, a field of the search cannot be used, or it is too wide for production.
    """
    if not servers:
        raise InvalidInput("pacs: no server is named", field="pacs", value=[], remedy="name at least one")
    check(actor, servers, search, limit)
    if via:
        fields.via(via, "via")
    several = f"{len(servers)} servers" if len(servers) > 1 else servers[0].name
    # A server that the actor does not see counts for nothing here: he has to see his own job.
    is_prod = any(server.environment is Environment.PROD for server in servers)
    job = NewJob(
        kind=JobKind.QUERY,
        title=f"Query {several}, {search.level} level",
        owner=actor.name,
        roles=tuple(sorted(actor.roles)),
        door=actor.door,
        account_id=actor.account_id,
        environment=str(Environment.PROD if is_prod else Environment.TEST),
        # A server that the actor does not see is not asked; and a queue of its own would tell him its name.
        queue=f"pacs:{servers[0].id}" if len(servers) == 1 and not isinstance(servers[0], Unseen) else "local",
        request={
            "filter": {**asdict(search), "keys": list(search.keys)},
            "limit": limit,
            "search": new_id(),
            **({"via": via} if via else {}),
        },
        store_id=store_id,
        priority=priority,
        max_attempts=max_attempts,
    )
    return job, [NewItem(server.id, server.name) for server in servers]


@dataclass(frozen=True, slots=True)
class QueryJobs:
    """Submits query jobs.

    Args:
        ledger: where jobs are kept.
        store_id: identity of the local store.
    """

    ledger: JobRepository
    store_id: Callable[[], str]

    def submit(
        self,
        actor: Actor,
        servers: Sequence[Asked],
        search: StudyFilter,
        *,
        limit: int = DEFAULT_LIMIT,
        via: str = "",
        priority: int = 5,
        max_attempts: int = 1,
    ) -> Job:
        """Submit a search; see :func:`query_job`."""
        new, items = query_job(
            actor,
            servers,
            search,
            limit=limit,
            via=via,
            store_id=self.store_id(),
            priority=priority_of(priority),
            max_attempts=max_attempts,
        )
        return self.ledger.find(self.ledger.submit(new, items))


@dataclass(frozen=True, slots=True)
class QueryExecutor:
    """Does query jobs.

    Args:
        searches: asks the servers, and keeps what they say.
    """

    searches: SearchService

    def __call__(self, run: JobRun) -> Result:
        """Ask the servers that have not answered yet, all at once.

        Those that ended with a warning are asked again too, and all of them if what they said is not kept any more.
        Servers that fail for a reason that may pass are asked again later, if somebody comes again; they alone.

        Raises:
            InvalidInput: the search has become too wide, since a server is in production now.
            LocalFailure: the results cannot be kept.
            DicomFabError: a failure that may pass, and somebody comes again; the items say what was done.
        """
        every = run.items()
        servers = {item.key: self._server(run.actor, item.key) for item in every}
        is_new = self._begin_if_gone(run, list(servers.values()))
        asked = {item.key: item for item in every if item.state is not ItemState.FAILED and (is_new or _is_open(item))}
        run.note([], begin=[item.number for item in asked.values() if item.state is not ItemState.DONE])
        run.stage(f"asking {len(asked)} servers")
        late: dict[str, ServerAnswer] = {}
        answers = self.searches.ask_again(
            run.actor, run.job.request["search"], [servers[key] for key in asked], cancelled=run.stopped
        )
        for answer in answers:
            if answer.error is not None and answer.error.transient and answer.state is not AnswerState.STOPPED:
                late[answer.server.id] = answer
            else:
                _note(run, asked[answer.server.id], answer)
        comes_again = run.stopped() or run.failures_in_a_row < run.job.max_attempts
        for key, answer in late.items():
            _note(run, asked[key], answer, comes_again=comes_again)
        waiting = [asked[key] for key in late if asked[key].state is not ItemState.DONE]
        if waiting and comes_again and not run.stopped():
            raise _failed(waiting[0].label, late[waiting[0].key].error, len(late), len(every))
        return _result(run)

    def _begin_if_gone(self, run: JobRun, servers: Sequence[Asked]) -> bool:
        """Begin the search if its results are not there, or not there any more."""
        request = run.job.request
        try:
            self.searches.get(run.actor, request["search"])
        except NotFound:
            wanted = filter_of(request["filter"])
            via = request.get("via", "")
            self.searches.begin(run.actor, servers, wanted, request["limit"], request["search"], via=via)
            return True
        return False

    def _server(self, actor: Actor, key: str) -> Asked:
        """The server as it is now; one that is there no more is answered for by that."""
        try:
            found = self.searches.targets(actor, [key])[0]
        except NotFound as error:
            return Unseen(key, error)
        return found if found.id == key else Unseen(key, _other(key))


def filter_of(values: Mapping[str, Any]) -> StudyFilter:
    """The search that a job's request holds.

    Raises:
        InvalidInput: a value is no field of a search.
    """
    try:
        return StudyFilter(**{**values, "keys": tuple(values.get("keys", ()))})
    except TypeError as error:
        raise InvalidInput(
            f"filter: {sorted(values)} are no fields of a search",
            field="filter",
            value=sorted(values),
            remedy="make it anew: dicomfab query, or dicomfab schedule add query",
        ) from error


def _is_open(item: JobItem) -> bool:
    return item.state is not ItemState.DONE or item.detail["answer"]["state"] == AnswerState.WARNING


def _note(run: JobRun, item: JobItem, answer: ServerAnswer, *, comes_again: bool = False) -> None:
    if answer.error is None:
        state = ItemState.DONE
    elif answer.state is AnswerState.STOPPED or (comes_again and item.state is not ItemState.DONE):
        state = ItemState.PENDING
    else:
        state = ItemState.FAILED
    detail: dict[str, Any] = {"answer": _answer_dict(answer), "why": _why(answer)}
    if answer.error is not None:
        detail["error"] = answer.error.as_dict()
    status = getattr(answer.error, "status", None)
    outcome = ItemOutcome(item.number, state, f"{status:04X}" if isinstance(status, int) else "", detail)
    if item.state is not ItemState.DONE:
        run.note([outcome])
    elif state is not ItemState.PENDING:  # what was noted before holds until it is asked again
        run.revise([outcome])


def _answer_dict(answer: ServerAnswer) -> dict[str, Any]:
    return {
        "server": answer.server.id,
        "name": answer.server.name,
        "environment": str(answer.server.environment),
        "state": str(answer.state),
        "found": answer.found,
        "truncated": answer.truncated,
        "seconds": round(answer.seconds, 3),
        "warning": answer.warning,
        "notes": list(answer.notes),
        "via": answer.server.via,
    }


def _why(answer: ServerAnswer) -> str:
    if answer.error is not None:
        return answer.error.what
    found = f"the first {answer.found} of more" if answer.truncated else f"{answer.found} found"
    return f"{found}; {answer.warning}" if answer.warning else found


def _result(run: JobRun) -> Result:
    items = run.items()
    report = {"servers": [_reported(item) for item in items if "answer" in item.detail]}
    if any(item.state in (ItemState.PENDING, ItemState.UNDER_WAY) for item in items):
        return Result(None, report)
    failed = [item for item in items if item.state is ItemState.FAILED]
    if failed:
        # What the actor may not do says less than what a server failed to do.
        worst = next((i for i in failed if i.detail["answer"]["state"] != AnswerState.NOT_ALLOWED), failed[0])
        error = Recorded(worst.detail["error"])
        return Result(JobEvent.FAIL, report, _failed(worst.label, error, len(failed), len(items)))
    warned = any(item.detail["answer"]["state"] == AnswerState.WARNING for item in items)
    return Result(JobEvent.DOUBT if warned else JobEvent.SUCCEED, report)


def _reported(item: JobItem) -> dict[str, Any]:
    return {**item.detail["answer"], "error": item.detail.get("error")}


def _failed(name: str, error: DicomFabError | None, failed: int, of: int) -> DicomFabError:
    """Why the search is not complete: of one failure, with how many there are."""
    if error is None:
        raise RuntimeError("a server that failed has no error")
    if of == 1:
        return error
    others = f"{failed} of {of} servers did not answer; {name}: {error.what}"
    return Recorded({**error.as_dict(), "what": others})


def _other(key: str) -> NotFound:
    return NotFound(
        f"{key} is not the id of a server any more.",
        cause="the server was renamed, or another role sees it",
        remedy="search again",
    )
