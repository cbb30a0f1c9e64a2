"""Build the documents as a site that needs no server: python tools/site.py FOLDER.

It is the Help of the web interface, made by the same code, with addresses that work from a folder.
"""

from __future__ import annotations

import json
import posixpath
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, select_autoescape

import dicomfab
from dicomfab import web
from dicomfab.web import guide
from dicomfab.web.guide import Document
from dicomfab.web.guide_contents import Chapter, Page, contents, neighbours

PACKAGE = Path(web.__file__).parent
HERE = Path(__file__).with_suffix("")
SEARCH = Document(
    "search.md", "Search", '<h1>Search</h1><p id="how-many"></p><ol id="found" class="found-list"></ol>', ()
)
_LINK = re.compile(r'(href="(?![a-z][a-z0-9+.-]*:)[^"#]*)\.md(?=[#"])')


def build(folder: Path) -> int:
    """Write the site into a folder, which is made anew.

    Returns:
        The number of pages.

    Raises:
        SystemExit: the folder holds something else.
    """
    if folder.exists() and not (folder / "sections.js").exists():
        raise SystemExit(f"{folder} is there and is no site: name another folder, or delete it")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(PACKAGE / "static", folder / "static")
    shutil.copytree(guide.root() / "docs", folder / "docs", ignore=shutil.ignore_patterns("*.md"))
    shutil.copy(HERE / "search.js", folder)
    (folder / "sections.js").write_text(f"const SECTIONS = {json.dumps(list(_sections()))};\n", "utf-8")
    pages = [guide.document(path) for path in guide.documents()]
    for document in [*pages, SEARCH]:
        target = folder / _address(document.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_page(document), "utf-8")
    first = _address(guide.FIRST)
    (folder / "index.html").write_text(
        f'<!doctype html><meta http-equiv="refresh" content="0; url={first}">\n', "utf-8"
    )
    return len(pages)


def _page(document: Document) -> str:
    found = Environment(
        loader=FileSystemLoader([HERE, PACKAGE / "templates"]), autoescape=select_autoescape(), trim_blocks=True
    ).get_template("page.html")
    before, after = (page and _named(page) for page in neighbours(document.path))
    html = _LINK.sub(r"\1.html", document.html)
    return found.render(
        document=replace(document, path=_address(document.path), html=html),
        contents=[Chapter(one.title, tuple(map(_named, one.pages))) for one in contents()],
        before=before,
        after=after,
        first=_address(guide.FIRST),
        where="../" * document.path.count("/"),
        searches=document is SEARCH,
        version=dicomfab.__version__,
    )


def _sections() -> Iterator[tuple[str, str, str, str]]:
    for one in guide.sections():
        anchor = f"#{one.anchor}" if one.anchor else ""
        yield _address(one.document) + anchor, one.title, one.heading, " ".join(one.text.split())


def _named(page: Page) -> Page:
    return replace(page, path=_address(page.path))


def _address(path: str) -> str:
    return posixpath.splitext(path)[0] + ".html"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(f"{build(Path(sys.argv[1]))} pages in {sys.argv[1]}")
