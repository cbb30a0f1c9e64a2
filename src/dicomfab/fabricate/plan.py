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
        frames: in each instance; 0 if it has no pixels, and the data set is all that there is.
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
        return self._varied(copy.deepcopy(self.dataset), index)

    def encodable(self, index: int) -> Dataset:
        """The same to be encoded and let go: its sequences are those of the plan."""
        return self._varied(Dataset(dict(self.dataset.items())), index)

    def _varied(self, own: Dataset, index: int) -> Dataset:
        for keyword, text in self.varying(index).items():
            values = text.split("\\")
            if dictionary_VR(keyword) == "US":
                setattr(own, keyword, [int(value) for value in values] if len(values) > 1 else int(text))
            else:
                setattr(own, keyword, values if len(values) > 1 else text)
        return own


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with the kind that it is of; objects refer to those that come before them in their study.

    Args:
        kind: of its entry, see :data:`dicomfab.fabricate.kinds.ALL_KINDS`.
        plan: describes it; nothing is rendered. An entry may have several.
    """

    kind: str
    plan: SeriesPlan

    @property
    def dataset(self) -> Dataset:
        """The attributes of the series; those that vary are of no instance."""
        return self.plan.dataset

    @property
    def series_instance_uid(self) -> str:
        """SeriesInstanceUID (0020,000E)."""
        return str(self.plan.dataset.SeriesInstanceUID)

    @property
    def sop_class_uid(self) -> str:
        """SOPClassUID (0008,0016)."""
        return str(self.plan.dataset.SOPClassUID)

    def sop_instance_uid(self, index: int = 0) -> str:
        """SOPInstanceUID (0008,0018) of an instance, counted from 0."""
        return self.plan.varying(index)["SOPInstanceUID"]
