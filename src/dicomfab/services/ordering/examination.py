"""One examination as a modality performs it: MPPS, images, storage, commitment (IHE RAD-6, RAD-8, RAD-7, RAD-10)."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from dicomfab.dimse.scu.availability import notify
from dicomfab.dimse.scu.performed_step import completed, discontinued, in_progress
from dicomfab.fabricate.kinds import ALL_KINDS
from dicomfab.model.errors import AssociationAborted, Interrupted, PeerError, PeerTimeout, TransferIncomplete
from dicomfab.model.procedure import ProcedureEventKind
from dicomfab.services.ordering.committing import commitment
from dicomfab.services.ordering.modality_config import ModalityConfig, Told
from dicomfab.services.ordering.performing import (
    FAILED,
    REASONS,
    UNSPECIFIED,
    WRONG_ITEM,
    available,
    begun,
    character_set,
    ended,
    unordered,
)
from dicomfab.services.ordering.timing import planned, wait
from dicomfab.services.progress import Cancelled
from dicomfab.services.transfer_reports import Earlier, Watch
from dicomfab.services.verification import VerdictKind

if TYPE_CHECKING:
    from pydicom import Dataset

    from dicomfab.archive.archive import Archive
    from dicomfab.archive.records import StoredInstance
    from dicomfab.fabricate.recipe import ResolvedStudy
    from dicomfab.model.actor import Actor
    from dicomfab.services.studies import StudyService
    from dicomfab.services.transfer import TransferService

#: Told what became of a study: its Study Instance UID, what, a text and a reference.
Note = Callable[[str, ProcedureEventKind, str, str], None]
_STOPPED: Final = "the modality was stopped"


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be performed.

    Args:
        items: of the worklist, all of one patient; none if nobody ordered it.
        study: what is made; its time is decided when it begins.
        reason: why it will be broken off after the images; empty if it will not.
    """

    items: tuple[Dataset, ...]
    study: ResolvedStudy
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Equipment:
    """What every examination needs.

    Args:
        studies: fabricates.
        transfers: sends.
        local: where studies stay.
        now: local time.
        new_uid: gives a UID that nobody else will.
        note: told what became of a study.
    """

    studies: StudyService
    transfers: TransferService
    local: Archive
    now: Callable[[], dt.datetime]
    new_uid: Callable[[], str]
    note: Note


