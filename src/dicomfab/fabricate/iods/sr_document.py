"""What all structured reports share: SR Document Series and General modules (PS3.3 C.17.1, C.17.2), and observers."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from dicomfab.fabricate.encode.items import Item, sequence
from dicomfab.fabricate.iods import sr_content as sr
from dicomfab.fabricate.iods.common import base, clock, coded, coded_text
from dicomfab.fabricate.iods.references import without_pixels
from dicomfab.fabricate.kinds import KINDS, Code
from dicomfab.fabricate.plan import Planned, SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.fabricate.seeds import Draw
from dicomfab.model.order import RequestAttributes

_EVIDENCE: Final = "CurrentRequestedProcedureEvidenceSequence"
_LANGUAGE: Final[Code] = ("121049", "DCM", "Language of Content Item and Descendants")
_COUNTRY: Final[Code] = ("121046", "DCM", "Country of Language")
_OBSERVER_TYPE: Final[Code] = ("121005", "DCM", "Observer Type")
_PERSON: Final[Code] = ("121006", "DCM", "Person")
_PERSON_NAME: Final[Code] = ("121008", "DCM", "Person Observer Name")
_ORGANIZATION: Final[Code] = ("121009", "DCM", "Person Observer's Organization Name")
_PROCEDURE: Final[Code] = ("121058", "DCM", "Procedure reported")
_IMAGING: Final[Code] = ("363679005", "SCT", "Imaging procedure")
_READERS: Final = (
    "Weber^Anna^^Dr.", "Haugen^Lars^^Dr.", "Moreau^Claire^^Dr.", "Okafor^Daniel^^Dr.", "Silva^Marta^^Dr.",
    "Novak^Petra^^Dr.", "Lindqvist^Erik^^Dr.", "Castelli^Paolo^^Dr.",
)  # fmt: skip
_ORGANIZATION_NAME: Final = "SYNTHETIC DATA"


def images(before: Iterable[Planned]) -> list[Planned]:
    """Those of what comes before that are images."""
    return [one for one in before if one.kind in KINDS]


def reader(study: ResolvedStudy, series: ResolvedSeries) -> str:
    """Who reports (VR PN): the physician of the series' device, or else somebody invented."""
    given = series.device.performing_physician if series.device is not None else ""
    return given or Draw(study.seed, "reader").choice(_READERS)


def organization(series: ResolvedSeries) -> str:
    """Where."""
    return (series.device.institution if series.device is not None else "") or _ORGANIZATION_NAME


def header(study: ResolvedStudy, series: ResolvedSeries) -> list[Dataset]:
    """Language (TID 1204) and person observer (TID 1003)."""
    country = sr.code(sr.MODIFIER, _COUNTRY, ("US", "ISO3166_1", "United States"))
    return [
        sr.code(sr.MODIFIER, _LANGUAGE, ("en", "RFC5646", "English"), [country]),
        sr.code(sr.CONTEXT, _OBSERVER_TYPE, _PERSON),
        sr.person(sr.CONTEXT, _PERSON_NAME, reader(study, series)),
        sr.text(sr.CONTEXT, _ORGANIZATION, organization(series)),
    ]


def procedures(ds: Dataset) -> list[Dataset]:
    """The procedures that a report is about, as the study has them."""
    found = ds.get("ProcedureCodeSequence") or coded(_IMAGING)
    codes = [(str(one.CodeValue), str(one.CodingSchemeDesignator), str(one.CodeMeaning)) for one in found]
    return [sr.code(sr.MODIFIER, _PROCEDURE, one) for one in codes]


def started(study: ResolvedStudy, sop_class_uid: str, series_number: int, description: str, minutes: int) -> Dataset:
    """A document without content, complete and unverified, written some minutes after the study began."""
    ds = base(study, sop_class_uid, "SR", series_number)
    ds.SeriesDescription = description
    ds.InstanceNumber = "1"
    ds.SeriesTime = ds.ContentTime = clock(study.study_time, minutes * 60.0)
    ds.ContentDate = study.study_date
    ds.CompletionFlag = "COMPLETE"
    ds.VerificationFlag = "UNVERIFIED"
    ds.PreliminaryFlag = "FINAL"
    ds.ReferencedPerformedProcedureStepSequence = Items()
    ds.PerformedProcedureCodeSequence = _copied(ds.get("ProcedureCodeSequence", ()))
    requested(ds, study)
    return ds


def verified(ds: Dataset, name: str, where: str) -> None:
    """Have a person vouch for a document at the time when it was written."""
    observer = Dataset()
    observer.VerifyingOrganization = where
    observer.VerificationDateTime = str(ds.ContentDate) + str(ds.ContentTime)
    observer.VerifyingObserverName = name
    observer.VerifyingObserverIdentificationCodeSequence = Items()
    ds.VerificationFlag = "VERIFIED"
    ds.VerifyingObserverSequence = Items([observer])


def finished(
    ds: Dataset, study: ResolvedStudy, series_number: int, root: Dataset, planned: Sequence[Planned]
) -> SeriesPlan:
    """The document with its content.

    Args:
        ds: as :func:`started` made it.
        study: that it belongs to.
        series_number: of it.
        root: its content, a CONTAINER.
        planned: what it rests on; every instance is listed as evidence.
    """
    ds[_EVIDENCE] = sequence(_EVIDENCE, [_evidence(study, planned)])
    ds.update(root)
    return without_pixels(study, series_number, ds)


def _evidence(study: ResolvedStudy, planned: Iterable[Planned]) -> Item:
    """The same as :func:`.references.evidence` gives, encoded without a data set for each of thousands of instances."""
    series: dict[str, list[Item]] = {}
    for one in planned:
        series.setdefault(one.series_instance_uid, []).extend(
            {"ReferencedSOPClassUID": one.sop_class_uid, "ReferencedSOPInstanceUID": one.sop_instance_uid(index)}
            for index in range(one.plan.count)
        )
    listed: list[Item] = [
        {"ReferencedSOPSequence": instances, "SeriesInstanceUID": uid} for uid, instances in series.items()
    ]
    return {"ReferencedSeriesSequence": listed, "StudyInstanceUID": study.study_instance_uid}


def requested(ds: Dataset, study: ResolvedStudy) -> None:
    """ReferencedRequestSequence (0040,A370), of a study that was ordered; a document has no other place for it."""
    if "RequestAttributesSequence" in ds:
        del ds.RequestAttributesSequence
    if study.order is None:
        return
    if not study.grouped:
        codes = ds.get("ProcedureCodeSequence", ())
        ds.ReferencedRequestSequence = Items([_request(study, study.order, study.accession_number, codes)])
        return
    ds.ReferencedRequestSequence = Items(
        [
            _request(study, one.attributes, one.accession_number, coded_text(one.attributes.requested_procedure_code))
            for one in study.grouped
        ]
    )


def _request(
    study: ResolvedStudy, order: RequestAttributes, accession_number: str, codes: Iterable[Dataset]
) -> Dataset:
    item = Dataset()
    item.StudyInstanceUID = order.study_instance_uid or study.study_instance_uid
    item.ReferencedStudySequence = Items()
    item.AccessionNumber = accession_number
    item.PlacerOrderNumberImagingServiceRequest = ""
    item.FillerOrderNumberImagingServiceRequest = ""
    item.RequestedProcedureID = order.requested_procedure_id
    item.RequestedProcedureDescription = order.requested_procedure_description
    item.RequestedProcedureCodeSequence = _copied(codes)
    return item


def _copied(items: Iterable[Dataset]) -> Items:
    return Items([copy.deepcopy(item) for item in items])
