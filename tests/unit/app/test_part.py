"""Parts: one for all threads, even if they ask at once; a failure is not kept."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from dicomfab.app.part import part


class House:
    """One with rooms.

    Args:
        together: passed when two make a room at once.
    """

    def __init__(self, together: threading.Barrier | None = None) -> None:
        self.together = together
        self.made = 0

    @part
    def room(self) -> object:
        """A room."""
        self.made += 1
        if self.together is not None:
            with contextlib.suppress(threading.BrokenBarrierError):
                self.together.wait(0.3)
        return object()

    @part
    def floor(self) -> tuple[object, object]:
        """Of its rooms."""
        return self.room, self.room

    @part
    def roof(self) -> str:
        """The second attempt succeeds."""
        self.made += 1
        if self.made == 1:
            raise ValueError("it rained")
        return "roof"


def test_threads_that_ask_at_once_are_given_the_same() -> None:
    house = House(threading.Barrier(2))
    with ThreadPoolExecutor(4) as pool:
        rooms = list(pool.map(lambda _: house.room, range(4)))
    assert house.made == 1
    assert len(set(rooms)) == 1


def test_parts_are_made_of_parts() -> None:
    house = House()
    assert house.floor == (house.room, house.room)
    assert house.made == 1


def test_each_owner_has_its_own() -> None:
    assert House().room is not House().room


def test_failure_is_not_kept() -> None:
    house = House()
    with pytest.raises(ValueError, match="rained"):
        _ = house.roof
    assert house.roof == "roof"


def test_documentation_is_that_of_the_part() -> None:
    assert House.room.__doc__ == "A room."
