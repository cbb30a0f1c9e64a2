"""A minimal HL7 CDA R2 document: who, when, by whom, and sections of sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree

from dicomfab.fabricate.recipe import ResolvedStudy
from dicomfab.fabricate.seeds import uid

LOINC: Final = "2.16.840.1.113883.6.1"
_GENDERS: Final = "2.16.840.1.113883.5.1"
_CONFIDENTIALITY: Final = "2.16.840.1.113883.5.25"
_XML_DECLARATION: Final = b'<?xml version="1.0" encoding="UTF-8"?>\n'
# What the component groups of a person name are in HL7 version 3.
_USES: Final = ("ABC", "IDE", "SYL")

Attributes = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the body.

    Args:
        code: LOINC.
        title: of the section.
        sentences: what it says.
    """

    code: str
    title: str
    sentences: Sequence[str]


def document(study: ResolvedStudy, root: str, title: str, made: str, sections: Sequence[Section]) -> bytes:
    """The document in UTF-8.

    Args:
        study: of which it is a report.
        root: its identifier, a UID.
        title: of the document.
        made: when, ``YYYYMMDDHHMMSS``.
        sections: of its body.
    """
    whole = ElementTree.Element(
        "ClinicalDocument", {"xmlns": "urn:hl7-org:v3", "classCode": "DOCCLIN", "moodCode": "EVN"}
    )
    _add(whole, "typeId", root="2.16.840.1.113883.1.3", extension="POCD_HD000040")
    _add(whole, "id", root=root)
    _add(
        whole, "code", code="18748-4", codeSystem=LOINC, codeSystemName="LOINC", displayName="Diagnostic imaging report"
    )
    _text(whole, "title", title)
    _add(whole, "effectiveTime", value=made)
    _add(whole, "confidentialityCode", code="N", codeSystem=_CONFIDENTIALITY)
    _add(whole, "languageCode", code="en-US")
    _patient(whole, study)
    _author(whole, study, made)
    custodian = _add(_add(whole, "custodian"), "assignedCustodian")
    _organization(custodian, "representedCustodianOrganization")
    if study.accession_number:
        order = _add(_add(whole, "inFulfillmentOf"), "order")
        _add(order, "id", root=uid("accession numbers", study.patient.issuer), extension=study.accession_number)
    _add(_add(_add(whole, "documentationOf"), "serviceEvent", classCode="ACT"), "id", root=study.study_instance_uid)
    body = _add(_add(whole, "component"), "structuredBody")
    for section in sections:
        _section(body, section)
    ElementTree.indent(whole)
    return b"".join((_XML_DECLARATION, ElementTree.tostring(whole, encoding="utf-8"), b"\n"))


def _patient(whole: ElementTree.Element, study: ResolvedStudy) -> None:
    patient = study.patient
    role = _add(_add(whole, "recordTarget"), "patientRole")
    _add(role, "id", root=uid("patients", patient.issuer), extension=patient.patient_id)
    person = _add(role, "patient")
    groups = patient.name.split("=")
    for use, group in zip(_USES, groups, strict=False):
        if group:
            _name(person, group, {"use": use} if len(groups) > 1 else {})
    if patient.sex in ("F", "M"):
        _add(person, "administrativeGenderCode", code=patient.sex, codeSystem=_GENDERS)
    else:
        _add(person, "administrativeGenderCode", code="UN", codeSystem=_GENDERS)
    if patient.birth_date:
        _add(person, "birthTime", value=patient.birth_date)


def _name(person: ElementTree.Element, group: str, use: Attributes) -> None:
    """A component group of a person name: family, given, middle, prefix and suffix (PS3.5 6.2)."""
    family, given, middle, prefix, suffix = (group.split("^") + [""] * 5)[:5]
    name = _add(person, "name", **use)
    for tag, text in (("prefix", prefix), ("given", given), ("given", middle), ("family", family), ("suffix", suffix)):
        if text:
            _text(name, tag, text)


def _author(whole: ElementTree.Element, study: ResolvedStudy, made: str) -> None:
    author = _add(whole, "author")
    _add(author, "time", value=made)
    assigned = _add(author, "assignedAuthor")
    _add(assigned, "id", root=uid("author"))
    device = _add(assigned, "assignedAuthoringDevice")
    _text(device, "softwareName", "DICOM Fabricator")
    _organization(assigned, "representedOrganization")


def _organization(within: ElementTree.Element, tag: str) -> None:
    organization = _add(within, tag)
    _add(organization, "id", root=uid("institution"))
    _text(organization, "name", "SYNTHETIC DATA")


def _section(body: ElementTree.Element, section: Section) -> None:
    made = _add(_add(body, "component"), "section")
    _add(made, "code", code=section.code, codeSystem=LOINC, codeSystemName="LOINC", displayName=section.title)
    _text(made, "title", section.title)
    listed = _add(_add(made, "text"), "list")
    for sentence in section.sentences:
        _text(listed, "item", sentence)


def _add(within: ElementTree.Element, tag: str, **attributes: str) -> ElementTree.Element:
    return ElementTree.SubElement(within, tag, attributes)


def _text(within: ElementTree.Element, tag: str, text: str) -> None:
    ElementTree.SubElement(within, tag).text = text
