"""The only place where services meet their adapters; each is made when it is first asked for."""

from __future__ import annotations

import datetime
import secrets
from functools import cached_property
from typing import TYPE_CHECKING

from dicomfab.app.settings import Settings, load_settings

if TYPE_CHECKING:
    from dicomfab.archive.archive import Archive
    from dicomfab.dimse.peer import Peer
    from dicomfab.services.pacs import EchoAnswer, PacsService
    from dicomfab.services.query import QueryService
    from dicomfab.services.studies import StudyService
    from dicomfab.services.tasks import TaskRunner
    from dicomfab.services.transfer import TransferService
    from dicomfab.storage.database import Database
    from dicomfab.storage.registry import RegistryRepository


class Application:
    """An installation, wired.

    Args:
        settings: where its state lives and what it listens on.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def database(self) -> Database:
        """The database, not yet opened."""
        from dicomfab.storage.database import Database

        return Database(self.settings.database)

    @cached_property
    def registry(self) -> RegistryRepository:
        """Servers and routes."""
        from dicomfab.storage.registry import RegistryRepository

        return RegistryRepository(self.database)

    @cached_property
    def pacs(self) -> PacsService:
        """Use cases on servers and routes."""
        from dicomfab.services.pacs import PacsService

        return PacsService(self.registry, _echo)

    @cached_property
    def local_archive(self) -> Archive:
        """The local study store, not yet opened."""
        from dicomfab.archive.archive import Archive

        return Archive(self.settings.studies)

    @cached_property
    def studies(self) -> StudyService:
        """Use cases on local studies."""
        from dicomfab.services.studies import StudyService

        return StudyService(self.local_archive, now=_now, draw_seed=lambda: secrets.randbelow(2**31))

    @cached_property
    def queries(self) -> QueryService:
        """Queries over many servers."""
        from dicomfab.dimse.scu.find import find
        from dicomfab.services.query import QueryService

        return QueryService(find)

    @cached_property
    def transfers(self) -> TransferService:
        """Send, move and get."""
        from dicomfab.dimse.scu.find import find
        from dicomfab.dimse.scu.get import get
        from dicomfab.dimse.scu.move import move
        from dicomfab.dimse.scu.store import store
        from dicomfab.services.transfer import TransferService

        return TransferService(self.local_archive, find, store, move, get)

    @cached_property
    def tasks(self) -> TaskRunner:
        """Long work of this process."""
        from dicomfab.services.tasks import TaskRunner

        return TaskRunner()

    def close(self) -> None:
        """End what this process started and close what it opened."""
        opened = vars(self)
        if "tasks" in opened:
            self.tasks.shutdown()
        if "local_archive" in opened:
            self.local_archive.close()
        if "database" in opened:
            self.database.close()


def build(settings: Settings | None = None) -> Application:
    """The application for the settings given, or for those of the process's environment.

    Raises:
        InvalidInput: a setting that cannot be used.
    """
    return Application(load_settings() if settings is None else settings)


def _now() -> datetime.datetime:
    """Local time: study dates are those of the wall clock in the hospital."""
    return datetime.datetime.now().astimezone()


def _echo(peer: Peer) -> EchoAnswer:
    """C-ECHO; the network code is loaded when the first one is sent."""
    from dicomfab.dimse.scu.echo import echo

    return echo(peer)
