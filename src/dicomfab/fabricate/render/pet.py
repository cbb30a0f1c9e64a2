"""FDG-PET: standardised uptake values (SUV) of tissues and lesions, the scanner's resolution, and its noise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.anatomy.body import Body, Lesion
from dicomfab.fabricate.anatomy.tissue import Tissue
from dicomfab.fabricate.render import emission
from dicomfab.fabricate.seeds import Draw

MATRIX: Final = 192
PIXEL_MM: Final = 3.125
FWHM_MM: Final = 6.0
STORED_PER_SUV: Final = 1000  # 16 bits hold SUV up to 65
_COUNTS_PER_SUV: Final = 38.0  # detected in a voxel, in effect, after reconstruction and filter
_AIR_SUV: Final = 0.02  # scatter and randoms that corrections leave

# SUV by body weight, an hour after injection.
_SUV: Final = {
    Tissue.SKIN: 0.6, Tissue.FAT: 0.25, Tissue.MUSCLE: 0.65, Tissue.INNER_FAT: 0.4, Tissue.BELLY_FAT: 0.4,
    Tissue.LUNG: 0.45, Tissue.AIRWAY_WALL: 0.7, Tissue.LUNG_VESSEL: 1.4, Tissue.NODULE: 4.0,
    Tissue.PERICARDIUM: 0.7, Tissue.BLOOD: 1.6, Tissue.VEIN: 1.6, Tissue.BRAIN_VESSEL: 1.6, Tissue.HEPATIC_VESSEL: 1.7,
    Tissue.DIAPHRAGM: 1.1, Tissue.LIVER: 2.3, Tissue.SPLEEN: 1.9, Tissue.KIDNEY: 3.2, Tissue.RENAL_MEDULLA: 6.5,
    Tissue.STOMACH: 1.3, Tissue.OESOPHAGUS: 1.5, Tissue.CARTILAGE: 0.6, Tissue.BONE: 0.8, Tissue.MARROW: 1.5,
    Tissue.DISC: 0.5, Tissue.CANAL: 1.6, Tissue.GLAND: 0.8, Tissue.COMPACT_BONE: 0.5, Tissue.DIPLOE: 0.9,
    Tissue.YELLOW_MARROW: 0.4, Tissue.CSF: 0.8, Tissue.GREY_MATTER: 11.0, Tissue.WHITE_MATTER: 3.4,
    Tissue.DEEP_GREY: 10.5, Tissue.BRAINSTEM: 5.5, Tissue.DURA: 1.6, Tissue.OEDEMA: 2.6, Tissue.TUMOUR: 12.0,
    Tissue.TUMOUR_CORE: 1.2, Tissue.INFARCT: 1.4, Tissue.HAEMORRHAGE: 1.0, Tissue.EYE: 0.6, Tissue.LENS: 0.5,
    Tissue.SCLERA: 1.6, Tissue.SINUS_MUCOSA: 1.8, Tissue.TOOTH: 0.3, Tissue.GALLBLADDER: 0.6, Tissue.PANCREAS: 1.7,
    Tissue.BOWEL_WALL: 2.2, Tissue.BOWEL_CONTENT: 1.4, Tissue.STOOL: 1.6, Tissue.BLADDER_WALL: 2.0,
    Tissue.PROSTATE: 1.9, Tissue.UTERUS: 2.0, Tissue.LIVER_METASTASIS: 7.0, Tissue.LIVER_CYST: 0.5,
    Tissue.RENAL_CYST: 0.5, Tissue.HYALINE_CARTILAGE: 0.5, Tissue.MENISCUS: 0.5, Tissue.LIGAMENT: 0.5,
    Tissue.TENDON: 0.5, Tissue.SYNOVIAL_FLUID: 0.6, Tissue.BONE_BRUISE: 1.8, Tissue.FIBROGLANDULAR: 1.0,
    Tissue.NIPPLE: 1.4, Tissue.BREAST_MASS: 6.0, Tissue.METASTASIS: 8.0, Tissue.THYROID: 1.5,
    Tissue.SALIVARY_GLAND: 2.3, Tissue.LYMPH_NODE: 6.0,
}  # fmt: skip
# What varies from person to person: the heart with the last meal, urine with what was drunk.
_VARIES: Final = {
    Tissue.MYOCARDIUM: (1.8, 9.0), Tissue.URINE: (9.0, 26.0), Tissue.LIVER: (1.9, 2.6), Tissue.GREY_MATTER: (9.0, 12.5),
    Tissue.BOWEL_WALL: (1.6, 3.2), Tissue.MARROW: (1.2, 1.8),
}  # fmt: skip
# Lesions that take up FDG: lowest and highest SUV.
_AVID: Final = {
    Tissue.NODULE: (3.0, 12.0), Tissue.TUMOUR: (11.0, 17.0), Tissue.LIVER_METASTASIS: (6.0, 13.0),
    Tissue.METASTASIS: (5.0, 14.0), Tissue.LYMPH_NODE: (4.0, 13.0), Tissue.BREAST_MASS: (3.5, 12.0),
}  # fmt: skip


def uptake(body: Body) -> dict[Lesion, float]:
    """The true SUV of each lesion, which follows from the lesion alone; the image shows small ones paler.

    Args:
        body: whose lesions are meant.
    """
    return {lesion: _lesion_suv(lesion) for lesion in body.lesions}


def _lesion_suv(lesion: Lesion) -> float:
    low_high = _AVID.get(lesion.tissue)
    if low_high is None:
        return _SUV.get(lesion.tissue, 0.0)
    return round(Draw(0, "fdg", lesion.kind, *(f"{value:.1f}" for value in lesion.radii_mm)).between(*low_high), 1)


def tracer(body: Body, seed: int) -> emission.Tracer:
    """SUV of everything in a body.

    Args:
        body: what is scanned.
        seed: decides what varies from person to person.
    """
    tissues = dict(_SUV)
    for tissue, low_high in _VARIES.items():
        tissues[tissue] = Draw(seed, "fdg", tissue.name).between(*low_high)
    return emission.Tracer(tissues, list(uptake(body).values()))


def slices(body: Body, stack: emission.Stack, seed: int, workers: int) -> Iterator[NDArray[np.uint16]]:
    """Render slices in order.

    Args:
        body: what is scanned.
        stack: where the slices lie.
        seed: decides the noise, and what varies from person to person.
        workers: threads; the result does not depend on it.

    Yields:
        (matrix, matrix) stored values: SUV times :data:`STORED_PER_SUV`.
    """
    emission.grain()  # made before threads ask for it

    def stored(index: int, suv: NDArray[np.float32]) -> NDArray[np.uint16]:
        suv = suv + np.float32(_AIR_SUV)
        suv += emission.grain_of(seed, index, stack.matrix) * np.sqrt(suv / np.float32(_COUNTS_PER_SUV))
        return emission.stored(suv, STORED_PER_SUV)

    return emission.sections(body, tracer(body, seed).table(), stack, FWHM_MM, workers, stored)
