"""How lesions change between examinations of a patient: some grow, some shrink, some are gone; all stay in place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from dicomfab.fabricate.seeds import Draw

#: A lesion that has become smaller than this part of its first size is not seen any more.
_GONE: Final = 0.3
_LARGEST: Final = 1.8
#: Kinds that heal, and those that stay as they are; of all others some grow and some shrink.
_HEALING: Final = frozenset({"infarct", "haemorrhage", "bone bruise"})
_STAYING: Final = frozenset(
    {"meniscal tear", "kidney stone", "liver cyst", "calcification cluster", "coronary stenosis"}
)


@dataclass(frozen=True, slots=True)
class Course:
    """Time that has passed for the lesions of a patient.

    Args:
        seed: the patient's.
        months: since they were first seen; 0 leaves all as they are drawn.
    """

    seed: int = 0
    months: int = 0

    def factor(self, kind: str, number: int) -> float:
        """By what the half axes of a lesion are multiplied; 0 if it is gone.

        Args:
            kind: of the lesion.
            number: among those of its kind in its part of the body, from 0, those that are gone included.
        """
        if not self.months or kind in _STAYING:
            return 1.0
        draw = Draw(self.seed, "course", kind, number)
        fate, pace = draw.between(0, 1), draw.between(0, 1)
        if kind in _HEALING:
            return max(_GONE, math.exp(-(0.03 + 0.05 * pace) * self.months))
        if fate < 0.45:
            return min(_LARGEST, math.exp((0.006 + 0.02 * pace) * self.months))
        if fate < 0.7:
            return 1.0
        left = math.exp(-(0.015 + 0.06 * pace) * self.months)
        return left if left >= _GONE else 0.0
