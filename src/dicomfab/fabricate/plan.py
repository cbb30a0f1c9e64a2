"""What a family hands to the encoder: one series, described once, with what changes from instance to instance."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset

from dicomfab.pixels.syntaxes import EXPLICIT_LITTLE


@dataclass(frozen=True, slots=True)
class SeriesPlan:
    """One series.

    Args:
        dataset: the attributes of the series, and any value for those that vary.
        count: instances.
        pixel_bytes: length of the native PixelData of each instance, even; padding included, which no frame has.
        varying: for an index from 0, the text of each attribute that changes, by keyword; always the same keywords. A
            number (VR US) is given as digits.
        pixels: renders the native frames in order, those of one instance after those of the one before.
        frames: in each instance.
        transfer_syntax_uid: of all instances.
        quality: of a lossy one, on its own scale.
    """

    dataset: Dataset
    count: int
    pixel_bytes: int
    varying: Callable[[int], Mapping[str, str]]
    pixels: Callable[[], Iterator[memoryview]]
    frames: int = 1
    transfer_syntax_uid: str = EXPLICIT_LITTLE
    quality: int | None = None

    def attributes(self, index: int) -> Dataset:
        """The data set of one instance, without pixels; a copy."""
        own = copy.deepcopy(self.dataset)
        for keyword, text in self.varying(index).items():
            values = text.split("\\")
            if dictionary_VR(keyword) == "US":
                setattr(own, keyword, [int(value) for value in values] if len(values) > 1 else int(text))
            else:
                setattr(own, keyword, values if len(values) > 1 else text)
        return own
