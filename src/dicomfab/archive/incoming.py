"""Sinks: an instance arrives in pieces. A small one waits in memory for its commit, a larger one goes to disk."""

from __future__ import annotations

import itertools
import os
from types import TracebackType
from typing import Final, Self

from dicomfab.archive.errors import ArchiveFailure, ArchiveFull
from dicomfab.archive.files import InstanceFiles, write_all
from dicomfab.archive.header import parse_header, read_header
from dicomfab.archive.records import Outcome, Stored
from dicomfab.archive.writer import Received, Writer
from dicomfab.model import values
from dicomfab.model.disk import is_disk_full
from dicomfab.model.part10 import file_header
from dicomfab.model.study import Buffer, InstanceIdentity
from dicomfab.model.values import Environment

# Up to this, writing a data set twice, into the index and into its file, costs less than syncing the file does.
_SMALL_BYTES: Final = 64 << 10
_HEADER_BYTES: Final = 16 << 10  # of a larger one: most headers end before; the others are read from the file


class _Sink:
    """One instance on its way in. As a context manager it is aborted unless it was committed."""

    def __init__(self, files: InstanceFiles, identity: InstanceIdentity) -> None:
        self._identity = InstanceIdentity(
            values.uid(identity.sop_class_uid, field="SOP class UID"),
            values.uid(identity.sop_instance_uid, field="SOP instance UID"),
            values.uid(identity.transfer_syntax_uid, field="transfer syntax UID"),
        )
        header = file_header(
            self._identity.sop_class_uid, self._identity.sop_instance_uid, self._identity.transfer_syntax_uid
        )
        self._files = files
        self._temporary = files.temporary()
        self._dataset_offset = len(header)
        self._start = bytearray(header)  # the file so far, or its first bytes if it is on disk
        self._size_bytes = 0
        self._fd = -1
        self._stored = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.abort()

    @property
    def size_bytes(self) -> int:
        """Bytes of the data set written so far."""
        return self._size_bytes

    def write(self, chunk: Buffer) -> None:
        """Append bytes of the data set, as they were received. They are not needed any more afterwards.

        Raises:
            ArchiveFailure: the disk did not take them.
        """
        view = memoryview(chunk)
        if not view.nbytes:
            return
        view = view.cast("B")
        if self._fd < 0 and self._to_disk(self._size_bytes + len(view)):
            self._spill()
        if self._fd < 0:
            self._start += view
        else:
            self._write(view)
            if len(self._start) < _HEADER_BYTES:
                self._start += view[: _HEADER_BYTES - len(self._start)]
        self._size_bytes += len(view)

    def abort(self) -> None:
        """Drop what was written. After a commit, or a second time, nothing happens."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            if not self._stored:
                self._files.drop(self._temporary)

    def _to_disk(self, size_bytes: int) -> bool:
        """Whether a data set that has grown to this size leaves the memory."""
        return size_bytes > _SMALL_BYTES

    def _open(self) -> int:
        """Open the temporary file, empty and under a durable name."""
        self._temporary = self._files.spare()
        return os.open(self._files.temporary_path(self._temporary), os.O_WRONLY | os.O_CLOEXEC)

    def _spill(self) -> None:
        try:
            self._fd = self._open()
        except OSError as error:
            raise _failure(error) from error
        self._write(memoryview(bytes(self._start)))
        del self._start[_HEADER_BYTES:]

    def _write(self, data: memoryview) -> None:
        try:
            write_all(self._fd, data)
        except OSError as error:
            raise _failure(error) from error

    def _receive(
        self, environment: Environment, retrieved_at: str | None = None, *, made_here: bool = False
    ) -> Received:
        """Check the header."""
        start = bytes(self._start)
        whole = len(start) == self._dataset_offset + self._size_bytes
        header = parse_header(start, self._dataset_offset, self._identity, whole=whole)
        if header is None:
            header = read_header(self._files.temporary_path(self._temporary), self._dataset_offset, self._identity)
        return Received(
            temporary=self._temporary,
            content=start if self._fd < 0 else None,
            identity=self._identity,
            header=header,
            size_bytes=self._size_bytes,
            dataset_offset=self._dataset_offset,
            environment=environment,
            retrieved_at=retrieved_at,
            made_here=made_here,
        )


class Incoming(_Sink):
    """A sink for one instance, stored by itself (see :meth:`dicomfab.archive.archive.Archive.begin`)."""

    def __init__(self, files: InstanceFiles, identity: InstanceIdentity, writer: Writer) -> None:
        super().__init__(files, identity)
        self._writer = writer

    def commit(self, *, environment: Environment, retrieved_at: str | None = None) -> Stored:
        """Store the instance; on return it is durable: file, directory entry and index.

        Args:
            environment: where the instance came from.
            retrieved_at: when a server of production sent it, ISO 8601 in UTC, so that the copy expires.

        Raises:
            UnreadableInstance: the data set cannot be parsed or has no place (C-STORE status C000).
            MismatchedInstance: it is not the instance announced (A900).
            ArchiveFailure: disk or index failed (A700).
            None of these leaves anything behind.
        """
        try:
            received = self._receive(environment, retrieved_at)
            if self._fd >= 0:
                os.fsync(self._fd)
            stored = self._writer.store(received)
            self._stored = stored.is_new
            return stored
        except OSError as error:
            raise _failure(error) from error
        finally:
            self.abort()


class BatchIncoming(_Sink):
    """A sink for one instance of a batch: always a file, since the whole batch would not fit into memory."""

    def __init__(self, files: InstanceFiles, identity: InstanceIdentity, batch: Batch) -> None:
        super().__init__(files, identity)
        self._batch = batch

    def commit(self, *, environment: Environment, made_here: bool = False) -> None:
        """Check the instance, to be stored with its batch.

        Args:
            environment: where the instance came from.
            made_here: it was fabricated by this installation.

        Raises:
            UnreadableInstance, MismatchedInstance, ArchiveFailure: as :meth:`Incoming.commit`.
        """
        try:
            self._batch.add(self._receive(environment, made_here=made_here))
            self._stored = True
        except OSError as error:
            raise _failure(error) from error
        finally:
            self.abort()

    def _to_disk(self, size_bytes: int) -> bool:
        return True

    def _open(self) -> int:
        path = self._files.temporary_path(self._temporary)
        return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)


class Batch:
    """Instances that are stored together or not at all.

    Args:
        files: of the archive.
        writer: of the archive.
        is_rewriting: they take the place of those that are there under their UIDs.

    Attributes:
        stored: filled, in the order of the commits, when the batch has been stored.
    """

    def __init__(self, files: InstanceFiles, writer: Writer, *, is_rewriting: bool = False) -> None:
        self.stored: list[Stored] = []
        self._is_rewriting = is_rewriting
        self._files = files
        self._writer = writer
        self._received: list[Received] = []

    @property
    def kept(self) -> int:
        """Of how many the archive holds other content, which it kept, once the batch has been stored."""
        return sum(one.outcome in (Outcome.KEPT, Outcome.REFUSED) for one in self.stored)

    def begin(self, identity: InstanceIdentity) -> BatchIncoming:
        """Start an instance.

        Raises:
            InvalidInput: a UID that is none.
        """
        return BatchIncoming(self._files, identity, self)

    def add(self, received: Received) -> None:
        """Take an instance that is ready."""
        header = received.header
        if self._received:
            header = header.sharing(self._received[-1].header)
        self._received.append(received._replace(header=header))

    def store(self) -> None:
        """Store all of them, in one transaction."""
        if self._received:
            store = self._writer.rewrite_all if self._is_rewriting else self._writer.store_all
            self.stored = store(self._received)

    def discard(self) -> None:
        """Remove the temporary files that the archive does not need."""
        for received, stored in itertools.zip_longest(self._received, self.stored):
            if stored is None or not stored.is_new:
                self._files.drop(received.temporary)
        self._received.clear()


def _failure(error: OSError) -> ArchiveFailure:
    is_full = is_disk_full(error)
    kind = ArchiveFull if is_full else ArchiveFailure
    return kind(
        f"the archive could not write an instance ({error.strerror or error})",
        cause="the disk is full" if is_full else "the disk was taken away, or fails",
        remedy="make room, then do it again; what was stored before is safe",
    )
