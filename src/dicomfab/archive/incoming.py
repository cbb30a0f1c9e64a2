"""Sinks: an instance arrives in pieces and goes straight to disk; its content is digested on the way."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Self

from dicomfab.archive.errors import ArchiveFailure
from dicomfab.archive.files import InstanceFiles
from dicomfab.archive.header import Header, read_header
from dicomfab.archive.records import Stored
from dicomfab.archive.reindex import digest_of
from dicomfab.archive.writer import Received, Writer
from dicomfab.model import values
from dicomfab.model.part10 import file_header
from dicomfab.model.study import Buffer, InstanceIdentity
from dicomfab.model.values import Environment


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
        self._dataset_offset = len(header)
        self._size_bytes = 0
        self._committed = False
        self._digest = digest_of(self._identity.transfer_syntax_uid)
        self._temporary = files.temporary()
        try:
            self._file = self._temporary.open("xb")
            self._file.write(header)
        except OSError as error:
            raise _failure(error) from error

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
        """Append bytes of the data set, as they were received.

        Raises:
            ArchiveFailure: the disk did not take them.
        """
        view = memoryview(chunk)
        try:
            self._file.write(view)
        except OSError as error:
            raise _failure(error) from error
        self._digest.update(view)
        self._size_bytes += view.nbytes

    def abort(self) -> None:
        """Drop what was written. After a commit, or a second time, nothing happens."""
        with suppress(OSError):  # what a full disk refused to take at closing is not wanted any more
            self._file.close()
        if not self._committed:
            self._temporary.unlink(missing_ok=True)

    def _receive(self, environment: Environment) -> Received:
        """Check the header, and sync the file: only its name is still provisional."""
        try:
            self._file.flush()
            header = read_header(self._temporary, self._dataset_offset, self._identity)
            os.fsync(self._file.fileno())
            self._file.close()
        except OSError as error:
            raise _failure(error) from error
        return Received(
            temporary=self._temporary,
            identity=self._identity,
            header=header,
            digest=self._digest.digest(),
            size_bytes=self._size_bytes,
            dataset_offset=self._dataset_offset,
            environment=environment,
        )


class Incoming(_Sink):
    """A sink for one instance, stored by itself (see :meth:`dicomfab.archive.archive.Archive.begin`)."""

    def __init__(self, files: InstanceFiles, identity: InstanceIdentity, writer: Writer) -> None:
        super().__init__(files, identity)
        self._writer = writer

    def commit(self, *, environment: Environment) -> Stored:
        """Store the instance; on return it is durable: file, directory entry and index.

        Args:
            environment: where the instance came from.

        Raises:
            UnreadableInstance: the data set cannot be parsed or has no place (C-STORE status C000).
            MismatchedInstance: it is not the instance announced (A900).
            ArchiveFailure: disk or index failed (A700).
            None of these leaves anything behind.
        """
        try:
            return self._writer.store(self._receive(environment))
        finally:
            self.abort()


class BatchIncoming(_Sink):
    """A sink for one instance of a batch."""

    def __init__(self, files: InstanceFiles, identity: InstanceIdentity, batch: Batch) -> None:
        super().__init__(files, identity)
        self._batch = batch

    def commit(self, *, environment: Environment) -> None:
        """Check and sync the instance, to be stored with its batch.

        Raises:
            UnreadableInstance, MismatchedInstance, ArchiveFailure: as :meth:`Incoming.commit`.
        """
        try:
            self._batch.add(self._receive(environment))
            self._committed = True
        finally:
            self.abort()


class Batch:
    """Instances that are stored together or not at all.

    Args:
        stored: filled, in the order of the commits, when the batch has been stored.
    """

    def __init__(self, files: InstanceFiles, writer: Writer) -> None:
        self.stored: list[Stored] = []
        self._files = files
        self._writer = writer
        self._received: list[Received] = []

    def begin(self, identity: InstanceIdentity) -> BatchIncoming:
        """Start an instance.

        Raises:
            InvalidInput: a UID that is none.
        """
        return BatchIncoming(self._files, identity, self)

    def add(self, received: Received) -> None:
        """Take an instance that is ready."""
        previous = self._received[-1].header if self._received else None
        self._received.append(replace(received, header=_sharing(received.header, previous)))

    def store(self) -> None:
        """Store all of them, in one transaction."""
        if self._received:
            self.stored = self._writer.store_all(self._received)

    def discard(self) -> None:
        """Remove the temporary files, stored or not."""
        for received in self._received:
            received.temporary.unlink(missing_ok=True)
        self._received.clear()


def _sharing(header: Header, previous: Header | None) -> Header:
    """The header with what it has in common with the previous one held once, so that a long series stays small."""
    if previous is None:
        return header
    return Header({k: previous.levels[k] if previous.levels[k] == v else v for k, v in header.levels.items()})


def _failure(error: OSError) -> ArchiveFailure:
    return ArchiveFailure(
        f"the archive could not write an instance ({error.strerror or error})",
        cause="the disk is full, or was taken away",
        remedy="make room, then send it again; what was stored before is safe",
    )
