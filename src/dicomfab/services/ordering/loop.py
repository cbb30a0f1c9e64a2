"""The closed loop: ordered = scheduled = performed = stored = committed = findable = retrievable, step by step.

What was performed together with other orders is a study of its own (the group case, IHE RAD TF-2 A.1): it is known by
the series of the performed step, and what it says of each order stands in its RequestAttributesSequence (0040,0275).
"""

from __future__ import annotations

import enum
import io
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset

from dicomfab.access.policy import Action, require
from dicomfab.dimse.handlers import Requestor, StoreSink
from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind, Node
from dicomfab.model.errors import DicomFabError, NotFound
from dicomfab.model.procedure import ProcedureEventKind, ProcedureFilter, RequestedProcedure
from dicomfab.model.query import QueryModel
from dicomfab.model.study import Buffer, InstanceIdentity
from dicomfab.registry.fields import Capability
from dicomfab.registry.server import PacsServer
from dicomfab.services.listings import instances_held, series_of, study_named
from dicomfab.services.ordering.procedures import ProcedureDetails, ProcedureService
from dicomfab.services.peers import peer_for
from dicomfab.services.query import Find
from dicomfab.services.recording import Record, nobody, recorded
from dicomfab.services.transfer import Get
from dicomfab.storage.performed import PerformedStep

_HEAD_BYTES: Final = 64 << 10
#: As far as the order of a header goes, with tables of values before it.
_LONG_HEAD_BYTES: Final = 1 << 20
_STUDY_ID: Final = 0x00200010
_REFERENCED_REQUEST: Final = 0x0040A370
_IMPLICIT: Final = "1.2.840.10008.1.2"
_BIG: Final = "1.2.840.10008.1.2.2"
_DEFLATED: Final = "1.2.840.10008.1.2.1.99"
#: What has to be the same everywhere.
_SAME: Final = ("StudyInstanceUID", "AccessionNumber", "PatientID")


class LoopState(enum.StrEnum):
    """How a step of the loop stands."""

    EQUAL = "equal"  # done, and its identifiers are those of the order
    DIFFERENT = "different"  # done, with other identifiers, or less than the whole
    MISSING = "missing"  # not done
    UNKNOWN = "unknown"  # nobody here has heard of it, or it could not be asked


@dataclass(frozen=True, slots=True)
class LoopStep:
    """A step of the loop.

    Args:
        name: ``ordered``, ``scheduled``, ``performed``, ``stored``, ``committed``, ``findable`` or ``retrievable``.
        state: how it stands.
        text: what was found, for people; it names no patient.
        mismatches: keyword -> value of the order, and the value that was found.
    """

    name: str
    state: LoopState
    text: str
    mismatches: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "state": str(self.state)}


