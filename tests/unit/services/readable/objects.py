"""Instances that hold no plain pictures, small ones, as data sets of pydicom."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian

from tests.unit.archive.builders import dataset

STORAGE: Final = "1.2.840.10008.5.1.4.1.1."
STUDY: Final = "1.2.826.0.1.3680043.2.1125.77"
#: What the others refer to.
IMAGE: Final = f"{STUDY}.1.1"
CT: Final = f"{STORAGE}2"
PDF_BYTES: Final = b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF"


def instance(number: int, sop_class: str, modality: str, **attributes: Any) -> Dataset:
    """An instance of the study, each in a series of its own."""
    return dataset(
        STUDY,
        f"{STUDY}.{number}",
        f"{STUDY}.{number}.1",
        SOPClassUID=STORAGE + sop_class,
        Modality=modality,
        SeriesNumber=number,
        InstanceNumber=1,
        SpecificCharacterSet="ISO_IR 192",
        **attributes,
    )


def item(**attributes: Any) -> Dataset:
    """An item of a sequence."""
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def code(meaning: str, value: str = "1", scheme: str = "99TEST") -> list[Dataset]:
    """A sequence with a coded entry."""
    return [item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)]


def content(relationship: str, value_type: str, concept: str, **attributes: Any) -> Dataset:
    """A content item of a report."""
    return item(
        RelationshipType=relationship, ValueType=value_type, ConceptNameCodeSequence=code(concept), **attributes
    )


def referenced(uid: str = IMAGE, sop_class: str = CT) -> list[Dataset]:
    """A sequence that refers to an instance."""
    return [item(ReferencedSOPClassUID=sop_class, ReferencedSOPInstanceUID=uid)]


def evidence(*uids: str) -> list[Dataset]:
    """What a document rests on."""
    series = item(SeriesInstanceUID=f"{STUDY}.1", ReferencedSOPSequence=[referenced(uid)[0] for uid in uids])
    return [item(StudyInstanceUID=STUDY, ReferencedSeriesSequence=[series])]


def image() -> Dataset:
    """What the others refer to: 8 x 8 pixels."""
    pixels = np.arange(64, dtype="<u2") * 16
    return instance(
        1,
        "2",
        "CT",
        Rows=8,
        Columns=8,
        BitsAllocated=16,
        BitsStored=12,
        HighBit=11,
        PixelRepresentation=0,
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        RescaleSlope="1",
        RescaleIntercept="-1024",
        WindowCenter="40",
        WindowWidth="400",
        PixelData=pixels.tobytes(),
    )


def report() -> Dataset:
    """A report with each type of value."""
    measured = item(NumericValue="12.5", MeasurementUnitsCodeSequence=code("millimeter", "mm", "UCUM"))
    finding = content(
        "CONTAINS",
        "CONTAINER",
        "Findings",
        ContinuityOfContent="SEPARATE",
        ContentSequence=[
            content("CONTAINS", "TEXT", "Finding", TextValue="Größe: unverändert\nzweite Zeile"),
            content("CONTAINS", "NUM", "Diameter", MeasuredValueSequence=[measured]),
            content("CONTAINS", "CODE", "Side", ConceptCodeSequence=code("Left")),
            content("CONTAINS", "IMAGE", "Source", ReferencedSOPSequence=referenced()),
            content("HAS OBS CONTEXT", "PNAME", "Observer", PersonName="Röntgen^Wilhelm"),
            content(
                "INFERRED FROM", "SCOORD", "Outline", GraphicType="POLYLINE", GraphicData=[float(n) for n in range(40)]
            ),
        ],
    )
    return instance(
        2,
        "88.33",
        "SR",
        ValueType="CONTAINER",
        ConceptNameCodeSequence=code("Chest CT Report"),
        ContinuityOfContent="SEPARATE",
        CompletionFlag="COMPLETE",
        VerificationFlag="VERIFIED",
        VerifyingObserverSequence=[
            item(VerifyingObserverName="Curie^Marie", VerifyingOrganization="Radium", VerificationDateTime="20260131")
        ],
        ContentDate="20260131",
        ContentTime="120000",
        ContentSequence=[finding],
        CurrentRequestedProcedureEvidenceSequence=evidence(IMAGE),
    )


def key_objects() -> Dataset:
    """A selection of one instance that is here, and one that is not."""
    return instance(
        3,
        "88.59",
        "KO",
        ValueType="CONTAINER",
        ConceptNameCodeSequence=code("For Teaching"),
        ContentSequence=[content("CONTAINS", "TEXT", "Key Object Description", TextValue="Look at this")],
        CurrentRequestedProcedureEvidenceSequence=evidence(IMAGE, f"{STUDY}.99"),
    )


def pdf() -> Dataset:
    """A document of an odd length, which is padded."""
    return instance(
        4,
        "104.1",
        "DOC",
        DocumentTitle="Letter",
        MIMETypeOfEncapsulatedDocument="application/pdf",
        EncapsulatedDocument=PDF_BYTES + b"\0" * (len(PDF_BYTES) % 2),
        EncapsulatedDocumentLength=len(PDF_BYTES),
    )


def cda() -> Dataset:
    """A document that would run a script if a browser took it for a page."""
    text = '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><script>alert(1)</script>Größe</html>'
    data = text.encode()
    return instance(
        5,
        "104.2",
        "DOC",
        DocumentTitle="Summary",
        MIMETypeOfEncapsulatedDocument="text/XML",
        EncapsulatedDocument=data + b"\0" * (len(data) % 2),
    )


def ecg(seconds: float = 2.0) -> Dataset:
    """Twelve leads of 500 samples a second, each a sine of 1 mV, the lead's number high."""
    leads = "I II III aVR aVL aVF V1 V2 V3 V4 V5 V6".split()
    count = int(500 * seconds)
    wave = np.round(400 * np.sin(np.arange(count) * 2 * np.pi / 500)).astype("<i2")
    channels = [
        item(
            ChannelSourceSequence=code(f"Lead {lead} (Einthoven)"),
            ChannelSensitivity="2.5",
            ChannelSensitivityUnitsSequence=code("microvolt", "uV", "UCUM"),
            ChannelSensitivityCorrectionFactor="1",
            ChannelBaseline="0",
            WaveformBitsStored=16,
        )
        for lead in leads
    ]
    group = item(
        WaveformOriginality="ORIGINAL",
        NumberOfWaveformChannels=12,
        NumberOfWaveformSamples=count,
        SamplingFrequency="500",
        MultiplexGroupLabel="RHYTHM",
        ChannelDefinitionSequence=channels,
        WaveformBitsAllocated=16,
        WaveformSampleInterpretation="SS",
        WaveformData=np.repeat(wave, 12).tobytes(),
    )
    note = item(UnformattedTextValue="Sinus rhythm")
    return instance(6, "9.1.1", "ECG", WaveformSequence=[group], WaveformAnnotationSequence=[note])


