"""Requested procedures, their scheduled steps and what happened to them, in the database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    Table,
    bindparam,
    func,
    insert,
    select,
    update,
)

from dicomfab.fabricate.patients import folded
from dicomfab.model.errors import NotFound
from dicomfab.model.order import OrderField
from dicomfab.model.procedure import (
    ProcedureEvent,
    ProcedureEventKind,
    ProcedureFilter,
    RequestedProcedure,
    ScheduledStep,
    StepState,
)
from dicomfab.model.values import Environment
from dicomfab.storage.database import Database
from dicomfab.storage.order_tables import imaging_order, procedure_event, requested_procedure, scheduled_step

_SUBJECT: Final = "procedures"
_LARGEST: Final = 2**63
_SEARCHED: Final = (
    "PatientName", "PatientID", "AccessionNumber", "RequestedProcedureID", "RequestedProcedureDescription",
    "PlacerOrderNumberImagingServiceRequest", "FillerOrderNumberImagingServiceRequest",
)  # fmt: skip
#: Column of a procedure -> the attribute that it holds.
_KEYS: Final = {
    "accession_number": "AccessionNumber",
    "requested_procedure_id": "RequestedProcedureID",
    "placer_order_number": "PlacerOrderNumberImagingServiceRequest",
    "filler_order_number": "FillerOrderNumberImagingServiceRequest",
    "patient_id": "PatientID",
    "issuer": "IssuerOfPatientID",
}
_procedures: Final = requested_procedure.c
_steps: Final = scheduled_step.c

# Put together once: that costs more than executing them, and each message needs most of them.
_ADD: Final = insert(requested_procedure).returning(_procedures.number)
_ADD_STEP: Final = insert(scheduled_step).returning(_steps.number)
_NOTE: Final = insert(procedure_event)
_STEPS_OF: Final = (
    select(scheduled_step).where(_steps.procedure.in_(bindparam("of", expanding=True))).order_by(_steps.number)
)
_STATES_OF: Final = select(_steps.state).where(_steps.procedure == bindparam("of")).distinct()
_LINK: Final = (
    update(imaging_order)
    .where(imaging_order.c.number.in_(bindparam("of", expanding=True)))
    .values(procedure=bindparam("about"), hl7_message=bindparam("in_message"))
)


@dataclass(frozen=True, slots=True)
class ProcedurePage:
    """A page of a list, and how many procedures the whole list has."""

    procedures: tuple[RequestedProcedure, ...]
    total: int


@dataclass(frozen=True, slots=True)
class WorklistFilter:
    """What steps on the worklist can be narrowed down by; what is empty does not count.

    Args:
        environment: of the steps.
        first_date, last_date: ``YYYYMMDD``, both included.
        station_ae_titles: any of them, or of a step that names none.
        modalities: any of them.
        patient_id: exactly.
        accession_number: exactly.
    """

    environment: Environment
    first_date: str = ""
    last_date: str = ""
    station_ae_titles: frozenset[str] = frozenset()
    modalities: frozenset[str] = frozenset()
    patient_id: str = ""
    accession_number: str = ""


class ProcedureRows:
    """Procedures within one transaction.

    Args:
        connection: of the transaction.
        now: the moment, with time zone.
    """

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection = connection
        self.now = now

    @property
    def transaction(self) -> Connection:
        """For what is to share the fate of the changes."""
        return self._connection

    def get(self, number: int) -> RequestedProcedure:
        """One procedure with its steps.

        Raises:
            NotFound: there is none.
        """
        found = self._having(number=number) if 0 < number < _LARGEST else []
        if not found:
            raise NotFound(
                f"there is no requested procedure {number}.",
                cause="the number is mistyped, or it is of an environment that you do not see",
                remedy="see what there is: dicomfab order procedures",
            )
        return found[0]

    def with_study(self, study_instance_uid: str) -> RequestedProcedure | None:
        """The procedure of a study, in whichever environment: a UID is of one study in the world."""
        return next(iter(self._having(study_instance_uid=study_instance_uid)), None)

    def with_value(self, environment: Environment, **values: str) -> list[RequestedProcedure]:
        """The procedures that have these values, of columns of their table; the newest first."""
        return self._having(environment=str(environment), **values)

    def add(
        self, environment: Environment, study_instance_uid: str, fields: Sequence[OrderField]
    ) -> RequestedProcedure:
        """Add a procedure without steps."""
        values = {
            **_columns(fields),
            "environment": str(environment),
            "study_instance_uid": study_instance_uid,
            "is_over": False,
            "created_at": self.now,
            "changed_at": self.now,
        }
        number = int(self._connection.execute(_ADD, values).scalar_one())
        return _procedure({**values, "number": number}, ())

    def replace_fields(self, number: int, fields: Sequence[OrderField]) -> None:
        """Put other fields in place of those of a procedure."""
        values = {**_columns(fields), "changed_at": self.now}
        self._connection.execute(update(requested_procedure).where(_procedures.number == number).values(values))

    def add_step(self, procedure: RequestedProcedure, step_id: str, fields: Sequence[OrderField]) -> int:
        """Add a step, on the worklist; its number."""
        values = {
            **_step_columns(step_id, fields),
            "procedure": procedure.number,
            "environment": str(procedure.environment),
            "state": str(StepState.SCHEDULED),
            "is_over": False,
        }
        number = int(self._connection.execute(_ADD_STEP, values).scalar_one())
        if procedure.steps and procedure.is_over:
            of_it = update(requested_procedure).where(_procedures.number == procedure.number)
            self._connection.execute(of_it.values(is_over=False))
        return number

    def replace_step_fields(self, step: ScheduledStep, fields: Sequence[OrderField]) -> None:
        """Put other fields in place of those of a step."""
        values = _step_columns(step.step_id, fields)
        self._connection.execute(update(scheduled_step).where(_steps.number == step.number).values(values))

    def set_state(self, steps: Iterable[ScheduledStep], state: StepState) -> None:
        """Put steps into a state."""
        steps = list(steps)
        numbers = [step.number for step in steps]
        self._connection.execute(
            update(scheduled_step).where(_steps.number.in_(numbers)).values(state=str(state), is_over=state.is_over)
        )
        for procedure in {step.procedure for step in steps}:
            is_open = select(_steps.number).where(_steps.procedure == procedure, _steps.is_over.is_(False)).exists()
            self._connection.execute(
                update(requested_procedure)
                .where(_procedures.number == procedure)
                .values(is_over=~is_open, changed_at=self.now)
            )

    def states_of(self, procedure: int) -> set[StepState]:
        """The states of its steps."""
        return {StepState(one) for one in self._connection.execute(_STATES_OF, {"of": procedure}).scalars()}

    def note(
        self,
        procedure: int,
        kind: ProcedureEventKind,
        text: str,
        *,
        message: int | None = None,
        reference: str = "",
    ) -> None:
        """Note what happened to a procedure."""
        said = text.replace("\0", "")  # PostgreSQL keeps none in a text
        values = {"procedure": procedure, "kind": str(kind), "text": said, "message": message, "reference": reference}
        self._connection.execute(_NOTE, {**values, "at": self.now})

    def note_study(self, study_instance_uid: str, kind: ProcedureEventKind, text: str, reference: str) -> None:
        """Note what happened to the procedure of a study; nothing if none of ours has it."""
        found = self.with_study(study_instance_uid)
        if found is not None:
            self.note(found.number, kind, text, reference=reference)

    def events(self, procedure: int) -> tuple[ProcedureEvent, ...]:
        """What happened to a procedure, the oldest first."""
        rows = self._connection.execute(
            select(procedure_event).where(procedure_event.c.procedure == procedure).order_by(procedure_event.c.number)
        )
        return tuple(
            ProcedureEvent(ProcedureEventKind(row.kind), row.text, row.at, row.message, row.reference) for row in rows
        )

    def orders_of(self, procedure: int) -> list[int]:
        """Numbers of the orders that a procedure follows from, the oldest first."""
        chosen = select(imaging_order.c.number).where(imaging_order.c.procedure == procedure)
        return list(self._connection.execute(chosen.order_by(imaging_order.c.number)).scalars())

    def of_message(self, message: int) -> list[int]:
        """Numbers of the procedures that a message did something to."""
        column = procedure_event.c.procedure
        chosen = select(column).where(procedure_event.c.message == message).distinct().order_by(column)
        return list(self._connection.execute(chosen).scalars())

    def link_orders(self, numbers: Sequence[int], procedure: int, message: int | None) -> None:
        """Note which procedure orders are about, and the message that they came in."""
        self._connection.execute(_LINK, {"of": list(numbers), "about": procedure, "in_message": message})

    def set_order_state(self, procedure: int, state: str) -> None:
        """Put all orders of a procedure into a state."""
        of_it = update(imaging_order).where(imaging_order.c.procedure == procedure)
        self._connection.execute(of_it.values(state=state))

    def page(self, wanted: ProcedureFilter, *, limit: int, offset: int) -> ProcedurePage:
        """One page, the newest first."""
        where: list[ColumnElement[bool]] = [_procedures.environment.in_([str(one) for one in wanted.environments])]
        where += [
            _procedures.search_text.contains(word, autoescape=True) | (_procedures.study_instance_uid == word)
            for word in folded(wanted.search).split()
        ]
        if wanted.accession_number:
            where.append(_procedures.accession_number == wanted.accession_number)
        if wanted.patient_id:
            where.append(_procedures.patient_id == wanted.patient_id)
        if wanted.is_open is not None:
            where.append(_procedures.is_over.is_(not wanted.is_open))
        total = self._connection.execute(
            select(func.count()).select_from(requested_procedure).where(*where)
        ).scalar_one()
        chosen = select(requested_procedure).where(*where).order_by(_procedures.number.desc())
        return ProcedurePage(tuple(self._with_steps(chosen.limit(limit).offset(offset), {})), total)

    def on_worklist(self, wanted: WorklistFilter) -> Iterator[tuple[RequestedProcedure, ScheduledStep]]:
        """Steps on the worklist with their procedures, by their start; streamed."""
        joined = (
            select(*_labelled("step_", scheduled_step), *_labelled("procedure_", requested_procedure))
            .join(requested_procedure, _procedures.number == _steps.procedure)
            .where(_steps.is_over.is_(False), *_narrowed(wanted))
            .order_by(_steps.start_date, _steps.start_time, _steps.number)
        )
        for row in self._connection.execute(joined, execution_options={"yield_per": 500}).mappings():
            step = _step(row, "step_")
            yield _procedure(row, (step,), "procedure_"), step

    def _having(self, **values: str | int) -> list[RequestedProcedure]:
        """Those with these values, of columns of their table; the newest first."""
        return self._with_steps(_chosen(*values), {f"of_{name}": value for name, value in values.items()})

    def _with_steps(self, chosen: Select[Any], values: dict[str, Any]) -> list[RequestedProcedure]:
        rows = self._connection.execute(chosen, values).mappings().all()
        steps: dict[int, list[ScheduledStep]] = {row["number"]: [] for row in rows}
        numbers = list(steps)
        for start in range(0, len(numbers), 500):
            for found in self._connection.execute(_STEPS_OF, {"of": numbers[start : start + 500]}).mappings():
                steps[found["procedure"]].append(_step(found))
        return [_procedure(row, tuple(steps[row["number"]])) for row in rows]


class ProcedureRepository:
    """Requested procedures of one installation.

    Args:
        database: where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def read(self) -> Iterator[ProcedureRows]:
        """One state of them."""
        with self._database.read() as connection:
            yield ProcedureRows(connection, self._database.now())

    @contextmanager
    def change(self) -> Iterator[ProcedureRows]:
        """Several changes as one transaction that no other writer gets between; an error in the block undoes all."""
        now = self._database.now()
        with self._database.changing(_SUBJECT) as connection:
            yield ProcedureRows(connection, now)


