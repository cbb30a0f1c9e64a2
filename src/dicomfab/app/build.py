"""The only place where services meet their adapters; each is made when it is first asked for."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import secrets
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from dicomfab.app.settings import Settings, load_settings

if TYPE_CHECKING:
    from dicomfab.app.account_parts import AccountParts
    from dicomfab.archive.archive import Archive
    from dicomfab.dimse.peer import Peer
    from dicomfab.dimse.trace import Trace, TraceBook
    from dicomfab.registry.server import PacsServer
    from dicomfab.services.accounts import AccountService
    from dicomfab.services.api_tokens import ApiTokenService
    from dicomfab.services.audit import AuditService
    from dicomfab.services.changes import ChangeService
    from dicomfab.services.copies import ProductionCopies
    from dicomfab.services.doctor.move import MoveDoctor
    from dicomfab.services.doctor.service import DoctorService
    from dicomfab.services.identifier_check import IdentifierCheck
    from dicomfab.services.importing import ImportService
    from dicomfab.services.jobs.compare import CompareJobs
    from dicomfab.services.jobs.query import QueryJobs
    from dicomfab.services.jobs.schedules import ScheduleService
    from dicomfab.services.jobs.service import JobService
    from dicomfab.services.jobs.verify import VerifyJobs
    from dicomfab.services.jobs.worker import Worker
    from dicomfab.services.monitor.metrics import Metrics
    from dicomfab.services.monitor.monitor import Monitor
    from dicomfab.services.monitor.service import MonitorService
    from dicomfab.services.pacs import EchoAnswer, PacsService
    from dicomfab.services.patients import PatientService
    from dicomfab.services.provenance import Provenance
    from dicomfab.services.query import QueryService
    from dicomfab.services.receiving import ReceivingService
    from dicomfab.services.recipes import RecipeService
    from dicomfab.services.search import SearchService
    from dicomfab.services.set_up import SetUpService
    from dicomfab.services.sign_in import SignInService
    from dicomfab.services.studies import StudyService
    from dicomfab.services.sweep import SweepService
    from dicomfab.services.transfer import TransferService
    from dicomfab.services.validation import ValidationService
    from dicomfab.services.verifying import VerifyService
    from dicomfab.storage.database import Database
    from dicomfab.storage.fabricated import FabricatedStudies
    from dicomfab.storage.job_queue import JobQueue
    from dicomfab.storage.jobs import JobRepository
    from dicomfab.storage.monitoring import MonitorRepository
    from dicomfab.storage.registry import RegistryRepository

T = TypeVar("T")


class Application:
    """An installation, wired.

    Args:
        settings: where its state lives and what it listens on.
        traces: where every operation with a peer is to be noted, if anywhere.
    """

    def __init__(self, settings: Settings, traces: TraceBook | None = None) -> None:
        self.settings = settings
        self._traces = traces

    @cached_property
    def database(self) -> Database:
        """The database, not yet opened."""
        from dicomfab.storage.database import Database

        return Database(self.settings.database)

    @cached_property
    def audit(self) -> AuditService:
        """The audit log."""
        from dicomfab.app.audit_parts import audit_of

        return audit_of(self.database, self.settings)

    @cached_property
    def registry(self) -> RegistryRepository:
        """Servers and routes."""
        from dicomfab.storage.registry import RegistryRepository

        return RegistryRepository(self.database)

    @cached_property
    def pacs(self) -> PacsService:
        """Use cases on servers and routes."""
        from dicomfab.services.pacs import PacsService

        return PacsService(self.registry, self._noted("C-ECHO", _echo), self.audit.record)

    @cached_property
    def doctor(self) -> DoctorService:
        """Says why DICOM fails."""
        from dicomfab.services.doctor.service import DoctorService

        return DoctorService(self.pacs, our_port=self.settings.scp_port, open_trace=self._open_trace)

    @cached_property
    def move_doctor(self) -> MoveDoctor:
        """Says why a C-MOVE fails."""
        from dicomfab.app.move_doctor import move_doctor

        may, local = self.provenance.check_move, self.local_archive
        return move_doctor(self.settings, self._noted, self.registry.load, self.receiving, local, may, self._open_trace)

    def _open_trace(self, title: str) -> Trace | None:
        return self._traces.open(title) if self._traces is not None else None

    @cached_property
    def local_archive(self) -> Archive:
        """The local study store, not yet opened."""
        from dicomfab.archive.archive import Archive

        return Archive(self.settings.studies)

    @cached_property
    def studies(self) -> StudyService:
        """Use cases on local studies."""
        from dicomfab.services.studies import StudyService

        return StudyService(
            self.local_archive,
            now=_now,
            draw_seed=lambda: secrets.randbelow(2**31),
            identifiers=self.patients,
            note_study=self._is_fabricated.note,
            record=self.audit.record,
        )

    @cached_property
    def copies(self) -> ProductionCopies:
        """Copies of what production holds, which expire."""
        from dicomfab.services.copies import ProductionCopies

        return ProductionCopies(self.local_archive, self.settings.prod_copy_hours, record=self.audit.record)

    @cached_property
    def recipes(self) -> RecipeService:
        """Use cases on recipes."""
        from dicomfab.services.recipes import RecipeService

        return RecipeService(self.settings.recipes)

    @cached_property
    def patients(self) -> PatientService:
        """Use cases on registered patients and on identifiers."""
        from dicomfab.services.patients import PatientService
        from dicomfab.storage.patients import PatientRepository

        repository = PatientRepository(self.database, now=_now, draw_seed=_draw_seed)
        return PatientService(repository, self.local_archive, now=_now, draw_seed=_draw_seed, record=self.audit.record)

    @cached_property
    def queries(self) -> QueryService:
        """Queries over many servers."""
        from dicomfab.dimse.scu.find import find
        from dicomfab.services.query import QueryService

        return QueryService(self._noted("C-FIND", find), record=self.audit.record)

    @cached_property
    def searches(self) -> SearchService:
        """Queries whose results are kept for a while, and saved searches."""
        from dicomfab.services.search import SearchService
        from dicomfab.services.search_saved import SavedSearches
        from dicomfab.storage.searches import SearchStore

        folder = self.settings.queries
        return SearchService(self.queries, self.pacs, SearchStore(folder / "results"), SavedSearches(folder / "saved"))

    @cached_property
    def transfers(self) -> TransferService:
        """Send, move and get."""
        from dicomfab.dimse.scu.find import find
        from dicomfab.dimse.scu.get import get
        from dicomfab.dimse.scu.move import move
        from dicomfab.dimse.scu.store import store
        from dicomfab.services.transfer import TransferService

        return TransferService(
            self.local_archive,
            find=self._noted("C-FIND", find),
            store=self._noted("C-STORE", store),
            move_scu=self._noted("C-MOVE", move),
            get_scu=self._noted("C-GET", get),
            provenance=self.provenance,
            receiving=self.receiving,
            check_identifiers=self._check_identifiers,
            record=self.audit.record,
        )

    @cached_property
    def provenance(self) -> Provenance:
        """Judges what may go where."""
        from dicomfab.dimse.scu.find import find
        from dicomfab.services.provenance import Provenance

        find_scu = self._noted("C-FIND", find)
        return Provenance(self.local_archive, find_scu, self._is_fabricated, is_in_lab=self._is_in_lab)

    @cached_property
    def _check_identifiers(self) -> IdentifierCheck:
        """Asks destinations outside the lab for fabricated identifiers."""
        from dicomfab.dimse.scu.find import find
        from dicomfab.services.identifier_check import IdentifierCheck

        return IdentifierCheck(self.local_archive, self._noted("C-FIND", find), self._is_in_lab, self._is_fabricated)

    def _is_in_lab(self, server: PacsServer) -> bool:
        """Whether a server is one of the four test servers of this installation, by where it listens."""
        from dicomfab.registry.server import canonical_host
        from dicomfab.testpacs.spec import load

        config = load(self.settings.lab)
        host = canonical_host(config.connect_host)
        return server.endpoint in {(host, one.dicom_port, one.ae_title) for one in config.servers}

    @cached_property
    def sweeps(self) -> SweepService:
        """Fabricated data that servers still hold."""
        from dicomfab.app.lab_store import lab_archive
        from dicomfab.dimse.scu.find import find
        from dicomfab.services.sweep import SweepService
        from dicomfab.storage.sent import SentStudies

        find_scu = self._noted("C-FIND", find)
        ledger, in_lab = SentStudies(self.database), functools.partial(lab_archive, self.settings)
        return SweepService(ledger, self.local_archive, find_scu, in_lab, self.audit.record)

    @cached_property
    def _is_fabricated(self) -> FabricatedStudies:
        from dicomfab.storage.fabricated import FabricatedStudies

        return FabricatedStudies(self.database)

    @cached_property
    def importing(self) -> ImportService:
        """DICOM files into the local store."""
        from dicomfab.services.importing import ImportService

        return ImportService(self.local_archive, self._is_fabricated, self.audit.record)

    @cached_property
    def receiving(self) -> ReceivingService:
        """Our own Storage SCP."""
        from dicomfab.services.receiving import ReceivingService

        settings = self.settings
        return ReceivingService(
            self.local_archive,
            self.registry.load,
            settings.receiver_lock,
            host=settings.scp_host,
            port=settings.scp_port,
            record=self.audit.record,
        )

    @cached_property
    def changing(self) -> ChangeService:
        """Changed copies of local studies."""
        from dicomfab.services.changes import ChangeService

        return ChangeService(self.local_archive, self.provenance.of_local, self._is_fabricated.note, self.audit.record)

    @cached_property
    def verifying(self) -> VerifyService:
        """Compares what two places hold."""
        from dicomfab.dimse.scu.find import find
        from dicomfab.dimse.scu.get import get
        from dicomfab.services.verifying import VerifyService

        folder = self.settings.home / "verifying"
        scus = self._noted("C-FIND", find), self._noted("C-GET", get)
        return VerifyService(self.local_archive, *scus, folder, self.audit.record)

    @cached_property
    def verify_jobs(self) -> VerifyJobs:
        """Verify jobs."""
        from dicomfab.services.jobs.verify import VerifyJobs

        return VerifyJobs(self._ledger, self.verifying, lambda: self.store_id)

    @cached_property
    def query_jobs(self) -> QueryJobs:
        """Searches that are left to a worker."""
        from dicomfab.services.jobs.query import QueryJobs

        return QueryJobs(self._ledger, lambda: self.store_id)

    @cached_property
    def compare_jobs(self) -> CompareJobs:
        """Comparisons of two servers."""
        from dicomfab.services.jobs.compare import CompareJobs

        return CompareJobs(self.jobs, self.registry.load)

    @cached_property
    def validation(self) -> ValidationService:
        """Validity of files and local studies."""
        from dicomfab.services.validation import ValidationService

        return ValidationService(self.studies)

    @cached_property
    def store_id(self) -> str:
        """The identity of the local store: work on it waits for a worker that reaches it."""
        from dicomfab.app.workers import store_id

        return store_id(self.settings)

    @cached_property
    def jobs(self) -> JobService:
        """Use cases on jobs."""
        from dicomfab.services.jobs.service import JobService

        return JobService(
            self._ledger,
            self.local_archive,
            lambda: self.store_id,
            self.registry.load,
            now=self.database.now,
            list_workers=self.job_queue.workers,
            provenance=self.provenance,
        )

    @cached_property
    def worker(self) -> Worker:
        """Does jobs in this process: for a worker, or for a command that waits for its own job."""
        from dicomfab.app.executors import executors
        from dicomfab.app.workers import limits
        from dicomfab.services.jobs.worker import Worker

        return Worker(
            self.job_queue,
            self._ledger,
            executors(self),
            limit=limits(self.registry),
            store_id=self.store_id,
            now=self.database.now,
            beat=self._beat,
            record=self.audit.record,
        )

    def _beat(self) -> bool:
        """What a worker does beside its jobs; true if it has to stay for it."""
        self.audit.beat()
        self.copies.beat()
        stays = self.schedules.beat()
        return self.monitor.beat() or stays

    @cached_property
    def schedules(self) -> ScheduleService:
        """Jobs that are made again and again."""
        from dicomfab.services.jobs.schedules import ScheduleService
        from dicomfab.storage.schedules import ScheduleRepository

        return ScheduleService(ScheduleRepository(self.database), self.jobs, self.studies, self.audit.record)

    @cached_property
    def monitor(self) -> Monitor:
        """Checks servers in this process: for workers, and for the command that monitors."""
        from dicomfab.services.monitor.monitor import Monitor
        from dicomfab.services.monitor.webhook import Webhook

        settings = self.settings
        return Monitor(
            self._monitoring,
            self.registry.load,
            _echo,
            webhook=Webhook(settings.monitor_webhook) if settings.monitor_webhook else None,
            down_after=settings.monitor_down_after,
            keep_checks_days=settings.monitor_keep_days,
        )

    @cached_property
    def monitoring(self) -> MonitorService:
        """What is known of the servers, and whether they are checked."""
        from dicomfab.services.monitor.service import MonitorService

        return MonitorService(self._monitoring, self.pacs, self.audit.record)

    @cached_property
    def metrics(self) -> Metrics:
        """What Prometheus scrapes."""
        from dicomfab.services.monitor.metrics import Metrics

        return Metrics(self.monitoring, lambda: len(self.jobs.workers()))

    @cached_property
    def _monitoring(self) -> MonitorRepository:
        from dicomfab.storage.monitoring import MonitorRepository

        return MonitorRepository(self.database)

    @cached_property
    def _ledger(self) -> JobRepository:
        from dicomfab.storage.jobs import JobRepository

        return JobRepository(self.database)

    @cached_property
    def job_queue(self) -> JobQueue:
        """Where workers take jobs from, and say that they are alive."""
        from dicomfab.storage.job_queue import LEASE_S, JobQueue

        return JobQueue(self.database, lease_s=self.settings.lease_s or LEASE_S)

    @cached_property
    def _account_parts(self) -> AccountParts:
        from dicomfab.app.account_events import recording
        from dicomfab.app.account_parts import AccountParts

        return AccountParts(self.database, self.settings, recording(self.audit.record))

    @property
    def accounts(self) -> AccountService:
        """Use cases on accounts."""
        return self._account_parts.accounts

    @property
    def sign_in(self) -> SignInService:
        """Use cases on signing in and on sessions."""
        return self._account_parts.sign_in

    @property
    def api_tokens(self) -> ApiTokenService:
        """Use cases on API tokens."""
        return self._account_parts.api_tokens

    @property
    def set_up(self) -> SetUpService:
        """The first administrator."""
        return self._account_parts.set_up

    def _noted(self, operation: str, function: Callable[..., T]) -> Callable[..., T]:
        """The function, each of its calls to a peer noted in a trace of its own."""
        traces = self._traces
        if traces is None:
            return function

        def call(peer: Peer, *args: Any, **options: Any) -> T:
            trace = traces.open(f"{operation} with {peer.label}")
            return function(dataclasses.replace(peer, trace=trace), *args, **options)

        return call

    def close(self) -> None:
        """Close what this process opened. Workers that it started go on."""
        opened = vars(self)
        if "local_archive" in opened:
            self.local_archive.close()
        if "database" in opened:
            self.database.close()


def build(settings: Settings | None = None, *, traces: TraceBook | None = None) -> Application:
    """The application for the settings given, or for those of the process's environment.

    Args:
        settings: those of the environment if left out.
        traces: where every operation with a peer is to be noted.

    Raises:
        InvalidInput: a setting that cannot be used.
    """
    return Application(load_settings() if settings is None else settings, traces)


def _now() -> datetime.datetime:
    """Local time: study dates are those of the wall clock in the hospital."""
    return datetime.datetime.now().astimezone()


def _draw_seed() -> int:
    return secrets.randbelow(2**31)


def _echo(peer: Peer) -> EchoAnswer:
    """C-ECHO; the network code is loaded when the first one is sent."""
    from dicomfab.dimse.scu.echo import echo

    return echo(peer)
