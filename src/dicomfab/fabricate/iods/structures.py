"""What segments and regions of interest are called, coded and coloured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from dicomfab.fabricate.anatomy.body import Lesion
from dicomfab.fabricate.anatomy.tissue import Tissue
from dicomfab.fabricate.kinds import Code

Colour = tuple[int, int, int]

ABNORMAL: Final[Code] = ("49755003", "SCT", "Morphologically Altered Structure")
ANATOMICAL: Final[Code] = ("123037004", "SCT", "Anatomical Structure")
_BONE: Final[Code] = ("272673000", "SCT", "Bone")
_BRAIN: Final[Code] = ("12738006", "SCT", "Brain")
_KIDNEY: Final[Code] = ("64033007", "SCT", "Kidney")
_KNEE: Final[Code] = ("72696002", "SCT", "Knee")
_LIVER: Final[Code] = ("10200004", "SCT", "Liver")
_LUNG: Final[Code] = ("39607008", "SCT", "Lung")
_LESION: Final[Code] = ("52988006", "SCT", "Lesion")
_CYST: Final[Code] = ("367643001", "SCT", "Cyst")
_SECONDARY: Final[Code] = ("14799000", "SCT", "Neoplasm, Secondary")


@dataclass(frozen=True, slots=True)
class Organ:
    """An organ that whole tissues belong to.

    Args:
        label: for people.
        code: of the organ.
        tissues: all that is in it.
        colour: red, green, blue.
        contoured: whether radiotherapy draws it.
        enclosed: what an outline around it holds, where that is more: outlines have no holes.
    """

    label: str
    code: Code
    tissues: tuple[Tissue, ...]
    colour: Colour
    contoured: bool = True
    enclosed: str = ""


ORGANS: Final = (
    Organ("Lungs", _LUNG, (Tissue.LUNG, Tissue.LUNG_VESSEL), (128, 174, 214)),
    Organ("Myocardium", ("74281007", "SCT", "Myocardium"), (Tissue.MYOCARDIUM,), (200, 60, 70), enclosed="Heart"),
    Organ("Liver", _LIVER, (Tissue.LIVER, Tissue.HEPATIC_VESSEL), (150, 90, 60)),
    Organ("Spleen", ("78961009", "SCT", "Spleen"), (Tissue.SPLEEN,), (140, 80, 140)),
    Organ("Kidneys", _KIDNEY, (Tissue.KIDNEY, Tissue.RENAL_MEDULLA), (185, 102, 83)),
    Organ("Stomach", ("69695003", "SCT", "Stomach"), (Tissue.STOMACH,), (216, 132, 105), contoured=False),
    Organ("Pancreas", ("15776009", "SCT", "Pancreas"), (Tissue.PANCREAS,), (249, 180, 111), contoured=False),
    Organ("Gallbladder", ("28231008", "SCT", "Gallbladder"), (Tissue.GALLBLADDER,), (139, 150, 98), contoured=False),
    Organ("Thyroid", ("69748006", "SCT", "Thyroid gland"), (Tissue.THYROID,), (62, 162, 114), contoured=False),
    Organ(
        "Brain",
        _BRAIN,
        (Tissue.GREY_MATTER, Tissue.WHITE_MATTER, Tissue.DEEP_GREY, Tissue.BRAINSTEM),
        (250, 250, 225),
    ),
    Organ(
        "Bones",
        _BONE,
        (Tissue.BONE, Tissue.MARROW, Tissue.COMPACT_BONE, Tissue.DIPLOE, Tissue.YELLOW_MARROW),
        (241, 214, 145),
        contoured=False,
    ),
)

#: By the kind of a lesion, what it is and which organ it lies in.
_LESIONS: Final[dict[str, tuple[Code, Code]]] = {
    "nodule": (("27925004", "SCT", "Nodule"), _LUNG),
    "tumour": (("86049000", "SCT", "Neoplasm, Primary"), _BRAIN),
    "infarct": (("55641003", "SCT", "Infarct"), _BRAIN),
    "haemorrhage": (("50960005", "SCT", "Hemorrhage"), _BRAIN),
    "liver metastasis": (_SECONDARY, _LIVER),
    "liver cyst": (_CYST, _LIVER),
    "renal cyst": (_CYST, _KIDNEY),
    "kidney stone": (("56381008", "SCT", "Calculus"), _KIDNEY),
    "bone metastasis": (_SECONDARY, _BONE),
    "meniscal tear": (_LESION, _KNEE),
    "bone bruise": (("79654002", "SCT", "Edema"), _KNEE),
}
_COLOURS: Final[tuple[Colour, ...]] = (
    (230, 60, 40), (255, 170, 0), (60, 200, 90), (0, 170, 220), (170, 90, 230), (240, 110, 190), (200, 200, 60),
)  # fmt: skip
_TO_XYZ_D50: Final = (
    (0.4360747, 0.3850649, 0.1430804),
    (0.2225045, 0.7168786, 0.0606169),
    (0.0139322, 0.0971045, 0.7141733),
)
_WHITE_D50: Final = (0.9642, 1.0, 0.8249)


def of_lesion(lesion: Lesion) -> tuple[Code, Code | None]:
    """What a lesion is, and which organ it lies in if that is known."""
    return _LESIONS.get(lesion.kind, (_LESION, None))


def lesion_colour(number: int) -> Colour:
    """The colour of a lesion, counted from 1; after some they come again."""
    return _COLOURS[(number - 1) % len(_COLOURS)]


def cielab(colour: Colour) -> list[int]:
    """Of sRGB, the CIELab value as DICOM stores it in 16 bits a component (PS3.3 C.10.7.1.1)."""
    srgb = np.array(colour) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    ratio = np.array(_TO_XYZ_D50) @ linear / _WHITE_D50
    x, y, z = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29).tolist()
    lightness, a, b = 116 * y - 16, 500 * (x - y), 200 * (y - z)
    stored = (lightness * 65535 / 100, (a + 128) * 65535 / 255, (b + 128) * 65535 / 255)
    return [min(max(round(value), 0), 65535) for value in stored]
