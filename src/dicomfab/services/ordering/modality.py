"""A modality: takes an item of a worklist, performs it, and closes the loop (IHE RAD SWF.b, RAD-5 to RAD-8, RAD-10).

It works with test only: images with the names of real patients that are not of them are nothing that may exist.
"""

from __future__ import annotations

import datetime as dt
import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pydicom import Dataset

from dicomfab.access.policy import Action, Scope, require
from dicomfab.dimse.commitment import Verdict
from dicomfab.dimse.handlers import Requestor, ServerConfig
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.scp.gate import StoreOnly
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.commitment import CommitmentReports, request_commitment
from dicomfab.dimse.scu.performed_step import completed, discontinued, in_progress
from dicomfab.dimse.scu.worklist import default_identifier, worklist
from dicomfab.dimse.sop_classes import COMMITMENT
from dicomfab.fabricate.kinds import ALL_KINDS
from dicomfab.fabricate.recipe import ResolvedStudy, SeriesRecipe, StudyRecipe
from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind, Node
from dicomfab.model.errors import InvalidInput, NotFound, PeerError, PeerTimeout, PortInUse, TransferIncomplete
from dicomfab.model.procedure import ProcedureEventKind
from dicomfab.model.values import Environment
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.services.order_study import proposal
from dicomfab.services.ordering.performing import begun, ended, order_of, step_of, to_commit
from dicomfab.services.peers import peer_for
from dicomfab.services.recording import Record, nobody, recorded
from dicomfab.services.verification import VerdictKind

if TYPE_CHECKING:
    from dicomfab.archive.archive import Archive
    from dicomfab.services.studies import StudyService
    from dicomfab.services.transfer import TransferService

AE_TITLE: Final = "MODALITY1"
PORT: Final = 11113
COMMIT_S: Final = 60.0
_DOSE: Final = "sr-dose"


@dataclass(frozen=True, slots=True)
class ModalityConfig:
    """Which modality, and what it does.

    Args:
        ae_title: its own, for every association.
        worklist: the information system that it asks and reports to.
        pacs: where images go, and who commits to them.
        host: the address that reports of commitments come to.
        port: the same; 0 takes a free one.
        accession_number: only this one; empty takes the next item.
        modality: only items of it; empty takes any.
        kind: what is made; empty follows from the item.
        is_discontinued: broken off after the images.
        commit_s: how long to wait for the report of the commitment; 0 asks for none.
    """

    worklist: Peer
    pacs: PacsServer
    ae_title: str = AE_TITLE
    host: str = "127.0.0.1"
    port: int = PORT
    accession_number: str = ""
    modality: str = ""
    kind: str = ""
    is_discontinued: bool = False
    commit_s: float = COMMIT_S


@dataclass(frozen=True, slots=True)
class Told:
    """Something that a modality has done.

    Args:
        step: ``worklist``, ``in progress``, ``acquired``, ``stored``, ``completed``, ``discontinued`` or ``committed``.
        text: for people; it names no patient.
        study_instance_uid: of the study.
        reference: UID of the performed step or of the transaction, if one is meant.
    """

    step: str
    text: str
    study_instance_uid: str = ""
    reference: str = ""


