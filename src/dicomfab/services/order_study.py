"""From an order to a recipe: which kind of study it asks for, and what the study says about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from dicomfab.fabricate.kinds import ALL_KINDS
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.model.errors import InvalidInput
from dicomfab.model.order import Order, RequestAttributes
from dicomfab.model.study import Patient
from dicomfab.model.values import Environment

#: How procedures are called -> region of the body (see :mod:`dicomfab.fabricate.anatomy.regions`).
_REGIONS: Final = {
    "chest": ("chest", "thorax", "torax", "lung", "pulmon", "rib", "heart", "coronar"),
    "head": ("head", "brain", "skull", "crani", "cereb", "kopf", "schädel"),
    "abdomen": ("abdom", "pelvi", "liver", "renal", "kidney", "bauch"),
    "knee": ("knee", "knie", "rodilla", "genou"),
    "breast": ("breast", "mammo", "mamma"),
    "whole": ("whole body", "bone scan", "skelet", "ganzkörper"),
}
_MODALITIES: Final = {
    "MRI": "MR",
    "XR": "DX",
    "DR": "DX",
    "RG": "DX",
    "PET": "PT",
    "CTA": "CT",
    "ECHO": "US",
    "SC": "OT",
}
#: What an order can ask for: images, and what needs none.
_MADE: Final = {name: kind for name, kind in ALL_KINDS.items() if not kind.needs}
#: What a procedure's text says where no modality is given.
_BY_TEXT: Final = (
    ("MG", r"mammo|breast screen"), ("PT", r"\bpet\b"), ("CT", r"\bcta?\b|tomogr"), ("MR", r"\bmri?\b|magnet"),
    ("US", r"\bus\b|ultraso|sonogr|echo"), ("NM", r"scinti|bone scan|spect\b|\bnm\b"), ("XA", r"angiogr"),
    ("RF", r"fluoro|barium|swallow"), ("DX", r"x-?ray|\bxr\b|radiogr|\bcxr\b"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Proposal:
    """What could be made from an order.

    Args:
        kind: of the series; empty if none fits.
        why: how it was found.
        values: field of :class:`~dicomfab.fabricate.recipe.StudyRecipe` or of its patient and order -> value; what is
            not there is invented.
    """

    kind: str
    why: str
    values: dict[str, str]

    def recipe(self) -> StudyRecipe:
        """As a recipe.

        Raises:
            InvalidInput: no kind fits.
        """
        if not self.kind:
            raise InvalidInput(
                f"kind: {self.why}",
                field="kind",
                value="",
                cause="the order's modality and procedure tell nothing that can be made",
                remedy="name a kind: --kind ct-chest",
            )
        return StudyRecipe((SeriesRecipe(self.kind),), **recipe_values(self.values))


def recipe_values(values: dict[str, str]) -> dict[str, Any]:
    """The values of an order as fields of a recipe; blank ones are left to be invented."""
    given = {name: value for name, value in values.items() if value}
    found: dict[str, Any] = {name: given[name] for name in _STUDY if name in given}
    if any(name in given for name in _PATIENT):
        found["patient"] = Patient(
            given.get("patient_name", ""),
            given.get("patient_id", ""),
            given.get("birth_date", ""),
            given.get("sex", ""),
            given.get("issuer", ""),
            size_m=_number(given, "size_m"),
            weight_kg=_number(given, "weight_kg"),
        )
    request = {name: given[name] for name in _REQUEST if name in given}
    if request:
        found["order"] = RequestAttributes(**request)
    return found


def proposal(order: Order, environment: Environment) -> Proposal:
    """What to make from an order.

    From an order of production only the kind is taken. Patient, identifiers and texts are those of real people and
    procedures: a study with them would be synthetic by its mark and real by its name.
    """
    kind, why = kind_for(order)
    if environment is not Environment.TEST:
        return Proposal(kind, why, {})
    values = {name: order.value(keyword) for name, keyword in TAKEN.items() if order.value(keyword)}
    if "requested_procedure_id" in values:
        values["study_id"] = values["requested_procedure_id"]
    return Proposal(kind, why, values)


def kind_for(order: Order) -> tuple[str, str]:
    """The kind of series that an order asks for, and how it was found; empty if none fits."""
    code = order.value("RequestedProcedureCodeSequence").split("^")[:2]
    for name, kind in _MADE.items():
        if kind.procedure and list(kind.procedure[:2]) == code:
            return name, f"its procedure is {kind.procedure[0]} ({kind.procedure[1]})"
    texts = (order.value("RequestedProcedureDescription"), order.value("ScheduledProcedureStepDescription"))
    text = " ".join(texts).casefold()
    modality, source = _modality(order, text)
    fitting = [(name, kind) for name, kind in _MADE.items() if kind.modality == modality]
    if not fitting:
        return "", f"nothing of modality {modality} can be made" if modality else "no modality is named"
    regions = {region for region, words in _REGIONS.items() if any(word in text for word in words)}
    for name, kind in fitting:
        if kind.region in regions:
            return name, f"{source} is {modality}, and the procedure's text names the {kind.region}"
    return fitting[0][0], f"a guess: {source} is {modality}, and its text names no part of the body that is known here"


def _modality(order: Order, text: str) -> tuple[str, str]:
    given = order.value("Modality")
    if given:
        return _MODALITIES.get(given, given), "modality"
    found = next((modality for modality, words in _BY_TEXT if re.search(words, text)), "")
    return found, "by the procedure's text, modality"


def _number(given: dict[str, str], name: str) -> float | None:
    if name not in given:
        return None
    try:
        return float(given[name])
    except ValueError:
        raise InvalidInput(
            f"{name}: {given[name]!r} is no number", field=name, value=given[name], remedy="use digits, such as 1.75"
        ) from None


_PATIENT: Final = ("patient_name", "patient_id", "birth_date", "sex", "issuer", "size_m", "weight_kg")
_STUDY: Final = (
    "accession_number",
    "study_date",
    "study_time",
    "study_description",
    "referring_physician",
    "study_id",
)
_REQUEST: Final = tuple(RequestAttributes.__dataclass_fields__)

#: Field of a recipe -> attribute of the order that it is taken from.
TAKEN: Final = {
    "patient_name": "PatientName",
    "patient_id": "PatientID",
    "issuer": "IssuerOfPatientID",
    "birth_date": "PatientBirthDate",
    "sex": "PatientSex",
    "size_m": "PatientSize",
    "weight_kg": "PatientWeight",
    "accession_number": "AccessionNumber",
    "study_date": "ScheduledProcedureStepStartDate",
    "study_time": "ScheduledProcedureStepStartTime",
    "study_description": "RequestedProcedureDescription",
    "referring_physician": "ReferringPhysicianName",
    "study_instance_uid": "StudyInstanceUID",
    "requested_procedure_id": "RequestedProcedureID",
    "requested_procedure_description": "RequestedProcedureDescription",
    "requested_procedure_code": "RequestedProcedureCodeSequence",
    "scheduled_step_id": "ScheduledProcedureStepID",
    "scheduled_step_description": "ScheduledProcedureStepDescription",
    "protocol_code": "ScheduledProtocolCodeSequence",
    "admission_id": "AdmissionID",
}
