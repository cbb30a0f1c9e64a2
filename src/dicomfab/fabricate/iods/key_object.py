"""Key Object Selection Document (PS3.3 A.35.4) by TID 2010: images of interest, or rejected ones with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from dicomfab.fabricate.encode.items import Item, sequence
from dicomfab.fabricate.iods import sr_content as sr
from dicomfab.fabricate.iods.common import base, begun_s
from dicomfab.fabricate.iods.nuclear import moment
from dicomfab.fabricate.iods.references import without_pixels
from dicomfab.fabricate.iods.sightings import KeyImage, images, key_images
from dicomfab.fabricate.iods.sr_document import header, requested
from dicomfab.fabricate.kinds import OBJECTS, Code
from dicomfab.fabricate.plan import Planned, SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.fabricate.seeds import Draw

SOP_CLASS_UID: Final = "1.2.840.10008.5.1.4.1.1.88.59"
OF_INTEREST: Final[Code] = ("113000", "DCM", "Of Interest")
REJECTED: Final[Code] = ("113001", "DCM", "Rejected for Quality Reasons")
#: Some of CID 7011.
REASONS: Final[tuple[Code, ...]] = (
    ("111207", "DCM", "Image artifact(s)"),
    ("111209", "DCM", "Positioning"),
    ("111210", "DCM", "Motion blur"),
    ("111219", "DCM", "Inappropriate image processing"),
)
_MODIFIER: Final[Code] = ("113011", "DCM", "Document Title Modifier")
_DESCRIPTION: Final[Code] = ("113012", "DCM", "Key Object Description")
_EVIDENCE: Final = "CurrentRequestedProcedureEvidenceSequence"
_MADE_AFTER_S: Final = 3600.0


def plan_object(
    study: ResolvedStudy, series: ResolvedSeries, series_number: int, before: Sequence[Planned]
) -> SeriesPlan:
    """One document: a few images that show lesions, or the last image series."""
    ds = base(study, SOP_CLASS_UID, "KO", series_number)
    ds.InstanceNumber = "1"
    # What is rejected is repeated soon, so that is said at once; what is of interest, when somebody reads the study.
    after_s = begun_s(series_number) if series.kind == "ko-rejected" else _MADE_AFTER_S + series_number
    date, time = moment(study, after_s)
    ds.SeriesDate = ds.ContentDate = date
    ds.SeriesTime = ds.ContentTime = time
    ds.ReferencedPerformedProcedureStepSequence = Items()
    requested(ds, study)
    chosen = _chosen(study, series, before)
    _list_evidence(ds, study, chosen)
    ds.SeriesDescription = OBJECTS[series.kind].description
    _content(ds, study, series, chosen)
    return without_pixels(study, series_number, ds)


def truth_of(
    study: ResolvedStudy, series: ResolvedSeries, series_number: int, before: Sequence[Planned]
) -> dict[str, Any]:
    """What the document says: title, reason if it rejects, and the instances that it points at."""
    rejects = series.kind == "ko-rejected"
    return {
        "title": (REJECTED if rejects else OF_INTEREST)[2],
        "reason": _reason(study)[2] if rejects else "",
        "references": [
            {
                "series_instance_uid": one.planned.series_instance_uid,
                "sop_instance_uid": one.sop_instance_uid,
                "frame": one.frame or None,
            }
            for one in _chosen(study, series, before)
        ],
    }


def _chosen(study: ResolvedStudy, series: ResolvedSeries, before: Sequence[Planned]) -> list[KeyImage]:
    if series.kind == "ko":
        return key_images(study, before)
    shown = images(before)
    last = [one for one in shown if one.series_instance_uid == shown[-1].series_instance_uid]
    return [KeyImage(one, index, 0, "") for one in last for index in range(one.plan.count)]


def _list_evidence(ds: Dataset, study: ResolvedStudy, chosen: Iterable[KeyImage]) -> None:
    """CurrentRequestedProcedureEvidenceSequence (0040,A375): what is pointed at and nothing else (PS3.3 C.17.6.2.1)."""
    found: dict[str, dict[str, Item]] = {}
    for one in chosen:
        uid = one.sop_instance_uid
        item: Item = {"ReferencedSOPClassUID": one.planned.sop_class_uid, "ReferencedSOPInstanceUID": uid}
        found.setdefault(one.planned.series_instance_uid, {})[uid] = item
    listed: list[Item] = [
        {"SeriesInstanceUID": uid, "ReferencedSOPSequence": list(instances.values())}
        for uid, instances in found.items()
    ]
    whole: Item = {"StudyInstanceUID": study.study_instance_uid, "ReferencedSeriesSequence": listed}
    ds[_EVIDENCE] = sequence(_EVIDENCE, [whole])


def _reason(study: ResolvedStudy) -> Code:
    return Draw(study.seed, "rejected").choice(REASONS)


def _content(ds: Dataset, study: ResolvedStudy, series: ResolvedSeries, chosen: Sequence[KeyImage]) -> None:
    """SR Document Content: the root, and what TID 2010 has below it."""
    rejects = series.kind == "ko-rejected"
    below = header(study, series)
    if rejects:
        reason = _reason(study)
        below.append(sr.code(sr.MODIFIER, _MODIFIER, reason))
        text = f"SYNTHETIC DATA. Rejected: {reason[2]}. All {len(chosen)} instances of the series."
    else:
        text = "\r\n".join(("SYNTHETIC DATA. Key images:", *dict.fromkeys(one.words for one in chosen)))
    below.append(sr.text(sr.CONTAINS, _DESCRIPTION, text))
    below += [_image(one) for one in chosen]
    ds.update(sr.container("", REJECTED if rejects else OF_INTEREST, below, template="2010"))


def _image(one: KeyImage) -> Dataset:
    item = sr.image(sr.CONTAINS, None, one.planned, one.index)
    if one.frame:
        item.ReferencedSOPSequence[0].ReferencedFrameNumber = str(one.frame)
    return item
