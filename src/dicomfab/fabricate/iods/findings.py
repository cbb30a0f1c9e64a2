"""What the images of a study show of its patient's lesions, and where on them; what objects say of it rests on this."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.anatomy.body import Lesion, Region
from dicomfab.fabricate.anatomy.tissue import LOOKS, hu_table
from dicomfab.fabricate.iods import regions, structures
from dicomfab.fabricate.kinds import ALL_KINDS, Code
from dicomfab.fabricate.plan import Planned
from dicomfab.fabricate.recipe import ResolvedStudy

CT: Final = "1.2.840.10008.5.1.4.1.1.2"
PET: Final = "1.2.840.10008.5.1.4.1.1.128"
_MR: Final = "1.2.840.10008.5.1.4.1.1.4"
_SECTIONS: Final = (CT, _MR, PET)
# A section shows the middle of a lesion if it lies no further from it than this, however far apart sections are.
_MIDDLE_MM: Final = 3.0
# A whole axis is written with as many digits as the ground truth has.
_DIGITS: Final = 3

RIGHT: Final[Code] = ("24028007", "SCT", "Right")
LEFT: Final[Code] = ("7771000", "SCT", "Left")
#: Where lesions of a kind are, in a sentence, with the side where that is one of two.
_WHERE: Final[Mapping[str, str]] = {
    "nodule": "in the {side} lung",
    "liver metastasis": "",
    "liver cyst": "",
    "renal cyst": "on the {side}",
    "kidney stone": "on the {side}",
    "bone metastasis": "",
    "tumour": "in the {side} cerebral hemisphere",
    "infarct": "in the {side} cerebral hemisphere",
    "haemorrhage": "in the {side} cerebral hemisphere",
    "meniscal tear": "of the knee",
    "bone bruise": "of the knee",
    "spiculated mass": "in the breast",
    "circumscribed mass": "in the breast",
    "calcification cluster": "in the breast",
    "coronary stenosis": "",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a section shows a lesion.

    Args:
        planned: the series.
        index: of the section in it, from 0.
        column: of the middle, in pixels from the left edge of the image.
        row: of the middle, in pixels from its upper edge.
        apart_mm: how far the middle lies from that of the section.
        shows_middle: whether the section goes through the middle.
    """

    planned: Planned
    index: int
    column: float
    row: float
    apart_mm: float
    shows_middle: bool


@dataclass(frozen=True)
class Finding:
    """A lesion that images of the study show.

    Args:
        region: the body that it is listed in.
        index: in the body's lesions, from 0.
        lesion: itself.
        places: where each series of sections shows it best, in order; empty if only other images do.
        shown_by: the images.
    """

    region: Region
    index: int
    lesion: Lesion
    places: tuple[Place, ...]
    shown_by: tuple[Planned, ...]

    @property
    def code(self) -> Code:
        """What it is."""
        return structures.of_lesion(self.lesion)[0]

    @property
    def site(self) -> Code | None:
        """Where it is, if that is known."""
        return structures.of_lesion(self.lesion)[1]

    @property
    def side(self) -> Code | None:
        """Left or right of the patient, if that is said of such lesions; x runs to the left."""
        if "{side}" not in _WHERE.get(self.lesion.kind, ""):
            return None
        return LEFT if self.lesion.centre_mm[0] > 0 else RIGHT

    @property
    def size_mm(self) -> tuple[float, float, float]:
        """Whole axes along x, y and z, as the ground truth has them."""
        x, y, z = (round(2 * radius, _DIGITS) for radius in self.lesion.radii_mm)
        return x, y, z

    def place_in(self, sop_class_uid: str) -> Place | None:
        """Where the first series of a SOP class shows it."""
        return next((place for place in self.places if place.planned.sop_class_uid == sop_class_uid), None)

    @property
    def sentence_start(self) -> str:
        """What and where, such as ``Nodule in the left lung``."""
        where = _WHERE.get(self.lesion.kind, "").format(side="" if self.side is None else self.side[2].lower())
        return f"{self.lesion.kind.capitalize()} {where}".strip()


def found(study: ResolvedStudy, images: Sequence[Planned]) -> list[Finding]:
    """The lesions that images show, in the order of regions and of the lesions of their bodies."""
    shown: dict[Region, list[Planned]] = {}
    for one in images:
        region = cast(Region, ALL_KINDS[one.kind].region)
        if region and not _is_cards(one) and (_is_sections(one) or one.kind in _OTHERS):
            shown.setdefault(region, []).append(one)
    return [finding for region, those in shown.items() for finding in _of_region(study, region, those)]


def _uptake(study: ResolvedStudy, region: Region) -> Mapping[Lesion, float]:
    """The true SUV of each lesion of a body."""
    from dicomfab.fabricate.render import pet

    return pet.uptake(regions.body(study, region))


def attenuation_hu(finding: Finding) -> float | None:
    """The true mean CT number of a lesion on the first CT that shows it.

    Nothing if no CT does, or if it would be another one than the ground truth has, which is that after contrast.
    """
    place = finding.place_in(CT)
    if place is None:
        return None
    tissue = finding.lesion.tissue
    now = hu_table(contrast="ContrastBolusAgent" in place.planned.dataset)[tissue]
    return float(LOOKS[tissue].hu) if abs(float(now) - LOOKS[tissue].hu) < 0.01 else None


def suv(study: ResolvedStudy, finding: Finding) -> float | None:
    """The true SUV of a lesion, if PET shows it, as the ground truth has it."""
    if finding.place_in(PET) is None:
        return None
    return round(_uptake(study, finding.region)[finding.lesion], 2)