@dataclass(frozen=True, slots=True)
class LoopService:
    """Checks loops.

    Args:
        schedule: the requested procedures.
        find: the SCU of C-FIND.
        get: the SCU of C-GET.
        record: the audit log.
    """

    schedule: ProcedureService
    find: Find
    get: Get
    record: Record = nobody

    def check(
        self, actor: Actor, accession_number: str, pacs: PacsServer
    ) -> list[tuple[RequestedProcedure, list[LoopStep]]]:
        """Compare every step of each procedure that has an accession number.

        Args:
            actor: needs VIEW, and QUERY and RETRIEVE at the PACS.
            accession_number: of the order.
            pacs: where the study should be.

        Raises:
            AccessDenied: the actor may not.
            NotFound: nothing was ordered here with this number.
        """
        require(actor, Action.QUERY, pacs.environment)
        require(actor, Action.RETRIEVE, pacs.environment)
        wanted = ProcedureFilter(accession_number=accession_number, environments=frozenset({pacs.environment}))
        found = self.schedule.page(actor, wanted).procedures
        if not found:
            raise NotFound(
                f"nothing was ordered here with accession number {accession_number} ({pacs.environment}).",
                cause="the order came elsewhere, was refused, or is of the other environment",
                remedy="see what came: dicomfab hl7 list, dicomfab order procedures",
            )
        node = Node(name=pacs.name, ae_title=pacs.aec, host=pacs.host)
        uids = tuple(one.study_instance_uid for one in found)
        given = {"environment": str(pacs.environment), "receiver": node, "study_uids": uids}
        with recorded(self.record, AuditEvent.by(actor, EventKind.QUERY, **given)):
            return [(one, self._steps(self.schedule.show(actor, one.number), pacs)) for one in found]

    def _steps(self, found: ProcedureDetails, pacs: PacsServer) -> list[LoopStep]:
        referenced = _referenced(found)
        steps = [_ordered(found), _scheduled(found), _performed(found)]
        try:
            studies, together, holding = self._held(found, pacs)
        except DicomFabError as error:
            steps += [_unknown("stored", error), _committed(found)]
            return [*steps, _unknown("findable", error), _unknown("retrievable", error)]
        held = set[str]().union(*holding.values())
        steps += [_stored(referenced, held, pacs), _committed(found)]
        steps.append(_findable(found.procedure, studies, together, pacs))
        return [*steps, self._retrievable(found.procedure, holding, pacs)]

    def _held(
        self, found: ProcedureDetails, pacs: PacsServer
    ) -> tuple[list[Dataset], list[Dataset], dict[str, set[str]]]:
        """What the PACS has: studies under the accession number, studies of several orders, the instances of each."""
        peer, procedure = peer_for(pacs, Capability.FIND), found.procedure
        studies = list(self.find(peer, QueryModel.STUDY_ROOT, _study(AccessionNumber=procedure.accession_number)))
        together = list(self._together(found, pacs))
        uids = dict.fromkeys((procedure.study_instance_uid, *(study_named(pacs, one) for one in together)))
        held = {uid: set(instances_held(self.find, pacs, uid)) for uid in uids}
        return studies, together, {uid: instances for uid, instances in held.items() if instances}

    def _together(self, found: ProcedureDetails, pacs: PacsServer) -> Iterator[Dataset]:
        """The studies of what was performed together with other orders: those of the patient with its series."""
        series = _series_of_several(found)
        if not series:
            return
        peer = peer_for(pacs, Capability.FIND)
        for study in self.find(peer, QueryModel.STUDY_ROOT, _study(PatientID=found.procedure.patient_id)):
            uid = study_named(pacs, study)
            if uid != found.procedure.study_instance_uid and series & set(series_of(self.find, pacs, uid)):
                yield study

    def _retrievable(
        self, procedure: RequestedProcedure, holding: Mapping[str, set[str]], pacs: PacsServer
    ) -> LoopStep:
        from dicomfab.dimse.sop_classes import storage_sop_classes

        if not holding:
            return LoopStep("retrievable", LoopState.MISSING, "there is nothing to retrieve")
        held = set[str]().union(*holding.values())
        heads = _Heads(procedure)
        try:
            peer = peer_for(pacs, Capability.GET)
            for study in holding:
                heads.is_of_several = study != procedure.study_instance_uid
                identifier = Dataset()
                identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = "STUDY", study
                for _ in self.get(peer, QueryModel.STUDY_ROOT, identifier, storage_sop_classes(), heads):
                    pass
        except DicomFabError as error:
            return _unknown("retrievable", error)
        return _compared("retrievable", procedure, heads.values, f"{len(heads.came)} of {len(held)} instances came",
                         is_whole=heads.came >= held)  # fmt: skip


class _Heads:
    """Takes instances, keeps none: only what their headers say of one order.

    Args:
        procedure: what was ordered.
    """

    def __init__(self, procedure: RequestedProcedure) -> None:
        self.came: set[str] = set()
        self.values: dict[str, set[str]] = {keyword: set() for keyword in (*_SAME, "RequestedProcedureID")}
        self.is_of_several = False
        self._procedure = procedure

    def add(self, data: bytes, syntax: str) -> None:
        """Note what a header says: itself, or in its item for the order if the study is of several."""
        if not self.is_of_several:
            ds = _head(data, syntax, _STUDY_ID)
            for keyword in _SAME:
                self.values[keyword].add(str(ds.get(keyword, "") or ""))
            return
        ds = _head(data, syntax, _REFERENCED_REQUEST)
        items = [*(ds.get("RequestAttributesSequence") or ()), *(ds.get("ReferencedRequestSequence") or ())]
        own = next((one for one in items if _is_for(one, self._procedure)), Dataset())
        for keyword in ("StudyInstanceUID", "AccessionNumber", "RequestedProcedureID"):
            self.values[keyword].add(str(own.get(keyword, "") or ""))
        self.values["PatientID"].add(str(ds.get("PatientID", "") or ""))

    def begin_store(self, requestor: Requestor, identity: InstanceIdentity) -> StoreSink:
        return _Head(self, identity)


