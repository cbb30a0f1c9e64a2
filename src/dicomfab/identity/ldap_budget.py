"""How long may be waited for a directory: for one step, and for all of them together."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(slots=True)
class Budget:
    """How long may be waited.

    Args:
        step_s: for one step.
        end: of all of them, on the monotonic clock.
        step_end: of the present one.
    """

    step_s: float
    end: float
    step_end: float = 0.0

    def begin(self) -> None:
        """Begin a step."""
        self.step_end = min(time.monotonic() + self.step_s, self.end)

    def left(self) -> float:
        """Seconds that are left to the present step.

        Raises:
            TimeoutError: none.
        """
        left = self.step_end - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    @property
    def is_spent(self) -> bool:
        """Whether no further step can be taken."""
        return time.monotonic() >= self.end
