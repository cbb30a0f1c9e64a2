"""Query jobs: each server's answer is an item, those that failed are asked again, and the results are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dicomfab.access.policy import Action
from dicomfab.dimse.scu.find import find
from dicomfab.model.actor import Role
from dicomfab.model.errors import InvalidInput
from dicomfab.model.job import ItemState, Job, JobKind, JobState
from dicomfab.registry.server import PacsServer
from dicomfab.services.jobs.query import QueryExecutor, query_job
from dicomfab.services.pacs import PacsService
from dicomfab.services.query import QueryService
from dicomfab.services.search import SearchService
from dicomfab.services.search_saved import SavedSearches
from dicomfab.services.study_filter import StudyFilter
from dicomfab.storage.database import Database
from dicomfab.storage.registry import RegistryRepository
from dicomfab.storage.searches import SearchStore
from tests.unit.dimse import raw
from tests.unit.services.hospital import ADMIN, actor
from tests.unit.services.job_office import STORE, Mortal, Office, cards, mortal, picky
from tests.unit.services.test_query_answers import answers_with

CARDS = StudyFilter(accession_number="CARDS*")


class Desk:
    """An office that searches.

    Args:
        office: with its servers.
        folder: for results.
    """

    def __init__(self, office: Office, folder: Path) -> None:
        self.office = office
        self.registry = RegistryRepository(office.database)
        pacs = PacsService(self.registry, lambda _peer: None)  # type: ignore[arg-type, return-value]
        self.searches = SearchService(
            QueryService(find), pacs, SearchStore(folder / "results"), SavedSearches(folder / "saved")
        )
        office.executors[JobKind.QUERY] = QueryExecutor(self.searches)

    def know(self) -> None:
        """Let the service know the servers as the office knows them."""
        known = {server.id for server in self.registry.load().servers}
        for server in self.office.registry.servers:
            if server.id not in known:
                self.registry.change(lambda before, server=server: before.add(server))

    def ask(self, servers: Sequence[Any], search: StudyFilter = CARDS, **options: Any) -> int:
        self.know()
        return self.office.submit(*query_job(ADMIN, servers, search, store_id=STORE, **options))

    def found(self, job: Job) -> list[tuple[str, str]]:
        rows = self.searches.rows(ADMIN, job.request["search"])
        return sorted((row.answer.server_id, row.match.values["AccessionNumber"] or "") for row in rows)
