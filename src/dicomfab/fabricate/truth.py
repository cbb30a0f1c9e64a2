"""What is to be found in a study: every lesion with place, size and value, because we put it there.

The lesions of the voxel body are listed under ``regions``, in millimetres of the patient. Pictures have no such
coordinates; what they show is listed under ``series``, one entry for each of them, in their own pixels::

    {"kind": "vl-photo",
     "series_instance_uid": "2.25...",
     "frame_of_reference_uid": "",
     "lesions": [
       {"kind": "pigmented lesion",
        "size_mm": [9.8, 8.1],
        "images": [
          {"sop_instance_uid": "2.25...", "instance_number": 1, "frames": [1],
           "centre": [600.0, 812.5], "box": [511.2, 704.9, 690.3, 917.1], "pixel_mm": 0.05}]}]}

- ``size_mm``: largest extent; across and down for a pigmented lesion and an adenoma, and the diameter of the head of a
  polyp, three times.
- ``images``: every instance that shows the lesion, and no other; ``frames`` are frame numbers, from 1.
- ``centre``: row and column; ``box``: first row, first column, last row, last column. They count from 0, the middle of
  the first pixel, as in an array; add 1 for what DICOM calls a position. Of a whole slide they are those of the total
  pixel matrix, not of a frame.
- ``pixel_mm``: from pixel to pixel; ``null`` for a polyp, as an endoscope has no scale. In a photograph it is the ruler
  that says it, no attribute.
- ``pixels``, of a polyp: how many show it; a fold may hide some of it, and ``centre`` is the middle of the rest.
- ``crypts``, of an adenoma: row, column and radius of each of its crypts in the base level's total pixel matrix; it is
  nothing but them. ``centre_slide_mm``: X and Y of its middle in the slide's coordinates.

A series of text cards or small pictures shows none, and neither does a slide that is too small for a crypt.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.model.order import RequestAttributes
from dicomfab.model.study import Patient

if TYPE_CHECKING:
    from dicomfab.fabricate.anatomy.body import Body, Region
    from dicomfab.fabricate.render.slide import Level

Lesions = list[dict[str, Any]]
Sections = Mapping[tuple[str, int], list[dict[str, str]]]


def truth(study: ResolvedStudy, checksums: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The ground truth of a study, ready for JSON; its schema is :class:`dicomfab.fabricate.truth_schema.Truth`.

    Args:
        study: what was fabricated.
        checksums: SHA-256 of each file, in hexadecimal, by its name; none if no files are at hand.

    Returns:
        UIDs, identifiers, patient and order of the study; ``kinds``; ``regions``, each with the
        ``frame_of_reference_uid`` that the instances have whose coordinates these are (empty for projections and
        compressed breasts), and its ``lesions``: see :func:`dicomfab.fabricate.anatomy.body.truth`, with ``hu``, the CT
        number after contrast, ``suv`` of FDG, the names that every object of the patient has for it, and ``sections``:
        the instance that shows it best of each series of sections, none if it lies beyond or between them; ``series``:
        see this module; ``objects`` with the instances that each refers to, and what it says; ``defects`` that were
        declared; and ``files``.
    """
    from dicomfab.fabricate import defects
    from dicomfab.fabricate.kinds import ALL_KINDS
    from dicomfab.fabricate.truth_objects import objects
    from dicomfab.fabricate.truth_schema import SCHEMA_ID

    # A small picture shows no body, and to build one takes longer than to make the study.
    shown = dict.fromkeys(ALL_KINDS[series.kind].region for series in study.series if series.style != "small")
    cut = _sections(study) if any(shown) else {}
    return {
        "schema": SCHEMA_ID,
        "study_instance_uid": study.study_instance_uid,
        "accession_number": study.accession_number,
        "patient_id": study.patient.patient_id,
        "seed": study.seed,
        "study_date": study.study_date,
        "study_time": study.study_time,
        "course_months": study.course_months,
        "character_set": study.character_set,
        "patient": _filled(study.patient),
        "order": _filled(study.order) if study.order else None,
        "kinds": list(study.kinds),
        "regions": [_region(study, cast("Region", region), cut) for region in shown if region],
        "series": list(_pictures(study)),
        "objects": list(objects(study)),
        "defects": defects.declared(study),
        "files": [{"name": name, "sha256": digest} for name, digest in (checksums or {}).items()],
    }