@dataclass(frozen=True, slots=True)
class ModalityService:
    """Performs what a worklist asks for.

    Args:
        studies: fabricates.
        transfers: sends.
        local: the local store, where the study stays.
        now: local time.
        new_uid: gives a UID that nobody else will.
        record: the audit log.
        note: told what became of a study: its Study Instance UID, what, a text and a reference.
    """

    studies: StudyService
    transfers: TransferService
    local: Archive
    now: Callable[[], dt.datetime]
    new_uid: Callable[[], str]
    record: Record = nobody
    note: Callable[[str, ProcedureEventKind, str, str], None] = lambda _study, _kind, _text, _reference: None

    def items(self, actor: Actor, config: ModalityConfig, *, limit: int | None = None) -> list[Dataset]:
        """What the worklist offers to this modality.

        Raises:
            AccessDenied: the actor may not.
            PeerError: it could not be asked.
        """
        require(actor, Action.QUERY, config.pacs.environment)
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

    def perform(self, actor: Actor, config: ModalityConfig) -> Iterator[Told]:
        """Take the next item and perform it, to the end of the loop.

        Args:
            actor: needs FABRICATE, and STORE at the PACS.
            config: how.

        Yields:
            Each step when it is done.

        Raises:
            AccessDenied, InvalidInput: nothing was begun.
            NotFound: the worklist has no such item.
            PeerError: a step failed; those before it were done. What has begun is reported as discontinued.
            TransferIncomplete: images are missing at the PACS, or are not committed to.
        """
        _must_be_test(config.pacs)
        require(actor, Action.FABRICATE, Scope.SYSTEM)
        require(actor, Action.STORE, config.pacs.environment)
        found = self.items(actor, config)
        if not found:
            what = (
                f"with accession number {config.accession_number}" if config.accession_number else "for this modality"
            )
            raise NotFound(
                f"the worklist of {config.worklist.label} has no item {what}.",
                cause="nothing is scheduled, it is for another station, or it is over",
                remedy=f"look at it: dicomfab modality worklist --ae {config.ae_title}",
            )
        item = found[0]
        study = self._resolved(actor, item, config)
        uid = study.study_instance_uid
        ids = f"accession {item.get('AccessionNumber', '')}, step {step_of(item).get('ScheduledProcedureStepID', '')}"
        yield Told("worklist", f"{len(found)} items; takes {ids}", uid)
        yield from self._performed(actor, config, item, study)

    def _performed(self, actor: Actor, config: ModalityConfig, item: Dataset, study: ResolvedStudy) -> Iterator[Told]:
        peer, uid = replace(config.worklist, calling_ae_title=config.ae_title), study.study_instance_uid
        performed = self.new_uid()
        modality = ALL_KINDS[study.kinds[0]].modality
        start = self.now()
        step_id = f"PPS{start:%H%M%S%f}"[:16]
        in_progress(peer, performed, begun([item], config.ae_title, step_id, modality, start))
        yield Told("in progress", f"MPPS {performed}", uid, performed)
        is_over = False
        try:
            self.studies.create(actor, study)
            instances = self.local.instances(uid)
            yield Told("acquired", f"{len(instances)} instances of {', '.join(study.kinds)}", uid)
            report = self.transfers.send(actor, uid, replace(config.pacs, aet_store=config.ae_title))
            if report.error is not None:
                raise report.error
            if report.verdict.kind is not VerdictKind.VERIFIED:
                raise TransferIncomplete(
                    f"{config.pacs.name} does not hold all of study {uid}",
                    cause=str(report.verdict),
                    remedy=f"compare them: dicomfab verify {uid} --on {config.pacs.id}",
                )
            said = f"{len(instances)} instances at {config.pacs.name}"
            self.note(uid, ProcedureEventKind.STORED, said, "")
            yield Told("stored", said, uid)
            news = ended(instances, study.study_description, self.now(), discontinued=config.is_discontinued)
            (discontinued if config.is_discontinued else completed)(peer, performed, news)
            is_over = True
            yield Told("discontinued" if config.is_discontinued else "completed", f"MPPS {performed}", uid, performed)
        finally:
            if not is_over:  # a step that stays in progress would never leave the worklist
                left = ended(self.local.instances(uid), study.study_description, self.now(), discontinued=True)
                with suppress(PeerError):  # what broke it off says more
                    discontinued(peer, performed, left)
        if config.commit_s:
            yield self._committed(config, uid)

    def _committed(self, config: ModalityConfig, uid: str) -> Told:
        reports: queue.SimpleQueue[Verdict] = queue.SimpleQueue()
        transaction = to_commit(self.new_uid(), self.local.instances(uid))
        peer = replace(peer_for(config.pacs, Capability.ECHO), calling_ae_title=config.ae_title)
        with _hearing(config, reports):
            request_commitment(peer, transaction)
            try:
                verdict = reports.get(timeout=config.commit_s)
                while verdict.transaction_uid != transaction.transaction_uid:
                    verdict = reports.get(timeout=config.commit_s)
            except queue.Empty:
                raise PeerTimeout(
                    f"{config.pacs.name} did not report on the storage commitment within {config.commit_s:g} s",
                    stage="commitment",
                    timeout_s=config.commit_s,
                    cause=f"it does not know {config.ae_title} at port {config.port}, or a firewall is between",
                    remedy="register this modality with its address and port at the PACS",
                ) from None
        if verdict.failed:
            raise TransferIncomplete(
                f"{config.pacs.name} does not answer for {len(verdict.failed)} instances",
                cause="; ".join(sorted({one.words for one in verdict.failed})),
                remedy="send the study again, and keep it until the PACS has committed to it",
            )
        said = f"{config.pacs.name} answers for {len(verdict.committed)} instances"
        self.note(uid, ProcedureEventKind.COMMITTED, said, transaction.transaction_uid)
        return Told("committed", said, uid, transaction.transaction_uid)

    def _resolved(self, actor: Actor, item: Dataset, config: ModalityConfig) -> ResolvedStudy:
        proposed = proposal(order_of(item), Environment.TEST)
        if config.kind:
            proposed = replace(proposed, kind=config.kind)
        recipe = _with_dose(proposed.recipe())
        now = self.now()
        recipe = replace(recipe, study_date=now.strftime("%Y%m%d"), study_time=now.strftime("%H%M%S"))
        return self.studies.resolve_recipe(actor, recipe)


def _with_dose(recipe: StudyRecipe) -> StudyRecipe:
    """With a report of the dose, where the modality uses X-rays."""
    first = recipe.series[0]
    if isinstance(first, SeriesRecipe) and first.kind in ALL_KINDS[_DOSE].needs:
        return replace(recipe, series=(*recipe.series, SeriesRecipe(_DOSE)))
    return recipe


@contextmanager
def _hearing(config: ModalityConfig, reports: queue.SimpleQueue[Verdict]) -> Iterator[None]:
    """Listen for the report of a commitment, which comes on an association of the PACS."""

    def told(_requestor: Requestor, verdict: Verdict) -> None:
        reports.put(verdict)

    served = ServerConfig(config.ae_title, host=config.host, port=config.port)
    server = Server(served, StoreOnly(), {COMMITMENT: CommitmentReports(told)})
    try:
        server.__enter__()
    except OSError as error:
        raise PortInUse(
            f"port {config.port} of {config.host} cannot be listened on ({error.strerror})",
            cause="another modality runs, or another program has it",
            remedy="name another port: --port, which the PACS has to know",
        ) from error
    try:
        yield
    finally:
        server.__exit__(None, None, None)


def _must_be_test(pacs: PacsServer) -> None:
    if pacs.environment is not Environment.TEST:
        raise InvalidInput(
            f"pacs: {pacs.id} is of {pacs.environment}",
            field="pacs",
            value=pacs.id,
            cause="a simulated modality sends synthetic images under the names of its worklist",
            remedy="name a server of the test environment",
        )
