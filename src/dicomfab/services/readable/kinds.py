"""Which instances are read how."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from dicomfab.model.errors import DicomFabError
from dicomfab.services.attribute_reader import opened
from dicomfab.services.readable import documents, presentations, radiotherapy, reports, segments, waveforms
from dicomfab.services.readable.blocks import Block, Readable, facts
from dicomfab.services.readable.source import Item, Source, joined

_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."
#: By the beginning of the SOP Class UID; the first that fits.
_READERS: Final[Mapping[str, Callable[[Item], Iterator[Block]]]] = {
    f"{_STORAGE}88.": reports.blocks,
    f"{_STORAGE}9.": waveforms.blocks,
    f"{_STORAGE}11.": presentations.blocks,
    f"{_STORAGE}104.": documents.blocks,
    f"{_STORAGE}481.3": radiotherapy.structure_set,
    f"{_STORAGE}481.2": radiotherapy.dose,
    f"{_STORAGE}481.5": radiotherapy.plan,
    f"{_STORAGE}481.8": radiotherapy.plan,
    f"{_STORAGE}66.4": segments.blocks,
    f"{_STORAGE}66.7": segments.blocks,  # label map segmentation
}
#: SOP classes that are newer than the dictionary of pydicom.
_TITLES: Final = {f"{_STORAGE}66.7": "Label Map Segmentation"}
_MAIN: Final = {
    0x00080008: "Image type",
    0x00080060: "Modality",
    0x00080070: "Manufacturer",
    0x00081090: "Model",
    0x00081030: "Study description",
    0x0008103E: "Series description",
    0x00180015: "Body part",
    0x00181030: "Protocol",
    0x00200013: "Instance number",
    0x00200060: "Laterality",
    0x00280010: "Rows",
    0x00280011: "Columns",
    0x00280008: "Frames",
    0x00280004: "Photometric interpretation",
    0x00280030: "Pixel spacing (mm)",
    0x00180050: "Slice thickness (mm)",
    0x00180060: "kVp",
    0x00180080: "Repetition time (ms)",
    0x00180081: "Echo time (ms)",
    0x00204000: "Comments",
}


def title_of(sop_class_uid: str) -> str:
    """The name of a SOP class for reading, without ``Storage``."""
    from pydicom.uid import UID

    name = _TITLES.get(sop_class_uid) or str(UID(sop_class_uid).name)
    return "Unknown SOP class" if name == sop_class_uid else name.removesuffix(" Storage")


def is_readable(sop_class_uid: str) -> bool:
    """Whether there is more to read than attributes."""
    return _reader(sop_class_uid) is not None


def read(path: Path, sop_class_uid: str) -> Readable:
    """An instance for reading: what its kind is made of, or else its main attributes.

    Args:
        path: of its file; the caller has seen to it that it may be looked at.
        sop_class_uid: of the instance.

    A file that is damaged, or not there, gives what could be read and the reason.
    """
    title = title_of(sop_class_uid)
    reader = _reader(sop_class_uid) or _main
    try:
        with opened(path) as file:
            source = Source(file)
            found = tuple(reader(source.whole()))
            return Readable(title, found, source.problem, source.is_cut)
    except DicomFabError as error:
        return Readable(title, problem=error.what)
    except (ArithmeticError, ValueError, RecursionError) as error:  # of values that nobody thought of
        return Readable(title, problem=f"it cannot be read: its values contradict each other ({type(error).__name__})")


def _reader(sop_class_uid: str) -> Callable[[Item], Iterator[Block]] | None:
    for begins, reader in _READERS.items():
        if sop_class_uid == begins or sop_class_uid.startswith(begins if begins.endswith(".") else f"{begins}."):
            return reader
    return None


def _main(whole: Item) -> Iterator[Block]:
    yield from facts("", *((name, joined(whole.text(tag, characters=500))) for tag, name in _MAIN.items()))
