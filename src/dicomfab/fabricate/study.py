"""The instances of a resolved study, encoded, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from dicomfab.fabricate.kinds import KINDS
from dicomfab.fabricate.recipe import ResolvedStudy
from dicomfab.model.study import InstanceIdentity

if TYPE_CHECKING:
    from dicomfab.fabricate.iods.series import SeriesPlan

EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"

Buffer: TypeAlias = bytes | memoryview


@dataclass(frozen=True, slots=True)
class FabricatedInstance:
    """One instance, ready to be stored or sent.

    Args:
        identity: SOP class, SOP instance and transfer syntax.
        study_instance_uid: (0020,000D).
        series_instance_uid: (0020,000E).
        series_number: (0020,0011).
        instance_number: (0020,0013).
        modality: (0008,0060).
        buffers: joined, the encoded data set without file meta information. Whoever keeps an instance longer than
            until the next one keeps its pixels, and those of a few neighbours, in memory.
    """

    identity: InstanceIdentity
    study_instance_uid: str
    series_instance_uid: str
    series_number: int
    instance_number: int
    modality: str
    buffers: tuple[Buffer, ...]


def count(study: ResolvedStudy) -> int:
    """How many instances :func:`fabricate` will yield."""
    return sum(KINDS[series.kind].instances(series.count) for series in study.series)


def plans(study: ResolvedStudy, workers: int) -> Iterator[SeriesPlan]:
    """What the study is made of, in order; nothing is rendered before the pixels of a plan are iterated."""
    from dicomfab.fabricate.cards import as_cards
    from dicomfab.fabricate.iods import family

    number = 1
    for series in study.series:
        for plan in family(series.kind).plan(study, series, number, workers):
            if series.description:
                plan.dataset.SeriesDescription = series.description
            yield as_cards(plan, study) if series.style == "card" else plan
            number = int(plan.dataset.SeriesNumber) + 1


def fabricate(study: ResolvedStudy, *, workers: int | None = None) -> Iterator[FabricatedInstance]:
    """Make the instances of a study.

    Args:
        study: decides every byte.
        workers: threads that render; by default one per processor. The bytes do not depend on it.

    Yields:
        Instances in order of series and instance number, each rendered shortly before it is asked for.
    """
    from dicomfab.fabricate.render.batches import default_workers

    for plan in plans(study, workers or default_workers()):
        yield from _encoded(plan)


def _encoded(series: SeriesPlan) -> Iterator[FabricatedInstance]:
    from dicomfab.fabricate.encode.template import HeaderTemplate

    dataset = series.dataset
    vr = "OW" if dataset.BitsAllocated > 8 else "OB"
    template = HeaderTemplate(dataset, tuple(series.varying(0)), series.pixel_bytes, vr)
    for index, pixels in enumerate(series.pixels()):
        values = series.varying(index)
        yield FabricatedInstance(
            identity=InstanceIdentity(dataset.SOPClassUID, values["SOPInstanceUID"], EXPLICIT_VR_LITTLE_ENDIAN),
            study_instance_uid=dataset.StudyInstanceUID,
            series_instance_uid=dataset.SeriesInstanceUID,
            series_number=int(dataset.SeriesNumber),
            instance_number=int(values["InstanceNumber"]),
            modality=dataset.Modality,
            buffers=(template.header(values), pixels),
        )
