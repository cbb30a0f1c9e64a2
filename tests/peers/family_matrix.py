"""Every kind in every transfer syntax: its native frames, rendered once, and what peers decode of them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import openjpeg
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from dicomfab.fabricate.encode.series import described, encode_series
from dicomfab.fabricate.iods.image_pixel import even
from dicomfab.fabricate.kinds import KINDS
from dicomfab.fabricate.plan import SeriesPlan
from dicomfab.fabricate.recipe import ResolvedStudy, SeriesRecipe, StudyRecipe
from dicomfab.fabricate.resolve import resolve
from dicomfab.fabricate.sinks import write_file
from dicomfab.fabricate.study import plans
from dicomfab.model.study import InstanceFile
from dicomfab.pixels.description import PixelDescription
from dicomfab.pixels.syntaxes import EXPLICIT_LITTLE
from dicomfab.pixels.transcode import transcode
from dicomfab.pixels.writable import Writable, refusal, writable
from tests.peers.programs import program

NOW = dt.datetime(2026, 1, 31, 9, 30, tzinfo=dt.UTC)
WORKERS = 2
LARGE_BYTES = 4_000_000

# Who decodes a transfer syntax besides ourselves. What is installed for pydicom decodes no JPEG of 12 bit, no JPEG
# lossless, no JPEG-LS and no high-throughput JPEG 2000; DCMTK no JPEG 2000 at all. GDCM is the program, not the Python
# package: pydicom would take that for its own decoder, and longer to import than it does for users.
DECODERS: dict[str, tuple[str, ...]] = {
    "implicit": ("pydicom", "dcmconv", "gdcmconv"),
    "explicit": ("pydicom", "dcmconv", "gdcmconv"),
    "big-endian": ("pydicom", "dcmconv", "gdcmconv"),
    "deflated": ("pydicom", "dcmconv", "gdcmconv"),
    "rle": ("pydicom", "dcmdrle", "gdcmconv"),
    "jpeg": ("pydicom", "dcmdjpeg", "gdcmconv"),
    "jpeg-extended": ("dcmdjpeg", "gdcmconv"),
    "jpeg-lossless": ("dcmdjpeg", "gdcmconv"),
    "jpeg-ls": ("dcmdjpls", "gdcmconv"),
    "jpeg-ls-near": ("dcmdjpls", "gdcmconv"),
    "j2k": ("pydicom", "openjpeg", "gdcmconv"),
    "j2k-lossy": ("pydicom", "openjpeg", "gdcmconv"),
    "htj2k": ("openjpeg",),
}
# Where GDCM's result is not what the others give; a test proves each, so that a newer GDCM tells when one is over.
GDCM_DIFFERS = {
    "htj2k": "it reads no high-throughput JPEG 2000",
    "jpeg": "colour stays YBR_FULL, and is converted here",
    "deflated": "rows of single bits count as whole bytes, so zeros are appended, which are cut off here",
}
_OPTIONS = {"dcmconv": ("+te",), "gdcmconv": ("--raw",)}


@dataclass(frozen=True)
class Native:
    """The first instance of a plan, rendered.

    Args:
        plan: of that instance alone; its pixels can be had again and again.
        description: of its native pixels.
    """

    plan: SeriesPlan
    description: PixelDescription

    def pixels(self) -> NDArray[Any]:
        """Frames, rows, columns, samples."""
        return _samples(b"".join(self.plan.pixels()), self.description)

    def write(self, syntax: Writable, path: Path) -> InstanceFile:
        """The instance as a file in a transfer syntax."""
        (made,) = (write_file(one, path) for one in encode_series(self.plan, syntax.uid, WORKERS))
        return made


def small_study(kind: str, transfer_syntax: str | None = None) -> ResolvedStudy:
    """As little as there can be of a kind with more than one of what it counts."""
    series = SeriesRecipe(kind, 2 if KINDS[kind].counted else None, transfer_syntax)
    recipe = StudyRecipe((series,), seed=5, referring_physician="Weber^Clara")
    return resolve(recipe, now=NOW, draw_seed=lambda: 5)


@cache
def planned(kind: str) -> tuple[SeriesPlan, ...]:
    """The plans of a small study; nothing is rendered."""
    return tuple(plans(small_study(kind), WORKERS))


@cache
def natives(kind: str) -> tuple[Native, ...]:
    """An instance of each of the kind's plans that differ in what a codec or a SOP class sees."""
    different = {(plan.dataset.SOPClassUID, described(plan.dataset, plan.frames)): plan for plan in planned(kind)}
    return tuple(_rendered(plan, description) for (_, description), plan in different.items())


def _rendered(plan: SeriesPlan, description: PixelDescription) -> Native:
    rendering = plan.pixels()
    # Of single bits a plan gives what it likes at a time.
    frames = [bytes(frame) for frame in islice(rendering, plan.frames)]

    def pixels() -> Iterator[memoryview]:
        return map(memoryview, frames)

    return Native(dataclasses.replace(plan, count=1, pixels=pixels), description)