def sound() -> Dataset:
    """One channel of bytes."""
    channel = item(ChannelSourceSequence=code("Doppler"))
    group = item(
        NumberOfWaveformChannels=1,
        NumberOfWaveformSamples=16000,
        SamplingFrequency="8000",
        ChannelDefinitionSequence=[channel],
        WaveformBitsAllocated=8,
        WaveformSampleInterpretation="UB",
        WaveformData=bytes(range(250)) * 64,
    )
    group["WaveformData"].VR = "OB"
    return instance(7, "9.4.1", "AU", WaveformSequence=[group])


def presentation() -> Dataset:
    """A presentation state with a window and a text."""
    text = item(UnformattedTextValue="Here", BoundingBoxTopLeftHandCorner=[1.0, 1.0])
    series = item(SeriesInstanceUID=f"{STUDY}.1", ReferencedImageSequence=referenced())
    return instance(
        8,
        "11.1",
        "PR",
        ContentLabel="LUNG",
        ContentDescription="As the lung is seen",
        ContentCreatorName="Curie^Marie",
        ReferencedSeriesSequence=[series],
        SoftcopyVOILUTSequence=[item(WindowCenter="-600", WindowWidth="1500", WindowCenterWidthExplanation="LUNG")],
        GraphicAnnotationSequence=[item(GraphicLayer="ONE", TextObjectSequence=[text])],
    )


