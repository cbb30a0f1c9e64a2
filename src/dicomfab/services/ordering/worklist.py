"""The worklist: scheduled steps as modalities ask for them (PS3.4 annex K, IHE RAD TF-2 4.5)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

from pydicom import Dataset
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.tag import BaseTag

from dicomfab.archive.errors import ArchiveQueryError
from dicomfab.archive.worklist import WorklistKeys
from dicomfab.dimse.handlers import Refusal, Requestor
from dicomfab.dimse.scp.gate import StoreOnly
from dicomfab.model.audit import AuditEvent, EventKind, Node
from dicomfab.model.errors import LocalFailure
from dicomfab.model.order import OrderField
from dicomfab.model.procedure import RequestedProcedure, ScheduledStep
from dicomfab.model.values import Environment
from dicomfab.services.recording import Record, nobody
from dicomfab.storage.procedures import ProcedureRepository, WorklistFilter

log = logging.getLogger(__name__)

_PROCESSING_FAILURE: Final = 0x0110
_UTF_8: Final = "ISO_IR 192"
_CODES: Final = frozenset({"RequestedProcedureCodeSequence", "ScheduledProtocolCodeSequence"})
#: What stands elsewhere in the item, or says how the message was written.
_APART: Final = frozenset(
    {"OtherPatientIDs", "UniversalEntityID", "UniversalEntityIDType", "SpecificCharacterSet", "StudyInstanceUID"}
)


class Worklist(StoreOnly):
    """Answers C-FIND of the worklist for one environment, and nothing else.

    Args:
        procedures: what is to be done.
        environment: whose steps are offered.
        record: the audit log: each query tells of patients.
    """

    def __init__(self, procedures: ProcedureRepository, environment: Environment, record: Record = nobody) -> None:
        self._procedures = procedures
        self._record = record
        self._environment = environment

    def worklist(self, requestor: Requestor, identifier: Dataset) -> Iterator[Dataset]:
        """The steps that match.

        Raises:
            Refusal: A900 for an identifier that cannot be answered, 0110 if the query cannot be recorded.
        """
        try:
            keys = WorklistKeys(identifier)
        except ArchiveQueryError as error:
            log.warning("worklist query of %s: %04X (%s)", requestor.ae_title, error.status, error.field)
            raise Refusal(error.status, f"cannot answer: {error.field}") from error
        first, last = keys.start_dates or ("", "")
        wanted = WorklistFilter(
            self._environment,
            first_date=first,
            last_date=last,
            station_ae_titles=keys.station_ae_titles,
            modalities=keys.modalities,
            patient_id=keys.patient_id,
            accession_number=keys.accession_number,
        )
        with self._procedures.read() as rows:
            found = list(rows.on_worklist(wanted))
        offered = (item(procedure, step, any_station=requestor.ae_title) for procedure, step in found)
        matching = [one for one in offered if keys.matches(one)]
        self._note(requestor, matching)
        log.info("worklist query of %s at %s: %d steps", requestor.ae_title, requestor.address, len(matching))
        for one in matching:
            yield keys.answer(one)

    def _note(self, requestor: Requestor, told: Sequence[Dataset]) -> None:
        ids = tuple(dict.fromkeys(str(one.PatientID) for one in told))
        node = Node(ae_title=requestor.ae_title, host=requestor.address)
        event = AuditEvent(
            kind=EventKind.QUERY,
            address=requestor.address,
            environment=str(self._environment),
            sender=node,
            patient_ids=ids,
        )
        try:
            self._record(event)
        except LocalFailure as failure:
            log.error("a worklist query could not be recorded, and is not answered: %s", failure.what)
            raise Refusal(_PROCESSING_FAILURE, "the query cannot be recorded") from failure


def item(procedure: RequestedProcedure, step: ScheduledStep, *, any_station: str = "") -> Dataset:
    """A step as an item of the worklist (PS3.4 table K.6-1).

    Args:
        procedure: that it belongs to.
        step: itself.
        any_station: AE title that stands in a step which names none: an order seldom does, and any may take it.
    """
    ds = Dataset()
    texts = [one.value for one in (*procedure.fields, *step.fields)]
    if not all(text.isascii() for text in texts):
        ds.SpecificCharacterSet = _UTF_8
    _fill(ds, procedure.fields)
    ds.StudyInstanceUID = procedure.study_instance_uid
    _identifiers(ds, procedure)
    scheduled = Dataset()
    _fill(scheduled, step.fields)
    scheduled.ScheduledStationAETitle = step.station_ae_title or any_station
    scheduled.ScheduledProcedureStepID = step.step_id
    scheduled.ScheduledProcedureStepStatus = str(step.state)
    if not step.modality:
        scheduled.Modality = "OT"
    ds.ScheduledProcedureStepSequence = [scheduled]
    return ds


def code_item(code: str) -> Dataset:
    """``value^scheme^meaning`` as an item of a code sequence (PS3.3 8.8)."""
    value, scheme, meaning = (*code.split("^"), "", "")[:3]
    found = Dataset()
    found.CodeValue, found.CodingSchemeDesignator, found.CodeMeaning = value, scheme, meaning
    return found


def _fill(ds: Dataset, fields: Sequence[OrderField]) -> None:
    for one in fields:
        if not one.value or one.keyword in _APART or one.keyword in ds:
            continue
        if one.keyword in _CODES:
            setattr(ds, one.keyword, [code_item(one.value)])
        elif one.keyword == "PregnancyStatus":
            ds.PregnancyStatus = int(one.value)
        else:
            tag, vr = _element_of(one.keyword)
            ds.add(DataElement(tag, vr, one.value, validation_mode=IGNORE))


@cache
def _element_of(keyword: str) -> tuple[BaseTag, str]:
    tag = BaseTag(tag_for_keyword(keyword) or 0)
    return tag, dictionary_VR(tag)


def _identifiers(ds: Dataset, procedure: RequestedProcedure) -> None:
    others = [one.value for one in procedure.fields if one.keyword == "OtherPatientIDs" and one.value]
    if others:
        ds.OtherPatientIDsSequence = []
        for value in others:
            other = Dataset()
            other.PatientID = value
            ds.OtherPatientIDsSequence.append(other)
    if procedure.value("UniversalEntityID"):
        qualifiers = Dataset()
        qualifiers.UniversalEntityID = procedure.value("UniversalEntityID")
        qualifiers.UniversalEntityIDType = procedure.value("UniversalEntityIDType")
        ds.IssuerOfPatientIDQualifiersSequence = [qualifiers]
