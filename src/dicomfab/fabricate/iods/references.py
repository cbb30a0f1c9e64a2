"""How objects are planned, and refer to the images and objects that come before them in their study."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from dicomfab.fabricate.iods.image_pixel import numbered
from dicomfab.fabricate.plan import Planned, SeriesPlan
from dicomfab.fabricate.recipe import ResolvedStudy


def without_pixels(study: ResolvedStudy, series_number: int, ds: Dataset) -> SeriesPlan:
    """A series of one instance that is all in its data set."""
    return SeriesPlan(ds, 1, 0, numbered(study, series_number), lambda: iter(()), frames=0)


def of_kinds(before: Iterable[Planned], kinds: Collection[str]) -> list[Planned]:
    """Those of certain kinds, in order."""
    return [one for one in before if one.kind in kinds]


def reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """An item that refers to an instance (PS3.3 table 10-11)."""
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_instance_uid
    return item


def references(planned: Planned) -> Iterator[Dataset]:
    """An item that refers to it, for each instance."""
    for index in range(planned.plan.count):
        yield reference(planned.sop_class_uid, planned.sop_instance_uid(index))


def referenced_series(planned: Iterable[Planned]) -> Items:
    """ReferencedSeriesSequence (0008,1115) with every instance: items of SeriesInstanceUID and
    ReferencedInstanceSequence (PS3.3 table C.12-8).
    """
    items = []
    for series_instance_uid, instances in _by_series(planned):
        item = Dataset()
        item.ReferencedInstanceSequence = Items(instances)
        item.SeriesInstanceUID = series_instance_uid
        items.append(item)
    return Items(items)


def evidence(study: ResolvedStudy, planned: Iterable[Planned]) -> Items:
    """CurrentRequestedProcedureEvidenceSequence (0040,A375), PS3.3 C.17.2: every instance of what is referred to."""
    item = Dataset()
    item.ReferencedSeriesSequence = Items([_listed(uid, instances) for uid, instances in _by_series(planned)])
    item.StudyInstanceUID = study.study_instance_uid
    return Items([item])


def _listed(series_instance_uid: str, instances: Sequence[Dataset]) -> Dataset:
    item = Dataset()
    item.ReferencedSOPSequence = Items(instances)
    item.SeriesInstanceUID = series_instance_uid
    return item


def _by_series(planned: Iterable[Planned]) -> Iterator[tuple[str, list[Dataset]]]:
    found: dict[str, list[Dataset]] = {}
    for one in planned:
        found.setdefault(one.series_instance_uid, []).extend(references(one))
    yield from found.items()
