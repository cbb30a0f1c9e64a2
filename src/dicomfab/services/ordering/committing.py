"""Storage commitment as a modality asks for it, and waits for its report (PS3.4 annex J, IHE RAD-10)."""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from dicomfab.dimse.commitment import Transaction, Verdict
from dicomfab.dimse.handlers import Requestor, ServerConfig
from dicomfab.dimse.scp.gate import StoreOnly
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.commitment import CommitmentReports, request_commitment
from dicomfab.dimse.sop_classes import COMMITMENT
from dicomfab.model.errors import PeerTimeout, PortInUse, TransferIncomplete
from dicomfab.registry.fields import Capability
from dicomfab.services.ordering.modality_config import ModalityConfig
from dicomfab.services.ordering.performing import to_commit
from dicomfab.services.peers import peer_for
from dicomfab.services.progress import Cancelled

if TYPE_CHECKING:
    from dicomfab.archive.records import StoredInstance

_SLICE_S: Final = 0.1
#: How long the association of the request stays open; a PACS that reports elsewhere must not cost much time.
_SAME_ASSOCIATION_S: Final = 0.5


def commitment(
    config: ModalityConfig, transaction_uid: str, instances: Sequence[StoredInstance], stopped: Cancelled
) -> tuple[str, int | None]:
    """Have the PACS answer for instances.

    Args:
        config: which PACS, where reports come to, and how long to wait.
        transaction_uid: of the request.
        instances: all of one study.
        stopped: asked all the while.

    Returns:
        The transaction, and for how many instances the PACS answers; ``None`` if it was stopped before that was known.

    Raises:
        PeerError: it could not be asked, or did not report in time.
        TransferIncomplete: it does not answer for all.
        PortInUse: reports cannot be listened for.
    """
    reports: queue.SimpleQueue[Verdict] = queue.SimpleQueue()
    transaction = to_commit(transaction_uid, instances)
    peer = replace(peer_for(config.pacs, Capability.ECHO), calling_ae_title=config.ae_title)
    with _hearing(config, reports):
        request_commitment(peer, transaction, wait_s=_SAME_ASSOCIATION_S, on_report=reports.put)
        verdict = _report(config, transaction, reports, stopped)
    if verdict is None:
        return transaction_uid, None
    if verdict.failed:
        raise TransferIncomplete(
            f"{config.pacs.name} does not answer for {len(verdict.failed)} instances",
            cause="; ".join(sorted({one.words for one in verdict.failed})),
            remedy="send the study again, and keep it until the PACS has committed to it",
        )
    return transaction_uid, len(verdict.committed)


def _report(
    config: ModalityConfig,
    transaction: Transaction,
    reports: queue.SimpleQueue[Verdict],
    stopped: Cancelled,
) -> Verdict | None:
    until = time.monotonic() + config.commit_s
    while time.monotonic() < until:
        if stopped():
            return None
        try:
            verdict = reports.get(timeout=_SLICE_S)
        except queue.Empty:
            continue
        if verdict.transaction_uid == transaction.transaction_uid:
            return verdict
    raise PeerTimeout(
        f"{config.pacs.name} did not report on the storage commitment within {config.commit_s:g} s",
        stage="commitment",
        timeout_s=config.commit_s,
        cause=f"it does not know {config.ae_title} at port {config.port}, or a firewall is between",
        remedy="register this modality with its address and port at the PACS",
    )


def require_hearing(config: ModalityConfig) -> None:
    """Raise unless reports of commitments can be listened for, before anything is begun that needs them.

    Raises:
        PortInUse: another program has the port.
    """
    with _hearing(config, queue.SimpleQueue()):
        pass


@contextmanager
def _hearing(config: ModalityConfig, reports: queue.SimpleQueue[Verdict]) -> Iterator[None]:
    """Listen for the report of a commitment, which comes on an association of the PACS."""

    def told(_requestor: Requestor, verdict: Verdict) -> None:
        reports.put(verdict)

    served = ServerConfig(config.ae_title, host=config.host, port=config.port)
    server = Server(served, StoreOnly(), {COMMITMENT: CommitmentReports(told)})
    try:
        server.__enter__()
    except OSError as error:
        raise PortInUse(
            f"port {config.port} of {config.host} cannot be listened on ({os.strerror(error.errno or 0)})",
            cause="another modality runs, or another program has it",
            remedy="name another port: --port, which the PACS has to know",
        ) from error
    try:
        yield
    finally:
        server.__exit__(None, None, None)
