"""What all lists have in common that are shown a page at a time, and how an address names one of their rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Path

PAGE_SIZE: Final = 25
_MOST_DIGITS: Final = 8

#: Of a job, a message, an order and so on: the database counts in 32 bits.
Number = Annotated[int, Path(ge=1, lt=2**31)]


def page_number(text: str) -> int:
    """The page that an address names, from 1; what makes no sense there is the first."""
    is_number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    return max(1, int(text)) if is_number else 1


def page_count(total: int) -> int:
    """How many pages a list of so many has, at least one."""
    return max(1, -(-total // PAGE_SIZE))


@dataclass(frozen=True, slots=True)
class Listing:
    """What a list shows, as the address of its page holds it.

    Args:
        search: words.
        state: only what is in it; empty for all.
        number: of the page, from 1.
    """

    search: str
    state: str
    number: int

    @property
    def parameters(self) -> dict[str, Any]:
        """For an address that shows the same; what is as usual is left out."""
        return {"q": self.search, "state": self.state, "page": "" if self.number == 1 else self.number}
