"""Which defects cannot be together: the one would undo the other, or nobody could tell that both are there."""

from __future__ import annotations

from functools import cache
from itertools import combinations, product
from typing import Final

from dicomfab.model.errors import InvalidInput

_NAMES: Final = ("name-with-html", "name-with-control-characters")
_RENAMED: Final = ("uid-too-long", "uid-leading-zero")
_SHARED: Final = ("duplicate-sop-uid", "uid-in-two-series")
#: Pairs that one study cannot have.
_IN_STUDY: Final = frozenset({_NAMES, *product(_NAMES, ("patient-mismatch",))})
#: What is wrong at the end of the data set, so that nothing of it may be cut off.
_AT_END: Final = (
    "private-without-creator", "private-64k", "deep-nesting", "trailing-padding", "pixels-truncated", "rows-wrong",
    "unknown-vr", "undefined-length",
)  # fmt: skip
#: Pairs that one instance cannot have; nor may it have the one, and lend its UID to the other.
_IN_INSTANCE: Final = frozenset(
    (
        *combinations((*_SHARED, *_RENAMED), 2),
        *combinations(("character-set-missing", "character-set-wrong", "character-set-unknown"), 2),
        *product(("empty-type-1",), ("patient-mismatch", *_SHARED)),
        *product(("mismatched-meta-uid",), _RENAMED),
        *product(("meta-missing",), ("syntax-mismatch", "mismatched-meta-uid", "group-length-wrong")),
        ("meta-missing", "preamble-missing"),
        ("pixels-truncated", "rows-wrong"),
        *product(("file-cut-short",), _AT_END),
    )
)


@cache
def apart(name: str) -> frozenset[str]:
    """The defects that an instance with this one cannot have."""
    pairs = (set(pair) for pair in _IN_INSTANCE if name in pair)
    return frozenset(other for pair in pairs for other in pair if other != name)


def check_study(names: tuple[str, ...]) -> None:
    """Refuse defects of which a study can have only one.

    Raises:
        InvalidInput: naming both.
    """
    for one, other in combinations(names, 2):
        if (one, other) in _IN_STUDY or (other, one) in _IN_STUDY:
            raise not_together(one, other, "they change the same name")


def not_together(one: str, other: str, cause: str) -> InvalidInput:
    """Two defects that a study was to have."""
    return InvalidInput(
        f"defects: {one} and {other} cannot be together in this study",
        field="defects",
        value=f"{one}, {other}",
        cause=cause,
        remedy="leave one of them out, add instances that can carry it, or make two studies",
    )
