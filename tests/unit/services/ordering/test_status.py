"""Status messages: queued with what they tell of, to whoever ordered, and to nobody else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dicomfab.app.build import Application
from dicomfab.dimse.handlers import Refusal
from dicomfab.hl7.character_sets import decoded
from dicomfab.hl7.er7 import parse
from dicomfab.hl7.orders import read
from dicomfab.hl7.templates import TEMPLATES
from dicomfab.model.errors import Conflict, InvalidInput, LocalFailure, NotFound
from dicomfab.model.hl7_message import Direction, Hl7Message, MessageState
from dicomfab.model.order import OrderField
from dicomfab.model.procedure import ScheduledStep, StepState
from dicomfab.model.values import Environment
from dicomfab.services.ordering.intake import Taken
from dicomfab.services.ordering.performed import PerformedSteps
from dicomfab.services.ordering.status import StatusMessages, order_status
from dicomfab.services.recording import nobody
from dicomfab.storage.hl7_messages import MessageFilter
from tests.unit.dimse.test_performed_step import WHO, begun, dataset, ended
from tests.unit.services.ordering.conftest import ACTOR, orm, pid

UID = "1.2.826.0.1.3680043.8.498.41"
STEP = "1.2.826.0.1.3680043.8.498.42"
Take = Callable[..., Taken]


def profile(site: Application, text: str = "", *, sender: str = "RIS|HOSP", kind: str = "orm") -> None:
    folder = site.settings.hl7_profiles
    folder.mkdir(parents=True, exist_ok=True)
    usual = (
        f"name: North\nsenders: ['{sender}']\n"
        f"replies: {{host: 127.0.0.1, port: 2599, application: RIS, facility: HOSP, message: {kind}}}\n"
    )
    (folder / "north.yaml").write_text(text or usual)


def outgoing(site: Application) -> list[Hl7Message]:
    found = site.ordering.messages.page(ACTOR, MessageFilter(direction=Direction.OUT)).messages
    return [site.ordering.messages.show(ACTOR, one.number) for one in reversed(found)]


def statuses(site: Application) -> list[str]:
    return [read(one.data)[0].status for one in outgoing(site)]


def performed(site: Application, record=nobody) -> PerformedSteps:  # type: ignore[no-untyped-def]
    status = StatusMessages(site.ordering.intake.profiles)
    return PerformedSteps(site.ordering.procedures, Environment.TEST, record, status.tell)


def begin(steps: PerformedSteps, *step_ids: str, uid: str = STEP) -> None:
    items = [dataset(StudyInstanceUID=UID, ScheduledProcedureStepID=one) for one in step_ids or ("SPS1",)]
    steps.create(WHO, uid, begun(ScheduledStepAttributesSequence=items))


def end(steps: PerformedSteps, status: str, uid: str = STEP) -> None:
    def change(before):  # type: ignore[no-untyped-def]
        before.update(ended(status))
        return before

    steps.update(WHO, uid, change)


def events(site: Application) -> list[str]:
    return [one.text for one in site.ordering.schedule.show(ACTOR, 1).events]


# ------------------------------------------------------------------ what follows from the states of steps


@pytest.mark.parametrize(
    ("states", "status"),
    [
        (["SCHEDULED"], "SC"),
        (["ARRIVED", "READY"], "SC"),
        (["CANCELLED", "SCHEDULED"], "SC"),
        (["STARTED"], "IP"),
        (["DEPARTED"], "IP"),
        (["COMPLETED", "SCHEDULED"], "IP"),
        (["DISCONTINUED", "STARTED"], "IP"),
        (["COMPLETED", "COMPLETED"], "CM"),
        (["COMPLETED", "DISCONTINUED"], "CM"),
        (["DISCONTINUED", "CANCELLED"], "DC"),
        (["CANCELLED"], "CA"),
    ],
)
def test_the_status_of_an_order_follows_from_its_steps(states: list[str], status: str) -> None:
    steps = [ScheduledStep(n, 1, f"S{n}", StepState(one), "", "", "", "", ()) for n, one in enumerate(states)]
    assert order_status(steps) == status


# ------------------------------------------------------------------ by MPPS


@pytest.mark.parametrize("kind", ["orm", "omg", "omi"])
@pytest.mark.parametrize(("ended_as", "status"), [("COMPLETED", "CM"), ("DISCONTINUED", "DC")])
def test_who_ordered_is_told_of_begin_and_end(
    site: Application, take: Take, kind: str, ended_as: str, status: str
) -> None:
    profile(site, kind=kind)
    take(orm(uid=UID, patient=pid(name="山田^太郎")))
    steps = performed(site)
    begin(steps)
    end(steps, ended_as)
    told = outgoing(site)
    assert [(one.state, one.peer, one.sender) for one in told] == [
        (MessageState.WAITING, "127.0.0.1:2599", "DICOMFAB")
    ] * 2
    orders = [read(one.data)[0] for one in told]
    assert [(one.message_type, one.control, one.status) for one in orders] == [
        (TEMPLATES[f"{kind}-status"].message_type, "SC", "IP"),
        (TEMPLATES[f"{kind}-status"].message_type, "SC", status),
    ]
    for order in orders:
        assert [order.value(one) for one in ("PatientID", "PatientName", "AccessionNumber", "StudyInstanceUID")] == [
            "P100", "山田^太郎", "A100", UID,
        ]  # fmt: skip
        assert order.value("PlacerOrderNumberImagingServiceRequest") == "PLA100"
        assert order.value("ScheduledProcedureStepID") == "SPS1"
    header = parse(decoded(told[0].data)[0]).segments[0]
    assert (header.get(5), header.get(6)) == ("RIS", "HOSP")
    assert len({one.control_id for one in told}) == 2
    assert [one for one in events(site) if "is told" in one] == [
        "RIS|HOSP is told of IP",
        f"RIS|HOSP is told of {status}",
    ]


def test_several_steps_are_one_order(site: Application, take: Take) -> None:
    profile(site)
    take(orm(uid=UID))
    take(orm("M2", uid=UID, sps="SPS2"))
    steps = performed(site)
    begin(steps, "SPS1")
    end(steps, "COMPLETED")
    assert statuses(site) == ["IP"]
    begin(steps, "SPS2", uid=f"{STEP}.2")
    end(steps, "DISCONTINUED", uid=f"{STEP}.2")
    assert statuses(site) == ["IP", "CM"]
    assert {read(one.data)[0].value("ScheduledProcedureStepID") for one in outgoing(site)} == {""}


def test_nobody_is_told_who_did_not_ask_for_it(site: Application, take: Take) -> None:
    profile(site, sender="OTHER")
    take(orm(uid=UID))
    begin(performed(site))
    assert outgoing(site) == []


def test_what_is_not_kept_is_not_told(site: Application, take: Take) -> None:
    def full(*_args: object, **_more: object) -> None:
        raise LocalFailure("the log is full")

    profile(site)
    take(orm(uid=UID))
    with pytest.raises(Refusal):
        begin(performed(site, full))
    assert outgoing(site) == []
    begin(performed(site))
    with pytest.raises(Conflict):
        begin(performed(site))
    assert statuses(site) == ["IP"]


def test_a_profile_that_cannot_be_used_stops_no_modality(site: Application, take: Take) -> None:
    take(orm(uid=UID))
    profile(site, "{name: half")
    begin(performed(site))
    assert outgoing(site) == []
    assert "RIS|HOSP was not told of IP: a mapping profile cannot be used" in events(site)


def test_what_no_message_can_hold_is_left_out_and_said(site: Application, take: Take) -> None:
    profile(site)
    take(orm(uid=UID))
    with site.ordering.procedures.change() as rows:
        fields = [*rows.get(1).fields, OrderField("PatientComments", "one\\two", "")]
        rows.replace_fields(1, fields)
    begin(performed(site))
    assert statuses(site) == ["IP"]
    assert "RIS|HOSP is told of IP, without PatientComments, which cannot stand in a message" in events(site)


# ------------------------------------------------------------------ by others' orders


def test_who_ordered_is_told_that_somebody_else_cancelled(site: Application, take: Take) -> None:
    profile(site)
    take(orm(uid=UID))
    other = orm("X1", control="CA", uid=UID).replace(b"|RIS|HOSP|", b"|DEPT|HOSP|", 1)
    assert take(other).message.code == "AA"
    assert statuses(site) == ["CA"]
    take(other.replace(b"|X1|", b"|X2|", 1))
    assert statuses(site) == ["CA"]


def test_who_cancels_himself_is_told_nothing(site: Application, take: Take) -> None:
    profile(site)
    take(orm(uid=UID))
    assert take(orm("M2", control="CA", uid=UID)).message.code == "AA"
    assert outgoing(site) == []


# ------------------------------------------------------------------ enhanced mode


@pytest.mark.parametrize(
    ("wanted", "control", "code"),
    [
        ("AL", "NW", "AA"),
        ("SU", "NW", "AA"),
        ("AL", "CA", "AE"),
        ("ER", "CA", "AE"),
        ("ER", "NW", ""),
        ("NE", "NW", ""),
    ],
)
def test_what_became_of_a_kept_message_is_told_as_msh_16_says(
    site: Application, take: Take, wanted: str, control: str, code: str
) -> None:
    profile(site)
    header, rest = orm(control=control).split(b"\r", 1)
    taken = take(header + f"|||AL|{wanted}\r".encode() + rest)
    assert taken.message.code == "CA"
    assert site.ordering.intake.apply_kept(ACTOR, Environment.TEST) == 1
    told = outgoing(site)
    assert len(told) == bool(code)
    for one in told:
        segments = parse(one.data.decode()).segments
        msa = next(segment for segment in segments if segment.name == "MSA")
        assert (msa.get(1), msa.get(2), segments[0].get(15), segments[0].get(10)) == (code, "M1", "AL", one.control_id)
        assert (one.state, one.peer, one.message_type) == (MessageState.WAITING, "127.0.0.1:2599", "ACK^O01")


# ------------------------------------------------------------------ building from procedures


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_is_filled_in_from_a_procedure_and_taken(site: Application, take: Take, name: str) -> None:
    take(orm(uid=UID))
    builder = site.ordering.builder
    values = builder.filled(ACTOR, name, 1)
    assert values["PatientID"] == "P100"
    extra = {"PriorPatientID": "P9", "ReportText": "No finding."}
    values |= {keyword: value for keyword, value in extra.items() if TEMPLATES[name].takes(keyword)}
    answered = take(builder.build(ACTOR, name, values))
    assert answered.message.code == "AA", answered.message.reason


def test_a_step_is_chosen_by_its_id(site: Application, take: Take) -> None:
    take(orm(uid=UID))
    take(orm("M2", uid=UID, sps="SPS2"))
    builder = site.ordering.builder
    assert builder.filled(ACTOR, "orm-change", 1)["ScheduledProcedureStepID"] == "SPS1"
    assert builder.filled(ACTOR, "orm-change", 1, "SPS2")["ScheduledProcedureStepID"] == "SPS2"
    with pytest.raises(NotFound, match="SPS3"):
        builder.filled(ACTOR, "orm-change", 1, "SPS3")
    with pytest.raises(InvalidInput, match="PatientID"):
        builder.build(ACTOR, "orm-change", {})
