"""What sectional imaging says about a region of the body, and where it looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset

from dicomfab.fabricate.anatomy import head, knee, regions, trunk
from dicomfab.fabricate.anatomy.body import Body, Region, person
from dicomfab.fabricate.iods.common import CHEST, coded
from dicomfab.fabricate.kinds import Code
from dicomfab.fabricate.recipe import ResolvedStudy


@dataclass(frozen=True, slots=True)
class _Words:
    """How a region is called.

    Args:
        body_part: BodyPartExamined (0018,0015).
        code: of AnatomicRegionSequence (0008,2218).
        reference: PositionReferenceIndicator (0020,1040).
    """

    body_part: str
    code: Code
    reference: str


_WORDS: Final[dict[Region, _Words]] = {
    "chest": _Words("CHEST", CHEST, "SN"),
    "head": _Words("HEAD", ("69536005", "SCT", "Head"), "OM"),
    "abdomen": _Words("ABDOMENPELVIS", ("818982008", "SCT", "Abdomen and Pelvis"), "XY"),
    "knee": _Words("KNEE", ("72696002", "SCT", "Knee"), "PATELLA"),
    "whole": _Words("WHOLEBODY", ("38266002", "SCT", "Entire body"), "OM"),
}


def body(study: ResolvedStudy, region: Region) -> Body:
    """The body of the study's patient."""
    return regions.build(region, study.body_seed, study.patient.sex, months=study.course_months)


def axial_range(study: ResolvedStudy, region: Region) -> tuple[float, float, float]:
    """Highest and lowest z, and the y of the middle, of an axial examination, in mm; nothing is built for it."""
    if region == "head":
        return 93.0, -77.0, -8.0
    if region == "chest":
        return 150.0, -150.0, 0.0
    build = person(study.body_seed, study.patient.sex)
    middle = trunk.origin(build)[2]
    if region == "abdomen":
        return round(middle + 115.0 * build.size, 1), round(middle - 335.0 * build.size, 1), 0.0
    return round(head.origin(build)[2] + 97.0 * build.size, 1), round(middle - 480.0 * build.size, 1), 0.0


def describe(ds: Dataset, study: ResolvedStudy, region: Region) -> None:
    """BodyPartExamined, AnatomicRegionSequence, the laterality of the knee, and the Frame of Reference module.

    All series of one body have the same frame of reference.
    """
    name = _WORDS[region]
    ds.BodyPartExamined = name.body_part
    ds.AnatomicRegionSequence = coded(name.code)
    if region == "knee":
        ds.Laterality = knee.affected(study.body_seed)
    ds.FrameOfReferenceUID = study.uid("frame-of-reference", region)
    ds.PositionReferenceIndicator = name.reference