class _Head:
    def __init__(self, heads: _Heads, identity: InstanceIdentity) -> None:
        self._heads = heads
        self._identity = identity
        self._start = bytearray()

    def write(self, chunk: Buffer) -> None:
        most = _LONG_HEAD_BYTES if self._heads.is_of_several else _HEAD_BYTES
        self._start += bytes(memoryview(chunk)[: max(0, most - len(self._start))])

    def finish(self) -> int:
        self._heads.came.add(self._identity.sop_instance_uid)
        syntax = self._identity.transfer_syntax_uid
        if syntax != _DEFLATED:
            self._heads.add(bytes(self._start), syntax)
        return 0x0000

    def discard(self) -> None:
        pass


def _head(data: bytes, syntax: str, last: int) -> Dataset:
    """The beginning of a data set, up to an attribute."""

    def beyond(tag: int, _vr: object, _length: int) -> bool:
        return tag > last

    buffer = DicomBytesIO(data)
    return read_dataset(io.BytesIO(buffer.getvalue()), syntax == _IMPLICIT, syntax != _BIG, stop_when=beyond)


def _study(**keys: str) -> Dataset:
    """The identifier of a query for studies."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    for keyword in _SAME:
        setattr(identifier, keyword, keys.get(keyword, ""))
    return identifier


def _is_for(item: Dataset, procedure: RequestedProcedure) -> bool:
    """Whether an item that names an order is for this one; not all modalities name the study in it."""
    uid = str(item.get("StudyInstanceUID", "") or "")
    return uid == procedure.study_instance_uid or (
        not uid and str(item.get("AccessionNumber", "") or "") == procedure.accession_number
    )


def _series_of_several(found: ProcedureDetails) -> set[str]:
    """The series of the performed steps that were for studies of several orders."""
    uids: set[str] = set()
    for performed in found.performed:
        ds = Dataset.from_json(performed.attributes)
        items = ds.get("ScheduledStepAttributesSequence") or ()
        if len({str(one.get("StudyInstanceUID", "")) for one in items}) > 1:
            uids |= {str(one.SeriesInstanceUID) for one in ds.get("PerformedSeriesSequence") or ()}
    return uids


def _referenced(found: ProcedureDetails) -> set[str]:
    """The instances that the performed steps say to have made."""
    uids = set()
    for performed in found.performed:
        for series in Dataset.from_json(performed.attributes).get("PerformedSeriesSequence") or ():
            for name in ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence"):
                uids |= {str(one.ReferencedSOPInstanceUID) for one in series.get(name) or ()}
    return uids


def _ordered(found: ProcedureDetails) -> LoopStep:
    count, procedure = len(found.orders), found.procedure
    text = f"{count} order{'' if count == 1 else 's'}: accession number {procedure.accession_number}"
    return LoopStep("ordered", LoopState.EQUAL if count else LoopState.UNKNOWN, text)


def _scheduled(found: ProcedureDetails) -> LoopStep:
    steps = found.procedure.steps
    text = ", ".join(f"{step.step_id} {step.state}" for step in steps)
    return LoopStep("scheduled", LoopState.EQUAL if steps else LoopState.MISSING, text or "no step")


def _performed(found: ProcedureDetails) -> LoopStep:
    procedure = found.procedure
    if not found.performed:
        return LoopStep("performed", LoopState.MISSING, "no modality has reported anything (MPPS)")
    values: dict[str, set[str]] = {keyword: set() for keyword in (*_SAME, "RequestedProcedureID")}
    # What was reported before the patient was merged named the identifier that was right then.
    renamed = max((one.at for one in found.events if one.kind is ProcedureEventKind.PATIENT), default=None)
    for one in found.performed:
        ds = Dataset.from_json(one.attributes)
        if renamed is None or one.created_at > renamed:
            values["PatientID"].add(str(ds.get("PatientID", "") or ""))
        items = list(ds.get("ScheduledStepAttributesSequence") or ())
        # Those of other orders, with which it was performed together, are none of its business.
        for item in [one for one in items if _is_for(one, procedure)] or items:
            for keyword in ("StudyInstanceUID", "AccessionNumber", "RequestedProcedureID"):
                values[keyword].add(str(item.get(keyword, "") or ""))
    states = ", ".join(f"{one.state} by {one.calling_ae_title}" for one in found.performed)
    left = [step.step_id for step in procedure.steps if not step.state.is_over]
    if left:
        states += f"; {', '.join(left)} is still to be performed"
    is_whole = all(one.state == "COMPLETED" for one in found.performed) and not left
    return _compared("performed", procedure, values, states, is_whole=is_whole)


def _stored(referenced: set[str], held: set[str], pacs: PacsServer) -> LoopStep:
    if not held:
        return LoopStep("stored", LoopState.MISSING, f"{pacs.name} lists no instance of the study")
    if not referenced:
        return LoopStep("stored", LoopState.UNKNOWN, f"{pacs.name} lists {len(held)}; nobody said how many were made")
    missing = referenced - held
    text = f"{pacs.name} lists {len(referenced & held)} of the {len(referenced)} instances that were performed"
    return LoopStep("stored", LoopState.DIFFERENT if missing else LoopState.EQUAL, text)


def _committed(found: ProcedureDetails) -> LoopStep:
    told = [one for one in found.events if one.kind is ProcedureEventKind.COMMITTED]
    if not told:
        return LoopStep("committed", LoopState.UNKNOWN, "nobody here has heard of a storage commitment")
    texts = "; ".join(one.text for one in told)
    # Each examination asks for the commitment to its own instances.
    lacking = sum(_has_series(one) for one in found.performed) - len(told)
    if lacking > 0:
        return LoopStep("committed", LoopState.DIFFERENT, f"{texts}; of {lacking} more nobody here has heard")
    return LoopStep("committed", LoopState.EQUAL, texts)


def _has_series(performed: PerformedStep) -> bool:
    return bool(Dataset.from_json(performed.attributes).get("PerformedSeriesSequence"))


def _findable(
    procedure: RequestedProcedure, studies: list[Dataset], together: list[Dataset], pacs: PacsServer
) -> LoopStep:
    if not studies and together:
        values = {"PatientID": {str(one.get("PatientID", "") or "") for one in together}}
        said = f"{pacs.name} finds {len(together)} by the patient: of several orders, so none has its accession number"
        return _compared("findable", procedure, values, said)
    if not studies:
        return LoopStep("findable", LoopState.MISSING, f"{pacs.name} finds no study by the accession number")
    values = {keyword: {str(one.get(keyword, "") or "") for one in studies} for keyword in _SAME}
    return _compared("findable", procedure, values, f"{pacs.name} finds {len(studies)} by the accession number")


def _compared(
    name: str, procedure: RequestedProcedure, found: Mapping[str, set[str]], text: str, *, is_whole: bool = True
) -> LoopStep:
    meant = {
        "StudyInstanceUID": procedure.study_instance_uid,
        "AccessionNumber": procedure.accession_number,
        "PatientID": procedure.patient_id,
        "RequestedProcedureID": procedure.requested_procedure_id,
    }
    mismatches = {
        keyword: (meant[keyword], ", ".join(sorted(values)))
        for keyword, values in found.items()
        if values and values != {meant[keyword]}
    }
    state = LoopState.EQUAL if is_whole and not mismatches else LoopState.DIFFERENT
    return LoopStep(name, state, text, mismatches)


def _unknown(name: str, error: DicomFabError) -> LoopStep:
    return LoopStep(name, LoopState.UNKNOWN, f"could not be asked: {error.what}")
