"""Which images of a study are worth pointing at, and where sections show lesions: circles around them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from pydicom.dataset import Dataset

from dicomfab.fabricate.iods.findings import Finding, Place, found
from dicomfab.fabricate.kinds import KINDS
from dicomfab.fabricate.plan import Planned
from dicomfab.fabricate.recipe import ResolvedStudy

_PER_SERIES: Final = 3
_MOST: Final = 6
_MARGIN_MM: Final = 3.0


@dataclass(frozen=True, slots=True)
class Sighting:
    """A lesion on the section that shows it best.

    Args:
        finding: the lesion.
        place: the section, and column and row of the middle; (0, 0) is the outer corner of the first pixel, as in
            PS3.3 C.10.5.
        radius: of a circle around what the section cuts, with some space, in pixels.
    """

    finding: Finding
    place: Place
    radius: float

    @classmethod
    def of(cls, finding: Finding, place: Place) -> Sighting:
        """With the circle that the cut ellipsoid needs."""
        ds = place.planned.dataset
        radii = np.array(finding.lesion.radii_mm)
        cosines = np.array([float(value) for value in ds.ImageOrientationPatient])
        along, down = cosines[:3], cosines[3:]
        reach_mm = float(np.linalg.norm(np.cross(along, down) * radii))
        cut = math.sqrt(max(0.0, 1 - (place.apart_mm / reach_mm) ** 2))
        radius_mm = cut * max(float(np.linalg.norm(way * radii)) for way in (along, down))
        return cls(finding, place, (radius_mm + _MARGIN_MM) / float(ds.PixelSpacing[0]))

    @property
    def words(self) -> str:
        """What is seen, and how large it is."""
        return f"{self.finding.sentence_start}, {max(self.finding.size_mm):.0f} mm"


@dataclass(frozen=True, slots=True)
class KeyImage:
    """An image that is worth pointing at.

    Args:
        planned: the series or part of one.
        index: of the instance, from 0.
        frame: number of the frame, from 1; 0 for the whole instance.
        words: why.
    """

    planned: Planned
    index: int
    frame: int
    words: str

    @property
    def sop_instance_uid(self) -> str:
        """SOPInstanceUID (0008,0018) of the instance."""
        return self.planned.sop_instance_uid(self.index)


def images(before: Iterable[Planned]) -> list[Planned]:
    """Those that are images of the patient."""
    return [one for one in before if one.kind in KINDS and one.kind != "text-card"]


def sightings(study: ResolvedStudy, planned: Planned) -> list[Sighting]:
    """The lesions that its sections cut, the largest first; none if it has no sections, or shows cards."""
    if planned.dataset.get("BurnedInAnnotation") == "YES":
        return []
    seen = [Sighting.of(one, place) for one in found(study, [planned]) for place in one.places]
    return sorted(seen, key=lambda one: -max(one.finding.size_mm))


def key_images(study: ResolvedStudy, before: Iterable[Planned]) -> list[KeyImage]:
    """A few images: those that show lesions, or else the middle one of each series."""
    shown = images(before)
    return list(_with_lesions(study, shown))[:_MOST] or list(_middles(shown))[:_MOST]


def _with_lesions(study: ResolvedStudy, shown: Iterable[Planned]) -> Iterator[KeyImage]:
    for planned in shown:
        sections: dict[int, list[str]] = {}
        for one in sightings(study, planned):
            sections.setdefault(one.place.index, []).append(one.words)
        for index, words in list(sections.items())[:_PER_SERIES]:
            yield KeyImage(planned, index, 0, "; ".join(dict.fromkeys(words)))


def _middles(shown: Sequence[Planned]) -> Iterator[KeyImage]:
    first = {one.series_instance_uid: one for one in reversed(shown)}
    for planned in reversed(first.values()):
        frames = planned.plan.frames
        frame = (frames + 1) // 2 if frames > 1 and planned.dataset.Modality != "SM" else 0
        yield KeyImage(planned, planned.plan.count // 2, frame, _described(planned.dataset))


def _described(ds: Dataset) -> str:
    return str(ds.get("SeriesDescription", "")) or str(ds.Modality)
