"""The guide in the pages: everything of it, linked as it lies in the repository, and found by its words."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urljoin

import pytest

from dicomfab import web
from dicomfab.web import guide
from tests.unit.web.conftest import Browser

_DOCUMENT = re.compile(r'href="/help/([^"{#]+)')


@pytest.mark.parametrize("path", guide.documents())
def test_every_link_of_a_page_leads_somewhere(browser: Browser, path: str) -> None:
    answer = browser.get(f"/help/{path}")
    assert answer.status_code == 200
    body = re.search(r"<article.*?</article>", answer.text, re.DOTALL)
    assert body is not None
    for target in re.findall(r'(?:href|src)="([^"]+)"', body[0]):
        if target.startswith(("http:", "https:", "#")):
            continue
        address, _, anchor = urljoin(f"/help/{path}", target).partition("#")
        if address.endswith(".md"):
            assert address.removeprefix("/help/") in guide.documents()
            known = guide.document(address.removeprefix("/help/")).html
            assert not anchor or f'id="{anchor}"' in known, target
        else:
            assert guide.picture(address.removeprefix("/help/"))[0].stat().st_size > 0


def test_the_first_page_lists_the_guide(browser: Browser) -> None:
    assert browser.get("/help").headers["location"] == "/help/docs/README.md"
    assert 'href="user-guides/pacs-setup.md"' in browser.get("/help/docs/README.md").text


def test_a_picture_comes_as_one(browser: Browser) -> None:
    answer = browser.get("/help/docs/images/pacs-management.png")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")


@pytest.mark.parametrize(
    "path",
    ["docs/nothing.md", "../pyproject.toml", "%2e%2e/pyproject.toml", "docs/%2e%2e/pyproject.toml", "src/x.md", "docs"],
)
def test_nothing_beside_the_guide_is_shown(browser: Browser, path: str) -> None:
    assert browser.get(f"/help/{path}").status_code == 404


def test_words_are_found_in_the_section_where_they_stand_together(browser: Browser) -> None:
    found = guide.search("move destination unknown")
    assert found
    assert all(
        word in f"{one.section.title} {one.section.heading} {one.section.text}".casefold()
        for one in found
        for word in ("move", "destination", "unknown")
    )
    page = browser.get("/help?q=move+destination+unknown").text
    assert f'href="/help/{found[0].section.document}#{found[0].section.anchor}"' in page


def test_nothing_found_says_so(browser: Browser) -> None:
    assert "The guide does not say it" in browser.get("/help?q=qwertzuiop").text


def test_html_in_a_document_or_a_search_stays_text(browser: Browser) -> None:
    page = browser.get("/help?q=%3Cscript%3Ealert(1)%3C/script%3E").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_pages_lead_to_documents_that_are_there() -> None:
    templates = Path(web.__file__).parent / "templates"
    named = {found for file in templates.rglob("*.html") for found in _DOCUMENT.findall(file.read_text("utf-8"))}
    assert len(named) > 1
    assert named <= set(guide.documents())
