"""The chain of the audit log: the MAC of an entry covers its number, its text and the MAC of the one before.

HMAC-SHA-256 with a key that is not in the database: who can write to the database but does not have the key can make
no entry that fits between two others. What is missing at the end is found by anchors that are kept elsewhere.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol, TypeAlias

from dicomfab.storage.audit_anchors import Anchor

_MAC: Final = re.compile(r"[0-9a-f]{64}")
START: Final = Anchor(0, "0" * 64)
_ENTRY: Final = b"dicomfab audit entry 1\0"
_SEGMENT: Final = b"dicomfab audit segment 1\0"

Keys: TypeAlias = Callable[[int], bytes | None]
"""Number of an entry -> the key that it was made with; ``None`` if that is lost."""


class StoredEntry(Protocol):
    """A row of the table."""

    @property
    def seq(self) -> int:
        """Its number: 1, 2, 3..."""

    @property
    def at(self) -> datetime:
        """When it happened, as the row says."""

    @property
    def body(self) -> str:
        """The event, as canonical JSON."""

    @property
    def mac(self) -> str:
        """64 hexadecimal digits."""

    @property
    def columns(self) -> dict[str, object]:
        """What the row repeats of the body, to filter by."""


class BreakKind(enum.StrEnum):
    """What was done to the log, as far as can be told."""

    EDITED = "edited"
    MAC_EDITED = "mac-edited"
    COLUMN_EDITED = "column-edited"
    REMOVED = "removed"
    CUT = "cut"
    REWRITTEN = "rewritten"
    WRONG_KEY = "wrong-key"
    SEGMENT = "segment"


@dataclass(frozen=True, slots=True)
class Break:
    """The first place where the log is not as it was written.

    Args:
        seq: the first entry that is edited or missing; if that cannot be told, the first one that may be.
        through: the last entry that is known to be concerned.
        kind: what was done.
        explanation: the same in a sentence.
        at: of the entry, or of the last good one before it; ``None`` if there is none.
    """

    seq: int
    through: int
    kind: BreakKind
    explanation: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check of the whole log found.

    Args:
        entries: how many were checked and found good, from the first on.
        first: the number of the first entry that is to be there; those before it were taken out by retention.
        last: the last good entry, to be noted as an anchor; ``None`` if there is none.
        anchors: how many anchors were compared.
        broken: the first break; ``None`` if all is well.
        given_up: keys that were given up: the last entry of each, and whether its entries could be checked. Of those
            whose key is lost only numbers and anchors were.
    """

    entries: int
    first: int
    last: Anchor | None
    anchors: int
    broken: Break | None = None
    given_up: tuple[tuple[int, bool], ...] = ()


def entry_mac(key: bytes, previous: str, seq: int, body: str) -> str:
    """The MAC of an entry, as 64 hexadecimal digits.

    Args:
        key: the secret.
        previous: MAC of the entry before it.
        seq: its number.
        body: its text.
    """
    message = _ENTRY + bytes.fromhex(previous) + seq.to_bytes(8, "big") + body.encode()
    return hmac.new(key, message, hashlib.sha256).hexdigest()


def segment_seal(key: bytes, end: Anchor, closed_at: datetime) -> str:
    """The MAC of a segment that retention took out: without the key nobody can pretend that it did."""
    moment = closed_at.astimezone(UTC).isoformat(timespec="microseconds").encode()
    message = _SEGMENT + bytes.fromhex(end.mac) + end.seq.to_bytes(8, "big") + moment
    return hmac.new(key, message, hashlib.sha256).hexdigest()


def check(keys: Keys, start: Anchor, rows: Iterable[StoredEntry], anchors: Sequence[Anchor]) -> Verification:
    """Follow the chain to its end or to its first break; one row at a time is held.

    Args:
        keys: the secrets.
        start: where the chain begins: :data:`START`, or the end of what retention took out.
        rows: the entries after it, in order.
        anchors: in order; those of entries that retention took out are left alone.
    """
    waiting = deque(anchor for anchor in anchors if anchor.seq >= start.seq and anchor != START)
    expected = len(waiting)
    sure = start  # as far as anchors confirm it

    def anchored(entry: Anchor, at: datetime | None) -> Break | None:
        nonlocal sure
        while waiting and waiting[0].seq == entry.seq:
            if waiting.popleft().mac != entry.mac:
                return _rewritten(sure, entry, at)
            sure = entry
        return None

    previous, at, stream = start, None, iter(rows)
    broken = anchored(start, None)
    while broken is None and (row := next(stream, None)) is not None:
        broken = _follow(keys, previous, row, stream, at)
        if broken is None:
            previous, at = Anchor(row.seq, row.mac), row.at
            broken = anchored(previous, at)
    if broken is None and waiting:
        broken = _cut(previous, waiting[-1], at)
    good = sure if broken is not None and broken.kind is BreakKind.REWRITTEN else previous
    last = good if good.seq else None
    return Verification(good.seq - start.seq, start.seq + 1, last, expected - len(waiting), broken)


