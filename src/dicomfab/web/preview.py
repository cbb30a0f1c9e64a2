"""One instance as a small PNG, as a viewer would first show it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dicomfab.model.errors import NotFound, TranscodingFailed

if TYPE_CHECKING:
    from dicomfab.archive.records import StoredInstance

LONGEST_EDGE = 512


def middle(instances: Sequence[StoredInstance]) -> StoredInstance:
    """The instance in the middle of a series, by InstanceNumber where the files have one.

    Raises:
        NotFound: the series has no instance.
    """
    if not instances:
        raise NotFound("there is no such series in this study.")
    if len(instances) == 1:
        return instances[0]
    return sorted(instances, key=lambda i: _number(i.path))[len(instances) // 2]


def png(path: Path) -> bytes:
    """The middle frame as it is displayed at first, shrunk.

    Raises:
        NotFound: the instance has no picture that can be shown.
    """
    import pydicom

    from dicomfab.pixels import picture

    dataset = pydicom.dcmread(path)
    if "PixelData" not in dataset:
        raise _nothing("it has no pixel data")
    middle_frame = int(dataset.get("NumberOfFrames") or 1) // 2
    try:
        frame = picture.frame_of(dataset, middle_frame, str(dataset.file_meta.TransferSyntaxUID))
        return picture.png(picture.seen(dataset, frame), longest=LONGEST_EDGE)
    except (AttributeError, TranscodingFailed, RuntimeError, ValueError) as error:
        raise _nothing(str(error)) from error


def _number(path: Path) -> int:
    import pydicom

    dataset = pydicom.dcmread(path, specific_tags=["InstanceNumber"], stop_before_pixels=True)
    return int(dataset.get("InstanceNumber") or 0)


def _nothing(why: str) -> NotFound:
    return NotFound("there is no preview of this instance.", cause=why)
