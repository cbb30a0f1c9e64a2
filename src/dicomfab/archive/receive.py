"""The archive at the receiving end of C-STORE: what arrives goes in, what it refuses becomes a status (PS3.4 B.2.3)."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dicomfab.archive.errors import ArchiveFailure, ArchiveFull, MismatchedInstance, UnreadableInstance
from dicomfab.archive.records import Outcome
from dicomfab.dimse.handlers import Refusal, Requestor, StoreSink
from dicomfab.dimse.status import SUCCESS
from dicomfab.model.errors import InvalidInput
from dicomfab.model.study import Buffer, InstanceIdentity
from dicomfab.model.values import Environment

if TYPE_CHECKING:
    from dicomfab.archive.archive import Archive
    from dicomfab.archive.incoming import Incoming

log = logging.getLogger(__name__)

DUPLICATE_SOP_INSTANCE = 0x0111


class ArchiveReceiver:
    """A C-STORE handler that keeps instances in an archive.

    Args:
        archive: where to.
        environment: where what arrives belongs.
        expires: whether what arrives from production are copies that expire.
        to_look_at: whether what arrives from anywhere is only to be looked at, and expires.
    """

    def __init__(
        self, archive: Archive, environment: Environment, *, expires: bool = False, to_look_at: bool = False
    ) -> None:
        self._archive = archive
        self._environment = environment
        self.to_look_at = to_look_at
        self.expires = to_look_at or (expires and environment is Environment.PROD)
        #: SOP instances that were there already with other content, which was kept.
        self.kept: list[str] = []
        #: Set when no space was left for an instance.
        self.full: ArchiveFull | None = None

    def begin_store(self, requestor: Requestor, identity: InstanceIdentity) -> StoreSink:
        """Open a sink in the archive.

        Raises:
            Refusal: a UID of the command is none (C000), or the disk does not take more (A700).
        """
        try:
            return _Sink(self._archive.begin(identity), requestor, identity, self._environment, self)
        except ArchiveFailure as error:
            self.note(error)
            raise _refusal(error, error.status, requestor, identity) from error
        except InvalidInput as error:
            raise _refusal(error, UnreadableInstance.status, requestor, identity) from error

    def note(self, error: Exception) -> None:
        """Remember that the disk is full, if that is what an error says."""
        if isinstance(error, ArchiveFull):
            self.full = error


class _Sink:
    def __init__(
        self,
        incoming: Incoming,
        requestor: Requestor,
        identity: InstanceIdentity,
        environment: Environment,
        receiver: ArchiveReceiver,
    ) -> None:
        self._receiver = receiver
        self._incoming = incoming
        self._requestor = requestor
        self._identity = identity
        self._environment = environment

    def write(self, chunk: Buffer) -> None:
        try:
            self._incoming.write(chunk)
        except ArchiveFailure as error:
            self._receiver.note(error)
            raise _refusal(error, error.status, self._requestor, self._identity) from error

    def finish(self) -> int:
        try:
            now = datetime.now(UTC).isoformat(timespec="seconds") if self._receiver.expires else None
            stored = self._incoming.commit(environment=self._environment, retrieved_at=now)
        except (ArchiveFailure, UnreadableInstance, MismatchedInstance) as error:
            self._receiver.note(error)
            raise _refusal(error, error.status, self._requestor, self._identity) from error
        uid = self._identity.sop_instance_uid
        if stored.outcome is Outcome.REFUSED:
            log.warning("refused %s from %s: there already, with other content", uid, self._requestor.ae_title)
            raise Refusal(DUPLICATE_SOP_INSTANCE, "SOP instance exists with other content")
        if stored.outcome is Outcome.KEPT:
            self._receiver.kept.append(uid)
            log.warning("kept the first %s: it came again with other content (%s)", uid, self._requestor.ae_title)
        return SUCCESS

    def discard(self) -> None:
        self._incoming.abort()


def _refusal(
    error: ArchiveFailure | InvalidInput, status: int, requestor: Requestor, identity: InstanceIdentity
) -> Refusal:
    # The error's own words may quote the data set; a log must not.
    log.warning(
        "refused %s from %s with %04X (%s)",
        identity.sop_instance_uid,
        requestor.ae_title,
        status,
        type(error).__name__,
    )
    return Refusal(status, f"{error.heading}: {type(error).__name__}")
