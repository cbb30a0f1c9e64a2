"""Is it there? The destination's own list of SOP instances is the only proof that is taken."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from dicomfab.model.errors import DicomFabError
from dicomfab.services.progress import Cancelled, OnProgress, Progress

DEFAULT_WAIT_S = 30.0
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0

#: Lists the SOP instance UIDs of the study at the destination; raises when it cannot.
Listing = Callable[[], frozenset[str]]


class VerdictKind(enum.StrEnum):
    """What may be said about a transfer."""

    VERIFIED = "verified"
    MISMATCH = "mismatch"
    UNVERIFIED = "unverified"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of comparing what should be at the destination with what is.

    Args:
        kind: verified, mismatch, or unverified with the reason why.
        why: one sentence.
        expected: SOP instances that should be there.
        present: how many of them are; ``None`` if the destination could not be asked.
        before: how many of them were there before the transfer; ``None`` if it could not be asked.
        missing: SOP instance UIDs that are not there.
        waited_s: seconds spent polling.
    """

    kind: VerdictKind
    why: str
    expected: int
    present: int | None = None
    before: int | None = None
    missing: tuple[str, ...] = ()
    waited_s: float = 0.0

    @property
    def arrived(self) -> int | None:
        """How many came with this transfer; ``None`` if unknown."""
        return None if self.present is None or self.before is None else self.present - self.before


def held_before(listing: Listing) -> frozenset[str] | DicomFabError:
    """What is at the destination before the transfer, or why that is not known."""
    try:
        return listing()
    except DicomFabError as error:
        return error


def doubted(verdict: Verdict, failed: int) -> Verdict:
    """The verdict when instances failed: what is listed under their UIDs is not what was transferred."""
    if not failed:
        return verdict
    why = f"{failed} instances were refused or failed in this transfer; {verdict.why}"
    return replace(verdict, kind=VerdictKind.MISMATCH, why=why)


def not_proven(verdict: Verdict, why: str) -> Verdict:
    """The verdict when a list of UIDs proves less than it seems to: what would be verified is in doubt."""
    if verdict.kind is not VerdictKind.VERIFIED:
        return verdict
    return replace(verdict, kind=VerdictKind.UNVERIFIED, why=f"{verdict.why}, but {why}")


def verify(
    expected: frozenset[str],
    before: frozenset[str] | DicomFabError | None,
    listing: Listing,
    *,
    wait_s: float,
    on_progress: OnProgress,
    stopped: Cancelled,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Verdict:
    """Poll the destination until every expected instance is listed or the wait is over.

    Args:
        expected: SOP instance UIDs that should be there; if there are none, nothing is proven by any list.
        before: the answer of :func:`held_before`; ``None`` if nobody asked at the right time.
        listing: asks the destination again.
        wait_s: how long the destination may take to index what it received.
        on_progress: told after each poll.
        stopped: true ends the polling early.
        clock: monotonic seconds.
        pause: sleeps between polls.
    """
    start, interval_s = clock(), _FIRST_PAUSE_S
    known_before = len(expected & before) if isinstance(before, frozenset) else None
    if not expected:
        why = "it is not known what should be at the destination, so nothing could be compared"
        return Verdict(VerdictKind.UNVERIFIED, why, 0, before=known_before)
    while True:
        try:
            held = listing()
        except DicomFabError as error:
            return Verdict(
                VerdictKind.UNVERIFIED,
                f"the destination could not be asked what it holds: {error.heading}: {error.what}",
                len(expected),
                before=known_before,
                waited_s=clock() - start,
            )
        present = len(expected & held)
        waited_s = clock() - start
        on_progress(Progress("verifying", present, len(expected)))
        if expected <= held:
            why = f"all {len(expected)} instances are listed at the destination"
            return Verdict(VerdictKind.VERIFIED, why, len(expected), present, known_before, (), waited_s)
        if waited_s < wait_s and stopped():
            why = f"stopped while {len(expected) - present} of {len(expected)} instances were not listed yet"
            return Verdict(VerdictKind.UNVERIFIED, why, len(expected), present, known_before, (), waited_s)
        if waited_s >= wait_s:
            missing = tuple(sorted(expected - held))
            why = (
                f"{len(missing)} of {len(expected)} instances are not listed at the destination after {waited_s:.0f} s"
            )
            return Verdict(VerdictKind.MISMATCH, why, len(expected), present, known_before, missing, waited_s)
        pause(min(interval_s, max(0.0, wait_s - waited_s)))
        interval_s = min(interval_s * 2, _LONGEST_PAUSE_S)
