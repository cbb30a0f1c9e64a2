"""Radiology reports: Basic Text SR (PS3.3 A.35.1), and Comprehensive SR (A.35.3) with measurements, after TID 2000."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from pydicom.dataset import Dataset

from dicomfab.fabricate.iods import findings, sr_document
from dicomfab.fabricate.iods import sr_content as sr
from dicomfab.fabricate.iods.findings import Finding
from dicomfab.fabricate.kinds import ALL_KINDS, Code
from dicomfab.fabricate.plan import Planned, SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.fabricate.seeds import Draw

BASIC_TEXT: Final = "1.2.840.10008.5.1.4.1.1.88.11"
COMPREHENSIVE: Final = "1.2.840.10008.5.1.4.1.1.88.33"
LONG_AXIS: Final[Code] = ("103339001", "SCT", "Long axis")
SHORT_AXIS: Final[Code] = ("103340004", "SCT", "Short axis")
SITE: Final[Code] = ("363698007", "SCT", "Finding Site")
LATERALITY: Final[Code] = ("272741003", "SCT", "Laterality")
FINDING: Final[Code] = ("121071", "DCM", "Finding")
_TITLE: Final[Code] = ("18748-4", "LN", "Diagnostic Imaging Report")
_HISTORY: Final[Code] = ("121060", "DCM", "History")
_DESCRIPTIONS: Final[Code] = ("121064", "DCM", "Current Procedure Descriptions")
_DESCRIPTION: Final[Code] = ("121065", "DCM", "Procedure Description")
_FINDINGS: Final[Code] = ("121070", "DCM", "Findings")
_IMPRESSIONS: Final[Code] = ("121072", "DCM", "Impressions")
_IMPRESSION: Final[Code] = ("121073", "DCM", "Impression")
_SOURCE: Final[Code] = ("121112", "DCM", "Source of Measurement")
_MINUTES: Final = 95
_COMPLAINTS: Final = {
    "chest": ("Cough for three weeks.", "Weight loss and night sweats.", "Shortness of breath on exertion."),
    "head": ("Headache and vomiting.", "Sudden weakness of one arm.", "First epileptic seizure."),
    "abdomen": ("Pain in the right upper abdomen.", "Flank pain and haematuria.", "Raised liver enzymes."),
    "knee": ("Knee pain after a twisting injury.", "Locking of the knee."),
    "whole": ("Staging of a known malignancy.", "Fever and weight loss of unknown origin."),
    "breast": ("Screening, no complaints.",),
    "": ("No clinical information was given.",),
}
_NO_LESION: Final = "No lesion is seen."


def plan_object(
    study: ResolvedStudy, series: ResolvedSeries, series_number: int, before: Sequence[Planned]
) -> SeriesPlan:
    """One report on the images of the study."""
    images = sr_document.images(before)
    shown = findings.found(study, images)
    with_measurements = series.kind == "sr-comprehensive"
    uid = COMPREHENSIVE if with_measurements else BASIC_TEXT
    ds = sr_document.started(study, uid, series_number, ALL_KINDS[series.kind].description, _MINUTES)
    if _flag(series) == "VERIFIED":
        sr_document.verified(ds, sr_document.reader(study, series), sr_document.organization(series))
    told = _measured(study, shown) if with_measurements else _told(study, shown, images)
    sections = (
        (_HISTORY, [sr.text(sr.CONTAINS, _HISTORY, _history(study, images))]),
        (_DESCRIPTIONS, [sr.text(sr.CONTAINS, _DESCRIPTION, _technique(images))]),
        (_FINDINGS, list(told) or [sr.text(sr.CONTAINS, FINDING, _NO_LESION)]),
        (_IMPRESSIONS, [sr.text(sr.CONTAINS, _IMPRESSION, line) for line in _impressions(shown)]),
    )
    content = [sr.container(sr.CONTAINS, concept, children) for concept, children in sections]
    head = [*sr_document.header(study, series), *sr_document.procedures(ds)]
    root = sr.container("", _TITLE, [*head, *content], template="2000")
    return sr_document.finished(ds, study, series_number, root, images)


def truth_of(
    study: ResolvedStudy, series: ResolvedSeries, series_number: int, before: Sequence[Planned]
) -> dict[str, object]:
    """What the report says, ready for JSON.

    Returns:
        ``verification``: its Verification Flag, and ``findings``: region and place (from 0) of each lesion in the
        truth of its region, ``sentence``, and ``images``, the instances that are referred to for it; of a
        Comprehensive SR also ``long_axis_mm`` and ``short_axis_mm``, in the plane of the image, ``null`` if no section
        shows the middle of the lesion.
    """
    images = sr_document.images(before)
    listed = []
    for finding in findings.found(study, images):
        entry: dict[str, object] = {
            "region": finding.region,
            "lesion": finding.index,
            "sentence": sentence(study, finding),
            "images": [planned.sop_instance_uid(index) for planned, index in _images_of(finding)],
        }
        if series.kind == "sr-comprehensive":
            place = _measurable(finding)
            entry["images"] = [] if place is None else [place.planned.sop_instance_uid(place.index)]
            for which, name in enumerate(("long_axis_mm", "short_axis_mm")):
                entry[name] = None if place is None else findings.axis_ends(finding, place, which)[0]
        listed.append(entry)
    return {"verification": _flag(series), "findings": listed}


def _flag(series: ResolvedSeries) -> str:
    return "UNVERIFIED" if series.kind == "sr-comprehensive" else "VERIFIED"


def site(finding: Finding) -> list[Dataset]:
    """Finding site with its side, if that is known."""
    if finding.site is None:
        return []
    side = [] if finding.side is None else [sr.code(sr.MODIFIER, LATERALITY, finding.side)]
    return [sr.code(sr.MODIFIER, SITE, finding.site, side)]


def sentence(study: ResolvedStudy, finding: Finding) -> str:
    """What a report says of a finding: what, where, how large, and how it looks."""
    size = " x ".join(f"{value:.0f}" for value in finding.size_mm)
    told = [f"{finding.sentence_start}, {size} mm"]
    attenuation_hu, suv = findings.attenuation_hu(finding), findings.suv(study, finding)
    if attenuation_hu is not None:
        told.append(f"mean attenuation {attenuation_hu:.0f} HU")
    if suv is not None:
        told.append(f"SUV {suv:.1f}")
    for planned, index in _images_of(finding)[:1]:
        number = planned.plan.varying(index)["InstanceNumber"]
        told.append(f"series {planned.dataset.SeriesNumber}, image {number}")
    return ", ".join(told) + "."


def _told(study: ResolvedStudy, shown: Sequence[Finding], images: Sequence[Planned]) -> Iterator[Dataset]:
    for finding in shown:
        seen = [sr.image(sr.INFERRED, None, planned, index) for planned, index in _images_of(finding)]
        yield sr.text(sr.CONTAINS, FINDING, sentence(study, finding), seen)
    referred = {planned.series_instance_uid for finding in shown for planned in finding.shown_by}
    rest = [one for one in images if one.series_instance_uid not in referred]
    if rest:
        first = {one.series_instance_uid: one for one in reversed(rest)}
        seen = [sr.image(sr.INFERRED, None, one) for one in reversed(first.values())]
        yield sr.text(sr.CONTAINS, FINDING, "No lesion is described on the other series.", seen)


def _measured(study: ResolvedStudy, shown: Sequence[Finding]) -> Iterator[Dataset]:
    """A code for each finding, with a sentence, and its axes on the image that shows its middle."""
    for finding in shown:
        said = [*site(finding), sr.text(sr.PROPERTY, FINDING, sentence(study, finding))]
        place = _measurable(finding)
        if place is not None:
            for which, concept in enumerate((LONG_AXIS, SHORT_AXIS)):
                length_mm, ends = findings.axis_ends(finding, place, which)
                image = sr.image(sr.SELECTED, None, place.planned, place.index)
                line = sr.coordinates(sr.INFERRED, _SOURCE, "POLYLINE", ends, image)
                said.append(sr.number(sr.PROPERTY, concept, length_mm, sr.MM, [line]))
        yield sr.code(sr.CONTAINS, FINDING, finding.code, said)


def _measurable(finding: Finding) -> findings.Place | None:
    """The first section that goes through the middle of a lesion."""
    return next((place for place in finding.places if place.shows_middle), None)


def _images_of(finding: Finding) -> list[tuple[Planned, int]]:
    """The image that shows a finding best, of each series, each series once."""
    sections = [(place.planned, place.index) for place in finding.places]
    others = [(planned, 0) for planned in finding.shown_by[len(sections) :]]
    seen: dict[str, tuple[Planned, int]] = {}
    for planned, index in sections + others:
        seen.setdefault(planned.series_instance_uid, (planned, index))
    return list(seen.values())


def _history(study: ResolvedStudy, images: Sequence[Planned]) -> str:
    region = next((ALL_KINDS[one.kind].region for one in images if ALL_KINDS[one.kind].region), "")
    complaint = Draw(study.body_seed, "complaint", region).choice(_COMPLAINTS[region])
    if not study.course_months:
        return complaint
    return f"{complaint} Follow-up after {study.course_months} months."


def _technique(images: Sequence[Planned]) -> str:
    return " ".join(f"{ALL_KINDS[kind].title}." for kind in dict.fromkeys(one.kind for one in images))


def _impressions(shown: Sequence[Finding]) -> list[str]:
    """One line for each kind of lesion."""
    if not shown:
        return [_NO_LESION]
    lines = []
    for kind, count in Counter(finding.lesion.kind for finding in shown).items():
        largest = max(max(finding.size_mm) for finding in shown if finding.lesion.kind == kind)
        extent = f"the largest {largest:.0f} mm" if count > 1 else f"{largest:.0f} mm"
        lines.append(f"{kind.capitalize()}: {count}, {extent}.")
    return lines
