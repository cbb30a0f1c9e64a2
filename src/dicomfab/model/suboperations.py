"""How far a C-MOVE or C-GET has come, as the peer counts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Suboperations:
    """The counters of a C-MOVE or C-GET response (PS3.7 9.1.4.1.7 to 9.1.4.1.10).

    A counter that the peer did not send is ``None``, shown as "unreported"; it is never taken for 0.
    """

    remaining: int | None = None
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None

    @property
    def delivered(self) -> int | None:
        """Completed plus warning: what the peer says that it delivered; ``None`` if it said nothing of the kind."""
        if self.completed is None and self.warning is None:
            return None
        return (self.completed or 0) + (self.warning or 0)
