"""The mapping, and its traps."""

from __future__ import annotations

import pytest

from dicomfab.hl7.orders import read
from dicomfab.model.order import Order, OrderState
from tests.unit.hl7.messages import ADT, OMI_JAPANESE, ORM


def orm(old: str = "", new: str = "") -> Order:
    assert old in ORM
    (order,) = read(ORM.replace(old, new))
    return order


def origin(order: Order, keyword: str) -> str:
    found = order.field(keyword)
    assert found is not None
    return found.origin


@pytest.mark.parametrize(
    ("keyword", "value", "origin"),
    [
        ("PatientID", "SYN4711", "PID-3.1"),
        ("IssuerOfPatientID", "SYN-HOSP", "PID-3.4.1"),
        ("UniversalEntityID", "1.2.3", "PID-3.4.2"),
        ("OtherPatientIDs", "99", "PID-3[2].1"),
        ("PatientName", "Lindgren^Astrid^M^Dr.^III", "PID-5"),  # suffix and prefix change places
        ("PatientBirthDate", "19500102", "PID-7"),  # of a timestamp its day
        ("PatientSex", "F", "PID-8.1"),
        ("PatientComments", "Speaks Swedish", "NTE-3"),
        ("RequestedProcedureComments", "with contrast", "NTE-3"),
        ("AdmissionID", "V77", "PV1-19.1"),
        ("ReferringPhysicianName", "Ref^Erring^^Dr.", "PV1-8"),
        ("RequestingPhysician", "Req^Uest", "OBR-16"),
        ("StudyInstanceUID", "1.2.826.0.1.3680043.8.498.77", "ZDS-1.1"),
        ("AccessionNumber", "ACC1", "OBR-18.1"),
        ("RequestedProcedureID", "RP1", "OBR-19.1"),
        ("ScheduledProcedureStepID", "SPS1", "OBR-20.1"),
        ("Modality", "CT", "OBR-24.1"),
        ("RequestedProcedureDescription", "CT Chest & more", "OBR-4.2"),
        ("RequestedProcedureCodeSequence", "24628-0^LN^CT Chest & more", "OBR-4.1"),
        ("ScheduledProtocolCodeSequence", "CTC^L^CT Chest", "OBR-4.4"),
        ("ReasonForTheRequestedProcedure", "cough", "OBR-31.2"),
        ("ScheduledProcedureStepStartDate", "20260201", "ORC-7.4"),
        ("ScheduledProcedureStepStartTime", "080000", "ORC-7.4"),
        ("RequestedProcedurePriority", "ROUTINE", "ORC-7.6"),
        ("PlacerOrderNumberImagingServiceRequest", "P1", "ORC-2.1"),
        ("FillerOrderNumberImagingServiceRequest", "F1", "ORC-3.1"),
        ("InstitutionName", "HOSPITAL", "MSH-4.1"),
    ],
)
def test_an_orm_is_read_with_where_each_value_came_from(keyword: str, value: str, origin: str) -> None:
    found = orm().field(keyword)
    assert found is not None
    assert (found.value, found.origin) == (value, origin)


def test_an_omi_has_a_step_for_each_ipc_and_its_identifiers_go_before_those_of_obr() -> None:
    first, second = read(OMI_JAPANESE.encode())
    assert first.value("PatientName") == "YAMADA^TARO=山田^太郎=やまだ^たろう"
    assert [one.value("ScheduledProcedureStepID") for one in (first, second)] == ["SPS1", "SPS2"]
    assert first.value("StudyInstanceUID") == second.value("StudyInstanceUID") == "1.2.826.0.1.3680043.8.498.9"
    assert (first.value("AccessionNumber"), origin(first, "AccessionNumber")) == ("ACC9", "IPC-1.1")
    assert first.value("ScheduledStationAETitle") == "CR_AET"
    assert (first.value("ScheduledProcedureStepStartDate"), first.value("RequestedProcedurePriority")) == (
        "20260203",
        "STAT",
    )
    assert first.value("ScheduledProcedureStepStartTime") == ""
    assert second.value("ScheduledProcedureStepDescription") == "Chest LAT"
    assert "2 steps or orders" in first.notes[0]


