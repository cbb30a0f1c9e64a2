"""What is to be found in a study: every lesion with place, size and value, because we put it there."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, cast

from dicomfab.fabricate.recipe import ResolvedStudy

if TYPE_CHECKING:
    from dicomfab.fabricate.anatomy.body import Body, Region


def truth(study: ResolvedStudy) -> dict[str, Any]:
    """The ground truth of a study, ready for JSON.

    Returns:
        UIDs and identifiers of the study; ``kinds``; and ``regions``, each with the ``frame_of_reference_uid`` that the
        instances have whose coordinates these are (empty for projections and compressed breasts), and its
        ``lesions``: see :func:`dicomfab.fabricate.anatomy.body.truth`, with ``hu``, the CT number after contrast, and
        ``suv`` of FDG.
    """
    from dicomfab.fabricate.kinds import KINDS

    shown = dict.fromkeys(KINDS[kind].region for kind in study.kinds)
    return {
        "study_instance_uid": study.study_instance_uid,
        "accession_number": study.accession_number,
        "patient_id": study.patient.patient_id,
        "seed": study.seed,
        "kinds": list(study.kinds),
        "regions": [_region(study, cast("Region", region)) for region in shown if region],
    }


def _region(study: ResolvedStudy, region: Region) -> dict[str, Any]:
    from dicomfab.fabricate.anatomy import breast, coronaries, knee, regions

    sex = study.patient.sex
    body = regions.build(region, study.body_seed, sex)
    if "xa-cine" in study.kinds and region == "chest":
        stenosis = coronaries.build_coronaries(study.body_seed, sex).lesions
        body = dataclasses.replace(body, lesions=(*body.lesions, *stenosis))
    side = {"knee": knee.affected, "breast": breast.affected}.get(region)
    return {
        "region": region,
        "side": side(study.body_seed) if side else "",
        "frame_of_reference_uid": "" if region == "breast" else study.uid("frame-of-reference", region),
        "lesions": _lesions(body),
    }


def _lesions(body: Body) -> list[dict[str, Any]]:
    from dicomfab.fabricate.anatomy.body import truth as places
    from dicomfab.fabricate.anatomy.tissue import LOOKS
    from dicomfab.fabricate.render.pet import uptake

    suv = uptake(body)
    listed = cast(list[dict[str, Any]], places(body)["lesions"])
    return [
        {**place, "hu": LOOKS[lesion.tissue].hu, "suv": round(suv[lesion], 2) if lesion in suv else None}
        for place, lesion in zip(listed, body.lesions, strict=True)
    ]
