"""What to fabricate: the recipe as asked for, and the resolved recipe in which nothing is left to vary."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from dicomfab.fabricate import checks, people
from dicomfab.fabricate.kinds import KINDS
from dicomfab.fabricate.seeds import SEED_LIMIT, Draw, uid
from dicomfab.model.errors import InvalidInput
from dicomfab.model.study import Patient

# Part of every UID and recipe hash: raise it whenever the same recipe would give other bytes.
RENDERER_VERSION: Final = "1"
MAX_INSTANCES: Final = 10_000


@dataclass(frozen=True, slots=True)
class StudyRecipe:
    """One study as asked for; ``None`` leaves a value to be invented.

    Args:
        kinds: what the study holds, names of :data:`~dicomfab.fabricate.kinds.KINDS`, in series order.
        patient: an existing patient, or ``None`` to invent one from the seed.
        seed: 0 to 2**63 - 1, or ``None`` to draw one.
        accession_number: SH; may be given empty.
        study_date: ``YYYYMMDD``.
        study_time: ``HHMMSS``.
        study_description: LO.
        referring_physician: PN.
        study_id: SH.
        slices: instances of a CT series, 1 to 10,000.
        cards: instances of a text-card series, 1 to 10,000.
    """

    kinds: tuple[str, ...]
    patient: Patient | None = None
    seed: int | None = None
    accession_number: str | None = None
    study_date: str | None = None
    study_time: str | None = None
    study_description: str | None = None
    referring_physician: str = ""
    study_id: str | None = None
    slices: int = 200
    cards: int = 1


@dataclass(frozen=True, slots=True)
class ResolvedStudy:
    """A study in which everything is decided: the same value gives the same bytes.

    The fields are those of :class:`StudyRecipe`, checked and filled in.
    """

    kinds: tuple[str, ...]
    patient: Patient
    seed: int
    accession_number: str
    study_date: str
    study_time: str
    study_description: str
    referring_physician: str
    study_id: str
    slices: int
    cards: int

    @property
    def recipe_hash(self) -> str:
        """32 hexadecimal digits that stand for the resolved recipe and the renderer version."""
        return _recipe_hash(self)

    @property
    def study_instance_uid(self) -> str:
        """StudyInstanceUID (0020,000D)."""
        return self.uid("study")

    @property
    def character_set(self) -> str:
        """SpecificCharacterSet (0008,0005): Latin-1 if it can hold every text of the study, else UTF-8."""
        patient = self.patient
        return checks.character_set(
            (patient.name, patient.patient_id, patient.issuer, self.accession_number, self.study_description)
            + (self.referring_physician, self.study_id)
        )

    def uid(self, *names: object) -> str:
        """A UID of this study, for instance ``uid("series", 1)``."""
        return uid(self.recipe_hash, *names)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them; :meth:`from_dict` takes them back."""
        return {**dataclasses.asdict(self), "kinds": list(self.kinds)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ResolvedStudy:
        """Take back what :meth:`as_dict` gave."""
        return cls(**{**values, "kinds": tuple(values["kinds"]), "patient": Patient(**values["patient"])})


@lru_cache(maxsize=64)
def _recipe_hash(study: ResolvedStudy) -> str:
    text = json.dumps([RENDERER_VERSION, study.as_dict()], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode("ascii"), digest_size=16).hexdigest()


def resolve(recipe: StudyRecipe, *, now: dt.datetime, draw_seed: Callable[[], int]) -> ResolvedStudy:
    """Check a recipe and decide everything that it leaves open.

    Args:
        recipe: as asked for.
        now: local time of the site; the study's date and time if none are given.
        draw_seed: called once if the recipe has no seed.

    Raises:
        InvalidInput: a value that DICOM cannot store, naming the field; nothing is made.
    """
    kinds = _kinds(recipe.kinds)
    seed = draw_seed() if recipe.seed is None else recipe.seed
    checks.whole(seed, field="seed", low=0, high=SEED_LIMIT - 1)
    study_date = _given(recipe.study_date, lambda value: checks.date(value, field="study_date"), now.strftime("%Y%m%d"))
    study_time = _given(recipe.study_time, lambda value: checks.time(value, field="study_time"), now.strftime("%H%M%S"))
    if recipe.patient is None:
        day = dt.date(int(study_date[:4]), int(study_date[4:6]), int(study_date[6:]))
        patient = people.invent(seed, day)
    else:
        patient = _patient(recipe.patient, study_date)
    draw = Draw(seed, "study", *kinds, study_date, study_time)
    described = " AND ".join(KINDS[kind].description for kind in kinds)
    return ResolvedStudy(
        kinds=kinds,
        patient=patient,
        seed=seed,
        accession_number=_short(recipe.accession_number, "accession_number", f"SYN{draw.below(10**10):010d}"),
        study_date=study_date,
        study_time=study_time,
        study_description=_given(
            recipe.study_description, lambda value: checks.text(value, field="study_description", limit=64), described
        ),
        referring_physician=_physician(recipe.referring_physician),
        study_id=_short(recipe.study_id, "study_id", f"{draw.below(10**6):06d}"),
        slices=checks.whole(recipe.slices, field="slices", low=1, high=MAX_INSTANCES),
        cards=checks.whole(recipe.cards, field="cards", low=1, high=MAX_INSTANCES),
    )


def _given(value: str | None, check: Callable[[str], str], otherwise: str) -> str:
    return otherwise if value is None else check(value)


def _short(value: str | None, field: str, otherwise: str) -> str:
    return otherwise if value is None else checks.text(value, field=field, limit=16)


def _physician(value: str) -> str:
    return checks.person_name(value, field="referring_physician") if value else ""


def _kinds(kinds: tuple[str, ...]) -> tuple[str, ...]:
    wrong = [kind for kind in kinds if kind not in KINDS]
    if wrong or not kinds or len(set(kinds)) != len(kinds):
        known = ", ".join(KINDS)
        if wrong:
            problem = f"{wrong[0]!r} is not a kind of study"
        else:
            problem = f"{', '.join(kinds)}: a kind stands twice" if kinds else "no kind is given"
        raise InvalidInput(
            f"kinds: {problem}", field="kinds", value=kinds, cause=f"known kinds: {known}", remedy="name each kind once"
        )
    return tuple(kinds)


def _patient(patient: Patient, study_date: str) -> Patient:
    patient_id = checks.text(patient.patient_id, field="patient_id", limit=64)
    if not patient_id:
        raise InvalidInput(
            "patient_id: is empty", field="patient_id", value="", remedy="give the patient an identifier"
        )
    birth_date = checks.date(patient.birth_date, field="birth_date") if patient.birth_date else ""
    if birth_date > study_date:
        raise InvalidInput(
            f"birth_date: {birth_date} lies after the study date {study_date}",
            field="birth_date",
            value=patient.birth_date,
            cause="one of the two dates is wrong",
            remedy="correct birth_date or study_date",
        )
    return Patient(
        name=checks.person_name(patient.name, field="patient_name"),
        patient_id=patient_id,
        birth_date=birth_date,
        sex=checks.sex(patient.sex, field="sex"),
        issuer=checks.text(patient.issuer, field="issuer", limit=64) or people.ISSUER,
    )
