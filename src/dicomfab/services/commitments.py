"""Storage commitment for the local store: who asks, what is answered for, and what the audit log says of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from dicomfab.archive.archive import Archive
from dicomfab.archive.commitment import AnyCommitments, CommitmentLimits
from dicomfab.dimse.commitment import FailureReason, Transaction, Verdict
from dicomfab.dimse.handlers import Refusal, Requestor
from dicomfab.dimse.identifier import encode
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.sop_classes import COMMITMENT
from dicomfab.model.audit import AuditEvent, EventKind, Node, Outcome
from dicomfab.model.errors import LocalFailure, NotFound
from dicomfab.registry.fields import ALL_CAPABILITIES, Capability
from dicomfab.registry.server import DEFAULT_AE_TITLE, PacsServer
from dicomfab.services.callers import callers
from dicomfab.services.peers import peer_for
from dicomfab.services.recording import Record, nobody

log = logging.getLogger(__name__)

_PROCESSING_FAILURE: Final = 0x0110


class LocalCommitments(AnyCommitments):
    """Answers registered servers for instances in the local store, and reports to the address of their entry.

    Not committed to are copies that expire, and what came from the other environment: of that a server learns nothing.

    Args:
        archive: the local store.
        folder: of the transactions that were not reported yet.
        servers: that are registered, as they are now.
        record: the audit log. What cannot be recorded is not taken on.
        limits: how long reports are tried.
    """

    def __init__(
        self,
        archive: Archive,
        folder: Path,
        servers: Callable[[], Sequence[PacsServer]],
        record: Record = nobody,
        *,
        limits: CommitmentLimits | None = None,
    ) -> None:
        super().__init__(archive, folder, limits)
        self._servers = servers
        self._record = record

    def peer_of(self, requestor: Requestor) -> Peer | None:
        """At the address of the server's entry, by the way that it says, as whom it has called."""
        server = self._server(requestor)
        if server is None:
            return None
        # What is switched off for the server is what we ask of it; a report answers what it asked.
        peer = peer_for(replace(server, capabilities=ALL_CAPABILITIES), Capability.ECHO)
        return replace(peer, calling_ae_title=DEFAULT_AE_TITLE)

    def withheld(self, requestor: Requestor, study_instance_uid: str) -> FailureReason | None:
        """Why nothing of a study is committed to a server, although it is there."""
        server = self._server(requestor)
        try:
            summary = self._archive.study(study_instance_uid).summary
        except NotFound:
            return FailureReason.NO_SUCH_OBJECT_INSTANCE
        if server is None or summary.environment is not server.environment:
            return FailureReason.NO_SUCH_OBJECT_INSTANCE
        if summary.retrieved_at:
            log.warning("study %s is not committed to: it holds copies that expire", study_instance_uid)
            return FailureReason.PROCESSING_FAILURE
        return None

    def asked(self, requestor: Requestor, transaction: Transaction) -> None:
        """Have a request recorded.

        Raises:
            Refusal: 0110, it cannot be.
        """
        event = self._event(requestor, transaction.transaction_uid, instances=len(transaction.references))
        try:
            self._record(event)
        except LocalFailure as failure:
            log.error("a storage commitment cannot be recorded, and is refused: %s", failure.what)
            raise Refusal(_PROCESSING_FAILURE, "it cannot be recorded") from failure

    def reported(self, requestor: Requestor, verdict: Verdict) -> None:
        """Have the verdict recorded that a server was told."""
        event = self._event(
            requestor, verdict.transaction_uid, committed=len(verdict.committed), failed=len(verdict.failed)
        )
        if verdict.failed:
            reasons = sorted({one.words for one in verdict.failed})
            event = replace(event, outcome=Outcome.MINOR, reason="; ".join(reasons))
        try:
            self._record(event)
        except LocalFailure as failure:  # it has happened
            log.error("a storage commitment that was reported could not be recorded: %s", failure.what)

    def _server(self, requestor: Requestor) -> PacsServer | None:
        return next(iter(callers(self._servers(), requestor.ae_title, requestor.address)), None)

    def _event(self, requestor: Requestor, transaction_uid: str, **counts: int) -> AuditEvent:
        """A question about what is held here: PS3.15 has no event of its own for it."""
        server = self._server(requestor)
        about = Dataset()
        about.TransactionUID = transaction_uid
        return AuditEvent(
            kind=EventKind.QUERY,
            door="dicom",
            address=requestor.address,
            environment="" if server is None else str(server.environment),
            sender=Node(
                name="" if server is None else server.name, ae_title=requestor.ae_title, host=requestor.address
            ),
            query=encode(about, ImplicitVRLittleEndian),
            query_sop_class=COMMITMENT,
            query_syntax=str(ImplicitVRLittleEndian),
            detail={"operation": "storage commitment", **{name: str(count) for name, count in counts.items()}},
        )
