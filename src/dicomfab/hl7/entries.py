"""Values that messages are built from: what each is called, how it is checked, and an example.

They have the keywords of the DICOM attributes that :mod:`.orders` reads them as. What stands in messages alone has a
name of its own in the same style.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from dicomfab.hl7 import values
from dicomfab.model.errors import InvalidInput
from dicomfab.model.values import is_uid

_REFUSED: Final = frozenset({"Cc", "Cs", "Cn"})
_DATE: Final = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})", re.ASCII)
_TIME: Final = re.compile(r"(\d{2}):?(\d{2})(?::?(\d{2}))?", re.ASCII)
_CODE_STRING: Final = re.compile(r"[A-Z0-9_]([A-Z0-9_ ]{0,14}[A-Z0-9_])?")

#: Gives a value as it is written; raises :class:`Unusable` for one that cannot be.
Check = Callable[[str], str]


class Unusable(ValueError):
    """A value that cannot stand in a message; says why, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One value of a message.

    Args:
        keyword: its name.
        label: for people.
        part: of a form: ``patient``, ``visit``, ``order``, ``step``, ``report`` or ``message``.
        check: what it has to be.
        example: one that can be used.
        choices: all that there are; empty if it is free.
        has_lines: whether it may be more than one line.
    """

    keyword: str
    label: str
    part: str
    check: Check
    example: str = ""
    choices: tuple[str, ...] = ()
    has_lines: bool = False

    def checked(self, value: str) -> str:
        """The value as it is written; empty if nothing is given.

        Raises:
            InvalidInput: it cannot be used; the field is the keyword.
        """
        try:
            return self.check(value) if value.strip() else ""
        except Unusable as error:
            raise InvalidInput(
                f"{self.keyword}: {error}",
                field=self.keyword,
                value=value,
                cause="no receiver could take it as it is meant",
                remedy=f"correct it, such as {self.example}" if self.example else "correct it",
            ) from None


def text(limit: int) -> Check:
    """A line of SH, LO or the like: white space is tidied up, nothing is cut."""

    def check(value: str) -> str:
        _must_be_printable(value)
        clean, note = values.text(value, limit, is_identifier=True)
        if note:
            raise Unusable(_words(note))
        return clean

    return check


def lines(limit: int) -> Check:
    """A text of several lines, each of which is one; empty ones are left out."""

    def check(value: str) -> str:
        found = [text(limit)(line.replace("\t", " ")) for line in re.split(r"\r\n|\r|\n", value)]
        return "\n".join(line for line in found if line)

    return check


def comment(value: str) -> str:
    """A text of LT (1024 characters), as one line."""
    return text(1024)(re.sub(r"[\r\n\t]", " ", value))


def several(limit: int) -> Check:
    """Values separated by a backslash, as DICOM writes them."""

    def check(value: str) -> str:
        return "\\".join(one for one in map(text(limit), value.split("\\")) if one)

    return check


def person(value: str) -> str:
    """PN: up to three groups of up to five components, 64 characters each group."""
    groups = [_group(group) for group in value.split("=")]
    if len(groups) > 3:
        raise Unusable("a name has three groups at most: alphabetic=ideographic=phonetic")
    name = "=".join(groups).rstrip("=")
    if not name:
        raise Unusable("names nobody")
    return name


def one_group(value: str) -> str:
    """PN of one group: the data types for staff have no place for more."""
    if "=" in value:
        raise Unusable("the name of one of the staff has one group, without =")
    return person(value)


def code(value: str) -> str:
    """``value^scheme^meaning``; scheme and meaning are given here if they are left out."""
    parts = value.split("^")
    if len(parts) > 3:
        raise Unusable("a code is value^scheme^meaning")
    named, scheme, meaning = (*map(text(64), parts), "", "")[:3]
    if not named:
        raise Unusable("a code is value^scheme^meaning, and the value is missing")
    text(16)(named), text(16)(scheme)
    return "^".join((named, scheme or "99HL7", meaning or named))


def uid(value: str) -> str:
    """UI."""
    if not is_uid(value.strip()):
        raise Unusable("is no UID: numbers joined by dots, at most 64 characters")
    return value.strip()


def ae_title(value: str) -> str:
    """AE."""
    if not value.isascii():
        raise Unusable("an AE title is 1 to 16 characters of ASCII without backslash")
    return text(16)(value)


def code_string(value: str) -> str:
    """CS."""
    if not _CODE_STRING.fullmatch(value.strip().upper()):
        raise Unusable("is up to 16 capital letters, digits, spaces and _")
    return text(16)(value.upper())


def date(value: str) -> str:
    """DA; hyphens may be between."""
    found = _DATE.fullmatch(value.strip())
    try:
        if found is None:
            raise ValueError
        dt.date(*map(int, found.groups()))
    except ValueError:
        raise Unusable("is no date: YYYYMMDD") from None
    return "".join(found.groups())


def time(value: str) -> str:
    """TM to the second; colons may be between."""
    found = _TIME.fullmatch(value.strip())
    try:
        if found is None:
            raise ValueError
        clock = [one or "00" for one in found.groups()]
        hour, minute, second = map(int, clock)
        dt.time(hour, minute, second)
    except ValueError:
        raise Unusable("is no time of day: HHMMSS") from None
    return "".join(clock)


def number(low: float, high: float) -> Check:
    """A measure between two limits."""

    def check(value: str) -> str:
        found, note = values.number(value.strip(), low, high)
        if note:
            raise Unusable(f"is no number between {low:g} and {high:g}")
        return found

    return check


def one_of(*choices: str) -> Check:
    """One of some words, in any case of letters."""

    def check(value: str) -> str:
        word = value.strip().upper()
        if word not in choices:
            raise Unusable(f"is one of {', '.join(choices)}")
        return word

    return check


def _group(group: str) -> str:
    components = [text(64)(one) for one in group.split("^")]
    if len(components) > 5:
        raise Unusable("a name has five components: family^given^middle^prefix^suffix")
    name = "^".join(components).rstrip("^")
    if len(name) > 64:
        raise Unusable(f"has {len(name)} characters; each group of a name holds 64")
    return name


def _must_be_printable(value: str) -> None:
    if any(one == "\ufeff" or unicodedata.category(one) in _REFUSED for one in value):
        raise Unusable("has a control character")


def _words(note: str) -> str:
    if "backslash" in note:
        return "has a backslash, which separates values in DICOM"
    return 'is "", which means to delete in HL7' if "delete" in note else note


_SH: Final = text(16)
_LO: Final = text(64)
_CONDITIONS: Final = ("AL", "NE", "ER", "SU")


def _chosen(keyword: str, label: str, part: str, choices: Sequence[str]) -> Entry:
    return Entry(keyword, label, part, one_of(*choices), choices[0], tuple(choices))


_ALL: Final = (
    Entry("PatientID", "Patient ID", "patient", _LO, "P1"),
    Entry("IssuerOfPatientID", "Issuer of the patient ID", "patient", _LO, "HOSPITAL"),
    Entry("UniversalEntityID", "Universal ID of the issuer", "patient", _LO, "1.2.3"),
    Entry("UniversalEntityIDType", "Kind of universal ID", "patient", _SH, "ISO"),
    Entry("OtherPatientIDs", "Other patient IDs, separated by a backslash", "patient", several(64), "P2"),
    Entry("PatientName", "Name", "patient", person, "DOE^JANE"),
    Entry("PatientBirthDate", "Birth date", "patient", date, "19700102"),
    _chosen("PatientSex", "Sex", "patient", ("F", "M", "O")),
    Entry("PatientMotherBirthName", "Mother's birth name", "patient", _LO, "ROE"),
    Entry("PatientSize", "Size in metres", "patient", number(0.2, 2.8), "1.7"),
    Entry("PatientWeight", "Weight in kilograms", "patient", number(0.2, 650), "70"),
    Entry("PatientComments", "Comments on the patient", "patient", comment, "speaks Swedish"),
    Entry("PriorPatientID", "Patient ID that ends", "patient", _LO, "P9"),
    Entry("PriorIssuerOfPatientID", "Its issuer", "patient", _LO, "HOSPITAL"),
    Entry("PriorPatientName", "Name under it", "patient", person, "DOE^J"),
    _chosen("PatientClass", "Patient class", "visit", ("O", "I", "E", "P", "R", "B")),
    Entry("CurrentPatientLocation", "Location", "visit", _LO, "WARD3"),
    Entry("ReferringPhysicianName", "Referring physician", "visit", one_group, "SMITH^ANN"),
    _chosen("PregnancyStatus", "Pregnancy: 3 is yes", "visit", ("3",)),
    Entry("AdmissionID", "Admission ID", "visit", _LO, "V1"),
    Entry("PlacerOrderNumberImagingServiceRequest", "Placer order number", "order", _LO, "PL1"),
    Entry("FillerOrderNumberImagingServiceRequest", "Filler order number", "order", _LO, "FI1"),
    Entry("AccessionNumber", "Accession number", "order", _SH, "A1"),
    Entry("RequestedProcedureID", "Requested procedure ID", "order", _SH, "RP1"),
    Entry("StudyInstanceUID", "Study Instance UID", "order", uid, "1.2.826.0.1.3680043.8.498.1"),
    Entry("RequestedProcedureCodeSequence", "Procedure code", "order", code, "CTCHEST^99RIS^CT chest"),
    Entry("RequestedProcedureDescription", "Procedure description", "order", _LO, "CT chest"),
    _chosen("RequestedProcedurePriority", "Priority", "order", ("ROUTINE", "STAT", "HIGH", "MEDIUM")),
    Entry("ReasonForTheRequestedProcedure", "Reason", "order", _LO, "cough"),
    Entry("RequestedProcedureComments", "Comments on the procedure", "order", comment, "with contrast"),
    Entry("RequestingPhysician", "Requesting physician", "order", one_group, "SMITH^ANN"),
    Entry("InstitutionName", "Institution", "order", _LO, "GENERAL HOSPITAL"),
    Entry("PatientState", "Patient state", "order", _LO, "isolated"),
    Entry("MedicalAlerts", "Medical alerts", "order", _LO, "pacemaker"),
    Entry("PatientTransportArrangements", "Transport", "order", _LO, "wheelchair"),
    Entry("ConfidentialityConstraintOnPatientDataDescription", "Confidentiality", "order", _LO, "V"),
    _chosen("OrderStatus", "Order status", "order", ("CM", "IP", "SC", "CA", "DC", "A", "HD", "ER")),
    Entry("ScheduledProcedureStepID", "Step ID", "step", _SH, "SPS1"),
    Entry("Modality", "Modality", "step", code_string, "CT"),
    Entry("ScheduledProcedureStepStartDate", "Start date", "step", date, "20260131"),
    Entry("ScheduledProcedureStepStartTime", "Start time", "step", time, "093000"),
    Entry("ScheduledProtocolCodeSequence", "Protocol code", "step", code, "CTC^99RIS^CT chest routine"),
    Entry("ScheduledProcedureStepDescription", "Step description", "step", _LO, "CT chest routine"),
    Entry("ScheduledPerformingPhysicianName", "Performing physician", "step", one_group, "BLACK^JOE"),
    Entry("ScheduledStationAETitle", "Station AE title", "step", ae_title, "CT1"),
    Entry("ScheduledStationName", "Station name", "step", _SH, "CT1"),
    Entry("ScheduledProcedureStepLocation", "Room", "step", _SH, "ROOM1"),
    _chosen("ResultStatus", "Status of the report", "report", ("F", "P", "C", "R", "X")),
    Entry("NameOfPhysiciansReadingStudy", "Reported by", "report", one_group, "WHITE^EVE"),
    Entry("ReportText", "Report", "report", lines(4000), "No finding.", has_lines=True),
    Entry("SendingApplication", "Sending application", "message", _LO, "DICOMFAB"),
    Entry("SendingFacility", "Sending facility", "message", _LO, "LAB"),
    Entry("ReceivingApplication", "Receiving application", "message", _LO, "RIS"),
    Entry("ReceivingFacility", "Receiving facility", "message", _LO, "HOSPITAL"),
    Entry("MessageControlID", "Control ID", "message", text(20), "M1"),
    _chosen("ProcessingID", "Processing ID", "message", ("P", "T", "D")),
    _chosen("AcceptAcknowledgement", "Say when it is kept", "message", _CONDITIONS),
    _chosen("ApplicationAcknowledgement", "Say what became of it", "message", _CONDITIONS),
)

#: Keyword -> value.
ENTRIES: Final = {one.keyword: one for one in _ALL}