@cache
def _chosen(*names: str) -> Select[Any]:
    """Procedures by the values of these columns, the newest first."""
    where = [_procedures[name] == bindparam(f"of_{name}") for name in names]
    return select(requested_procedure).where(*where).order_by(_procedures.number.desc())


def _narrowed(wanted: WorklistFilter) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = [_steps.environment == str(wanted.environment)]
    if wanted.first_date and wanted.first_date == wanted.last_date:
        # One day, as a value instead of a range: then the index leads to the station as well.
        where.append(_steps.start_date == wanted.first_date)
    elif wanted.first_date:
        where.append(_steps.start_date >= wanted.first_date)
    if wanted.last_date and wanted.first_date != wanted.last_date:
        where.append(_steps.start_date <= wanted.last_date)
    if wanted.station_ae_titles:
        where.append(_steps.station_ae_title.in_([*wanted.station_ae_titles, ""]))
    if wanted.modalities:
        where.append(_steps.modality.in_(list(wanted.modalities)))
    if wanted.patient_id:
        where.append(_procedures.patient_id == wanted.patient_id)
    if wanted.accession_number:
        where.append(_procedures.accession_number == wanted.accession_number)
    return where


def _labelled(prefix: str, table: Table) -> list[ColumnElement[Any]]:
    return [column.label(prefix + column.name) for column in table.c]


