"""What an order does to requested procedures: makes, changes, cancels, completes them (IHE RAD TF-2 4.4, 4.13)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from dicomfab.hl7.acknowledging import Code, Problem, content_error
from dicomfab.model.order import CANCELLING, Order, OrderField, OrderState
from dicomfab.model.procedure import ARROWS, ProcedureEventKind, RequestedProcedure, ScheduledStep, StepState
from dicomfab.model.values import Environment
from dicomfab.storage.merges import MergeRows, is_one_patient
from dicomfab.storage.procedures import ProcedureRows

#: Attributes of a scheduled step; all others are of the requested procedure, the request or the patient.
STEP_KEYWORDS: Final = frozenset(
    {
        "ScheduledProcedureStepID", "Modality", "ScheduledProcedureStepDescription", "ScheduledStationAETitle",
        "ScheduledStationName", "ScheduledProcedureStepLocation", "ScheduledProcedureStepStartDate",
        "ScheduledProcedureStepStartTime", "ScheduledPerformingPhysicianName", "ScheduledProtocolCodeSequence",
    }
)  # fmt: skip
#: Order control codes (HL7 table 0119) of new orders, of changes, and of news about how far an order has come.
_NEW: Final = frozenset({"NW", "SN"})
_CHANGING: Final = frozenset({"XO", "XX", "RP"})
_TELLING: Final = frozenset({"SC"})
#: Order status (HL7 table 0038) -> state of the steps.
_STATES: Final = {
    "SC": StepState.SCHEDULED,
    "IP": StepState.STARTED,
    "CM": StepState.COMPLETED,
    "A": StepState.COMPLETED,  # some results are there
    "CA": StepState.CANCELLED,
    "DC": StepState.DISCONTINUED,
}
_LIMITS: Final = {
    "AccessionNumber": 16, "RequestedProcedureID": 16, "ScheduledProcedureStepID": 16, "PatientID": 64,
    "PlacerOrderNumberImagingServiceRequest": 64, "FillerOrderNumberImagingServiceRequest": 64,
    "ScheduledStationAETitle": 16, "Modality": 16,
}  # fmt: skip
_PLACER: Final = "PlacerOrderNumberImagingServiceRequest"
_INVENTED: Final = "given here: the message has none"


@dataclass(slots=True)
class Scheduler:
    """Applies the orders of one message.

    Args:
        rows: the procedures, within the transaction of the message.
        environment: of whoever sent it.
        message: its number in the ledger; ``None`` if it is in none.
        new_uid: gives a UID that nobody else will.
    """

    rows: ProcedureRows
    environment: Environment
    message: int | None
    new_uid: Callable[[], str]

    def apply(self, order: Order, number: int) -> list[Problem]:
        """Do what an order says.

        Args:
            order: one that asks for something.
            number: it is kept under.

        Returns:
            What is noteworthy.

        Raises:
            Unacceptable: nothing of it can be done.
        """
        for field in order.fields:
            if len(field.value) > _LIMITS.get(field.keyword, len(field.value)):
                text = f"{field.keyword} has {len(field.value)} characters; DICOM holds {_LIMITS[field.keyword]}"
                raise content_error(Code.DATA_TYPE, text, _place(field))
        found = self._found(order)
        if order.control in _NEW:
            procedure, problems = self._ordered(order, found)
        elif found is None:
            raise content_error(
                Code.UNKNOWN_KEY,
                f"{order.control}: there is no order with {_keys(order)}",
                _place(order.field("AccessionNumber") or order.field("PlacerOrderNumberImagingServiceRequest")),
            )
        else:
            procedure, problems = found, self._told(order, found)
        self.rows.link_orders([number], procedure.number, self.message)
        if found is not None:  # what has just been scheduled is not over
            settle(self.rows, procedure.number)
        return problems

    def _told(self, order: Order, found: RequestedProcedure) -> list[Problem]:
        self._must_be_of_the_same(order, found, or_was=True)
        if order.control in CANCELLING:
            state = StepState.CANCELLED if order.control in ("CA", "OC") else StepState.DISCONTINUED
            return self._moved(order, found, state)
        if order.control in _CHANGING:
            problems = self._changed(order, found)
            able = [step for step in self._steps_meant(order, found) if StepState.COMPLETED in ARROWS[step.state]]
            if order.status == "CM" and able:  # what was performed is described (IHE RAD TF-2 4.13)
                problems += self._moved(order, found, StepState.COMPLETED)
            return problems
        if order.control in _TELLING:
            told = _STATES.get(order.status)
            if told is None:
                raise content_error(
                    Code.TABLE_VALUE_NOT_FOUND, f"order status {order.status!r} means nothing here", "ORC-5"
                )
            return self._moved(order, found, told)
        raise content_error(
            Code.TABLE_VALUE_NOT_FOUND, f"order control {order.control!r} is none that is acted on here", "ORC-1"
        )

    def _found(self, order: Order) -> RequestedProcedure | None:
        """The procedure that an order is about, by the strongest key that it names."""
        uid = order.value("StudyInstanceUID")
        by_uid = self.rows.with_study(uid) if uid else None
        if by_uid is not None:
            if by_uid.environment is not self.environment:
                raise content_error(
                    Code.DUPLICATE_KEY, "the Study Instance UID is that of an order of another environment",
                    _place(order.field("StudyInstanceUID")),
                )  # fmt: skip
            return by_uid
        is_new = order.control in _NEW
        if accession := order.value("AccessionNumber"):
            having = self.rows.with_value(self.environment, accession_number=accession)
            # A second requested procedure of the same accession number is one of its own. Other news of one that is
            # not there must not fall upon its neighbours.
            if having or is_new:
                return _meant(order, having)
        # A cancel may name the numbers of placer and filler alone, of which one then stands for the accession number.
        for name, keyword in (
            ("filler_order_number", "FillerOrderNumberImagingServiceRequest"),
            ("placer_order_number", "PlacerOrderNumberImagingServiceRequest"),
        ):
            if order.value(keyword):
                having = self.rows.with_value(self.environment, **{name: order.value(keyword)})
                if having:
                    return having[0] if is_new else _meant(order, having)
        return None

    def _ordered(self, order: Order, found: RequestedProcedure | None) -> tuple[RequestedProcedure, list[Problem]]:
        for keyword, place in (("PatientID", "PID-3.1"), ("PatientName", "PID-5")):
            if not order.value(keyword):
                raise content_error(Code.REQUIRED_FIELD_MISSING, f"{keyword} is empty: an order is for somebody", place)
        if found is None:
            return self._new(order), []
        self._must_be_of_the_same(order, found)
        step_id = order.value("ScheduledProcedureStepID")
        if step_id and step_id not in {step.step_id for step in found.steps}:
            self._add_step(found, order)
            self.rows.note(found.number, ProcedureEventKind.CHANGED, f"step {step_id} added", message=self.message)
            return found, []
        if found.is_over:
            raise content_error(
                Code.DUPLICATE_KEY, f"the order with {_keys(order)} is over; a new one needs new numbers",
                _place(order.field("AccessionNumber")),
            )  # fmt: skip
        again = Problem(
            Code.DUPLICATE_KEY,
            f"the order with {_keys(order)} was here already: taken as a change of it",
            "ORC-1",
            True,
        )
        return found, [again, *self._changed(order, found)]

    def _new(self, order: Order) -> RequestedProcedure:
        fields = [one for one in order.fields if one.keyword not in STEP_KEYWORDS]
        uid = order.value("StudyInstanceUID")
        given = uid or self.new_uid()
        if not uid:
            fields.append(OrderField("StudyInstanceUID", given, "", _INVENTED))
        procedure = self.rows.add(self.environment, given, fields)
        number = procedure.number
        if not order.value("AccessionNumber"):
            fields = _with(fields, "AccessionNumber", self._free_accession(number))
        if not order.value("RequestedProcedureID"):
            fields = _with(fields, "RequestedProcedureID", f"RP{number}")
        if tuple(fields) != procedure.fields:
            self.rows.replace_fields(number, fields)
            procedure = self.rows.get(number)
        self.rows.note(number, ProcedureEventKind.ORDERED, f"ordered ({order.control})", message=self.message)
        self._add_step(procedure, order)
        return procedure

    def _free_accession(self, number: int) -> str:
        """One that no order has; whoever orders with it later is told that it is taken."""
        candidate = f"F{number:07d}"
        while self.rows.with_value(self.environment, accession_number=candidate):
            candidate = f"F{candidate}"
        return candidate

    def _add_step(self, procedure: RequestedProcedure, order: Order) -> None:
        fields = [one for one in order.fields if one.keyword in STEP_KEYWORDS]
        step_id = order.value("ScheduledProcedureStepID")
        if not step_id:
            step_id = f"SPS{procedure.number}.{len(procedure.steps) + 1}"
            fields = _with(fields, "ScheduledProcedureStepID", step_id)
        for keyword, moment in (("Date", "%Y%m%d"), ("Time", "%H%M%S")):
            whole = f"ScheduledProcedureStepStart{keyword}"
            if not order.value(whole):
                note = "the message has none: the moment when it came"
                fields = _with(fields, whole, self.rows.now.astimezone().strftime(moment), note)
        self.rows.add_step(procedure, step_id, fields)

    def _changed(self, order: Order, found: RequestedProcedure) -> list[Problem]:
        self._must_be_of_the_same(order, found)
        told = [one for one in order.fields if one.keyword not in STEP_KEYWORDS]
        problems = []
        uid = order.value("StudyInstanceUID")
        if uid and uid != found.study_instance_uid:
            text = "the order has another Study Instance UID already, which stays"
            problems.append(Problem(Code.DUPLICATE_KEY, text, _place(order.field("StudyInstanceUID")), True))
            told = [one for one in told if one.keyword != "StudyInstanceUID"]
        self.rows.replace_fields(found.number, merged(found.fields, told))
        for step in self._steps_meant(order, found):
            changed = [one for one in order.fields if one.keyword in STEP_KEYWORDS]
            if step.state.is_over:
                text = f"step {step.step_id} is over: {step.state}; its times and station stay"
                problems.append(Problem(Code.LOCKED, text, "ORC-1", True))
            else:
                self.rows.replace_step_fields(step, merged(step.fields, changed))
        self.rows.note(found.number, ProcedureEventKind.CHANGED, f"changed ({order.control})", message=self.message)
        return problems

    def _moved(self, order: Order, found: RequestedProcedure, state: StepState) -> list[Problem]:
        steps = self._steps_meant(order, found)
        there = [step for step in steps if step.state is state]
        able = [step for step in steps if state in ARROWS[step.state]]
        if not able and not there:
            now = ", ".join(sorted({str(step.state) for step in steps}))
            raise content_error(
                Code.LOCKED, f"the order with {_keys(order)} is {now}, and cannot become {state}", "ORC-1"
            )
        if able:
            self.rows.set_state(able, state)
            said = f"{state} ({order.control}{f' {order.status}' if order.status else ''})"
            self.rows.note(found.number, ProcedureEventKind.STATE, said, message=self.message)
            left = [one for one in steps if one not in able and one not in there]
            if left and order.control in CANCELLING:
                text = ", ".join(f"step {one.step_id} is {one.state}, and stays so" for one in left)
                return [Problem(Code.LOCKED, text, "ORC-1", is_warning=True)]
            return []
        return [Problem(Code.DUPLICATE_KEY, f"it is {state} already", "ORC-1", True)]

    @staticmethod
    def _steps_meant(order: Order, found: RequestedProcedure) -> Sequence[ScheduledStep]:
        """The step that a message names, or all if it names none that there is."""
        named = [step for step in found.steps if step.step_id == order.value("ScheduledProcedureStepID")]
        return named or found.steps

    def _must_be_of_the_same(self, order: Order, found: RequestedProcedure, *, or_was: bool = False) -> None:
        """Refuse what is said of another patient; one whose identifier was merged into that of the order may be it."""
        told, ours = (order.value("PatientID"), order.value("IssuerOfPatientID")), (found.patient_id, found.issuer)
        if not told[0] or is_one_patient(told, ours):
            return
        if or_was and MergeRows(self.rows.transaction).leads(self.environment, told, ours):
            return
        raise content_error(Code.DUPLICATE_KEY, f"the order with {_keys(order)} is of another patient", "PID-3.1")


def settle(rows: ProcedureRows, number: int) -> None:
    """Put the orders behind a procedure into the state that follows from its steps."""
    states = rows.states_of(number)
    if all(state.is_over for state in states):
        is_done = StepState.COMPLETED in states
        rows.set_order_state(number, str(OrderState.COMPLETED if is_done else OrderState.CANCELLED))


def _meant(order: Order, having: Sequence[RequestedProcedure]) -> RequestedProcedure | None:
    """The one of an order's requested procedure ID and placer order number, as far as it names them.

    Many sites number the visit and not the order: then the placer order number tells orders apart.
    """
    asked, placer = order.value("RequestedProcedureID"), order.value(_PLACER)
    same = [one for one in having if asked in ("", one.requested_procedure_id) and is_of_placer(order, one)]
    if not same and placer and order.control not in _NEW:  # an ID that was given here is one that nobody else knows
        same = [one for one in having if one.value(_PLACER) == placer and _is_invented(one, "RequestedProcedureID")]
    exactly = [one for one in same if one.value(_PLACER) == placer]
    return next(iter(exactly or same), None)


def _is_invented(found: RequestedProcedure, keyword: str) -> bool:
    return any(one.keyword == keyword and one.note == _INVENTED for one in found.fields)


def is_of_placer(order: Order, found: RequestedProcedure) -> bool:
    """Whether nothing speaks against an order of this placer order number being what was requested."""
    return order.value(_PLACER) in ("", found.value(_PLACER)) or not found.value(_PLACER)


def _with(fields: Sequence[OrderField], keyword: str, value: str, note: str = _INVENTED) -> list[OrderField]:
    return [*(one for one in fields if one.keyword != keyword), OrderField(keyword, value, "", note)]


def merged(before: Sequence[OrderField], told: Sequence[OrderField]) -> list[OrderField]:
    """What a message says counts; what it does not say stays."""
    valued = [one for one in told if one.value]
    said = {one.keyword for one in valued}
    return [*(one for one in before if one.keyword not in said), *valued]


def _keys(order: Order) -> str:
    named = (
        ("accession number", "AccessionNumber"),
        ("placer order number", "PlacerOrderNumberImagingServiceRequest"),
        ("filler order number", "FillerOrderNumberImagingServiceRequest"),
    )
    found = [f"{words} {order.value(keyword)}" for words, keyword in named if order.value(keyword)]
    return found[0] if found else "no number"


def _place(field: OrderField | None) -> str:
    """Where in the message a value stands; empty if it is none of the message."""
    origin = field.origin if field else ""
    return origin if "[" not in origin else ""
