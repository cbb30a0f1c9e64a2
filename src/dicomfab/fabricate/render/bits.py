"""Pixels of one bit: packed from the lowest bit of each byte up, frames following each other without a gap."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray


def packed(frames: Iterable[NDArray[np.bool_]], count: int) -> Iterator[memoryview]:
    """Pack frames as PixelData has them (PS3.5 8.1.1).

    A frame may begin within a byte: its first pixels then stand above the last ones of the frame before.

    Args:
        frames: of any shape, row after row.
        count: how many there are.

    Yields:
        For each frame the bytes that are complete with it; for the last the rest too, padded to an even number of
        bytes in all.
    """
    left = np.zeros(0, np.bool_)
    length = 0
    for number, frame in enumerate(frames, start=1):
        bits = np.concatenate([left, frame.reshape(-1)])
        whole = bits.size if number == count else bits.size // 8 * 8
        left = bits[whole:]
        data = np.packbits(bits[:whole], bitorder="little")
        length += data.size
        if number == count and length % 2:
            data = np.append(data, np.uint8(0))
        yield data.data
