"""What an installation works with on orders: messages, requested procedures, the worklist."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from dicomfab.app.clock import draw_seed, local_now
from dicomfab.app.part import part

if TYPE_CHECKING:
    from ssl import SSLContext

    from dicomfab.app.settings import Settings
    from dicomfab.archive.archive import Archive
    from dicomfab.fabricate.recipe import ResolvedStudy
    from dicomfab.hl7.profile import Profile
    from dicomfab.hl7.receiver import Receiver
    from dicomfab.model.actor import Actor
    from dicomfab.model.procedure import ProcedureEventKind
    from dicomfab.registry.server import PacsServer
    from dicomfab.services.ordering.building import MessageBuilder
    from dicomfab.services.ordering.intake import Intake
    from dicomfab.services.ordering.loop import LoopService
    from dicomfab.services.ordering.merging import MergingService
    from dicomfab.services.ordering.messages import MessageService
    from dicomfab.services.ordering.modality import ModalityService
    from dicomfab.services.ordering.patient_check import MergeCheckService
    from dicomfab.services.ordering.procedures import ProcedureService
    from dicomfab.services.ordering.report_out import ReportService
    from dicomfab.services.ordering.ris import RisService
    from dicomfab.services.orders import OrderService
    from dicomfab.services.progress import Cancelled
    from dicomfab.services.provenance import Origin
    from dicomfab.services.query import Find
    from dicomfab.services.recording import Record
    from dicomfab.services.studies import StudyService
    from dicomfab.services.transfer import Get, TransferService
    from dicomfab.storage.database import Database
    from dicomfab.storage.procedures import ProcedureRepository


class Ordering:
    """The parts, each made when it is first asked for.

    Args:
        settings: of the installation.
        database: of the installation, not yet opened.
        record: the audit log.
        servers: that are registered, as they are now.
        carry_out: carries merges of patients through to local studies.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        record: Record,
        servers: Callable[[], Sequence[PacsServer]],
        carry_out: Callable[[Actor, Cancelled], object],
    ) -> None:
        self._servers = servers
        self._carry_out = carry_out
        self._settings = settings
        self._database = database
        self._record = record

    @part
    def orders(self) -> OrderService:
        """Use cases on orders."""
        from dicomfab.services.orders import OrderService
        from dicomfab.storage.orders import OrderRepository

        repository = OrderRepository(self._database)
        return OrderService(repository, self.procedures, new_uid, self._record, self._profiles)

    @part
    def procedures(self) -> ProcedureRepository:
        """Requested procedures."""
        from dicomfab.storage.procedures import ProcedureRepository

        return ProcedureRepository(self._database)

    @part
    def intake(self) -> Intake:
        """Takes HL7 messages."""
        from dicomfab.services.ordering.intake import Intake

        return Intake(self.procedures, self._profiles, local_now, new_uid, draw_seed, self._record)

    @part
    def schedule(self) -> ProcedureService:
        """Use cases on requested procedures."""
        from dicomfab.services.ordering.procedures import ProcedureService

        return ProcedureService(self.procedures, self._record)

    @part
    def messages(self) -> MessageService:
        """Use cases on HL7 messages."""
        from dicomfab.services.ordering.messages import MessageService
        from dicomfab.storage.hl7_messages import MessageRepository

        repository = MessageRepository(self._database)
        return MessageService(repository, self.procedures, send_message, self._servers, self._record)

    @part
    def builder(self) -> MessageBuilder:
        """Builds HL7 messages."""
        from dicomfab.services.ordering.building import MessageBuilder

        return MessageBuilder(self.schedule, local_now)

    @part
    def ris(self) -> RisService:
        """Takes messages and answers modalities."""
        from dicomfab.services.ordering.ris import RisService

        return RisService(self.intake, self.procedures, self._servers, send_message, self._carry_out)

    def modality(self, studies: StudyService, transfers: TransferService, local: Archive) -> ModalityService:
        """Performs what a worklist asks for."""
        from dicomfab.services.ordering.modality import ModalityService

        clock = local_now
        return ModalityService(studies, transfers, local, clock, new_uid, self._servers, self._record, self._note)

    def merging(self, local: Archive, origin: Callable[[str], Origin]) -> MergingService:
        """Carries merges of patients through to local studies."""
        from dicomfab.services.ordering.merging import MergingService
        from dicomfab.storage.merges import MergeRepository

        return MergingService(MergeRepository(self._database), local, origin, self._record)

    def merge_checks(self, find: Find, local: Archive) -> MergeCheckService:
        """Whether a server followed a merge."""
        from dicomfab.services.ordering.patient_check import MergeCheckService

        return MergeCheckService(find, self.procedures, local, self._record)

    def reports(self, local: Archive, recipe: Callable[[str], ResolvedStudy | None]) -> ReportService:
        """Reports on fabricated studies."""
        from dicomfab.services.ordering.report_out import ReportService

        return ReportService(local, self.procedures, recipe, self._record)

    def loop(self, find: Find, get: Get) -> LoopService:
        """Checks closed loops."""
        from dicomfab.services.ordering.loop import LoopService

        return LoopService(self.schedule, find, get, self._record)

    def _note(self, study_instance_uid: str, kind: ProcedureEventKind, text: str, reference: str) -> None:
        with self.procedures.change() as rows:
            rows.note_study(study_instance_uid, kind, text, reference)

    @property
    def _profiles(self) -> Callable[[], Sequence[Profile]]:
        from dicomfab.services.order_profiles import profiles_in

        return partial(profiles_in, self._settings.hl7_profiles)


def send_message(receiver: Receiver, data: bytes) -> bytes:
    """Send a message over MLLP, on a connection of its own; gives the acknowledgement.

    Raises:
        InvalidInput: a file for TLS cannot be used.
        PeerError: no answer came.
    """
    from dicomfab.dimse.transport.tls import TlsSettings, client_context
    from dicomfab.hl7.sender import Sender

    tls = None
    if receiver.tls is not None:
        own = receiver.tls
        tls = client_context(TlsSettings(own.ca_file, own.certificate_file, own.key_file))
    with Sender(receiver.host, receiver.port, tls=tls) as sender:
        return sender.send(data)


def listening_tls(certificate_file: str, key_file: str, ca_file: str) -> SSLContext:
    """TLS for a listener.

    Args:
        certificate_file: PEM file of our certificate.
        key_file: PEM file of its private key.
        ca_file: PEM file of those who sign senders' certificates, which are demanded then; empty if none are.

    Raises:
        InvalidInput: a file cannot be used.
    """
    from dicomfab.dimse.transport.tls import TlsServerSettings, server_context

    settings = TlsServerSettings(certificate_file, key_file, ca_file, require_client_certificate=bool(ca_file))
    return server_context(settings)


def new_uid() -> str:
    """A UID that nobody else will give."""
    from dicomfab.fabricate.seeds import uid

    return uid("given", secrets.token_hex(16))
