"""What plan and dose agree on: which CT and structure set they are of, where the beams meet, and what is prescribed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset

from dicomfab.fabricate.anatomy.build import Point
from dicomfab.fabricate.iods import imaged
from dicomfab.fabricate.iods.common import base, clock
from dicomfab.fabricate.iods.imaged import Imaged, Mask
from dicomfab.fabricate.kinds import OBJECTS
from dicomfab.fabricate.plan import Planned
from dicomfab.fabricate.recipe import ResolvedStudy

PRESCRIBED_GY: Final = 60.0
FRACTIONS: Final = 30
GANTRY_DEG: Final = (0, 90, 180, 270)
_MARGIN_MM: Final = 10.0
_FIELD_MM: Final = 40.0  # half a side if there is no target


@dataclass(frozen=True, slots=True)
class Treatment:
    """What is irradiated.

    Args:
        source: the CT.
        structures: the structure set that was made of it, if there is one.
        plan: the plan, for a dose, if there is one.
        target: the largest lesion of those in the imaged volume, or None.
        isocentre_mm: its centre; without one, the middle of the volume.
        half_field_mm: half the side of the square fields.
    """

    source: Imaged
    structures: Planned | None
    plan: Planned | None
    target: Mask | None
    isocentre_mm: Point
    half_field_mm: float


def treatment(study: ResolvedStudy, before: Sequence[Planned], kind: str) -> Treatment:
    """Decide about it.

    Args:
        study: whose lesions they are.
        before: all that comes before in the study.
        kind: ``rt-plan`` or ``rt-dose``; a dose is that of the last plan before it.
    """
    plan = None
    if kind == "rt-dose":
        plan, before = _last(before, "rt-plan")
    structures, before = _last(before, "rt-struct")
    source = imaged.last_series(before, OBJECTS[kind].needs)
    target = max(imaged.masks(study, source), key=_size_mm3, default=None)
    if target is None:
        x, y, z = source.stack.first_mm[:2] + (_middle_mm(source),)
        reach = _FIELD_MM
    else:
        x, y, z = target.lesion.centre_mm
        reach = max(target.lesion.radii_mm) + _MARGIN_MM
    isocentre = (round(x, 2), round(y, 2), round(z, 2))
    return Treatment(source, structures, plan, target, isocentre, round(reach, 1))


def _last(before: Sequence[Planned], kind: str) -> tuple[Planned | None, Sequence[Planned]]:
    """The last one of a kind, and what comes before it."""
    for place in range(len(before) - 1, -1, -1):
        if before[place].kind == kind:
            return before[place], before[:place]
    return None, before


def _size_mm3(mask: Mask) -> float:
    a, b, c = mask.lesion.radii_mm
    return a * b * c


def _middle_mm(source: Imaged) -> float:
    stack = source.stack
    return stack.first_mm[2] + stack.step_mm * (stack.count - 1) / 2


def rt_base(study: ResolvedStudy, sop_class_uid: str, modality: str, number: int, after_s: float) -> Dataset:
    """The common modules and RT Series (PS3.3 C.8.8.1).

    Args:
        study: what the attributes say.
        sop_class_uid: of the instance.
        modality: of the series.
        number: of the series.
        after_s: when it was made, after the start of the study.
    """
    ds = base(study, sop_class_uid, modality, number)
    ds.SeriesTime = clock(study.study_time, after_s)
    ds.OperatorsName = ""
    ds.InstanceNumber = "1"
    return ds
