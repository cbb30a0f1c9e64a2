"""What mammograms and breast tomosynthesis share: the views of a screening, and how each is described."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicomfab.fabricate.anatomy.body import Body, person
from dicomfab.fabricate.anatomy.breast import Pressed, Side, View
from dicomfab.fabricate.anatomy.regions import build_breast
from dicomfab.fabricate.iods.common import coded
from dicomfab.fabricate.kinds import Code
from dicomfab.fabricate.recipe import ResolvedStudy
from dicomfab.fabricate.render.mg import Exposure, large
from dicomfab.fabricate.seeds import Draw

_SIDES: Final[tuple[Side, ...]] = ("L", "R")
BREAST: Final[Code] = ("76752008", "SCT", "Breast")
CODES: Final[dict[View, Code]] = {
    "CC": ("399162004", "SCT", "cranio-caudal"),
    "MLO": ("399368009", "SCT", "medio-lateral oblique"),
}
_ORIENTATION: Final[dict[tuple[Side, View], tuple[str, str]]] = {
    ("R", "CC"): ("P", "L"), ("L", "CC"): ("A", "R"), ("R", "MLO"): ("P", "FL"), ("L", "MLO"): ("A", "FR"),
}  # fmt: skip
_ANGLE_DEG: Final[dict[tuple[Side, View], int]] = {
    ("R", "CC"): 0, ("L", "CC"): 0, ("R", "MLO"): 45, ("L", "MLO"): -45,
}  # fmt: skip


@lru_cache(maxsize=8)
def _pressed(seed: int, sex: str, side: Side, view: View) -> Pressed:
    return Pressed.draw(person(seed, sex), seed, side, view)


@dataclass(frozen=True, slots=True)
class Compression:
    """One compressed breast of a study.

    Args:
        study: of the patient.
        side: of the breast.
        view: craniocaudal or mediolateral oblique.
    """

    study: ResolvedStudy
    side: Side
    view: View

    @property
    def pressed(self) -> Pressed:
        """Its size."""
        return _pressed(self.study.body_seed, self.study.patient.sex, self.side, self.view)

    @property
    def exposure(self) -> Exposure:
        """Where it lies on the detector, which has the same format in all views."""
        both = [_pressed(self.study.body_seed, self.study.patient.sex, side, "CC") for side in _SIDES]
        return Exposure.of(self.pressed, large=large(both))

    @property
    def force_n(self) -> int:
        """Of the paddle."""
        return round(Draw(self.study.seed, "compression", self.side, self.view).between(70, 140))

    @property
    def dose_mgy(self) -> float:
        """Mean glandular dose: thicker breasts get more."""
        return round(0.6 * math.exp(0.018 * self.pressed.thickness_mm), 2)

    @property
    def kvp(self) -> int:
        """Thicker breasts are imaged with more."""
        return round(27 + (self.pressed.thickness_mm - 45) / 9)

    def body(self) -> Body:
        """Its anatomy."""
        study = self.study
        return build_breast(study.body_seed, study.patient.sex, self.side, self.view, study.course_months)


def described(ds: Dataset, one: Compression) -> None:
    """General Image, laterality, anatomy and view, compression and dose of a mammographic image."""
    ds.BodyPartExamined = "BREAST"
    ds.ImageLaterality = one.side
    ds.ViewPosition = one.view
    ds.PatientOrientation = list(_ORIENTATION[one.side, one.view])
    ds.OrganExposed = "BREAST"
    ds.BreastImplantPresent = "NO"
    ds.AnatomicRegionSequence = coded(BREAST)
    ds.ViewCodeSequence = coded(CODES[one.view])
    ds.ViewCodeSequence[0].ViewModifierCodeSequence = Sequence()
    ds.PositionerType = "MAMMOGRAPHIC"
    ds.PositionerPrimaryAngle = str(_ANGLE_DEG[one.side, one.view])
    ds.CompressionForce = str(one.force_n)
    ds.BodyPartThickness = f"{one.pressed.thickness_mm:.0f}"
    ds.DistanceSourceToDetector = "660"
    ds.DistanceSourceToPatient = "640"
    ds.AnodeTargetMaterial = "TUNGSTEN"
    ds.FilterMaterial = "RHODIUM"
    ds.FocalSpots = "0.3"
    ds.Grid = ["RECIPROCATING", "FOCUSED"]


def detector(ds: Dataset, one: Compression) -> None:
    """DX Detector: amorphous selenium."""
    pixel = f"{one.exposure.pixel_mm:g}"
    ds.DetectorType = "DIRECT"
    ds.DetectorConfiguration = "AREA"
    ds.DetectorDescription = "Amorphous selenium"
    ds.DetectorID = "SYN-DET-0002"
    ds.DetectorActiveShape = "RECTANGLE"
    ds.ImagerPixelSpacing = [pixel, pixel]
