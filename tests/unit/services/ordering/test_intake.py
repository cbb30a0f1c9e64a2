"""Messages as they come: kept, applied or refused with a reason, answered, and recognised when they come again."""

from __future__ import annotations

import dataclasses

import pytest

from dicomfab.hl7.er7 import parse
from dicomfab.model.actor import Role
from dicomfab.model.errors import AccessDenied
from dicomfab.model.hl7_message import MessageState
from dicomfab.model.procedure import ProcedureFilter, StepState
from dicomfab.model.values import Environment
from dicomfab.storage.hl7_messages import MessageFilter, MessageRepository
from tests.unit.services.ordering.conftest import ACTOR, message, orm, pid


def answer(taken):
    """Code, control ID and ERR of an acknowledgement: code and place."""
    segments = parse(taken.answer.decode("utf-8")).segments
    msa = next(one for one in segments if one.name == "MSA")
    errors = [(one.get(3), one.get(2, 1), one.get(2, 3), one.get(4)) for one in segments if one.name == "ERR"]
    return msa.get(1), msa.get(2), errors


def procedures(site, **wanted):
    with site.ordering.procedures.read() as rows:
        return rows.page(ProcedureFilter(**wanted), limit=50, offset=0).procedures


def ledger(site):
    return MessageRepository(site.database).page(MessageFilter(), limit=50)


def test_an_order_becomes_a_procedure_with_a_step_and_is_accepted(site, take):
    taken = take(orm(uid="1.2.3.4"))
    assert answer(taken) == ("AA", "M1", [])
    [found] = procedures(site)
    assert (found.study_instance_uid, found.accession_number, found.requested_procedure_id) == (
        "1.2.3.4",
        "A100",
        "RP1",
    )
    assert (found.patient_id, found.issuer, found.environment) == ("P100", "RIS", Environment.TEST)
    [step] = found.steps
    assert (step.step_id, step.state, step.modality) == ("SPS1", StepState.SCHEDULED, "CT")
    assert (step.start_date, step.start_time) == ("20261127", "093000")
    [kept] = taken.orders
    assert site.orders.show(ACTOR, kept.number).procedure == found.number
    assert ledger(site).messages[0].state is MessageState.APPLIED


def test_what_an_order_does_not_say_is_given_once_and_stays(site, take):
    take(orm(accession="", rp="", sps="", placer="PL7"))
    [first] = procedures(site)
    assert first.study_instance_uid.startswith("2.25.")
    assert all((first.accession_number, first.requested_procedure_id, first.steps[0].step_id))
    assert answer(take(orm("M2", control="XO", accession="", rp="", sps="", placer="PL7", start="20261128")))[0] == "AA"
    [second] = procedures(site)
    assert second.study_instance_uid == first.study_instance_uid
    assert second.accession_number == first.accession_number
    assert second.steps[0].start_date == "20261128"


def test_the_same_message_again_is_answered_as_before_and_does_nothing(site, take):
    first, second = take(orm()), take(orm())
    assert second.answer == first.answer
    assert second.is_repeat
    assert len(procedures(site)) == 1
    assert ledger(site).total == 1
    assert ledger(site).messages[0].repeats == 1


def test_a_control_id_with_other_content_is_another_message_and_warned_of(site, take):
    take(orm())
    code, _, errors = answer(take(orm(accession="A200")))
    assert code == "AA"
    assert errors == [("205", "MSH", "10", "W")]
    assert len(procedures(site)) == 2


@pytest.mark.parametrize(
    ("control", "state"), [("CA", StepState.CANCELLED), ("DC", StepState.DISCONTINUED)], ids=["cancel", "discontinue"]
)
def test_an_order_that_is_taken_back_leaves_the_worklist(site, take, control, state):
    take(orm())
    assert answer(take(orm("M2", control=control)))[0] == "AA"
    [found] = procedures(site)
    assert found.steps[0].state is state
    assert found.is_over
    assert not procedures(site, is_open=True)
    assert {str(one.state) for one in site.orders.page(ACTOR, _all()).orders} == {"cancelled"}


def _all():
    from dicomfab.storage.orders import OrderFilter

    return OrderFilter()


def test_what_has_begun_is_not_cancelled_but_discontinued(site, take):
    take(orm())
    take(orm("M2", control="SC", status="IP"))
    code, _, errors = answer(take(orm("M3", control="CA")))
    assert (code, errors[0][0]) == ("AE", "206")
    assert procedures(site)[0].steps[0].state is StepState.STARTED
    assert answer(take(orm("M4", control="DC")))[0] == "AA"
    assert procedures(site)[0].steps[0].state is StepState.DISCONTINUED


def test_completion_takes_the_step_off_the_worklist(site, take):
    take(orm())
    assert answer(take(orm("M2", control="SC", status="CM")))[0] == "AA"
    assert procedures(site)[0].steps[0].state is StepState.COMPLETED


