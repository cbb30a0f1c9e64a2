"""Local studies as one zip with a DICOMDIR at its root, made while it is sent: memory holds one record an instance."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final, cast

from dicomfab.access.policy import Action, require
from dicomfab.model.audit import AuditEvent, EventKind
from dicomfab.model.errors import InvalidInput
from dicomfab.model.study import Buffer
from dicomfab.services.dicomdir import Directory
from dicomfab.services.recording import of_study, recorded

if TYPE_CHECKING:
    from dicomfab.archive.records import StudySummary
    from dicomfab.model.actor import Actor
    from dicomfab.services.studies import StudyService

_CHUNK: Final = 256 << 10
_DATE: Final = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say; the files have dates of their own inside
_README: Final = (
    "DICOM files with a DICOMDIR (PS3.10), as DICOM Fabricator exported them. Viewers open the folder, or DICOMDIR.\n"
)


@dataclass(frozen=True, slots=True)
class Media:
    """A zip to be sent.

    Args:
        name: for the file.
        studies: what is in it.
        chunks: its bytes, once.
    """

    name: str
    studies: tuple[StudySummary, ...]
    chunks: Iterator[bytes]


def media(studies: StudyService, actor: Actor, study_instance_uids: Sequence[str]) -> Media:
    """Local studies as a zip: DICOMDIR, and the files under names of eight characters (general purpose media, PS3.11).

    Each instance keeps its transfer syntax. Every study is recorded as an export before the first byte.

    Raises:
        InvalidInput: no study.
        NotFound: one is not there.
        AccessDenied: the actor may not export from its environment.
    """
    summaries = []
    for uid in dict.fromkeys(study_instance_uids):
        summary = studies.brief(actor, uid).summary
        require(actor, Action.EXPORT, summary.environment)
        summaries.append(summary)
    if not summaries:
        raise InvalidInput("study: choose at least one study", field="study", value="")
    name = f"studies-{len(summaries)}.zip" if len(summaries) > 1 else f"study-{_safe(summaries[0])}.zip"
    chunks = _zipped(studies, actor, summaries, name)
    next(chunks)  # what has to be recorded is, or nothing is sent
    return Media(name, tuple(summaries), chunks)


def _safe(study: StudySummary) -> str:
    name = study.accession_number or study.study_instance_uid
    return "".join(c if c.isascii() and (c.isalnum() or c in "-.") else "_" for c in name)[:64]


def _zipped(studies: StudyService, actor: Actor, summaries: Sequence[StudySummary], name: str) -> Iterator[bytes]:
    sink, directory = _Sink(), Directory()
    with ExitStack() as stack:
        for summary in summaries:
            stack.enter_context(studies.local.using(summary.study_instance_uid))
            event = AuditEvent.by(
                actor,
                EventKind.EXPORT,
                environment=str(summary.environment),
                subject=name,
                **{**of_study(summary, ()), "detail": {"instances": str(summary.instance_count)}},
            )
            stack.enter_context(recorded(studies.record, event, ahead=True))
        yield b""
        archive = stack.enter_context(
            zipfile.ZipFile(cast("IO[bytes]", sink), "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        )
        for summary in summaries:
            for instance in studies.local.instances(summary.study_instance_uid):
                entry = _entry(directory.add(instance), instance.path.stat().st_size)
                with archive.open(entry, "w") as target, instance.path.open("rb") as source:
                    while piece := source.read(_CHUNK):
                        target.write(piece)
                        yield sink.taken()
        with archive.open(_entry("DICOMDIR", 0), "w", force_zip64=True) as target:
            for piece in directory.chunks():
                target.write(piece)
                if len(sink.data) > _CHUNK:
                    yield sink.taken()
        archive.writestr(_entry("README.TXT", 0), _README)
        archive.close()
        yield sink.taken()


def _entry(name: str, size: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.file_size = size
    entry.external_attr = 0o644 << 16
    return entry


class _Sink(io.RawIOBase):
    """Takes what the zip writes, and gives it on; it cannot be gone back in."""

    def __init__(self) -> None:
        super().__init__()
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:  # type: ignore[override]  # typeshed's own Buffer is not for 3.11
        self.data += data
        return memoryview(data).nbytes

    def taken(self) -> bytes:
        """What was written since."""
        data, self.data = bytes(self.data), bytearray()
        return data
