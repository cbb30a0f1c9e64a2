"""Work that pages follow: who sees it, how much of it there is at once, and that a fault is no success."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from dicomfab.model.actor import Actor, local_admin
from dicomfab.model.errors import Conflict, LocalFailure, NotFound, PeerError
from dicomfab.services.ordering.modality_config import Told
from dicomfab.services.query_list import ListQuery, LookedUp
from dicomfab.web.list_runs import ListRun, ListRuns
from dicomfab.web.modality_runs import ModalityRun, ModalityRuns
from dicomfab.web.route_runs import RouteRun, RouteRuns

ME, OTHER = local_admin("me", "web"), local_admin("other", "web")
WAIT_S = 30.0


def endless(stopped: Callable[[], bool]) -> Iterator[Told]:
    """Goes on until it is stopped, then says so."""
    yield Told("in progress", "begun")
    paused = threading.Event()
    while not stopped():
        paused.wait(0.01)
    yield Told("discontinued", "stopped")


def examination(perform: Callable[[Callable[[], bool]], Iterator[Told]] = endless) -> ModalityRun:
    return ModalityRun(ME.name, perform)


# ------------------------------------------------------------------ examinations


def test_what_is_told_is_kept_until_the_end() -> None:
    runs = ModalityRuns()
    told = [Told("worklist", "a"), Told("stored", "b", "1.2")]
    run = runs.get(ME, runs.begin(examination(lambda _: iter(told))))
    run.wait_for_end(WAIT_S)
    assert run.has_ended
    assert [one.step for _, one in run.told] == ["worklist", "stored"]
    assert (run.failure, run.study_instance_uid, run.changes) == (None, "1.2", 3)


def test_what_fails_says_why() -> None:
    def failing(_stopped: Callable[[], bool]) -> Iterator[Told]:
        yield Told("worklist", "a")
        raise PeerError("it hung up")

    run = examination(failing)
    run.start()
    run.wait_for_end(WAIT_S)
    assert run.failure is not None
    assert run.failure.what == "it hung up"


@pytest.fixture
def thread_faults(monkeypatch: pytest.MonkeyPatch) -> list[BaseException | None]:
    """Faults that threads ended by."""
    seen: list[BaseException | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda told: seen.append(told.exc_value))
    return seen


def test_a_fault_of_ours_is_a_failure_and_is_told_to_the_log(thread_faults: list[BaseException | None]) -> None:
    fault = ZeroDivisionError("ours")

    def faulty(_stopped: Callable[[], bool]) -> Iterator[Told]:
        yield Told("worklist", "a")
        raise fault

    run = examination(faulty)
    run.start()
    run.wait_for_end(WAIT_S)
    assert isinstance(run.failure, LocalFailure)
    _until(lambda: thread_faults == [fault])


def test_the_end_of_the_pages_breaks_off_what_is_under_way() -> None:
    runs = ModalityRuns()
    begun = [runs.get(ME, runs.begin(examination())) for _ in range(2)]
    runs.end(WAIT_S)
    assert all(run.has_ended and run.told[-1][1].step == "discontinued" for run in begun)


def test_nobody_sees_anothers_and_not_too_many_are_under_way() -> None:
    runs = ModalityRuns()
    ids = [runs.begin(examination()) for _ in range(ModalityRuns.AT_ONCE)]
    refused = examination()
    with pytest.raises(Conflict, match="4 examinations are under way already"):
        runs.begin(refused)
    with pytest.raises(NotFound):
        runs.get(OTHER, ids[0])
    runs.end(WAIT_S)
    assert (refused.changes, refused.seconds) == (0, 0.0)
    runs.get(ME, runs.begin(examination(lambda _: iter(())))).wait_for_end(WAIT_S)


def test_the_oldest_that_has_ended_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ModalityRuns, "KEPT", 2)
    runs = ModalityRuns()
    first = runs.begin(examination())
    others = []
    for _ in range(3):
        others.append(runs.begin(examination(lambda _: iter(()))))
        runs.get(ME, others[-1]).wait_for_end(WAIT_S)
    with pytest.raises(NotFound):
        runs.get(ME, others[0])
    assert not runs.get(ME, first).has_ended
    runs.end(WAIT_S)


# ------------------------------------------------------------------ tests of routes


def test_routes_of_one_source_are_tested_one_after_the_other_and_hold_up_no_other() -> None:
    release = threading.Event()

    def test(source: str, _destination: str, _stopped: Callable[[], bool]) -> None:
        assert source != "hole" or release.wait(WAIT_S)

    run = RouteRun(ME.name, [("hole", "a"), ("hole", "b"), ("a", "b"), ("b", "a"), ("b", "a")], test)
    run.start()
    tested = run.follow()
    assert {next(tested), next(tested)} == {("a", "b"), ("b", "a")}
    assert run.pending == {("hole", "a"), ("hole", "b")}
    release.set()
    assert list(tested) == [("hole", "a"), ("hole", "b")]
    assert (run.pending, run.failures) == (frozenset(), {})


def test_an_error_of_one_route_is_kept_and_the_others_go_on() -> None:
    error = PeerError("it hung up")

    def test(source: str, _destination: str, _stopped: Callable[[], bool]) -> None:
        if source == "a":
            raise error

    run = RouteRun(ME.name, [("a", "b"), ("a", "c"), ("b", "a")], test)
    run.start()
    assert set(run.follow()) == set(run.edges)
    assert run.failures == {("a", "b"): error, ("a", "c"): error}


def test_a_fault_of_ours_ends_a_test_of_routes_and_nobody_waits_for_ever(
    thread_faults: list[BaseException | None],
) -> None:
    def test(source: str, _destination: str, _stopped: Callable[[], bool]) -> None:
        assert source != "a"

    runs = RouteRuns()
    run = runs.get(ME, runs.begin(RouteRun(ME.name, [("a", "b"), ("a", "c"), ("b", "a")], test)))
    assert list(run.follow()) == [("b", "a")]
    assert isinstance(run.failure, LocalFailure)
    assert run.pending == {("a", "b"), ("a", "c")}
    _until(lambda: [type(one) for one in thread_faults] == [AssertionError])


def test_the_end_of_the_pages_ends_tests_of_routes_and_waits_for_none_that_never_began() -> None:
    begun = threading.Event()

    def test(_source: str, _destination: str, stopped: Callable[[], bool]) -> None:
        begun.set()
        _until(stopped)

    runs = RouteRuns()
    never = runs.get(ME, runs.add(RouteRun(ME.name, [("a", "b")], test)))
    run = runs.get(ME, runs.begin(RouteRun(ME.name, [("a", "b"), ("a", "c"), ("b", "a")], test)))
    assert begun.wait(WAIT_S)
    runs.end(WAIT_S)
    assert run.has_ended
    assert ("a", "c") in run.pending
    assert (never.seconds, never.has_ended) == (0.0, False)


# ------------------------------------------------------------------ look-ups


class Held:
    """Asks nobody before it is released."""

    def __init__(self) -> None:
        self.release = threading.Event()

    def look_up(self, *_given: object, **_options: object) -> list[LookedUp]:
        assert self.release.wait(WAIT_S)
        return []


def test_so_many_look_ups_of_each_and_those_of_others_do_not_count() -> None:
    runs, held = ListRuns(), Held()

    def one(actor: Actor) -> ListRun:
        return ListRun(actor, (), (), cast("ListQuery", held))

    for _ in range(ListRuns.AT_ONCE):
        runs.begin(one(ME))
    with pytest.raises(Conflict, match="4 look-ups of yours are under way already"):
        runs.begin(one(ME))
    others = runs.get(OTHER, runs.begin(one(OTHER)))
    held.release.set()
    others.wait_for_end(WAIT_S)
    assert others.has_ended


def _until(is_so: Callable[[], Any]) -> None:
    paused, tries = threading.Event(), 0
    while not is_so() and tries < WAIT_S * 100:
        paused.wait(0.01)
        tries += 1
    assert is_so()
