"""What all lists have in common that are shown a page at a time."""

from __future__ import annotations

from typing import Final

PAGE_SIZE: Final = 25
_MOST_DIGITS: Final = 8


def page_number(text: str) -> int:
    """The page that an address names, from 1; what makes no sense there is the first."""
    is_number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    return max(1, int(text)) if is_number else 1


def page_count(total: int) -> int:
    """How many pages a list of so many has, at least one."""
    return max(1, -(-total // PAGE_SIZE))