def checksums_of(files: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of files by their name, for :func:`truth`; each is read in pieces.

    Raises:
        OSError: one cannot be read.
    """
    found = {}
    for path in files:
        with path.open("rb") as file:
            found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _filled(value: Patient | RequestAttributes) -> dict[str, Any]:
    return {name: one for name, one in dataclasses.asdict(value).items() if one not in ("", None)}


def _sections(study: ResolvedStudy) -> Sections:
    """By region and place of a lesion in its body: of each series of sections that cut it, that next to its middle."""
    from dicomfab.fabricate.iods.findings import found
    from dicomfab.fabricate.kinds import KINDS
    from dicomfab.fabricate.plan import Planned
    from dicomfab.fabricate.study import numbered

    of_bodies = (one for one in numbered(study, 1) if one[1].kind in KINDS and one[1].style == "image")
    images = [Planned(series.kind, plan) for _, series, plan in of_bodies]
    return {
        (finding.region, finding.index): [
            {
                "series_instance_uid": place.planned.series_instance_uid,
                "sop_instance_uid": place.planned.sop_instance_uid(place.index),
            }
            for place in finding.places
        ]
        for finding in found(study, images)
    }


def _region(study: ResolvedStudy, region: Region, cut: Sections) -> dict[str, Any]:
    from dicomfab.fabricate.anatomy import breast, coronaries, knee, regions

    sex = study.patient.sex
    body = regions.build(region, study.body_seed, sex, months=study.course_months)
    own = len(body.lesions)
    if "xa-cine" in study.kinds and region == "chest":
        stenosis = coronaries.build_coronaries(study.body_seed, sex).lesions
        body = dataclasses.replace(body, lesions=(*body.lesions, *stenosis))
    side = {"knee": knee.affected, "breast": breast.affected}.get(region)
    return {
        "region": region,
        "side": side(study.body_seed) if side else "",
        "frame_of_reference_uid": "" if region == "breast" else study.uid("frame-of-reference", region),
        "lesions": [
            {
                **lesion,
                **(_names(study, region, index) if index < own and region != "breast" else {}),
                "sections": cut.get((region, index), []),
            }
            for index, lesion in enumerate(_lesions(body))
        ],
    }


def _names(study: ResolvedStudy, region: Region, index: int) -> dict[str, str]:
    from dicomfab.fabricate.iods.tracking import tracking_id, tracking_uid

    return {"tracking_id": tracking_id(study, region, index), "tracking_uid": tracking_uid(study, region, index)}


def _lesions(body: Body) -> Lesions:
    from dicomfab.fabricate.anatomy.body import truth as places
    from dicomfab.fabricate.anatomy.tissue import LOOKS
    from dicomfab.fabricate.render.pet import uptake

    suv = uptake(body)
    listed = cast(Lesions, places(body)["lesions"])
    return [
        {**place, "hu": LOOKS[lesion.tissue].hu, "suv": round(suv[lesion], 2) if lesion in suv else None}
        for place, lesion in zip(listed, body.lesions, strict=True)
    ]


def _pictures(study: ResolvedStudy) -> Iterator[dict[str, Any]]:
    """What pictures show, series by series."""
    if not any(kind in _PICTURES for kind in study.kinds):
        return
    for number, series in _numbered(study):
        if series.kind in _PICTURES and series.style == "image":
            slide = series.kind == "wsi"
            yield {
                "kind": series.kind,
                "series_instance_uid": study.uid("series", number),
                "frame_of_reference_uid": study.uid("frame-of-reference", "slide", number) if slide else "",
                "lesions": _PICTURES[series.kind](study, series, number),
            }


def _numbered(study: ResolvedStudy) -> Iterator[tuple[int, ResolvedSeries]]:
    """The entries of a study with SeriesNumber of the first series that each becomes."""
    from dicomfab.fabricate.study import numbered

    yield from dict.fromkeys((number, series) for number, series, _ in numbered(study, 1))


def _image(
    study: ResolvedStudy, number: int, instance: int, frames: Sequence[int], box: NDArray[np.floating]
) -> dict[str, Any]:
    """An instance that shows a lesion, and where; the centre is that of the box."""
    from dicomfab.fabricate.iods.common import instance_uid

    return {
        "sop_instance_uid": instance_uid(study, number, instance),
        "instance_number": instance,
        "frames": list(frames),
        "centre": [round(float(value), 2) for value in (box[:2] + box[2:]) / 2],
        "box": [round(float(value), 2) for value in box],
        "pixel_mm": None,
    }


def _polyp(study: ResolvedStudy, series: ResolvedSeries, number: int) -> Lesions:
    from dicomfab.fabricate.render import endoscopy

    images = []
    for index in range(series.count):
        places = np.argwhere(endoscopy.seen(study.body_seed, index, series.count))
        if len(places):
            box = np.concatenate([places.min(axis=0), places.max(axis=0)]).astype(np.float64)
            middle = [round(float(value), 2) for value in places.mean(axis=0)]
            image = _image(study, number, index + 1, (1,), box)
            images.append({**image, "centre": middle, "pixels": len(places)})
    diameter_mm = round(2 * endoscopy.Polyp.of(study.body_seed).radius_mm, 3)
    return [{"kind": "polyp", "size_mm": [diameter_mm] * 3, "images": images}]


def _mole(study: ResolvedStudy, series: ResolvedSeries, number: int) -> Lesions:
    from dicomfab.fabricate.render import photo

    outline = photo.Mole.of(study.body_seed).outline()
    images = []
    for index in range(series.count):
        row, column, pixel_mm = photo.framing(study.seed, index)
        places = outline[:, ::-1] / pixel_mm + (row, column)
        places = places.clip((0, 0), (photo.SKIN_ROWS - 1, photo.COLUMNS - 1))
        image = _image(study, number, index + 1, (1,), np.concatenate([places.min(axis=0), places.max(axis=0)]))
        images.append({**image, "centre": [round(row, 2), round(column, 2)], "pixel_mm": pixel_mm})
    size = np.ptp(outline, axis=0)
    return [{"kind": "pigmented lesion", "size_mm": [round(float(value), 3) for value in size], "images": images}]


def _adenoma(study: ResolvedStudy, series: ResolvedSeries, number: int) -> Lesions:
    from dicomfab.fabricate.render import slide

    base = series.count * slide.TILE
    crypts = slide.adenoma_crypts(base, study.seed)
    if not len(crypts):
        return []
    low, high = crypts[:, :2] - crypts[:, 2:], crypts[:, :2] + crypts[:, 2:]
    box = np.concatenate([low.min(axis=0), high.max(axis=0)])
    images = []
    for instance, level in enumerate(slide.levels(base), start=1):
        # The centre of a pixel of a reduced level lies between those that it is the mean of.
        own = (box + 0.5) / level.reduction - 0.5
        image = _image(study, number, instance, _tiles(level, low, high), own)
        images.append({**image, "pixel_mm": level.pixel_um / 1000})
    x, y = slide.slide_mm(base, *((box[:2] + box[2:]) / 2))
    return [
        {
            "kind": "adenoma",
            "size_mm": [round(float(box[n + 2] - box[n]) * slide.BASE_UM / 1000, 4) for n in (1, 0)],
            "centre_slide_mm": [round(x, 4), round(y, 4)],
            "crypts": [[round(float(value), 1) for value in crypt] for crypt in crypts],
            "images": images,
        }
    ]


def _tiles(level: Level, low: NDArray[np.floating], high: NDArray[np.floating]) -> list[int]:
    """The frames of a level on which crypts lie, from 1; the squares around them are given in pixels of the base."""
    width = level.tile * level.reduction
    first, last = ((edge + 0.5) // width for edge in (low, high))
    found = set()
    for (top, left), (bottom, right) in zip(first.astype(int).tolist(), last.astype(int).tolist(), strict=True):
        for row in range(max(top, 0), min(bottom, level.across - 1) + 1):
            found |= {row * level.across + column + 1 for column in range(left, min(right, level.across - 1) + 1)}
    return sorted(found)


_PICTURES: Final[dict[str, Callable[[ResolvedStudy, ResolvedSeries, int], Lesions]]] = {
    "es-endoscopy": _polyp,
    "vl-photo": _mole,
    "wsi": _adenoma,
}
