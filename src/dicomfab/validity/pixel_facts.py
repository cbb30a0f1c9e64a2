"""What a data set says about its pixels, as far as it says anything usable (PS3.3 C.7.6.3)."""

from __future__ import annotations

from dataclasses import dataclass

from dicomfab.pixels.description import PixelDescription
from dicomfab.pixels.elements import UNDEFINED
from dicomfab.validity.instance import PIXELS, Instance


@dataclass(frozen=True, slots=True)
class PixelFacts:
    """The attributes that say how long pixel data are and what values they may have.

    Args:
        description: as decoders take it; bits may be any number here.
        keyword: ``PixelData``, ``FloatPixelData`` or ``DoubleFloatPixelData``.
        encapsulated: whether the element is.
        length: of the element's value; ``UNDEFINED`` if it is encapsulated.
        position: of the value.
    """

    description: PixelDescription
    keyword: str
    encapsulated: bool
    length: int
    position: int

    @property
    def native_bytes(self) -> int:
        """Length of the native pixel data of all frames, padded to even (PS3.5 8.1.1, 8.2)."""
        d = self.description
        # Native pixels share chrominance between two; a coded frame gives every pixel its own when it is decoded.
        samples = 2 if d.photometric == "YBR_FULL_422" and not self.encapsulated else d.samples
        length = (d.frames * d.rows * d.columns * samples * d.bits_allocated + 7) // 8
        return length + length % 2


def pixel_facts(instance: Instance) -> PixelFacts | None:
    """Read them; ``None`` where there are no pixel data or their size is not stated."""
    return instance.once("pixel facts", _read)


def _read(instance: Instance) -> PixelFacts | None:
    element = instance.pixel_element()
    if element is None:
        return None
    frames = instance.decimals(0x00280008) or [1.0]
    sizes = [instance.number(tag) for tag in (0x00280010, 0x00280011, 0x00280002, 0x00280100)]
    rows, columns, samples, allocated = (size or 0 for size in sizes)
    if frames[0] < 1 or not (rows and columns and samples and allocated):
        return None
    stored = instance.number(0x00280101) or allocated
    description = PixelDescription(
        frames=int(frames[0]),
        rows=rows,
        columns=columns,
        samples=samples,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=_or(instance.number(0x00280102), stored - 1),
        signed=instance.number(0x00280103) == 1,
        photometric=instance.string(0x00280004),
    )
    keyword = PIXELS[element.tag]
    return PixelFacts(description, keyword, element.length == UNDEFINED, element.length, element.position)


def _or(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value