def test_a_message_about_a_patient_asks_for_nothing() -> None:
    (order,) = read(ADT)
    assert (order.state, order.control, order.value("AccessionNumber")) == (OrderState.NONE, "", "")
    assert (order.value("PatientID"), origin(order, "PatientID")) == ("EXT7", "PID-2.1")
    assert (order.value("PatientWeight"), order.value("PatientSize")) == ("72.5", "1.81")
    sex = order.field("PatientSex")
    assert sex is not None
    assert (sex.value, sex.note) == ("", "'U' has no counterpart in DICOM: left empty")


def test_the_accession_number_of_many_sites_is_a_guess_and_says_so() -> None:
    order = orm("||ACC1|", "|||")
    found = order.field("AccessionNumber")
    assert found is not None
    assert (found.value, found.origin) == ("F1", "OBR-3.1")
    assert "many sites" in found.note


def test_an_identifier_that_is_too_long_stays_whole_and_a_text_is_cut_and_both_say_so() -> None:
    long = orm("ACC1", "A" * 20).field("AccessionNumber")
    assert long is not None
    assert (long.value, long.note) == ("A" * 20, "has 20 characters; the attribute holds 16")
    text = orm(r"CT Chest \T\ more", "B" * 70).field("RequestedProcedureDescription")
    assert text is not None
    assert len(text.value) == 64
    assert "cut: it had 70 characters" in text.note


@pytest.mark.parametrize(
    ("old", "new", "keyword", "note"),
    [
        ("19500102000000", "19501399", "PatientBirthDate", "is no date"),
        ("1.2.826.0.1.3680043.8.498.77", "not a uid", "StudyInstanceUID", "is no UID"),
        ("^^R", "^^Q", "RequestedProcedurePriority", "is no priority"),
        ("SYN4711^", '""^', "PatientID", "to delete it"),
    ],
)
def test_what_cannot_be_read_is_left_empty_and_said(old: str, new: str, keyword: str, note: str) -> None:
    found = orm(old, new).field(keyword)
    assert found is not None
    assert found.value == ""
    assert note in found.note


def test_a_backslash_of_an_escape_cannot_separate_values() -> None:
    found = orm(r"CT Chest \T\ more", r"A \E\ B").field("RequestedProcedureDescription")
    assert found is not None
    assert found.value == "A / B"
    assert "backslash" in found.note


@pytest.mark.parametrize(
    ("control", "state"),
    [("NW", OrderState.OPEN), ("XO", OrderState.OPEN), ("CA", OrderState.CANCELLED), ("DC", OrderState.CANCELLED)],
)
def test_the_order_control_says_where_an_order_stands(control: str, state: OrderState) -> None:
    assert orm("ORC|NW|", f"ORC|{control}|").state is state


def test_a_completed_order_and_one_without_control() -> None:
    assert orm("ORC|NW|P1^RIS|F1^RIS||SC|", "ORC|SC|P1^RIS|F1^RIS||CM|").state is OrderState.COMPLETED
    order = orm("ORC|NW|", "ORC||")
    assert order.control == "NW"
    assert "taken as a new order" in order.notes[-1]


def test_several_orders_share_the_patient_and_a_zds_at_the_end() -> None:
    lines = ORM.split("\r")
    again = [lines[4], lines[5].replace("SPS1", "SPS2")]
    orders = read("\r".join([*lines[:7], *again, *lines[7:]]))
    assert [one.value("ScheduledProcedureStepID") for one in orders] == ["SPS1", "SPS2"]
    assert len({one.value("StudyInstanceUID") for one in orders}) == 1
    assert len({one.value("PatientName") for one in orders}) == 1


def test_an_order_survives_its_plain_values() -> None:
    order = orm()
    assert Order.from_dict(order.as_dict()) == order
