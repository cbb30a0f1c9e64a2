"""Patients to fabricate studies of: one checked value, given field by field or invented from a seed."""

from __future__ import annotations

import datetime as dt
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from dicomfab.fabricate import checks, people
from dicomfab.fabricate.scripts import checked_script
from dicomfab.fabricate.seeds import SEED_LIMIT, Draw, derive
from dicomfab.model.errors import InvalidInput
from dicomfab.model.study import Patient

MAX_AGE_YEARS: Final = 150
_NOTES_LIMIT: Final = 10_240
# Letters that Unicode does not take apart into a base letter and an accent.
_PLAIN: Final = str.maketrans({"ø": "o", "æ": "ae", "œ": "oe", "đ": "d", "ð": "d", "ł": "l", "þ": "th", "ı": "i"})


@dataclass(frozen=True, slots=True)
class PatientData:
    """What is known of a patient; :func:`patient_data` checks it.

    Args:
        patient_id: PatientID (0010,0020), unique with its issuer.
        name: PN as DICOM writes it.
        birth_date: ``YYYYMMDD`` or empty.
        sex: ``M``, ``F``, ``O`` or empty.
        issuer: IssuerOfPatientID (0010,0021).
        size_m: PatientSize (0010,1020), in metres.
        weight_kg: PatientWeight (0010,1030), in kilograms.
        address: PatientAddress (0010,1040), LO.
        phone: PatientTelephoneNumbers (0010,2154), one number, SH.
        notes: for people; goes into no instance.
    """

    patient_id: str
    name: str
    birth_date: str = ""
    sex: str = ""
    issuer: str = people.ISSUER
    size_m: float | None = None
    weight_kg: float | None = None
    address: str = ""
    phone: str = ""
    notes: str = ""

    @property
    def patient(self) -> Patient:
        """The patient as the header of an instance names it."""
        return Patient(**{field.name: getattr(self, field.name) for field in fields(Patient)})

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them."""
        return asdict(self)


FIELD_NAMES: Final = tuple(field.name for field in fields(PatientData))


def patient_data(values: Mapping[str, object], *, today: dt.date) -> PatientData:
    """Check the fields of a patient; what is absent gets its default.

    Args:
        values: names and values of :class:`PatientData`; numbers may be given as text.
        today: nobody is born later.

    Raises:
        InvalidInput: a field that is unknown or cannot be used, by name.
    """
    for name in values.keys() - set(FIELD_NAMES):
        known = f"known: {', '.join(FIELD_NAMES)}"
        raise _refused(name, values[name], "is not a field of a patient", known)
    return PatientData(
        patient_id=_identifier(values.get("patient_id", "")),
        name=checks.person_name(values.get("name", ""), field="name"),
        birth_date=_birth_date(values.get("birth_date", ""), today),
        sex=checks.sex(values.get("sex", ""), field="sex"),
        issuer=checks.text(values.get("issuer", ""), field="issuer", limit=64) or people.ISSUER,
        size_m=_measure(values.get("size_m"), "size_m", 0.2, 2.8),
        weight_kg=_measure(values.get("weight_kg"), "weight_kg", 0.2, 650.0),
        address=checks.text(values.get("address", ""), field="address", limit=64),
        phone=checks.text(values.get("phone", ""), field="phone", limit=16),
        notes=_notes(values.get("notes", "")),
    )


def invented(
    patient_id: str, seed: int, number: int, *, today: dt.date, script: str | None = None, contact: bool = False
) -> PatientData:
    """Invent an adult.

    Args:
        patient_id: the identifier, drawn elsewhere so that it is new.
        seed: the same seed and number give the same person.
        number: which of the seed's persons; 0 is the one whom a study with this seed would be of.
        today: nobody is born later.
        script: that the name is written in, see :mod:`dicomfab.fabricate.scripts`; Latin if left out.
        contact: with an address and a telephone number.

    Raises:
        InvalidInput: the script is not known.
    """
    own = seed if number == 0 else derive(seed, "patient", number) % SEED_LIMIT
    person = people.invent(own, today, checked_script(script), contact=contact)
    draw = Draw(own, "build")
    size_m = round(draw.between(1.5, 1.8) + (0.13 if person.sex == "M" else 0.0), 2)
    weight_kg = round(size_m**2 * (draw.between(18.5, 27) + draw.between(0, 8)), 1)
    return PatientData(
        patient_id,
        person.name,
        person.birth_date,
        person.sex,
        person.issuer,
        size_m=size_m,
        weight_kg=weight_kg,
        address=person.address,
        phone=person.phone,
    )


def folded(text: str) -> str:
    """For searching: without accents and without regard to case."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in apart if not unicodedata.combining(c)).translate(_PLAIN)


def _identifier(value: object) -> str:
    clean = checks.text(value, field="patient_id", limit=64)
    if not clean:
        raise _refused("patient_id", value, "is empty", "a patient without an identifier cannot be told from another")
    if set(clean) & set("*?"):
        cause = "a query takes * and ? for wildcards, so nobody could ask for this patient alone"
        raise _refused("patient_id", value, "contains * or ?", cause)
    return clean


def _birth_date(value: object, today: dt.date) -> str:
    if value in ("", None):
        return ""
    digits = checks.date(value, field="birth_date")
    if digits > today.strftime("%Y%m%d"):
        raise _refused("birth_date", value, "lies in the future", "nobody is born later than today")
    if int(digits[:4]) < today.year - MAX_AGE_YEARS:
        raise _refused("birth_date", value, f"is over {MAX_AGE_YEARS} years ago", "nobody is that old")
    return digits


def _measure(value: object, field: str, low: float, high: float) -> float | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        number = float(value.strip().replace(",", ".")) if isinstance(value, str) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not low <= number <= high:
        raise _refused(field, value, f"is not a number from {low:g} to {high:g}", "metres and kilograms are expected")
    return number


def _notes(value: object) -> str:
    text = value.replace("\r\n", "\n").strip() if isinstance(value, str) else ""
    if not isinstance(value, str):
        raise _refused("notes", value, "is not text", "notes are text")
    if len(text) > _NOTES_LIMIT:
        raise _refused("notes", f"{text[:20]}...", f"has {len(text)} characters", f"it holds at most {_NOTES_LIMIT}")
    if any(unicodedata.category(c) in {"Cc", "Cs"} and c not in "\n\t" for c in text):
        raise _refused("notes", value, "contains a control character", "it cannot be kept as text")
    return text


def _refused(field: str, value: object, problem: str, cause: str) -> InvalidInput:
    return InvalidInput(
        f"{field}: {value!r} {problem}", field=field, value=value, cause=cause, remedy=f"correct {field} and try again"
    )
