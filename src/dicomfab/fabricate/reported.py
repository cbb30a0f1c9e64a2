"""What a radiologist would report of a study: the lesions that its images show, from where the images come from.

Sizes and names are those of the ground truth (:mod:`.truth`) and of the structured reports (:mod:`.iods.report`,
:mod:`.iods.measurements`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pydicom.dataset import Dataset

from dicomfab.fabricate.iods import findings, object_family, regions, report, sr_document
from dicomfab.fabricate.iods.findings import Finding
from dicomfab.fabricate.iods.tracking import tracking_id, tracking_uid
from dicomfab.fabricate.kinds import ALL_KINDS, Code
from dicomfab.fabricate.plan import Planned, SeriesPlan
from dicomfab.fabricate.planning import numbered
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.pixels.syntaxes import EXPLICIT_LITTLE

REPORT: Final = "sr-report"
MEASUREMENTS: Final = "sr-measurements"
#: Pictures, whose lesions have no place in a body: no structured report tells of them.
_PICTURES: Final = frozenset({"es-endoscopy", "vl-photo", "wsi"})
_HISTORY, _TECHNIQUE, _IMPRESSIONS = "History", "Current Procedure Descriptions", "Impressions"


@dataclass(frozen=True, slots=True)
class Lesion:
    """One lesion that images of the study show.

    Args:
        region: the body that the truth lists it in.
        index: in that list, from 0.
        kind: such as ``nodule``.
        code: what it is.
        site: where it is, if that is known.
        side: left or right, if that is said of such lesions.
        sentence: what the report says of it.
        long_axis_mm: the longest of its axes.
        short_axis_mm: the shortest of them.
        volume_mm3: of the ellipsoid.
        hu: true CT number, where a CT shows it as the truth has it.
        suv: true SUV by body weight, where PET shows it.
        tracking_id: what every object of the patient calls it; empty where nothing does.
        tracking_uid: the same as a UID.
    """

    region: str
    index: int
    kind: str
    code: Code
    site: Code | None
    side: Code | None
    sentence: str
    long_axis_mm: float
    short_axis_mm: float
    volume_mm3: float
    hu: float | None
    suv: float | None
    tracking_id: str
    tracking_uid: str


@dataclass(frozen=True, slots=True)
class Reported:
    """A report in parts.

    Args:
        reader: who reports (VR PN).
        history: why the study was made.
        technique: what was done.
        lesions: what is seen, in the order of the truth.
        impressions: one line for each kind of lesion.
    """

    reader: str
    history: str
    technique: str
    lesions: tuple[Lesion, ...]
    impressions: tuple[str, ...]


def has_pictures(study: ResolvedStudy) -> bool:
    """Whether it holds pictures, whose lesions no report tells of."""
    return any(series.kind in _PICTURES and series.style == "image" for series in study.series)


def reported(study: ResolvedStudy) -> Reported:
    """The report of a study; nothing is rendered."""
    before, number = _before(study)
    series = _entry(study, REPORT)
    said = object_family(REPORT).plan_object(study, series, number, before).dataset
    images = sr_document.images(before)
    return Reported(
        reader=sr_document.reader(study, series),
        history=" ".join(_texts(said, _HISTORY)),
        technique=" ".join(_texts(said, _TECHNIQUE)),
        lesions=tuple(_lesion(study, one) for one in findings.found(study, images)),
        impressions=tuple(_texts(said, _IMPRESSIONS)),
    )


def documents(study: ResolvedStudy) -> Iterator[SeriesPlan]:
    """The structured reports that a study can have and has not: each is a series more, of the same study.

    The same study gives the same UIDs. A report in words comes first, then the measurements of TID 1500, if there are
    sections to measure on.
    """
    before, number = _before(study)
    for kind in (REPORT, MEASUREMENTS):
        if kind not in study.kinds and set(ALL_KINDS[kind].needs) & set(study.kinds):
            plan = object_family(kind).plan_object(study, _entry(study, kind), number, before)
            yield replace(plan, transfer_syntax_uid=EXPLICIT_LITTLE)
            number += 1


def _before(study: ResolvedStudy) -> tuple[tuple[Planned, ...], int]:
    """What the study holds, and the number of the next series."""
    planned = tuple(Planned(series.kind, plan) for _, series, plan in numbered(study, 1))
    return planned, max((int(one.dataset.SeriesNumber) for one in planned), default=0) + 1


def _entry(study: ResolvedStudy, kind: str) -> ResolvedSeries:
    """The study's own entry of a kind, else one of ours that comes from where its images come from."""
    own = next((series for series in study.series if series.kind == kind), None)
    device = next((series.device for series in study.series if series.device is not None), None)
    return own or ResolvedSeries(kind, 1, EXPLICIT_LITTLE, None, "image", "", device)


def _lesion(study: ResolvedStudy, finding: Finding) -> Lesion:
    named = _is_named(study, finding)
    return Lesion(
        region=finding.region,
        index=finding.index,
        kind=finding.lesion.kind,
        code=finding.code,
        site=finding.site,
        side=finding.side,
        sentence=report.sentence(study, finding),
        long_axis_mm=max(finding.size_mm),
        short_axis_mm=min(finding.size_mm),
        volume_mm3=round(4 / 3 * math.pi * math.prod(finding.lesion.radii_mm), 2),
        hu=findings.attenuation_hu(finding),
        suv=findings.suv(study, finding),
        tracking_id=tracking_id(study, finding.region, finding.index) if named else "",
        tracking_uid=tracking_uid(study, finding.region, finding.index) if named else "",
    )


def _is_named(study: ResolvedStudy, finding: Finding) -> bool:
    """A breast changes its shape from view to view, and a stenosis is of a vessel: the truth has no names for these."""
    return finding.region != "breast" and finding.index < len(regions.body(study, finding.region).lesions)


def _texts(document: Dataset, section: str) -> Sequence[str]:
    """What the items of a section of a report say."""
    return [
        str(item.TextValue)
        for part in document.ContentSequence
        if part.ValueType == "CONTAINER" and part.ConceptNameCodeSequence[0].CodeMeaning == section
        for item in part.get("ContentSequence", ())
        if "TextValue" in item
    ]
