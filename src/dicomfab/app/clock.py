"""What an installation takes from the world: the time, and chance."""

from __future__ import annotations

import datetime
import secrets


def local_now() -> datetime.datetime:
    """Local time: study dates are those of the wall clock in the hospital."""
    return datetime.datetime.now().astimezone()


def draw_seed() -> int:
    """A seed that nothing foretells."""
    return secrets.randbelow(2**31)
