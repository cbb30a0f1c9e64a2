"""Instances compared with each other: what no look at a single file can show (PS3.3 A.1.2, C.7.3, C.7.4, C.7.6)."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from dicomfab.validity.findings import Problem, Rule, Severity, rule
from dicomfab.validity.summary import Summary

K = TypeVar("K", bound=Hashable)
_STACKED: Final = frozenset({"CT", "MR", "PT"})
_SAME_PLACE_MM: Final = 1e-3
_RELATIVE: Final = 0.01
_OFF_AXIS_MM: Final = 0.05


@rule("frame-of-reference", "PS3.3 C.7.4.1", "give all images of a series one FrameOfReferenceUID")
def frame_of_reference(series: list[Summary]) -> Iterator[Problem]:
    """All instances of a series are in one frame of reference."""
    found = {summary.frame_of_reference_uid for summary in series} - {""}
    if len(found) > 1:
        yield Problem("several in one series", "FrameOfReferenceUID", f"{len(found)} of them")


@rule("one-modality", "PS3.3 C.7.3.1", "put instances of another modality into a series of their own")
def one_modality(series: list[Summary]) -> Iterator[Problem]:
    """All instances of a series have one modality."""
    found = sorted({summary.modality for summary in series})
    if len(found) > 1:
        yield Problem("several in one series", "Modality", ", ".join(found))


@rule("instance-number", "PS3.3 C.7.6.1", "number the instances of a series each once", Severity.WARNING)
def instance_number(series: list[Summary]) -> Iterator[Problem]:
    """No instance number stands twice in a series."""
    distinct = {summary.sop_instance_uid: summary for summary in series}
    by_number = _by(distinct.values(), lambda summary: summary.instance_number)
    twice = sorted(number for number, group in by_number.items() if number and len(group) > 1)
    if twice:
        yield Problem("the same number twice in a series", "InstanceNumber", _some(twice))


@rule("slice-position", "PS3.3 C.7.6.2.1", "correct ImagePositionPatient, or find the missing slice", Severity.WARNING)
def slice_position(series: list[Summary]) -> Iterator[Problem]:
    """Slices of a stack are at equal distances."""
    for gaps in _stacks(series):
        middle = sorted(gaps)[len(gaps) // 2]
        wrong = [gap for gap in gaps if abs(gap - middle) > max(_RELATIVE * middle, _SAME_PLACE_MM)]
        if wrong:
            detail = f"{len(wrong)} of {len(gaps)} distances; {wrong[0]:g} mm instead of {middle:g} mm"
            yield Problem("slices at unequal distances", "ImagePositionPatient", detail)


@rule("slice-spacing", "PS3.3 C.7.6.16.2.1", "write the distance of the slices into SpacingBetweenSlices")
def slice_spacing(series: list[Summary]) -> Iterator[Problem]:
    """SpacingBetweenSlices is the distance at which the slices are."""
    stated = {summary.spacing_mm for summary in series} - {None}
    for gaps in _stacks(series) if len(stated) == 1 else ():
        middle = sorted(gaps)[len(gaps) // 2]
        (value,) = stated
        if value is not None and abs(abs(value) - middle) > max(_RELATIVE * middle, _SAME_PLACE_MM):
            yield Problem("not the distance of the slices", "SpacingBetweenSlices", f"{value:g}, slices {middle:g} mm")


@rule("duplicate", "PS3.5 9.1", "make a new SOPInstanceUID for each instance, or remove the copy")
def duplicate(summaries: list[Summary]) -> Iterator[Problem]:
    """No SOP instance UID stands in two files."""
    for uid, group in _by(summaries, lambda summary: summary.sop_instance_uid).items():
        if uid and len(group) > 1:
            yield Problem("the same SOP instance UID in several files", "SOPInstanceUID", uid, _paths(group))


@rule("series-of-one-study", "PS3.3 A.1.2", "give each series a UID of its own, in one study")
def series_of_one_study(summaries: list[Summary]) -> Iterator[Problem]:
    """A series belongs to one study."""
    for uid, group in _by(summaries, lambda summary: summary.series_instance_uid).items():
        if uid and len({summary.study_instance_uid for summary in group}) > 1:
            yield Problem("one series in several studies", "SeriesInstanceUID", uid, _paths(group))


@rule("one-patient", "PS3.3 C.7.1.1", "correct the patient, or use another PatientID", Severity.WARNING)
def one_patient(summaries: list[Summary]) -> Iterator[Problem]:
    """A patient identifier stands for one person: one birth date, one sex."""
    for (identifier, issuer), group in _by(summaries, lambda summary: summary.patient[:2]).items():
        for place, keyword in ((2, "PatientBirthDate"), (3, "PatientSex")):
            values = {summary.patient[place] for summary in group} - {""}
            if identifier and len(values) > 1:
                detail = f"{identifier} {issuer}".strip()
                yield Problem("several for one PatientID", keyword, detail, _paths(group))


def _stacks(series: Iterable[Summary]) -> Iterator[list[float]]:
    """The distances between neighbours, in mm, of each stack of at least three parallel single-frame slices."""
    slices = [s for s in series if _is_slice(s)]
    for orientation, group in _by(slices, lambda s: tuple(round(v, 4) for v in s.orientation)).items():
        normal = _normal(orientation)
        if _in_plane(group, normal) > _OFF_AXIS_MM:
            continue  # a tilted gantry, or several stacks
        places = sorted({round(_dot(normal, s.position_mm), 3) for s in group})
        if len(places) >= 3:
            yield [after - before for before, after in itertools.pairwise(places)]


def _is_slice(summary: Summary) -> bool:
    return (
        summary.modality in _STACKED
        and summary.frames == 1
        and len(summary.orientation) == 6
        and len(summary.position_mm) == 3
        and "LOCALIZER" not in summary.image_type
    )


def _in_plane(group: list[Summary], normal: tuple[float, ...]) -> float:
    """How far positions lie from the line through the first along the normal."""
    first, most = group[0].position_mm, 0.0
    for summary in group:
        apart = [a - b for a, b in zip(summary.position_mm, first, strict=True)]
        along = _dot(normal, apart)
        most = max(most, *(abs(a - along * n) for a, n in zip(apart, normal, strict=True)))
    return most


def _normal(cosines: tuple[float, ...]) -> tuple[float, ...]:
    a, b, c, d, e, f = cosines
    return (b * f - c * e, c * d - a * f, a * e - b * d)


def _dot(one: Iterable[float], other: Iterable[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def _by(summaries: Iterable[Summary], key: Callable[[Summary], K]) -> dict[K, list[Summary]]:
    groups: dict[K, list[Summary]] = defaultdict(list)
    for summary in summaries:
        groups[key(summary)].append(summary)
    return groups


def _paths(group: Iterable[Summary]) -> tuple[Path, ...]:
    return tuple(summary.path for summary in group)


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


SERIES_RULES: Final[tuple[Rule[list[Summary]], ...]] = (
    frame_of_reference,
    one_modality,
    instance_number,
    slice_position,
    slice_spacing,
)
SET_RULES: Final[tuple[Rule[list[Summary]], ...]] = (duplicate, series_of_one_study, one_patient)
