"""What modalities and archives report, in the audit log: nothing is taken that cannot be recorded."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from dicomfab.dimse.handlers import Refusal, Requestor
from dicomfab.model.audit import AuditEvent, EventKind, Node
from dicomfab.model.errors import LocalFailure
from dicomfab.model.values import Environment
from dicomfab.services.recording import Record

if TYPE_CHECKING:
    from dicomfab.storage.audit import Transaction

log = logging.getLogger(__name__)

_PROCESSING_FAILURE: Final = 0x0110


def note_report(
    record: Record,
    requestor: Requestor,
    environment: Environment,
    subject: str,
    *,
    studies: Iterable[str],
    patients: Iterable[str],
    detail: dict[str, str],
    within: Transaction,
) -> None:
    """Record a report within the transaction that keeps it.

    Args:
        record: the audit log.
        requestor: who reports.
        environment: of the information system.
        subject: what it is, such as ``performed procedure step``.
        studies: Study Instance UIDs.
        patients: Patient IDs.
        detail: see :class:`~dicomfab.model.audit.AuditEvent`.
        within: of what is kept.

    Raises:
        Refusal: 0110 if it cannot be recorded; then nothing is kept.
    """
    event = AuditEvent(
        kind=EventKind.IMPORT,
        door="dicom",
        address=requestor.address,
        environment=str(environment),
        sender=Node(ae_title=requestor.ae_title, host=requestor.address),
        subject=subject,
        study_uids=tuple(dict.fromkeys(one for one in studies if one)),
        patient_ids=tuple(dict.fromkeys(one for one in patients if one)),
        detail=detail,
    )
    try:
        record(event, within=within)
    except LocalFailure as failure:
        log.error("a %s could not be recorded, and is refused: %s", subject, failure.what)
        raise Refusal(_PROCESSING_FAILURE, f"the {subject} cannot be recorded") from failure
