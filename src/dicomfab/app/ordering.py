"""What an installation works with on orders: messages, requested procedures, the worklist."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

from dicomfab.app.clock import draw_seed, local_now

if TYPE_CHECKING:
    from dicomfab.app.settings import Settings
    from dicomfab.archive.archive import Archive
    from dicomfab.hl7.profile import Profile
    from dicomfab.model.procedure import ProcedureEventKind
    from dicomfab.registry.server import PacsServer
    from dicomfab.services.ordering.intake import Intake
    from dicomfab.services.ordering.loop import Find, Get, LoopService
    from dicomfab.services.ordering.modality import ModalityService
    from dicomfab.services.ordering.procedures import MessageService, ProcedureService
    from dicomfab.services.ordering.ris import RisService
    from dicomfab.services.orders import OrderService
    from dicomfab.services.recording import Record
    from dicomfab.services.studies import StudyService
    from dicomfab.services.transfer import TransferService
    from dicomfab.storage.database import Database
    from dicomfab.storage.procedures import ProcedureRepository


class Ordering:
    """The parts, each made when it is first asked for.

    Args:
        settings: of the installation.
        database: of the installation, not yet opened.
        record: the audit log.
        servers: that are registered, as they are now.
    """

    def __init__(
        self, settings: Settings, database: Database, record: Record, servers: Callable[[], Sequence[PacsServer]]
    ) -> None:
        self._servers = servers
        self._settings = settings
        self._database = database
        self._record = record

    @cached_property
    def orders(self) -> OrderService:
        """Use cases on orders."""
        from dicomfab.services.orders import OrderService
        from dicomfab.storage.orders import OrderRepository

        repository = OrderRepository(self._database)
        return OrderService(repository, self.procedures, new_uid, self._record, self._profiles)

    @cached_property
    def procedures(self) -> ProcedureRepository:
        """Requested procedures."""
        from dicomfab.storage.procedures import ProcedureRepository

        return ProcedureRepository(self._database)

    @cached_property
    def intake(self) -> Intake:
        """Takes HL7 messages."""
        from dicomfab.services.ordering.intake import Intake

        return Intake(self.procedures, self._profiles, local_now, new_uid, draw_seed, self._record)

    @cached_property
    def schedule(self) -> ProcedureService:
        """Use cases on requested procedures."""
        from dicomfab.services.ordering.procedures import ProcedureService

        return ProcedureService(self.procedures, self._record)

    @cached_property
    def messages(self) -> MessageService:
        """Use cases on HL7 messages."""
        from dicomfab.services.ordering.procedures import MessageService
        from dicomfab.storage.hl7_messages import MessageRepository

        return MessageService(MessageRepository(self._database), self.procedures, send_message, self._record)

    @cached_property
    def ris(self) -> RisService:
        """Takes messages and answers modalities."""
        from dicomfab.services.ordering.ris import RisService

        return RisService(self.intake, self.procedures, self._servers)

    def modality(self, studies: StudyService, transfers: TransferService, local: Archive) -> ModalityService:
        """Performs what a worklist asks for."""
        from dicomfab.services.ordering.modality import ModalityService

        return ModalityService(studies, transfers, local, local_now, new_uid, self._record, self._note)

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


def send_message(host: str, port: int, data: bytes) -> bytes:
    """Send a message over MLLP, on a connection of its own; gives the acknowledgement."""
    from dicomfab.hl7.sender import Sender

    with Sender(host, port) as sender:
        return sender.send(data)


def new_uid() -> str:
    """A UID that nobody else will give."""
    from dicomfab.fabricate.seeds import uid

    return uid("given", secrets.token_hex(16))
