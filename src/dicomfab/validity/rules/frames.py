"""Pixel data, frame by frame: there, decodable, and within the bits stated (PS3.5 8, annex A.4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dicomfab.model.errors import TranscodingFailed
from dicomfab.pixels.codecs import decode
from dicomfab.pixels.description import PixelDescription
from dicomfab.pixels.streams import CHUNK
from dicomfab.pixels.syntaxes import ENCAPSULATED, NATIVE
from dicomfab.validity.encapsulated import Frames, frame_bytes, take_apart
from dicomfab.validity.findings import Problem, Rule, Severity, rule
from dicomfab.validity.instance import Instance
from dicomfab.validity.pixel_facts import PixelFacts, pixel_facts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SHOWN: Final = 5
_DECODABLE_BITS: Final = (8, 16, 32)


@rule("frame-count", "PS3.5 annex A.4", "make NumberOfFrames the number of frames that are encapsulated")
def frame_count(instance: Instance) -> Iterator[Problem]:
    """There are as many encapsulated frames as NumberOfFrames says."""
    facts = _encapsulated(instance)
    if facts is None:
        return
    found = len(take_apart(instance, facts.description.frames).groups)
    if found != facts.description.frames:
        detail = f"{found} frames in the pixel data, NumberOfFrames {facts.description.frames}"
        yield Problem("not the number of encapsulated frames", "NumberOfFrames", detail)


@rule("offset-table", "PS3.5 annex A.4", "let each offset point at the first item of its frame, or leave it empty")
def offset_table(instance: Instance) -> Iterator[Problem]:
    """Offset tables point at the first fragment of each frame."""
    facts = _encapsulated(instance)
    if facts is None:
        return
    frames = take_apart(instance, facts.description.frames)
    if frames.table and frames.table != frames.offsets:
        yield Problem("offsets that are no first fragment of a frame", "Basic Offset Table", _first_wrong(frames))
    if frames.extended and frames.extended != frames.offsets:
        yield Problem("offsets that are no first fragment of a frame", "ExtendedOffsetTable")


@rule("frame", "PS3.5 8.2", "compress the image again: a viewer cannot show these frames")
def frames_decode(instance: Instance) -> Iterator[Problem]:
    """Every frame can be decoded, and is what the data set says."""
    for what, numbers in _scanned(instance).failed.items():
        yield Problem(f"frame cannot be decoded: {what}", "PixelData", _frames_text(numbers))


@rule("pixel-value", "PS3.5 8.1.1", "correct BitsStored and PixelRepresentation, or the pixels")
def pixel_values(instance: Instance) -> Iterator[Problem]:
    """No pixel has a value that BitsStored and PixelRepresentation leave no room for."""
    facts, scan = pixel_facts(instance), _scanned(instance)
    if facts is not None and scan.outside:
        d = facts.description
        bits = f"{'signed' if d.signed else 'unsigned'} values of {d.bits_stored} bits"
        where = f"; {_frames_text(scan.outside)}" if facts.encapsulated else ""
        yield Problem(f"pixels outside of {bits}", "PixelData", scan.extremes + where)


@rule("not-decoded", "PS3.5 annex A", "check these frames with a decoder of their own", Severity.INFO)
def not_decoded(instance: Instance) -> Iterator[Problem]:
    """Says which pixel data were not looked at, so that nobody takes silence for a check."""
    facts, uid = pixel_facts(instance), instance.transfer_syntax_uid
    if facts is not None and facts.encapsulated:
        if uid not in ENCAPSULATED and uid not in NATIVE:
            yield Problem("frames not decoded: there is no decoder for the transfer syntax", "PixelData", uid)
        elif facts.description.bits_allocated not in _DECODABLE_BITS:
            yield Problem(f"frames not decoded: {facts.description.bits_allocated} bits a sample", "PixelData")


@dataclass(slots=True)
class _Scan:
    """What one pass over the pixel data showed.

    Args:
        failed: frames that cannot be decoded, by what is wrong.
        outside: frames with impossible values; native pixel data count as one.
        extremes: the values in the last of them.
    """

    failed: dict[str, list[int]] = field(default_factory=dict)
    outside: list[int] = field(default_factory=list)
    extremes: str = ""


def _scanned(instance: Instance) -> _Scan:
    return instance.once("scan", _scan)


def _scan(instance: Instance) -> _Scan:
    """Look at every frame, one at a time, and at native pixel data only where something could be wrong with them."""
    scan, facts = _Scan(), pixel_facts(instance)
    if facts is None or facts.keyword != "PixelData" or facts.description.bits_allocated not in _DECODABLE_BITS:
        return scan
    d = facts.description
    bounded = 0 < d.bits_stored < d.bits_allocated
    if _encapsulated(instance):
        for number, data in _decoded(instance, d):
            if isinstance(data, TranscodingFailed):
                scan.failed.setdefault(data.what, []).append(number)
            elif bounded and (extremes := _outside(data, d, little=True)):
                scan.outside.append(number)
                scan.extremes = extremes
    elif bounded and instance.transfer_syntax_uid in NATIVE and not facts.encapsulated:
        little = NATIVE[instance.transfer_syntax_uid].little
        wrong = (_outside(piece, d, little=little) for piece in _native(instance, facts))
        if extremes := next(filter(None, wrong), ""):
            scan.outside, scan.extremes = [1], extremes
    return scan


def _outside(data: bytes, description: PixelDescription, *, little: bool) -> str:
    """The extremes of samples of which some are impossible; nothing if all are possible."""
    import numpy as np

    bits, kind = description.bits_stored, f"{'<' if little else '>'}u{description.bits_allocated // 8}"
    samples: NDArray[np.unsignedinteger] = np.frombuffer(data, kind)
    low, high = 0, int(samples.max(initial=0))
    # Without its sign extended, a signed sample looks like an unsigned one of BitsStored bits.
    if high < 1 << bits:
        return ""
    if description.signed:
        signed = samples.view(kind.replace("u", "i"))
        low, high = int(signed.min(initial=0)), int(signed.max(initial=0))
        if -(1 << (bits - 1)) <= low and high < 1 << (bits - 1):
            return ""
    return f"values from {low} to {high}"


def _encapsulated(instance: Instance) -> PixelFacts | None:
    facts = pixel_facts(instance)
    usable = facts is not None and facts.encapsulated and instance.transfer_syntax_uid in ENCAPSULATED
    return facts if usable else None


def _decoded(instance: Instance, description: PixelDescription) -> Iterator[tuple[int, bytes | TranscodingFailed]]:
    """Each frame's number and native samples, or why there are none."""
    codec = ENCAPSULATED[instance.transfer_syntax_uid]
    for number, group in enumerate(take_apart(instance, description.frames).groups, 1):
        try:
            yield number, decode(codec, frame_bytes(instance, group), description)
        except TranscodingFailed as error:
            yield number, error


def _native(instance: Instance, facts: PixelFacts) -> Iterator[bytes]:
    """Native pixel data in pieces."""
    source, left = instance.source(facts.position), min(facts.length, facts.native_bytes)
    while left >= 4:
        count = min(left, CHUNK) & ~3
        yield source.take(count)
        left -= count


def _first_wrong(frames: Frames) -> str:
    if len(frames.table) != len(frames.offsets):
        return f"{len(frames.table)} offsets, {len(frames.offsets)} frames"
    number = next(
        n for n, (stated, is_) in enumerate(zip(frames.table, frames.offsets, strict=True), 1) if stated != is_
    )
    return f"first for frame {number}"


def _frames_text(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:_SHOWN]))
    more = f" and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else ""
    return f"frame {shown}{more}" if len(numbers) == 1 else f"frames {shown}{more}"


RULES: Final[tuple[Rule[Instance], ...]] = (frame_count, offset_table, frames_decode, pixel_values, not_decoded)
