"""The kinds of series that can be asked for: one row each, so that nothing heavy is loaded to list or count them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MAX_COUNT: Final = 10_000

Code = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Counted:
    """What a recipe may count in a kind.

    Args:
        unit: in the plural: slices, frames, cards.
        default: how many there are if the recipe says nothing.
        most: how many there can be.
    """

    unit: str
    default: int
    most: int = MAX_COUNT


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of series, or of series that are acquired together.

    Args:
        title: what people call it.
        description: default StudyDescription (0008,1030).
        modality: Modality (0008,0060).
        module: the module of :mod:`dicomfab.fabricate.iods` whose ``plan`` function makes its series.
        counted: what a recipe may count; ``None`` if there is nothing to choose.
        instances: how many instances so many of them make.
        procedure: value, scheme and meaning of the procedure (LOINC); ``None`` if it is none.
        styles: how it can look, its default first.
    """

    title: str
    description: str
    modality: str
    module: str
    counted: Counted | None
    instances: Callable[[int], int]
    procedure: Code | None = None
    styles: tuple[str, ...] = ("image", "card")


def _each(count: int) -> int:
    return count


def _always(instances: int) -> Callable[[int], int]:
    return lambda _count: instances


KINDS: Final[dict[str, Kind]] = {
    "ct-chest": Kind(
        "CT of the chest", "CT CHEST W CONTRAST", "CT", "ct", Counted("slices", 200), _each,
        ("24628-0", "LN", "CT Chest W contrast IV"),
    ),
    "dx-chest": Kind(
        "Chest X-ray, PA and lateral", "XR CHEST PA AND LATERAL", "DX", "dx", None, _always(2),
        ("42272-5", "LN", "XR Chest PA and Lateral"),
    ),
    "text-card": Kind(
        "Text card with the main attributes", "TEXT CARD", "OT", "sc", Counted("cards", 1), _each,
        styles=("card",),
    ),
}  # fmt: skip