def structure_set() -> Dataset:
    """Two regions, one of them drawn."""
    contours = [item(ContourGeometricType="CLOSED_PLANAR", NumberOfContourPoints=1, ContourData=[0, 0, 0])] * 3
    return instance(
        9,
        "481.3",
        "RTSTRUCT",
        StructureSetLabel="PLAN1",
        StructureSetROISequence=[
            item(ROINumber=1, ROIName="Heart", ROIGenerationAlgorithm="MANUAL"),
            item(ROINumber=2, ROIName="PTV"),
        ],
        ROIContourSequence=[item(ReferencedROINumber=1, ROIDisplayColor=[255, 0, 16], ContourSequence=contours)],
        RTROIObservationsSequence=[item(ReferencedROINumber=2, RTROIInterpretedType="PTV")],
        ApprovalStatus="APPROVED",
    )


def dose() -> Dataset:
    """A dose with a histogram."""
    histogram = item(
        DVHType="CUMULATIVE", DoseUnits="GY", DVHMinimumDose="1", DVHMaximumDose="60.5", DVHMeanDose="31",
        DVHReferencedROISequence=[item(ReferencedROINumber=1)],
    )  # fmt: skip
    return instance(
        10,
        "481.2",
        "RTDOSE",
        DoseUnits="GY",
        DoseType="PHYSICAL",
        DoseSummationType="PLAN",
        DoseGridScaling="0.001",
        GridFrameOffsetVector=[0.0, 2.0],
        PixelSpacing=[2.5, 2.5],
        DVHSequence=[histogram],
        ReferencedRTPlanSequence=referenced(f"{STUDY}.11.1", f"{STORAGE}481.5"),
    )


def plan() -> Dataset:
    """A plan with one beam."""
    beam = item(
        BeamNumber=1, BeamName="AP", BeamType="STATIC", RadiationType="PHOTON", TreatmentMachineName="LINAC 3",
        ControlPointSequence=[item(GantryAngle="180", NominalBeamEnergy="6"), item(ControlPointIndex=1)],
    )  # fmt: skip
    return instance(
        11,
        "481.5",
        "RTPLAN",
        RTPlanLabel="PLAN1",
        RTPlanGeometry="PATIENT",
        DoseReferenceSequence=[
            item(DoseReferenceNumber=1, DoseReferenceDescription="PTV", TargetPrescriptionDose="60")
        ],
        FractionGroupSequence=[item(FractionGroupNumber=1, NumberOfFractionsPlanned=30, NumberOfBeams=1)],
        BeamSequence=[beam],
        ReferencedStructureSetSequence=referenced(f"{STUDY}.9.1", f"{STORAGE}481.3"),
    )


def segmentation() -> Dataset:
    """Two segments, of which one has a colour: CIELab of pure red."""
    category, kind = code("Tissue"), code("Liver")
    return instance(
        12,
        "66.4",
        "SEG",
        SegmentationType="BINARY",
        ContentLabel="SEG",
        NumberOfFrames=1,
        SegmentSequence=[
            item(
                SegmentNumber=1,
                SegmentLabel="Liver",
                SegmentedPropertyCategoryCodeSequence=category,
                SegmentedPropertyTypeCodeSequence=kind,
                SegmentAlgorithmType="MANUAL",
                RecommendedDisplayCIELabValue=[35591, 53654, 50860],
            ),
            item(SegmentNumber=2, SegmentLabel="Tumour"),
        ],
        ReferencedSeriesSequence=[
            item(SeriesInstanceUID=f"{STUDY}.1", ReferencedInstanceSequence=referenced()),
        ],
    )


#: Of each kind, what makes one.
KINDS: Final[dict[str, Callable[[], Dataset]]] = {
    "image": image,
    "report": report,
    "key_objects": key_objects,
    "pdf": pdf,
    "cda": cda,
    "ecg": ecg,
    "sound": sound,
    "presentation": presentation,
    "structure_set": structure_set,
    "dose": dose,
    "plan": plan,
    "segmentation": segmentation,
}


def encoded(made: Dataset, transfer_syntax_uid: str = ExplicitVRLittleEndian) -> bytes:
    """A DICOM file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = made.SOPClassUID
    meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    made.file_meta = meta
    file = io.BytesIO()
    dcmwrite(file, made, enforce_file_format=True)
    return file.getvalue()


def written(folder: Path, made: Dataset, transfer_syntax_uid: str = ExplicitVRLittleEndian) -> Path:
    """A DICOM file in a folder."""
    path = folder / f"{made.SOPInstanceUID}.dcm"
    path.write_bytes(encoded(made, transfer_syntax_uid))
    return path
