"""The contents of the guide: every page once, in the order of its first page."""

from __future__ import annotations

from dicomfab.web import guide
from dicomfab.web.guide_contents import contents, neighbours
from tests.unit.web.conftest import Browser

PAGES = [page.path for chapter in contents() for page in chapter.pages]


def test_every_page_stands_in_the_contents_once() -> None:
    decisions = {path for path in guide.documents() if path.startswith("docs/adr/") and not path.endswith("README.md")}
    assert sorted(PAGES) == sorted(set(guide.documents()) - decisions - {guide.FIRST})


def test_every_chapter_has_a_title_and_every_page_is_named_as_on_the_first() -> None:
    text = (guide.root() / guide.FIRST).read_text("utf-8")
    for chapter in contents():
        assert f"## {chapter.title}\n" in text
        for page in chapter.pages:
            assert f"[{page.title}](" in text


def test_a_page_has_the_one_before_it_and_the_one_after_it() -> None:
    before, after = neighbours(PAGES[1])
    assert (before and before.path, after and after.path) == (PAGES[0], PAGES[2])
    assert neighbours(guide.FIRST)[0] is None
    assert neighbours(PAGES[-1])[1] is None
    assert neighbours("docs/adr/0001-one-layered-package.md") == (None, None)


def test_a_page_shows_where_it_stands(browser: Browser) -> None:
    page = browser.get("/help/docs/user-guides/tls.md").text
    assert '<a href="/help/docs/user-guides/tls.md" aria-current="page">Secure connections (TLS)</a>' in page
    for _, anchor in guide.document("docs/user-guides/tls.md").headings:
        assert f'<a href="#{anchor}">' in page
