"""What an installation works with: its database and registry, the local store, and the services on them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from dicomfab.app.clock import draw_seed, local_now
from dicomfab.app.part import part
from dicomfab.app.settings import Settings
from dicomfab.app.ways import by_way, secret_files, title

if TYPE_CHECKING:
    from pydicom import Dataset

    from dicomfab.app.ordering import Ordering
    from dicomfab.archive.archive import Archive
    from dicomfab.dimse.messages import Response
    from dicomfab.dimse.peer import Peer
    from dicomfab.dimse.trace import Trace, TraceBook
    from dicomfab.registry.server import PacsServer
    from dicomfab.services.audit import AuditService
    from dicomfab.services.changes import ChangeService
    from dicomfab.services.copies import ExpiringCopies
    from dicomfab.services.dicomweb import DicomWebService
    from dicomfab.services.doctor.service import DoctorService
    from dicomfab.services.identifier_check import IdentifierCheck
    from dicomfab.services.importing import ImportService
    from dicomfab.services.ordering.loop import LoopService
    from dicomfab.services.ordering.merging import MergingService
    from dicomfab.services.ordering.modality import ModalityService
    from dicomfab.services.ordering.patient_check import MergeCheckService
    from dicomfab.services.ordering.report_out import ReportService
    from dicomfab.services.orders import OrderService
    from dicomfab.services.pacs import EchoAnswer, PacsService
    from dicomfab.services.patients import PatientService
    from dicomfab.services.provenance import Provenance
    from dicomfab.services.query import QueryService
    from dicomfab.services.receiving import ReceivingService
    from dicomfab.services.recipes import RecipeService
    from dicomfab.services.search import SearchService
    from dicomfab.services.studies import StudyService
    from dicomfab.services.sweep import SweepService
    from dicomfab.services.transfer import TransferService
    from dicomfab.services.validation import ValidationService
    from dicomfab.services.verifying import VerifyService
    from dicomfab.storage.database import Database
    from dicomfab.storage.fabricated import FabricatedStudies
    from dicomfab.storage.made_recipes import MadeRecipes
    from dicomfab.storage.registry import RegistryRepository

T = TypeVar("T")


class Work:
    """The parts of an installation below its jobs and accounts, each made when it is first asked for.

    Args:
        settings: where its state lives and what it listens on.
        traces: where every operation with a peer is to be noted, if anywhere.
    """

    def __init__(self, settings: Settings, traces: TraceBook | None = None) -> None:
        self.settings = settings
        self._traces = traces

    @part
    def database(self) -> Database:
        """The database, not yet opened."""
        from dicomfab.storage.database import Database

        return Database(self.settings.database)

    @part
    def audit(self) -> AuditService:
        """The audit log."""
        from dicomfab.app.audit_parts import audit_of

        return audit_of(self.database, self.settings)

    @part
    def registry(self) -> RegistryRepository:
        """Servers and routes."""
        from dicomfab.storage.registry import RegistryRepository

        return RegistryRepository(self.database)

    @part
    def pacs(self) -> PacsService:
        """Use cases on servers and routes."""
        from dicomfab.services.pacs import PacsService

        return PacsService(self.registry, self._noted("C-ECHO", echo_peer), self.audit.record)

    @part
    def doctor(self) -> DoctorService:
        """Says why DICOM fails."""
        from dicomfab.services.doctor.service import DoctorService

        port, record = self.settings.scp_port, self.audit.record
        return DoctorService(self.pacs, our_port=port, open_trace=self._open_trace, record=record)

    def _open_trace(self, title: str) -> Trace | None:
        return self._traces.open(title) if self._traces is not None else None

    @part
    def local_archive(self) -> Archive:
        """The local study store, not yet opened."""
        from dicomfab.archive.archive import Archive

        return Archive(self.settings.studies)

    @part
    def studies(self) -> StudyService:
        """Use cases on local studies."""
        from dicomfab.services.studies import StudyService

        return StudyService(
            self.local_archive,
            now=local_now,
            draw_seed=draw_seed,
            identifiers=lambda: self.patients,
            note_study=self._is_fabricated.note,
            keep_recipe=self._made_recipes.keep,
            record=self.audit.record,
        )

    @part
    def copies(self) -> ExpiringCopies:
        """Copies of what production holds, and of what was fetched to be looked at."""
        from dicomfab.model.values import Environment
        from dicomfab.services.copies import ExpiringCopies
        from dicomfab.storage.fetched import FetchedStudies

        settings = self.settings
        return ExpiringCopies(
            self.local_archive,
            {Environment.PROD: settings.prod_copy_hours, Environment.TEST: settings.viewer_hours},
            FetchedStudies(self.database),
            settings.viewer_bytes,
            record=self.audit.record,
        )

    @part
    def recipes(self) -> RecipeService:
        """Use cases on recipes."""
        from dicomfab.services.recipes import RecipeService

        return RecipeService(self.settings.recipes)

    @part
    def orders(self) -> OrderService:
        """Use cases on orders."""
        return self.ordering.orders

    @part
    def ordering(self) -> Ordering:
        """What orders are worked with."""
        from dicomfab.app.ordering import Ordering

        return Ordering(
            self.settings,
            self.database,
            self.audit.record,
            lambda: self.registry.load().servers,
            lambda actor, cancelled: self.merging.carry_out(actor, cancelled),
        )

    @part
    def merging(self) -> MergingService:
        """Carries merges of patients through to local studies."""
        return self.ordering.merging(self.local_archive, lambda study: self.provenance.of_local(study))

    @part
    def merge_checks(self) -> MergeCheckService:
        """Whether a server followed a merge."""
        return self.ordering.merge_checks(self._find, self.local_archive)

    @part
    def reports(self) -> ReportService:
        """Reports on fabricated studies."""
        return self.ordering.reports(self.local_archive, self._made_recipes.find)

    @part
    def modality(self) -> ModalityService:
        """Performs what a worklist asks for."""
        return self.ordering.modality(self.studies, self.transfers, self.local_archive)

    @part
    def loops(self) -> LoopService:
        """Checks closed loops."""
        return self.ordering.loop(self._find, self._get)

    @part
    def patients(self) -> PatientService:
        """Use cases on registered patients and on identifiers."""
        from dicomfab.services.patients import PatientService
        from dicomfab.storage.patients import PatientRepository

        repository = PatientRepository(self.database, now=local_now, draw_seed=draw_seed)
        return PatientService(
            repository, self.local_archive, now=local_now, draw_seed=draw_seed, record=self.audit.record
        )

    @part
    def queries(self) -> QueryService:
        """Queries over many servers."""
        from dicomfab.services.query import QueryService

        return QueryService(self._find, record=self.audit.record)

    @part
    def searches(self) -> SearchService:
        """Queries whose results are kept for a while, and saved searches."""
        from dicomfab.services.search import SearchService
        from dicomfab.services.search_saved import SavedSearches
        from dicomfab.storage.searches import SearchStore

        folder = self.settings.queries
        saved = SavedSearches(folder / "saved", self.registry.load)
        return SearchService(self.queries, self.pacs, SearchStore(folder / "results"), saved)

    @part
    def transfers(self) -> TransferService:
        """Send, move and get."""
        from dicomfab.dimse.scu.move import move
        from dicomfab.dimse.scu.store import store
        from dicomfab.services.transfer import TransferService

        return TransferService(
            self.local_archive,
            find=self._find,
            store=self._noted("C-STORE", by_way("store", store, secret_files(self.settings)), "STOW-RS"),
            move_scu=self._noted("C-MOVE", move),
            get_scu=self._get,
            provenance=self.provenance,
            receiving=self.receiving,
            check_identifiers=self._check_identifiers,
            record=self.audit.record,
        )

    @part
    def provenance(self) -> Provenance:
        """Judges what may go where."""
        from dicomfab.services.declared_defects import defect_note
        from dicomfab.services.provenance import Provenance

        known = self._is_fabricated
        return Provenance(
            self.local_archive, self._find, known, lambda study: known(defect_note(study)), self._is_in_lab
        )

    @part
    def _check_identifiers(self) -> IdentifierCheck:
        """Asks destinations outside the lab for fabricated identifiers."""
        from dicomfab.services.identifier_check import IdentifierCheck

        return IdentifierCheck(self.local_archive, self._find, self._is_in_lab, self._is_fabricated)

    def _is_in_lab(self, server: PacsServer) -> bool:
        from dicomfab.app.lab_store import is_in_lab

        return is_in_lab(self.settings, server)

    @part
    def sweeps(self) -> SweepService:
        """Fabricated data that servers still hold."""
        from dicomfab.app.lab_store import lab_studies
        from dicomfab.services.sweep import SweepService
        from dicomfab.storage.sent import SentStudies

        ledger, in_lab = SentStudies(self.database), functools.partial(lab_studies, self.settings)
        files = secret_files(self.settings)
        return SweepService(ledger, self.local_archive, self._find, in_lab, self.audit.record, files)

    @part
    def _made_recipes(self) -> MadeRecipes:
        from dicomfab.storage.made_recipes import MadeRecipes

        return MadeRecipes(self.settings.home / "made-recipes")

    @part
    def _is_fabricated(self) -> FabricatedStudies:
        from dicomfab.storage.fabricated import FabricatedStudies

        return FabricatedStudies(self.database)

    @part
    def importing(self) -> ImportService:
        """DICOM files into the local store."""
        from dicomfab.services.importing import ImportService

        return ImportService(self.local_archive, self._is_fabricated, self.audit.record)

    @part
    def dicomweb(self) -> DicomWebService:
        """The local store for DICOMweb."""
        from dicomfab.services.dicomweb import DicomWebService

        return DicomWebService(self.local_archive, self._is_fabricated, self.audit.record, self.copies.viewed)

    @part
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
            commitments=settings.home / "commitments",
            record=self.audit.record,
        )

    @part
    def changing(self) -> ChangeService:
        """Changed copies of local studies."""
        from dicomfab.services.changes import ChangeService

        return ChangeService(self.local_archive, self.provenance.of_local, self._is_fabricated.note, self.audit.record)

    @part
    def verifying(self) -> VerifyService:
        """Compares what two places hold."""
        from dicomfab.services.verifying import VerifyService

        return VerifyService(
            self.local_archive, self._find, self._get, self.settings.home / "verifying", self.audit.record
        )

    @part
    def validation(self) -> ValidationService:
        """Validity of files and local studies."""
        from dicomfab.services.validation import ValidationService

        return ValidationService(self.studies)

    @part
    def store_id(self) -> str:
        """The identity of the local store: work on it waits for a worker that reaches it."""
        from dicomfab.app.workers import store_id

        return store_id(self.settings)

    @property
    def _find(self) -> Callable[..., Iterator[Dataset]]:
        from dicomfab.dimse.scu.find import find

        return self._noted("C-FIND", by_way("find", find, secret_files(self.settings)), "QIDO-RS")

    @property
    def _get(self) -> Callable[..., Iterator[Response]]:
        from dicomfab.dimse.scu.get import get

        return self._noted("C-GET", by_way("get", get, secret_files(self.settings)), "WADO-RS")

    def _noted(self, operation: str, function: Callable[..., T], by_web: str = "") -> Callable[..., T]:
        """The function, each of its calls to a peer noted in a trace of its own."""
        traces = self._traces
        if traces is None:
            return function

        def call(peer: Peer, *args: Any, **options: Any) -> T:
            trace = traces.open(title(operation, by_web, peer), peer.trace)
            return function(dataclasses.replace(peer, trace=trace), *args, **options)

        return call

    def close(self) -> None:
        """Close what this process opened. Workers that it started go on."""
        opened = vars(self)
        if "local_archive" in opened:
            self.local_archive.close()
        if "database" in opened:
            self.database.close()


def echo_peer(peer: Peer) -> EchoAnswer:
    """C-ECHO; the network code is loaded when the first one is sent."""
    from dicomfab.dimse.scu.echo import echo

    return echo(peer)
