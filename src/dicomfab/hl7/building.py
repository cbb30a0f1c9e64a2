"""Messages from plain values: orders, news of patients, reports. What is built here, :mod:`.orders` reads as given.

The places are those of IHE RAD TF-2 4.4, 4.13 and 4.28. What there is: :data:`~dicomfab.hl7.templates.TEMPLATES`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Final

from dicomfab.hl7.entries import ENTRIES
from dicomfab.hl7.templates import Template
from dicomfab.hl7.writing import Field, Line, encoded, written
from dicomfab.model.errors import InvalidInput

_PRIORITIES: Final = {"STAT": "S", "HIGH": "A", "ROUTINE": "R", "MEDIUM": "T"}
_GROUPS: Final = "AIP"
#: A code, and the text that stands as its meaning in a message.
MEANINGS: Final = (
    ("RequestedProcedureCodeSequence", "RequestedProcedureDescription"),
    ("ScheduledProtocolCodeSequence", "ScheduledProcedureStepDescription"),
)
_REPORT: Final = ("11528-7", "Radiology Report", "LN")
_STUDY: Final = ("113014", "DICOM Study", "DCM")

Values = Mapping[str, str]


def build(template: Template, given: Values, *, control_id: str, now: dt.datetime) -> bytes:
    """A message, in ASCII if that holds it, else in UTF-8, as its MSH-18 says.

    Args:
        template: which.
        given: keyword -> value; what is empty is left out.
        control_id: MSH-10, unless it is given; up to 20 characters.
        now: with time zone.

    Raises:
        InvalidInput: a value is missing or cannot be used; names its keyword.
    """
    values = checked(template, given)
    kind = template.message_type[:3]
    if kind == "ADT":
        lines = _patient_news(template, values, now)
    elif kind == "ORU":
        lines = _report(values, now)
    else:
        lines = _order(template, values, now)
    header = _header(template, values, control_id, now)
    text = written([Line("MSH", header), *lines])
    if text.isascii():
        return encoded(text, "")
    return encoded(written([Line("MSH", {**header, 18: "UNICODE UTF-8"}), *lines]), "UNICODE UTF-8")


def checked(template: Template, given: Values) -> dict[str, str]:
    """The values of a message as they are written, with those that are there by default.

    Raises:
        InvalidInput: one is missing, has no place in the message, or cannot be used; names its keyword.
    """
    places = {one.entry.keyword: one for one in template.fields}
    for keyword in given:
        if keyword not in places:
            raise InvalidInput(
                f"{keyword}: {template.name} has no place for it",
                field=keyword,
                cause="the keyword is mistyped, or another kind of message holds it",
                remedy=f"see what it takes: dicomfab hl7 templates {template.name}",
            )
    values = {keyword: one.entry.checked(given.get(keyword) or one.default) for keyword, one in places.items()}
    for keyword, one in places.items():
        if one.is_needed and not values[keyword]:
            raise _missing(keyword, "this message needs it")
    if template.any_of and not any(values[keyword] for keyword in template.any_of):
        raise _missing(template.any_of[0], f"this message needs one of {', '.join(template.any_of)}")
    if values.get("ScheduledProcedureStepStartTime") and not values["ScheduledProcedureStepStartDate"]:
        raise _missing("ScheduledProcedureStepStartDate", "a time stands beside its date")
    for code, text in MEANINGS:
        if values.get(code) and values.get(text) and values[code].split("^")[2] != values[text]:
            raise InvalidInput(
                f"{text}: differs from the meaning in {code}",
                field=text,
                value=values[text],
                cause="a message holds both in one place",
                remedy="give one of them, or both alike",
            )
    return {keyword: value for keyword, value in values.items() if value}


def _missing(keyword: str, why: str) -> InvalidInput:
    example = ENTRIES[keyword].example
    return InvalidInput(f"{keyword}: is missing: {why}", field=keyword, remedy=f"give it, such as {example}")


def _header(template: Template, values: Values, control_id: str, now: dt.datetime) -> dict[int, Field]:
    kind, event = template.message_type.split("^")
    return {
        3: values.get("SendingApplication", ""),
        4: values.get("SendingFacility", ""),
        5: values.get("ReceivingApplication", ""),
        6: values.get("ReceivingFacility", ""),
        7: now.strftime("%Y%m%d%H%M%S%z"),
        9: (kind, event, template.structure),
        10: values.get("MessageControlID", control_id),
        11: values.get("ProcessingID", "P"),
        12: template.version,
        15: values.get("AcceptAcknowledgement", ""),
        16: values.get("ApplicationAcknowledgement", ""),
    }


def _patient_news(template: Template, values: Values, now: dt.datetime) -> list[Line]:
    event = template.message_type.split("^")[1]
    lines = [Line("EVN", {1: event, 2: _stamp(now)}), _patient(values)]
    if "PriorPatientID" in values:
        prior = _identified(values["PriorPatientID"], values.get("PriorIssuerOfPatientID", ""))
        return [*lines, Line("MRG", {1: prior, 7: _names(values.get("PriorPatientName", ""))})]
    return [*lines, _visit(values), *_measures(values)]


def _report(values: Values, now: dt.datetime) -> list[Line]:
    status = values["ResultStatus"]
    request = {
        **_request(values),
        4: (
            *_coded(values.get("RequestedProcedureCodeSequence", ""), values.get("RequestedProcedureDescription", "")),
        ),
        7: _stamp(now),
        22: _stamp(now),
        25: status,
        32: _within(values.get("NameOfPhysiciansReadingStudy", "")),
    }
    lines = [_patient(values), _visit(values), Line("OBR", request)]
    observed: list[tuple[str, Field, str]] = []
    if "StudyInstanceUID" in values:
        observed.append(("HD", _STUDY, values["StudyInstanceUID"]))
    observed += [("TX", _REPORT, line) for line in values["ReportText"].split("\n")]
    for number, (kind, what, value) in enumerate(observed, 1):
        lines.append(Line("OBX", {1: str(number), 2: kind, 3: what, 4: str(number), 5: value, 11: status}))
    return lines


def _order(template: Template, values: Values, now: dt.datetime) -> list[Line]:
    is_old = template.version == "2.3.1"
    start = values.get("ScheduledProcedureStepStartDate", "") + values.get("ScheduledProcedureStepStartTime", "")
    priority = _PRIORITIES.get(values.get("RequestedProcedurePriority", ""), "")
    common: dict[int, Field] = {
        1: template.control,
        2: values.get("PlacerOrderNumberImagingServiceRequest", ""),
        3: values.get("FillerOrderNumberImagingServiceRequest", ""),
        5: values.get("OrderStatus", ""),
        7: ("", "", "", start, "", priority) if is_old else "",
        9: _stamp(now),
        12: _staff(values.get("RequestingPhysician", "")),
        17: ("", values.get("InstitutionName", "")),
        28: values.get("ConfidentialityConstraintOnPatientDataDescription", ""),
    }
    lines = [_patient(values), *_notes(values.get("PatientComments", "")), _visit(values), Line("ORC", common)]
    if not is_old and (start or priority):
        lines.append(Line("TQ1", {1: "1", 7: start, 9: priority}))
    has_steps = template.message_type == "OMI^O23"
    lines.append(Line("OBR", {**_request(values), **_requested(values, has_steps=has_steps)}))
    lines += [*_notes(values.get("RequestedProcedureComments", "")), *_measures(values)]
    if has_steps:
        lines.append(_step(values))
    elif "StudyInstanceUID" in values:
        application = values.get("SendingApplication", "")
        lines.append(Line("ZDS", {1: (values["StudyInstanceUID"], application, "Application", "DICOM")}))
    return lines


def _request(values: Values) -> dict[int, Field]:
    """What OBR holds of an order and of a report."""
    return {
        1: "1",
        2: values.get("PlacerOrderNumberImagingServiceRequest", ""),
        3: values.get("FillerOrderNumberImagingServiceRequest", ""),
        16: _staff(values.get("RequestingPhysician", "")),
        18: values.get("AccessionNumber", ""),
        19: values.get("RequestedProcedureID", ""),
        20: values.get("ScheduledProcedureStepID", ""),
        24: values.get("Modality", ""),
    }


def _requested(values: Values, *, has_steps: bool) -> dict[int, Field]:
    """What OBR holds of an order alone; with IPC behind it, that holds what is to be done."""
    procedure = _coded(
        values.get("RequestedProcedureCodeSequence", ""), values.get("RequestedProcedureDescription", "")
    )
    return {
        4: procedure if has_steps else (*procedure, *_protocol(values)),
        12: values.get("PatientState", ""),
        13: values.get("MedicalAlerts", ""),
        30: values.get("PatientTransportArrangements", ""),
        31: ("", values.get("ReasonForTheRequestedProcedure", "")),
        34: _within(values.get("ScheduledPerformingPhysicianName", "")),
        44: procedure,
    }


def _step(values: Values) -> Line:
    fields: dict[int, Field] = {
        1: values.get("AccessionNumber", ""),
        2: values.get("RequestedProcedureID", ""),
        3: values.get("StudyInstanceUID", ""),
        4: values.get("ScheduledProcedureStepID", ""),
        5: values.get("Modality", ""),
        6: _protocol(values),
        7: values.get("ScheduledStationName", ""),
        8: values.get("ScheduledProcedureStepLocation", ""),
        9: values.get("ScheduledStationAETitle", ""),
    }
    return Line("IPC", fields)


def _protocol(values: Values) -> tuple[str, str, str]:
    return _coded(values.get("ScheduledProtocolCodeSequence", ""), values.get("ScheduledProcedureStepDescription", ""))


def _patient(values: Values) -> Line:
    issuer = tuple(values.get(one, "") for one in ("IssuerOfPatientID", "UniversalEntityID", "UniversalEntityIDType"))
    others = values["OtherPatientIDs"].split("\\") if "OtherPatientIDs" in values else []
    fields: dict[int, Field] = {
        1: "1",
        3: [(values["PatientID"], "", "", issuer), *others],
        5: _names(values.get("PatientName", "")),
        6: values.get("PatientMotherBirthName", ""),
        7: values.get("PatientBirthDate", ""),
        8: values.get("PatientSex", ""),
    }
    return Line("PID", fields)


def _visit(values: Values) -> Line:
    fields: dict[int, Field] = {
        1: "1",
        2: values.get("PatientClass", ""),
        3: values.get("CurrentPatientLocation", ""),
        8: _staff(values.get("ReferringPhysicianName", "")),
        15: "B6" if "PregnancyStatus" in values else "",
        19: values.get("AdmissionID", ""),
    }
    return Line("PV1", fields)


def _measures(values: Values) -> list[Line]:
    found = [("Body Height", "PatientSize", "m"), ("Body Weight", "PatientWeight", "kg")]
    return [
        Line("OBX", {1: str(number), 2: "NM", 3: ("", words), 5: values[keyword], 6: unit, 11: "F"})
        for number, (words, keyword, unit) in enumerate(found, 1)
        if keyword in values
    ]


def _notes(text: str) -> list[Line]:
    return [Line("NTE", {1: "1", 3: text})] if text else []


def _identified(identifier: str, issuer: str) -> Field:
    return (identifier, "", "", issuer)


def _coded(code: str, text: str) -> tuple[str, str, str]:
    """Value, meaning and scheme (CE) of ``value^scheme^meaning``; without a code, the text alone."""
    value, scheme, meaning = code.split("^") if code else ("", "", text)
    return value, meaning, scheme


def _names(name: str) -> Field:
    """A patient's name (XPN), a repetition for each group of PN (PS3.5 6.2.1)."""
    groups = name.split("=")
    if len(groups) == 1:
        return _parts(name)
    return [(*_parts(group), "L", _GROUPS[place]) for place, group in enumerate(groups) if group]


def _staff(name: str) -> Field:
    """The name of one of the staff (XCN)."""
    return ("", *_parts(name)) if name else ""


def _within(name: str) -> Field:
    """The same as subcomponents (NDL)."""
    return (("", *_parts(name)),) if name else ""


def _parts(group: str) -> tuple[str, str, str, str, str, str]:
    """Family, given, middle, suffix, prefix, degree, of a PN, which has the prefix before the suffix."""
    family, given, middle, prefix, suffix = (*group.split("^"), "", "", "", "", "")[:5]
    return family, given, middle, suffix, prefix, ""


def _stamp(now: dt.datetime) -> str:
    return now.strftime("%Y%m%d%H%M%S")
