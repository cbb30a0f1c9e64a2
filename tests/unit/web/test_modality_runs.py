"""Examinations that pages follow."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from dicomfab.model.actor import local_admin
from dicomfab.model.errors import Conflict, NotFound, PeerError
from dicomfab.services.ordering.modality_config import Told
from dicomfab.web.modality_runs import AT_ONCE, ModalityRuns

ME, OTHER = local_admin("me", "web"), local_admin("other", "web")
WAIT_S = 30.0


def endless(stopped: Callable[[], bool]) -> Iterator[Told]:
    """Goes on until it is stopped, then says so."""
    yield Told("in progress", "begun")
    paused = threading.Event()
    while not stopped():
        paused.wait(0.01)
    yield Told("discontinued", "stopped")


def test_what_is_told_is_kept_until_the_end() -> None:
    runs = ModalityRuns()
    run = runs.get(ME, runs.start(ME, lambda _: iter([Told("worklist", "a"), Told("stored", "b", "1.2")])))
    run.wait_for_end(WAIT_S)
    assert run.has_ended
    assert [one.step for _, one in run.told] == ["worklist", "stored"]
    assert (run.failure, run.study_instance_uid) == (None, "1.2")


def test_what_fails_says_why_and_what_was_unforeseen_ends_it_too() -> None:
    def failing(_stopped: Callable[[], bool]) -> Iterator[Told]:
        yield Told("worklist", "a")
        raise PeerError("it hung up")

    runs = ModalityRuns()
    run = runs.get(ME, runs.start(ME, failing))
    run.wait_for_end(WAIT_S)
    assert run.failure is not None
    assert run.failure.what == "it hung up"


def test_the_end_of_the_pages_breaks_off_what_is_under_way() -> None:
    runs = ModalityRuns()
    begun = [runs.get(ME, runs.start(ME, endless)) for _ in range(2)]
    runs.end()
    assert all(run.has_ended and run.told[-1][1].step == "discontinued" for run in begun)


def test_nobody_sees_anothers_and_not_too_many_are_under_way() -> None:
    runs = ModalityRuns()
    ids = [runs.start(ME, endless) for _ in range(AT_ONCE)]
    with pytest.raises(Conflict):
        runs.start(ME, endless)
    with pytest.raises(NotFound):
        runs.get(OTHER, ids[0])
    runs.end()
