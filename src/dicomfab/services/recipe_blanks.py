"""What is put where a recipe leaves something open, before it is resolved."""

from __future__ import annotations

import datetime
from dataclasses import replace

from dicomfab.model.study import Patient


def completed(patient: Patient | None, seed: int, script: str | None) -> Patient | None:
    """Fill in what a partly given patient leaves open.

    The identifier follows from seed and name, so that two names never share one; sex and birth date stay empty
    where a name is given, since nothing is known of that person.
    """
    if patient is None or (patient.name and patient.patient_id):
        return patient
    from dicomfab.fabricate.people import invent
    from dicomfab.fabricate.seeds import derive

    someone = invent(derive(seed, patient.name), datetime.date(2000, 1, 1), script or "")
    if patient.name:
        return replace(patient, patient_id=someone.patient_id)
    return replace(
        patient,
        name=someone.name,
        patient_id=patient.patient_id or someone.patient_id,
        birth_date=patient.birth_date or someone.birth_date,
        sex=patient.sex or someone.sex,
    )


def working_hour(seed: int) -> str:
    """A time of day (VR TM) that follows from the seed."""
    from dicomfab.fabricate.seeds import derive

    second = 8 * 3600 + derive(seed, "study time") % (10 * 3600)
    return f"{second // 3600:02d}{second // 60 % 60:02d}{second % 60:02d}"
