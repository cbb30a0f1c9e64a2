"""What two servers say of their studies, side by side: what only one of them has, and what differs.

Nothing is asked here. What a server does not say is unknown (``None``), which is neither 0 nor a difference.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from dicomfab.services.search_match import Match

#: The attributes of a study that are compared, as keywords.
ATTRIBUTES: Final = ("PatientID", "PatientName", "AccessionNumber", "StudyDate", "ModalitiesInStudy")
#: Values that are compared and then forgotten: what differs is kept in the ledger, where no patient is named.
UNTOLD: Final = frozenset({"PatientName"})
# An optional key (PS3.4 C.6.2.1.2): a server that does not support it may return it empty, which no study is.
_NEVER_EMPTY: Final = frozenset({"ModalitiesInStudy"})


class Entry(NamedTuple):
    """A study as one server lists it.

    Args:
        series: in the study, as the server counts them; ``None`` if it does not say.
        instances: in the study, likewise.
        attributes: the values of :data:`ATTRIBUTES`, in their order; ``None`` for what it does not return.
    """

    series: int | None
    instances: int | None
    attributes: tuple[str | None, ...]

    def value(self, keyword: str) -> str | None:
        """One of the attributes."""
        return self.attributes[ATTRIBUTES.index(keyword)]


class Counts(enum.Enum):
    """What the counts of a study at two servers say."""

    SAME = "same"
    DIFFER = "differ"
    UNKNOWN = "unknown"  # one of them does not say how many instances it has


def entry_of(match: Match) -> Entry:
    """A study of a listing, its values without what is padding or order only."""
    return Entry(match.series, match.instances, tuple(_plain(name, match.values.get(name)) for name in ATTRIBUTES))


def merged(one: Entry, other: Entry) -> Entry:
    """A study that a server lists twice: what it says twice in the same way, and nothing else."""
    return Entry(
        one.series if one.series == other.series else None,
        one.instances if one.instances == other.instances else None,
        tuple(x if x == y else None for x, y in zip(one.attributes, other.attributes, strict=True)),
    )


def only_in(here: Mapping[str, object], there: Mapping[str, object]) -> list[str]:
    """What is here and not there, in the order in which it is here."""
    return [key for key in here if key not in there]


def differing(one: Entry, other: Entry) -> tuple[str, ...]:
    """The keywords whose values both servers return, and not the same."""
    pairs = zip(ATTRIBUTES, one.attributes, other.attributes, strict=True)
    return tuple(name for name, x, y in pairs if x is not None and y is not None and x != y)


def counts_of(one: Entry, other: Entry) -> Counts:
    """Whether both servers count the same; how many series there are does not matter where the instances agree."""
    pairs = (one.series, other.series), (one.instances, other.instances)
    if any(x is not None and y is not None and x != y for x, y in pairs):
        return Counts.DIFFER
    return Counts.UNKNOWN if None in pairs[1] else Counts.SAME


def series_to_list(one: Mapping[str, int | None], other: Mapping[str, int | None], *, every: bool) -> list[str]:
    """The series of a study whose instances have to be listed to know what differs.

    Args:
        one: Series Instance UID -> instances, ``None`` if that is not known.
        other: the same at the other server.
        every: also those whose counts agree.
    """
    return [
        key
        for key in dict.fromkeys((*one, *other))
        if every or key not in one or key not in other or one[key] is None or one[key] != other[key]
    ]


def missing(here: Mapping[str, str], there: Mapping[str, str]) -> dict[str, list[str]]:
    """The instances that are here and not there, by series.

    Args:
        here: SOP Instance UID -> Series Instance UID.
        there: the same at the other server; an instance that is in another series there is not missing.
    """
    found: dict[str, list[str]] = {}
    for key in only_in(here, there):
        found.setdefault(here[key], []).append(key)
    return found


def silent_on(entries: Iterable[Entry]) -> tuple[str, ...]:
    """The keywords that a server returns of no study, so that they could not be compared."""
    never = set(ATTRIBUTES)
    is_empty = True
    for entry in entries:
        is_empty = False
        never -= {name for name, value in zip(ATTRIBUTES, entry.attributes, strict=True) if value is not None}
        if not never:
            break
    return () if is_empty else tuple(name for name in ATTRIBUTES if name in never)


def _plain(keyword: str, value: str | None) -> str | None:
    if value is None:
        return None
    if keyword == "PatientName":
        # Trailing delimiters and component groups say nothing (PS3.5 6.2.1).
        groups = [group.rstrip("^ ") for group in value.strip().split("=")]
        return "=".join(groups).rstrip("=")
    if keyword == "ModalitiesInStudy":
        return "\\".join(sorted({part.strip() for part in value.split("\\")} - {""})) or None
    return value.strip() or (None if keyword in _NEVER_EMPTY else "")
