"""Reports with findings: as text for people, and as a message, ORU^R01 of HL7 2.5.1 (IHE RAD TF-2 4.28, 4.128)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from dicomfab.hl7.writing import Field, Line, encoded, written
from dicomfab.model.errors import InvalidInput

#: Value, meaning and coding scheme, in the order of HL7 (CWE).
Coded = tuple[str, str, str]

#: OBR-25 (HL7 table 0123) of the states that a report can have.
STATES: Final = {"F": "final", "P": "preliminary", "C": "corrected"}
_STUDY: Final[Coded] = ("113014", "DICOM Study", "DCM")
_FINDINGS: Final[Coded] = ("59776-5", "Procedure Findings", "LN")
_IMPRESSION: Final[Coded] = ("19005-8", "Impression", "LN")
_HISTORY: Final[Coded] = ("11329-0", "History", "LN")
_TECHNIQUE: Final[Coded] = ("55111-9", "Current Imaging Procedure Descriptions", "LN")
_FINDING: Final[Coded] = ("121071", "Finding", "DCM")
_TRACKING_ID: Final[Coded] = ("112039", "Tracking Identifier", "DCM")
_TRACKING_UID: Final[Coded] = ("112040", "Tracking Unique Identifier", "DCM")
_SITE: Final[Coded] = ("363698007", "Finding Site", "SCT")
_LATERALITY: Final[Coded] = ("272741003", "Laterality", "SCT")
_GROUPS: Final = "AIP"


@dataclass(frozen=True, slots=True)
class Measured:
    """A number.

    Args:
        what: was measured.
        value: in the unit.
        unit: of UCUM.
    """

    what: Coded
    value: float
    unit: Coded


@dataclass(frozen=True, slots=True)
class Finding:
    """One lesion.

    Args:
        sentence: what the report says of it.
        code: what it is.
        site: where, if that is known.
        side: left or right, if that is known.
        measured: sizes and values.
        tracking_id: what other objects call it; empty if they do not.
        tracking_uid: the same as a UID.
    """

    sentence: str
    code: Coded
    site: Coded | None = None
    side: Coded | None = None
    measured: tuple[Measured, ...] = ()
    tracking_id: str = ""
    tracking_uid: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A report on one study.

    Args:
        study_instance_uid: of the study.
        values: keyword -> value of patient, request and study, as DICOM writes them; what is missing is left empty.
        reader: who reports (VR PN).
        history: why the study was made.
        technique: what was done.
        findings: in order.
        impressions: one line each.
        status: one of :data:`STATES`.
    """

    study_instance_uid: str
    values: Mapping[str, str]
    reader: str
    history: str
    technique: str
    findings: tuple[Finding, ...]
    impressions: tuple[str, ...]
    status: str = field(default="F")

    def __post_init__(self) -> None:
        """Check the state."""
        if self.status not in STATES:
            raise InvalidInput(
                f"status: {self.status!r} is no state of a report",
                field="status",
                value=self.status,
                remedy="write " + ", ".join(f"{code} ({words})" for code, words in STATES.items()),
            )

    def value(self, keyword: str) -> str:
        """The value of a keyword; empty if it is not known."""
        return self.values.get(keyword, "")


def text(report: Report) -> str:
    """The report for people; it names no patient."""
    parts = [
        ("Procedure", [report.value("RequestedProcedureDescription") or report.value("StudyDescription")]),
        ("Accession number", [report.value("AccessionNumber")]),
        ("Study", [report.study_instance_uid]),
        ("Status", [STATES[report.status]]),
        ("Reported by", [report.reader]),
        ("History", [report.history]),
        ("Technique", [report.technique]),
        ("Findings", [one.sentence for one in report.findings] or list(report.impressions)),
        ("Impression", list(report.impressions)),
    ]
    return "".join(f"{title}: {lines[0]}\n" if len(lines) == 1 else _listed(title, lines) for title, lines in parts)


def message(report: Report, *, control_id: str, now: dt.datetime, receiver: tuple[str, str] = ("", "")) -> bytes:
    """The report as ORU^R01, in ASCII if that holds it, else in UTF-8, as its MSH-18 says.

    After the OBX that names the study, and those with the text, each lesion has OBX of its own, held together by OBX-4:
    its sentence, code, site, names and numbers.

    Args:
        report: what is to be told.
        control_id: MSH-10, up to 20 characters.
        now: with time zone.
        receiver: MSH-5 and MSH-6.
    """
    header: dict[int, Field] = {
        3: "DICOMFAB",
        5: receiver[0],
        6: receiver[1],
        7: now.strftime("%Y%m%d%H%M%S%z"),
        9: ("ORU", "R01", "ORU_R01"),
        10: control_id,
        11: "T",  # a fabricated study is nobody's
        12: "2.5.1",
    }
    lines = [_patient(report), _visit(report), _request(report, now), *_numbered(report)]
    whole = written([Line("MSH", header), *lines])
    if whole.isascii():
        return encoded(whole, "")
    return encoded(written([Line("MSH", {**header, 18: "UNICODE UTF-8"}), *lines]), "UNICODE UTF-8")


