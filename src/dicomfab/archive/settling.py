"""Durable before the files are: what the index vouches for until the disk has caught up.

Syncing every file and its directory costs far more than writing them. So the commit of the index, which is synced in
any case, takes along what a file can be restored from, and is all that success waits for:

* a small instance's content;
* a larger one's temporary file, which was synced by itself and keeps its name until the name in place is durable.

Such an instance is *unsettled*. Now and then a process has all of its files synced at once, in the background, and the
notes removed: settled. What it did not come to settle, because it or the machine died, is restored by whoever opens the
archive next.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection, select

from dicomfab.archive.errors import ArchiveFailure
from dicomfab.archive.files import InstanceFiles
from dicomfab.archive.schema import WriteTransactions, driver, instance, unsettled

logger = logging.getLogger(__name__)

_MANY: Final = 256
_MANY_BYTES: Final = 8 << 20
_TOO_MANY: Final = 16  # times that: then storing waits for settling
_REMOVE_NOTE: Final = "DELETE FROM unsettled WHERE id = ? AND temporary = ?"


class Unsettled(NamedTuple):
    """An instance whose file is in place, not yet for good.

    Args:
        note: the row that says what it can be restored from.
        temporary: the name that goes with it, workspace and all.
        path: the file, relative to the directory of all instances.
        content_bytes: what the note holds.
    """

    note: int
    temporary: str
    path: str
    content_bytes: int


class Settling:
    """Settles what this process has stored. Thread-safe."""

    def __init__(self, transactions: WriteTransactions, files: InstanceFiles) -> None:
        self._transactions = transactions
        self._files = files
        self._lock = threading.Lock()
        self._waiting: list[Unsettled] = []
        self._bytes = 0
        self._worker: threading.Thread | None = None
        self._working = threading.Lock()
        self._failed = False

    def add(self, committed: Sequence[Unsettled]) -> None:
        """Take over instances whose transaction was committed."""
        with self._lock:
            self._waiting += committed
            self._bytes += sum(one.content_bytes for one in committed)
            load = max(len(self._waiting) / _MANY, self._bytes / _MANY_BYTES)
            if load >= 1 and (self._worker is None or not self._worker.is_alive()):
                self._worker = threading.Thread(target=self.settle, name="settling", daemon=True)
                self._worker.start()
            worker = self._worker
        if load >= _TOO_MANY and worker is not None:
            worker.join()

    def settle(self) -> None:
        """Make all files durable that are waiting for it.

        If the disk does not do it, their notes stay: the next opening of the archive writes the files anew.
        """
        with self._working:
            with self._lock:
                taken, self._waiting, self._bytes = self._waiting, [], 0
            if not taken:
                return
            try:
                self._files.sync(self._files.instances / one.path for one in taken)
                with self._transactions.begin() as connection:
                    driver(connection).executemany(_REMOVE_NOTE, [(one.note, one.temporary) for one in taken])
            except (OSError, ArchiveFailure) as error:
                logger.warning(
                    "%d files stay unsettled until %s is opened next: %s", len(taken), self._files.root, error
                )
                self._failed = True
                return
            for one in taken:
                if not one.content_bytes:
                    self._files.drop(one.temporary)

    def close(self) -> bool:
        """Settle the rest. Returns whether nothing is left for the next opening."""
        worker = self._worker
        if worker is not None:
            worker.join()
        self.settle()
        return not self._failed


def restore(connection: Connection, files: InstanceFiles, living: Collection[str]) -> None:
    """Put files in place again that were not settled, and settle them.

    Args:
        connection: in a write transaction.
        files: where to.
        living: the workspaces of the processes that will do it themselves.
    """
    notes = (
        select(unsettled.c.id, unsettled.c.temporary, unsettled.c.content, instance.c.path)
        .join(instance, instance.c.id == unsettled.c.instance_id)
        .order_by(unsettled.c.id)
    )
    restored: dict[int, tuple[str, str]] = {}
    for note, temporary, content, path in connection.execute(notes):
        if temporary.partition("/")[0] not in living:
            files.restore(path, temporary if content is None else content)
            restored[note] = temporary, path
    files.sync_names(path for _, path in restored.values())
    driver(connection).executemany(_REMOVE_NOTE, [(note, temporary) for note, (temporary, _) in restored.items()])
    if restored:
        logger.info("%d instances that a process had no time to settle were restored in %s", len(restored), files.root)
