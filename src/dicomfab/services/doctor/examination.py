"""An examination under way: checks as they are made, the facts so far, and the time that is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from dicomfab.diagnosis.checks import Check, Outcome, Role, Stage
from dicomfab.dimse.peer import Peer, Timeouts
from dicomfab.model.errors import DicomFabError
from dicomfab.services.progress import Cancelled

LIMIT_S: Final = 20.0
#: What a single step may take at most: a server that needs longer is slow enough to be told so.
CAPS: Final = Timeouts(connect_s=3.0, association_s=4.0, dimse_s=6.0, retrieve_s=8.0)
#: Part of the time after which no further step is begun, so that the one under way ends within all of it.
_WORKING: Final = 0.8

OnCheck = Callable[[Check], None]


class OutOfTime(Exception):
    """The examination's time is over; what was not tried is said to be so."""


class Examination:
    """Notes checks. Used by one thread.

    Args:
        on_check: told of every check when it is made.
        limit_s: seconds for all.
        stopped: whether to end early.
    """

    def __init__(
        self, on_check: OnCheck = lambda _check: None, *, limit_s: float = LIMIT_S, stopped: Cancelled
    ) -> None:
        self.checks: list[Check] = []
        self.facts: dict[Role, dict[str, str]] = {role: {} for role in Role}
        self.limit_s = limit_s
        self._on_check = on_check
        self._stopped = stopped
        self._start = time.perf_counter()
        self._last = self._start

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.perf_counter() - self._start

    @property
    def left_s(self) -> float:
        """Until the last step has to be under way.

        Raises:
            OutOfTime: nothing, or the examination was stopped.
        """
        left = self.limit_s * _WORKING - self.seconds
        if left <= 0 or self._stopped():
            raise OutOfTime
        return left

    def within(self, peer: Peer) -> Peer:
        """The peer with timeouts that neither a step nor the whole examination may exceed.

        Raises:
            OutOfTime: there is none left.
        """
        left, asked = self.left_s, peer.timeouts
        capped = Timeouts(
            min(asked.connect_s, CAPS.connect_s, left),
            min(asked.association_s, CAPS.association_s, left),
            min(asked.dimse_s, CAPS.dimse_s, left),
            min(asked.retrieve_s, CAPS.retrieve_s, left),
        )
        return replace(peer, timeouts=capped)

    def note(
        self,
        role: Role,
        stage: Stage,
        title: str,
        outcome: Outcome,
        seen: str,
        facts: Mapping[str, str] | None = None,
        error: DicomFabError | None = None,
        *,
        instant: bool = False,
    ) -> Check:
        """Note a check that has just been made; its time is that since the one before.

        Args:
            role: of the check, as all up to ``facts``.
            stage: as in :class:`~dicomfab.diagnosis.checks.Check`.
            title: likewise.
            outcome: likewise.
            seen: likewise.
            facts: likewise.
            error: that it ended in.
            instant: it took no time; what has passed is that of the next check.
        """
        now = self._last if instant else time.perf_counter()
        plain: Mapping[str, Any] | None = error.as_dict() if error is not None else None
        check = Check(role, stage, title, outcome, seen, now - self._last, dict(facts or {}), plain)
        self._last = now
        self.checks.append(check)
        self.facts[role].update(check.facts)
        self._on_check(check)
        return check

    def ok(self, role: Role, stage: Stage, title: str, seen: str, **facts: str) -> Check:
        """Note a check that went well."""
        return self.note(role, stage, title, Outcome.OK, seen, facts)

    def failed(self, role: Role, stage: Stage, title: str, error: DicomFabError, facts: Mapping[str, str]) -> Check:
        """Note a check that ended in an error."""
        return self.note(role, stage, title, Outcome.FAILED, error.what, facts, error)

    def skipped(self, role: Role, stage: Stage, title: str, why: str, **facts: str) -> Check:
        """Note a check that was not made, and why."""
        return self.note(role, stage, title, Outcome.SKIPPED, why, facts)
