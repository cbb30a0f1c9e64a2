"""Nuclear Medicine Image (PS3.3 A.5): planar views of two opposed detectors, whole body and static."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as Values
from dataclasses import dataclass
from functools import partial
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicomfab.fabricate.anatomy import trunk
from dicomfab.fabricate.anatomy.body import Region, person
from dicomfab.fabricate.iods import image_pixel, nuclear, regions
from dicomfab.fabricate.iods.common import base, coded
from dicomfab.fabricate.kinds import Code
from dicomfab.fabricate.people import physique
from dicomfab.fabricate.plan import SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.fabricate.render import emission, nm

SOP_CLASS_UID: Final = "1.2.840.10008.5.1.4.1.1.20"
SCAN_AFTER_S: Final = 60
ANTERIOR: Final[Code] = ("399321004", "SCT", "Anterior projection")
POSTERIOR: Final[Code] = ("399001007", "SCT", "Posterior projection")
KIDNEY: Final[Code] = ("64033007", "SCT", "Kidney")
_WINDOW_KEV: Final = (126.0, 154.0)
_HEIGHT_MM: Final = 145.0  # of the detectors over and under the middle of the body


@dataclass(frozen=True, slots=True)
class _View:
    """How a planar kind is acquired.

    Args:
        region: which body is looked at.
        image_type: value 3 of ImageType (0008,0008).
        description: of the series.
        agent: what was injected.
        rows: of each image.
        columns: of each image.
        pixel_mm: of each image.
        counts: of both images together, about.
        duration_s: of the acquisition.
        shown: counts of a pixel that are shown as white.
    """

    region: Region
    image_type: str
    description: str
    agent: nuclear.Radiopharmaceutical
    rows: int
    columns: int
    pixel_mm: float
    counts: int
    duration_s: int
    shown: int


_VIEWS: Final = {
    "nm-bone": _View(
        "whole",
        "WHOLE BODY",
        "WB BONE ANT POST",
        nuclear.MDP,
        1024,
        256,
        2.4,
        counts=2_600_000,
        duration_s=1020,
        shown=44,
    ),
    "nm-static": _View(
        "abdomen", "STATIC", "DMSA ANT POST", nuclear.DMSA, 256, 256, 1.8, counts=800_000, duration_s=600, shown=150
    ),
}


def plan(study: ResolvedStudy, series: ResolvedSeries, series_number: int, workers: int) -> Iterator[SeriesPlan]:
    """One instance of two frames: the anterior view, then the posterior view."""
    view = _VIEWS[series.kind]
    camera = _camera(study, view)
    yield SeriesPlan(
        dataset=_dataset(study, series_number, view, camera),
        count=1,
        pixel_bytes=2 * view.rows * view.columns * 2,
        varying=image_pixel.numbered(study, series_number),
        pixels=partial(_pixels, study, view, camera, workers),
        frames=2,
    )


def _camera(study: ResolvedStudy, view: _View) -> nm.Camera:
    """The whole body in the middle, or the kidneys."""
    build = person(study.body_seed, study.patient.sex)
    if view.region == "whole":
        top_mm, _, _ = regions.axial_range(study, "whole")
        middle_mm = top_mm - physique(study.body_seed, study.patient.sex, None)[0] * 500.0
    else:
        middle_mm = trunk.origin(build)[2] - 38.0 * build.size
    return nm.Camera(view.rows, view.columns, view.pixel_mm, 0.0, round(middle_mm + view.rows * view.pixel_mm / 2, 1))


def _pixels(study: ResolvedStudy, view: _View, camera: nm.Camera, workers: int) -> Iterator[memoryview]:
    body = regions.body(study, view.region)
    if view.agent is nuclear.MDP:
        tracer = emission.Tracer(nm.BONE, list(nm.bone_uptake(body).values()))
    else:
        tracer = emission.Tracer(nm.KIDNEYS, [nm.KIDNEYS.get(lesion.tissue, 0.0) for lesion in body.lesions])
    views = nm.planar(body, tracer, camera, view.counts, study.seed, workers)
    nm.marked(views)
    for frame in views:
        yield frame.data.cast("B")


def _dataset(study: ResolvedStudy, series_number: int, view: _View, camera: nm.Camera) -> Dataset:
    ds = base(study, SOP_CLASS_UID, "NM", series_number)
    ds.SeriesDescription = ds.ProtocolName = view.description
    regions.describe(ds, study, view.region)
    if view.agent is nuclear.DMSA:
        ds.BodyPartExamined, ds.ImageLaterality = "KIDNEY", "B"
        ds.AnatomicRegionSequence = coded(KIDNEY)
    image(ds, study, view.image_type, view.duration_s, counts=view.counts)
    ds.ActualFrameDuration = str(view.duration_s * 1000)
    ds.WindowCenter, ds.WindowWidth = f"{view.shown / 2:g}", str(view.shown)
    image_pixel.grey(ds, view.rows, view.columns, stored=16)
    ds.PixelSpacing = [f"{view.pixel_mm:g}"] * 2
    if view.region == "whole":
        length_mm = view.rows * view.pixel_mm
        ds.WholeBodyTechnique = "1PS"
        ds.ScanLength = f"{length_mm:.0f}"
        ds.ScanVelocity = f"{length_mm / view.duration_s:.3f}"
    frames(ds, EnergyWindowVector=[1, 1], DetectorVector=[1, 2])
    ds.NumberOfEnergyWindows, ds.NumberOfDetectors = 1, 2
    isotope(ds, study, view.agent)
    ds.DetectorInformationSequence = Sequence(_detectors(camera))
    return ds


def image(ds: Dataset, study: ResolvedStudy, image_type: str, duration_s: float, *, counts: int) -> None:
    """General Image, and NM Image (PS3.3 C.8.4.9).

    Args:
        ds: the data set.
        study: of which it is a part.
        image_type: value 3 of ImageType.
        duration_s: of the whole acquisition.
        counts: of all of it.
    """
    ds.SeriesDate, ds.SeriesTime = nuclear.moment(study, SCAN_AFTER_S)
    ds.AcquisitionDate, ds.AcquisitionTime = ds.SeriesDate, ds.SeriesTime
    ds.ContentDate, ds.ContentTime = nuclear.moment(study, SCAN_AFTER_S + duration_s)
    ds.ImageType = ["ORIGINAL", "PRIMARY", image_type, "EMISSION"]
    ds.AcquisitionNumber = "1"
    ds.InstanceNumber = "1"
    ds.AcquisitionTerminationCondition = "TIME"
    ds.CountsAccumulated = str(counts)
    ds.TableHeight = "150"
    nuclear.lying(ds)


def frames(ds: Dataset, **vectors: Values[int]) -> None:
    """NM Multi-frame (PS3.3 C.8.4.8): the number of frames, and the vectors that say what each frame is.

    Args:
        ds: the data set.
        vectors: the keywords of the vectors, in the order that the standard gives for the image type; all as long.
    """
    ds.NumberOfFrames = str(len(next(iter(vectors.values()))))
    for keyword, values in vectors.items():
        setattr(ds, keyword, list(values))
    ds.FrameIncrementPointer = [ds[keyword].tag for keyword in vectors]


def isotope(ds: Dataset, study: ResolvedStudy, agent: nuclear.Radiopharmaceutical) -> None:
    """NM Isotope (PS3.3 C.8.4.10): the window over the peak of Tc-99m, and what was injected."""
    window = Dataset()
    window.EnergyWindowName = "Tc-99m"
    window.EnergyWindowRangeSequence = nuclear.energy_window(*_WINDOW_KEV)
    ds.EnergyWindowInformationSequence = Sequence([window])
    injection = nuclear.Injection.draw(study, agent, float(ds.PatientWeight))
    ds.RadiopharmaceuticalInformationSequence = Sequence([nuclear.injected(study, injection, SCAN_AFTER_S, pet=False)])


def detector() -> Dataset:
    """What all detectors share: an item of DetectorInformationSequence (0054,0022)."""
    item = Dataset()
    item.CollimatorGridName = "LEHR"
    item.CollimatorType = "PARA"
    item.FieldOfViewShape = "RECTANGLE"
    item.FieldOfViewDimensions = ["540", "400"]
    item.FocalDistance = "0"
    item.ZoomFactor = ["1", "1"]
    item.GantryDetectorTilt = "0"
    return item


def _detectors(camera: nm.Camera) -> list[Dataset]:
    width_mm = (camera.columns - 1) * camera.pixel_mm
    sides = ((ANTERIOR, 1, camera.left_mm, -_HEIGHT_MM, 0), (POSTERIOR, -1, camera.left_mm + width_mm, _HEIGHT_MM, 180))
    items = []
    for code, along_x, x_mm, y_mm, angle in sides:
        item = detector()
        item.StartAngle = str(angle)
        item.RadialPosition = f"{_HEIGHT_MM:g}"
        item.ViewCodeSequence = coded(code)
        item.ViewCodeSequence[0].ViewModifierCodeSequence = Sequence()
        z_mm = camera.top_z_mm - camera.pixel_mm / 2
        item.ImagePositionPatient = [f"{x_mm:.2f}", f"{y_mm:.2f}", f"{z_mm:.2f}"]
        item.ImageOrientationPatient = [str(along_x), "0", "0", "0", "0", "-1"]
        items.append(item)
    return items
