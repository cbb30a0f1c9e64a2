"""Every status has a category, and every failure is explained."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomfab.dimse.messages import Response
from dicomfab.dimse.status import Category, category, failure, meaning
from dicomfab.model.suboperations import Suboperations

OPERATIONS = ("C-ECHO", "C-STORE", "C-FIND", "C-MOVE", "C-GET")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (0x0000, Category.SUCCESS),
        (0x0001, Category.WARNING),
        (0x0107, Category.WARNING),
        (0x0116, Category.WARNING),
        (0xB000, Category.WARNING),
        (0xB007, Category.WARNING),
        (0xBFFF, Category.WARNING),
        (0xFF00, Category.PENDING),
        (0xFF01, Category.PENDING),
        (0xFE00, Category.CANCEL),
        (0x0122, Category.FAILURE),
        (0xA700, Category.FAILURE),
        (0xA801, Category.FAILURE),
        (0xA900, Category.FAILURE),
        (0xC000, Category.FAILURE),
        (0xCFFF, Category.FAILURE),
        (0x1234, Category.FAILURE),
    ],
)
def test_categories_are_those_of_the_standard(status: int, expected: Category) -> None:
    assert category(status) is expected


@given(st.integers(0, 0xFFFF), st.sampled_from(OPERATIONS))
def test_every_status_that_is_a_failure_has_words_and_a_remedy(status: int, operation: str) -> None:
    if category(status) is not Category.FAILURE:
        return
    error = failure(operation, Response(status), "PACS")
    assert f"{status:04X}" in error.what
    assert error.cause
    assert error.remedy
    assert error.heading == f"{operation} failed"


def test_unknown_move_destination_is_told_apart_from_one_that_does_not_answer() -> None:
    assert meaning("C-MOVE", 0xA801).text == "move destination unknown"
    assert "unable to perform" in meaning("C-MOVE", 0xA702).text


def test_the_peers_comment_is_shown() -> None:
    assert '"disk full"' in failure("C-STORE", Response(0xA700, "disk full"), "PACS").what


@pytest.mark.parametrize(
    ("counters", "delivered"),
    [
        (Suboperations(), None),
        (Suboperations(remaining=3, failed=1), None),
        (Suboperations(completed=5), 5),
        (Suboperations(warning=2), 2),
        (Suboperations(completed=5, warning=2, failed=9), 7),
        (Suboperations(completed=0, warning=0), 0),
    ],
)
def test_delivered_is_completed_plus_warning_and_silence_is_not_zero(
    counters: Suboperations, delivered: int | None
) -> None:
    assert counters.delivered == delivered
