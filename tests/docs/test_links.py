"""Every relative link and picture in every document leads somewhere, and every anchor exists."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = {".venv", ".git", "node_modules", "build", "dist", "test-results"}
CONTRACT = "docs/user-guides/pacs-setup.md"

FENCE = re.compile(r"^(`{3,}|~{3,}).*?^\1[`~]*[ \t]*$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")
INLINE = re.compile(r"\]\(\s*(?:<([^>]*)>|([^\s()]*(?:\([^\s()]*\)[^\s()]*)*))(?:\s+[\"'][^\"']*[\"'])?\s*\)")
REFERENCE = re.compile(r"^ {0,3}\[[^\]^]+\]:\s*<?([^\s>]+)>?", re.MULTILINE)
HTML = re.compile(r"<(?:a|img|source)\b[^>]*?\b(?:href|src|srcset)\s*=\s*[\"']([^\"']*)[\"']", re.IGNORECASE)
HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.*?)[ \t]*#*[ \t]*$", re.MULTILINE)
HTML_ANCHOR = re.compile(r"<[^>]+\b(?:id|name)\s*=\s*[\"']([^\"']+)[\"']", re.IGNORECASE)
ELSEWHERE = re.compile(r"^(?:[a-z][a-z0-9+.-]*:|//)", re.IGNORECASE)


def documents() -> Iterator[Path]:
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(f for f in folders if f not in NOT_OURS and not f.endswith("_cache"))
        yield from (Path(folder, name) for name in sorted(names) if name.endswith(".md"))


def prose(text: str) -> str:
    return FENCE.sub("", text)


def links(text: str) -> list[str]:
    text = CODE.sub("", prose(text))
    inline = [angled or plain for angled, plain in INLINE.findall(text)]
    return [*inline, *REFERENCE.findall(text), *HTML.findall(text)]


def slug(heading: str) -> str:
    """The anchor that code hosts give a heading: lower case, no punctuation, hyphens for spaces."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    kept = (c for c in text.strip().lower() if c in " -_" or unicodedata.category(c)[0] in "LNM")
    return "".join(kept).replace(" ", "-")


def anchors(text: str) -> set[str]:
    found: set[str] = set()
    count: dict[str, int] = {}
    for heading in HEADING.findall(prose(text)):
        name = slug(heading)
        number = count.get(name, 0)
        count[name] = number + 1
        found.add(f"{name}-{number}" if number else name)
    return found | set(HTML_ANCHOR.findall(text))


def problem(document: Path, link: str) -> str | None:
    """What is wrong with a link, if anything."""
    if ELSEWHERE.match(link):
        return None
    path, _, anchor = link.partition("#")
    target = document if not path else Path(os.path.normpath(document.parent / unquote(path)))
    if path.startswith("/") or not target.is_relative_to(ROOT):
        return f"{link}: does not stay inside the repository"
    if not target.exists():
        return f"{link}: there is no such file"
    if anchor and target.suffix == ".md" and unquote(anchor) not in anchors(target.read_text("utf-8")):
        return f"{link}: {target.name} has no such heading"
    return None


DOCUMENTS = sorted(str(path.relative_to(ROOT)) for path in documents())


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_resolve(name: str) -> None:
    document = ROOT / name
    problems = [found for link in links(document.read_text("utf-8")) if (found := problem(document, link))]
    assert not problems, "\n".join([f"{name}:", *problems])


def test_the_contract_page_and_the_index_are_among_them() -> None:
    assert {CONTRACT, "docs/README.md", "README.md", "CHANGELOG.md"} <= set(DOCUMENTS)


def test_the_contract_page_links_to_all_its_companions() -> None:
    linked = {Path(os.path.normpath(Path(CONTRACT).parent / link)) for link in links((ROOT / CONTRACT).read_text())}
    companions = (
        "getting-started/installation.md",
        "glossary.md",
        "troubleshooting/cmove-troubleshooting.md",
        "troubleshooting/common-issues.md",
        "user-guides/authentication.md",
        "user-guides/web-interface.md",
    )
    assert {Path("docs", name) for name in companions} <= linked


def test_every_page_below_docs_is_reached_from_the_index() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "docs" / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md" or not page.is_file():
            continue
        reached.add(page)
        here = links(page.read_text("utf-8"))
        waiting += [
            Path(os.path.normpath(page.parent / unquote(link.partition("#")[0])))
            for link in here
            if not ELSEWHERE.match(link) and link.partition("#")[0]
        ]
    missed = [name for name in DOCUMENTS if name.startswith("docs/") and ROOT / name not in reached]
    assert not missed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[a](b.md) and ![c](d.png "title")', ["b.md", "d.png"]),
        ("[a](<b c.md>)", ["b c.md"]),
        ("[ref]: other.md", ["other.md"]),
        ('<img src="x.png" alt="">', ["x.png"]),
        ("`[a](b.md)`", []),
        ("```\n[a](b.md)\n```\n[c](d.md)", ["d.md"]),
        ("[![a](p.png)](b.md)", ["p.png", "b.md"]),
    ],
)
def test_links_are_found(text: str, expected: list[str]) -> None:
    assert links(text) == expected


def test_wrong_links_are_found() -> None:
    document = ROOT / "docs" / "README.md"
    for wrong in ("nowhere.md", "glossary.md#nothing", "#nothing", "../../outside.md", "/glossary.md"):
        assert problem(document, wrong), wrong
    for right in ("glossary.md", "glossary.md#ae-title", "#documents", "https://example.com/x", "adr"):
        assert problem(document, right) is None, right


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("C-MOVE Routing (Advanced)", "c-move-routing-advanced"),
        ("A702: unable to perform", "a702-unable-to-perform"),
        ("`make run`", "make-run"),
        ("SCP and SCU", "scp-and-scu"),
    ],
)
def test_anchors_are_those_of_code_hosts(heading: str, anchor: str) -> None:
    assert slug(heading) == anchor


def test_repeated_headings_are_numbered() -> None:
    assert anchors("# A\n## B\n## B\n```\n# not one\n```\n") == {"a", "b", "b-1"}
