"""From what was answered to the words that the rules know. Pure functions."""

from __future__ import annotations

from dicomfab.diagnosis.checks import Outcome
from dicomfab.services.doctor.move_peers import Moved


def route_fact(route: str, destination_aec: str) -> str:
    """What a move AE title is to the destination's own: ``ok``, ``missing``, ``case``, ``other``."""
    if not route:
        return "missing"
    if route == destination_aec:
        return "ok"
    same = "".join(route.split()).casefold() == "".join(destination_aec.split()).casefold()
    return "case" if same else "other"


def counters_of(moved: Moved, expected: int) -> str:
    """What the counters come to, see :mod:`dicomfab.services.doctor.move`.

    Args:
        moved: the C-MOVE.
        expected: how many instances it is about; 0 if that is not known.
    """
    if not moved.responses:
        return "unreported"
    counters = moved.responses[-1].suboperations
    delivered, failed = counters.delivered, counters.failed
    if delivered is None and failed is None:
        return "unreported"
    done, lost = delivered or 0, failed or 0
    if done + lost == 0:
        return "zero"
    if lost:
        return "some" if done else "none"
    return "fewer" if done < expected else "all"


def counters_words(moved: Moved) -> str:
    """The counters as the source reports them."""
    counters = moved.responses[-1].suboperations
    named = (("completed", counters.completed), ("failed", counters.failed), ("with warnings", counters.warning))
    parts = [f"{count} {name}" for name, count in named if count is not None]
    return f"sub-operations: {', '.join(parts)}" if parts else "sub-operations: not reported"


def outcome_of(moved: Moved, counters: str) -> Outcome:
    """How a C-MOVE that was answered to the end went, by the source's word."""
    if moved.code != "0000" or counters == "zero":
        return Outcome.FAILED
    return Outcome.OK if counters == "all" else Outcome.ODD
