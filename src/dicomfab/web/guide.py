"""The guide as it lies in the repository's ``docs``, made into pages, and searched."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

from dicomfab.model.errors import NotFound

FIRST = "docs/README.md"
DIAGRAMS = "docs/images/diagrams"
_MOST_FOUND = 40
_AROUND = 90
#: Found, but after what people look for who use it.
_FOR_DEVELOPERS = ("docs/adr", "docs/architecture", "docs/development")
_PICTURES = {".png": "image/png", ".gif": "image/gif", ".svg": "image/svg+xml", ".json": "application/json"}
_ELSEWHERE = re.compile(r"^(?:[a-z][a-z0-9+.-]*:|//)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with what stands below it.

    Args:
        document: path of the document, such as ``docs/glossary.md``.
        title: of the document.
        heading: of the section; the title again for what stands before the first.
        anchor: of the heading on the page; empty for the title.
        text: without marks.
    """

    document: str
    title: str
    heading: str
    anchor: str
    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """A section in which all words occur, and the piece of it around the first of them."""

    section: Section
    before: str
    match: str
    after: str


@dataclass(frozen=True, slots=True)
class Document:
    """A page of the guide.

    Args:
        headings: of its sections, with their anchors.
    """

    path: str
    title: str
    html: str
    headings: tuple[tuple[str, str], ...]


@cache
def root() -> Path:
    """The folder that holds ``docs``: inside an installed package, or the repository's own."""
    package = Path(__file__).parents[1]
    inside = package / "guide"
    return inside if inside.is_dir() else package.parents[1]


@cache
def documents() -> tuple[str, ...]:
    """Paths of all documents, the first page first."""
    found = [path.relative_to(root()).as_posix() for path in (root() / "docs").rglob("*.md")]
    found += [name for name in ("CHANGELOG.md", "CONTRIBUTING.md") if (root() / name).is_file()]
    return tuple(sorted(found, key=lambda path: (path != FIRST, path)))


def document(path: str) -> Document:
    """One page.

    Raises:
        NotFound: there is no such document.
    """
    if path not in documents():
        raise NotFound(
            "the guide has no such page.", cause="the address is mistyped or outdated", remedy="search the guide"
        )
    return _document(path)


def picture(path: str) -> tuple[Path, str]:
    """A picture or another file that documents show, and its media type.

    Raises:
        NotFound: there is none.
    """
    file = (root() / path).resolve()
    media_type = _PICTURES.get(file.suffix)
    if media_type is None or not file.is_relative_to((root() / "docs").resolve()) or not file.is_file():
        raise NotFound("the guide has no such picture.", cause="the address is mistyped", remedy="go to the guide")
    return file, media_type


def search(text: str) -> list[Found]:
    """Sections in which every word occurs; those with the words in a heading first."""
    words = [word for word in text.casefold().split() if word]
    if not words:
        return []
    hits = []
    for section in sections():
        heading, everything = f"{section.title} {section.heading}".casefold(), section.text.casefold()
        if all(word in heading or word in everything for word in words):
            hits.append((-sum(_place(word, heading, whole=True) is not None for word in words), section))
    hits.sort(key=lambda hit: (hit[0], hit[1].document.startswith(_FOR_DEVELOPERS)))
    return [_found(section, words) for _, section in hits[:_MOST_FOUND]]


def slug(heading: str) -> str:
    """The anchor of a heading, as code hosts make it."""
    kept = "".join(c for c in heading.lower() if unicodedata.category(c)[0] in "LN" or c in " -_")
    return kept.replace(" ", "-")


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("fence", _fence)
    scrolled = '<div class="scroll-x" role="group" tabindex="0" aria-label="Table">'  # also by keyboard
    parser.add_render_rule("table_open", lambda *_: f'{scrolled}<table class="table">\n')
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    return parser


def diagram(text: str) -> str:
    """The file name of the picture that was drawn of a diagram's text."""
    return f"{sha256(text.encode()).hexdigest()[:16]}.svg"


