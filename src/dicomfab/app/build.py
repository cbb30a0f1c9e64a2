"""The only place where services meet their adapters; each is made when it is first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomfab.app.part import part
from dicomfab.app.settings import Settings, load_settings
from dicomfab.app.work import Work, echo_peer

if TYPE_CHECKING:
    from dicomfab.app.account_parts import AccountParts
    from dicomfab.dimse.trace import TraceBook
    from dicomfab.services.accounts import AccountService
    from dicomfab.services.api_tokens import ApiTokenService
    from dicomfab.services.backup.backup import BackupService
    from dicomfab.services.backup.restore import RestoreService
    from dicomfab.services.dashboard import DashboardService
    from dicomfab.services.doctor.move import MoveDoctor
    from dicomfab.services.jobs.compare import CompareJobs
    from dicomfab.services.jobs.of_study import StudyJobs
    from dicomfab.services.jobs.query import QueryJobs
    from dicomfab.services.jobs.schedules import ScheduleService
    from dicomfab.services.jobs.service import JobService
    from dicomfab.services.jobs.verify import VerifyJobs
    from dicomfab.services.jobs.worker import Worker
    from dicomfab.services.legacy.service import LegacyImport
    from dicomfab.services.monitor.metrics import Metrics
    from dicomfab.services.monitor.monitor import Monitor
    from dicomfab.services.monitor.service import MonitorService
    from dicomfab.services.populations import PopulationService
    from dicomfab.services.routes import RouteService
    from dicomfab.services.set_up import SetUpService
    from dicomfab.services.sign_in import SignInService
    from dicomfab.services.viewing import ViewingService
    from dicomfab.storage.job_queue import JobQueue
    from dicomfab.storage.jobs import JobRepository
    from dicomfab.storage.monitoring import MonitorRepository


class Application(Work):
    """An installation, wired.

    Args:
        settings: where its state lives and what it listens on.
        traces: where every operation with a peer is to be noted, if anywhere.
    """

    @part
    def move_doctor(self) -> MoveDoctor:
        """Says why a C-MOVE fails."""
        from dicomfab.app.move_doctor import move_doctor

        load, may, local, tell = self.registry.load, self.provenance.check_move, self.local_archive, self.audit.record
        return move_doctor(self.settings, self._noted, load, self.receiving, local, may, self._open_trace, tell)

    @part
    def viewing(self) -> ViewingService:
        """Studies to look at."""
        from dicomfab.services.viewing import ViewingService

        return ViewingService(self.local_archive, self.jobs, self.copies)

    @part
    def populations(self) -> PopulationService:
        """Many patients at once, as plain files."""
        from dicomfab.services.populations import PopulationService

        studies, note = self.studies, self._is_fabricated.note_all
        return PopulationService(studies.now, studies.draw_seed, note, self.audit.record)

    @part
    def routes(self) -> RouteService:
        """C-MOVE routes of all servers, and whether they work."""
        from dicomfab.app.move_doctor import route_service

        return route_service(self, lambda: self.move_doctor, self._open_trace)

    @part
    def verify_jobs(self) -> VerifyJobs:
        """Verify jobs."""
        from dicomfab.services.jobs.verify import VerifyJobs

        return VerifyJobs(self._ledger, self.verifying, lambda: self.store_id)

    @part
    def query_jobs(self) -> QueryJobs:
        """Searches that are left to a worker."""
        from dicomfab.services.jobs.query import QueryJobs

        return QueryJobs(self._ledger, lambda: self.store_id)

    @part
    def compare_jobs(self) -> CompareJobs:
        """Comparisons of two servers."""
        from dicomfab.services.jobs.compare import CompareJobs

        return CompareJobs(self.jobs, self.registry.load)

    @part
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
            judge=lambda: self.provenance,
        )

    @part
    def study_jobs(self) -> StudyJobs:
        """Jobs by their study."""
        from dicomfab.services.jobs.of_study import StudyJobs
        from dicomfab.storage.study_jobs import StudyJobRepository

        return StudyJobs(StudyJobRepository(self.database))

    @part
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
            present=self.account_parts.present,
        )

    def _beat(self) -> bool:
        """What a worker does beside its jobs; true if it has to stay for it."""
        if self.database.is_gone:
            self.worker.stop()
            return False
        self.audit.beat()
        self.copies.beat()
        stays = self.schedules.beat()
        return self.monitor.beat() or stays

    @part
    def schedules(self) -> ScheduleService:
        """Jobs that are made again and again."""
        from dicomfab.services.jobs.schedules import ScheduleService
        from dicomfab.storage.schedules import ScheduleRepository

        repository, present = ScheduleRepository(self.database), self.account_parts.present
        return ScheduleService(repository, self.jobs, self.studies, self.audit.record, present)

    @part
    def monitor(self) -> Monitor:
        """Checks servers in this process: for workers, and for the command that monitors."""
        from dicomfab.services.monitor.monitor import Monitor
        from dicomfab.services.monitor.webhook import Webhook

        settings = self.settings
        return Monitor(
            self._monitoring,
            self.registry.load,
            echo_peer,
            webhook=Webhook(settings.monitor_webhook) if settings.monitor_webhook else None,
            down_after=settings.monitor_down_after,
            keep_checks_days=settings.monitor_keep_days,
        )

    @part
    def monitoring(self) -> MonitorService:
        """What is known of the servers, and whether they are checked."""
        from dicomfab.services.monitor.service import MonitorService

        return MonitorService(self._monitoring, self.pacs, self.audit.record)

    @part
    def dashboard(self) -> DashboardService:
        """What the first page tells."""
        from dicomfab.services.dashboard import DashboardService

        store = self.settings.studies
        return DashboardService(self.studies, self.patients, self.jobs, self.monitoring, store)

    @part
    def metrics(self) -> Metrics:
        """What Prometheus scrapes."""
        from dicomfab.services.monitor.metrics import Metrics

        audit = self.audit
        return Metrics(self.monitoring, lambda: len(self.jobs.workers()), deliveries=lambda: audit.gauge().standings)

    @part
    def _monitoring(self) -> MonitorRepository:
        from dicomfab.storage.monitoring import MonitorRepository

        return MonitorRepository(self.database)

    @part
    def _ledger(self) -> JobRepository:
        from dicomfab.storage.jobs import JobRepository

        return JobRepository(self.database)

    @part
    def job_queue(self) -> JobQueue:
        """Where workers take jobs from, and say that they are alive."""
        from dicomfab.storage.job_queue import LEASE_S, JobQueue

        return JobQueue(self.database, lease_s=self.settings.lease_s or LEASE_S)

    @part
    def account_parts(self) -> AccountParts:
        """All of signing in."""
        from dicomfab.app.account_events import recording
        from dicomfab.app.account_parts import AccountParts

        return AccountParts(self.database, self.settings, recording(self.audit.record))

    @property
    def accounts(self) -> AccountService:
        """Use cases on accounts."""
        return self.account_parts.accounts

    @property
    def sign_in(self) -> SignInService:
        """Use cases on signing in and on sessions."""
        return self.account_parts.sign_in

    @property
    def api_tokens(self) -> ApiTokenService:
        """Use cases on API tokens."""
        return self.account_parts.api_tokens

    @property
    def set_up(self) -> SetUpService:
        """The first administrator."""
        return self.account_parts.set_up

    @part
    def backups(self) -> BackupService:
        """Takes backups of all of it."""
        from dicomfab.app.backup_parts import backup_service

        return backup_service(self)

    @part
    def restoring(self) -> RestoreService:
        """Puts backups back."""
        from dicomfab.app.backup_parts import restore_service

        return restore_service(self.settings)

    @part
    def legacy(self) -> LegacyImport:
        """Moves over from the predecessor."""
        from dicomfab.app.clock import local_now
        from dicomfab.services.legacy.service import LegacyImport, Services

        parts = self.account_parts
        return LegacyImport(Services(self.pacs, self.patients, parts.group_roles, parts.accounts), local_now)


def build(settings: Settings | None = None, *, traces: TraceBook | None = None) -> Application:
    """The application for the settings given, or for those of the process's environment.

    Args:
        settings: those of the environment if left out.
        traces: where every operation with a peer is to be noted.

    Raises:
        InvalidInput: a setting that cannot be used.
    """
    return Application(load_settings() if settings is None else settings, traces)
