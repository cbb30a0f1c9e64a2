"""Good files, and ways to damage them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom import Dataset, config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.fabricate.resolve import resolve
from dicomfab.fabricate.sinks import write_files
from dicomfab.validity.external import Tools
from dicomfab.validity.findings import Finding, Severity
from dicomfab.validity.run import check_file, validate

NO_TOOLS = Tools(None, "not wanted in this test")
RLE = "1.2.840.10008.1.2.5"
SIDE = 16


def made(folder: Path, **counts: int | None) -> list[Path]:
    """Fabricate a study: the only place where these tests write a recipe.

    Args:
        folder: where to.
        counts: kinds with underscores, and how many slices or cards (None where nothing is counted).
    """
    series = tuple(SeriesRecipe(kind.replace("_", "-"), count) for kind, count in counts.items())
    now = dt.datetime(2026, 1, 31, 9, 30, tzinfo=dt.UTC)
    study = resolve(StudyRecipe(series, seed=11, accession_number="VALID"), now=now, draw_seed=lambda: 11)
    return [file.path for file in write_files(study, folder)]


def changed(source: Path, target: Path, remove: Sequence[str] = (), **values: Any) -> Path:
    """A copy with attributes replaced, whatever pydicom thinks of the values; raw bytes are written as they are."""
    ds = pydicom.dcmread(source)
    for keyword in remove:
        delattr(ds, keyword)
    for keyword, value in values.items():
        put(ds, keyword, value)
    saved(ds, target)
    return target


def put(ds: Dataset, keyword: str, value: Any) -> None:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    vr = dictionary_VR(tag).split(" ")[0]
    if isinstance(value, bytes) and keyword != "PixelData":
        vr_written = "UN" if len(vr) != 2 else vr
        ds[tag] = pydicom.dataelem.RawDataElement(
            pydicom.tag.Tag(tag), vr_written, len(value), value, 0, False, True, True
        )
        return
    ds[tag] = DataElement(tag, vr, value, validation_mode=config.IGNORE)


def saved(ds: Dataset, target: Path, transfer_syntax: str = "") -> Path:
    """Write the file as it is, without corrections of pydicom's."""
    if transfer_syntax:
        ds.file_meta.TransferSyntaxUID = UID(transfer_syntax)
    buffer = io.BytesIO()
    before = config.settings.writing_validation_mode
    config.settings.writing_validation_mode = config.IGNORE
    try:
        pydicom.dcmwrite(buffer, ds, enforce_file_format=False)
    finally:
        config.settings.writing_validation_mode = before
    target.write_bytes(buffer.getvalue())
    return target


def replaced(source: Path, target: Path, old: bytes, new: bytes) -> Path:
    """A copy with bytes replaced once; they have to be there."""
    data = source.read_bytes()
    assert old in data
    target.write_bytes(data.replace(old, new, 1))
    return target


def small(card: Path, target: Path, *, frames: int = 3, **values: Any) -> Path:
    """A card with a few little frames of 8 bits."""
    ds = pydicom.dcmread(card)
    ds.Rows = ds.Columns = SIDE
    ds.NumberOfFrames = str(frames)
    ds.PixelData = np.arange(frames * SIDE * SIDE, dtype=np.uint16).astype(np.uint8).tobytes()
    for keyword, value in values.items():
        put(ds, keyword, value)
    return saved(ds, target)


def encapsulated(
    source: Path, target: Path, transfer_syntax: str, coded: list[bytes], *, table: bool = False, **values: Any
) -> Path:
    """A copy with these coded frames as its pixel data."""
    ds = pydicom.dcmread(source)
    for keyword, value in values.items():
        put(ds, keyword, value)
    ds.PixelData = encapsulate(coded, has_bot=table)
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    return saved(ds, target, transfer_syntax)


def rle(frame: bytes) -> bytes:
    """A frame of one segment in RLE (PS3.5 annex G), without any repetition."""
    packed = b"".join(bytes([len(part) - 1]) + part for part in (frame[i : i + 128] for i in range(0, len(frame), 128)))
    return struct.pack("<16I", 1, 64, *[0] * 14) + packed + b"\x80" * (len(packed) % 2)


def frames_of(path: Path) -> list[bytes]:
    data = pydicom.dcmread(path).PixelData
    return [data[i : i + SIDE * SIDE] for i in range(0, len(data), SIDE * SIDE)]


def found_in(path: Path) -> list[Finding]:
    """What our own rules find in one file, without what is only for information."""
    return [f for f in check_file(path, NO_TOOLS).findings if f.severity != Severity.INFO]


def found_among(paths: Sequence[Path]) -> list[Finding]:
    """What our own rules find when files are compared."""
    return [shared.finding for shared in validate(paths, tools=NO_TOOLS, jobs=2).shared]


def rules_of(findings: Sequence[Finding]) -> set[str]:
    return {finding.rule for finding in findings}


def without_reason(finding: Finding) -> Finding:
    return dataclasses.replace(finding, raw="", detail="")
