"""What a population is to be, as asked for."""

from __future__ import annotations

import dataclasses
import datetime as dt
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from dicomfab.fabricate.kinds import KINDS, OBJECTS
from dicomfab.fabricate.population.exams import EXAMS, Exam, of_kind
from dicomfab.fabricate.scripts import LATIN

Weights = tuple[tuple[str, float], ...]

MAX_PATIENTS: Final = 1_000_000
MAX_STUDIES_EACH: Final = 50
MAX_YEARS: Final = 40
MAX_SITES: Final = 4
IMAGES: Final = ("full", "small")
DEFAULT_MIX: Final[Weights] = (
    ("DX", 30.0), ("CR", 8.0), ("CT", 26.0), ("MR", 13.0), ("US", 12.0), ("MG", 6.0), ("PT", 3.0), ("NM", 2.0),
)  # fmt: skip


@dataclass(frozen=True)
class PopulationRecipe:
    """A population as asked for.

    Args:
        patients: how many.
        studies_per_patient: fewest and most.
        mix: modality or kind, and its share; the shares need not sum to anything.
        years: that the studies lie in, up to ``end_date``.
        seed: 0 to 2**63 - 1; ``None`` to draw one.
        end_date: ``YYYYMMDD``, the last day; ``None`` for today.
        scripts: that names are written in, and their shares.
        defects: name and the part of the studies that has it, of those that can, from 0 to 1.
        images: ``full``, or ``small`` for small pictures without anatomy.
        slices: of each series of slices; ``None`` leaves it to the kind, or is 3 if images are small.
        sites: institutions, 1 to 4.
    """

    patients: int = 100
    studies_per_patient: tuple[int, int] = (1, 5)
    mix: Weights = DEFAULT_MIX
    years: int = 10
    seed: int | None = None
    end_date: str | None = None
    scripts: Weights = ((LATIN, 1.0),)
    defects: Weights = ()
    images: str = "full"
    slices: int | None = None
    sites: int = 3

    @cached_property
    def exams(self) -> tuple[tuple[Exam, float], ...]:
        """Every examination of the mix with its share; these sum to 1."""
        found: dict[str, tuple[Exam, float]] = {}
        total = sum(weight for _, weight in self.mix)
        for name, weight in self.mix:
            rows = [row for row in EXAMS.values() if name in (row.modality, row.name)] or [of_kind(name)]
            if self.images == "small":  # of a modality, only what can be small, if anything can
                rows = [row for row in rows if all(_is_small(kind) for kind in row.kinds)] or rows
            of = sum(row.share for row in rows)
            for row in rows:
                before = found.get(row.name, (row, 0.0))[1]
                found[row.name] = row, before + weight / total * row.share / of
        return tuple((row, share) for row, share in found.values() if share > 0)

    @property
    def last_day(self) -> dt.date:
        """``end_date`` of a resolved recipe."""
        return dt.date.fromisoformat(self.end_date or "")

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them; :meth:`from_dict` takes them back."""
        plain = dataclasses.asdict(self)
        shares = {name: dict(plain[name]) for name in _SHARES}
        return {**plain, **shares, "studies_per_patient": list(self.studies_per_patient)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> PopulationRecipe:
        """Take back what :meth:`as_dict` gave."""
        low, high = values["studies_per_patient"]
        shares = {name: tuple(values[name].items()) for name in _SHARES}
        return cls(**{**values, **shares, "studies_per_patient": (low, high)})


_SHARES: Final = ("mix", "scripts", "defects")


def _is_small(kind: str) -> bool:
    return kind in OBJECTS or "small" in KINDS[kind].looks
