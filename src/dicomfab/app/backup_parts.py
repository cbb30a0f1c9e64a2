"""Backups, wired: what belongs to an installation, and how a home that is elsewhere is opened."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dicomfab.services.backup.backup import BackupService
from dicomfab.services.backup.packing import Source
from dicomfab.services.backup.restore import RestoreService
from dicomfab.storage.snapshot import PATHS

if TYPE_CHECKING:
    from dicomfab.app.settings import Settings
    from dicomfab.app.work import Work
    from dicomfab.archive.archive import Archive
    from dicomfab.services.recording import Record
    from dicomfab.storage.database import Database


def backup_service(application: Work) -> BackupService:
    """Takes backups of an installation."""
    settings = application.settings
    source = Source(
        settings.home,
        settings.database,
        application.local_archive,
        partial(_lab, settings),
        application.database.now,
    )
    return BackupService(source, partial(_outside, application), application.audit.record)


def restore_service(settings: Settings) -> RestoreService:
    """Puts backups into a home."""
    return RestoreService(settings.home, settings.database, partial(_opened, settings))


@contextmanager
def _opened(settings: Settings, home: Path) -> Iterator[tuple[Database, Record]]:
    from dicomfab.app.audit_parts import audit_of
    from dicomfab.storage.database import Database

    there = dataclasses.replace(settings, home=home)
    database = Database(there.database)
    try:
        yield database, audit_of(database, there).record
    finally:
        database.close()


def _lab(settings: Settings) -> dict[str, Archive]:
    """The archives of those of the lab's servers that have one, by their folders below the home."""
    from dicomfab.archive.archive import Archive
    from dicomfab.testpacs.folders import LabFolders
    from dicomfab.testpacs.spec import IDS

    folders = {one: LabFolders(settings.lab).data(one) for one in IDS}
    return {f"lab/data/{one}": Archive(folder) for one, folder in folders.items() if folder.is_dir()}


def _outside(application: Work) -> list[str]:
    """Files that the registry and the settings name and that are not in the home."""
    settings = application.settings
    named = {str(getattr(server, name)) for server in application.registry.load().servers for name in PATHS}
    if settings.audit_key_file is not None:
        named.add(str(settings.audit_key_file))
    return sorted(one for one in named if one and not Path(one).is_relative_to(settings.home))
