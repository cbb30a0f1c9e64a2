"""What enhanced multi-frame images share (PS3.3 C.7.6.16, C.7.6.17): functional groups and dimensions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from dicomfab.fabricate.encode.items import Item, sequence
from dicomfab.fabricate.iods.common import base, burned_in, clock
from dicomfab.fabricate.recipe import ResolvedStudy
from dicomfab.fabricate.render.planes import Stack

_STACK: Final = "1"
_PER_FRAME: Final = "PerFrameFunctionalGroupsSequence"


def group(**values: object) -> Sequence:
    """A functional group: a sequence of one item with these attributes."""
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return Sequence([item])


def enhanced_base(study: ResolvedStudy, sop_class_uid: str, modality: str, number: int, start_s: float) -> Dataset:
    """The common modules, and what every enhanced image says of its acquisition and content.

    Args:
        study: what the attributes say.
        sop_class_uid: of the instance.
        modality: of the series.
        number: of the series.
        start_s: of the acquisition, after the start of the study.
    """
    ds = base(study, sop_class_uid, modality, number)
    time = clock(study.study_time, start_s)
    ds.SeriesTime = ds.ContentTime = time
    ds.ContentDate = study.study_date
    ds.AcquisitionDateTime = study.study_date + time
    ds.InstanceNumber = "1"
    ds.AcquisitionNumber = "1"
    ds.ContentQualification = "RESEARCH"
    ds.AcquisitionContextSequence = Sequence()
    ds.PresentationLUTShape = "IDENTITY"
    ds.LossyImageCompression = "00"
    burned_in(ds, identifies_patient=False)
    return ds


def each_frame(ds: Dataset, frames: Iterable[Item]) -> None:
    """PerFrameFunctionalGroupsSequence (5200,9230), encoded already: it has an item for each frame."""
    ds[_PER_FRAME] = sequence(_PER_FRAME, frames)


def pixels(ds: Dataset, slices: Stack) -> None:
    """Image Pixel: 12 bits, a frame for each slice."""
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = slices.rows, slices.columns
    ds.NumberOfFrames = str(slices.count)
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 12, 11
    ds.PixelRepresentation = 0


def dimensions(ds: Dataset, study: ResolvedStudy, number: int) -> None:
    """Multi-frame Dimension: frames are sorted by stack, and by their place in it."""
    uid = study.uid("dimensions", number)
    ds.DimensionOrganizationSequence = group(DimensionOrganizationUID=uid)
    ds.DimensionOrganizationType = "3D"
    items = []
    for keyword, label in (("StackID", "Stack"), ("InStackPositionNumber", "Position in the stack")):
        item = Dataset()
        item.DimensionOrganizationUID = uid
        item.DimensionIndexPointer = Tag(keyword)
        item.FunctionalGroupPointer = Tag("FrameContentSequence")
        item.DimensionDescriptionLabel = label
        items.append(item)
    ds.DimensionIndexSequence = Sequence(items)


def shared_groups(ds: Dataset, slices: Stack, windows: Iterable[tuple[int, int, str]]) -> Dataset:
    """The functional groups that are the same in all frames of any modality.

    Args:
        ds: whose AnatomicRegionSequence (0008,2218) moves into the Frame Anatomy group.
        slices: where the frames lie.
        windows: centre, width and explanation of each.

    Returns:
        The item of SharedFunctionalGroupsSequence (5200,9229), to which a modality adds its own.
    """
    shared = Dataset()
    shared.PixelMeasuresSequence = group(
        PixelSpacing=[f"{slices.pixel_mm:.10g}"] * 2,
        SliceThickness=f"{slices.thickness_mm:g}",
        SpacingBetweenSlices=f"{abs(slices.step_mm):g}",
    )
    shared.PlaneOrientationSequence = group(ImageOrientationPatient=[f"{value:g}" for value in slices.orientation])
    shared.FrameAnatomySequence = group(
        AnatomicRegionSequence=ds.AnatomicRegionSequence, FrameLaterality=ds.get("Laterality", "U")
    )
    del ds.AnatomicRegionSequence
    centres, widths, explanations = zip(*windows, strict=True)
    shared.FrameVOILUTSequence = group(
        WindowCenter=[str(value) for value in centres],
        WindowWidth=[str(value) for value in widths],
        WindowCenterWidthExplanation=list(explanations),
    )
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    return shared


def frame_groups(study: ResolvedStudy, slices: Stack, index: int, start_s: float, duration_s: float) -> Item:
    """The functional groups of one frame: its content, with its time, and its position.

    Args:
        study: gives the date.
        slices: where the frames lie.
        index: of the frame, from 0.
        start_s: of its acquisition, after the start of the study.
        duration_s: of its acquisition.

    Returns:
        Elements by keyword, to which a modality adds its own.
    """
    content: Item = {
        "FrameAcquisitionNumber": 1,
        "FrameAcquisitionDateTime": study.study_date + clock(study.study_time, start_s),
        "FrameReferenceDateTime": study.study_date + clock(study.study_time, start_s + duration_s / 2),
        "FrameAcquisitionDuration": duration_s * 1000,
        "DimensionIndexValues": [1, index + 1],
        "StackID": _STACK,
        "InStackPositionNumber": index + 1,
        "TemporalPositionIndex": 1,
    }
    position: Item = {"ImagePositionPatient": [f"{value:.6f}" for value in slices.position_mm(index)]}
    return {"FrameContentSequence": [content], "PlanePositionSequence": [position]}
