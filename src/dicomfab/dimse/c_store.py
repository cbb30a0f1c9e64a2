"""C-STORE over an association, in both directions (PS3.7 9.1.1, PS3.4 annex B).

Sending: the instance's bytes go from its file to the socket as they are. The next instance is opened and its command
set encoded while the peer still works on the one before. Receiving: each piece goes to the handler's sink as it comes.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from dicomfab.dimse import command as dimse_command
from dicomfab.dimse.command import Command
from dicomfab.dimse.contexts import Conversions, for_identity
from dicomfab.dimse.endings import Ending
from dicomfab.dimse.handlers import Refusal, Requestor, StoreHandler, StoreSink
from dicomfab.dimse.link import Link, Message
from dicomfab.dimse.transport.channel import read_exactly
from dicomfab.model.errors import InstanceUnreadable, TranscodingFailed
from dicomfab.model.log_lines import log_failure
from dicomfab.model.study import InstanceFile, InstanceIdentity
from dicomfab.ul.negotiation import AcceptedContext
from dicomfab.ul.pdata import Chunk, FileRange

log = logging.getLogger(__name__)

#: Data sets up to this size are read into memory at once; longer ones go from the file in pieces.
_BUFFERED_BYTES: Final = 4 << 20
_PROCESSING_FAILURE: Final = 0x0110
_CANNOT_UNDERSTAND: Final = 0xC000


@dataclass(frozen=True, slots=True)
class Origin:
    """On whose behalf a C-MOVE sends (PS3.7 9.1.1.1.6).

    Args:
        ae_title: of the application entity that asked for the move.
        message_id: of its C-MOVE-RQ.
    """

    ae_title: str
    message_id: int


class Outgoing:
    """One instance, ready to go out. To be closed.

    Args:
        instance: what is sent, as it was before any conversion.
        context: in whose transfer syntax it goes out.
        command: the encoded C-STORE-RQ.
        message_id: of it.
        dataset: where the data set is.
        fd: to be closed afterwards; -1 if none is open.
    """

    __slots__ = ("_fd", "command", "context", "dataset", "instance", "message_id")

    def __init__(
        self,
        instance: InstanceFile,
        context: AcceptedContext,
        command: bytes,
        message_id: int,
        dataset: tuple[Chunk, ...],
        fd: int,
    ) -> None:
        self.instance = instance
        self.context = context
        self.command = command
        self.message_id = message_id
        self.dataset = dataset
        self._fd = fd

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Loader:
    """Opens instances for sending, one ahead: two buffers take turns."""

    def __init__(self) -> None:
        self._buffers = [bytearray(), bytearray()]
        self._turn = 0

    def open(
        self, instance: InstanceFile, context: AcceptedContext, message_id: int, origin: Origin | None = None
    ) -> Outgoing:
        """Make an instance ready. At most one other may be in use.

        Raises:
            InstanceUnreadable: the file cannot be read.
        """
        identity = instance.identity
        command = dimse_command.encode(_request(identity, message_id, origin))
        fd = -1
        try:
            fd = os.open(instance.path, os.O_RDONLY | os.O_CLOEXEC)
            size = os.fstat(fd).st_size - instance.dataset_offset
            if size <= 0:
                raise EOFError("it holds no data set")
            if size > _BUFFERED_BYTES:
                return Outgoing(instance, context, command, message_id, (_range(fd, instance, size),), fd)
            view = self._buffer(size)
            read_exactly(fd, view, instance.dataset_offset)
            os.close(fd)
            return Outgoing(instance, context, command, message_id, (view,), -1)
        except (OSError, EOFError) as error:
            if fd >= 0:
                os.close(fd)
            raise unreadable(instance.path, error) from error

    def _buffer(self, size: int) -> memoryview:
        self._turn ^= 1
        if len(self._buffers[self._turn]) < size:
            self._buffers[self._turn] = bytearray(max(size, 1 << 16))
        return memoryview(self._buffers[self._turn])[:size]


class NotTaken(Exception):
    """The peer takes an instance in no transfer syntax that it is in, or can be brought into.

    Args:
        why: what went wrong when it was to be converted, if that was tried.
    """

    def __init__(self, why: TranscodingFailed | None = None) -> None:
        super().__init__(str(why or ""))
        self.why = why


class Preparing:
    """Makes instances ready for an association; as a context manager, its temporary files go with it.

    Args:
        contexts: the accepted ones.
        next_message_id: gives one for each C-STORE-RQ.
        conversions: what may be done to instances that the peer does not take as they are.
        origin: whose C-MOVE this is for.
        as_scp: send on contexts in which the requestor performs the service (C-GET).
    """

    def __init__(
        self,
        contexts: Mapping[int, AcceptedContext],
        next_message_id: Callable[[], int],
        conversions: Conversions,
        origin: Origin | None = None,
        *,
        as_scp: bool = False,
    ) -> None:
        self._contexts = contexts
        self._next_message_id = next_message_id
        self._conversions = conversions
        self._origin = origin
        self._as_scp = as_scp
        self._loader = Loader()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._ready: Outgoing | None = None
        self._chosen: dict[tuple[str, str], AcceptedContext | None] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ready is not None:
            self._ready.close()
        if self._folder is not None:
            self._folder.cleanup()

    def prepare(self, instance: InstanceFile) -> Outgoing:
        """An instance ready to go.

        Raises:
            NotTaken: there is no context for it.
            InstanceUnreadable: its file cannot be read.
        """
        identity = instance.identity
        kind = (identity.sop_class_uid, identity.transfer_syntax_uid)
        if kind not in self._chosen:
            self._chosen[kind] = for_identity(self._contexts, identity, self._conversions, as_scp=self._as_scp)
        context = self._chosen[kind]
        if context is None:
            raise NotTaken
        message_id = self._next_message_id()
        if context.transfer_syntax == identity.transfer_syntax_uid:
            self._ready = self._loader.open(instance, context, message_id, self._origin)
            return self._ready
        converted = self._converted(instance, context.transfer_syntax)
        try:
            self._ready = self._loader.open(converted, context, message_id, self._origin)
        finally:
            converted.path.unlink()  # what was opened stays readable
        self._ready.instance = instance
        return self._ready

    def _converted(self, instance: InstanceFile, transfer_syntax: str) -> InstanceFile:
        from dicomfab.pixels.transcode import transcode

        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="dicomfab-")
        try:
            return transcode(instance, transfer_syntax, Path(self._folder.name))
        except TranscodingFailed as error:
            raise NotTaken(error) from error


def receive(link: Link, message: Message, requestor: Requestor, handler: StoreHandler) -> None:
    """Take the instance of a C-STORE-RQ and answer it.

    Raises:
        Ending: the association ended before it was whole; the sink was told to discard it.
    """
    request = message.command
    status, comment = _taken(link, message, requestor, handler)
    link.drop_data_set()
    response = dimse_command.response_to(request, status)
    if comment:
        response["ErrorComment"] = comment
    link.send(message.context.context_id, dimse_command.encode(response))


def _taken(link: Link, message: Message, requestor: Requestor, handler: StoreHandler) -> tuple[int, str]:
    """Status and comment to answer. If it is refused, the data set may not have been read."""
    identity = InstanceIdentity(
        message.command.get("AffectedSOPClassUID", ""),
        message.command.get("AffectedSOPInstanceUID", ""),
        message.context.transfer_syntax,
    )
    sink: StoreSink | None = None
    finished = False
    try:
        if not message.has_data_set:
            raise Refusal(_CANNOT_UNDERSTAND, "there is no data set")
        sink = handler.begin_store(requestor, identity)
        link.read_data_set(sink.write)
        status = sink.finish()
        finished = True
        return status, ""
    except Refusal as refusal:
        return refusal.status, refusal.comment
    except Ending:
        raise
    except Exception as error:  # noqa: BLE001 (logged, and answered)
        log_failure(log, f"storing {identity.sop_instance_uid} from {requestor.ae_title}", error)
        return _PROCESSING_FAILURE, "the application failed"
    finally:
        if sink is not None and not finished:
            sink.discard()


def _request(identity: InstanceIdentity, message_id: int, origin: Origin | None) -> Mapping[str, Any]:
    command: Command = {
        "AffectedSOPClassUID": identity.sop_class_uid,
        "CommandField": dimse_command.C_STORE_RQ,
        "MessageID": message_id,
        "Priority": dimse_command.PRIORITY_MEDIUM,
        "CommandDataSetType": dimse_command.DATA_SET,
        "AffectedSOPInstanceUID": identity.sop_instance_uid,
    }
    if origin is not None:
        command["MoveOriginatorApplicationEntityTitle"] = origin.ae_title
        command["MoveOriginatorMessageID"] = origin.message_id
    return command


def _range(fd: int, instance: InstanceFile, size: int) -> FileRange:
    return FileRange(fd, instance.dataset_offset, size)


def unreadable(path: Path, error: OSError | EOFError) -> InstanceUnreadable:
    """The file of an instance cannot be read, or not to its end."""
    return InstanceUnreadable(
        f"the file of an instance, {path.name}, cannot be sent ({getattr(error, 'strerror', None) or error}).",
        cause="it was moved, deleted or cut short since it was indexed",
        remedy="check the folder; rebuild the index of the local store: dicomfab study reindex",
    )
