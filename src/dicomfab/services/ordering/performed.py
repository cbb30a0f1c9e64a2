"""What modalities report of their work (MPPS, IHE RAD TF-2 4.6, 4.7), and what it does to the schedule."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Final

from pydicom import Dataset

from dicomfab.dimse.handlers import Requestor
from dicomfab.model.errors import NotFound
from dicomfab.model.procedure import ARROWS, ProcedureEventKind, ScheduledStep, StepState
from dicomfab.model.values import Environment
from dicomfab.services.ordering.heard import note_report
from dicomfab.services.ordering.scheduling import settle
from dicomfab.services.ordering.status import order_status
from dicomfab.services.recording import Record, nobody
from dicomfab.storage.performed import PerformedRows
from dicomfab.storage.procedures import ProcedureRepository, ProcedureRows

log = logging.getLogger(__name__)

#: Performed Procedure Step Status (0040,0252) -> state of the scheduled steps.
_STATES: Final = {
    "IN PROGRESS": StepState.STARTED,
    "COMPLETED": StepState.COMPLETED,
    "DISCONTINUED": StepState.DISCONTINUED,
}
#: Discontinued: incorrect worklist entry selected (CID 9301).
_WRONG_ITEM: Final = ("110514", "DCM")


class PerformedSteps:
    """Keeps performed steps of one environment (see :class:`~dicomfab.dimse.performed_step.PerformedStepStore`).

    Args:
        procedures: what was to be done.
        environment: of the worklist.
        record: the audit log.
        tell: called within the transaction, with a procedure and what its order status was (see
            :meth:`~dicomfab.services.ordering.status.StatusMessages.tell`).
    """

    def __init__(
        self,
        procedures: ProcedureRepository,
        environment: Environment,
        record: Record = nobody,
        tell: Callable[[ProcedureRows, int, str], None] = lambda _rows, _number, _before: None,
    ) -> None:
        self._tell = tell
        self._procedures = procedures
        self._environment = environment
        self._record = record

    def create(self, requestor: Requestor, sop_instance_uid: str, attributes: Dataset) -> None:
        """Keep a new step, and put the scheduled ones that it is for into progress.

        Raises:
            Conflict: it is there already.
            Refusal: 0110 if it cannot be recorded.
        """
        with self._procedures.change() as rows:
            steps = self._steps(rows, attributes)
            state = str(attributes.PerformedProcedureStepStatus)
            pairs = [(step.procedure, step.number) for step in steps]
            PerformedRows(rows.transaction, rows.now).add(
                sop_instance_uid, self._environment, state, requestor.ae_title, attributes.to_json_dict(), pairs
            )
            self._move(rows, steps, state, sop_instance_uid, requestor.ae_title)
            self._note(rows, requestor, "N-CREATE", sop_instance_uid, attributes)
        if not steps:
            log.info("performed step %s of %s is for nothing that was scheduled", sop_instance_uid, requestor.ae_title)

    def get(self, sop_instance_uid: str) -> Dataset:
        """One of them.

        Raises:
            NotFound: there is none.
        """
        with self._procedures.read() as rows:
            return self._kept(rows, sop_instance_uid)

    def update(self, requestor: Requestor, sop_instance_uid: str, change: Callable[[Dataset], Dataset]) -> None:
        """Change a step, nobody else doing so meanwhile, and carry its end through to the scheduled ones.

        Raises:
            NotFound: there is none; and whatever ``change`` raises.
            Refusal: 0110 if it cannot be recorded.
        """
        with self._procedures.change() as rows:
            performed = PerformedRows(rows.transaction, rows.now)
            before = self._kept(rows, sop_instance_uid)
            after = change(before)
            state = str(after.PerformedProcedureStepStatus)
            performed.replace(sop_instance_uid, state, after.to_json_dict())
            self._note(rows, requestor, "N-SET", sop_instance_uid, after)
            if state == "IN PROGRESS":
                return
            numbers = performed.steps_of(sop_instance_uid)
            steps = [
                step
                for procedure in dict.fromkeys(number for number, _ in numbers)
                for step in rows.get(procedure).steps
                if (procedure, step.number) in numbers
            ]
            station = performed.get(sop_instance_uid).calling_ae_title
            if state == "DISCONTINUED" and _is_mistaken(after):
                others = performed.in_progress(step.number for step in steps)
                self._put_back(rows, steps, others, sop_instance_uid, station)
            else:
                self._move(rows, steps, state, sop_instance_uid, station)

    def _note(
        self, rows: ProcedureRows, requestor: Requestor, operation: str, sop_instance_uid: str, attributes: Dataset
    ) -> None:
        items = attributes.get("ScheduledStepAttributesSequence") or ()
        state = str(attributes.PerformedProcedureStepStatus)
        note_report(
            self._record,
            requestor,
            self._environment,
            "performed procedure step",
            studies=[str(item.get("StudyInstanceUID", "") or "") for item in items],
            patients=[str(attributes.get("PatientID", "") or "")],
            detail={"operation": operation, "step": sop_instance_uid, "status": state},
            within=rows.transaction,
        )

    def _kept(self, rows: ProcedureRows, sop_instance_uid: str) -> Dataset:
        found = PerformedRows(rows.transaction, rows.now).get(sop_instance_uid)
        if found.environment is not self._environment:
            raise NotFound(f"there is no performed procedure step {sop_instance_uid}.", cause="nobody reported it here")
        return Dataset.from_json(found.attributes)

    def _steps(self, rows: ProcedureRows, attributes: Dataset) -> list[ScheduledStep]:
        """The scheduled steps that a performed one says to be for; none in an examination that nobody ordered."""
        found: dict[int, ScheduledStep] = {}
        for item in attributes.get("ScheduledStepAttributesSequence") or ():
            procedure = rows.with_study(str(item.get("StudyInstanceUID", "") or ""))
            if procedure is None or procedure.environment is not self._environment:
                continue
            step_id = str(item.get("ScheduledProcedureStepID", "") or "")
            for step in procedure.steps:
                if step.step_id == step_id:
                    found[step.number] = step
        return list(found.values())

    def _move(self, rows: ProcedureRows, steps: list[ScheduledStep], state: str, uid: str, station: str) -> None:
        target = _STATES[state]
        before = {one: order_status(rows.get(one).steps) for one in dict.fromkeys(step.procedure for step in steps)}
        able = [step for step in steps if target in ARROWS[step.state]]
        if able:
            rows.set_state(able, target)
        kind = ProcedureEventKind.PERFORMING if target is StepState.STARTED else ProcedureEventKind.PERFORMED
        for procedure, status in before.items():
            late = [step.step_id for step in steps if step not in able and step.state is not target]
            said = f"{state.lower()} at {station}"
            if late:
                said += f", though step {', '.join(late)} was over already"
            rows.note(procedure, kind, said, reference=uid)
            settle(rows, procedure)
            self._tell(rows, procedure, status)

    def _put_back(
        self, rows: ProcedureRows, steps: list[ScheduledStep], others: Collection[int], uid: str, station: str
    ) -> None:
        """Nothing was done for steps that were chosen by mistake: they are still to be performed (IHE RAD TF-2 4.7).

        Those that another modality is performing, by their numbers, stay begun.
        """
        able = [step for step in steps if step.number not in others]
        begun = [step for step in able if step.state in (StepState.STARTED, StepState.DEPARTED)]
        before = {one: order_status(rows.get(one).steps) for one in dict.fromkeys(step.procedure for step in steps)}
        if begun:
            rows.set_state(begun, StepState.SCHEDULED)
        for procedure, status in before.items():
            said = f"discontinued at {station}: the wrong item of the worklist was chosen; it is to be performed still"
            rows.note(procedure, ProcedureEventKind.PERFORMED, said, reference=uid)
            self._tell(rows, procedure, status)


def _is_mistaken(attributes: Dataset) -> bool:
    reasons = attributes.get("PerformedProcedureStepDiscontinuationReasonCodeSequence") or ()
    return any((one.get("CodeValue"), one.get("CodingSchemeDesignator")) == _WRONG_ITEM for one in reasons)
