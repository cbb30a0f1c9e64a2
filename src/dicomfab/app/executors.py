"""What does each kind of job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from dicomfab.model.job import JobKind

if TYPE_CHECKING:
    from dicomfab.services.copies import ExpiringCopies
    from dicomfab.services.jobs.run import Executor
    from dicomfab.services.jobs.service import JobService
    from dicomfab.services.query import QueryService
    from dicomfab.services.search import SearchService
    from dicomfab.services.studies import StudyService
    from dicomfab.services.transfer import TransferService
    from dicomfab.services.verifying import VerifyService
    from dicomfab.storage.database import Database
    from dicomfab.storage.registry import RegistryRepository


class Installation(Protocol):
    """What jobs are done with."""

    @property
    def database(self) -> Database:
        """Whose clock counts."""

    @property
    def registry(self) -> RegistryRepository:
        """Servers and routes."""

    @property
    def studies(self) -> StudyService:
        """Makes studies."""

    @property
    def jobs(self) -> JobService:
        """Submits what comes after a job."""

    @property
    def transfers(self) -> TransferService:
        """Sends, moves and gets."""

    @property
    def searches(self) -> SearchService:
        """Searches whose results are kept."""

    @property
    def queries(self) -> QueryService:
        """Asks servers."""

    @property
    def copies(self) -> ExpiringCopies:
        """Its copies that expire."""

    @property
    def verifying(self) -> VerifyService:
        """Compares what two places hold."""


def executors(application: Installation) -> Mapping[JobKind, Executor]:
    """The executors of an installation."""
    from dicomfab.services.jobs.compare_run import CompareExecutor
    from dicomfab.services.jobs.fabricate import FabricateExecutor
    from dicomfab.services.jobs.query import QueryExecutor
    from dicomfab.services.jobs.retrieve import RetrieveExecutor
    from dicomfab.services.jobs.send import SendExecutor
    from dicomfab.services.jobs.verify import VerifyExecutor

    retrieve = RetrieveExecutor(
        application.transfers, application.registry.load, application.database.now, application.copies.fetched.forget
    )
    return {
        JobKind.FABRICATE: FabricateExecutor(application.studies, application.jobs.send_made),
        JobKind.SEND: SendExecutor(application.transfers, application.registry.load),
        JobKind.MOVE: retrieve,
        JobKind.GET: retrieve,
        JobKind.QUERY: QueryExecutor(application.searches),
        JobKind.VERIFY: VerifyExecutor(application.verifying, application.registry.load),
        JobKind.COMPARE: CompareExecutor(application.queries, application.registry.load, application.database.now),
    }
