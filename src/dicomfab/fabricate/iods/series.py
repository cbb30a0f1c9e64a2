"""What a family hands to the encoder: one series, described once, with what changes from instance to instance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pydicom.dataset import Dataset


@dataclass(frozen=True, slots=True)
class SeriesPlan:
    """One series.

    Args:
        dataset: the attributes of the series, and any value for those that vary.
        count: instances.
        pixel_bytes: length of the native PixelData of each instance, even.
        varying: for an index from 0, the text of each attribute that changes, by keyword; always the same keywords.
        pixels: renders the native frames in order, those of one instance after those of the one before.
        frames: in each instance.
    """

    dataset: Dataset
    count: int
    pixel_bytes: int
    varying: Callable[[int], Mapping[str, str]]
    pixels: Callable[[], Iterator[memoryview]]
    frames: int = 1
