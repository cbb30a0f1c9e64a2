"""Tissues: the labels that bodies are painted with, and what each looks like to a modality.

The order matters: a shape may be limited to a range of labels, so tissues that are replaced together stand together.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray


class Tissue(enum.IntEnum):
    """Labels of the voxels."""

    AIR = 0
    COUCH = 1
    SKIN = 2
    FAT = 3
    MUSCLE = 4
    INNER_FAT = 5  # inside the chest wall: mediastinum
    LUNG = 6
    AIRWAY_WALL = 7
    AIRWAY = 8
    LUNG_VESSEL = 9
    NODULE = 10
    PERICARDIUM = 11
    MYOCARDIUM = 12
    BLOOD = 13
    VEIN = 14
    DIAPHRAGM = 15
    BELLY_FAT = 16
    LIVER = 17
    SPLEEN = 18
    KIDNEY = 19
    STOMACH = 20
    GAS = 21
    OESOPHAGUS = 22
    CARTILAGE = 23
    BONE = 24
    MARROW = 25
    DISC = 26
    CANAL = 27
    GLAND = 28
    COUCH_FOAM = 29
    CSF = 30
    GREY_MATTER = 31  # cortex of the cerebrum and the cerebellum
    WHITE_MATTER = 32
    DEEP_GREY = 33  # thalamus and basal ganglia
    BRAINSTEM = 34
    DURA = 35  # falx and tentorium
    BRAIN_VESSEL = 36
    OEDEMA = 37  # vasogenic, around a tumour
    TUMOUR = 38  # its enhancing part
    TUMOUR_CORE = 39  # necrosis within a tumour
    INFARCT = 40  # acute to subacute
    HAEMORRHAGE = 41
    EYE = 42  # vitreous body
    LENS = 43
    SCLERA = 44  # and the optic nerve
    SINUS_MUCOSA = 45
    TOOTH = 46
    COMPACT_BONE = 47  # tables of the skull, shafts of long bones
    DIPLOE = 48  # spongy layer of the skull
    HEPATIC_VESSEL = 49
    GALLBLADDER = 50  # bile
    PANCREAS = 51
    RENAL_MEDULLA = 52  # the cortex is KIDNEY
    URINE = 53
    BOWEL_WALL = 54
    BOWEL_CONTENT = 55  # of the small bowel
    STOOL = 56  # of the colon
    BLADDER_WALL = 57
    PROSTATE = 58
    UTERUS = 59
    LIVER_METASTASIS = 60
    LIVER_CYST = 61
    RENAL_CYST = 62
    STONE = 63  # of the kidney
    HYALINE_CARTILAGE = 64  # of joints
    MENISCUS = 65
    MENISCAL_TEAR = 66  # fluid in a cleft
    LIGAMENT = 67
    TENDON = 68
    SYNOVIAL_FLUID = 69
    YELLOW_MARROW = 70  # fatty, with trabeculae: limbs
    BONE_BRUISE = 71  # oedema of marrow
    FIBROGLANDULAR = 72  # of the breast
    NIPPLE = 73
    BREAST_MASS = 74
    CALCIFICATION = 75
    METASTASIS = 76  # in bone; mixed, takes up tracer
    THYROID = 77
    SALIVARY_GLAND = 78
    LYMPH_NODE = 79


@dataclass(frozen=True, slots=True)
class Look:
    """How a tissue looks in X-ray imaging.

    Args:
        hu: mean CT number, after intravenous contrast.
        texture_hu: standard deviation of its structure, in HU.
    """

    hu: float
    texture_hu: float


LOOKS: Final[dict[Tissue, Look]] = {
    Tissue.AIR: Look(-1000, 0),
    Tissue.COUCH: Look(-150, 0),
    Tissue.SKIN: Look(15, 6),
    Tissue.FAT: Look(-103, 9),
    Tissue.MUSCLE: Look(56, 11),
    Tissue.INNER_FAT: Look(-92, 16),
    Tissue.LUNG: Look(-862, 24),
    Tissue.AIRWAY_WALL: Look(-40, 0),
    Tissue.AIRWAY: Look(-985, 0),
    Tissue.LUNG_VESSEL: Look(60, 0),
    Tissue.NODULE: Look(42, 10),
    Tissue.PERICARDIUM: Look(-70, 18),
    Tissue.MYOCARDIUM: Look(98, 8),
    Tissue.BLOOD: Look(205, 5),
    Tissue.VEIN: Look(160, 8),
    Tissue.DIAPHRAGM: Look(52, 5),
    Tissue.BELLY_FAT: Look(-100, 14),
    Tissue.LIVER: Look(104, 8),
    Tissue.SPLEEN: Look(122, 8),
    Tissue.KIDNEY: Look(165, 14),
    Tissue.STOMACH: Look(28, 14),
    Tissue.GAS: Look(-990, 0),
    Tissue.OESOPHAGUS: Look(45, 6),
    Tissue.CARTILAGE: Look(105, 18),
    Tissue.BONE: Look(640, 90),
    Tissue.MARROW: Look(190, 48),
    Tissue.DISC: Look(82, 8),
    Tissue.CANAL: Look(22, 6),
    Tissue.GLAND: Look(18, 16),
    Tissue.COUCH_FOAM: Look(-930, 6),
    Tissue.CSF: Look(6, 4),
    Tissue.GREY_MATTER: Look(39, 3),
    Tissue.WHITE_MATTER: Look(29, 3),
    Tissue.DEEP_GREY: Look(41, 3),
    Tissue.BRAINSTEM: Look(32, 3),
    Tissue.DURA: Look(60, 4),
    Tissue.BRAIN_VESSEL: Look(190, 5),
    Tissue.OEDEMA: Look(19, 4),
    Tissue.TUMOUR: Look(68, 8),
    Tissue.TUMOUR_CORE: Look(14, 4),
    Tissue.INFARCT: Look(18, 4),
    Tissue.HAEMORRHAGE: Look(68, 5),
    Tissue.EYE: Look(9, 3),
    Tissue.LENS: Look(85, 4),
    Tissue.SCLERA: Look(50, 4),
    Tissue.SINUS_MUCOSA: Look(35, 6),
    Tissue.TOOTH: Look(1900, 120),
    Tissue.COMPACT_BONE: Look(1250, 70),
    Tissue.DIPLOE: Look(480, 110),
    Tissue.HEPATIC_VESSEL: Look(165, 5),
    Tissue.GALLBLADDER: Look(9, 4),
    Tissue.PANCREAS: Look(98, 14),
    Tissue.RENAL_MEDULLA: Look(130, 10),
    Tissue.URINE: Look(6, 4),
    Tissue.BOWEL_WALL: Look(80, 8),
    Tissue.BOWEL_CONTENT: Look(18, 9),
    Tissue.STOOL: Look(28, 38),
    Tissue.BLADDER_WALL: Look(46, 6),
    Tissue.PROSTATE: Look(52, 9),
    Tissue.UTERUS: Look(92, 12),
    Tissue.LIVER_METASTASIS: Look(62, 9),
    Tissue.LIVER_CYST: Look(5, 4),
    Tissue.RENAL_CYST: Look(7, 4),
    Tissue.STONE: Look(950, 120),
    Tissue.HYALINE_CARTILAGE: Look(95, 8),
    Tissue.MENISCUS: Look(92, 7),
    Tissue.MENISCAL_TEAR: Look(25, 5),
    Tissue.LIGAMENT: Look(95, 8),
    Tissue.TENDON: Look(105, 8),
    Tissue.SYNOVIAL_FLUID: Look(12, 5),
    Tissue.YELLOW_MARROW: Look(20, 35),
    Tissue.BONE_BRUISE: Look(110, 30),
    Tissue.FIBROGLANDULAR: Look(38, 12),
    Tissue.NIPPLE: Look(30, 6),
    Tissue.BREAST_MASS: Look(52, 8),
    Tissue.CALCIFICATION: Look(1100, 100),
    Tissue.METASTASIS: Look(380, 90),
    Tissue.THYROID: Look(150, 12),
    Tissue.SALIVARY_GLAND: Look(35, 14),
    Tissue.LYMPH_NODE: Look(85, 8),
}
LABEL_COUNT: Final = 96
# Radiographs are taken without contrast medium.
_NATIVE_HU: Final = {
    Tissue.BLOOD: 42.0,
    Tissue.VEIN: 42.0,
    Tissue.MYOCARDIUM: 48.0,
    Tissue.LIVER: 60.0,
    Tissue.SPLEEN: 50.0,
    Tissue.KIDNEY: 34.0,
    Tissue.GREY_MATTER: 37.0,
    Tissue.WHITE_MATTER: 28.0,
    Tissue.DEEP_GREY: 39.0,
    Tissue.BRAINSTEM: 31.0,
    Tissue.DURA: 55.0,
    Tissue.BRAIN_VESSEL: 42.0,
    Tissue.OEDEMA: 18.0,
    Tissue.TUMOUR: 38.0,
    Tissue.TUMOUR_CORE: 14.0,
    Tissue.INFARCT: 18.0,
    Tissue.HEPATIC_VESSEL: 42.0,
    Tissue.PANCREAS: 42.0,
    Tissue.RENAL_MEDULLA: 32.0,
    Tissue.BOWEL_WALL: 40.0,
    Tissue.PROSTATE: 40.0,
    Tissue.UTERUS: 48.0,
    Tissue.LIVER_METASTASIS: 42.0,
    Tissue.FIBROGLANDULAR: 28.0,
    Tissue.BREAST_MASS: 42.0,
    Tissue.THYROID: 105.0,
    Tissue.SALIVARY_GLAND: 10.0,
    Tissue.LYMPH_NODE: 45.0,
}
# Bone absorbs more at radiography energies than its CT number says (photoelectric effect).
_BONE_EXCESS: Final = {
    Tissue.BONE: 1.55,
    Tissue.MARROW: 1.18,
    Tissue.CARTILAGE: 1.1,
    Tissue.COMPACT_BONE: 1.6,
    Tissue.DIPLOE: 1.3,
    Tissue.TOOTH: 1.7,
    Tissue.YELLOW_MARROW: 1.05,
    Tissue.METASTASIS: 1.3,
    Tissue.STONE: 1.5,
    Tissue.CALCIFICATION: 1.6,
}
_WATER_PER_MM: Final = 0.0195


def hu_table(*, contrast: bool = True) -> NDArray[np.float32]:
    """Mean CT number per label, after intravenous contrast or without it."""
    return _table(lambda tissue: LOOKS[tissue].hu if contrast else _NATIVE_HU.get(tissue, LOOKS[tissue].hu))


def texture_table() -> NDArray[np.float32]:
    """Texture strength per label, in HU."""
    return _table(lambda tissue: LOOKS[tissue].texture_hu)


def attenuation_table() -> NDArray[np.int32]:
    """Linear attenuation per label at about 70 keV, in units of 1e-6 per mm (whole, so that sums are exact)."""

    def attenuation(tissue: Tissue) -> float:
        if tissue in (Tissue.COUCH, Tissue.COUCH_FOAM):
            return 0.0
        relative = max(0.0, _NATIVE_HU.get(tissue, LOOKS[tissue].hu) / 1000 + 1) * _BONE_EXCESS.get(tissue, 1.0)
        return relative * _WATER_PER_MM * 1e6

    return _table(attenuation).astype(np.int32)


def _table(value: Callable[[Tissue], float]) -> NDArray[np.float32]:
    table = np.zeros(LABEL_COUNT, np.float32)
    for tissue in Tissue:
        table[tissue] = value(tissue)
    return table
