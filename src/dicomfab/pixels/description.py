"""What a data set says about its pixel data (PS3.3 C.7.6.3), and what becomes of it when frames are decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dicomfab.model.errors import TranscodingFailed
from dicomfab.pixels.syntaxes import Codec

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SAMPLES: Final = 0x00280002
PHOTOMETRIC: Final = 0x00280004
PLANAR: Final = 0x00280006
FRAMES: Final = 0x00280008
ROWS: Final = 0x00280010
COLUMNS: Final = 0x00280011
BITS_ALLOCATED: Final = 0x00280100
BITS_STORED: Final = 0x00280101
HIGH_BIT: Final = 0x00280102
PIXEL_REPRESENTATION: Final = 0x00280103

DESCRIBING: Final = frozenset(
    {
        SAMPLES,
        PHOTOMETRIC,
        PLANAR,
        FRAMES,
        ROWS,
        COLUMNS,
        BITS_ALLOCATED,
        BITS_STORED,
        HIGH_BIT,
        PIXEL_REPRESENTATION,
    }
)


_ENCODED_COLOUR: Final = {
    "1.2.840.10008.1.2.4.50": {"RGB": "YBR_FULL_422", "YBR_FULL": "YBR_FULL_422"},
    "1.2.840.10008.1.2.4.90": {"RGB": "YBR_RCT"},
    "1.2.840.10008.1.2.4.91": {"RGB": "YBR_ICT"},
    "1.2.840.10008.1.2.4.201": {"RGB": "YBR_RCT"},
}


@dataclass(frozen=True, slots=True)
class PixelDescription:
    """The attributes that frames are coded by; pixels of ``samples`` x ``bits_allocated`` each."""

    frames: int
    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    photometric: str
    floating: bool = False

    @property
    def frame_bytes(self) -> int:
        """Length of one native frame; of single bits, the whole bytes in it."""
        return self.rows * self.columns * self.samples * self.bits_allocated // 8


def describe(described: Mapping[int, bytes]) -> PixelDescription:
    """Read the attributes, little endian.

    Args:
        described: raw values by tag.

    Raises:
        TranscodingFailed: one is missing or is none that frames could have.
    """
    description = PixelDescription(
        frames=_number_of_frames(described.get(FRAMES, b"")),
        rows=_short(described, ROWS, "Rows"),
        columns=_short(described, COLUMNS, "Columns"),
        samples=_short(described, SAMPLES, "SamplesPerPixel"),
        bits_allocated=_short(described, BITS_ALLOCATED, "BitsAllocated"),
        bits_stored=_short(described, BITS_STORED, "BitsStored"),
        high_bit=_short(described, HIGH_BIT, "HighBit"),
        signed=_short(described, PIXEL_REPRESENTATION, "PixelRepresentation") == 1,
        photometric=photometric(described.get(PHOTOMETRIC, b"")),
    )
    if description.bits_allocated not in (8, 16, 32) or not 0 < description.bits_stored <= description.bits_allocated:
        raise _unusable(f"BitsAllocated {description.bits_allocated} with BitsStored {description.bits_stored}")
    if not description.frame_bytes:
        raise _unusable(f"{description.rows} rows of {description.columns} columns")
    return description


def described(dataset: Dataset, frames: int) -> PixelDescription:
    """What a data set says about its native pixels.

    Args:
        dataset: with the attributes of the Image Pixel module.
        frames: in the instance.
    """
    return PixelDescription(
        frames=frames,
        rows=dataset.Rows,
        columns=dataset.Columns,
        samples=dataset.SamplesPerPixel,
        bits_allocated=dataset.BitsAllocated,
        bits_stored=dataset.get("BitsStored", dataset.BitsAllocated),
        high_bit=dataset.get("HighBit", dataset.BitsAllocated - 1),
        signed=dataset.get("PixelRepresentation", 0) == 1,
        photometric=dataset.PhotometricInterpretation,
        floating="PixelRepresentation" not in dataset,
    )


def samples_per_pixel(described: Mapping[int, bytes]) -> int:
    """SamplesPerPixel as it stands so far; 1 if it is not there."""
    return int.from_bytes(described.get(SAMPLES, b"\1")[:2], "little")


def bits_allocated(described: Mapping[int, bytes]) -> int:
    """BitsAllocated as it stands so far; 16 if it is not there."""
    return int.from_bytes(described.get(BITS_ALLOCATED, b"\x10")[:2], "little")


def check_word_order(bits: int) -> None:
    """Refuse big endian pixel data of more than one word a sample.

    The standard turns the bytes of each word of an OW (PS3.5 7.3, 8.1.1), but there is software that turns those of
    the whole sample, and nothing in an instance tells which; the wrong choice scrambles a dose without a trace.

    Args:
        bits: BitsAllocated.

    Raises:
        TranscodingFailed: there is more than one word.
    """
    if bits > 16:
        raise TranscodingFailed(
            f"its pixel data of {bits} bits have no certain byte order in big endian",
            cause="implementations disagree about them",
        )


def photometric(value: bytes) -> str:
    """A PhotometricInterpretation without its padding."""
    return value.decode("latin-1").strip(" \0")


def decoded_photometric(codec: Codec, stated: str, samples: int) -> str:
    """The PhotometricInterpretation of decoded frames (PS3.5 8.2, PS3.3 C.7.6.3.1.2).

    Args:
        codec: what decodes.
        stated: the encapsulated instance's.
        samples: samples in a pixel.

    Raises:
        TranscodingFailed: decoding gives a colour space that no native transfer syntax has, or it is none of the
            codec's.
    """
    if samples == 1:
        return stated
    if stated.startswith("YBR_PARTIAL"):
        raise _unusable(f"PhotometricInterpretation {stated} with {codec}")
    if stated in ("YBR_RCT", "YBR_ICT"):
        if codec != Codec.JPEG_2000:
            raise _unusable(f"PhotometricInterpretation {stated} with {codec}")
        return "RGB"
    if codec == Codec.JPEG:
        return "RGB"
    # A decoder gives every pixel its own chrominance; only native YBR_FULL_422 shares it between two.
    return "YBR_FULL" if stated == "YBR_FULL_422" else stated


def encoded_photometric(transfer_syntax_uid: str, native: str) -> str:
    """The PhotometricInterpretation of encoded frames (PS3.5 8.2).

    Args:
        transfer_syntax_uid: one of :data:`.writable.WRITABLE`.
        native: what it is before.
    """
    return _ENCODED_COLOUR.get(transfer_syntax_uid, {}).get(native, native)


def _short(described: Mapping[int, bytes], tag: int, keyword: str) -> int:
    value = described.get(tag, b"")
    if len(value) != 2:
        raise _unusable(f"no {keyword}" if not value else f"{keyword} of {len(value)} bytes")
    return int.from_bytes(value, "little")


def _number_of_frames(value: bytes) -> int:
    text = value.strip(b" \0")
    if not text:
        return 1
    if not text.isdigit() or int(text) == 0:
        raise _unusable(f"NumberOfFrames {text.decode('ascii', 'replace')!r}")
    return int(text)


def _unusable(what: str) -> TranscodingFailed:
    return TranscodingFailed(
        f"its pixel data cannot be decoded: {what}",
        cause="the description of the pixel data is incomplete or contradicts itself",
    )
