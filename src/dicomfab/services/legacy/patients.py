"""The predecessor's ``patient_registry.json``: Patient ID -> a flat record of a synthetic patient.

A record is taken as it is or not at all. Errors name fields, and values only of ID, birth date and sex.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from dicomfab.fabricate.patients import PatientData, patient_data
from dicomfab.fabricate.patterns import risk
from dicomfab.model.errors import InvalidInput
from dicomfab.services.legacy.findings import Finding, Kind, Verdict, clipped, reason, several

#: Field there -> field here.
_TAKEN: Final[Mapping[str, str]] = {
    "patient_id": "patient_id",
    "patient_name": "name",
    "birth_date": "birth_date",
    "sex": "sex",
    "address": "address",
    "phone": "phone",
}
_NAMELESS: Final = frozenset({"name", "address", "phone"})
#: Counts and times of the predecessor: here they follow from the studies that there are.
_COUNTED: Final = frozenset({"created_date", "last_used", "study_count"})
#: What the predecessor wrote where nobody had given a birth date.
_NOBODY_GAVE: Final = "1990-01-01"


@dataclass(frozen=True, slots=True)
class _Read:
    entry: str
    data: PatientData
    notes: tuple[str, ...]


def plan_patients(
    document: Mapping[str, Any], file: str, here: Mapping[str, PatientData], *, today: dt.date
) -> tuple[list[Finding], list[PatientData]]:
    """Judge the records of a registry.

    Args:
        document: the file.
        file: what findings call it.
        here: Patient ID -> the patient who is registered, of our own issuer.
        today: nobody is born later.

    Returns:
        A finding for each record, and the patients to add.
    """
    told: dict[str, Finding] = {}
    read: list[_Read] = []
    for key, value in document.items():
        try:
            read.append(_read(key, value, today))
        except InvalidInput as error:
            told[key] = Finding(file, clipped(key), Kind.PATIENT, Verdict.REFUSED, _said(error))
    twice = several(one.data.patient_id for one in read)
    added = []
    for one in read:
        verdict, says = _judged(one, here.get(one.data.patient_id), is_twice=one.data.patient_id in twice)
        notes = one.notes if verdict is Verdict.ADD else ()
        told[one.entry] = Finding(file, clipped(one.entry), Kind.PATIENT, verdict, says, notes)
        if verdict is Verdict.ADD:
            added.append(one.data)
    findings = [told[key] for key in document]
    if risky := sum(bool(risk(data.patient_id)) for data in added):
        findings.append(_risky(file, risky))
    return findings, added


def _read(key: str, value: object, today: dt.date) -> _Read:
    if not isinstance(value, dict):
        raise InvalidInput("it is no object with the fields of a patient", field="(entry)")
    given = {ours: value[theirs] for theirs, ours in _TAKEN.items() if value.get(theirs) is not None}
    data = patient_data({"patient_id": key, **given}, today=today)
    return _Read(key, data, tuple(_notes(key, value, data)))


def _notes(key: str, value: Mapping[str, Any], data: PatientData) -> Iterator[str]:
    if data.patient_id != key:
        yield f"it calls itself {clipped(data.patient_id)!r}, which is taken for its Patient ID"
    if value.get("birth_date") == _NOBODY_GAVE:
        yield f"birth date {data.birth_date}: the predecessor wrote that day where nobody had given one"
    elif data.birth_date and value.get("birth_date") != data.birth_date:
        yield f"the birth date is written {data.birth_date}, as DICOM has it"
    if unknown := sorted(value.keys() - _TAKEN.keys() - _COUNTED):
        yield f"not taken, since a patient has no such field: {clipped(', '.join(unknown))}"


def _said(error: InvalidInput) -> str:
    """Why a record cannot be taken, without what only its patient should be told by."""
    if error.field not in _NAMELESS:
        return reason(error.what)
    return reason(error.what.replace(repr(error.value), "what stands there"))


def _judged(one: _Read, known: PatientData | None, *, is_twice: bool) -> tuple[Verdict, str]:
    if is_twice:
        return Verdict.REFUSED, f"several records have the ID {one.data.patient_id!r}; which is meant cannot be known"
    if known is None:
        return Verdict.ADD, "to be registered"
    differing = [name for name in _TAKEN.values() if getattr(known, name) != getattr(one.data, name)]
    if not differing:
        return Verdict.SAME, "registered already"
    return Verdict.CONFLICT, f"registered already, with another {', '.join(differing)}; what is here stays"


def _risky(file: str, count: int) -> Finding:
    says = (
        f"{count} of the Patient IDs to add do not begin with SYN: many PACS ignore the issuer, so that such an ID can"
        " merge a synthetic patient with a real one"
    )
    return Finding(file, "(Patient IDs)", Kind.FILE, Verdict.ASIDE, says)
