from __future__ import annotations

import pytest

from dicomfab.dicomweb.remembered import Remembered


class Made:
    def __init__(self, text: str) -> None:
        self.text = text
        self.times = 0

    def __call__(self) -> str:
        self.times += 1
        return self.text


def test_a_text_is_made_once() -> None:
    remembered, made = Remembered[str](1000), Made("x")
    assert [remembered.get("a", made), remembered.get("a", made)] == ["x", "x"]
    assert made.times == 1


def test_what_was_not_asked_for_longest_goes_first() -> None:
    remembered, made = Remembered[str](1000), Made("x" * 10)
    for number in range(100):
        remembered.get(number, made)
    remembered.get(0, made)
    assert made.times == 100
    remembered.get("one more", made)
    remembered.get(0, made)
    assert made.times == 101
    remembered.get(1, made)
    assert made.times == 102


def test_a_text_that_is_too_long_is_not_kept() -> None:
    remembered, made = Remembered[str](1000), Made("x" * 11)
    remembered.get("a", made)
    remembered.get("a", made)
    assert made.times == 2


def test_a_failure_is_not_remembered() -> None:
    def fails() -> str:
        raise OSError

    remembered = Remembered[str](1000)
    with pytest.raises(OSError):  # noqa: PT011 - it has no words
        remembered.get("a", fails)
    assert remembered.get("a", Made("x")) == "x"
