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
}
LABEL_COUNT: Final = 32
# Radiographs are taken without contrast medium.
_NATIVE_HU: Final = {
    Tissue.BLOOD: 42.0,
    Tissue.VEIN: 42.0,
    Tissue.MYOCARDIUM: 48.0,
    Tissue.LIVER: 60.0,
    Tissue.SPLEEN: 50.0,
    Tissue.KIDNEY: 34.0,
}
# Bone absorbs more at radiography energies than its CT number says (photoelectric effect).
_BONE_EXCESS: Final = {Tissue.BONE: 1.55, Tissue.MARROW: 1.18, Tissue.CARTILAGE: 1.1}
_WATER_PER_MM: Final = 0.0195


def hu_table() -> NDArray[np.float32]:
    """Mean CT number per label."""
    return _table(lambda tissue: LOOKS[tissue].hu)


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
