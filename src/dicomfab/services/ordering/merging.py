"""Merges and new data of patients, carried through to the studies of the local store.

Only fabricated studies of the test environment are rewritten. Whatever is of production, and every copy of what
somebody else made, stays as it came: it is what its server holds, and the server is where it has to be changed.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dicomfab.access.policy import Action, Scope, require, visible
from dicomfab.archive.archive import Archive
from dicomfab.archive.records import StudyFilter, StudySort, StudySummary
from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind
from dicomfab.model.errors import Conflict, DicomFabError, InvalidInput, LocalFailure, NotFound, TranscodingFailed
from dicomfab.model.log_lines import log_failure
from dicomfab.model.values import Environment
from dicomfab.services.progress import Cancelled, never
from dicomfab.services.recording import Record, nobody, recorded
from dicomfab.storage.merges import MergeRepository, PatientMerge

if TYPE_CHECKING:
    from dicomfab.services.provenance import Origin

log = logging.getLogger(__name__)

#: What a message may say of a patient that every instance says too.
_REWRITTEN: Final = ("PatientName", "PatientBirthDate", "PatientSex")
_PAGE: Final = 500
_AT_ONCE: Final = 100
_OF_PRODUCTION: Final = "of production: local copies stay as their server sent them, fetch them again"


@dataclass(slots=True)
class _Tally:
    """What became of the studies of one patient."""

    studies: int = 0
    instances: int = 0
    failed: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    others: int = 0

    @property
    def is_nothing(self) -> bool:
        return not (self.studies or self.failed or self.waiting)

    def words(self) -> str:
        said = []
        if self.studies:
            said.append(f"{_counted(self.studies, 'study', 'studies')}, {_counted(self.instances, 'instance')} changed")
        if self.others:
            are = "is" if self.others == 1 else "are"
            said.append(f"{_counted(self.others, 'study', 'studies')} {are} not fabricated: not touched")
        said += [*self.failed, *self.waiting]
        return "; ".join(said)[:2000] or "no local study is left to be changed"


@dataclass(frozen=True, slots=True)
class MergingService:
    """Carries out merges and updates of patients.

    Args:
        merges: where they are kept.
        local: the local store.
        origin: what a local study is made of.
        record: the audit log.
    """

    merges: MergeRepository
    local: Archive
    origin: Callable[[str], Origin]
    record: Record = nobody

    def page(self, actor: Actor, limit: int = 100) -> list[PatientMerge]:
        """Merges and updates that the actor may see, the newest first."""
        return self.merges.newest(visible(actor, Action.VIEW), limit)

    def carry_out(self, actor: Actor, cancelled: Cancelled = never) -> list[PatientMerge]:
        """Rewrite the local studies of every merge and update that is pending, the oldest first.

        Each study is changed as a whole or not at all, so that what was broken off is done again. A study that is in
        use is left for the next time, and with it all that is known later of its patient.

        Args:
            actor: needs FABRICATE; what is of an environment that the actor does not see is left.
            cancelled: asked before each study; what is left is done another time.

        Returns:
            Those that were looked at, with what came of them; updates that concern no local study are left out.

        Raises:
            AccessDenied: the actor may not.
            LocalFailure: disk or database failed; what was done stays done.
        """
        require(actor, Action.FABRICATE, Scope.SYSTEM)
        done, waiting, idle = [], set[str](), []
        for merge in self.merges.pending(visible(actor, Action.VIEW), _AT_ONCE):
            ids = {merge.prior_id, merge.patient_id}
            if ids & waiting:
                waiting |= ids
                continue
            if merge.environment is not Environment.TEST:
                done.append(self._noted(merge, _OF_PRODUCTION, is_done=True))
                continue
            tally = self._carried(actor, merge, cancelled)
            if tally.waiting:
                waiting |= ids
            if merge.is_update and tally.is_nothing:
                idle.append(merge.number)
            else:
                done.append(self._noted(merge, tally.words(), is_done=not tally.waiting))
        self.merges.forget(idle)
        return done

    def _noted(self, merge: PatientMerge, outcome: str, *, is_done: bool) -> PatientMerge:
        if (outcome, is_done) != (merge.outcome, merge.is_done):
            self.merges.note(merge.number, outcome, is_done=is_done)
            log.info("merge or update %d: %s", merge.number, outcome)
        return replace(merge, outcome=outcome, is_done=is_done)

    def _carried(self, actor: Actor, merge: PatientMerge, cancelled: Cancelled) -> _Tally:
        from pydicom.errors import InvalidDicomError

        from dicomfab.services.provenance import Origin

        tally = _Tally()
        for study in self._studies(merge):
            if cancelled():
                tally.waiting.append("stopped before it was done")
                return tally
            uid = study.study_instance_uid
            attributes = _attributes(merge, study)
            if self.origin(uid) is not Origin.SYNTHETIC:
                tally.others += study.patient_id == merge.prior_id
                continue
            try:
                count = self._rewritten(actor, merge, study, attributes)
            except (TranscodingFailed, InvalidInput, InvalidDicomError, OSError) as error:
                words = error.what if isinstance(error, DicomFabError) else str(error)
                tally.failed.append(f"study {uid} stays as it was: {words}")
            except NotFound:  # somebody deleted it meanwhile
                continue
            except Conflict as error:
                tally.waiting.append(error.what)
            except LocalFailure:
                raise
            except Exception as error:  # noqa: BLE001 (logged and told; all that is pending would wait for it for ever)
                log_failure(log, f"merge or update {merge.number} of study {uid}", error)
                tally.failed.append(f"study {uid} stays as it was: the application failed")
            else:
                tally.studies += bool(count)
                tally.instances += count
        return tally

    def _studies(self, merge: PatientMerge) -> list[StudySummary]:
        """Those of the identifier that ended, then those of the one that stays: all are of one patient now."""
        ends = list(self._of(merge.prior_id, merge.prior_issuer))
        known = {one.study_instance_uid for one in ends}
        stays = self._of(merge.patient_id, merge.issuer)
        return ends + [one for one in stays if one.study_instance_uid not in known]

    def _of(self, patient_id: str, issuer: str) -> Iterator[StudySummary]:
        wanted, offset = StudyFilter(patient_id=patient_id), 0
        while True:
            page = self.local.studies(
                wanted,
                environments=(Environment.TEST,),
                sort=StudySort.STORED,
                limit=_PAGE,
                offset=offset,
                counted=False,
            )
            for one in page.studies:
                if one.patient_id == patient_id and (not issuer or one.issuer in ("", issuer)):
                    yield one
            offset += _PAGE
            if len(page.studies) < _PAGE:
                return

    def _rewritten(self, actor: Actor, merge: PatientMerge, study: StudySummary, attributes: dict[str, str]) -> int:
        """Rewrite one study; how many instances it has, 0 if it says all of it already."""
        from dicomfab.services.changes import rewrite

        uid = study.study_instance_uid
        instances = self.local.instances(uid)
        if not instances or _says(instances[0].path, attributes):
            return 0
        event = AuditEvent.by(
            actor,
            EventKind.PATIENT_CHANGE,
            environment=str(study.environment),
            study_uids=(uid,),
            patient_ids=tuple(dict.fromkeys((merge.prior_id, merge.patient_id))),
            subject="local study",
            detail={"message": str(merge.message or ""), "instances": str(len(instances))},
        )
        with (
            recorded(self.record, event),
            self.local.rewriting(uid) as batch,
            tempfile.TemporaryDirectory(prefix="dicomfab-") as folder,
        ):
            now_of = self.local.study(uid).summary.patient_id
            if now_of not in (merge.prior_id, merge.patient_id):  # another process has done what was said later
                raise Conflict(f"study {uid} went on to another patient meanwhile", cause="another process changed it")
            for one in self.local.instances(uid):
                rewrite(batch, one.file, study.environment, attributes, Path(folder))
        return len(instances)


def _attributes(merge: PatientMerge, study: StudySummary) -> dict[str, str]:
    """What the instances have to say; what the message does not say stays."""
    found = {"PatientID": merge.patient_id}
    if issuer := merge.issuer or study.issuer:
        found["IssuerOfPatientID"] = issuer
    return found | {keyword: merge.value(keyword) for keyword in _REWRITTEN if merge.value(keyword)}


def _says(path: Path, attributes: dict[str, str]) -> bool:
    from pydicom import dcmread

    ds = dcmread(path, stop_before_pixels=True, specific_tags=["SpecificCharacterSet", *attributes])
    return all(str(ds.get(keyword, "") or "") == value for keyword, value in attributes.items())


def _counted(number: int, one: str, several: str = "") -> str:
    return f"{number} {one if number == 1 else several or f'{one}s'}"
