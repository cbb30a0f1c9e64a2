"""What differs between the attributes of two instances, at all levels."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dicomfab.model.errors import TranscodingFailed
from dicomfab.pixels.elements import named
from dicomfab.services.attribute_reader import Raw, Reader, Scope, opened
from dicomfab.services.attributes import Attribute, described

#: Rows that a comparison gives at most.
ROWS: Final = 2000
#: Elements of each instance that it looks at.
LOOKED_AT: Final = 100_000
_CHUNK: Final = 1 << 20


class Kind(enum.StrEnum):
    """How an attribute stands in the two instances."""

    SAME = "same"
    CHANGED = "changed"
    REMOVED = "removed"  # only in the first
    ADDED = "added"  # only in the second


@dataclass(frozen=True, slots=True)
class Difference:
    """One attribute of the two.

    Args:
        kind: how it stands.
        path: where, as in :mod:`dicomfab.services.attributes`.
        depth: how many sequences are around it.
        a, b: in the first and in the second; ``None`` where it is not. The value of two long ones may look alike,
            since it is cut.
        item: an item that only one of them has; then ``a`` and ``b`` are the sequence.
    """

    kind: Kind
    path: str
    depth: int
    a: Attribute | None
    b: Attribute | None
    item: bool = False

    @property
    def attribute(self) -> Attribute:
        """Of one that has it."""
        found = self.a or self.b
        assert found is not None
        return found

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        sides = {"a": self.a.as_dict() if self.a else None, "b": self.b.as_dict() if self.b else None}
        return {"kind": str(self.kind), "path": self.path, "is_item": self.item, **sides}


@dataclass(slots=True)
class Comparison:
    """What a comparison found.

    Args:
        rows: in the order of tags; a sequence before what is in it.
        counts: attributes by kind; a sequence counts when it is the same as a whole, or when one lacks it.
        is_complete: all was looked at and is in ``rows``.
        problem: why a file could not be read to its end.
    """

    rows: list[Difference] = field(default_factory=list)
    counts: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(Kind, 0))
    is_complete: bool = True
    problem: str = ""

    @property
    def differs(self) -> bool:
        """Whether anything does."""
        return any(number for kind, number in self.counts.items() if kind is not Kind.SAME)

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "differs": self.differs,
            "complete": self.is_complete,
            "problem": self.problem,
            "counts": {str(kind): number for kind, number in self.counts.items()},
            "differences": [row.as_dict() for row in self.rows],
        }


def compare(a: Path, b: Path, *, everything: bool = False) -> Comparison:
    """Compare two instances attribute by attribute; memory does not grow with their size.

    Text is compared as it reads, so that another character set or transfer syntax makes no difference; bytes as they
    are.

    Args:
        a: the first file; the caller has seen to it that both may be looked at.
        b: the second file.
        everything: give what is the same as well.

    Raises:
        NotFound, InvalidInput: one of them is no DICOM file.
    """
    found = Comparison()
    with opened(a) as first, opened(b) as second:
        work = _Work(first, second, found, everything)
        try:
            work.compare(first.meta, second.meta, "", 0)
            work.compare(first.dataset, second.dataset, "", 0)
        except TranscodingFailed as error:
            found.is_complete, found.problem = False, error.what
        except _EnoughError:
            found.is_complete = False
    return found


class _EnoughError(Exception):
    """More than can be looked at."""


@dataclass(slots=True)
class _Work:
    a: Reader
    b: Reader
    found: Comparison
    everything: bool
    looked_at: int = 0

    def compare(self, a: Scope, b: Scope, prefix: str, depth: int) -> None:
        for first, second in _pairs(self.a.elements(a), self.b.elements(b)):
            self.looked_at += 1
            if self.looked_at > LOOKED_AT:
                raise _EnoughError
            if first is None or second is None:
                kind = Kind.ADDED if first is None else Kind.REMOVED
                self._note(self._row(kind, first, second, prefix, depth))
            elif first.is_sequence and second.is_sequence and (self.everything or not self._is_same(first, second)):
                self._compare_items(first, second, prefix, depth)
            else:
                is_same = (first.is_sequence and second.is_sequence) or self._is_same(first, second)
                kind = Kind.SAME if is_same else Kind.CHANGED
                self._note(self._row(kind, first, second, prefix, depth))

    def _compare_items(self, a: Raw, b: Raw, prefix: str, depth: int) -> None:
        place, rows = f"{prefix}{named(a.tag)}", self.found.rows
        before, row = len(rows), self._row(Kind.CHANGED, a, b, prefix, depth)
        counts = dict(self.found.counts)
        rows.append(row)
        scopes = _pairs_of_items(self.a.items(a), self.b.items(b))
        for number, (first, second) in enumerate(scopes):
            path = f"{place}[{number}]"
            if first is None or second is None:
                kind = Kind.ADDED if first is None else Kind.REMOVED
                sides = (row.a if first else None, row.b if second else None)
                self._note(Difference(kind, path, depth + 1, *sides, item=True))
            else:
                self.compare(first, second, f"{path}.", depth + 1)
        if all(self.found.counts[kind] == counts[kind] for kind in Kind if kind is not Kind.SAME):
            if self.everything:
                rows[before] = Difference(Kind.SAME, row.path, row.depth, row.a, row.b)
            else:
                del rows[before:]

    def _row(self, kind: Kind, a: Raw | None, b: Raw | None, prefix: str, depth: int) -> Difference:
        if kind is Kind.SAME and not self.everything:
            return _SAME
        first = None if a is None else described(self.a, a, prefix)
        second = None if b is None else described(self.b, b, prefix)
        tag = (a or b).tag  # type: ignore[union-attr]  # one of them is there
        return Difference(kind, f"{prefix}{named(tag)}", depth, first, second)

    def _note(self, row: Difference) -> None:
        self.found.counts[row.kind] += 1
        if row.kind is Kind.SAME and not self.everything:
            return
        if len(self.found.rows) >= ROWS:
            raise _EnoughError
        self.found.rows.append(row)

    def _is_same(self, a: Raw, b: Raw) -> bool:
        if a.vr == b.vr and a.items == b.items and a.length == b.length and self._has_same_bytes(a, b):
            alike = a.scope.encoding.little == b.scope.encoding.little and a.scope.charsets == b.scope.charsets
            if alike or a.vr in ("OB", "UN"):
                return True
        if (
            {"UN", "SQ"} & {a.vr, b.vr}
            or a.vr.startswith("O")
            or b.vr.startswith("O")
            or max(a.length, b.length) > _CHUNK
        ):
            return False
        texts = [described(r, one, "", _CHUNK).value for r, one in ((self.a, a), (self.b, b))]
        return texts[0] == texts[1]

    def _has_same_bytes(self, a: Raw, b: Raw) -> bool:
        for offset in range(0, a.length, _CHUNK):
            pieces = []
            for reader, raw in ((self.a, a), (self.b, b)):
                reader.source.seek(raw.start + offset)
                pieces.append(reader.source.take(min(_CHUNK, raw.length - offset)))
            if pieces[0] != pieces[1]:
                return False
        return True


_SAME: Final = Difference(Kind.SAME, "", 0, None, None)


def _pairs(a: Iterator[Raw], b: Iterator[Raw]) -> Iterator[tuple[Raw | None, Raw | None]]:
    first, second = next(a, None), next(b, None)
    while first is not None or second is not None:
        if second is None or (first is not None and first.tag < second.tag):
            yield first, None
            first = next(a, None)
        elif first is None or second.tag < first.tag:
            yield None, second
            second = next(b, None)
        else:
            yield first, second
            first, second = next(a, None), next(b, None)


def _pairs_of_items(
    a: Iterator[tuple[int, Scope]], b: Iterator[tuple[int, Scope]]
) -> Iterator[tuple[Scope | None, Scope | None]]:
    while True:
        first, second = next(a, None), next(b, None)
        if first is None and second is None:
            return
        yield first and first[1], second and second[1]
