"""Encapsulated PDF and Encapsulated CDA (PS3.3 A.45.1, A.45.2): the report of the study as a document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from dicomfab.fabricate.iods import cda, findings
from dicomfab.fabricate.iods.common import base, coded
from dicomfab.fabricate.iods.image_pixel import even
from dicomfab.fabricate.iods.nuclear import moment
from dicomfab.fabricate.iods.references import reference, without_pixels
from dicomfab.fabricate.iods.report import sentence
from dicomfab.fabricate.iods.sightings import KeyImage, images, key_images
from dicomfab.fabricate.kinds import OBJECTS, Code
from dicomfab.fabricate.plan import Planned, SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.fabricate.render import pdf

PDF_UID: Final = "1.2.840.10008.5.1.4.1.1.104.1"
CDA_UID: Final = "1.2.840.10008.5.1.4.1.1.104.2"
TITLE: Final = "SYNTHETIC imaging report"
_REPORT: Final[Code] = ("18748-4", "LN", "Diagnostic imaging report")
_WARNING: Final = "SYNTHETIC DATA: made for tests, of no real person."
_MADE_AFTER_S: Final = 3600.0
_PAGE_BREAKERS: Final = str.maketrans("\r\n\t", "   ")


def plan_object(
    study: ResolvedStudy, series: ResolvedSeries, series_number: int, before: Sequence[Planned]
) -> SeriesPlan:
    """One document; it says what the images before it show."""
    is_pdf = series.kind == "pdf"
    ds = base(study, PDF_UID if is_pdf else CDA_UID, "DOC", series_number)
    ds.SeriesDescription = OBJECTS[series.kind].description
    date, time = moment(study, _MADE_AFTER_S + series_number)
    ds.SeriesDate = ds.ContentDate = date
    ds.SeriesTime = ds.ContentTime = time
    ds.AcquisitionDateTime = date + time
    ds.InstanceNumber = "1"
    ds.ConversionType = "WSD"
    ds.BurnedInAnnotation = "YES"  # it names the patient
    ds.RecognizableVisualFeatures = "NO"
    ds.DocumentTitle = TITLE
    ds.ConceptNameCodeSequence = coded(_REPORT)
    sources = key_images(study, before)
    if sources:
        ds.SourceInstanceSequence = _sources(sources)
    made = date + time[:6]
    root = study.uid("document", series_number)
    if not is_pdf:
        ds.HL7InstanceIdentifier = root
    said = _findings(study, before) or ["No lesion is described."]
    _encapsulate(
        ds,
        "application/pdf" if is_pdf else "text/XML",
        _pdf(study, before, sources, said, made) if is_pdf else _cda(study, root, before, said, made),
    )
    return without_pixels(study, series_number, ds)


def truth_of(
    study: ResolvedStudy, series: ResolvedSeries, series_number: int, before: Sequence[Planned]
) -> dict[str, Any]:
    """The title of the document, its findings, and the instances that it was made from."""
    return {
        "title": TITLE,
        "findings": _findings(study, before),
        "source_sop_instance_uids": [one.sop_instance_uid for one in key_images(study, before)],
    }


def _findings(study: ResolvedStudy, before: Iterable[Planned]) -> list[str]:
    """The sentences that a structured report has as well."""
    return [sentence(study, one) for one in findings.found(study, images(before))]


def _sources(sources: Iterable[KeyImage]) -> Items:
    """SourceInstanceSequence (0042,0013), each instance once."""
    found = {one.sop_instance_uid: one.planned.sop_class_uid for one in sources}
    return Items([reference(sop_class_uid, uid) for uid, sop_class_uid in found.items()])


def _encapsulate(ds: Dataset, media_type: str, document: bytes) -> None:
    """The document, padded to an even length, and its own length."""
    ds.MIMETypeOfEncapsulatedDocument = media_type
    ds.EncapsulatedDocument = document.ljust(even(len(document)), b"\0")
    ds.EncapsulatedDocumentLength = len(document)


def _examined(before: Iterable[Planned]) -> list[str]:
    """The series of images, each in a sentence."""
    found: dict[str, tuple[str, int]] = {}
    for one in images(before):
        ds = one.dataset
        words = f"Series {ds.SeriesNumber}: {ds.get('SeriesDescription', '')}, {ds.Modality}"
        _, count = found.get(one.series_instance_uid, (words, 0))
        found[one.series_instance_uid] = words, count + one.plan.count
    return [f"{words}, {count} instances." for words, count in found.values()] or ["No images."]


def _pdf(
    study: ResolvedStudy, before: Sequence[Planned], sources: Iterable[KeyImage], said: Sequence[str], made: str
) -> bytes:
    patient = study.patient
    lines = [
        _WARNING,
        "",
        "# Patient",
        f"Name: {_printable(patient.name.split('=')[0].replace('^', ' ').strip())}",
        f"Patient ID: {_printable(patient.patient_id)}",
        f"Born: {patient.birth_date or 'not known'}   Sex: {patient.sex or 'not known'}",
        "",
        "# Examination",
        f"{_printable(study.study_description)}, {study.study_date}",
        f"Accession number: {_printable(study.accession_number) or 'none'}",
        *map(_printable, _examined(before)),
        "",
        "# Findings",
        *said,
    ]
    seen = list(dict.fromkeys(one.words for one in sources))
    if seen:
        lines += ["", "# Key images", *map(_printable, seen)]
    return pdf.document(TITLE, [line.translate(_PAGE_BREAKERS) for line in lines], made=made)


def _printable(text: str) -> str:
    """The text, or a note where the fonts of every PDF reader do not have its letters."""
    return text if pdf.can_write(text) else "(in another script: see the attributes of the instance)"


def _cda(study: ResolvedStudy, root: str, before: Sequence[Planned], said: Sequence[str], made: str) -> bytes:
    sections = (
        cda.Section("55115-0", "Requested imaging studies information", [_WARNING, *_examined(before)]),
        cda.Section("18782-3", "Radiology Study observation", said),
    )
    return cda.document(study, root, TITLE, made, sections)
