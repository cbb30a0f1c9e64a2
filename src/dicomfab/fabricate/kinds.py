"""The kinds of series that can be asked for: one row each, so that nothing heavy is loaded to list or count them.

:data:`KINDS` are images. :data:`OBJECTS` are what is made of images or beside them, and refers to those of its study.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MAX_COUNT: Final = 10_000
# Modules of images that say where their pixels are in no more than a few attributes.
_SHRINK: Final = frozenset(("cr", "ct", "dx", "es", "mg", "mr", "nm", "pt", "rf", "us", "vl", "xa"))

Code = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Counted:
    """What a recipe may count in a kind.

    Args:
        unit: in the plural: slices, frames, cards.
        default: how many there are if the recipe says nothing.
        most: how many there can be.
    """

    unit: str
    default: int
    most: int = MAX_COUNT

    def __str__(self) -> str:
        return f"1 {self.unit.removesuffix('s')}" if self.default == 1 else f"{self.default} {self.unit}"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of series, or of series that are acquired together.

    Args:
        title: what people call it.
        description: default StudyDescription (0008,1030).
        modality: Modality (0008,0060).
        module: the module of :mod:`dicomfab.fabricate.iods` whose ``plan`` function makes its series.
        counted: what a recipe may count; ``None`` if there is nothing to choose.
        instances: how many instances so many of them make.
        procedure: value, scheme and meaning of the procedure (LOINC); ``None`` if it is none.
        styles: how it can look, its default first.
        region: of the body that it shows (see :mod:`dicomfab.fabricate.anatomy.regions`); empty if it shows none.
        needs: of an object, the kinds of which one has to come before it in the study; empty if it stands alone.
    """

    title: str
    description: str
    modality: str
    module: str
    counted: Counted | None
    instances: Callable[[int], int]
    procedure: Code | None = None
    styles: tuple[str, ...] = ("image", "card")
    region: str = ""
    needs: tuple[str, ...] = ()

    @property
    def looks(self) -> tuple[str, ...]:
        """Its styles, and ``small`` if its images can be made small, see :mod:`dicomfab.fabricate.smalls`."""
        return (*self.styles, "small") if self.module in _SHRINK else self.styles


def _each(count: int) -> int:
    return count


def _always(instances: int) -> Callable[[int], int]:
    return lambda _count: instances


_PET_BODY: Final[Code] = ("44139-4", "LN", "PT Whole body")

