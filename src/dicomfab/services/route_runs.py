"""Tests of many routes, in the background: sources side by side, the routes of one source one after the other.

So one server that hangs holds up nothing but its own routes, and none is called more than once at a time.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Final

from dicomfab.model.actor import Actor
from dicomfab.model.errors import Conflict, DicomFabError, NotFound
from dicomfab.services.routes import Edge

SOURCES_AT_ONCE: Final = 8
RUNS_AT_ONCE: Final = 4
KEPT: Final = 50

Test = Callable[[str, str], object]


class RouteRun:
    """One test of many routes, as far as it has come.

    Args:
        owner: name of the actor who wanted it.
        edges: the routes.
    """

    def __init__(self, owner: str, edges: Iterable[Edge]) -> None:
        self.owner = owner
        self.edges = tuple(sorted(set(edges)))
        self.failures: dict[Edge, DicomFabError] = {}
        self._done: list[Edge] = []
        self._changed = threading.Condition()

    @property
    def pending(self) -> frozenset[Edge]:
        """Routes that have not been tested yet."""
        return frozenset(self.edges) - frozenset(self._done)

    def follow(self) -> Iterator[Edge]:
        """Each route as its test ends, those that ended before at once."""
        for number in range(len(self.edges)):
            with self._changed:
                self._changed.wait_for(lambda wanted=number: len(self._done) > wanted)  # type: ignore[misc]
            yield self._done[number]

    def start(self, test: Test) -> None:
        """Begin, in threads of its own.

        Args:
            test: of one route, given the ids of source and destination.
        """
        threading.Thread(target=self._work, args=(test,), name="routes").start()

    def _work(self, test: Test) -> None:
        by_source = [tuple(edges) for _, edges in groupby(self.edges, key=lambda edge: edge[0])]
        with ThreadPoolExecutor(SOURCES_AT_ONCE, thread_name_prefix="route") as pool:
            for edges in by_source:
                pool.submit(self._test_each, test, edges)

    def _test_each(self, test: Test, edges: tuple[Edge, ...]) -> None:
        for edge in edges:
            try:
                test(*edge)
            except DicomFabError as error:
                self.failures[edge] = error
            finally:
                with self._changed:
                    self._done.append(edge)
                    self._changed.notify_all()


class RouteRuns:
    """The latest tests of many routes, each for whoever wanted it."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, RouteRun] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, actor: Actor, edges: Iterable[Edge], test: Test) -> str:
        """Begin one; its id, which nobody can guess.

        Raises:
            Conflict: too many are under way.
        """
        run = RouteRun(actor.name, edges)
        with self._lock:
            if sum(bool(one.pending) for one in self._runs.values()) >= RUNS_AT_ONCE:
                raise Conflict(
                    f"{RUNS_AT_ONCE} tests of routes are under way already",
                    cause="each one calls servers",
                    remedy="try again in a moment",
                )
            run_id = secrets.token_urlsafe(16)
            self._runs[run_id] = run
            ended = [one for one, kept in self._runs.items() if not kept.pending]
            for one in ended[: max(0, len(self._runs) - KEPT)]:
                del self._runs[one]
        run.start(test)
        return run_id

    def get(self, actor: Actor, run_id: str) -> RouteRun:
        """One of the actor's.

        Raises:
            NotFound: there is none, or it is another's.
        """
        run = self._runs.get(run_id)
        if run is None or run.owner != actor.name:
            raise NotFound(
                "this test of routes is not kept any more",
                cause="what came of it stands in the matrix",
                remedy="test again",
            )
        return run