def _fence(self: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    del self, options
    code = tokens[index].content
    if tokens[index].info == "mermaid" and (root() / DIAGRAMS / diagram(code)).is_file():
        picture = posixpath.relpath(f"{DIAGRAMS}/{diagram(code)}", posixpath.dirname(env["path"]) or ".")
        return (
            f'<p class="diagram"><img src="{picture}" alt="{escape(_in_words(code), quote=True)}" loading="lazy"></p>\n'
        )
    button = '<i class="bi bi-copy" aria-hidden="true"></i>'
    label = 'class="copy" aria-label="Copy" title="Copy"'
    return (
        f'<div class="code-block"><pre tabindex="0"><code>{escape(code)}</code></pre>'
        f'<button type="button" {label} data-copy="{escape(code.rstrip(), quote=True)}">{button}</button></div>\n'
    )


def _in_words(code: str) -> str:
    """The text of a diagram, for those who cannot see it."""
    return "Diagram: " + " ".join(code.split())


@cache
def _document(path: str) -> Document:
    tokens = _parser().parse((root() / path).read_text(encoding="utf-8"))
    title, headings = "", list[tuple[str, str]]()
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "heading_open" and following is not None:
            text = _plain(following)
            title = title or text
            token.attrSet("id", slug(text))
            if token.tag == "h2":
                headings.append((text, slug(text)))
        for child in token.children or ():
            _mend_link(path, child)
    html = _parser().renderer.render(tokens, _parser().options, {"path": path})
    return Document(path, title or path, html, tuple(headings))


def _mend_link(path: str, token: Token) -> None:
    """A link to what the guide does not hold leads nowhere; it stays as text."""
    name = {"link_open": "href", "image": "src"}.get(token.type)
    target = str(token.attrGet(name)) if name else ""
    if token.type == "image":
        token.attrSet("loading", "lazy")
    if not target or target.startswith("#") or _ELSEWHERE.match(target):
        return
    file = posixpath.normpath(posixpath.join(posixpath.dirname(path), unquote(urlsplit(target).path)))
    if token.type == "link_open" and file not in documents() and Path(file).suffix not in _PICTURES:
        del token.attrs["href"]


def _plain(token: Token) -> str:
    words = {"text", "code_inline"}
    return "".join(
        child.content if child.type in words else " "
        for child in token.children or ()
        if child.type in words | {"softbreak", "hardbreak"}
    )


@cache
def sections() -> tuple[Section, ...]:
    """Every section of every page."""
    return tuple(section for path in documents() for section in _split(path))


def _split(path: str) -> Iterator[Section]:
    tokens = _parser().parse((root() / path).read_text(encoding="utf-8"))
    title, heading, anchor, texts = "", "", "", list[str]()
    for token, before in zip(tokens, [None, *tokens[:-1]], strict=True):
        if before is not None and before.type == "heading_open":
            if texts:
                yield Section(path, title, heading, anchor, " ".join(texts))
            text = _plain(token)
            anchor = slug(text) if title else ""
            title, heading, texts = title or text, text, []
        elif token.type == "inline":
            texts.append(_plain(token))
        elif token.type in ("fence", "code_block") and token.info != "mermaid":
            texts.append(token.content)
    if texts:
        yield Section(path, title, heading, anchor, " ".join(texts))


def _place(word: str, text: str, *, whole: bool = False) -> int | None:
    """Where a word is; ``whole`` where it begins a word of the text."""
    found = re.search((r"\b" if whole else "") + re.escape(word), text)
    return found.start() if found else None


def _found(section: Section, words: Sequence[str]) -> Found:
    text = " ".join(section.text.split())
    low = text.casefold()
    found = (_place(word, low, whole=True) or _place(word, low) for word in words)
    first = min((place for place in found if place is not None), default=0)
    length = next((len(word) for word in words if text.casefold().startswith(word, first)), 0)
    before, after = text[max(0, first - _AROUND) : first], text[first + length : first + length + _AROUND]
    return Found(section, before, text[first : first + length], after)
