"""Grayscale Softcopy Presentation State (PS3.3 A.33.1): the last series in another window, its lesions marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from dicomfab.fabricate.encode.items import Item, sequence
from dicomfab.fabricate.iods.common import base
from dicomfab.fabricate.iods.nuclear import moment
from dicomfab.fabricate.iods.references import of_kinds, reference, references, without_pixels
from dicomfab.fabricate.iods.sightings import Sighting, sightings
from dicomfab.fabricate.kinds import OBJECTS
from dicomfab.fabricate.plan import Planned, SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy

SOP_CLASS_UID: Final = "1.2.840.10008.5.1.4.1.1.11.1"
LAYER: Final = "FINDINGS"
_SERIES: Final = "ReferencedSeriesSequence"
_MADE_AFTER_S: Final = 3600.0
# Centre and width that radiologists look at next, in HU.
_WINDOWS: Final = {
    "ct-chest": (-550, 1600, "LUNG"),
    "ct-head": (75, 215, "SUBDURAL"),
    "ct-abdomen": (90, 150, "LIVER"),
    "ct-body": (400, 1800, "BONE"),
}

Window = tuple[float, float, str]


def plan_object(
    study: ResolvedStudy, series: ResolvedSeries, series_number: int, before: Sequence[Planned]
) -> SeriesPlan:
    """One state for all images of the last series that it can be applied to."""
    shown = _shown(before)
    ds = base(study, SOP_CLASS_UID, "PR", series_number)
    ds.SeriesDescription = OBJECTS[series.kind].description
    _part(ds, shown[-1].dataset)
    _identified(ds, study, series_number)
    _refer(ds, shown)
    _displayed(ds, shown[-1].dataset)
    _transformed(ds, shown)
    _annotated(ds, [one for planned in shown for one in sightings(study, planned)])
    return without_pixels(study, series_number, ds)


def truth_of(
    study: ResolvedStudy, series: ResolvedSeries, series_number: int, before: Sequence[Planned]
) -> dict[str, Any]:
    """The windows, the instances that they are for, and the circle around each lesion, in pixels."""
    shown = _shown(before)
    return {
        "series_instance_uid": shown[0].series_instance_uid,
        "windows": [
            {
                "centre": centre,
                "width": width,
                "explanation": explanation,
                "sop_instance_uids": [one.sop_instance_uid(index) for index in range(one.plan.count)],
            }
            for one in shown
            for centre, width, explanation in (_window(one),)
        ],
        "marks": [
            {
                "sop_instance_uid": planned.sop_instance_uid(one.place.index),
                "region": one.finding.region,
                "lesion": one.finding.index,
                "centre": [round(one.place.column, 3), round(one.place.row, 3)],
                "radius": round(one.radius, 3),
            }
            for planned in shown
            for one in sightings(study, planned)
        ],
    }


def _shown(before: Sequence[Planned]) -> list[Planned]:
    """The parts of the last series of grey images."""
    grey = of_kinds(before, OBJECTS["pr"].needs)
    return [one for one in grey if one.series_instance_uid == grey[-1].series_instance_uid]


def _part(ds: Dataset, image: Dataset) -> None:
    """The part of the body that the series says, and its side."""
    ds.BodyPartExamined = image.BodyPartExamined
    side = image.get("Laterality") or image.get("ImageLaterality")
    if side in ("L", "R"):
        ds.Laterality = side


def _identified(ds: Dataset, study: ResolvedStudy, series_number: int) -> None:
    """Presentation Series and Presentation State Identification."""
    date, time = moment(study, _MADE_AFTER_S + series_number)
    ds.SeriesDate = ds.PresentationCreationDate = date
    ds.SeriesTime = ds.PresentationCreationTime = time
    ds.InstanceNumber = "1"
    ds.ContentLabel = LAYER
    ds.ContentDescription = "SYNTHETIC DATA: another window, lesions marked"
    ds.ContentCreatorName = "DICOM^FABRICATOR"


def _refer(ds: Dataset, shown: Sequence[Planned]) -> None:
    """ReferencedSeriesSequence (0008,1115) of the Presentation State Relationship module."""
    images: list[Item] = [
        {"ReferencedSOPClassUID": one.sop_class_uid, "ReferencedSOPInstanceUID": one.sop_instance_uid(index)}
        for one in shown
        for index in range(one.plan.count)
    ]
    series: Item = {"SeriesInstanceUID": shown[0].series_instance_uid, "ReferencedImageSequence": images}
    ds[_SERIES] = sequence(_SERIES, [series])


def _displayed(ds: Dataset, image: Dataset) -> None:
    """Displayed Area: the whole of every image."""
    item = Dataset()
    item.DisplayedAreaTopLeftHandCorner = [1, 1]
    item.DisplayedAreaBottomRightHandCorner = [int(image.Columns), int(image.Rows)]
    item.PresentationSizeMode = "SCALE TO FIT"
    spacing = image.get("PixelSpacing") or image.get("ImagerPixelSpacing")
    if spacing:
        item.PresentationPixelSpacing = list(spacing)
    else:
        item.PresentationPixelAspectRatio = ["1", "1"]
    ds.DisplayedAreaSelectionSequence = Items([item])


def _transformed(ds: Dataset, shown: Sequence[Planned]) -> None:
    """Modality LUT, Softcopy VOI LUT and Softcopy Presentation LUT.

    A state does not look at the images' PhotometricInterpretation: what is MONOCHROME1 is inverted here.
    """
    image = shown[-1].dataset
    if "RescaleSlope" in image:
        ds.RescaleIntercept, ds.RescaleSlope = image.RescaleIntercept, image.RescaleSlope
        ds.RescaleType = image.get("RescaleType", "US")
    windows = []
    for one in shown:
        centre, width, explanation = _window(one)
        item = Dataset()
        item.WindowCenter, item.WindowWidth = f"{centre:g}", f"{width:g}"
        item.WindowCenterWidthExplanation = explanation
        if len(shown) > 1:
            item.ReferencedImageSequence = Items(references(one))
        windows.append(item)
    ds.SoftcopyVOILUTSequence = Items(windows)
    ds.PresentationLUTShape = "INVERSE" if image.PhotometricInterpretation == "MONOCHROME1" else "IDENTITY"


def _window(planned: Planned) -> Window:
    """Another one than the images have."""
    if planned.kind in _WINDOWS:
        return _WINDOWS[planned.kind]
    ds = planned.dataset
    centre, width = (_first(ds[keyword].value) for keyword in ("WindowCenter", "WindowWidth"))
    return float(f"{centre:.6g}"), float(f"{width * 0.6:.6g}"), "MORE CONTRAST"


def _first(value: Any) -> float:
    return float(value) if isinstance(value, (str, int, float)) else float(value[0])


def _annotated(ds: Dataset, found: Sequence[Sighting]) -> None:
    """Graphic Layer and Graphic Annotation: a mark on all images, and each lesion where it is seen best."""
    layer = Dataset()
    layer.GraphicLayer = LAYER
    layer.GraphicLayerOrder = "1"
    layer.GraphicLayerRecommendedDisplayGrayscaleValue = 65535
    layer.GraphicLayerDescription = "Findings"
    ds.GraphicLayerSequence = Items([layer])
    marks = [_mark()]
    sections: dict[str, list[Sighting]] = {}
    for one in found:
        sections.setdefault(one.place.planned.sop_instance_uid(one.place.index), []).append(one)
    for uid, seen in sections.items():
        item = Dataset()
        item.ReferencedImageSequence = Items([reference(seen[0].place.planned.sop_class_uid, uid)])
        item.GraphicLayer = LAYER
        item.TextObjectSequence = Items([_text(one) for one in seen])
        item.GraphicObjectSequence = Items([_circle(one) for one in seen])
        marks.append(item)
    ds.GraphicAnnotationSequence = Items(marks)


def _mark() -> Dataset:
    """What every image says, at its upper edge."""
    text = Dataset()
    text.BoundingBoxAnnotationUnits = "DISPLAY"
    text.UnformattedTextValue = "SYNTHETIC DATA"
    text.BoundingBoxTopLeftHandCorner = [0.02, 0.02]
    text.BoundingBoxBottomRightHandCorner = [0.3, 0.06]
    text.BoundingBoxTextHorizontalJustification = "LEFT"
    item = Dataset()
    item.GraphicLayer = LAYER
    item.TextObjectSequence = Items([text])
    return item


def _text(one: Sighting) -> Dataset:
    """What a lesion is; the anchor is the right end of its circle."""
    text = Dataset()
    text.AnchorPointAnnotationUnits = "PIXEL"
    text.UnformattedTextValue = one.words
    text.AnchorPoint = [round(one.place.column + one.radius, 3), round(one.place.row, 3)]
    text.AnchorPointVisibility = "Y"
    return text


def _circle(one: Sighting) -> Dataset:
    """Its centre, and a point on it (PS3.3 C.10.5.1.2)."""
    column, row = one.place.column, one.place.row
    graphic = Dataset()
    graphic.GraphicAnnotationUnits = "PIXEL"
    graphic.GraphicDimensions = 2
    graphic.NumberOfGraphicPoints = 2
    graphic.GraphicData = [round(value, 3) for value in (column, row, column + one.radius, row)]
    graphic.GraphicType = "CIRCLE"
    graphic.GraphicFilled = "N"
    return graphic
