"""What a doctor tries and sees: checks in order, and the facts that the rules reason from."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


class Stage(enum.StrEnum):
    """The road of a request, from our own entry to what is found at its end; nothing works that fails before it."""

    ENTRY = "entry"  # what our registry says, and what the actor may do
    NAME = "name"  # name resolution
    TCP = "tcp"
    TLS = "tls"
    ASSOCIATION = "association"  # PS3.8 7.1
    CONTEXT = "context"  # presentation contexts (PS3.8 9.3.3)
    ECHO = "echo"
    FIND = "find"
    STORE = "store"
    DESTINATION = "destination"  # whether a source knows a move destination
    MOVE = "move"  # the C-MOVE with its sub-operations (PS3.4 C.4.2)
    ARRIVAL = "arrival"  # what the destination lists afterwards


class Role(enum.StrEnum):
    """Which server a check looks at."""

    SERVER = "server"  # the only one
    SOURCE = "source"
    DESTINATION = "destination"
    MOVE = "move"  # what is between source and destination


class Outcome(enum.StrEnum):
    """How a check ended."""

    OK = "ok"
    FAILED = "failed"
    ODD = "odd"  # it works, and something about it is worth knowing
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried.

    Args:
        role: which server it looks at.
        stage: how far on the road.
        title: what was tried, such as ``C-ECHO as DICOMFAB``.
        outcome: how it ended.
        seen: what was seen, or why it was skipped; a sentence without patient data.
        seconds: that it took.
        facts: what it established, by name, for the rules; without the role. Two checks never establish the same fact.
        error: as :meth:`~dicomfab.model.errors.DicomFabError.as_dict` gives it, if one was raised.
    """

    role: Role
    stage: Stage
    title: str
    outcome: Outcome
    seen: str
    seconds: float = 0.0
    facts: Mapping[str, str] = field(default_factory=dict)
    error: Mapping[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "role": str(self.role),
            "stage": str(self.stage),
            "title": self.title,
            "outcome": str(self.outcome),
            "seen": self.seen,
            "seconds": round(self.seconds, 3),
            "facts": dict(self.facts),
            "error": dict(self.error) if self.error is not None else None,
        }


def facts_of(checks: Iterable[Check]) -> dict[str, str]:
    """All facts, each under its role: ``source.tcp``."""
    return {f"{check.role}.{name}": fact for check in checks for name, fact in check.facts.items()}
