"""Audit messages against the schema and the tables of PS3.15 A.5.3."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.sr.codedict import codes

from dicomfab.model.audit import AuditEvent, EventKind, Node, Outcome
from dicomfab.services.audit_message import EVENTS, Code, message
from tests.unit.services.audit_schema import problems

AT = datetime(2026, 3, 2, 8, 30, 0, 123456, tzinfo=UTC)
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
CT = "1.2.840.10008.5.1.4.1.1.2"

texts = st.text(max_size=30)
nodes = st.none() | st.builds(Node, name=texts, ae_title=texts, host=texts)
events = st.builds(
    AuditEvent,
    kind=st.sampled_from(EventKind),
    actor=texts,
    at=st.datetimes(timezones=st.just(UTC), min_value=datetime(1990, 1, 1)),  # noqa: DTZ001 - hypothesis adds the zone
    source=texts,
    roles=st.lists(texts, max_size=3).map(tuple),
    door=texts,
    address=texts | st.sampled_from(["127.0.0.1", "::1", "pacs.example.com"]),
    outcome=st.sampled_from(Outcome),
    reason=texts,
    environment=texts,
    sender=nodes,
    receiver=nodes,
    subject=texts,
    study_uids=st.lists(texts, max_size=3).map(tuple),
    sop_classes=st.dictionaries(texts, st.integers(0, 10**6), max_size=3),
    patient_ids=st.lists(texts, max_size=2).map(tuple),
    query=st.binary(max_size=50),
    query_sop_class=texts,
    query_syntax=texts,
    detail=st.dictionaries(texts, texts, max_size=3),
    host=texts,
    process=st.integers(0, 2**22),
)


@given(events)
def test_every_message_fits_the_schema_and_is_the_same_each_time(event: AuditEvent):
    written = message(event, "dicomfab@here")
    assert problems(fromstring(written)) == []
    assert message(event, "dicomfab@here") == written


@given(events)
def test_at_most_one_participant_is_the_requestor(event: AuditEvent):
    found = read(event).findall("ActiveParticipant[@UserIsRequestor='true']")
    assert len(found) <= 1


def read(event: AuditEvent) -> Element:
    return fromstring(message(event, "dicomfab@here"))


def made(kind: EventKind, **values: object) -> Element:
    base: dict[str, object] = {"actor": "anna", "at": AT, "host": "lab", "process": 7, "address": "192.0.2.7"}
    return read(AuditEvent(kind=kind, **(base | values)))  # type: ignore[arg-type]


def test_every_kind_has_a_message():
    assert set(EVENTS) == set(EventKind)


def every_code() -> list[Code]:
    return [code for event, _, kind in EVENTS.values() for code in (event, kind) if code is not None]


@pytest.mark.parametrize("code", every_code(), ids=lambda code: code.value)
def test_codes_have_the_meanings_of_the_dictionary(code: Code):
    known = {getattr(codes.DCM, name).value: getattr(codes.DCM, name).meaning for name in codes.DCM.dir()}
    assert known[code.value] == code.meaning


@pytest.mark.parametrize(
    ("kind", "event_id", "action", "type_code"),
    [
        (EventKind.SIGN_IN, "110114", "E", "110122"),
        (EventKind.SIGN_OUT, "110114", "E", "110123"),
        (EventKind.REFUSAL, "110113", "E", "110132"),
        (EventKind.QUERY, "110112", "E", None),
        (EventKind.TRANSFER_BEGUN, "110102", "E", None),
        (EventKind.TRANSFER_ENDED, "110104", "R", None),
        (EventKind.EXPORT, "110106", "R", None),
        (EventKind.IMPORT, "110107", "C", None),
        (EventKind.VIEW, "110103", "R", None),
        (EventKind.FABRICATION, "110103", "C", None),
        (EventKind.DELETION, "110105", "D", None),
        (EventKind.PATIENT_CHANGE, "110110", "U", None),
        (EventKind.REGISTRY_CHANGE, "110113", "E", "110128"),
        (EventKind.ROUTE_CHANGE, "110113", "E", "110128"),
        (EventKind.SETTINGS_CHANGE, "110113", "E", "110131"),
        (EventKind.USER_CHANGE, "110113", "E", "110137"),
        (EventKind.ROLE_CHANGE, "110113", "E", "110136"),
        (EventKind.TOKEN_CHANGE, "110113", "E", "110137"),
        (EventKind.START, "110100", "E", "110120"),
        (EventKind.STOP, "110100", "E", "110121"),
        (EventKind.AUDIT_READ, "110101", "R", None),
        (EventKind.AUDIT_PURGE, "110113", "E", "110129"),
        (EventKind.CHAIN_BREAK, "110113", "E", "110135"),
    ],
)
def test_event_codes_and_actions_of_the_tables(kind: EventKind, event_id: str, action: str, type_code: str | None):
    identification = made(kind)[0]
    assert identification.find("EventID").attrib["csd-code"] == event_id
    assert identification.attrib["EventActionCode"] == action
    found = identification.find("EventTypeCode")
    assert (None if found is None else found.attrib["csd-code"]) == type_code
    assert identification.attrib["EventDateTime"] == "2026-03-02T08:30:00.123Z"


@pytest.mark.parametrize(
    ("outcome", "indicator"),
    [(Outcome.SUCCESS, "0"), (Outcome.MINOR, "4"), (Outcome.SERIOUS, "8"), (Outcome.MAJOR, "12")],
)
def test_outcomes(outcome: Outcome, indicator: str):
    root = made(EventKind.SIGN_IN, outcome=outcome, reason="wrong password")
    assert root[0].attrib["EventOutcomeIndicator"] == indicator
    assert root[0].findtext("EventOutcomeDescription") == "wrong password"


def roles(root: Element) -> dict[str, dict[str, str]]:
    """Role code -> attributes of the participant who has it."""
    return {
        role.attrib["csd-code"]: participant.attrib
        for participant in root.findall("ActiveParticipant")
        for role in participant.findall("RoleIDCode")
    }


def test_a_query_has_source_destination_user_sop_class_and_identifier():
    server = Node(name="Ward PACS", ae_title="WARD", host="192.0.2.9")
    root = made(
        EventKind.QUERY,
        receiver=server,
        query=b"\x08\x00\x52\x00",
        query_sop_class=STUDY_ROOT_FIND,
        query_syntax="1.2.840.10008.1.2",
    )
    found = roles(root)
    assert found["110153"]["UserID"] == "7"
    assert found["110152"] == {
        "UserID": "WARD",
        "AlternativeUserID": "AETITLES=WARD",
        "UserName": "Ward PACS",
        "UserIsRequestor": "false",
        "NetworkAccessPointID": "192.0.2.9",
        "NetworkAccessPointTypeCode": "2",
    }
    user = root.find("ActiveParticipant[@UserIsRequestor='true']")
    assert (user.attrib["UserID"], user.attrib["NetworkAccessPointID"]) == ("anna", "192.0.2.7")
    (subject,) = root.findall("ParticipantObjectIdentification")
    assert subject.attrib["ParticipantObjectID"] == STUDY_ROOT_FIND
    assert (subject.attrib["ParticipantObjectTypeCode"], subject.attrib["ParticipantObjectTypeCodeRole"]) == ("2", "3")
    assert subject.find("ParticipantObjectIDTypeCode").attrib["csd-code"] == "110181"
    assert base64.b64decode(subject.findtext("ParticipantObjectQuery")) == b"\x08\x00\x52\x00"
    assert details(subject) == {"TransferSyntax": "1.2.840.10008.1.2"}


def details(subject: Element) -> dict[str, str]:
    found = subject.findall("ParticipantObjectDetail")
    return {one.attrib["type"]: base64.b64decode(one.attrib["value"]).decode() for one in found}


def test_a_transfer_has_studies_with_their_sop_classes_and_the_patient():
    root = made(
        EventKind.TRANSFER_ENDED,
        sender=Node(ae_title="A"),
        receiver=Node(ae_title="B"),
        study_uids=("1.2.3",),
        sop_classes={CT: 40},
        patient_ids=("SYN1",),
    )
    found = roles(root)
    assert (found["110153"]["UserID"], found["110152"]["UserID"]) == ("A", "B")
    study, patient = root.findall("ParticipantObjectIdentification")
    assert study.attrib["ParticipantObjectID"] == "1.2.3"
    assert study.find("ParticipantObjectIDTypeCode").attrib["csd-code"] == "110180"
    assert study.find("ParticipantObjectDescription/SOPClass").attrib == {"UID": CT, "NumberOfInstances": "40"}
    assert patient.attrib["ParticipantObjectID"] == "SYN1"
    assert (patient.attrib["ParticipantObjectTypeCode"], patient.attrib["ParticipantObjectTypeCodeRole"]) == ("1", "1")
    assert patient.find("ParticipantObjectIDTypeCode").attrib == {
        "csd-code": "2",
        "codeSystemName": "RFC-3881",
        "originalText": "Patient Number",
    }


@pytest.mark.parametrize(
    ("kind", "user", "medium"), [(EventKind.EXPORT, "110153", "110154"), (EventKind.IMPORT, "110152", "110155")]
)
def test_export_and_import_name_the_medium(kind: EventKind, user: str, medium: str):
    root = made(kind, subject="study.zip", study_uids=("1.2.3", "1.2.4"), sop_classes={CT: 2})
    media = root.find("ActiveParticipant[MediaIdentifier]")
    assert media.find("RoleIDCode").attrib["csd-code"] == medium
    assert media.find("MediaIdentifier/MediaType").attrib["csd-code"] == "110037"
    assert (media.attrib["UserID"], media.attrib["UserIsRequestor"]) == ("study.zip", "false")
    requestor = root.find("ActiveParticipant[@UserIsRequestor='true']")
    assert requestor.find("RoleIDCode").attrib["csd-code"] == user
    for study in root.findall("ParticipantObjectIdentification"):
        assert details(study) == {"ContainsSOPClass": CT}


def test_a_sign_in_has_a_network_access_point_and_no_objects():
    root = made(EventKind.SIGN_IN, address="", source="local")
    user = root.find("ActiveParticipant[@UserIsRequestor='true']")
    assert (user.attrib["NetworkAccessPointID"], user.attrib["NetworkAccessPointTypeCode"]) == ("lab", "1")
    assert user.attrib["AlternativeUserID"] == "local:anna"
    assert root.findall("ParticipantObjectIdentification") == []


def test_reading_the_log_names_the_log():
    (subject,) = made(EventKind.AUDIT_READ, detail={"actor": "ben"}).findall("ParticipantObjectIdentification")
    assert (subject.attrib["ParticipantObjectTypeCode"], subject.attrib["ParticipantObjectTypeCodeRole"]) == ("2", "13")
    assert subject.findtext("ParticipantObjectName") == "Security Audit Log"
    assert subject.find("ParticipantObjectIDTypeCode").attrib["csd-code"] == "12"
    assert details(subject) == {"actor": "ben"}


@pytest.mark.parametrize(
    ("kind", "role", "id_type"),
    [(EventKind.REFUSAL, "13", "12"), (EventKind.ROUTE_CHANGE, "5", "110182"), (EventKind.CHAIN_BREAK, "13", "12")],
)
def test_an_alert_describes_itself(kind: EventKind, role: str, id_type: str):
    (subject,) = made(kind, subject="ward", reason="needs prod_write").findall("ParticipantObjectIdentification")
    assert subject.attrib["ParticipantObjectTypeCodeRole"] == role
    assert subject.find("ParticipantObjectIDTypeCode").attrib["csd-code"] == id_type
    assert details(subject) == {"Alert Description": "needs prod_write"}


def test_start_and_stop_name_the_application_and_who_launched_it():
    found = roles(made(EventKind.START))
    assert (found["110150"]["UserID"], found["110151"]["UserID"]) == ("7", "anna")
    assert "110151" not in roles(made(EventKind.STOP, actor=""))


def test_an_event_without_a_moment_has_no_message():
    with pytest.raises(ValueError, match="moment"):
        message(AuditEvent(kind=EventKind.STOP), "here")


def test_the_schema_of_these_tests_finds_mistakes():
    root = made(EventKind.QUERY)
    root[0].attrib["EventActionCode"] = "X"
    root.find("ActiveParticipant").attrib.pop("UserID")
    root.remove(root.find("AuditSourceIdentification"))
    root.find("ParticipantObjectIdentification/ParticipantObjectQuery").text = "not base64"
    assert len(problems(root)) == 4
