"""What is built is read as it was given."""

from __future__ import annotations

import datetime as dt
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomfab.hl7 import patients
from dicomfab.hl7.building import build, checked
from dicomfab.hl7.character_sets import decoded
from dicomfab.hl7.entries import ENTRIES
from dicomfab.hl7.er7 import Segment, parse
from dicomfab.hl7.orders import read
from dicomfab.hl7.templates import TEMPLATES, Template, template
from dicomfab.model.errors import InvalidInput, NotFound
from dicomfab.model.order import Order
from dicomfab.services.ordering.reporting import study_named

NOW = dt.datetime(2026, 1, 31, 9, 30, tzinfo=dt.UTC)
PATIENT = {"PatientID": "P1", "PatientName": "DOE^JANE"}
#: What stands in a message, and in no order that is read from it.
UNREAD = {one.keyword for one in ENTRIES.values() if one.part in ("message", "report")} | {
    "PatientClass", "OrderStatus", "PriorPatientID", "PriorIssuerOfPatientID", "PriorPatientName",
}  # fmt: skip

# Letters of several scripts, separators, and what engines stumble over.
CHARACTERS = st.sampled_from(
    string.ascii_letters + string.digits + "|~&#.'\"-/ " + "åßéñŻ山田太郎やまだ김希腊\u00a0\u3000😀"
)
WORDS = st.text(CHARACTERS, min_size=1, max_size=16).filter(lambda one: one.strip() and one.strip() != '""')
NAMES = st.lists(st.lists(st.text(CHARACTERS, max_size=9), min_size=1, max_size=5), min_size=1, max_size=3).map(
    lambda groups: "=".join("^".join(group) for group in groups)
)
ONE_NAME = NAMES.map(lambda name: name.split("=", maxsplit=1)[0])
CODES = st.lists(WORDS, min_size=1, max_size=3).map("^".join)
STRATEGIES = {
    "PatientName": NAMES,
    "PriorPatientName": NAMES,
    "ReferringPhysicianName": ONE_NAME,
    "RequestingPhysician": ONE_NAME,
    "ScheduledPerformingPhysicianName": ONE_NAME,
    "NameOfPhysiciansReadingStudy": ONE_NAME,
    "RequestedProcedureCodeSequence": CODES,
    "ScheduledProtocolCodeSequence": CODES,
    "PatientBirthDate": st.dates().map(lambda day: day.strftime("%Y%m%d").rjust(8, "0")),
    "ScheduledProcedureStepStartDate": st.dates().map(lambda day: day.strftime("%Y%m%d").rjust(8, "0")),
    "ScheduledProcedureStepStartTime": st.times().map(lambda clock: clock.strftime("%H%M%S")),
    "StudyInstanceUID": st.lists(st.integers(0, 10**9).map(str), min_size=2, max_size=6).map(".".join),
    "Modality": st.sampled_from(["CT", "MR", "US"]),
    "ScheduledStationAETitle": st.text(string.ascii_uppercase + "|&~^"[:3], min_size=1, max_size=16),
    "PatientSize": st.floats(0.2, 2.8).map(str),
    "PatientWeight": st.floats(0.2, 650).map(str),
    "OtherPatientIDs": st.lists(WORDS, min_size=1, max_size=3).map("\\".join),
}
STRATEGIES |= {
    keyword: st.sampled_from(entry.choices) for keyword, entry in ENTRIES.items() if entry.choices and keyword
}


@st.composite
def messages(draw: st.DrawFn) -> tuple[Template, dict[str, str]]:
    """A template, with values for some of its fields."""
    chosen = draw(st.sampled_from(list(TEMPLATES.values())))
    values = dict(PATIENT) if chosen.takes("PatientName") else {"PatientID": "P1"}
    values |= {"AccessionNumber": "A1"} if chosen.any_of else {}
    values |= {"PriorPatientID": "P9"} if chosen.takes("PriorPatientID") else {}
    values |= {"ReportText": "No finding."} if chosen.takes("ReportText") else {}
    keywords = [one.entry.keyword for one in chosen.fields]
    for keyword in draw(st.lists(st.sampled_from(keywords), unique=True)):
        values[keyword] = draw(STRATEGIES.get(keyword, WORDS))
    return chosen, values


