"""How long work reports on itself and is told to stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from dicomfab.model.suboperations import Suboperations


@dataclass(frozen=True, slots=True)
class Progress:
    """A moment of a long operation.

    Args:
        stage: what is going on, for people: ``sending``, ``verifying`` and so on.
        done: instances dealt with so far.
        total: instances in all; ``None`` while unknown.
        suboperations: the peer's own counters, during C-MOVE and C-GET.
    """

    stage: str
    done: int
    total: int | None = None
    suboperations: Suboperations | None = None


OnProgress: TypeAlias = Callable[[Progress], None]
Cancelled: TypeAlias = Callable[[], bool]


def ignore(_progress: Progress) -> None:
    """For callers that do not watch."""


def never() -> bool:
    """For callers that do not cancel."""
    return False
