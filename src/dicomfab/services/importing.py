"""DICOM files from outside, taken into the local store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Final

from dicomfab.access.policy import Action, decide
from dicomfab.archive.archive import Archive
from dicomfab.archive.incoming import Batch
from dicomfab.archive.records import Outcome, Stored, StoredInstance
from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind
from dicomfab.model.audit import Outcome as AuditOutcome
from dicomfab.model.errors import Conflict, InvalidInput, NotFound, TranscodingFailed
from dicomfab.model.study import InstanceFile
from dicomfab.model.values import Environment
from dicomfab.pixels.streams import have_same_bytes
from dicomfab.services.import_files import Found, Refused, Walk, temporary_folder
from dicomfab.services.marks import marks_of
from dicomfab.services.progress import Cancelled, OnProgress, Progress, ignore, never
from dicomfab.services.recording import Record, nobody, of_study

_BATCH: Final = 100  # instances in one transaction of the archive
_CHUNK: Final = 1 << 20
_SHOWN_REFUSED: Final = 3
_OTHER_CONTENT: Final = "the local store holds this SOP instance with other content, which was kept"
#: Why a file of a study with declared defects is refused.
DECLARED: Final = (
    "its study was fabricated with declared defects, and the local store keeps only what can be read back; "
    "send it from its folder to a test server: dicomfab send FOLDER --to SERVER"
)


@dataclass(slots=True)
class ImportedStudy:
    """A study that files belong to.

    Args:
        study_instance_uid: the study.
        new: instances that are in the local store now, and were not before.
        already: instances that were there with the same content.
    """

    study_instance_uid: str
    new: int = 0
    already: int = 0


@dataclass(slots=True)
class Imported:
    """What became of files.

    Args:
        studies: by Study Instance UID, in the order in which they were found.
        refused: DICOM files that were not taken, and why; their names may tell of a patient.
        denied: why, for those of them that the actor may not take.
        defective: by Study Instance UID, how many of them are of a study that was fabricated with declared defects.
        skipped: how many files were no DICOM instances.
        size_bytes: of the data sets that are new.
        seconds: time taken.
        stopped: it was cancelled; what was taken until then is kept.
    """

    studies: dict[str, ImportedStudy] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)
    denied: list[str] = field(default_factory=list)
    defective: dict[str, int] = field(default_factory=dict)
    skipped: int = 0
    size_bytes: int = 0
    seconds: float = 0.0
    stopped: bool = False

    @property
    def taken(self) -> int:
        """Instances of the files that are in the local store now."""
        return sum(one.new + one.already for one in self.studies.values())

    def must_be_complete(self) -> None:
        """For somebody who goes on with what was imported.

        Raises:
            Conflict: not all files were taken.
        """
        if self.refused:
            first = "; ".join(f"{one.name}: {one.reason}" for one in self.refused[:_SHOWN_REFUSED])
            raise Conflict(
                f"{len(self.refused)} of the DICOM files cannot be taken into the local store: {first}. "
                "Nothing was sent",
                cause="they are damaged, or another version of the same SOP instance is there",
                remedy="mend or remove them, or delete the local study if the files are right",
            )


@dataclass(slots=True)
class ImportService:
    """Takes files into the local store.

    Args:
        local: the local store.
        is_fabricated: whether the ledger knows a Study Instance UID as one that was fabricated here.
        record: has each study recorded.
    """

    local: Archive
    is_fabricated: Callable[[str], bool]
    record: Record = nobody

    def take(
        self,
        actor: Actor,
        paths: Sequence[Path],
        *,
        with_defects: bool = False,
        on_progress: OnProgress = ignore,
        cancelled: Cancelled = never,
    ) -> Imported:
        """Take in all DICOM instances of files, folders and zips (PS3.10); what is there already stays as it is.

        What our mark or our ledger proves to be fabricated belongs to test, all else to production. Again is harmless:
        it goes on where it was stopped.

        Args:
            actor: needs RETRIEVE in the environments of what is found.
            paths: files, folders with everything below them, zips.
            with_defects: also studies that were fabricated with declared defects, on their way to a server.
            on_progress: told how many instances were dealt with.
            cancelled: asked before each file.

        Raises:
            NotFound: a path does not exist, or there is not one DICOM file.
            InvalidInput: no path is named, or a zip is a bomb; what came before it is kept.
            ArchiveFailure, DiskFull: the local store takes no more; what was taken is kept.
        """
        if not paths:
            raise InvalidInput("path: nothing was named", field="path", remedy="name files, folders or zips")
        start, made = time.perf_counter(), Imported()
        with self._recorded(actor, paths, made), temporary_folder() as folder:
            walk = Walk(paths, Path(folder))
            found, is_fabricated = iter(walk), cache(self.is_fabricated)
            while not made.stopped:
                held = _Held(self.local, is_fabricated, with_defects=with_defects)
                if not self._some(actor, found, held, made, cancelled):
                    break
                on_progress(Progress("importing", made.taken + len(made.refused), None))
        made.refused += walk.refused
        made.skipped = walk.skipped
        made.seconds = time.perf_counter() - start
        if not (made.studies or made.refused or made.stopped):
            raise NotFound(
                f"there is no DICOM file in {', '.join(map(str, paths[:_SHOWN_REFUSED]))}.",
                cause=f"{made.skipped} other files were seen; a DICOM file has DICM at byte 128 (PS3.10 7.1)",
                remedy="name the folder or the zip that has the DICOM files",
            )
        return made

    @contextmanager
    def _recorded(self, actor: Actor, paths: Sequence[Path], made: Imported) -> Iterator[None]:
        """An entry for each study that something was taken of, however it ended; and one if something was refused."""
        self.record()
        try:
            yield
        finally:
            subject, events = f"{len(paths)} paths", []  # whose names may tell of a patient
            for one in made.studies.values():
                summary = self.local.study(one.study_instance_uid).summary
                detail = {"new": str(one.new), "there already": str(one.already)}
                given = {**of_study(summary, ()), "environment": str(summary.environment), "detail": detail}
                events.append(AuditEvent.by(actor, EventKind.IMPORT, subject=subject, **given))
            if made.denied:
                refusal = {
                    "outcome": AuditOutcome.SERIOUS,
                    "reason": made.denied[-1],
                    "subject": f"import of {subject}",
                }
                detail = {"files": str(len(made.denied))}
                events.append(AuditEvent.by(actor, EventKind.REFUSAL, detail=detail, **refusal))
            if events:
                self.record(*events)

    def _some(self, actor: Actor, found: Iterator[Found], held: _Held, made: Imported, cancelled: Cancelled) -> bool:
        """Take in the next files, in one transaction; whether there were any."""
        names: list[str] = []
        seen = False
        with self.local.batch() as batch:
            for one in islice(found, _BATCH):
                seen = True
                try:
                    if self._begun(actor, one, held, made, batch):
                        names.append(one.name)
                except (InvalidInput, TranscodingFailed) as error:
                    made.refused.append(Refused(one.name, error.what))
                except OSError as error:
                    made.refused.append(Refused(one.name, error.strerror or str(error)))
                if cancelled():
                    made.stopped = True
                    break
        _count(zip(names, batch.stored, strict=True), made)
        return seen

    def _begun(self, actor: Actor, found: Found, held: _Held, made: Imported, batch: Batch) -> bool:
        """Hand one instance to the batch, unless it is there already or may not be taken."""
        file = found.file
        marks = marks_of(file)
        if marks.has_defect and not held.with_defects:
            made.refused.append(Refused(found.name, DECLARED))
            made.defective[marks.study_instance_uid] = made.defective.get(marks.study_instance_uid, 0) + 1
            return False
        is_ours = marks.is_proven or held.is_fabricated(marks.study_instance_uid)
        is_here = held.same(marks.study_instance_uid, file)
        environment = held.environment if is_here else Environment.TEST if is_ours else Environment.PROD
        decision = decide(actor, Action.RETRIEVE, environment)
        if not decision.allowed:
            # The same words whether it is here or not: who may not bring it is not told what there is.
            origin = "it is synthetic" if is_ours else "nothing proves that it is synthetic, so it counts as production"
            made.refused.append(Refused(found.name, f"{origin}: {decision.reason}"))
            made.denied.append(decision.reason)
            return False
        if is_here:
            held.keep(file)
            _study(made, marks.study_instance_uid).already += 1
            return False
        with file.path.open("rb") as opened, batch.begin(file.identity) as incoming:
            opened.seek(file.dataset_offset)
            while data := opened.read(_CHUNK):
                incoming.write(data)
            incoming.commit(environment=environment)
        return True


class _Held:
    """What is known of the study that files come from one after the other.

    Attributes:
        environment: of the study as it is in the local store; production if it is not there.
    """

    def __init__(self, local: Archive, is_fabricated: Callable[[str], bool], *, with_defects: bool) -> None:
        self.is_fabricated = is_fabricated
        self.with_defects = with_defects
        self.environment = Environment.PROD
        self._local = local
        self._study = ""
        self._instances: dict[str, StoredInstance] = {}
        self._expires = False

    def same(self, study_instance_uid: str, file: InstanceFile) -> bool:
        """Whether an instance is there with the same bytes; then its study's environment stays as it is known."""
        if study_instance_uid != self._study:
            instances = self._local.instances(study_instance_uid)
            self._study = study_instance_uid
            self._instances = {one.identity.sop_instance_uid: one for one in instances}
            summary = self._local.study(study_instance_uid).summary if instances else None
            self._expires = bool(summary and summary.retrieved_at)
            self.environment = summary.environment if summary else Environment.PROD
        before = self._instances.get(file.identity.sop_instance_uid)
        return before is not None and before.identity == file.identity and have_same_bytes(before.file, file)

    def keep(self, file: InstanceFile) -> None:
        """What somebody takes in by hand does not expire, wherever it came from before."""
        if self._expires:
            self._local.keep(file.identity.sop_instance_uid)


def _count(stored: Iterable[tuple[str, Stored]], made: Imported) -> None:
    for name, one in stored:
        if one.outcome in (Outcome.KEPT, Outcome.REFUSED):
            made.refused.append(Refused(name, _OTHER_CONTENT))
            continue
        study = _study(made, one.instance.study_instance_uid)
        if one.is_new:
            study.new += 1
            made.size_bytes += one.instance.size_bytes
        else:
            study.already += 1


def _study(made: Imported, study_instance_uid: str) -> ImportedStudy:
    return made.studies.setdefault(study_instance_uid, ImportedStudy(study_instance_uid))
