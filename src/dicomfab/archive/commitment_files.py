"""Transactions of storage commitment on disk: one file for each that was not reported yet."""

from __future__ import annotations

import json
import logging
import os
import time
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any, Final

from dicomfab.dimse.commitment import Reference, Transaction
from dicomfab.dimse.handlers import Requestor
from dicomfab.model.values import is_uid

log = logging.getLogger(__name__)

# What the name of a transaction's file ends with.
_PENDING: Final = ".json"
_UNFINISHED: Final = ".new"
_ASIDE: Final = ".unreported"
_MOST_ASIDE: Final = 1000


@dataclass(frozen=True, slots=True)
class Kept:
    """A transaction on disk; its references stay there until they are needed.

    Args:
        transaction_uid: of the transaction.
        ae_title: the requestor's.
        received_at: seconds since the epoch.
        address: the requestor's IP address; blank if it was not noted.
    """

    transaction_uid: str
    ae_title: str
    received_at: float
    address: str = ""

    @property
    def requestor(self) -> Requestor:
        """Who asked."""
        return Requestor(self.ae_title, self.address)


class CommitmentFiles:
    """The files. Writing and removing is for one thread at a time.

    Args:
        folder: made when needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def pending(self) -> list[Kept]:
        """What was not reported, the oldest first; what a killed process did not finish is removed.

        Raises:
            OSError: the folder cannot be read.
        """
        for path in self.folder.glob(f"*{_UNFINISHED}"):
            path.unlink(missing_ok=True)
        found = []
        for path in self.folder.glob(f"*{_PENDING}"):
            try:
                found.append(_kept(json.loads(path.read_text("utf-8")), path.stem))
            except (ValueError, KeyError, TypeError):
                log.error("%s is no storage commitment, and is left where it is", path)
        return sorted(found, key=lambda one: one.received_at)

    def write(self, requestor: Requestor, transaction: Transaction) -> Kept:
        """Keep a transaction; on return it survives the machine.

        Raises:
            OSError: the disk does not take it; nothing is left of it.
        """
        kept = Kept(transaction.transaction_uid, requestor.ae_title, time.time(), requestor.address)
        references = [astuple(one) for one in transaction.references]
        document = {**asdict(kept), "references": references}
        path = self.path(kept)
        temporary = path.with_suffix(_UNFINISHED)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(document, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            for directory in (self.folder, self.folder.parent):
                _sync(directory)
        except OSError:
            for made in (temporary, path):
                with suppress(OSError):
                    made.unlink()
            raise
        return kept

    def read(self, kept: Kept) -> Transaction:
        """A transaction with its references.

        Raises:
            OSError, ValueError: its file cannot be read.
        """
        document = json.loads(self.path(kept).read_text("utf-8"))
        try:
            references = tuple(Reference(str(one), str(other)) for one, other in document["references"])
        except (KeyError, TypeError) as error:
            raise ValueError("the file of a storage commitment has no references") from error
        return Transaction(kept.transaction_uid, references)

    def set_aside(self, kept: Kept) -> None:
        """Keep the file of a transaction that is not tried any more, for people to look at, but not all of them."""
        path = self.path(kept)
        try:
            path.replace(path.with_suffix(_ASIDE))
            aside = sorted(self.folder.glob(f"*{_ASIDE}"), key=lambda one: one.stat().st_mtime)
            for old in aside[:-_MOST_ASIDE]:
                old.unlink()
        except OSError as error:
            log.error("storage commitment %s cannot be set aside: %s", kept.transaction_uid, error.strerror)

    def path(self, kept: Kept) -> Path:
        """The file of a transaction."""
        return self.folder / f"{kept.transaction_uid}{_PENDING}"


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _kept(document: Any, stem: str) -> Kept:
    kept = Kept(
        str(document["transaction_uid"]),
        str(document["ae_title"]),
        float(document["received_at"]),
        str(document.get("address", "")),
    )
    if kept.transaction_uid != stem or not is_uid(stem):
        raise ValueError("the name is another than the transaction UID")
    return kept
