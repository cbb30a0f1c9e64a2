"""What archives report to be available (Instance Availability Notification, PS3.4 annex R, IHE RAD-49)."""

from __future__ import annotations

import logging
from collections import Counter

from dicomfab.dimse.handlers import Requestor
from dicomfab.dimse.scu.availability import AvailabilityNotice
from dicomfab.model.errors import NotFound
from dicomfab.model.procedure import ProcedureEventKind
from dicomfab.model.values import Environment
from dicomfab.services.ordering.heard import note_report
from dicomfab.services.recording import Record, nobody
from dicomfab.storage.performed import PerformedRows
from dicomfab.storage.procedures import ProcedureRepository, ProcedureRows

log = logging.getLogger(__name__)


class AvailabilityNotices:
    """Notes with the requested procedures of one environment what is available.

    Args:
        procedures: what was to be done.
        environment: of the information system.
        record: the audit log.
    """

    def __init__(self, procedures: ProcedureRepository, environment: Environment, record: Record = nobody) -> None:
        self._procedures = procedures
        self._environment = environment
        self._record = record

    def take(self, requestor: Requestor, sop_instance_uid: str, notice: AvailabilityNotice) -> None:
        """Note a notification (see :data:`~dicomfab.dimse.scp.availability.OnNotice`).

        It is for the procedures that the performed step was for which it refers to, and for that of the study: of
        procedures that were performed together, no one has the study's UID.

        Raises:
            Refusal: 0110 if it cannot be recorded.
        """
        said = _said(notice)
        with self._procedures.change() as rows:
            found = self._of(rows, notice)
            for procedure in found:
                rows.note(procedure, ProcedureEventKind.AVAILABLE, said, reference=notice.study_instance_uid)
            note_report(
                self._record,
                requestor,
                self._environment,
                "instance availability notification",
                studies=[notice.study_instance_uid],
                patients=[rows.get(procedure).patient_id for procedure in found],
                detail={"notification": sop_instance_uid, "said": said},
                within=rows.transaction,
            )
        if not found:
            log.info("notification %s of %s is for nothing that was ordered", sop_instance_uid, requestor.ae_title)

    def _of(self, rows: ProcedureRows, notice: AvailabilityNotice) -> list[int]:
        numbers = {}
        own = rows.with_study(notice.study_instance_uid)
        if own is not None and own.environment is self._environment:
            numbers[own.number] = own
        performed = PerformedRows(rows.transaction, rows.now)
        try:
            is_ours = bool(notice.performed_step_uid) and (
                performed.get(notice.performed_step_uid).environment is self._environment
            )
        except NotFound:  # it was reported elsewhere
            is_ours = False
        if is_ours:
            for procedure, _step in performed.steps_of(notice.performed_step_uid):
                numbers.setdefault(procedure, rows.get(procedure))
        return list(numbers)


def _said(notice: AvailabilityNotice) -> str:
    """How many instances there are, how soon and where, for people."""
    instances = [one for series in notice.series for one in series.instances]
    found = Counter((str(one.availability).lower(), ", ".join(one.retrieve_ae_titles)) for one in instances)
    return "; ".join(
        f"{number} instance{'s are' if number > 1 else ' is'} {state} at {where}"
        for (state, where), number in found.items()
    )
