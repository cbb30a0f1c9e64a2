"""Key objects, presentation states and encapsulated documents: they refer to what is there, and say what is so."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.sr.codedict import Collection

from dicomfab.fabricate.encode.document import encode_document
from dicomfab.fabricate.iods import cr, key_object, mr, presentation
from dicomfab.fabricate.kinds import OBJECTS
from dicomfab.fabricate.recipe import StudyRecipe
from dicomfab.fabricate.render import pdf
from dicomfab.fabricate.study import fabricate
from dicomfab.fabricate.truth import truth
from dicomfab.model.order import RequestAttributes
from dicomfab.model.study import Patient
from dicomfab.pixels.syntaxes import NATIVE
from tests.unit.fabricate.objects import document, objects, planned, told
from tests.unit.fabricate.studies import encoded, read, resolved, study

OURS = ("ko", "ko-rejected", "pr", "pdf", "cda", "ecg")
WITHOUT_PR = ("ko", "ko-rejected", "pdf", "cda", "ecg")
NAMESPACE = {"h": "urn:hl7-org:v3"}


def references(ds: Dataset) -> Iterator[tuple[str, str]]:
    """SOP class and instance of everything that a data set refers to, at any depth."""
    for element in ds:
        if element.VR == "SQ":
            for item in element.value:
                if "ReferencedSOPInstanceUID" in item:
                    yield item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID
                yield from references(item)


@pytest.mark.parametrize(
    ("images", "kinds"),
    [
        (("ct-chest",), OURS),
        (("mr-brain",), OURS),
        (("mr-knee",), OURS),
        (("ct-body", "pt-body"), OURS),
        (("cr-chest",), OURS),
        (("mg-screening",), OURS),
        (("us-cine",), WITHOUT_PR),
        (("ct-enhanced",), WITHOUT_PR),
        (("wsi", "es-endoscopy"), WITHOUT_PR),
    ],
)
def test_all_that_is_referred_to_is_there(images: tuple[str, ...], kinds: tuple[str, ...]) -> None:
    made = study(*images, *kinds, slices=12)
    shown, plans = planned(made)
    there = {one.sop_instance_uid(n): one for one in shown for n in range(one.plan.count)}
    assert set(plans) == set(kinds)
    for kind, plan in plans.items():
        ds = document(plan)
        found = list(references(ds))
        assert bool(found) == (kind != "ecg"), kind
        for sop_class_uid, uid in found:
            assert there[uid].sop_class_uid == sop_class_uid
        for series in ds.get("ReferencedSeriesSequence", []):
            assert {
                there[one.ReferencedSOPInstanceUID].series_instance_uid for one in series.ReferencedImageSequence
            } == {series.SeriesInstanceUID}
        assert (ds.StudyInstanceUID, ds.SyntheticData) == (made.study_instance_uid, "YES")
        assert ds.SeriesInstanceUID not in {one.series_instance_uid for one in shown}


def test_objects_are_the_same_every_time() -> None:
    made = study("text-card", "ct-head", *OURS, slices=4)
    first, second = ([encoded(one) for one in fabricate(made, workers=n)] for n in (1, 2))
    assert first == second


@pytest.mark.parametrize("kind", OURS)
@pytest.mark.parametrize("syntax", sorted(NATIVE))
def test_objects_can_be_written_in_every_native_transfer_syntax(kind: str, syntax: str) -> None:
    plan = planned(study("ct-head", kind))[1][kind]
    (instance,) = encode_document(dataclasses.replace(plan, transfer_syntax_uid=syntax))
    ds, expected = read(instance), document(plan)
    if kind == "ecg":
        order = ">i2" if syntax == "1.2.840.10008.1.2.2" else "<i2"
        here, there = ds.WaveformSequence[0], expected.WaveformSequence[0]
        assert np.array_equal(np.frombuffer(here.WaveformData, order), np.frombuffer(there.WaveformData, "<i2"))
        here.WaveformData = there.WaveformData
    del ds[0x00990010:0x00991004], expected[0x00990010:0x00991004]  # whose VR Implicit VR does not say
    assert ds == expected


# Key objects


def content(ds: Dataset, value_type: str) -> list[Dataset]:
    return [one for one in ds.ContentSequence if one.ValueType == value_type]


def test_key_images_show_lesions() -> None:
    made = study("ct-chest", "ko", slices=40)
    (image,), plans = planned(made)
    ds = document(plans["ko"])
    assert ds.ConceptNameCodeSequence[0].CodeMeaning == "Of Interest"
    assert ds.ContentTemplateSequence[0].TemplateIdentifier == "2010"
    places = {image.sop_instance_uid(n): image.plan.varying(n)["SliceLocation"] for n in range(image.plan.count)}
    (region,) = truth(made)["regions"]
    chosen = [one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for one in content(ds, "IMAGE")]
    assert 0 < len(chosen) == len(set(chosen)) < 6
    for uid in chosen:
        z_mm = float(places[uid])
        assert any(abs(one["centre_mm"][2] - z_mm) <= one["size_mm"][2] / 2 + 2.5 for one in region["lesions"])
    (words,) = content(ds, "TEXT")[-1:]
    assert "SYNTHETIC" in words.TextValue
    assert re.search(r"Nodule in the (left|right) lung, \d+ mm", words.TextValue)
    assert [one["sop_instance_uid"] for one in told(made, "ko")["references"]] == chosen


def test_evidence_is_what_the_key_objects_point_at() -> None:
    for ds in objects(study("mr-brain", "ct-head", "ko", "ko-rejected", slices=8)).values():
        pointed = {one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for one in content(ds, "IMAGE")}
        (evidence,) = ds.CurrentRequestedProcedureEvidenceSequence
        listed = [
            one.ReferencedSOPInstanceUID for s in evidence.ReferencedSeriesSequence for one in s.ReferencedSOPSequence
        ]
        assert sorted(listed) == sorted(pointed)
        assert evidence.StudyInstanceUID == ds.StudyInstanceUID


def test_without_lesions_the_middle_of_each_series_is_pointed_at() -> None:
    made = study("us-cine", "dx-chest", "text-card", "ko")
    images, plans = planned(made)
    items = content(document(plans["ko"]), "IMAGE")
    referred = [one.ReferencedSOPSequence[0] for one in items]
    assert [one.ReferencedSOPInstanceUID for one in referred] == [one.sop_instance_uid() for one in images[:3]]
    assert [one.get("ReferencedFrameNumber") for one in referred] == [15, None, None]


def test_rejected_is_the_whole_last_image_series_for_a_reason_of_the_standard() -> None:
    made = study("ct-head", "mr-brain", "ko-rejected", slices=5)
    images, plans = planned(made)
    ds = document(plans["ko-rejected"])
    pointed = [one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for one in content(ds, "IMAGE")]
    assert pointed == [images[-1].sop_instance_uid(n) for n in range(5)]
    assert ds.ConceptNameCodeSequence[0].CodeValue == "113001"
    (modifier,) = [one for one in content(ds, "CODE") if one.ConceptNameCodeSequence[0].CodeValue == "113011"]
    reasons = Collection("CID7011")
    allowed = {getattr(reasons, name).value: getattr(reasons, name).meaning for name in reasons.dir()}
    (reason,) = modifier.ConceptCodeSequence
    assert allowed[reason.CodeValue] == reason.CodeMeaning
    said = told(made, "ko-rejected")
    assert said["reason"] == reason.CodeMeaning
    assert len(said["references"]) == 5


def test_reasons_differ_from_study_to_study() -> None:
    assert {told(study("cr-chest", "ko-rejected", seed=seed), "ko-rejected")["reason"] for seed in range(30)} == {
        meaning for _, _, meaning in key_object.REASONS
    }


def test_a_key_object_says_which_order_it_belongs_to() -> None:
    order = RequestAttributes(requested_procedure_id="RP1", requested_procedure_code="1^99X^Head")
    made = resolved(StudyRecipe(("cr-chest", "ko"), seed=7, order=order, accession_number="A1"))
    ds = objects(made)["ko"]
    (request,) = ds.ReferencedRequestSequence
    assert (request.RequestedProcedureID, request.AccessionNumber) == ("RP1", "A1")
    assert request.RequestedProcedureCodeSequence[0].CodeMeaning == "Head"
    assert "RequestAttributesSequence" not in ds


# Presentation states


@pytest.mark.full
@pytest.mark.parametrize("kind", sorted(OBJECTS["pr"].needs))
def test_a_state_has_another_window_for_all_of_the_last_series(kind: str) -> None:
    images, plans = planned(study("ct-head", kind, "pr", slices=4))
    ds, last = document(plans["pr"]), images[-1]
    (series,) = ds.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == last.series_instance_uid
    assert [one.ReferencedSOPInstanceUID for one in series.ReferencedImageSequence] == [
        last.sop_instance_uid(n) for n in range(last.plan.count)
    ]
    (window,) = ds.SoftcopyVOILUTSequence
    theirs = last.dataset.WindowWidth
    assert window.WindowWidth not in (theirs if isinstance(theirs, list) else [theirs])
    assert window.WindowWidth > 0
    (area,) = ds.DisplayedAreaSelectionSequence
    assert area.DisplayedAreaBottomRightHandCorner == [last.dataset.Columns, last.dataset.Rows]
    inverted = last.dataset.PhotometricInterpretation == "MONOCHROME1"
    assert ds.PresentationLUTShape == ("INVERSE" if inverted else "IDENTITY")
    assert ds.get("RescaleSlope") == last.dataset.get("RescaleSlope")
    assert ds.GraphicAnnotationSequence[0].TextObjectSequence[0].UnformattedTextValue == "SYNTHETIC DATA"


def test_the_parts_of_a_series_have_windows_of_their_own() -> None:
    made = study("mr-brain", "pr", slices=4)
    images, _ = planned(made)
    weighted = images[:5]  # the last two are the diffusion weightings of one series
    assert weighted[3].series_instance_uid == weighted[4].series_instance_uid
    (series,) = [one for one in made.series if one.kind == "pr"]
    ds = document(presentation.plan_object(made, series, 9, weighted))
    for item, one in zip(ds.SoftcopyVOILUTSequence, weighted[3:], strict=True):
        assert [ref.ReferencedSOPInstanceUID for ref in item.ReferencedImageSequence] == [
            one.sop_instance_uid(n) for n in range(4)
        ]
    assert len({item.WindowWidth for item in ds.SoftcopyVOILUTSequence}) == 2
    assert len(ds.ReferencedSeriesSequence[0].ReferencedImageSequence) == 8


def test_circles_are_around_lesions() -> None:
    made = study("ct-chest", "pr", slices=100)
    ds = objects(made)["pr"]
    (region,) = truth(made)["regions"]
    lesions = {tuple(one["centre_mm"]): one for one in region["lesions"]}
    marks = told(made, "pr")["marks"]
    assert len(marks) == len(lesions)
    slices = {one.SOPInstanceUID: one for one in map(read, fabricate(made)) if one.Modality == "CT"}
    drawn = 0
    for annotation in ds.GraphicAnnotationSequence[1:]:
        (image,) = annotation.ReferencedImageSequence
        shown = slices[image.ReferencedSOPInstanceUID]
        hu = shown.pixel_array.astype(float) + float(shown.RescaleIntercept)
        rows, columns = np.mgrid[0 : shown.Rows, 0 : shown.Columns] + 0.5
        for graphic in annotation.GraphicObjectSequence:
            assert graphic.GraphicType == "CIRCLE"
            column, row, edge, _ = graphic.GraphicData
            distance = np.hypot(columns - column, rows - row)
            (mark,) = [one for one in marks if one["centre"] == [round(column, 3), round(row, 3)]]
            lesion = region["lesions"][mark["lesion"]]
            assert hu[distance < 1.5].mean() == pytest.approx(lesion["hu"], abs=60)
            # Half a millimetre beyond the largest extent of any section begins the space around it.
            assert (edge - column) * float(shown.PixelSpacing[0]) <= max(lesion["size_mm"]) / 2 + 3.01
            drawn += 1
    assert drawn == len(marks)


def test_cards_show_no_lesions() -> None:
    made = study("ct-chest", "ko", "pr", slices=40, style="card")
    ds = objects(made)
    assert len(ds["pr"].GraphicAnnotationSequence) == 1
    assert len(content(ds["ko"], "IMAGE")) == 1


def test_monochrome1_is_what_the_test_takes_it_for() -> None:
    images, plans = planned(study("cr-chest", "pr"))
    assert images[-1].sop_class_uid == cr.SOP_CLASS_UID
    assert document(plans["pr"]).PresentationLUTShape == "INVERSE"
    images, plans = planned(study("mr-brain", "pr"))
    assert images[-1].sop_class_uid == mr.SOP_CLASS_UID
    assert document(plans["pr"]).PresentationLUTShape == "IDENTITY"


# Documents


def unwrapped(ds: Dataset) -> bytes:
    held = ds.EncapsulatedDocument
    assert len(held) % 2 == 0
    assert len(held) - ds.EncapsulatedDocumentLength in (0, 1)
    return bytes(held[: ds.EncapsulatedDocumentLength])


def pdf_pages(data: bytes) -> list[str]:
    """The text of each page, found by way of the cross-reference table as a reader does."""
    assert data.startswith(b"%PDF-1.")
    assert data.endswith(b"%%EOF\n")
    start = int(data.rsplit(b"startxref\n", 1)[1].split()[0])
    table = data[start:].split(b"trailer")[0].split(b"\n")
    assert table[0] == b"xref"
    count = int(table[1].split()[1])
    entries = table[2 : 2 + count]
    assert {len(entry) for entry in entries} == {19}  # with the line feed 20 bytes (ISO 32000-1, 7.5.4)
    numbered_objects = {}
    for number, entry in enumerate(entries[1:], 1):
        at = int(entry[:10])
        head = b"%d 0 obj\n" % number
        assert data[at : at + len(head)] == head
        numbered_objects[number] = data[at + len(head) : data.index(b"\nendobj", at)]
    assert b"/Size %d" % count in data[start:]
    texts = []
    kids = re.search(rb"/Kids \[(.*?)\]", numbered_objects[2])
    assert kids
    for kid in re.findall(rb"(\d+) 0 R", kids[1]):
        page = numbered_objects[int(kid)]
        contents = re.search(rb"/Contents (\d+) 0 R", page)
        assert contents
        stream = numbered_objects[int(contents[1])]
        length, body = re.fullmatch(rb"<< /Length (\d+) >>\nstream\n(.*)\nendstream", stream, re.DOTALL).groups()  # type: ignore[union-attr]
        assert int(length) == len(body)
        shown = re.findall(rb"\(((?:\\.|[^\\()])*)\) Tj", body, re.DOTALL)
        texts.append("\n".join(re.sub(rb"\\(.)", rb"\1", one, flags=re.DOTALL).decode("cp1252") for one in shown))
    return texts


def test_a_pdf_says_whose_it_is_and_what_is_seen() -> None:
    made = study("ct-chest", "pdf", slices=40)
    ds = objects(made)["pdf"]
    (page,) = pdf_pages(unwrapped(ds))
    assert "SYNTHETIC" in page
    assert made.patient.patient_id in page
    assert made.patient.name.replace("^", " ") in page
    findings = told(made, "pdf")["findings"]
    assert len(findings) == len(truth(made)["regions"][0]["lesions"])
    flowed = " ".join(page.split())
    assert all(one in flowed for one in findings)
    assert ds.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert ds.BurnedInAnnotation == "YES"
    assert [one.ReferencedSOPInstanceUID for one in ds.SourceInstanceSequence] == told(made, "pdf")[
        "source_sop_instance_uids"
    ]


def test_a_name_that_the_fonts_do_not_have_is_not_mutilated() -> None:
    made = study("pdf", script="arabic")
    (page,) = pdf_pages(unwrapped(objects(made)["pdf"]))
    assert "?" not in page
    assert "in another script" in page
    assert made.patient.patient_id in page
    (japanese,) = pdf_pages(unwrapped(objects(study("pdf", script="japanese"))["pdf"]))
    assert study("pdf", script="japanese").patient.name.split("=")[0].replace("^", " ") in japanese


@pytest.mark.parametrize("kind", ["pdf", "cda"])
def test_a_document_stands_alone(kind: str) -> None:
    ds = objects(study(kind))[kind]
    assert "SourceInstanceSequence" not in ds
    assert b"No images." in unwrapped(ds)


lines_of_text = st.lists(st.text(st.characters(codec="cp1252", exclude_categories=["Cc"]), max_size=200), max_size=150)


@given(title=st.text(st.characters(codec="cp1252", exclude_categories=["Cc"]), max_size=40), lines=lines_of_text)
@settings(max_examples=60, deadline=None)
def test_any_text_makes_a_pdf(title: str, lines: list[str]) -> None:
    pages = pdf_pages(pdf.document(title, lines, made="20260131093000"))
    assert all(page.startswith(title) for page in pages)
    assert pages[0].endswith(f"Page 1 of {len(pages)}")
    words = "".join(one for page in pages for one in page.split("\n")[1:-1])
    assert "".join(words.split()) == "".join("".join(line.removeprefix("# ").split()) for line in lines)


@pytest.mark.parametrize("script", ["latin", "japanese", "arabic", "chinese", "hebrew"])
def test_a_cda_document_names_the_patient_in_any_script(script: str) -> None:
    made = study("ct-head", "cda", slices=20, script=script)
    ds = objects(made)["cda"]
    assert ds.MIMETypeOfEncapsulatedDocument == "text/XML"
    root = ElementTree.fromstring(unwrapped(ds).decode("utf-8"))
    assert root.tag == "{urn:hl7-org:v3}ClinicalDocument"
    assert root.find("h:id", NAMESPACE).attrib == {"root": ds.HL7InstanceIdentifier}  # type: ignore[union-attr]
    assert root.find("h:code", NAMESPACE).get("code") == ds.ConceptNameCodeSequence[0].CodeValue == "18748-4"  # type: ignore[union-attr]
    assert root.findtext("h:title", namespaces=NAMESPACE) == ds.DocumentTitle
    assert "SYNTHETIC" in ds.DocumentTitle
    role = root.find("h:recordTarget/h:patientRole", NAMESPACE)
    assert role is not None
    assert role.find("h:id", NAMESPACE).get("extension") == made.patient.patient_id  # type: ignore[union-attr]
    names = [
        "^".join(
            filter(
                None,
                (one.findtext("h:family", namespaces=NAMESPACE), *(g.text for g in one.findall("h:given", NAMESPACE))),
            )
        )
        for one in role.findall("h:patient/h:name", NAMESPACE)
    ]
    assert "=".join(names) == str(ds.PatientName) == made.patient.name
    said = [one.text for one in root.iterfind(".//h:section/h:text/h:list/h:item", NAMESPACE)]
    assert said[-len(told(made, "cda")["findings"]) :] == told(made, "cda")["findings"]
    order = [one.tag.partition("}")[2] for one in root]
    assert (
        order
        == (
            "typeId id code title effectiveTime confidentialityCode languageCode recordTarget author custodian "
            "inFulfillmentOf documentationOf component"
        ).split()
    )


def test_markup_in_a_name_stays_text() -> None:
    made = study("cda", patient=Patient("<b>O'Brien&^A", "<1>", sex="O"), accession_number="")
    root = ElementTree.fromstring(unwrapped(objects(made)["cda"]).decode("utf-8"))
    assert root.findtext(".//h:family", namespaces=NAMESPACE) == "<b>O'Brien&"
    assert root.find("h:inFulfillmentOf", NAMESPACE) is None
    assert root.find(".//h:administrativeGenderCode", NAMESPACE).get("code") == "UN"  # type: ignore[union-attr]


def test_a_patient_is_the_same_in_the_documents_of_two_studies() -> None:
    patient = Patient("A^B", "1", issuer="SYN-X")
    roots = [
        ElementTree.fromstring(unwrapped(objects(study("cda", seed=seed, patient=patient))["cda"]).decode("utf-8"))
        for seed in (1, 2)
    ]
    first, second = (one.find(".//h:patientRole/h:id", NAMESPACE).attrib for one in roots)  # type: ignore[union-attr]
    assert first == second
    first, second = (one.find("h:id", NAMESPACE).attrib for one in roots)  # type: ignore[union-attr]
    assert first != second
