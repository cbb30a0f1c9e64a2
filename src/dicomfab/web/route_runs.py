"""Tests of many routes that pages follow: sources side by side, the routes of one source one after the other.

So one server that hangs holds up nothing but its own routes, and none is called more than once at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Final

from dicomfab.model.errors import DicomFabError
from dicomfab.services.progress import Cancelled
from dicomfab.services.routes import Edge
from dicomfab.web.background import Kept, Work

SOURCES_AT_ONCE: Final = 8

#: Of one route, given the ids of source and destination, and what says whether to stop.
Test = Callable[[str, str, Cancelled], object]


class RouteRun(Work):
    """One test of many routes, as far as it has come.

    Args:
        owner: name of the actor who wanted it.
        edges: the routes.
        test: of one of them.
    """

    NAME = "routes"
    IS_WAITED_FOR = True  # so that what was asked of a server is noted

    def __init__(self, owner: str, edges: Iterable[Edge], test: Test) -> None:
        super().__init__(owner)
        self.edges = tuple(sorted(set(edges)))
        self.failures: dict[Edge, DicomFabError] = {}
        self._done: list[Edge] = []
        self._test = test

    @property
    def pending(self) -> frozenset[Edge]:
        """Routes that have not been tested yet."""
        return frozenset(self.edges) - frozenset(self._done)

    def follow(self) -> Iterator[Edge]:
        """Each route as its test ends, those that ended before at once."""
        for number in range(len(self.edges)):
            self.wait(number, None)
            if number == len(self._done):  # it was stopped, or has ended by a fault
                return
            yield self._done[number]

    def _do(self) -> None:
        by_source = [tuple(edges) for _, edges in groupby(self.edges, key=lambda edge: edge[0])]
        with ThreadPoolExecutor(SOURCES_AT_ONCE, thread_name_prefix="route") as pool:
            for tested in [pool.submit(self._test_each, edges) for edges in by_source]:
                tested.result()

    def _test_each(self, edges: tuple[Edge, ...]) -> None:
        for edge in edges:
            if self.is_stopped:
                return
            try:
                self._test(*edge, lambda: self.is_stopped)
            except DicomFabError as error:
                self.failures[edge] = error
            with self._changing():
                self._done.append(edge)


class RouteRuns(Kept[RouteRun]):
    """The latest tests of many routes."""

    KEPT = 50
    AT_ONCE = 4
    MANY = ("tests of routes", "each calls servers")
    GONE = ("test of routes", "what came of it stands in the matrix", "test again")