def _procedure(row: Mapping[Any, Any], steps: tuple[ScheduledStep, ...], prefix: str = "") -> RequestedProcedure:
    return RequestedProcedure(
        number=row[prefix + "number"],
        environment=Environment(row[prefix + "environment"]),
        study_instance_uid=row[prefix + "study_instance_uid"],
        accession_number=row[prefix + "accession_number"],
        requested_procedure_id=row[prefix + "requested_procedure_id"],
        patient_id=row[prefix + "patient_id"],
        issuer=row[prefix + "issuer"],
        fields=_fields(row[prefix + "fields"]),
        steps=steps,
        created_at=row[prefix + "created_at"],
        changed_at=row[prefix + "changed_at"],
    )


def _step(row: RowMapping, prefix: str = "") -> ScheduledStep:
    return ScheduledStep(
        number=row[prefix + "number"],
        procedure=row[prefix + "procedure"],
        step_id=row[prefix + "step_id"],
        state=StepState(row[prefix + "state"]),
        modality=row[prefix + "modality"],
        station_ae_title=row[prefix + "station_ae_title"],
        start_date=row[prefix + "start_date"],
        start_time=row[prefix + "start_time"],
        fields=_fields(row[prefix + "fields"]),
    )


def _fields(plain: Iterable[Sequence[str]]) -> tuple[OrderField, ...]:
    return tuple(OrderField(*one) for one in plain)


def _plain(fields: Iterable[OrderField]) -> list[list[str]]:
    return [[one.keyword, one.value, one.origin, one.note] for one in fields]


def _first_values(fields: Iterable[OrderField]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in fields:
        found.setdefault(one.keyword, one.value)
    return found


def _columns(fields: Sequence[OrderField]) -> dict[str, Any]:
    value = _first_values(fields)
    texts = [value.get(keyword, "").replace("^", " ").replace("=", " ") for keyword in _SEARCHED]
    columns = {name: value.get(keyword, "")[:64] for name, keyword in _KEYS.items()}
    return {**columns, "search_text": folded("\n".join(texts)).replace("\0", ""), "fields": _plain(fields)}


def _step_columns(step_id: str, fields: Sequence[OrderField]) -> dict[str, Any]:
    value = _first_values(fields)
    return {
        "step_id": step_id[:64],
        "modality": value.get("Modality", "")[:16],
        "station_ae_title": value.get("ScheduledStationAETitle", "")[:16],
        "start_date": value.get("ScheduledProcedureStepStartDate", "")[:8],
        "start_time": value.get("ScheduledProcedureStepStartTime", "")[:16],
        "fields": _plain(fields),
    }