def _follow(
    keys: Keys, previous: Anchor, row: StoredEntry, rest: Iterator[StoredEntry], at: datetime | None
) -> Break | None:
    """Whether a row is the next one, and as it was written."""
    if row.seq != previous.seq + 1:
        missing = f"entry {previous.seq + 1}" if row.seq == previous.seq + 2 else f"{previous.seq + 1} to {row.seq - 1}"
        words = f"{missing} removed: {'nothing' if at is None else f'entry {previous.seq}'} stands before it"
        return Break(previous.seq + 1, row.seq - 1, BreakKind.REMOVED, words, at)
    key = keys(row.seq)
    if key is None:
        return None
    right = entry_mac(key, previous.mac, row.seq, row.body)
    if row.mac != right:
        return _explain(keys, right, row, next(rest, None), is_first=at is None)
    edited = _edited_columns(row)
    if edited:
        words = f"entry {row.seq}: its text is as it was written, but not its column {', '.join(edited)}"
        return Break(row.seq, row.seq, BreakKind.COLUMN_EDITED, words, row.at)
    return None


def _explain(keys: Keys, right: str, row: StoredEntry, after: StoredEntry | None, *, is_first: bool) -> Break:
    """What was done to an entry whose MAC is wrong: the next one was chained to the right MAC."""
    follows = after is not None and after.seq == row.seq + 1
    if after is not None and follows and _fits(keys, row.mac, after):
        kind, words = BreakKind.EDITED, "its text was changed after it was written; its MAC and the next entry were not"
    elif after is not None and follows and _fits(keys, right, after):
        kind, words = BreakKind.MAC_EDITED, "its MAC was overwritten; its text is as it was written"
    elif after is None:
        kind, words = BreakKind.EDITED, "it is the last one, and its text or its MAC was changed, or it is forged"
    elif is_first:
        kind, words = BreakKind.WRONG_KEY, "nothing fits this key: it is not the one that the log was written with"
    else:
        kind, words = BreakKind.EDITED, "it and what follows were changed or forged by someone without the key"
    return Break(row.seq, row.seq, kind, f"entry {row.seq}: {words}", row.at)


def _fits(keys: Keys, previous: str, row: StoredEntry) -> bool:
    key = keys(row.seq)
    if key is None or _MAC.fullmatch(previous) is None:
        return False
    return entry_mac(key, previous, row.seq, row.body) == row.mac


def _edited_columns(row: StoredEntry) -> list[str]:
    values = json.loads(row.body)  # it has the right MAC, so we wrote it
    wanted: dict[str, object] = {
        "at": datetime.fromisoformat(values["at"]),
        "kind": values["kind"],
        "outcome": values["outcome"],
        "actor": values.get("actor", ""),
        "environment": values.get("environment", ""),
    }
    return [name for name, value in row.columns.items() if wanted[name] != value]


def _cut(previous: Anchor, anchor: Anchor, at: datetime | None) -> Break:
    words = (
        f"the end is cut off: entries {previous.seq + 1} to {anchor.seq} are gone (an anchor names the last of them)"
    )
    if previous.seq + 1 == anchor.seq:
        words = f"the end is cut off: entry {anchor.seq}, which an anchor names, is gone"
    return Break(previous.seq + 1, anchor.seq, BreakKind.CUT, words, at)


def _rewritten(sure: Anchor, entry: Anchor, at: datetime | None) -> Break:
    words = (
        f"entry {entry.seq} is not the one that its anchor names: from some entry after {sure.seq} on, the end was "
        "cut off and new entries were added since, or the log was written anew with its key"
    )
    return Break(sure.seq + 1, entry.seq, BreakKind.REWRITTEN, words, at)
