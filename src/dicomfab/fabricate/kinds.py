"""The kinds of study that can be asked for: one row each, so that nothing heavy is loaded to list or count them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol


class Sizes(Protocol):
    """The counts that a recipe states."""

    @property
    def slices(self) -> int:
        """Instances of a CT series."""

    @property
    def cards(self) -> int:
        """Instances of a text-card series."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of study.

    Args:
        title: what people call it.
        description: default StudyDescription (0008,1030).
        module: the module of :mod:`dicomfab.fabricate.iods` whose ``plan`` function makes its series.
        instances: how many instances it has.
    """

    title: str
    description: str
    module: str
    instances: Callable[[Sizes], int]


KINDS: Final[dict[str, Kind]] = {
    "ct-chest": Kind("CT of the chest", "CT CHEST W CONTRAST", "ct", lambda sizes: sizes.slices),
    "dx-chest": Kind("Chest X-ray, PA and lateral", "XR CHEST PA AND LATERAL", "dx", lambda sizes: 2),
    "text-card": Kind("Text card with the main attributes", "TEXT CARD", "sc", lambda sizes: sizes.cards),
}
