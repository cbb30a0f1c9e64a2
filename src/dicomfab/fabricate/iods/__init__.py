"""One module per family of IODs (PS3.3 annex A), each with a ``plan`` function."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Protocol, cast

from dicomfab.fabricate.iods.series import SeriesPlan
from dicomfab.fabricate.kinds import KINDS
from dicomfab.fabricate.recipe import ResolvedStudy


class Family(Protocol):
    """What a module of this package offers."""

    def plan(self, study: ResolvedStudy, series_number: int, workers: int) -> Iterator[SeriesPlan]:
        """The series of the study, numbered from ``series_number`` on.

        Nothing is rendered before the pixels of a plan are iterated.
        """


def family(kind: str) -> Family:
    """The module that makes a kind of study."""
    return cast(Family, import_module(f"{__name__}.{KINDS[kind].module}"))