class Examination:
    """Performs one task.

    Args:
        equipment: with what.
        actor: who wants it, and may.
        config: how.
        task: what.
        stopped: asked all the while; what has begun is then reported as discontinued.
    """

    def __init__(
        self, equipment: Equipment, actor: Actor, config: ModalityConfig, task: Task, stopped: Cancelled
    ) -> None:
        self._with = equipment
        self._actor = actor
        self._config = config
        self._task = task
        self._stopped = stopped
        self._ris = replace(config.worklist, calling_ae_title=config.ae_title)
        self._plan = planned(task.study, config.pace, equipment.now())
        self._uid = self._plan.study.study_instance_uid
        self._items = task.items or (unordered(self._plan.study),)
        self._step = equipment.new_uid()
        self._before = frozenset(one.identity.sop_instance_uid for one in equipment.local.instances(self._uid))

    def perform(self) -> Iterator[Told]:
        """Do it, to the end of the loop.

        Yields:
            Each step when it is done.

        Raises:
            PeerError: a step failed; those before it were done. What has begun is reported as discontinued.
            TransferIncomplete: images are missing at the PACS, or are not committed to.
        """
        try:
            self._begin()
        except (PeerTimeout, AssociationAborted):  # only the answer may be lost, and the step be in progress there
            self._end_failed()
            raise
        yield self._told("in progress", f"MPPS {self._step}", self._step)
        is_over = False
        try:
            yield from self._acquired()
            yield self._stored()
            told = self._end(self._task.reason)
            is_over = True
            yield told
        except Interrupted:
            if is_over or not self._stopped():
                raise
            told = self._end(UNSPECIFIED)
            is_over = True
            yield told
            return
        finally:
            if not is_over:  # a step that stays in progress would never leave the worklist
                self._end_failed()
        if self._config.commit_s:
            yield self._committed()
        if self._config.announce and self._task.reason != WRONG_ITEM:
            yield self._announced()

    def _begin(self) -> None:
        study, begins = self._plan.study, self._plan.begins
        step_id = f"PPS{self._with.now():%H%M%S%f}"[:16]
        modality = ALL_KINDS[study.kinds[0]].modality
        news = begun(self._items, self._config.ae_title, step_id, modality, begins, study_id=study.study_id)
        in_progress(self._ris, self._step, news)

    def _acquired(self) -> Iterator[Told]:
        plan, start = self._plan, time.monotonic()
        if plan.pace:
            for number, turn in enumerate(plan.turns, start=1):
                wait(start + plan.wait_s(turn.begins_s), self._stopped)
                said = f"series {number} of {len(plan.turns)}: {_instances(turn.instances)} of {turn.modality}"
                yield self._told("acquiring", said)
            wait(start + plan.wait_s(plan.ends_s), self._stopped)
        self._with.studies.create(self._actor, plan.study, cancelled=self._stopped)
        yield self._told("acquired", f"{_instances(len(self._made()))} of {', '.join(plan.study.kinds)}")

    def _stored(self) -> Told:
        pacs, made = self._config.pacs, self._made()
        is_more = self._task.study.added_to is not None
        report = self._with.transfers.send(
            self._actor,
            self._uid,
            replace(pacs, aet_store=self._config.ae_title),
            watch=Watch(cancelled=self._stopped),
            earlier=Earlier(accepted=self._before) if is_more else None,
        )
        if report.error is not None:
            raise report.error
        if report.cancelled:
            raise Interrupted(_STOPPED)
        if report.verdict.kind is not VerdictKind.VERIFIED:
            raise TransferIncomplete(
                f"{pacs.name} does not hold all of study {self._uid}",
                cause=str(report.verdict),
                remedy=f"compare them: dicomfab verify {self._uid} --on {pacs.id}",
            )
        said = f"{_instances(len(made))} at {pacs.name}"
        self._note(ProcedureEventKind.STORED, said, "")
        return self._told("stored", said)

    def _end(self, reason: str) -> Told:
        """Tell the information system; the end never lies before the beginning."""
        end = max(self._with.now(), self._plan.begins).astimezone(self._plan.begins.tzinfo)  # clocks may go back
        protocol, written_in = self._plan.study.study_description, character_set(self._items)
        news = ended(self._made(), protocol, end, reason=reason, written_in=written_in)
        (discontinued if reason else completed)(self._ris, self._step, news)
        why = f": {reason} {REASONS[reason]}" if reason else ""
        return self._told("discontinued" if reason else "completed", f"MPPS {self._step}{why}", self._step)

    def _end_failed(self) -> None:
        with suppress(PeerError):  # what broke it off says more
            self._end(FAILED)

    def _committed(self) -> Told:
        transaction, answered = commitment(self._config, self._with.new_uid(), self._made(), self._stopped)
        if answered is None:
            return self._told("not committed", f"{_STOPPED} before the report came", transaction)
        said = f"{self._config.pacs.name} answers for {_instances(answered)}"
        self._note(ProcedureEventKind.COMMITTED, said, transaction)
        return self._told("committed", said, transaction)

    def _announced(self) -> Told:
        """In the name of the PACS, which is whose part it is."""
        made, aec = self._made(), self._config.pacs.aec
        ris = replace(self._config.worklist, calling_ae_title=aec)
        answered = notify(ris, available(self._uid, made, self._step, aec), sop_instance_uid=self._with.new_uid())
        said = f"{len(made)} instances are available at {aec}"
        return self._told("announced", said, answered.sop_instance_uid)

    def _made(self) -> list[StoredInstance]:
        """What this examination has made, series by series."""
        found = self._with.local.instances(self._uid)
        return [one for one in found if one.identity.sop_instance_uid not in self._before]

    def _note(self, kind: ProcedureEventKind, said: str, reference: str) -> None:
        """Note it with every order that this is for."""
        for uid in dict.fromkeys(str(item.StudyInstanceUID) for item in self._items):
            self._with.note(uid, kind, said, reference)

    def _told(self, step: str, text: str, reference: str = "") -> Told:
        return Told(step, text, self._uid, reference)


def _instances(number: int) -> str:
    return f"{number} instance" if number == 1 else f"{number} instances"