def accepted(chosen: Template, values: dict[str, str]) -> dict[str, str]:
    """The values as they are written, without those that are refused."""
    values = dict(values)
    while True:
        try:
            return checked(chosen, values)
        except InvalidInput as error:
            if error.field not in values or error.field in PATIENT | {"ReportText": "", "PriorPatientID": ""}:
                values |= {
                    "PatientID": "P1", "ReportText": "No finding.", "PriorPatientID": "P9", "AccessionNumber": "A1",
                    "PatientName": "DOE^JANE", "ScheduledProcedureStepStartDate": "20260131",
                }  # fmt: skip
                values = {keyword: value for keyword, value in values.items() if chosen.takes(keyword)}
            else:
                del values[error.field]


def said(order: Order, keyword: str) -> str:
    return "\\".join(one.value for one in order.fields if one.keyword == keyword)


def segments(message: bytes, name: str) -> list[Segment]:
    return [one for one in parse(decoded(message)[0]).segments if one.name == name]


@settings(max_examples=400, deadline=None)
@given(messages())
def test_what_is_built_is_read_as_it_was_given(drawn: tuple[Template, dict[str, str]]) -> None:
    chosen, values = drawn
    values = accepted(chosen, values)
    message = build(chosen, values, control_id="C1", now=NOW)
    (order,) = read(message)
    if chosen.takes("ReportText"):  # whose study stands in an OBX
        observed = study_named(parse(decoded(message)[0]).segments)
        assert observed == values.pop("StudyInstanceUID", "")
    assert order.message_type == chosen.message_type
    assert order.control_id == values.get("MessageControlID", "C1")
    assert {keyword: said(order, keyword) for keyword in values if keyword not in UNREAD} == {
        keyword: value for keyword, value in values.items() if keyword not in UNREAD
    }
    if chosen.control:
        assert (order.control, order.status) == (chosen.control, values.get("OrderStatus", ""))
    if "PriorPatientID" in values:
        (prior,) = patients.priors(decoded(message)[0])
        assert (prior.patient_id, prior.issuer) == (values["PriorPatientID"], values.get("PriorIssuerOfPatientID", ""))
    texts = [one.get(5) for one in segments(message, "OBX") if one.get(2) == "TX"]
    assert texts == values.get("ReportText", "").split("\n") if chosen.takes("ReportText") else texts == []
    # What nobody gave is either not there, or told as a guess, or the text of a code.
    read_anew = {one.keyword: one for one in order.fields if one.value and one.keyword not in values}
    for keyword in ("SpecificCharacterSet", *(one for pair in PAIRS for one in pair)):
        read_anew.pop(keyword, None)
    assert [keyword for keyword, one in read_anew.items() if not one.note] == []


PAIRS = (
    ("RequestedProcedureCodeSequence", "RequestedProcedureDescription"),
    ("ScheduledProtocolCodeSequence", "ScheduledProcedureStepDescription"),
)


def test_separators_in_a_name_within_subcomponents() -> None:
    given = {**PATIENT, "ScheduledPerformingPhysicianName": "SMITH & SON^A~B|C"}
    (order,) = read(build(template("orm-new"), given, control_id="C1", now=NOW))
    assert order.value("ScheduledPerformingPhysicianName") == given["ScheduledPerformingPhysicianName"]


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_is_built_from_its_examples(name: str) -> None:
    chosen = template(name)
    message = build(chosen, {one.entry.keyword: one.entry.example for one in chosen.fields}, control_id="C1", now=NOW)
    assert message.isascii()
    assert message.endswith(b"\r")
    (order,) = read(message)
    assert (order.value("PatientID"), order.value("PatientName")) == ("P1", "DOE^JANE")
    (header,) = segments(message, "MSH")
    assert header.get(18) == ""
    assert "^".join(filter(None, (header.get(9), header.get(9, 2)))) == chosen.message_type


def test_a_japanese_name_makes_the_message_utf_8() -> None:
    given = {**PATIENT, "PatientName": "YAMADA^TARO=山田^太郎=やまだ^たろう", "ReferringPhysicianName": "Ångström^A|B"}
    message = build(template("omi-new"), given, control_id="C1", now=NOW)
    assert segments(message, "MSH")[0].get(18) == "UNICODE UTF-8"
    (order,) = read(message)
    assert order.value("PatientName") == given["PatientName"]
    assert order.value("ReferringPhysicianName") == given["ReferringPhysicianName"]
    assert order.value("SpecificCharacterSet") == "ISO_IR 192"


