"""The instances of a series in any transfer syntax that can be written."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Final

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from dicomfab.fabricate.encode.frames import DEFLATE_END, deflated, frame_coder, mapped
from dicomfab.fabricate.encode.template import HeaderTemplate
from dicomfab.fabricate.instance import FabricatedInstance
from dicomfab.fabricate.plan import SeriesPlan
from dicomfab.model.study import Buffer, InstanceIdentity
from dicomfab.pixels.description import PixelDescription, described, encoded_photometric
from dicomfab.pixels.elements import ITEM, SEQUENCE_END, UNDEFINED, delimiter
from dicomfab.pixels.syntaxes import DEFLATED, EXPLICIT_LITTLE, NATIVE
from dicomfab.pixels.writable import Writable, check, writable

__all__ = ["check", "described", "encode_series"]

_BATCH_BYTES: Final = 2 << 20  # handing over less at once costs fast codecs more than a tenth
_RATIO: Final = "LossyImageCompressionRatio"
_EXPLICIT: Final = NATIVE[EXPLICIT_LITTLE]
_END: Final = delimiter(_EXPLICIT, SEQUENCE_END, 0)


def encode_series(
    plan: SeriesPlan, transfer_syntax_uid: str, workers: int, *, quality: int | None = None
) -> Iterator[FabricatedInstance]:
    """Make the instances of a series.

    Args:
        plan: the series, with its native frames.
        transfer_syntax_uid: of all of them, one of :data:`dicomfab.pixels.writable.WRITABLE`.
        workers: threads that encode frames; the bytes do not depend on it.
        quality: of a lossy transfer syntax, on its scale; its default if None.

    Returns:
        The instances in order, each made shortly before it is asked for. A few frames for each worker are in memory,
        and of a lossy instance its coded frames, since its header states the ratio.

    Raises:
        InvalidInput: the transfer syntax or quality cannot be used for these pixels. Raised at once.
    """
    syntax = writable(transfer_syntax_uid)
    description = described(plan.dataset, plan.frames)
    check(syntax, description, plan.dataset.SOPClassUID)
    if syntax.quality:
        quality = syntax.quality.checked(quality)
    return _Encoder(plan, syntax, description).instances(workers, quality)


class _Encoder:
    """One series in one transfer syntax."""

    def __init__(self, plan: SeriesPlan, syntax: Writable, description: PixelDescription) -> None:
        self._plan = plan
        self._syntax = syntax
        self._description = description
        self._dataset = _with_coding(plan.dataset, syntax)
        # Reading an element of a data set takes longer than making a header.
        self._sop_class_uid = str(plan.dataset.SOPClassUID)
        self._study_instance_uid = str(plan.dataset.StudyInstanceUID)
        self._series_instance_uid = str(plan.dataset.SeriesInstanceUID)
        self._series_number = int(plan.dataset.SeriesNumber)
        self._modality = str(plan.dataset.Modality)
        self._padding = b""
        varying = (*plan.varying(0), *([_RATIO] if syntax.lossy else []))
        if syntax.encapsulated:
            self._template = HeaderTemplate(self._dataset, varying, UNDEFINED, "OB")
            return
        vr = "OW" if description.bits_allocated > 8 else "OB"
        self._template = HeaderTemplate(self._dataset, varying, plan.pixel_bytes, vr, NATIVE[syntax.uid])
        if description.bits_allocated > 1:
            self._padding = bytes(_padding_bytes(plan, description))

    def instances(self, workers: int, quality: int | None) -> Iterator[FabricatedInstance]:
        """The instances, in order."""
        planes = self._plan.dataset.get("PlanarConfiguration", 0) == 1
        coder = frame_coder(self._syntax, self._description, quality, planes=planes)
        native = map(self._checked, self._plan.pixels())
        batch = max(1, _BATCH_BYTES // max(1, self._description.frame_bytes))
        count = self._plan.frames
        frames = mapped(coder, native, self._plan.count * count, workers, batch) if coder else native
        left: Iterator[Buffer] = iter(())
        for index in range(self._plan.count):
            for _ in left:  # what was not taken of the instance before
                pass
            if count == 1 or self._syntax.lossy:
                yield self._instance(index, self._complete(index, list(islice(frames, count))))
            else:
                left = islice(frames, count)
                yield self._instance(index, left)

    def _instance(self, index: int, frames: Iterable[Buffer]) -> FabricatedInstance:
        values = self._plan.varying(index)
        return FabricatedInstance(
            identity=InstanceIdentity(self._sop_class_uid, values["SOPInstanceUID"], self._syntax.uid),
            study_instance_uid=self._study_instance_uid,
            series_instance_uid=self._series_instance_uid,
            series_number=self._series_number,
            instance_number=int(values["InstanceNumber"]),
            modality=self._modality,
            buffers=self._buffers(values, frames),
        )

    def _checked(self, frame: Buffer) -> Buffer:
        size, expected = memoryview(frame).nbytes, self._description.frame_bytes
        if size != expected and self._description.bits_allocated > 1:
            raise ValueError(f"the plan gives a frame of {size} bytes instead of {expected}")
        return frame

    def _complete(self, index: int, frames: list[Buffer]) -> list[Buffer]:
        if len(frames) != self._plan.frames:
            raise ValueError(f"the plan has no pixels for instance {index + 1} of {self._plan.count}")
        return frames

    def _buffers(self, values: Mapping[str, str], frames: Iterable[Buffer]) -> Iterator[Buffer]:
        if not self._syntax.encapsulated:
            return self._native(values, frames)
        if not isinstance(frames, list):
            return self._encapsulated(values, frames, b"")
        if self._syntax.lossy:
            values = {**values, _RATIO: self._ratio(frames)}
        return self._encapsulated(values, frames, _offset_table(frames))

    def _ratio(self, coded: Sequence[Buffer]) -> str:
        return f"{self._description.frame_bytes * len(coded) / sum(len(frame) for frame in coded):.2f}"

    def _native(self, values: Mapping[str, str], frames: Iterable[Buffer]) -> Iterator[Buffer]:
        header = self._template.header(values)
        if self._syntax.uid != DEFLATED:
            yield header
            yield from self._all(frames)
            if self._padding:
                yield self._padding
            return
        size = 0
        for piece in chain((deflated(header),), self._all(frames), (deflated(self._padding) + DEFLATE_END,)):
            size += len(piece)
            yield piece
        if size % 2:
            yield b"\0"

    def _encapsulated(self, values: Mapping[str, str], frames: Iterable[Buffer], table: bytes) -> Iterator[Buffer]:
        """One fragment for each frame (PS3.5 annex A.4)."""
        before = self._template.header(values) + delimiter(_EXPLICIT, ITEM, len(table)) + table
        for frame in self._all(frames):
            yield before + delimiter(_EXPLICIT, ITEM, len(frame))
            yield frame
            before = b""
        yield _END

    def _all(self, frames: Iterable[Buffer]) -> Iterator[Buffer]:
        taken = 0
        for frame in frames:
            yield frame
            taken += 1
        if taken != self._plan.frames:
            raise RuntimeError(
                f"{taken} of {self._plan.frames} frames are left: the next instance was asked for, or the plan had none"
            )


def _offset_table(frames: Sequence[Buffer]) -> bytes:
    """The basic offset table, empty if an offset does not fit into it."""
    offsets = [0]
    for frame in frames[:-1]:
        offsets.append(offsets[-1] + 8 + len(frame))
    return struct.pack(f"<{len(offsets)}I", *offsets) if offsets[-1] < UNDEFINED else b""


def _padding_bytes(plan: SeriesPlan, description: PixelDescription) -> int:
    padding = plan.pixel_bytes - plan.frames * description.frame_bytes
    if padding not in (0, 1) or plan.pixel_bytes % 2:
        raise ValueError(f"{plan.pixel_bytes} bytes are not {plan.frames} frames of {description.frame_bytes} bytes")
    return padding


def _with_coding(dataset: Dataset, syntax: Writable) -> Dataset:
    """The data set as it has to be around frames of the transfer syntax."""
    if not syntax.encapsulated:
        return dataset
    values: dict[str, str | int] = {
        "PhotometricInterpretation": encoded_photometric(syntax.uid, dataset.PhotometricInterpretation)
    }
    if dataset.SamplesPerPixel > 1:
        values["PlanarConfiguration"] = 0
    if syntax.lossy:
        # ImageType stays: what an acquisition device compresses at once is an original (PS3.3 C.7.6.1.1.5).
        values |= {"LossyImageCompression": "01", _RATIO: "1", "LossyImageCompressionMethod": syntax.method}
    changed = Dataset()
    replaced = set(map(tag_for_keyword, values))
    changed.update({tag: element for tag, element in dataset.items() if tag not in replaced})
    for keyword, value in values.items():
        setattr(changed, keyword, value)
    return changed
