"""The built site: every page and picture is there, leads on, and is found by its words, without a server."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from dicomfab.web import guide
from tests.docs.examples import blocks

ROOT = Path(__file__).resolve().parents[2]
_TARGET = re.compile(r'(?:href|src)="([^"]+)"')


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    subprocess.run([sys.executable, str(ROOT / "tools" / "site.py"), str(folder)], check=True, capture_output=True)
    return folder


def test_every_page_is_there_and_every_link_leads_somewhere(site: Path) -> None:
    for document in guide.documents():
        page = site / Path(document).with_suffix(".html")
        for target in _TARGET.findall(page.read_text("utf-8")):
            address = urlsplit(target)
            if address.scheme:
                continue
            file = (page.parent / unquote(address.path)).resolve() if address.path else page
            assert file.is_relative_to(site.resolve()), target
            assert file.is_file(), f"{document}: {target}"
            if address.fragment and file.suffix == ".html":
                assert f'id="{address.fragment}"' in file.read_text("utf-8"), f"{document}: {target}"


def test_it_names_no_server(site: Path) -> None:
    """Whoever reads it without a network sees the same."""
    loading = re.compile(r'<(?:script|link|img)[^>]*(?:src|href)="(?:https?:)?//')
    for page in site.rglob("*.html"):
        assert not loading.search(page.read_text("utf-8")), page


def test_another_folder_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", "utf-8")
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "site.py"), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "is no site" in done.stderr
    assert (tmp_path / "mine.txt").read_text("utf-8") == "mine"


def test_every_diagram_is_drawn_and_no_other() -> None:
    texts = [block.text for path in guide.documents() for block in blocks(ROOT / path) if block.language == "mermaid"]
    drawn = {path.name for path in (ROOT / guide.DIAGRAMS).iterdir()}
    assert drawn == {guide.diagram(text) for text in texts}, "run: .venv/bin/python tools/diagrams.py"
