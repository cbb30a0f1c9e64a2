"""Whether a server followed a merge: which studies it lists under the identifier that ended, and under the new one."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

from pydicom import Dataset

from dicomfab.access.policy import Action, require
from dicomfab.archive.archive import Archive
from dicomfab.archive.records import StudyFilter
from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind, Node
from dicomfab.model.errors import DicomFabError, InvalidInput
from dicomfab.model.query import Level, QueryModel
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.services.peers import peer_for
from dicomfab.services.query import Find
from dicomfab.services.recording import Record, nobody, recorded
from dicomfab.storage.procedures import ProcedureRepository

_POLL_S: Final = 1.0
_LOCAL: Final = 10_000


class MergeVerdict(enum.StrEnum):
    """What a server made of a merge."""

    FOLLOWED = "followed"  # all is under the new identifier
    PARTLY = "partly"  # some is under the new one, some under the old one, or gone
    NOT_FOLLOWED = "not followed"  # all is where it was
    NOTHING = "nothing there"  # it lists no study under either
    UNKNOWN = "could not be asked"


@dataclass(frozen=True, slots=True)
class PatientKey:
    """Whom a Patient ID is meant to name.

    Args:
        patient_id: PatientID (0010,0020).
        issuer: IssuerOfPatientID (0010,0021); empty if any is meant.
    """

    patient_id: str
    issuer: str = ""

    def __post_init__(self) -> None:
        """Check that it names one patient."""
        if not self.patient_id or any(one in self.patient_id for one in "*?\\"):
            raise InvalidInput(
                f"patient_id: {self.patient_id!r} names nobody, or many",
                field="patient_id",
                value=self.patient_id,
                remedy="give one Patient ID, without wildcards",
            )


@dataclass(frozen=True, slots=True)
class Listed:
    """What a server lists at a moment, by Study Instance UID.

    Args:
        prior: under the identifier that ended.
        new: under the one that stays.
    """

    prior: frozenset[str] = frozenset()
    new: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class MergeCheck:
    """What was found.

    Args:
        verdict: of it.
        text: why, for people; it names no patient.
        before: what the server listed before the merge was sent; ``None`` if nothing was sent.
        after: what it lists now.
        known: studies of the patient that are known here, by procedures and the local store.
        waited_s: for it to follow.
    """

    verdict: MergeVerdict
    text: str
    before: Listed | None
    after: Listed
    known: frozenset[str]
    waited_s: float = 0.0

    @property
    def unlisted(self) -> frozenset[str]:
        """Studies that are known here, and not listed there under either identifier."""
        return self.known - self.after.prior - self.after.new

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        plain = asdict(self)
        for name in ("before", "after"):
            found = plain[name]
            plain[name] = found and {which: sorted(uids) for which, uids in found.items()}
        return {
            **plain,
            "verdict": str(self.verdict),
            "known": sorted(self.known),
            "unlisted": sorted(self.unlisted),
            "waited_s": round(self.waited_s, 1),
        }


@dataclass(frozen=True, slots=True)
class MergeCheckService:
    """Asks servers.

    Args:
        find: the SCU of C-FIND.
        procedures: what was requested here.
        local: the local store.
        record: the audit log.
    """

    find: Find
    procedures: ProcedureRepository
    local: Archive
    record: Record = nobody

    def check(
        self,
        actor: Actor,
        prior: PatientKey,
        new: PatientKey,
        pacs: PacsServer,
        *,
        send: Callable[[], object] | None = None,
        wait_s: float = 30.0,
    ) -> MergeCheck:
        """Compare what a server lists under two identifiers; before and after, if the merge is sent in between.

        Args:
            actor: needs QUERY at the server.
            prior: the identifier that ended.
            new: the one that stays.
            pacs: the server.
            send: sends the merge; if left out, it was sent before.
            wait_s: how long the server may take to follow what is sent.

        Raises:
            AccessDenied: the actor may not.
            Conflict: C-FIND is switched off for the server.
            DicomFabError: of ``send``.
        """
        require(actor, Action.QUERY, pacs.environment)
        event = AuditEvent.by(
            actor,
            EventKind.QUERY,
            environment=str(pacs.environment),
            receiver=Node(name=pacs.name, ae_title=pacs.aec, host=pacs.host),
            patient_ids=(prior.patient_id, new.patient_id),
        )
        with recorded(self.record, event):
            known = self._known(pacs, prior) | self._known(pacs, new)
            if send is None:
                return self._checked(pacs, prior, new, known, None)
            try:
                before = self._listed(pacs, prior, new)
            except DicomFabError as error:
                said = f"nothing was sent: {error.what}"
                return MergeCheck(MergeVerdict.UNKNOWN, said, None, Listed(), known)
            send()
            return self._waited(pacs, prior, new, known, before, wait_s)

    def _waited(
        self,
        pacs: PacsServer,
        prior: PatientKey,
        new: PatientKey,
        known: frozenset[str],
        before: Listed,
        wait_s: float,
    ) -> MergeCheck:
        start = time.monotonic()
        while True:
            found = self._checked(pacs, prior, new, known, before, waited_s=time.monotonic() - start)
            left = wait_s - (time.monotonic() - start)
            if found.verdict in (MergeVerdict.FOLLOWED, MergeVerdict.NOTHING) or left <= 0:
                return found
            time.sleep(min(_POLL_S, left))

    def _checked(
        self,
        pacs: PacsServer,
        prior: PatientKey,
        new: PatientKey,
        known: frozenset[str],
        before: Listed | None,
        *,
        waited_s: float = 0.0,
    ) -> MergeCheck:
        try:
            after = self._listed(pacs, prior, new)
        except DicomFabError as error:
            return MergeCheck(MergeVerdict.UNKNOWN, error.what, before, Listed(), known, waited_s)
        verdict, text = judged(before, after, known)
        return MergeCheck(verdict, f"{pacs.name} {text}", before, after, known, waited_s)

    def _known(self, pacs: PacsServer, who: PatientKey) -> frozenset[str]:
        with self.procedures.read() as rows:
            ordered = rows.with_value(pacs.environment, patient_id=who.patient_id)
        page = self.local.studies(
            StudyFilter(patient_id=who.patient_id), environments=(pacs.environment,), limit=_LOCAL, counted=False
        )
        held = [one for one in page.studies if one.patient_id == who.patient_id and _is_of(one.issuer, who)]
        return frozenset(
            [one.study_instance_uid for one in ordered if _is_of(one.issuer, who)]
            + [one.study_instance_uid for one in held]
        )

    def _listed(self, pacs: PacsServer, prior: PatientKey, new: PatientKey) -> Listed:
        """A study counts for the identifier that the answer names, whichever was asked for: servers know aliases."""
        peer, found = peer_for(pacs, Capability.FIND), dict[str, Dataset]()
        for who in (prior, new):
            identifier = Dataset()
            identifier.QueryRetrieveLevel = str(Level.STUDY)
            identifier.PatientID = who.patient_id
            identifier.StudyInstanceUID = identifier.IssuerOfPatientID = ""
            for match in self.find(peer, QueryModel.STUDY_ROOT, identifier):
                found[str(match.get("StudyInstanceUID", ""))] = match
        return Listed(*(frozenset(uid for uid, one in found.items() if _names(one, who)) for who in (prior, new)))


def judged(before: Listed | None, after: Listed, known: frozenset[str]) -> tuple[MergeVerdict, str]:
    """The verdict on what a server lists, and why.

    Args:
        before: what it listed before the merge was sent, if that is known.
        after: what it lists now.
        known: studies of the patient that are known here: what went over, if nobody asked before.
    """
    meant = known if before is None else before.prior
    moved = after.new & meant
    gone = frozenset() if before is None else (before.prior | before.new) - after.prior - after.new
    said = f"lists {_studies(len(after.prior))} under the old identifier, {_studies(len(after.new))} under the new one"
    if gone:
        said += f"; {_studies(len(gone))} that it listed before {'is' if len(gone) == 1 else 'are'} gone"
    if not (after.prior or after.new or gone):
        return MergeVerdict.NOTHING, said
    if after.prior:
        return (MergeVerdict.PARTLY if moved or gone else MergeVerdict.NOT_FOLLOWED), said
    if gone:
        return MergeVerdict.PARTLY, said
    if before is not None and not before.prior:
        return MergeVerdict.NOTHING, f"{said}; it had none to move"
    return MergeVerdict.FOLLOWED, said


def _names(match: Dataset, who: PatientKey) -> bool:
    issuer = str(match.get("IssuerOfPatientID", "") or "").strip()
    return str(match.get("PatientID", "") or "").strip() == who.patient_id and _is_of(issuer, who)


def _is_of(issuer: str, who: PatientKey) -> bool:
    """An issuer that one side does not say is no reason to take it for another."""
    return not who.issuer or issuer in ("", who.issuer)


def _studies(number: int) -> str:
    return f"{number} {'study' if number == 1 else 'studies'}"
