"""How a lesion is called in every object of a patient (PS3.16 TID 1419): the same in all of their studies."""

from __future__ import annotations

from typing import Final

from dicomfab.fabricate.anatomy.body import Region
from dicomfab.fabricate.iods import regions
from dicomfab.fabricate.recipe import ResolvedStudy
from dicomfab.fabricate.seeds import uid

_DIRECTIONS: Final = (("L", "R"), ("P", "A"), ("H", "F"))


def tracking_id(study: ResolvedStudy, region: Region, lesion_index: int) -> str:
    """Tracking ID (0062,0020): what it is and where, such as ``nodule L86 A19 F5``.

    A lesion stays where it is when others go, and it lies at the same place of the person in whatever region shows it:
    so this names it in a CT of the chest as in a PET of the body.

    Args:
        study: of the patient.
        region: the body that the lesion is listed in.
        lesion_index: in :attr:`dicomfab.fabricate.anatomy.body.Body.lesions`, from 0.
    """
    body = regions.body(study, region)
    lesion = body.lesions[lesion_index]
    places = [round(at + zero) for at, zero in zip(lesion.centre_mm, body.origin_mm, strict=True)]
    texts = [
        f"{positive if place >= 0 else negative}{abs(place)}"
        for place, (positive, negative) in zip(places, _DIRECTIONS, strict=True)
    ]
    return " ".join((lesion.kind, *texts))


def tracking_uid(study: ResolvedStudy, region: Region, lesion_index: int) -> str:
    """Tracking UID (0062,0021), which follows from the patient and :func:`tracking_id`.

    Args:
        study: of the patient.
        region: the body that the lesion is listed in.
        lesion_index: in :attr:`dicomfab.fabricate.anatomy.body.Body.lesions`, from 0.
    """
    patient = study.patient
    return uid("tracking", patient.issuer, patient.patient_id, tracking_id(study, region, lesion_index))
