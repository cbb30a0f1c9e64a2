"""What nuclear medicine and PET share: the body, moments around a scan, radiopharmaceuticals, and codes."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicomfab.fabricate.iods.common import coded
from dicomfab.fabricate.kinds import Code
from dicomfab.fabricate.recipe import ResolvedStudy
from dicomfab.fabricate.seeds import Draw

RECUMBENT: Final[Code] = ("102538003", "SCT", "recumbent")
SUPINE: Final[Code] = ("40199007", "SCT", "supine")
HEADFIRST: Final[Code] = ("102540008", "SCT", "headfirst")
INTRAVENOUS: Final[Code] = ("47625008", "SCT", "Intravenous route")


@dataclass(frozen=True, slots=True)
class Radionuclide:
    """What decays.

    Args:
        code: of CID 18.
        half_life_s: in seconds.
        positron_fraction: of the decays; 0 if it is no positron emitter.
    """

    code: Code
    half_life_s: float
    positron_fraction: float = 0.0

    def remaining(self, after_s: float) -> float:
        """The part of the activity that is left."""
        return math.exp(-math.log(2) * after_s / self.half_life_s)


@dataclass(frozen=True, slots=True)
class Radiopharmaceutical:
    """What is injected.

    Args:
        name: in plain words.
        code: of CID 25 or CID 4021.
        nuclide: that it is labelled with.
        mbq_per_kg: usual activity.
        wait_min: usual time from injection to scan.
    """

    name: str
    code: Code
    nuclide: Radionuclide
    mbq_per_kg: float
    wait_min: float


F18: Final = Radionuclide(("77004003", "SCT", "^18^Fluorine"), 6586.2, 0.9686)
TC99M: Final = Radionuclide(("72454006", "SCT", "^99m^Technetium"), 21624.0)
FDG: Final = Radiopharmaceutical(
    "Fluorodeoxyglucose", ("35321007", "SCT", "Fluorodeoxyglucose F^18^"), F18, mbq_per_kg=3.7, wait_min=60
)
MDP: Final = Radiopharmaceutical(
    "Medronate", ("96390006", "SCT", "Technetium Tc^99m^ medronate"), TC99M, mbq_per_kg=9.0, wait_min=180
)
DMSA: Final = Radiopharmaceutical(
    "Succimer", ("24511001", "SCT", "Technetium Tc^99m^ succimer"), TC99M, mbq_per_kg=1.6, wait_min=150
)
MIBI: Final = Radiopharmaceutical(
    "Sestamibi", ("424299003", "SCT", "Technetium Tc^99m^ sestamibi"), TC99M, mbq_per_kg=11.0, wait_min=60
)


@dataclass(frozen=True, slots=True)
class Injection:
    """What a patient got, and when.

    Args:
        agent: the radiopharmaceutical.
        activity_bq: when it was injected.
        before_s: the time from the injection to the scan.
    """

    agent: Radiopharmaceutical
    activity_bq: float
    before_s: int

    @classmethod
    def draw(cls, study: ResolvedStudy, agent: Radiopharmaceutical, weight_kg: float) -> Injection:
        """What a patient of this weight gets; it follows from the study's seed."""
        draw = Draw(study.seed, "injection", agent.name)
        activity = round(agent.mbq_per_kg * weight_kg * draw.between(0.92, 1.08), 1) * 1e6
        return cls(agent, activity, round(agent.wait_min * 60 * draw.between(0.94, 1.12)))

    @property
    def activity_at_scan_bq(self) -> float:
        """What is left of it in the patient's body and urine when the scan begins."""
        return self.activity_bq * self.agent.nuclide.remaining(self.before_s)


def moment(study: ResolvedStudy, after_s: float) -> tuple[str, str]:
    """Date (VR DA) and time (VR TM, six decimals) some seconds after, or before, the start of the study."""
    day, time = study.study_date, study.study_time
    hour, minute = int(time[:2]), int(time[2:4])
    start = dt.datetime(int(day[:4]), int(day[4:6]), int(day[6:]), hour, minute, tzinfo=dt.UTC)
    then = start + dt.timedelta(seconds=float(time[4:]) + after_s)
    return then.strftime("%Y%m%d"), then.strftime("%H%M%S.%f")


def injected(study: ResolvedStudy, injection: Injection, scan_after_s: float, *, pet: bool) -> Dataset:
    """An item of RadiopharmaceuticalInformationSequence (0054,0016), PS3.3 C.8.4.10 and C.8.9.2.

    Args:
        study: of which it is a part.
        injection: what was given.
        scan_after_s: when the scan began, after the start of the study.
        pet: the dose is in Bq; if not, it is in MBq, and nothing is said of the half-life.
    """
    date, time = moment(study, scan_after_s - injection.before_s)
    agent, item = injection.agent, Dataset()
    item.Radiopharmaceutical = agent.name
    item.RadiopharmaceuticalCodeSequence = coded(agent.code)
    item.RadiopharmaceuticalRoute = "IV"
    item.AdministrationRouteCodeSequence = coded(INTRAVENOUS)
    item.RadiopharmaceuticalVolume = "1.5"
    item.RadiopharmaceuticalStartTime = time
    item.RadionuclideTotalDose = f"{injection.activity_bq / (1 if pet else 1e6):.7g}"
    if pet:
        item.RadiopharmaceuticalStartDateTime = date + time
        item.RadionuclideHalfLife = f"{agent.nuclide.half_life_s:g}"
        item.RadionuclidePositronFraction = f"{agent.nuclide.positron_fraction:g}"
    item.RadionuclideCodeSequence = coded(agent.nuclide.code)
    return item


def lying(ds: Dataset) -> None:
    """NM/PET Patient Orientation (PS3.3 C.8.4.6): on the back, head first."""
    ds.PatientOrientationCodeSequence = coded(RECUMBENT)
    ds.PatientOrientationCodeSequence[0].PatientOrientationModifierCodeSequence = coded(SUPINE)
    ds.PatientGantryRelationshipCodeSequence = coded(HEADFIRST)


def energy_window(low_kev: float, high_kev: float) -> Sequence:
    """EnergyWindowRangeSequence (0054,0013) of one range."""
    item = Dataset()
    item.EnergyWindowLowerLimit, item.EnergyWindowUpperLimit = f"{low_kev:g}", f"{high_kev:g}"
    return Sequence([item])
