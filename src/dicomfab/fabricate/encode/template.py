"""The header of a series, encoded once; each instance replaces only the elements that change."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO, Final, Literal, cast

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset

from dicomfab.fabricate.encode.explicit import encode_explicit, explicit_elements
from dicomfab.pixels.elements import PIXEL_DATA, header, read_header
from dicomfab.pixels.rewrite import Rewriter
from dicomfab.pixels.streams import Output, Source
from dicomfab.pixels.syntaxes import EXPLICIT_LITTLE, NATIVE, Encoding

_EXPLICIT: Final = NATIVE[EXPLICIT_LITTLE]
_VARYING_VRS: Final = frozenset(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "SH", "TM", "UI", "US"))
_PADS: Final = {"UI": b"\0", "US": b""}  # text is padded with blanks else; what has no padding is a number


def encode_dataset(dataset: Dataset, encoding: Encoding = _EXPLICIT) -> bytes:
    """Encode a data set with defined lengths.

    Args:
        dataset: without encapsulated pixel data. Elements of :mod:`.items` are taken as they are.
        encoding: a native one; deflation is left to the caller.

    Raises:
        InvalidInput: a text that the data set's character set cannot hold, by the keyword of its attribute.
    """
    encoded = encode_explicit(dataset)
    if (encoding.explicit, encoding.little) == (True, True):
        return encoded
    # pydicom leaves the bytes of words (VR OW) in the order that they have in memory; the rewriter turns them.
    with tempfile.TemporaryFile() as file:
        output = Output(file.fileno())
        Rewriter(Source(io.BytesIO(encoded), 0, len(encoded)), output).run(_EXPLICIT, encoding)
        output.flush()
        file.seek(0)
        return file.read()


class HeaderTemplate:
    """Everything before the pixels of every instance of a series.

    Args:
        dataset: of any instance of the series, without PixelData; its top-level elements named in ``varying`` are
            replaced for each instance.
        varying: keywords of single- or multi-valued elements of text or of numbers (VR US) that change.
        pixel_bytes: length of PixelData (7FE0,0010): even, or 0xFFFFFFFF if it is encapsulated; ``None`` if the
            series has no pixels.
        pixel_vr: ``OW`` or ``OB``.
        encoding: of the data set; it is not deflated here.
    """

    def __init__(
        self,
        dataset: Dataset,
        varying: Sequence[str],
        pixel_bytes: int | None,
        pixel_vr: str = "OW",
        encoding: Encoding = _EXPLICIT,
    ) -> None:
        tags = [int(tag_for_keyword(keyword) or 0) for keyword in varying]
        order = sorted(range(len(tags)), key=tags.__getitem__)
        self._keywords = tuple(varying[n] for n in order)
        self._heads = [_element_head(tags[n], varying[n], encoding) for n in order]
        self._pads = [_PADS.get(dictionary_VR(tags[n]), b" ") for n in order]
        self._length_bytes = 2 if encoding.explicit else 4
        self._byte_order: Literal["little", "big"] = "little" if encoding.little else "big"
        self._fixed = _between(dataset, [tags[n] for n in order], encoding)
        if pixel_bytes is not None:
            self._fixed[-1] += header(encoding, PIXEL_DATA, pixel_vr.encode("ascii"), pixel_bytes)

    def header(self, values: Mapping[str, str]) -> bytes:
        """The encoded header of one instance.

        Args:
            values: for each varying keyword its ASCII text, digits for a number; several values joined by backslashes.
        """
        parts = [self._fixed[0]]
        size, order = self._length_bytes, self._byte_order
        for keyword, head, pad, fixed in zip(self._keywords, self._heads, self._pads, self._fixed[1:], strict=True):
            if pad:
                value = values[keyword].encode("ascii")
                if len(value) & 1:
                    value += pad
            else:
                value = b"".join(int(number).to_bytes(2, order) for number in values[keyword].split("\\"))
            parts += (head, len(value).to_bytes(size, order), value, fixed)
        return b"".join(parts)


def _element_head(tag: int, keyword: str, encoding: Encoding) -> bytes:
    """What precedes the length of an element."""
    vr = dictionary_VR(tag)
    if vr not in _VARYING_VRS:
        raise ValueError(f"{keyword} has VR {vr}, which a template cannot replace")
    return header(encoding, tag, vr.encode("ascii"), 0)[: 6 if encoding.explicit else 4]


def _between(dataset: Dataset, tags: Sequence[int], encoding: Encoding) -> list[bytes]:
    """What stands before, between and behind the elements with these tags, which are in order."""
    if encoding == _EXPLICIT:
        elements = explicit_elements(dataset)
    else:
        elements = _elements(encode_dataset(dataset, encoding), encoding)
    left = iter((*tags, None))
    cut = next(left)
    between: list[list[bytes]] = [[]]
    for tag, element in elements:
        if tag == cut:
            cut = next(left)
            between.append([])
        else:
            between[-1].append(element)
    if cut is not None:
        raise ValueError(f"the data set has no ({cut >> 16:04X},{cut & 0xFFFF:04X}), which its instances vary")
    return [b"".join(one) for one in between]


def _elements(encoded: bytes, encoding: Encoding) -> Iterator[tuple[int, bytes]]:
    """Tag and bytes of each element of the top level."""
    source = Source(cast(BinaryIO, io.BytesIO(encoded)), 0, len(encoded))
    while source.position < len(encoded):
        start = source.position
        tag, _, length = read_header(source, encoding)
        source.seek(source.position + length)
        yield tag, encoded[start : source.position]
