"""What modalities and archives report is kept with its entry in the audit log, or not at all."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dicomfab.app.build import Application
from dicomfab.dimse.handlers import Refusal, Requestor
from dicomfab.dimse.performed_step import change
from dicomfab.dimse.scu.availability import Availability, AvailabilityNotice, AvailableInstance, AvailableSeries
from dicomfab.model.audit import AuditEvent
from dicomfab.model.errors import LocalFailure
from dicomfab.model.procedure import ProcedureEventKind, ProcedureFilter, StepState
from dicomfab.model.values import Environment
from dicomfab.services.ordering.availability import AvailabilityNotices
from dicomfab.services.ordering.intake import Taken
from dicomfab.services.ordering.performed import PerformedSteps
from dicomfab.services.ordering.procedures import ProcedureDetails
from tests.unit.dimse.test_performed_step import begun, dataset, ended
from tests.unit.services.ordering.conftest import ACTOR, orm

WHO = Requestor("THEPACS", "127.0.0.1")
STEP = "1.2.3.77"
ONE = AvailableInstance("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4.5", ("THEPACS",))


def full(*_events: AuditEvent, within: object = None) -> None:
    raise LocalFailure("the audit log takes no entry")


def known(site: Application) -> ProcedureDetails:
    (found,) = site.ordering.schedule.page(ACTOR, ProcedureFilter()).procedures
    return site.ordering.schedule.show(ACTOR, found.number)


def notice(study: str, step: str = "", *, soon: Availability = Availability.ONLINE) -> AvailabilityNotice:
    instances = (ONE, AvailableInstance(ONE.sop_class_uid, "1.2.3.4.6", ("ELSEWHERE",), soon))
    return AvailabilityNotice(study, (AvailableSeries("1.2.3.4", instances),), step)


def steps(site: Application, record: Callable[..., None] = lambda *_events, within=None: None) -> PerformedSteps:
    return PerformedSteps(site.ordering.procedures, Environment.TEST, record)


def scheduled(study: str) -> list[object]:
    return [dataset(StudyInstanceUID=study, AccessionNumber="A100", ScheduledProcedureStepID="SPS1")]


def test_a_step_that_cannot_be_recorded_is_refused_and_not_kept(site: Application, take: Callable[..., Taken]) -> None:
    take(orm(uid="1.2.3"))
    attributes = begun(ScheduledStepAttributesSequence=scheduled("1.2.3"))
    with pytest.raises(Refusal) as refused:
        steps(site, full).create(WHO, STEP, attributes)
    assert refused.value.status == 0x0110
    assert not known(site).performed
    steps(site).create(WHO, STEP, attributes)
    with pytest.raises(Refusal) as refused:
        steps(site, full).update(WHO, STEP, lambda state: change(state, ended()))
    assert refused.value.status == 0x0110
    details = known(site)
    assert [one.state for one in details.performed] == ["IN PROGRESS"]
    assert [one.state for one in details.procedure.steps] == [StepState.STARTED]


def test_a_notification_that_cannot_be_recorded_is_refused_and_not_noted(
    site: Application, take: Callable[..., Taken]
) -> None:
    take(orm(uid="1.2.3"))
    with pytest.raises(Refusal) as refused:
        AvailabilityNotices(site.ordering.procedures, Environment.TEST, full).take(WHO, "1.2.8", notice("1.2.3"))
    assert refused.value.status == 0x0110
    assert known(site).events[-1].kind is not ProcedureEventKind.AVAILABLE


def test_what_is_available_is_noted_with_the_procedure_of_the_study_or_of_the_step(
    site: Application, take: Callable[..., Taken]
) -> None:
    take(orm(uid="1.2.3"))
    notices = AvailabilityNotices(site.ordering.procedures, Environment.TEST)
    notices.take(WHO, "1.2.8", notice("1.2.3", soon=Availability.NEARLINE))
    event = known(site).events[-1]
    assert (event.kind, event.reference) == (ProcedureEventKind.AVAILABLE, "1.2.3")
    assert event.text == "1 instance is online at THEPACS; 1 instance is nearline at ELSEWHERE"
    steps(site).create(WHO, STEP, begun(ScheduledStepAttributesSequence=scheduled("1.2.3")))
    notices.take(WHO, "1.2.9", notice("1.2.4", STEP))
    assert known(site).events[-1].reference == "1.2.4"


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        (Environment.TEST, notice("1.2.4")),
        (Environment.TEST, notice("1.2.4", "1.2.5")),
        (Environment.PROD, notice("1.2.3", STEP)),
    ],
)
def test_what_is_nobodys_or_of_the_other_environment_is_taken_and_noted_with_nothing(
    site: Application, take: Callable[..., Taken], environment: Environment, told: AvailabilityNotice
) -> None:
    take(orm(uid="1.2.3"))
    steps(site).create(WHO, STEP, begun(ScheduledStepAttributesSequence=scheduled("1.2.3")))
    before = known(site).events
    events: list[AuditEvent] = []
    record = lambda *said, within=None: events.extend(said)  # noqa: E731
    AvailabilityNotices(site.ordering.procedures, environment, record).take(WHO, "1.2.8", told)
    assert known(site).events == before
    (event,) = events
    assert (event.patient_ids, event.environment) == ((), str(environment))
