"""The built site finds words in a browser, from files alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.full
def test_words_are_found_and_lead_to_their_section(tmp_path: Path, page: Page) -> None:
    site = tmp_path / "site"
    subprocess.run([sys.executable, str(ROOT / "tools" / "site.py"), str(site)], check=True, capture_output=True)
    page.goto((site / "docs" / "glossary.html").as_uri())
    page.get_by_role("searchbox").fill("move destination unknown")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator("#how-many")).to_contain_text("places with “move destination unknown”")
    page.locator("#found a").first.click()
    expect(page.locator("article.guide h1")).to_be_visible()
    page.screenshot(path=str(tmp_path / "site.png"))
    expect(
        page.get_by_role("navigation", name="Pages of the guide").get_by_role("link", name="Glossary")
    ).to_be_visible()
