"""C-FIND of the Modality Worklist: ask what is scheduled (PS3.4 annex K)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from pydicom import Dataset
from pydicom.sequence import Sequence as DicomSequence

from dicomfab.dimse.association import associate
from dicomfab.dimse.contexts import PLAIN_SYNTAXES
from dicomfab.dimse.messages import ProposedContext, Response
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.scu.find import send
from dicomfab.dimse.sop_classes import WORKLIST

CONTEXT: Final = ProposedContext(WORKLIST, PLAIN_SYNTAXES)

# The return keys of PS3.4 table K.6-1 that IHE's Query Modality Worklist wants (RAD TF-2 4.5.4.1.2).
_CODE: Final = "CodeValue CodingSchemeDesignator CodingSchemeVersion CodeMeaning".split()
_REFERENCE: Final = ["ReferencedSOPClassUID", "ReferencedSOPInstanceUID"]
_STEP: Final = (
    "Modality RequestedContrastAgent ScheduledStationAETitle ScheduledProcedureStepStartDate "
    "ScheduledProcedureStepStartTime ScheduledPerformingPhysicianName ScheduledProcedureStepDescription "
    "ScheduledProcedureStepID ScheduledStationName ScheduledProcedureStepLocation PreMedication "
    "ScheduledProcedureStepStatus"
).split()
_OUTSIDE: Final = (
    "AccessionNumber ReferringPhysicianName PatientName PatientID IssuerOfPatientID PatientBirthDate PatientSex "
    "PatientWeight MedicalAlerts Allergies PregnancyStatus PatientState SpecialNeeds CurrentPatientLocation "
    "StudyInstanceUID RequestingPhysician RequestedProcedureDescription AdmissionID RequestedProcedureID "
    "RequestedProcedurePriority PatientTransportArrangements ConfidentialityConstraintOnPatientDataDescription "
    "PlacerOrderNumberImagingServiceRequest FillerOrderNumberImagingServiceRequest RequestedProcedureComments "
    "ReasonForTheRequestedProcedure"
).split()


def worklist(
    peer: Peer,
    identifier: Dataset,
    *,
    limit: int | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    report: Callable[[Response], None] = lambda _response: None,
) -> Iterator[Dataset]:
    """Query, yielding each scheduled procedure step as it arrives (see :func:`~dicomfab.dimse.scu.find.find`).

    Args:
        peer: whom to ask.
        identifier: keys, such as :func:`default_identifier` makes; zero length asks for the value.
        limit: after so many matches the query is cancelled; the matches are kept.
        cancelled: asked after each match; true cancels the query.
        report: told of every response.

    Raises:
        PeerError: the query failed; matches already yielded are then incomplete.
    """
    with associate(peer, [CONTEXT]) as association:
        yield from send(association, WORKLIST, identifier, limit=limit, cancelled=cancelled, report=report)


def default_identifier(
    *,
    station_ae_title: str = "",
    modality: str = "",
    date: str = "",
    patient_id: str = "",
    accession_number: str = "",
    patient_name: str = "",
) -> Dataset:
    """A query for all that a modality wants to know (PS3.4 table K.6-1, IHE RAD-5). Blank keys match anything.

    Args:
        station_ae_title: that the step is scheduled for.
        modality: such as ``CT``.
        date: on which the step starts, ``YYYYMMDD``, or a range of dates.
        patient_id: wildcards allowed.
        accession_number: of the imaging service request.
        patient_name: wildcards allowed.
    """
    step = _empty(_STEP)
    step.ScheduledStationAETitle = station_ae_title
    step.Modality = modality
    step.ScheduledProcedureStepStartDate = date
    step.ScheduledProtocolCodeSequence = DicomSequence([_empty(_CODE)])
    identifier = _empty(_OUTSIDE)
    identifier.ScheduledProcedureStepSequence = DicomSequence([step])
    identifier.RequestedProcedureCodeSequence = DicomSequence([_empty(_CODE)])
    identifier.ReferencedStudySequence = DicomSequence([_empty(_REFERENCE)])
    identifier.ReferencedPatientSequence = DicomSequence([_empty(_REFERENCE)])
    identifier.PatientID = patient_id
    identifier.AccessionNumber = accession_number
    identifier.PatientName = patient_name
    if not all(text.isascii() for text in (patient_id, accession_number, patient_name)):
        identifier.SpecificCharacterSet = "ISO_IR 192"
    return identifier


def _empty(keywords: list[str]) -> Dataset:
    dataset = Dataset()
    for keyword in keywords:
        setattr(dataset, keyword, None)
    return dataset