#: Images.
KINDS: Final[dict[str, Kind]] = {
    "ct-chest": Kind(
        "CT of the chest", "CT CHEST W CONTRAST", "CT", "ct", Counted("slices", 200), _each,
        ("24628-0", "LN", "CT Chest W contrast IV"),
        region="chest",
    ),
    "ct-head": Kind(
        "CT of the head without contrast", "CT HEAD WO CONTRAST", "CT", "ct", Counted("slices", 68), _each,
        ("30799-1", "LN", "CT Head WO contrast"),
        region="head",
    ),
    "ct-abdomen": Kind(
        "CT of the abdomen and pelvis, portal venous", "CT ABDOMEN PELVIS W CONTRAST", "CT", "ct",
        Counted("slices", 150), _each, ("36813-4", "LN", "CT Abdomen and Pelvis W contrast IV"),
        region="abdomen",
    ),
    "ct-abdomen-native": Kind(
        "CT of the abdomen and pelvis before contrast", "CT ABDOMEN PELVIS WO CONTRAST", "CT", "ct",
        Counted("slices", 150), _each, ("36952-0", "LN", "CT Abdomen and Pelvis WO contrast"),
        region="abdomen",
    ),
    "mr-brain": Kind(
        "MR of the brain: T1, T2, FLAIR, diffusion with ADC", "MR BRAIN WO CONTRAST", "MR", "mr",
        Counted("slices", 28, MAX_COUNT // 6), lambda count: 6 * count, ("30657-1", "LN", "MR Brain WO contrast"),
        region="head",
    ),
    "mr-knee": Kind(
        "MR of the knee: PD with fat saturation, T1", "MR KNEE WO CONTRAST", "MR", "mr",
        Counted("slices", 30, MAX_COUNT // 2), lambda count: 2 * count, ("30691-0", "LN", "MR Knee WO contrast"),
        region="knee",
    ),
    "ct-body": Kind(
        "Whole-body CT, low dose, for PET/CT", "CT WHOLE BODY LOW DOSE", "CT", "ct", Counted("slices", 300), _each,
        ("46305-9", "LN", "CT Whole body"),
        region="whole",
    ),
    "ct-enhanced": Kind(
        "Enhanced CT of the chest, multi-frame", "CT CHEST W CONTRAST", "CT", "enhanced_ct",
        Counted("frames", 40, 2000), _always(1), ("24628-0", "LN", "CT Chest W contrast IV"),
        region="chest",
    ),
    "mr-enhanced": Kind(
        "Enhanced MR of the brain, T2, multi-frame", "MR BRAIN WO CONTRAST", "MR", "enhanced_mr",
        Counted("frames", 28, 2000), _always(1), ("30657-1", "LN", "MR Brain WO contrast"),
        region="head",
    ),
    "dx-chest": Kind(
        "Chest X-ray, PA and lateral", "XR CHEST PA AND LATERAL", "DX", "dx", None, _always(2),
        ("42272-5", "LN", "XR Chest PA and Lateral"),
        region="chest",
    ),
    "dx-processing": Kind(
        "Chest X-ray, raw, for processing", "XR CHEST PA", "DX", "dx", None, _always(1),
        ("24648-8", "LN", "XR Chest PA upright"),
        region="chest",
    ),
    "cr-chest": Kind(
        "Chest X-ray, PA, computed radiography", "XR CHEST PA", "CR", "cr", None, _always(1),
        ("24648-8", "LN", "XR Chest PA upright"),
        region="chest",
    ),
    "us-abdomen": Kind(
        "Ultrasound of the abdomen", "US ABDOMEN", "US", "us", Counted("images", 6), _each,
        ("24558-9", "LN", "US Abdomen"),
        region="abdomen",
    ),
    "us-cine": Kind(
        "Echocardiogram, four-chamber cine", "ECHOCARDIOGRAM", "US", "us", Counted("frames", 30), _always(1),
        ("42148-7", "LN", "US Heart"),
    ),
    "us-colour": Kind(
        "Colour Doppler cine of a carotid artery", "US CAROTID", "US", "us", Counted("frames", 16), _always(1),
        ("24616-5", "LN", "US Carotid arteries"),
    ),
    "es-endoscopy": Kind(
        "Colonoscopy with a polyp", "COLONOSCOPY", "ES", "es", Counted("images", 4), _each,
        ("18746-8", "LN", "Colonoscopy study"),
    ),
    "vl-photo": Kind(
        "Photograph of a pigmented lesion of the skin", "SKIN PHOTOGRAPHY", "XC", "vl", Counted("images", 2), _each,
        ("72170-4", "LN", "Photographic image"),
    ),
    "sc-rgb": Kind(
        "Colour secondary capture: 3D views of a chest", "3D CHEST", "OT", "sc", Counted("images", 1), _each,
        region="chest",
    ),
    "sc-multiframe-bit": Kind(
        "Single-bit multi-frame capture: scanned pages", "SCANNED FORM", "OT", "sc_multiframe", Counted("pages", 2),
        _always(1),
    ),
    "sc-multiframe-byte": Kind(
        "Grey 8-bit multi-frame capture: rotating MIP", "CHEST MIP", "OT", "sc_multiframe", Counted("frames", 12),
        _always(1),
        region="chest",
    ),
    "sc-multiframe-word": Kind(
        "Grey 16-bit multi-frame capture: coronal reformats", "CHEST CORONAL", "OT", "sc_multiframe",
        Counted("frames", 24), _always(1),
        region="chest",
    ),
    "sc-multiframe-colour": Kind(
        "Colour multi-frame capture: rotating 3D view", "3D CHEST ROTATING", "OT", "sc_multiframe",
        Counted("frames", 12), _always(1),
        region="chest",
    ),
    "wsi": Kind(
        "Whole slide: colon biopsy, haematoxylin and eosin", "COLON BIOPSY", "SM", "wsi",
        Counted("tiles a side", 16, 128), _always(5), ("11529-5", "LN", "Surgical pathology study"), styles=("image",),
    ),
    "cr-knee": Kind(
        "Knee X-ray, AP and lateral, computed radiography", "XR KNEE AP AND LATERAL", "CR", "cr", None, _always(2),
        ("36709-4", "LN", "XR Knee AP and Lateral"),
        region="knee",
    ),
    "xa-cine": Kind(
        "Coronary angiography, one run", "XA CORONARY ANGIOGRAPHY", "XA", "xa", Counted("frames", 30, 1000),
        _always(1),
        ("37174-0", "LN", "RFA Coronary arteries Views W contrast IA"),
        region="chest",
    ),
    "rf-swallow": Kind(
        "Barium swallow, one run", "RF BARIUM SWALLOW", "RF", "rf", Counted("frames", 20, 1_000), _always(1),
        ("30633-2", "LN", "RF Esophagus Views W barium contrast PO"),
        region="chest",
    ),
    "mg-screening": Kind(
        "Screening mammography, four views", "MG SCREENING", "MG", "mg", None, _always(4),
        ("24606-6", "LN", "MG Breast Screening"),
        region="breast",
    ),
    "dbt-screening": Kind(
        "Breast tomosynthesis, both sides, mediolateral oblique", "DBT SCREENING", "MG", "dbt",
        Counted("frames", 20, 200), _always(2),
        ("72142-3", "LN", "DBT Breast - bilateral screening"),
        styles=("image",),  # PS3.3 C.8.21.1: no burned-in annotation, which a card is
        region="breast",
    ),
    "pt-body": Kind(
        "FDG-PET of the body, attenuation corrected", "PET FDG WHOLE BODY", "PT", "pt", Counted("slices", 300), _each,
        _PET_BODY,
        region="whole",
    ),
    "pt-enhanced": Kind(
        "FDG-PET of the body as one Enhanced PET instance", "PET FDG WHOLE BODY", "PT", "pt_enhanced",
        Counted("slices", 300, 2000), _always(1), _PET_BODY, styles=("image",),
        region="whole",
    ),
    "nm-bone": Kind(
        "Bone scan, whole body, anterior and posterior", "NM BONE SCAN WHOLE BODY", "NM", "nm", None,
        _always(1),
        ("39818-0", "LN", "NM Whole body Bone Views"),
        region="whole",
    ),
    "nm-static": Kind(
        "Static kidney scan (DMSA), posterior and anterior", "NM RENAL DMSA", "NM", "nm", None, _always(1),
        ("41771-7", "LN", "NM Kidney Views W Tc-99m DMSA IV"),
        region="whole",
    ),
    "nm-tomo": Kind(
        "Bone SPECT, reconstructed", "NM BONE SPECT", "NM", "nm_tomo", Counted("slices", 100, 500), _always(1),
        ("39879-2", "LN", "SPECT Bone"),
        region="whole",
    ),
    "nm-gated": Kind(
        "Gated myocardial perfusion SPECT, short axis", "NM MYOCARDIAL PERFUSION GATED", "NM", "nm_tomo",
        Counted("slices", 18, 64), _always(1),
        ("39916-2", "LN", "SPECT Heart gated"),
        region="chest",
    ),
    "text-card": Kind(
        "Text card with the main attributes", "TEXT CARD", "OT", "sc", Counted("cards", 1), _each,
        styles=("card",),
    ),
}  # fmt: skip

_ANY: Final = tuple(name for name in KINDS if name != "text-card")
_SECTIONS: Final = tuple(
    name for name, kind in KINDS.items() if kind.module in ("ct", "mr", "pt") and kind.region != "breast"
)
_CT: Final = tuple(name for name, kind in KINDS.items() if kind.module == "ct")
_GREY: Final = (*_SECTIONS, "cr-chest", "cr-knee", "dx-chest", "mg-screening")
_DOSED: Final = (*_CT, "ct-enhanced")


def _object(
    title: str,
    description: str,
    modality: str,
    module: str,
    needs: tuple[str, ...] = (),
    *,
    procedure: Code | None = None,
) -> Kind:
    return Kind(title, description, modality, module, None, _always(1), procedure, ("image",), needs=needs)


#: What is not an image of the patient: it refers to the images that come before it in its study, or stands alone.
OBJECTS: Final[dict[str, Kind]] = {
    "ko": _object("Key object selection: of interest", "KEY IMAGES", "KO", "key_object", _ANY),
    "ko-rejected": _object("Key object selection: rejected for quality", "REJECTED IMAGES", "KO", "key_object", _ANY),
    "pr": _object("Grayscale presentation state", "PRESENTATION STATE", "PR", "presentation", _GREY),
    "sr-report": _object("Radiology report, Basic Text SR", "REPORT", "SR", "report", _ANY),
    "sr-comprehensive": _object(
        "Radiology report with measurements, Comprehensive SR", "REPORT", "SR", "report", _SECTIONS
    ),
    "sr-dose": _object("X-ray radiation dose report", "DOSE REPORT", "SR", "dose_report", _DOSED),
    "seg": _object("Segmentation of lesions, binary", "SEGMENTATION", "SEG", "segmentation", _SECTIONS),
    "seg-labelmap": _object(
        "Segmentation of lesions and organs, labelmap", "SEGMENTATION", "SEG", "segmentation", _SECTIONS
    ),
    "sr-measurements": _object("Measurements of lesions, TID 1500", "MEASUREMENTS", "SR", "measurements", _SECTIONS),
    "rt-struct": _object("RT structure set", "STRUCTURE SET", "RTSTRUCT", "rt_structures", _CT),
    "rt-plan": _object("RT plan", "PLAN", "RTPLAN", "rt_plan", _CT),
    "rt-dose": _object("RT dose", "DOSE", "RTDOSE", "rt_dose", _CT),
    "pdf": _object("Report as encapsulated PDF", "REPORT PDF", "DOC", "encapsulated"),
    "cda": _object("Report as encapsulated CDA", "REPORT CDA", "DOC", "encapsulated"),
    "ecg": _object(
        "12-lead electrocardiogram, 10 seconds", "ECG 12 LEAD", "ECG", "ecg", procedure=("11524-6", "LN", "EKG study")
    ),
}

#: Every kind that a recipe can name.
ALL_KINDS: Final[dict[str, Kind]] = {**KINDS, **OBJECTS}