def sections(images: Iterable[Planned]) -> list[Planned]:
    """Those that are series of sections."""
    return [one for one in images if _is_sections(one)]


# Lesions that other images show: of bodies and parts that nobody looks at section by section.
_OTHERS: Final[Mapping[str, tuple[str, ...]]] = {
    "dx-chest": ("nodule",),
    "dx-processing": ("nodule",),
    "cr-chest": ("nodule",),
    "mg-screening": ("spiculated mass", "circumscribed mass", "calcification cluster"),
    "dbt-screening": ("spiculated mass", "circumscribed mass", "calcification cluster"),
    "nm-bone": ("bone metastasis",),
    "nm-tomo": ("bone metastasis",),
    "ct-enhanced": ("nodule",),
    "mr-enhanced": ("tumour", "infarct", "haemorrhage"),
    "pt-enhanced": ("nodule", "liver metastasis", "bone metastasis", "tumour"),
    "xa-cine": ("coronary stenosis",),
}


def _is_sections(one: Planned) -> bool:
    return one.sop_class_uid in _SECTIONS and "ImagePositionPatient" in one.plan.varying(0)


def _is_cards(one: Planned) -> bool:
    """Text cards instead of a body: they name the patient, and nothing else of ours that has a region does."""
    return bool(one.dataset.get("BurnedInAnnotation") == "YES")


def _of_region(study: ResolvedStudy, region: Region, shown: Sequence[Planned]) -> Iterator[Finding]:
    lesions = _lesions(study, region, shown)
    stacks = [_Stack(one) for one in shown if _is_sections(one)]
    for index, lesion in enumerate(lesions):
        places = tuple(place for stack in stacks if (place := stack.place(lesion)) is not None)
        others = tuple(one for one in shown if not _is_sections(one) and lesion.kind in _OTHERS[one.kind])
        if places or others:
            by = tuple(place.planned for place in places) + others
            yield Finding(region, index, lesion, places, by)


def _lesions(study: ResolvedStudy, region: Region, shown: Sequence[Planned]) -> tuple[Lesion, ...]:
    """Those of the body, as the ground truth lists them."""
    from dicomfab.fabricate.anatomy import coronaries
    from dicomfab.fabricate.anatomy.regions import build

    sex = study.patient.sex
    if region == "breast":
        return build(region, study.body_seed, sex, months=study.course_months).lesions
    lesions = regions.body(study, region).lesions
    if any(one.kind == "xa-cine" for one in shown):
        lesions += coronaries.build_coronaries(study.body_seed, sex).lesions
    return lesions


class _Stack:
    """Where the sections of a series lie: parallel, and evenly spaced."""

    def __init__(self, planned: Planned) -> None:
        ds, count = planned.dataset, planned.plan.count
        cosines = np.array([float(value) for value in ds.ImageOrientationPatient])
        self._planned, self._count = planned, count
        self._along_row, self._down_column = cosines[:3], cosines[3:]
        self._normal: NDArray[np.float64] = np.cross(self._along_row, self._down_column)
        self._first = _position(planned, 0)
        self._step = (_position(planned, count - 1) - self._first) / max(count - 1, 1)
        self._spacing_mm = float(ds.SpacingBetweenSlices)
        self._row_mm, self._column_mm = (float(value) for value in ds.PixelSpacing)
        self._rows, self._columns = int(ds.Rows), int(ds.Columns)

    def place(self, lesion: Lesion) -> Place | None:
        """Where the section that is nearest to the middle of a lesion shows it; nothing if it does not."""
        centre = np.array(lesion.centre_mm)
        step_mm = float(self._step @ self._normal) or 1.0
        index = round(float((centre - self._first) @ self._normal) / step_mm)
        index = min(max(index, 0), self._count - 1)
        offset = centre - self._first - index * self._step
        apart_mm = abs(float(offset @ self._normal))
        reach_mm = float(np.linalg.norm(self._normal * lesion.radii_mm))
        column = float(offset @ self._along_row) / self._column_mm + 0.5
        row = float(offset @ self._down_column) / self._row_mm + 0.5
        if apart_mm > reach_mm:
            return None
        if not (0 <= column <= self._columns and 0 <= row <= self._rows):
            return None
        middle = apart_mm <= min(self._spacing_mm / 2, _MIDDLE_MM) + 1e-3
        return Place(self._planned, index, column, row, apart_mm, middle)


def axis_ends(finding: Finding, place: Place, which: int) -> tuple[float, tuple[tuple[float, float], ...]]:
    """The longer (0) or the shorter (1) axis of a lesion in the plane of a section.

    Returns:
        Its whole length in mm, and column and row of its ends in pixels; the lesion's axes are those of the patient.
    """
    ds = place.planned.dataset
    cosines = np.array([float(value) for value in ds.ImageOrientationPatient])
    sizes = np.array(finding.size_mm)
    within = [(float(np.abs(direction) @ sizes), n) for n, direction in enumerate((cosines[:3], cosines[3:]))]
    length, direction = sorted(within, key=lambda one: -one[0])[which]
    row_mm, column_mm = (float(value) for value in ds.PixelSpacing)
    across, down = (length / 2 / column_mm, 0.0) if direction == 0 else (0.0, length / 2 / row_mm)
    ends = (place.column - across, place.row - down), (place.column + across, place.row + down)
    return round(length, _DIGITS), ends


def _position(planned: Planned, index: int) -> NDArray[np.float64]:
    text = planned.plan.varying(index)["ImagePositionPatient"]
    return np.array([float(value) for value in text.split("\\")])
