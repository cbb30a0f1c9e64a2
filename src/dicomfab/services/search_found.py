"""Results as they are read again: a match and whose it is."""

from __future__ import annotations

from dataclasses import dataclass

from dicomfab.services.search_match import Match
from dicomfab.storage.searches import StoredAnswer


@dataclass(frozen=True, slots=True)
class Found:
    """A match and whose it is."""

    match: Match
    answer: StoredAnswer


@dataclass(frozen=True, slots=True)
class MergedFound:
    """The same patient, study, series or instance, as each server has it.

    Args:
        found: one for each time that a server named it.
        differs: ``series``, ``instances``: the counts that servers give differently.
    """

    found: tuple[Found, ...]
    differs: tuple[str, ...]

    @property
    def match(self) -> Match:
        """The words of the first server."""
        return self.found[0].match
