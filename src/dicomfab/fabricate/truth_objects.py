"""What the objects of a study refer to and what they say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydicom.dataset import Dataset

from dicomfab.fabricate.recipe import ResolvedStudy


def objects(study: ResolvedStudy) -> Iterator[dict[str, Any]]:
    """Each object of a study, ready for JSON.

    Yields:
        ``kind``, ``title``, ``modality`` and UIDs; ``references``: SOPInstanceUID of every instance that its attributes
        refer to, in order, each once; and ``says``: what its family tells of it.
    """
    from dicomfab.fabricate.iods import object_family
    from dicomfab.fabricate.kinds import OBJECTS
    from dicomfab.fabricate.plan import Planned
    from dicomfab.fabricate.study import numbered

    if not any(kind in OBJECTS for kind in study.kinds):
        return
    before: list[Planned] = []
    for number, series, plan in numbered(study, 1):
        if series.kind in OBJECTS:
            ds = plan.encodable(0)
            yield {
                "kind": series.kind,
                "title": OBJECTS[series.kind].title,
                "modality": str(ds.Modality),
                "sop_class_uid": str(ds.SOPClassUID),
                "series_instance_uid": str(ds.SeriesInstanceUID),
                "sop_instance_uid": str(ds.SOPInstanceUID),
                # RT structure sets refer to their study as if it were an instance (PS3.3 C.8.8.5).
                "references": [uid for uid in dict.fromkeys(_referenced(ds)) if uid != study.study_instance_uid],
                "says": object_family(series.kind).truth_of(study, series, number, tuple(before)),
            }
        before.append(Planned(series.kind, plan))


def _referenced(ds: Dataset) -> Iterator[str]:
    for element in ds:
        if element.keyword == "ReferencedSOPInstanceUID":
            yield str(element.value)
        elif element.VR == "SQ":
            for item in element.value:
                yield from _referenced(item)
