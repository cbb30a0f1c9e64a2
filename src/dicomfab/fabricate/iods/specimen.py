"""The Specimen module (PS3.3 C.7.6.22): a biopsy of the colon in paraffin, cut and stained."""

from __future__ import annotations

from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicomfab.fabricate.iods.common import coded
from dicomfab.fabricate.kinds import Code
from dicomfab.fabricate.recipe import ResolvedStudy
from dicomfab.fabricate.seeds import Draw

COLON: Final[Code] = ("71854001", "SCT", "Colon")
LABEL: Final = ("A1  H&E", "COLON")
_IDENTIFIER: Final[Code] = ("121041", "DCM", "Specimen Identifier")
_PROCESSING: Final[Code] = ("111701", "DCM", "Processing type")
_STEPS: Final[tuple[tuple[Code, tuple[tuple[Code, Code], ...]], ...]] = (
    (("17636008", "SCT", "Specimen collection"), ()),
    (
        ("9265001", "SCT", "Specimen processing"),
        (
            (("430864009", "SCT", "Tissue Fixative"), ("434162003", "SCT", "Neutral Buffered Formalin")),
            (("430863003", "SCT", "Embedding medium"), ("311731000", "SCT", "Paraffin wax")),
        ),
    ),
    (
        ("127790008", "SCT", "Staining"),
        (
            (("424361007", "SCT", "Using substance"), ("12710003", "SCT", "hematoxylin stain")),
            (("424361007", "SCT", "Using substance"), ("36879007", "SCT", "water soluble eosin stain")),
        ),
    ),
)


def container(study: ResolvedStudy) -> str:
    """ContainerIdentifier of the slide, in the characters of its bar code."""
    return f"SYN{Draw(study.seed, 'specimen', study.study_id).below(10**6):06d}-1"


def describe(ds: Dataset, study: ResolvedStudy) -> None:
    """Add the module: one slide with one section."""
    identifier = container(study)
    issuer = Dataset()
    issuer.LocalNamespaceEntityID = study.patient.issuer
    ds.ContainerIdentifier = identifier
    ds.IssuerOfTheContainerIdentifierSequence = Sequence([issuer])
    ds.ContainerTypeCodeSequence = coded(("433466003", "SCT", "Microscope slide"))
    described = Dataset()
    described.SpecimenIdentifier = identifier
    described.SpecimenUID = study.uid("specimen", identifier)
    described.IssuerOfTheSpecimenIdentifierSequence = Sequence([issuer])
    described.SpecimenTypeCodeSequence = coded(("1179252003", "SCT", "Slide submitted as specimen"))
    described.SpecimenShortDescription = "Colon, biopsy, block A1, H&E"
    described.PrimaryAnatomicStructureSequence = coded(COLON)
    described.SpecimenPreparationSequence = Sequence([_step(identifier, *step) for step in _STEPS])
    ds.SpecimenDescriptionSequence = Sequence([described])


def _step(identifier: str, processing: Code, substances: tuple[tuple[Code, Code], ...]) -> Dataset:
    items = [_content("TEXT", _IDENTIFIER), _content("CODE", _PROCESSING)]
    items[0].TextValue = identifier
    items[1].ConceptCodeSequence = coded(processing)
    for name, value in substances:
        items.append(_content("CODE", name))
        items[-1].ConceptCodeSequence = coded(value)
    step = Dataset()
    step.SpecimenPreparationStepContentItemSequence = Sequence(items)
    return step


def _content(value_type: str, name: Code) -> Dataset:
    item = Dataset()
    item.ValueType = value_type
    item.ConceptNameCodeSequence = coded(name)
    return item
