"""One module per family of IODs (PS3.3 annex A), each with a ``plan`` function."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any, Protocol, cast

from dicomfab.fabricate.kinds import ALL_KINDS
from dicomfab.fabricate.plan import Planned, SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy


class Family(Protocol):
    """What a module of this package offers."""

    def plan(
        self, study: ResolvedStudy, series: ResolvedSeries, series_number: int, workers: int
    ) -> Iterator[SeriesPlan]:
        """The series that an entry of the study stands for, numbered from ``series_number`` on.

        A plan is a run of like instances. A series of unlike ones, such as the levels of a slide, has several plans,
        one after the other, with the same SeriesInstanceUID and with instance numbers that go on.
        Nothing is rendered before the pixels of a plan are iterated.
        """


class ObjectFamily(Protocol):
    """What a module of objects offers, see :data:`dicomfab.fabricate.kinds.OBJECTS`."""

    def plan_object(
        self, study: ResolvedStudy, series: ResolvedSeries, series_number: int, before: Sequence[Planned]
    ) -> SeriesPlan:
        """One series of one instance.

        Args:
            study: the study.
            series: its entry that the object stands for.
            series_number: its SeriesNumber.
            before: all that comes before it in the study; one at least is of a kind that it needs.
        """

    def truth_of(
        self, study: ResolvedStudy, series: ResolvedSeries, series_number: int, before: Sequence[Planned]
    ) -> dict[str, Any]:
        """What the object says, ready for JSON; arguments as of :meth:`plan_object`."""


def object_family(kind: str) -> ObjectFamily:
    """The module that makes a kind of object."""
    return cast(ObjectFamily, import_module(f"{__name__}.{ALL_KINDS[kind].module}"))


def family(kind: str) -> Family:
    """The module that makes a kind of study."""
    return cast(Family, import_module(f"{__name__}.{ALL_KINDS[kind].module}"))