def test_several_steps_and_several_procedures_of_one_accession_number(site, take):
    take(orm())
    take(orm("M2", sps="SPS2"))
    take(orm("M3", rp="RP2", sps="SPS3"))
    found = {one.requested_procedure_id: [step.step_id for step in one.steps] for one in procedures(site)}
    assert found == {"RP1": ["SPS1", "SPS2"], "RP2": ["SPS3"]}
    assert len({one.study_instance_uid for one in procedures(site)}) == 2


@pytest.mark.parametrize(
    ("data", "what", "error"),
    [
        (orm(control="CA"), "AE", ("204", "OBR", "18")),
        (orm(control="ZZ"), "AE", ("204", "OBR", "18")),
        (orm(patient="PID|1||||DOE^JANE"), "AE", ("101", "PID", "3")),
        (orm(patient="PID|1||P1^^^RIS"), "AE", ("101", "PID", "5")),
        (orm(accession="A" * 17), "AE", ("102", "OBR", "18")),
        (message(pid()), "AE", ("100", "", "")),
        (message(pid(), kind="SIU^S12"), "AR", ("200", "MSH", "9")),
        (message(pid(), kind="ADT^A60"), "AR", ("201", "MSH", "9")),
        (message(pid(), kind="ADT"), "AR", ("201", "MSH", "9")),
        (orm().replace(b"|T|2.5.1", b"|X|2.5.1"), "AR", ("202", "MSH", "11")),
        (orm().replace(b"|T|2.5.1", b"|T|3.0"), "AR", ("203", "MSH", "12")),
        (orm(patient=pid(name="B@")).replace(b"|2.5.1", b"|2.5.1||||||ASCII"), "AE", ("102", "MSH", "18")),
        (b"this is nothing", "AR", ("100", "", "")),
        (b"", "AR", ("100", "", "")),
        (orm("") + b"NTE|1||" + b"x" * (11 << 20), "AE", ("207", "", "")),
    ],
    ids=[
        "unknown order", "unknown control", "nobody", "no name", "too long", "no order", "type", "event", "no event",
        "processing id", "version", "wrong bytes", "garbage", "empty", "11 MB",
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_answered_and_kept_with_its_reason(site, take, data, what, error):
    data = data.replace(b"@", b"\xe4")
    code, _, errors = answer(take(data))
    assert (code, errors[0][:3]) == (what, error)
    [kept] = ledger(site).messages
    assert kept.state is MessageState.REFUSED
    assert kept.reason
    assert MessageRepository(site.database).get(kept.number).data == data
    assert not procedures(site)
    assert not site.orders.page(ACTOR, _all()).orders


def test_a_message_of_several_orders_is_taken_whole_or_not_at_all(site, take):
    both = orm() + orm(accession="B" * 17).split(b"\r", 3)[3]
    assert answer(take(both))[0] == "AE"
    assert not procedures(site)


def test_an_order_for_another_patient_under_the_same_number_is_refused(site, take):
    take(orm())
    code, _, errors = answer(take(orm("M2", patient=pid("P200"))))
    assert (code, errors[0][:3]) == ("AE", ("205", "PID", "3"))
    assert procedures(site)[0].patient_id == "P100"


def test_enhanced_mode_answers_that_it_is_kept_and_applies_later(site, take):
    data = orm().replace(b"|2.5.1", b"|2.5.1|||AL|NE")
    taken = take(data)
    assert answer(taken) == ("CA", "M1", [])
    assert not procedures(site)
    assert take(data).answer == taken.answer
    assert site.ordering.intake.apply_kept(ACTOR, Environment.TEST) == 1
    assert site.ordering.intake.apply_kept(ACTOR, Environment.TEST) == 0
    assert len(procedures(site)) == 1
    assert ledger(site).messages[0].state is MessageState.APPLIED
    assert take(data).answer == taken.answer
    assert len(procedures(site)) == 1


def test_enhanced_mode_answers_only_what_is_asked_for(take):
    assert take(orm().replace(b"|2.5.1", b"|2.5.1|||NE|ER")).answer == b""
    quiet = orm("M2").replace(b"|2.5.1", b"|2.5.1|||ER|NE")
    assert take(quiet).answer == b""
    assert take(quiet).answer == b""
    assert answer(take(message(kind="SIU^S12", control_id="M3", more="|||ER|NE")))[0] == "CR"


@pytest.mark.parametrize("more", ["|||NE|AL", "||||AL"])
def test_never_and_always_is_original_mode_by_another_name(site, take, more):
    """HL7 v2.8.2 chapter 2.9.2, a note: who sends so waits for the one answer."""
    assert answer(take(orm().replace(b"|2.5.1", f"|2.5.1{more}".encode(), 1))) == ("AA", "M1", [])
    assert len(procedures(site)) == 1


def test_an_answer_is_in_the_character_sets_that_it_says(take):
    name = "山田"
    sent = orm().decode().replace("|RIS|HOSP|", f"|{name}|HOSP|").replace("|2.5.1", "|2.5.1||||||~ISO IR87", 1)
    answered = take(sent.encode("iso2022_jp_2")).answer
    assert f"|{name}|HOSP|" in answered.decode("iso2022_jp_2")
    assert answered.isascii()


def test_the_environments_know_nothing_of_each_other(site, take):
    take(orm())
    assert answer(take(orm("M2", control="CA"), Environment.PROD))[0] == "AE"
    assert answer(take(orm("M3"), Environment.PROD))[0] == "AA"
    assert {one.environment for one in procedures(site)} == {Environment.TEST, Environment.PROD}


def test_who_may_not_see_an_environment_takes_nothing_for_it(site, take):
    reader = dataclasses.replace(ACTOR, roles=frozenset({Role.TEST_READ}))
    with pytest.raises(AccessDenied):
        take(orm(), Environment.PROD, reader)
    assert ledger(site).total == 0


def test_japanese_names_are_taken_in_their_character_set(site, take):
    name = "YAMADA^TARO^^^^^L^A~山田^太郎^^^^^L^I~やまだ^たろう^^^^^L^P"
    data = orm(patient=pid(name=name)).decode().replace("|2.5.1", "|2.5.1||||||UNICODE UTF-8", 1)
    assert answer(take(data.encode()))[0] == "AA"
    assert procedures(site)[0].value("PatientName") == "YAMADA^TARO=山田^太郎=やまだ^たろう"


def adt(event, *segments, control_id="A1", patient=None):
    return message(patient or pid(), "PV1|1|O", *segments, kind=f"ADT^{event}", control_id=control_id)


def test_a_patient_of_test_is_registered_and_changed(site, take):
    assert answer(take(adt("A04")))[0] == "AA"
    found = site.patients.resolve_reference(ACTOR, "P100")
    assert (found.data.name, found.data.issuer) == ("DOE^JANE", "RIS")
    take(orm())
    assert answer(take(adt("A08", control_id="A2", patient=pid(name="ROE^JANE"))))[0] == "AA"
    assert site.patients.resolve_reference(ACTOR, "P100").data.name == "ROE^JANE"
    assert procedures(site)[0].value("PatientName") == "ROE^JANE"


def test_a_patient_of_production_is_not_registered(site, take):
    code, _, errors = answer(take(adt("A04"), Environment.PROD))
    assert (code, errors[0][0], errors[0][3]) == ("AA", "204", "W")
    assert not site.patients.page(ACTOR).patients


@pytest.mark.parametrize("event", ["A40", "A47"])
def test_an_identifier_that_ends_is_replaced_in_orders_and_registry(site, take, event):
    take(adt("A04"))
    take(orm())
    merge = adt(event, "MRG|P100^^^RIS", control_id="A2", patient=pid("P900", "DOE^JANE"))
    assert answer(take(merge)) == ("AA", "A2", [])
    assert procedures(site)[0].patient_id == "P900"
    assert [one.data.patient_id for one in site.patients.page(ACTOR).patients] == ["P900"]


def test_a_merge_into_a_known_patient_leaves_one(site, take):
    take(adt("A04"))
    take(adt("A04", control_id="A2", patient=pid("P900", "DOE^JANE")))
    take(adt("A40", "MRG|P100^^^RIS", control_id="A3", patient=pid("P900", "DOE^JANE")))
    assert [one.data.patient_id for one in site.patients.page(ACTOR).patients] == ["P900"]


@pytest.mark.parametrize(
    ("segments", "patient", "error"),
    [((), None, ("101", "MRG", "1")), (("MRG|P100^^^RIS",), None, ("103", "MRG", "1"))],
    ids=["nobody", "itself"],
)
def test_a_merge_of_nobody_or_of_itself_is_refused(take, segments, patient, error):
    code, _, errors = answer(take(adt("A40", *segments, patient=patient)))
    assert (code, errors[0][:3]) == ("AE", error)


def test_a_report_is_noted_with_its_order(site, take):
    take(orm())
    obr = "OBR|1|PLA100|FIA100|CTCHEST^CT chest^99RIS" + "|" * 14 + "A100" + "|" * 7 + "F"
    report = message(pid(), obr, "OBX|1|TX|SR Text||no nodule||||||F", kind="ORU^R01", control_id="R1")
    assert answer(take(report)) == ("AA", "R1", [])
    with site.ordering.procedures.read() as rows:
        events = rows.events(procedures(site)[0].number)
    assert [(str(one.kind), one.text) for one in events] == [("ordered", "ordered (NW)"), ("reported", "report final")]
    unknown = message(pid(), obr.replace("A100", "A999"), kind="ORU^R01", control_id="R2")
    assert answer(take(unknown))[0] == "AE"


def test_a_cancel_by_the_numbers_of_placer_and_filler_alone(site, take) -> None:
    take(orm("M1"))
    segments = (pid(), "ORC|CA|PLA100|FIA100", "OBR|1|PLA100|FIA100|CTCHEST^CT chest^99RIS")
    assert take(message(*segments, control_id="M2")).message.code == "AA"
    assert site.ordering.schedule.show(ACTOR, 1).procedure.is_over
