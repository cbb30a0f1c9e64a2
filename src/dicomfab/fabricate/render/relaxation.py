"""What tissues are in magnetic resonance: protons, relaxation times at 3 T, diffusion, and fat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dicomfab.fabricate.anatomy.tissue import Tissue


@dataclass(frozen=True, slots=True)
class Spins:
    """One tissue.

    Args:
        density: of protons, relative to water; flowing blood has little signal left.
        t1_ms: longitudinal relaxation.
        t2_ms: transverse relaxation.
        adc_um2_ms: apparent diffusion coefficient, in 1e-3 mm2/s.
        fat: which part of the signal is that of fat, and goes with fat saturation.
        texture: standard deviation of its structure, relative to its signal.
    """

    density: float
    t1_ms: float
    t2_ms: float
    adc_um2_ms: float = 1.2
    fat: float = 0.0
    texture: float = 0.03


_NOTHING: Final = Spins(0.0, 1000, 1)
_CORTEX: Final = Spins(0.06, 400, 8)
_WATER: Final = Spins(1.0, 4000, 1500, 3.0, texture=0.01)
_FLOW: Final = Spins(0.12, 1700, 60, 2.0)
_RED_MARROW: Final = Spins(0.8, 620, 62, 0.5, 0.5, 0.08)

SPINS: Final[dict[Tissue, Spins]] = {
    Tissue.AIR: _NOTHING,
    Tissue.COUCH: _NOTHING,
    Tissue.COUCH_FOAM: _NOTHING,
    Tissue.AIRWAY: _NOTHING,
    Tissue.GAS: _NOTHING,
    Tissue.SKIN: Spins(0.7, 800, 40),
    Tissue.FAT: Spins(0.95, 380, 125, 0.1, 0.96, 0.05),
    Tissue.INNER_FAT: Spins(0.95, 380, 125, 0.1, 0.96, 0.05),
    Tissue.BELLY_FAT: Spins(0.95, 380, 125, 0.1, 0.96, 0.05),
    Tissue.PERICARDIUM: Spins(0.9, 400, 110, 0.1, 0.9, 0.05),
    Tissue.MUSCLE: Spins(0.78, 1400, 38, 1.5, 0.02, 0.07),
    Tissue.LUNG: Spins(0.12, 1300, 25, texture=0.2),
    Tissue.AIRWAY_WALL: Spins(0.6, 1000, 40),
    Tissue.LUNG_VESSEL: _FLOW,
    Tissue.NODULE: Spins(0.85, 1500, 85, 1.1),
    Tissue.MYOCARDIUM: Spins(0.8, 1450, 45, 1.6),
    Tissue.BLOOD: _FLOW,
    Tissue.VEIN: _FLOW,
    Tissue.DIAPHRAGM: Spins(0.75, 1400, 38, 1.5),
    Tissue.LIVER: Spins(0.75, 810, 38, 1.1),
    Tissue.SPLEEN: Spins(0.82, 1330, 70, 0.8),
    Tissue.KIDNEY: Spins(0.82, 1150, 80, 2.0),
    Tissue.STOMACH: Spins(0.8, 1800, 150, 2.0),
    Tissue.OESOPHAGUS: Spins(0.75, 1200, 50),
    Tissue.CARTILAGE: Spins(0.6, 1100, 28, 1.0),
    Tissue.BONE: _CORTEX,
    Tissue.MARROW: _RED_MARROW,
    Tissue.DISC: Spins(0.8, 1300, 85, 1.8),
    Tissue.CANAL: Spins(0.95, 2600, 420, 2.4),
    Tissue.GLAND: Spins(0.8, 1300, 60, 1.8, 0.1),
    Tissue.CSF: _WATER,
    Tissue.GREY_MATTER: Spins(0.82, 1400, 96, 0.82, texture=0.025),
    Tissue.WHITE_MATTER: Spins(0.70, 850, 71, 0.72, texture=0.02),
    Tissue.DEEP_GREY: Spins(0.79, 1220, 79, 0.76, texture=0.02),
    Tissue.BRAINSTEM: Spins(0.73, 980, 77, 0.75, texture=0.02),
    Tissue.DURA: Spins(0.5, 900, 35),
    Tissue.BRAIN_VESSEL: Spins(0.06, 1700, 60, 2.0),
    Tissue.OEDEMA: Spins(0.88, 1650, 150, 1.45),
    Tissue.TUMOUR: Spins(0.86, 1450, 118, 1.15, texture=0.06),
    Tissue.TUMOUR_CORE: Spins(0.95, 2800, 420, 2.3),
    Tissue.INFARCT: Spins(0.88, 1580, 135, 0.42, texture=0.04),
    Tissue.HAEMORRHAGE: Spins(0.75, 900, 42, 0.6, texture=0.08),
    Tissue.EYE: Spins(1.0, 3900, 1400, 2.8, texture=0.01),
    Tissue.LENS: Spins(0.6, 1300, 28, 0.9),
    Tissue.SCLERA: Spins(0.65, 1000, 45, 1.0),
    Tissue.SINUS_MUCOSA: Spins(0.85, 1500, 130, 1.6),
    Tissue.TOOTH: Spins(0.02, 400, 5),
    Tissue.COMPACT_BONE: _CORTEX,
    Tissue.DIPLOE: Spins(0.45, 450, 80, 0.3, 0.7, 0.12),
    Tissue.HEPATIC_VESSEL: _FLOW,
    Tissue.GALLBLADDER: Spins(1.0, 2600, 700, 2.8),
    Tissue.PANCREAS: Spins(0.78, 730, 45, 1.3, 0.1),
    Tissue.RENAL_MEDULLA: Spins(0.85, 1550, 85, 2.0),
    Tissue.URINE: _WATER,
    Tissue.BOWEL_WALL: Spins(0.78, 1100, 55, 1.5),
    Tissue.BOWEL_CONTENT: Spins(0.9, 2200, 250, 2.2),
    Tissue.STOOL: Spins(0.5, 900, 45, 1.0, 0.1, 0.25),
    Tissue.BLADDER_WALL: Spins(0.75, 1300, 50),
    Tissue.PROSTATE: Spins(0.82, 1500, 85, 1.5),
    Tissue.UTERUS: Spins(0.82, 1450, 80, 1.4),
    Tissue.LIVER_METASTASIS: Spins(0.85, 1350, 85, 1.0),
    Tissue.LIVER_CYST: _WATER,
    Tissue.RENAL_CYST: _WATER,
    Tissue.STONE: _NOTHING,
    Tissue.HYALINE_CARTILAGE: Spins(0.8, 1150, 40, 1.4, texture=0.05),
    Tissue.MENISCUS: Spins(0.55, 900, 11, 1.0),
    Tissue.MENISCAL_TEAR: Spins(0.9, 2600, 280, 2.2),
    Tissue.LIGAMENT: Spins(0.5, 800, 11, 1.0, texture=0.08),
    Tissue.TENDON: Spins(0.42, 700, 7, 1.0),
    Tissue.SYNOVIAL_FLUID: Spins(1.0, 3200, 650, 2.6, texture=0.01),
    Tissue.YELLOW_MARROW: Spins(0.9, 370, 105, 0.1, 0.93, 0.06),
    Tissue.BONE_BRUISE: Spins(0.9, 1050, 110, 1.2, 0.3, 0.14),
    Tissue.FIBROGLANDULAR: Spins(0.8, 1400, 55, 1.9),
    Tissue.NIPPLE: Spins(0.7, 900, 45),
    Tissue.BREAST_MASS: Spins(0.85, 1500, 75, 1.0),
    Tissue.CALCIFICATION: _NOTHING,
    Tissue.METASTASIS: Spins(0.85, 1300, 80, 0.9),
    Tissue.THYROID: Spins(0.82, 1200, 75, 1.8),
    Tissue.SALIVARY_GLAND: Spins(0.82, 900, 65, 1.0, 0.25, 0.08),
    Tissue.LYMPH_NODE: Spins(0.85, 1300, 75, 0.9),
}
