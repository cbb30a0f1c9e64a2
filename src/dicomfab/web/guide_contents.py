"""What the guide holds, in the order of its first page: chapters, and the pages in them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from dicomfab.web import guide

_HEADING = re.compile(r"^## (.+)$")
_LINK = re.compile(r"\[([^\]]+)\]\(([^)#]+)\)")  # a link into the middle of a page names no page of its own


@dataclass(frozen=True, slots=True)
class Page:
    """A page, by the name that the contents give it.

    Args:
        path: of the document, such as ``docs/glossary.md``.
    """

    path: str
    title: str


@dataclass(frozen=True, slots=True)
class Chapter:
    """Pages that belong together."""

    title: str
    pages: tuple[Page, ...]


@cache
def contents() -> tuple[Chapter, ...]:
    """The chapters, as the first page lists them; a page stands where it is named first."""
    chapters, pages, known = list[Chapter](), list[Page](), {guide.FIRST}
    title = ""
    for line in (guide.root() / guide.FIRST).read_text(encoding="utf-8").splitlines():
        if heading := _HEADING.match(line):
            chapters.append(Chapter(title, tuple(pages)))
            title, pages = heading[1], []
        for page in _pages(line):
            if page.path not in known:
                known.add(page.path)
                pages.append(page)
    return tuple(one for one in (*chapters, Chapter(title, tuple(pages))) if one.pages)


def neighbours(path: str) -> tuple[Page | None, Page | None]:
    """The page before a page, and the one after it."""
    first = Page(guide.FIRST, "All pages of the guide")
    order = [first, *(page for chapter in contents() for page in chapter.pages)]
    here = next((number for number, page in enumerate(order) if page.path == path), None)
    if here is None:
        return None, None
    return (order[here - 1] if here else None, order[here + 1] if here + 1 < len(order) else None)


def _pages(line: str) -> Iterator[Page]:
    for title, link in _LINK.findall(line):
        path = posixpath.normpath(posixpath.join(posixpath.dirname(guide.FIRST), link))
        if path in guide.documents():
            yield Page(path, title)