@cache
def held(kind: str) -> tuple[str, ...]:
    """The names of the transfer syntaxes that can hold every instance of the kind."""
    return tuple(name for name in DECODERS if not any(refusal_of(plan, name) for plan in planned(kind)))


def refusal_of(plan: SeriesPlan, name: str) -> str | None:
    """Why a transfer syntax cannot hold the instances of a plan."""
    return refusal(writable(name).uid, described(plan.dataset, plan.frames), plan.dataset.SOPClassUID)


@cache
def pairwise() -> dict[str, tuple[str, ...]]:
    """Which transfer syntaxes stand for all in a short run, by kind.

    Every kind in its native one, and in a lossless and a lossy compressed one if it has any, in turn; then kinds are
    added until every transfer syntax has two, the smallest first. JPEG 2000 takes seconds for a large image, so those
    are left to the full run.
    """
    chosen, used = {}, Counter[str]()
    for kind in KINDS:
        slow = {"j2k", "j2k-lossy"} if max(plan.pixel_bytes for plan in planned(kind)) > LARGE_BYTES else set()
        coded = [writable(name) for name in held(kind) if writable(name).encapsulated and name not in slow]
        groups = ([one.name for one in coded if not one.lossy], [one.name for one in coded if one.lossy])
        chosen[kind] = ["explicit", *(rarest(names, used) for names in groups if names)]
    for name in DECODERS:
        there = sum(name in names for names in chosen.values())
        free = [kind for kind, names in chosen.items() if name in held(kind) and name not in names]
        for kind in sorted(free, key=_weight)[: max(0, 2 - there)]:
            chosen[kind].append(name)
    return {kind: tuple(names) for kind, names in chosen.items()}


def rarest(names: Sequence[str], used: Counter[str]) -> str:
    """The name that was used least, which it then was once more."""
    name = min(names, key=lambda one: used[one])
    used[name] += 1
    return name


def _weight(kind: str) -> int:
    return sum(plan.pixel_bytes for plan in planned(kind))


def decoded(by: str, file: InstanceFile, description: PixelDescription, folder: Path) -> NDArray[Any]:
    """The samples that a decoder gives, as those of :meth:`Native.pixels`.

    Args:
        by: ``pydicom``, ``openjpeg``, ``ours``, or a program of DCMTK or GDCM that writes native pixels.
        file: the instance.
        description: of the native pixels that it was made of.
        folder: where a decoded copy may lie for a while.
    """
    if by == "pydicom":
        return _shaped(pydicom.dcmread(file.path).pixel_array, description)
    if by == "openjpeg":
        frames = generate_frames(pydicom.dcmread(file.path).PixelData, number_of_frames=description.frames)
        return _shaped(np.stack([openjpeg.decode(frame) for frame in frames]), description)
    copy = transcode(file, EXPLICIT_LITTLE, folder).path if by == "ours" else converted(by, file.path, folder)
    try:
        return _native_pixels(pydicom.dcmread(copy), description, by)
    finally:
        copy.unlink()


def converted(by: str, path: Path, folder: Path) -> Path:
    """A copy with native pixels, by a program of DCMTK or GDCM.

    Raises:
        RuntimeError: the program says that it cannot.
    """
    copy = folder / f"{path.stem}.{by}.dcm"
    command = [program(by), *_OPTIONS.get(by, ()), str(path), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=120, check=False)
    if done.returncode:
        raise RuntimeError(f"{by} ended with code {done.returncode}: {done.stderr.strip()[-300:]}")
    return copy


def _native_pixels(ds: Dataset, description: PixelDescription, by: str) -> NDArray[Any]:
    photometric = str(ds.PhotometricInterpretation)
    if by == "gdcmconv" and description.bits_allocated == 1:
        ds.PixelData = ds.PixelData[: even(-(-description.rows * description.columns * description.frames // 8))]
    pixels = pydicom.pixels.pixel_array(ds, raw=True)
    if by == "gdcmconv" and photometric == "YBR_FULL":
        pixels, photometric = pydicom.pixels.convert_color_space(pixels, photometric, "RGB"), "RGB"
    if photometric != description.photometric:
        raise RuntimeError(f"decoded to {photometric} instead of {description.photometric}")
    return _shaped(pixels, description)


def _samples(data: bytes, description: PixelDescription) -> NDArray[Any]:
    if description.bits_allocated == 1:
        count = description.frames * description.rows * description.columns
        return _shaped(np.unpackbits(np.frombuffer(data, np.uint8), count=count, bitorder="little"), description)
    kind = "f" if description.floating else "i" if description.signed else "u"
    return _shaped(np.frombuffer(data, f"<{kind}{description.bits_allocated // 8}"), description)


def _shaped(samples: NDArray[Any], description: PixelDescription) -> NDArray[Any]:
    return samples.reshape(description.frames, description.rows, description.columns, description.samples)