def _listed(title: str, lines: list[str]) -> str:
    return f"{title}:\n" + "".join(f"  {line}\n" for line in lines)


def _patient(report: Report) -> Line:
    fields: dict[int, Field] = {
        1: "1",
        3: (report.value("PatientID"), "", "", report.value("IssuerOfPatientID")),
        5: _names(report.value("PatientName")),
        7: report.value("PatientBirthDate"),
        8: report.value("PatientSex"),
    }
    return Line("PID", fields)


def _visit(report: Report) -> Line:
    referring = report.value("ReferringPhysicianName")
    return Line("PV1", {1: "1", 2: "O", 8: _staff(referring), 19: report.value("AdmissionID")})


def _request(report: Report, now: dt.datetime) -> Line:
    value, scheme, meaning = (*report.value("RequestedProcedureCodeSequence").split("^"), "", "")[:3]
    described = report.value("RequestedProcedureDescription") or report.value("StudyDescription")
    fields: dict[int, Field] = {
        1: "1",
        2: report.value("PlacerOrderNumberImagingServiceRequest"),
        3: report.value("FillerOrderNumberImagingServiceRequest"),
        4: (value, meaning or described, scheme),
        7: report.value("StudyDate") + report.value("StudyTime"),
        16: _staff(report.value("RequestingPhysician")),
        18: report.value("AccessionNumber"),
        19: report.value("RequestedProcedureID"),
        20: report.value("ScheduledProcedureStepID"),
        22: now.strftime("%Y%m%d%H%M%S"),
        24: report.value("Modality"),
        25: report.status,
        32: (("", *_parts(report.reader)),) if report.reader else "",
    }
    return Line("OBR", fields)


def _numbered(report: Report) -> Iterator[Line]:
    # The UID is of the order, no result of the reading: O (HL7 table 0085).
    yield Line("OBX", {1: "1", 2: "ST", 3: _STUDY, 5: report.study_instance_uid, 11: "O"})
    for number, (kind, what, value, group, unit) in enumerate(_observed(report), 2):
        fields: dict[int, Field] = {1: str(number), 2: kind, 3: what, 4: group, 5: value, 6: unit, 11: report.status}
        yield Line("OBX", fields)


Observed = tuple[str, Coded, Field, str, Field]


def _observed(report: Report) -> Iterator[Observed]:
    """Type, what, value, group and unit of each OBX."""
    if report.history:
        yield "TX", _HISTORY, report.history, "", ""
    if report.technique:
        yield "TX", _TECHNIQUE, report.technique, "", ""
    for line in [one.sentence for one in report.findings] or report.impressions:
        yield "TX", _FINDINGS, line, "", ""
    for line in report.impressions:
        yield "TX", _IMPRESSION, line, "", ""
    for number, finding in enumerate(report.findings, 1):
        yield from _of_lesion(finding, str(number))


def _of_lesion(finding: Finding, group: str) -> Iterator[Observed]:
    yield "CWE", _FINDING, finding.code, group, ""
    for what, code in ((_SITE, finding.site), (_LATERALITY, finding.side)):
        if code is not None:
            yield "CWE", what, code, group, ""
    for what, value in ((_TRACKING_ID, finding.tracking_id), (_TRACKING_UID, finding.tracking_uid)):
        if value:
            yield "ST", what, value, group, ""
    for one in finding.measured:
        yield "NM", one.what, f"{one.value:.15g}", group, one.unit


def _names(name: str) -> Field:
    """A patient's name (XPN), a repetition for each group of PN (PS3.5 6.2.1)."""
    groups = name.split("=")
    if len(groups) == 1:
        return _parts(name)
    return [(*_parts(group), "", "L", _GROUPS[place]) for place, group in enumerate(groups[:3]) if group]


def _staff(name: str) -> Field:
    return ("", *_parts(name)) if name else ""


def _parts(name: str) -> tuple[str, str, str, str, str]:
    """Family, given, middle, suffix, prefix, of a PN, which has the prefix before the suffix."""
    family, given, middle, prefix, suffix = (*name.partition("=")[0].split("^"), "", "", "", "", "")[:5]
    return family, given, middle, suffix, prefix