def test_the_study_of_a_report_stands_in_an_obx_and_its_status_in_obr_25() -> None:
    given = {"PatientID": "P1", "StudyInstanceUID": "1.2.3", "ReportText": "One.\n\nTwo.", "ResultStatus": "C"}
    message = build(template("oru-report"), given, control_id="C1", now=NOW)
    assert segments(message, "OBR")[0].get(25) == "C"
    observed = [(one.get(2), one.get(3), one.get(5), one.get(11)) for one in segments(message, "OBX")]
    assert observed == [
        ("HD", "113014", "1.2.3", "C"), ("TX", "11528-7", "One.", "C"), ("TX", "11528-7", "Two.", "C"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "given", "field"),
    [
        ("orm-new", {"PatientID": "P1"}, "PatientName"),
        ("orm-new", {**PATIENT, "AccessionNumber": "A" * 17}, "AccessionNumber"),
        ("orm-new", {**PATIENT, "PatientID": "P" * 65}, "PatientID"),
        ("orm-new", {**PATIENT, "PatientID": "P\\1"}, "PatientID"),
        ("orm-new", {**PATIENT, "PatientID": 'P1\r"'}, "PatientID"),
        ("orm-new", {**PATIENT, "PatientID": '""'}, "PatientID"),
        ("orm-new", {**PATIENT, "PatientName": "D" * 65}, "PatientName"),
        ("orm-new", {**PATIENT, "PatientName": "A^B^C^D^E^F"}, "PatientName"),
        ("orm-new", {**PATIENT, "PatientName": "^^"}, "PatientName"),
        ("orm-new", {**PATIENT, "PatientBirthDate": "20260230"}, "PatientBirthDate"),
        ("orm-new", {**PATIENT, "PatientSex": "female"}, "PatientSex"),
        ("orm-new", {**PATIENT, "StudyInstanceUID": "1.2.x"}, "StudyInstanceUID"),
        ("orm-new", {**PATIENT, "ScheduledProcedureStepStartTime": "0930"}, "ScheduledProcedureStepStartDate"),
        ("orm-new", {**PATIENT, "ScheduledProcedureStepStartTime": "2560"}, "ScheduledProcedureStepStartTime"),
        ("orm-new", {**PATIENT, "ScheduledStationAETitle": "CT1"}, "ScheduledStationAETitle"),
        ("omi-new", {**PATIENT, "ScheduledStationAETitle": "CT1CT1CT1CT1CT1CT"}, "ScheduledStationAETitle"),
        ("omi-new", {**PATIENT, "ScheduledStationAETitle": "CTÅ"}, "ScheduledStationAETitle"),
        ("orm-new", {**PATIENT, "Modality": "C/T"}, "Modality"),
        ("orm-new", {**PATIENT, "PatientWeight": "nan"}, "PatientWeight"),
        ("orm-new", {**PATIENT, "RequestedProcedureCodeSequence": "^L^CT"}, "RequestedProcedureCodeSequence"),
        ("orm-new", {**PATIENT, "ReferringPhysicianName": "A=B"}, "ReferringPhysicianName"),
        (
            "orm-new",
            {**PATIENT, "RequestedProcedureCodeSequence": "C^L^CT", "RequestedProcedureDescription": "MR"},
            "RequestedProcedureDescription",
        ),
        ("orm-cancel", {"PatientID": "P1"}, "StudyInstanceUID"),
        ("adt-merge", {"PatientID": "P1"}, "PriorPatientID"),
        ("adt-update", {"PatientID": "P1", "Colour": "red"}, "Colour"),
        ("oru-report", {"PatientID": "P1", "AccessionNumber": "A1"}, "ReportText"),
        ("adt-update", {"PatientID": "P1", "MessageControlID": "M" * 21}, "MessageControlID"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_keyword(name: str, given: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        build(template(name), given, control_id="C1", now=NOW)
    assert caught.value.field == field
    assert field in caught.value.what


def test_white_space_hyphens_and_colons_are_tidied_up() -> None:
    given = {"PatientID": " P 1  2", "PatientBirthDate": "1970-01-02", "PatientSex": "f", "PatientName": "DOE ^ J"}
    order = read(build(template("adt-update"), given, control_id="C1", now=NOW))[0]
    assert [order.value(one) for one in given] == ["P 1 2", "19700102", "F", "DOE^J"]


def test_a_template_that_there_is_not() -> None:
    with pytest.raises(NotFound, match="orm-newer"):
        template("orm-newer")
