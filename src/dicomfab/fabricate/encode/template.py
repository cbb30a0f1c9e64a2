"""The header of a series, encoded once by pydicom; each instance replaces only the elements that change."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Final

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

PIXEL_DATA: Final = 0x7FE00010
# Explicit VRs whose length takes four bytes after two reserved ones (PS3.5 7.1.2).
_LONG_VRS: Final = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)
_TEXT_VRS: Final = frozenset(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "SH", "TM", "UI"))


def encode_dataset(dataset: Dataset) -> bytes:
    """Encode a data set in explicit VR little endian, with defined lengths."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, dataset)
    return buffer.getvalue()


class HeaderTemplate:
    """Everything before the pixels of every instance of a series.

    Args:
        dataset: of any instance of the series, without PixelData; its top-level elements named in ``varying`` are
            replaced for each instance.
        varying: keywords of single- or multi-valued text elements that change.
        pixel_bytes: length of PixelData (7FE0,0010), even; ``None`` if the series has no pixels.
        pixel_vr: ``OW`` or ``OB``.
    """

    def __init__(self, dataset: Dataset, varying: Sequence[str], pixel_bytes: int | None, pixel_vr: str = "OW") -> None:
        tags = [int(tag_for_keyword(keyword) or 0) for keyword in varying]
        order = sorted(range(len(tags)), key=tags.__getitem__)
        self._keywords = tuple(varying[n] for n in order)
        self._heads = [_element_head(tags[n], varying[n]) for n in order]
        self._pads = [b"\0" if dictionary_VR(tags[n]) == "UI" else b" " for n in order]
        encoded = encode_dataset(dataset)
        cuts = _locate(encoded, [tags[n] for n in order])
        edges = [0, *(edge for cut in cuts for edge in cut), len(encoded)]
        self._fixed = [encoded[edges[n] : edges[n + 1]] for n in range(0, len(edges), 2)]
        if pixel_bytes is not None:
            group, element = PIXEL_DATA >> 16, PIXEL_DATA & 0xFFFF
            self._fixed[-1] += struct.pack("<HH2s2xI", group, element, pixel_vr.encode("ascii"), pixel_bytes)

    def header(self, values: Mapping[str, str]) -> bytes:
        """The encoded header of one instance.

        Args:
            values: for each varying keyword its ASCII text, several values joined by backslashes.
        """
        parts = [self._fixed[0]]
        for keyword, head, pad, fixed in zip(self._keywords, self._heads, self._pads, self._fixed[1:], strict=True):
            value = values[keyword].encode("ascii")
            if len(value) & 1:
                value += pad
            parts += (head, len(value).to_bytes(2, "little"), value, fixed)
        return b"".join(parts)


def _element_head(tag: int, keyword: str) -> bytes:
    vr = dictionary_VR(tag)
    if vr not in _TEXT_VRS:
        raise ValueError(f"{keyword} has VR {vr}, which a template cannot replace")
    return struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode("ascii"))


def _locate(encoded: bytes, tags: Sequence[int]) -> list[tuple[int, int]]:
    """Where the elements with these tags (in rising order) begin and end, by walking the top level."""
    found: dict[int, tuple[int, int]] = {}
    place = 0
    while place < len(encoded):
        group, element, vr = struct.unpack_from("<HH2s", encoded, place)
        if vr in _LONG_VRS:
            end = place + 12 + struct.unpack_from("<I", encoded, place + 8)[0]
        else:
            end = place + 8 + struct.unpack_from("<H", encoded, place + 6)[0]
        found[group << 16 | element] = (place, end)
        place = end
    return [found[tag] for tag in tags]
