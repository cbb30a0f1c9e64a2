"""What to search for, and the C-FIND identifier that asks for it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from pydicom import Dataset

from dicomfab.model.errors import InvalidInput
from dicomfab.model.query import Level
from dicomfab.model.values import uid

# The longest a person's name may be in one component group (PS3.5 6.2); every other text is shorter.
_LONGEST = 64

_STUDY_KEYS = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyInstanceUID",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "StudyDescription",
    "ReferringPhysicianName",
    "ModalitiesInStudy",
    "NumberOfStudyRelatedSeries",
    "NumberOfStudyRelatedInstances",
)


@dataclass(frozen=True, slots=True)
class StudyFilter:
    """What to search for; blank means anything.

    Args:
        patient_name: PN; ``*`` and ``?`` are wildcards, and one is added at the end where there is none.
        patient_id: LO, wildcards allowed, never added.
        accession_number: SH, wildcards allowed, never added.
        date_from: first study date, ``YYYY-MM-DD`` or ``YYYYMMDD``.
        date_to: last study date.
        modality: one modality of the study, such as ``CT``.
        study_description: LO, a wildcard is added on both sides where there is none.
        study_instance_uid: exact.
    """

    patient_name: str = ""
    patient_id: str = ""
    accession_number: str = ""
    date_from: str = ""
    date_to: str = ""
    modality: str = ""
    study_description: str = ""
    study_instance_uid: str = ""

    def identifier(self) -> Dataset:
        """The C-FIND identifier at STUDY level (PS3.4 C.6.2.1.2).

        Raises:
            InvalidInput: a text, date or UID that cannot be used, by field.
        """
        identifier = Dataset()
        identifier.QueryRetrieveLevel = str(Level.STUDY)
        for keyword in _STUDY_KEYS:
            setattr(identifier, keyword, "")
        name, description = _text(self.patient_name, "patient_name"), _text(self.study_description, "study_description")
        _set_text(identifier, "PatientName", _with_wildcards(name, lead=False))
        _set_text(identifier, "PatientID", _text(self.patient_id, "patient_id"))
        _set_text(identifier, "AccessionNumber", _text(self.accession_number, "accession_number"))
        _set_text(identifier, "StudyDescription", _with_wildcards(description, lead=True))
        identifier.StudyDate = _date_range(self.date_from, self.date_to)
        identifier.ModalitiesInStudy = _text(self.modality, "modality").upper()
        if self.study_instance_uid.strip():
            identifier.StudyInstanceUID = uid(self.study_instance_uid, field="study_instance_uid")
        return identifier


def _text(value: str, field_name: str) -> str:
    text = value.strip()
    if "\\" in text or any(ord(c) < 0x20 for c in text) or len(text) > _LONGEST:
        raise InvalidInput(
            f"{field_name}: {value!r} cannot be searched for",
            field=field_name,
            value=value,
            cause=f"it has a backslash or a control character, or more than {_LONGEST} characters",
            remedy="search for a part of it, with * for the rest",
        )
    return text


def _set_text(identifier: Dataset, keyword: str, value: str) -> None:
    if not value.isascii():
        identifier.SpecificCharacterSet = "ISO_IR 192"
    setattr(identifier, keyword, value)


def _with_wildcards(text: str, *, lead: bool) -> str:
    if not text or "*" in text or "?" in text:
        return text
    return f"*{text}*" if lead else f"{text}*"


def _date_range(first: str, last: str) -> str:
    """A DA range (PS3.4 C.2.2.2.5.1): ``20250101-20250131``, open on either side, or one day."""
    start, end = _date(first, "date_from"), _date(last, "date_to")
    if start and end and start > end:
        raise InvalidInput(
            f"date_to: {last} is before {first}",
            field="date_to",
            value=last,
            cause="the two dates are swapped",
            remedy="give the earlier date as date_from",
        )
    if start == end:
        return start
    return f"{start}-{end}"


def _date(text: str, field_name: str) -> str:
    text = text.strip()
    if not text:
        return ""
    for pattern in ("%Y-%m-%d", "%Y%m%d"):
        try:
            return datetime.datetime.strptime(text, pattern).date().strftime("%Y%m%d")  # noqa: DTZ007
        except ValueError:
            continue
    raise InvalidInput(
        f"{field_name}: {text!r} is not a date",
        field=field_name,
        value=text,
        cause="dates are YYYY-MM-DD or YYYYMMDD",
        remedy="for example 2026-01-31",
    )
