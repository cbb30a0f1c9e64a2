"""The modules that images of X-ray projection share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from dicomfab.fabricate.iods.common import burned_in, instance_uid
from dicomfab.fabricate.kinds import Code

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydicom.dataset import Dataset

    from dicomfab.fabricate.recipe import ResolvedStudy
    from dicomfab.fabricate.render.angio import Run

PA: Final[Code] = ("272479007", "SCT", "postero-anterior")
LEFT_LATERAL: Final[Code] = ("399173006", "SCT", "left lateral")
LATERAL: Final[Code] = ("399067008", "SCT", "lateral projection")
ERECT: Final[Code] = ("10904000", "SCT", "erect")
RECUMBENT: Final[Code] = ("102538003", "SCT", "recumbent")
SUPINE: Final[Code] = ("40199007", "SCT", "supine")


@dataclass(frozen=True, slots=True)
class Technique:
    """How an exposure was made.

    Args:
        kvp: tube voltage, kV.
        current_ma: tube current.
        exposure_mas: current times time.
    """

    kvp: int
    current_ma: int
    exposure_mas: float


def technique(ds: Dataset, technique: Technique) -> None:
    """Tube voltage, current and time."""
    ds.KVP = str(technique.kvp)
    ds.XRayTubeCurrent = str(technique.current_ma)
    ds.ExposureTime = f"{round(technique.exposure_mas / technique.current_ma * 1000)}"
    ds.Exposure = f"{max(1, round(technique.exposure_mas))}"


def stored(ds: Dataset, rows: int, columns: int, bits: int, photometric: str) -> None:
    """Image Pixel: one sample of unsigned values."""
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = photometric
    ds.Rows, ds.Columns = rows, columns
    ds.BitsAllocated = 16 if bits > 8 else 8
    ds.BitsStored, ds.HighBit = bits, bits - 1
    ds.PixelRepresentation = 0
    ds.LossyImageCompression = "00"
    burned_in(ds, identifies_patient=False)


def window(ds: Dataset, bits: int) -> None:
    """VOI LUT: the whole range, in which pictures are made."""
    ds.WindowCenter, ds.WindowWidth = f"{1 << (bits - 1)}", f"{1 << bits}"
    ds.WindowCenterWidthExplanation = "NORMAL"


def timed(ds: Dataset, date: str, time: str) -> None:
    """When the series was begun, acquired and made."""
    ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = time
    ds.AcquisitionDate = ds.ContentDate = date


def identified(study: ResolvedStudy, series_number: int, first: int = 1) -> Callable[[int], Mapping[str, str]]:
    """What changes from instance to instance, if nothing but its identity does.

    Args:
        study: that the instances belong to.
        series_number: of their series.
        first: number of the first instance.
    """
    return partial(_identity, study, series_number, first)


def _identity(study: ResolvedStudy, series_number: int, first: int, index: int) -> dict[str, str]:
    number = first + index
    return {"SOPInstanceUID": instance_uid(study, series_number, number), "InstanceNumber": str(number)}


def frame_s(frames: int, *, shortest_s: float, whole_s: float) -> float:
    """Time from frame to frame, in whole microseconds: fewer frames lie further apart, so that the run shows all.

    Args:
        frames: how many there are.
        shortest_s: of a run at full rate.
        whole_s: what a run covers at least.
    """
    return round(max(shortest_s, whole_s / frames), 6)


def cine(ds: Dataset, run: Run) -> None:
    """Cine and Multi-frame: the rate of a run of equal steps."""
    ds.NumberOfFrames = str(run.frames)
    ds.FrameIncrementPointer = 0x00181063  # FrameTime
    ds.FrameTime = f"{run.frame_s * 1000:.3f}"
    ds.StartTrim, ds.StopTrim = "1", str(run.frames)
    rate = max(1, round(1 / run.frame_s))
    ds.CineRate = ds.RecommendedDisplayFrameRate = str(rate)
    ds.PreferredPlaybackSequencing = 0
    ds.ActualFrameDuration = str(round(run.frame_s * 1000))
    ds.EffectiveDuration = f"{run.frames * run.frame_s:.3f}"
    ds.RepresentativeFrameNumber = (run.frames + 1) // 2


def collimator(ds: Dataset, size: int, edges: tuple[int, int, int, int]) -> None:
    """X-Ray Collimator: leaves that cover so many pixels at the left, right, upper and lower edge."""
    left, right, upper, lower = edges
    ds.CollimatorShape = "RECTANGULAR"
    ds.CollimatorLeftVerticalEdge, ds.CollimatorRightVerticalEdge = str(left), str(size - right + 1)
    ds.CollimatorUpperHorizontalEdge, ds.CollimatorLowerHorizontalEdge = str(upper), str(size - lower + 1)


def even(length: int) -> int:
    """A length in bytes with the padding that an odd one gets."""
    return length + length % 2
