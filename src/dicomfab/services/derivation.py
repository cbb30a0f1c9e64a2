"""Lossily compressed copies of a local study's images: a derived series for each series, in the same study."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from dicomfab.archive.archive import Archive
from dicomfab.archive.incoming import Batch
from dicomfab.fabricate.seeds import uid
from dicomfab.model.errors import Conflict, Interrupted, InvalidInput
from dicomfab.services.progress import Cancelled, OnProgress, Progress

if TYPE_CHECKING:
    from dicomfab.archive.records import StoredInstance, StudyDetail
    from dicomfab.model.study import InstanceFile
    from dicomfab.pixels.writable import Writable

_CHUNK: Final = 1 << 20
_LOSSY_ALREADY: Final = "it is lossy already"


@dataclass(frozen=True, slots=True)
class DerivedSeries:
    """A series that was added.

    Args:
        source_series_instance_uid: what it was made of.
        series_instance_uid: its own.
        series_number: its own.
        instances: how many.
    """

    source_series_instance_uid: str
    series_instance_uid: str
    series_number: int
    instances: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Instances of a series that were not compressed, and why."""

    series_instance_uid: str
    reason: str
    instances: int


@dataclass(frozen=True, slots=True)
class Derived:
    """What became of a study.

    Args:
        study_instance_uid: the study.
        transfer_syntax: its short name.
        quality: on its scale.
        series: what was added.
        left_out: what was not compressed.
        source_bytes: the data sets that were compressed, as they are stored.
        size_bytes: the data sets made of them.
        seconds: time taken.
    """

    study_instance_uid: str
    transfer_syntax: str
    quality: int
    series: tuple[DerivedSeries, ...]
    left_out: tuple[LeftOut, ...]
    source_bytes: int
    size_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Request:
    """What is wanted.

    Args:
        syntax: a lossy transfer syntax.
        quality: on its scale.
        again: also compress what is lossy already.
    """

    syntax: Writable
    quality: int
    again: bool = False


def request(transfer_syntax: str, quality: int | None, *, again: bool = False) -> Request:
    """Check what a person asks for.

    Raises:
        InvalidInput: the transfer syntax is not known or not lossy, or the quality is not on its scale.
    """
    from dicomfab.pixels.writable import WRITABLE, writable

    syntax = writable(transfer_syntax)
    if syntax.quality is None:
        raise InvalidInput(
            f"lossy: {syntax.name} loses nothing",
            field="lossy",
            value=transfer_syntax,
            remedy=f"use one of {', '.join(one.name for one in WRITABLE.values() if one.lossy)}",
        )
    return Request(syntax, syntax.quality.checked(quality), again)


def derive_study(
    local: Archive, detail: StudyDetail, wanted: Request, on_progress: OnProgress, cancelled: Cancelled
) -> Derived:
    """Compress all images of a study that can be, all or nothing.

    Doing it again with the same arguments changes nothing: UIDs follow from those of the source.

    Raises:
        InvalidInput: none can be; nothing was done.
        TranscodingFailed: an image is damaged; nothing was stored.
        Interrupted: it was cancelled; nothing was stored.
        Conflict: the derived series are there with other content, which was kept.
    """
    start = time.perf_counter()
    study_uid = detail.summary.study_instance_uid
    sources, left_out = _sorted_out(local.instances(study_uid), wanted)
    if not sources:
        raise InvalidInput(
            f"study: nothing in {study_uid} can be compressed to {wanted.syntax.name}",
            field="study",
            value=study_uid,
            cause="; ".join(sorted({one.reason for one in left_out})) or "it has no instances",
            remedy="choose another transfer syntax, or another study",
        )
    series = _series(detail, sources, wanted)
    size, done = 0, 0
    with tempfile.TemporaryDirectory(prefix="dicomfab-") as folder, local.batch() as batch:
        for source in sources:
            if cancelled():
                raise Interrupted("compression was cancelled; nothing was kept")
            size += _derived(batch, detail, source, series[source.series_instance_uid], wanted, Path(folder))
            done += 1
            on_progress(Progress("compressing", done, len(sources)))
    if batch.kept:
        raise Conflict(
            f"the local store holds series derived from study {study_uid} with other content, which was kept",
            cause="the study was changed after they were made, or another version of this program made them",
            remedy="choose another quality, or make the study anew",
        )
    return Derived(
        study_instance_uid=study_uid,
        transfer_syntax=wanted.syntax.name,
        quality=wanted.quality,
        series=tuple(series.values()),
        left_out=tuple(left_out),
        source_bytes=sum(source.size_bytes for source in sources),
        size_bytes=size,
        seconds=time.perf_counter() - start,
    )


def _sorted_out(instances: Sequence[StoredInstance], wanted: Request) -> tuple[list[StoredInstance], list[LeftOut]]:
    from dicomfab.pixels.derive import assess

    sources: list[StoredInstance] = []
    reasons: Counter[tuple[str, str]] = Counter()
    for instance in instances:
        found = assess(instance.file, wanted.syntax.uid)
        reason = _LOSSY_ALREADY if found.lossy and not wanted.again else found.refused
        if reason:
            reasons[instance.series_instance_uid, reason] += 1
        else:
            sources.append(instance)
    return sources, [LeftOut(series, reason, count) for (series, reason), count in reasons.items()]


def _series(detail: StudyDetail, sources: Sequence[StoredInstance], wanted: Request) -> dict[str, DerivedSeries]:
    """The new series by the source's UID, numbered after those of the study."""
    numbers = {
        one.series_instance_uid: int(one.series_number) for one in detail.series if one.series_number.strip().isdigit()
    }
    following = max(numbers.values(), default=0) + 1
    counts = Counter(source.series_instance_uid for source in sources)
    series = {}
    for source_uid, count in counts.items():
        own = uid("lossy", source_uid, wanted.syntax.uid, wanted.quality)
        number = numbers.get(own)
        if number is None:
            number, following = following, following + 1
        series[source_uid] = DerivedSeries(source_uid, own, number, count)
    return series


def _derived(
    batch: Batch, detail: StudyDetail, source: StoredInstance, series: DerivedSeries, wanted: Request, folder: Path
) -> int:
    """Compress one instance into the batch; the bytes of its data set."""
    from dicomfab.pixels.derive import derive

    made: InstanceFile = derive(
        source.file,
        wanted.syntax.uid,
        folder,
        sop_instance_uid=uid("lossy", source.identity.sop_instance_uid, wanted.syntax.uid, wanted.quality),
        series_instance_uid=series.series_instance_uid,
        series_number=series.series_number,
        quality=wanted.quality,
    )
    try:
        with made.path.open("rb") as file, batch.begin(made.identity) as incoming:
            file.seek(made.dataset_offset)
            _copy(file, incoming.write)
            size = incoming.size_bytes
            incoming.commit(environment=detail.summary.environment)
    finally:
        made.path.unlink()
    return size


def _copy(file: BinaryIO, write: Callable[[bytes], None]) -> None:
    while data := file.read(_CHUNK):
        write(data)
