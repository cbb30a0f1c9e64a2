"""A modality: takes items of a worklist, performs them, and closes the loop (IHE RAD SWF.b, RAD-5 to RAD-8, RAD-10).

It works with test only: images with the names of real patients that are not of them are nothing that may exist.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pydicom import Dataset

from dicomfab.access.policy import Action, Scope, require
from dicomfab.dimse.scu.worklist import default_identifier, worklist
from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind, Node
from dicomfab.model.errors import Interrupted, InvalidInput, NotFound, PeerError
from dicomfab.model.procedure import ProcedureEventKind
from dicomfab.services.ordering.choosing import Choice, key, named
from dicomfab.services.ordering.committing import require_hearing
from dicomfab.services.ordering.examination import Equipment, Examination, Note, Task
from dicomfab.services.ordering.modality_config import (
    AE_TITLE,
    COMMIT_S,
    PORT,
    ModalityConfig,
    Told,
    must_be_performable,
    to_look,
)
from dicomfab.services.ordering.reach import require_reach
from dicomfab.services.ordering.timing import wait
from dicomfab.services.progress import Cancelled, never
from dicomfab.services.recording import Record, nobody, recorded

if TYPE_CHECKING:
    from dicomfab.archive.archive import Archive
    from dicomfab.registry.server import PacsServer
    from dicomfab.services.studies import StudyService
    from dicomfab.services.transfer import TransferService

__all__ = ["AE_TITLE", "COMMIT_S", "PORT", "ModalityConfig", "ModalityService", "Told"]


def _forget(_study: str, _kind: ProcedureEventKind, _text: str, _reference: str) -> None:
    """For those who keep no procedures."""


@dataclass(frozen=True, slots=True)
class ModalityService:
    """Performs what a worklist asks for.

    Args:
        studies: fabricates.
        transfers: sends.
        local: the local store, where the study stays.
        now: local time.
        new_uid: gives a UID that nobody else will.
        servers: that are registered, as they are now.
        record: the audit log.
        note: told what became of a study: its Study Instance UID, what, a text and a reference.
    """

    studies: StudyService
    transfers: TransferService
    local: Archive
    now: Callable[[], dt.datetime]
    new_uid: Callable[[], str]
    servers: Callable[[], Sequence[PacsServer]]
    record: Record = nobody
    note: Note = _forget

    def items(self, actor: Actor, config: ModalityConfig, *, limit: int | None = None) -> list[Dataset]:
        """What the worklist offers to this modality.

        Raises:
            AccessDenied: the actor may not.
            PeerError: it could not be asked.
        """
        ris = config.worklist
        require_reach(actor, Action.QUERY, config.pacs.environment, ris.host, ris.port, self.servers())
        identifier = default_identifier(
            station_ae_title=config.ae_title, modality=config.modality, accession_number=config.accession_number
        )
        peer = replace(config.worklist, calling_ae_title=config.ae_title)
        node = Node(ae_title=peer.called_ae_title, host=peer.host)
        event = AuditEvent.by(actor, EventKind.QUERY, environment=str(config.pacs.environment), receiver=node)
        with recorded(self.record, event) as noted:
            found = list(worklist(peer, identifier, limit=limit))
            ids = dict.fromkeys(str(item.get("PatientID", "") or "") for item in found)
            noted.add(patient_ids=tuple(one for one in ids if one))
        return found

    def perform(self, actor: Actor, config: ModalityConfig, stopped: Cancelled = never) -> Iterator[Told]:
        """Take the next item and perform it, to the end of the loop; item after item if it polls.

        Args:
            actor: needs FABRICATE, and STORE at the PACS.
            config: how.
            stopped: asked all the while, from the thread that iterates. Once it says yes, what has begun is reported as
                discontinued, and nothing more is begun.

        Yields:
            Each step when it is done.

        Raises:
            AccessDenied, InvalidInput: nothing was begun.
            NotFound: the worklist has no such item; not if it polls.
            PeerError: a step failed; those before it were done. What has begun is reported as discontinued. A worklist
                that gives no answer is asked again if it polls.
            TransferIncomplete: images are missing at the PACS, or are not committed to.
        """
        must_be_performable(config)
        require(actor, Action.FABRICATE, Scope.SYSTEM)
        ris = config.worklist
        require_reach(actor, Action.STORE, config.pacs.environment, ris.host, ris.port, self.servers())
        if config.commit_s:
            require_hearing(config)
        equipment = Equipment(self.studies, self.transfers, self.local, self.now, self.new_uid, self.note)
        run = _Run(self, equipment, actor, config, stopped)
        if config.is_appended:
            yield from run.appended()
        elif config.unscheduled is not None:
            yield from run.unscheduled()
        else:
            yield from run.scheduled()


class _Run:
    """What a modality does from when it is started until it ends."""

    def __init__(
        self, service: ModalityService, equipment: Equipment, actor: Actor, config: ModalityConfig, stopped: Cancelled
    ) -> None:
        self._service = service
        self._equipment = equipment
        self._actor = actor
        self._config = config
        self._stopped = stopped
        self._choice = Choice(equipment, actor, config)
        self._done: set[tuple[str, str]] = set()
        self._performed = 0

    def appended(self) -> Iterator[Told]:
        task = self._choice.appended()
        uid = task.study.study_instance_uid
        yield Told("append", f"adds to the study with accession number {task.study.accession_number or '(none)'}", uid)
        yield from self._examined(task)

    def unscheduled(self) -> Iterator[Told]:
        if self._config.unscheduled is not None:
            task = self._choice.unscheduled(self._config.unscheduled)
            yield Told("unscheduled", f"{', '.join(task.study.kinds)}, which nobody ordered")
            yield from self._examined(task)

    def scheduled(self) -> Iterator[Told]:
        """Item after item."""
        is_idle = False
        while not self._stopped():
            try:
                found = self._found()
            except PeerError as error:
                if not self._config.poll_s:
                    raise
                yield Told("not asked", f"{error.what}; it is asked again in {self._config.poll_s:g} s")
                is_idle = False
                self._pause()
                continue
            items = self._choice.taken(found, self._done)
            if items:
                yield from self._taken(found, items)
                if self._performed == self._config.most:
                    return
            elif not self._config.poll_s:
                raise self._nothing()
            else:
                if not is_idle:
                    yield Told("waiting", f"{_items(found)}, nothing to do; asks every {self._config.poll_s:g} s")
                self._pause()
            is_idle = not items

    def _taken(self, found: Sequence[Dataset], items: tuple[Dataset, ...]) -> Iterator[Told]:
        """Perform items together."""
        self._done.update(map(key, items))
        if self._config.is_wrong_item:
            yield from self._mistaken(found, items[0])
            if self._stopped():
                return
        try:
            task = self._choice.task(items)
        except InvalidInput as error:
            if not self._config.poll_s:
                raise
            yield Told("skipped", f"{named(items[0])}: nothing can be made for it ({error.field})")
            return
        together = ", together" if len(items) > 1 else ""
        said = f"{_items(found)}; takes {'; '.join(map(named, items))}{together}"
        uid = task.study.study_instance_uid
        yield Told("worklist", said, uid)
        yield from self._examined(task)
        self._performed += 1

    def _mistaken(self, found: Sequence[Dataset], right: Dataset) -> Iterator[Told]:
        """Perform another item than the right one, and notice it when the images are stored."""
        wrong = self._choice.wrong(found, right)
        task = self._choice.task((wrong,), instead_of=right)
        said = f"takes {named(wrong)} by mistake, and performs {named(right)} under its identifiers"
        yield Told("wrong item", said, task.study.study_instance_uid)
        yield from self._examined(task)

    def _examined(self, task: Task) -> Iterator[Told]:
        return Examination(self._equipment, self._actor, self._config, task, self._stopped).perform()

    def _found(self) -> list[Dataset]:
        config = self._config
        return self._service.items(self._actor, replace(config, accession_number="") if config.takes_any else config)

    def _pause(self) -> None:
        try:
            wait(time.monotonic() + self._config.poll_s, self._stopped)
        except Interrupted:
            return

    def _nothing(self) -> NotFound:
        config = self._config
        what = f"with accession number {config.accession_number}" if config.accession_number else "for this modality"
        return NotFound(
            f"the worklist of {config.worklist.label} has no item {what}.",
            cause="nothing is scheduled, it is for another station, it has begun, or it is over",
            remedy=f"look at it: {to_look(config)}",
        )


def _items(found: Sequence[Dataset]) -> str:
    return f"{len(found)} item" if len(found) == 1 else f"{len(found)} items"
