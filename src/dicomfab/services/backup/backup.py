"""Takes a backup of an installation, while everything in it goes on."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dicomfab.access.policy import Action, Scope, require
from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind
from dicomfab.model.values import Environment
from dicomfab.services.backup import failures
from dicomfab.services.backup.beside import beside, put
from dicomfab.services.backup.packing import PACKED, Packing, Source, Taken, Wanted
from dicomfab.services.progress import Cancelled, OnProgress, ignore, never
from dicomfab.services.recording import recorded

if TYPE_CHECKING:
    from dicomfab.services.recording import Record

#: A backup holds all of these, so whoever takes one or puts one back may do all of them.
NEEDED: Final = (
    (Action.CONFIGURE, Scope.SYSTEM),
    (Action.MANAGE_USERS, Scope.SYSTEM),
    (Action.READ_AUDIT, Scope.SYSTEM),
    (Action.EXPORT, Scope.TEST),
    (Action.EXPORT, Scope.PROD),
)


class BackupService:
    """Backups of one installation.

    Args:
        source: what belongs to it.
        outside: lists files that it uses and that are not in its home.
        record: where it is recorded.
    """

    def __init__(self, source: Source, outside: Callable[[], list[str]], record: Record) -> None:
        self._source = source
        self._outside = outside
        self._record = record

    def take(
        self,
        actor: Actor,
        file: Path,
        wanted: Wanted | None = None,
        *,
        on_progress: OnProgress = ignore,
        cancelled: Cancelled = never,
    ) -> Taken:
        """Write all of the installation, as it is at one moment, into one file.

        Args:
            actor: needs what :data:`NEEDED` says.
            file: where to; it appears when it is complete, readable by its owner only.
            wanted: what is to be in it.
            on_progress: told how far it is, in instances.
            cancelled: asked with every piece.

        Raises:
            AccessDenied, NotFound, InvalidInput, Conflict: nothing was written.
            Interrupted, LocalFailure: nothing is left of it.
        """
        for action, scope in NEEDED:
            require(actor, action, scope)
        wanted = wanted or Wanted()
        target = self._target(file, wanted)
        held = self._source.local.storage({Environment.PROD})
        event = AuditEvent.by(
            actor,
            EventKind.EXPORT,
            subject=str(target),
            environment=str(Environment.PROD if held.instances else Environment.TEST),
            detail={"what": "backup", "lab": "with" if wanted.with_lab else "without"},
        )
        started = time.monotonic()
        recording, reporting = recorded(self._record, event, ahead=True), failures.of_backup(target)
        with recording, reporting, beside(target, "partial") as work:
            packing = Packing(self._source, work, wanted, on_progress, cancelled)
            taken = packing.pack(target)
            put(work / PACKED, target, overwrite=wanted.overwrite)
        taken.outside = self._outside()
        taken.seconds = time.monotonic() - started
        return taken

    def _target(self, file: Path, wanted: Wanted) -> Path:
        home, target = self._source.home.resolve(), Path(os.path.realpath(file))
        if not home.is_dir():
            raise failures.no_home(self._source.home)
        if target.is_relative_to(home):
            raise failures.within_home(target, home)
        if target.is_dir() or not target.parent.is_dir():
            raise failures.no_file_name(target)
        if target.exists() and not wanted.overwrite:
            raise failures.is_there(target)
        if isinstance(self._source.database, Path) == wanted.without_database:
            raise failures.of_database(self._source.database)
        return target
