"""The query page's address: what is searched for, whose answers are shown, and which part of them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Annotated, Any

from fastapi import Depends, Query, Request

from dicomfab.model.errors import InvalidInput
from dicomfab.model.query import DEFAULT_LIMIT
from dicomfab.services.search import View
from dicomfab.services.search_saved import SavedSearch
from dicomfab.services.study_filter import StudyFilter
from dicomfab.web.query_rows import rows_of
from dicomfab.web.templating import query_string

LABELS = {
    "level": "Level",
    "patient_name": "Patient name",
    "patient_id": "Patient ID",
    "accession_number": "Accession number",
    "date": "Date",
    "date_from": "Date from",
    "date_to": "Date to",
    "modality": "Modality",
    "study_description": "Description",
    "study_instance_uid": "Study Instance UID",
    "series_instance_uid": "Series Instance UID",
    "sop_instance_uid": "SOP Instance UID",
    "keys": "Further keys",
}

_OPTIONS = {
    "level": "--level",
    "patient_name": "--patient-name",
    "patient_id": "--patient-id",
    "accession_number": "--accession",
    "date": "--date",
    "date_from": "--date-from",
    "date_to": "--date-to",
    "modality": "--modality",
    "study_description": "--description",
    "study_instance_uid": "--study",
    "series_instance_uid": "--series",
    "sop_instance_uid": "--instance",
}
_USUAL_LEVEL = "study"


@dataclass(frozen=True, slots=True)
class Search:
    """The search as the address of the page holds it.

    Args:
        pacs: ids or names of the servers.
        is_asked: the button was pressed: it is made once more.
        id: of the answers to show; blank if none were asked for.
        view: which part of them.
        rows: those that are chosen, as :mod:`dicomfab.web.query_rows` writes them.
    """

    pacs: tuple[str, ...]
    filter: StudyFilter
    limit: int
    is_asked: bool
    id: str = ""
    view: View = field(default_factory=View)
    rows: tuple[str, ...] = ()

    @property
    def parameters(self) -> dict[str, Any]:
        """For an address that asks the same."""
        plain = asdict(self.filter) | {"keys": "\n".join(self.filter.keys)}
        if self.filter.level == _USUAL_LEVEL:
            del plain["level"]
        return {"pacs": list(self.pacs), **plain, "limit": "" if self.limit == DEFAULT_LIMIT else self.limit}

    @property
    def shown(self) -> dict[str, Any]:
        """For an address that shows the same answers in the same way."""
        view = self.view
        chosen = {"server": view.server, "q": view.text, "sort": view.sort, "order": "desc" if view.descending else ""}
        rest = {"merged": 1 if view.merged else "", "page": view.page if view.page > 1 else ""}
        return {**self.parameters, "search": self.id, **chosen, **rest, "row": list(self.rows)}

    def address(self, **changes: Any) -> str:
        """The page with another part of the same answers."""
        return f"/query?{query_string(self.shown, **changes)}"

    @property
    def active(self) -> list[tuple[str, str, str]]:
        """Label and value of the fields that restrict the search, and the address that asks without each."""
        given = self.parameters
        return [
            (LABELS[name], value.replace("\n", ", "), f"/query?{query_string(given, **{name: ''}, run=1)}")
            for name, value in given.items()
            if name in LABELS and value.strip()
        ]

    @property
    def command(self) -> str:
        """The options that ask the same on the command line, each with a space in front."""
        options = [(option, value) for name, option in _OPTIONS.items() if (value := self.parameters.get(name))]
        options += [("--key", key) for key in self.filter.keys]
        servers = [("--pacs", server) for server in self.pacs]
        limit = [] if self.limit == DEFAULT_LIMIT else [("--limit", str(self.limit))]
        merged = " --merged" if self.view.merged else ""
        return "".join(f" {option} {shlex.quote(value)}" for option, value in (*servers, *options, *limit)) + merged

    def saved_as(self, name: str) -> SavedSearch:
        """The search to be kept under a name."""
        return SavedSearch(name, self.pacs, self.filter, self.limit)

    def below(self, saved: SavedSearch) -> Search:
        """The search that was saved, not yet asked."""
        return replace(self, pacs=saved.servers, filter=saved.filter, limit=saved.limit, is_asked=False)


def search_of(
    request: Request,
    pacs: Annotated[tuple[str, ...], Query()] = (),
    row: Annotated[tuple[str, ...], Query()] = (),
    limit: str = "",
) -> Search:
    """Read the search from the address.

    Raises:
        InvalidInput: the limit is no number.
    """
    return replace(search_from(request.query_params, pacs, limit), rows=rows_of(row))


def search_from(given: Mapping[str, Any], pacs: tuple[str, ...], limit: str) -> Search:
    """Read the search from an address or a form.

    Raises:
        InvalidInput: the limit is no number.
    """
    if limit and not (limit.isascii() and limit.isdigit() and len(limit) <= 6):
        raise InvalidInput(f"limit: {limit!r} is not a number of matches", field="limit", value=limit)
    texts: dict[str, Any] = {f.name: str(given.get(f.name, "")) for f in fields(StudyFilter)}
    texts["keys"] = tuple(line.strip() for line in texts["keys"].splitlines() if line.strip())
    texts["level"] = texts["level"] or _USUAL_LEVEL
    asked, search_id = "run" in given, str(given.get("search", ""))
    return Search(pacs, StudyFilter(**texts), int(limit) if limit else DEFAULT_LIMIT, asked, search_id, _view(given))


def _view(given: Mapping[str, Any]) -> View:
    """What makes no sense there is taken as absent."""
    page = str(given.get("page", ""))
    return View(
        server=str(given.get("server", "")),
        text=str(given.get("q", "")).strip()[:200],
        sort=str(given.get("sort", "")),
        descending=given.get("order") == "desc",
        merged=bool(given.get("merged")),
        page=max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 7 else 1,
    )


CurrentSearch = Annotated[Search, Depends(search_of)]
