"""Which transfer syntaxes instances can be made in, and which pixels each of them can hold: data only, cheap to ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dicomfab.model.errors import InvalidInput
from dicomfab.pixels.description import PixelDescription
from dicomfab.pixels.syntaxes import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE

_GREY: Final = frozenset({"MONOCHROME1", "MONOCHROME2"})
_LOSSY_COLOURS: Final = _GREY | {"RGB", "YBR_FULL"}
_COLOURS: Final = _LOSSY_COLOURS | {"PALETTE COLOR"}
# SOP classes whose samples are numbers of segments or probabilities of belonging to one (PS3.3 C.8.20.2.2).
_SEGMENTATIONS: Final = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})
_ELEMENT_LIMIT: Final = 0xFFFFFFFE
_SIDE_LIMIT: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class QualityScale:
    """What the quality of a lossy transfer syntax means.

    Args:
        meaning: of the number.
        low: the smallest that can be given.
        high: the largest.
        default: if none is given.
    """

    meaning: str
    low: int
    high: int
    default: int

    def checked(self, quality: int | None) -> int:
        """The quality to use.

        Raises:
            InvalidInput: it is not on the scale.
        """
        if quality is None:
            return self.default
        if not self.low <= quality <= self.high:
            raise InvalidInput(
                f"quality: {quality} is not within {self.low} and {self.high}",
                field="quality",
                value=str(quality),
                remedy=f"give a whole number from {self.low} to {self.high}: {self.meaning}",
            )
        return quality


@dataclass(frozen=True, slots=True)
class Pixels:
    """Which pixels a codec holds.

    Args:
        bits: BitsStored that go with each BitsAllocated.
        photometric: PhotometricInterpretation of the native pixels.
        signed: whether PixelRepresentation may be 1.
    """

    bits: dict[int, range]
    photometric: frozenset[str] = _COLOURS
    signed: bool = True


@dataclass(frozen=True, slots=True)
class Writable:
    """A transfer syntax that instances can be made in.

    Args:
        name: a short one, for people.
        uid: its UID.
        title: what it is called in sentences.
        pixels: which it can hold; None for a native one, which holds all.
        method: LossyImageCompressionMethod (0028,2114); empty if nothing is lost.
        quality: None if nothing is lost.
    """

    name: str
    uid: str
    title: str
    pixels: Pixels | None = None
    method: str = ""
    quality: QualityScale | None = None

    @property
    def lossy(self) -> bool:
        """Whether decoded pixels differ from those that were encoded."""
        return bool(self.method)

    @property
    def encapsulated(self) -> bool:
        """Whether frames are coded one by one (PS3.5 annex A.4)."""
        return self.pixels is not None


_UP_TO_16: Final = {8: range(1, 9), 16: range(1, 17)}
_JPEG_LS: Final = {8: range(2, 9), 16: range(2, 17)}
_ALL: Final = (
    Writable("implicit", IMPLICIT_LITTLE, "implicit VR little endian"),
    Writable("explicit", EXPLICIT_LITTLE, "explicit VR little endian"),
    Writable("big-endian", EXPLICIT_BIG, "explicit VR big endian"),
    Writable("deflated", DEFLATED, "deflated explicit VR little endian"),
    Writable("rle", "1.2.840.10008.1.2.5", "RLE", Pixels({8: range(1, 9), 16: range(1, 17), 32: range(1, 33)})),
    Writable(
        "jpeg", "1.2.840.10008.1.2.4.50", "JPEG baseline", Pixels({8: range(8, 9)}, _LOSSY_COLOURS, signed=False),
        "ISO_10918_1", QualityScale("the JPEG quality, 100 is best", 1, 100, 90),
    ),
    Writable(
        "jpeg-extended", "1.2.840.10008.1.2.4.51", "JPEG extended", Pixels({16: range(12, 13)}, _GREY, signed=False),
        "ISO_10918_1", QualityScale("the JPEG quality, 100 is best", 1, 100, 95),
    ),
    Writable("jpeg-lossless", "1.2.840.10008.1.2.4.70", "JPEG lossless", Pixels(_UP_TO_16)),
    Writable("jpeg-ls", "1.2.840.10008.1.2.4.80", "JPEG-LS lossless", Pixels(_JPEG_LS)),
    Writable(
        "jpeg-ls-near", "1.2.840.10008.1.2.4.81", "JPEG-LS near-lossless",
        Pixels(_JPEG_LS, _LOSSY_COLOURS, signed=False), "ISO_14495_1",
        QualityScale("how much a sample may differ, 1 is best", 1, 127, 2),
    ),
    Writable("j2k", "1.2.840.10008.1.2.4.90", "JPEG 2000 lossless", Pixels(_UP_TO_16)),
    Writable(
        "j2k-lossy", "1.2.840.10008.1.2.4.91", "JPEG 2000", Pixels(_UP_TO_16, _LOSSY_COLOURS),
        "ISO_15444_1", QualityScale("the ratio of the frame's range to the noise in dB, more is better", 20, 100, 60),
    ),
    Writable("htj2k", "1.2.840.10008.1.2.4.201", "high-throughput JPEG 2000 lossless", Pixels(_UP_TO_16)),
)  # fmt: skip

WRITABLE: Final[dict[str, Writable]] = {one.uid: one for one in _ALL}
_BY_NAME: Final[dict[str, Writable]] = {one.name: one for one in _ALL}


def writable(name_or_uid: str) -> Writable:
    """The transfer syntax that a person means.

    Raises:
        InvalidInput: none that can be written; says which can.
    """
    wanted = name_or_uid.strip()
    found = _BY_NAME.get(wanted.casefold()) or WRITABLE.get(wanted)
    if found is None:
        raise InvalidInput(
            f"transfer_syntax: {name_or_uid!r} cannot be written",
            field="transfer_syntax",
            value=name_or_uid,
            cause="it is not known, or there is no encoder for it",
            remedy=f"use one of {', '.join(_BY_NAME)}, or its UID",
        )
    return found


def refusal(transfer_syntax_uid: str, description: PixelDescription, sop_class_uid: str) -> str | None:
    """Why a transfer syntax cannot hold these pixels.

    Args:
        transfer_syntax_uid: the one asked for.
        description: of the native pixels; ``bits_allocated`` may be 1.
        sop_class_uid: of the instance.

    Returns:
        A clause without a full stop, or None if it can (PS3.5 8.2, A.4; PS3.3 of the IOD).
    """
    syntax = WRITABLE.get(transfer_syntax_uid)
    if syntax is None:
        return f"transfer syntax {transfer_syntax_uid} cannot be written"
    if syntax.lossy and sop_class_uid in _SEGMENTATIONS:
        return f"{syntax.title} would change the numbers of a segmentation"
    if syntax.pixels is None:
        return _refused_native(syntax, description)
    return _refused_frames(syntax, syntax.pixels, description)


def check(syntax: Writable, description: PixelDescription, sop_class_uid: str) -> None:
    """Refuse a transfer syntax that cannot hold the pixels; arguments as for :func:`refusal`.

    Raises:
        InvalidInput: it cannot, and why.
    """
    reason = refusal(syntax.uid, description, sop_class_uid)
    if reason:
        raise InvalidInput(
            f"transfer_syntax: {syntax.name} is not possible: {reason}",
            field="transfer_syntax",
            value=syntax.name,
            cause="every transfer syntax holds only some kinds of pixels (PS3.5 8.2)",
            remedy="choose another one",
        )


def _refused_native(syntax: Writable, description: PixelDescription) -> str | None:
    if description.frames * description.frame_bytes > _ELEMENT_LIMIT:
        return f"{description.frames} native frames are longer than the 4 GiB that pixel data in {syntax.title} can be"
    if syntax.uid == EXPLICIT_BIG and description.bits_allocated > 16:
        return f"samples of {description.bits_allocated} bits have no certain byte order in {syntax.title}"
    return None


def _refused_frames(syntax: Writable, holds: Pixels, description: PixelDescription) -> str | None:
    allocated, stored = description.bits_allocated, description.bits_stored
    if description.floating:
        return f"{syntax.title} holds no floating point pixels"
    if stored not in holds.bits.get(allocated, ()):
        choices = " or ".join(_bits(stored, allocated) for allocated, stored in holds.bits.items())
        return f"{syntax.title} holds samples of {choices} bits, not of {stored} in {allocated}"
    if description.signed and not holds.signed:
        return f"{syntax.title} holds unsigned samples only"
    if description.photometric not in holds.photometric:
        return f"{syntax.title} holds {', '.join(sorted(holds.photometric))}, not {description.photometric}"
    if description.samples != (3 if description.photometric in ("RGB", "YBR_FULL") else 1):
        return f"{description.samples} samples a pixel do not fit {description.photometric}"
    if description.high_bit != stored - 1:
        return f"{syntax.title} needs samples in the lowest bits, with HighBit {stored - 1}"
    if max(description.rows, description.columns) > _SIDE_LIMIT:
        return f"{syntax.title} ends at {_SIDE_LIMIT} rows and columns"
    return None


def _bits(stored: range, allocated: int) -> str:
    numbers = str(stored[0]) if len(stored) == 1 else f"{stored[0]} to {stored[-1]}"
    return f"{numbers} in {allocated}"
