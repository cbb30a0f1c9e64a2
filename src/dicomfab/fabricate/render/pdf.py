"""A small PDF 1.4 document of text (ISO 32000-1, 7.5): A4 pages in Helvetica, nothing compressed, nothing embedded."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

WIDTH_PT, HEIGHT_PT = 595, 842
_MARGIN_PT: Final = 56
_LEADING_PT: Final = 14
_TITLE_PT, _TEXT_PT = 16, 10
_COLUMNS: Final = 88
_LINES: Final = (HEIGHT_PT - 2 * _MARGIN_PT - 40) // _LEADING_PT
_ENCODING: Final = "cp1252"  # WinAnsiEncoding
_PAGES, _REGULAR, _BOLD, _INFO, _FIRST = 2, 3, 4, 5, 6


def can_write(text: str) -> bool:
    """Whether the standard fonts have all letters of a text."""
    try:
        text.encode(_ENCODING)
    except UnicodeEncodeError:
        return False
    return True


def document(title: str, lines: Sequence[str], *, made: str) -> bytes:
    """A document that has its title on every page.

    Args:
        title: of the document.
        lines: of the text; long ones are wrapped. One that begins with ``# `` is a heading.
        made: when, ``YYYYMMDDHHMMSS``.

    Raises:
        UnicodeEncodeError: the fonts have no letter for a character, see :func:`can_write`.
    """
    wrapped = [part for line in lines for part in _wrapped(line)]
    pages = [wrapped[start : start + _LINES] for start in range(0, len(wrapped), _LINES)] or [[]]
    return _file(_objects(title, pages, made))


def _wrapped(line: str) -> list[str]:
    if line.startswith("# "):
        return [line]
    return textwrap.wrap(line, _COLUMNS, subsequent_indent="  ") or [""]


def _objects(title: str, pages: Sequence[Sequence[str]], made: str) -> Iterator[bytes]:
    """The objects in order of their numbers: catalogue, pages, fonts, information, then two for each page."""
    kids = b" ".join(b"%d 0 R" % (_FIRST + 2 * n) for n in range(len(pages)))
    yield b"<< /Type /Catalog /Pages %d 0 R >>" % _PAGES
    yield b"<< /Type /Pages /Kids [%b] /Count %d /MediaBox [0 0 %d %d] >>" % (kids, len(pages), WIDTH_PT, HEIGHT_PT)
    for name in (b"Helvetica", b"Helvetica-Bold"):
        yield b"<< /Type /Font /Subtype /Type1 /BaseFont /%b /Encoding /WinAnsiEncoding >>" % name
    date = f"D:{made}".encode("ascii")
    yield b"<< /Title %b /Producer (DICOM Fabricator) /CreationDate (%b) >>" % (_string(title), date)
    for number, page in enumerate(pages):
        fonts = b"<< /Font << /F1 %d 0 R /F2 %d 0 R >> >>" % (_REGULAR, _BOLD)
        contents = _FIRST + 2 * number + 1
        yield b"<< /Type /Page /Parent %d 0 R /Resources %b /Contents %d 0 R >>" % (_PAGES, fonts, contents)
        drawn = b"\n".join(_drawn(title, page, f"Page {number + 1} of {len(pages)}"))
        yield b"<< /Length %d >>\nstream\n%b\nendstream" % (len(drawn), drawn)


def _drawn(title: str, lines: Iterable[str], foot: str) -> Iterator[bytes]:
    top = HEIGHT_PT - _MARGIN_PT
    yield b"BT"
    yield b"/F2 %d Tf %d TL" % (_TITLE_PT, _LEADING_PT)
    yield b"%d %d Td %b Tj" % (_MARGIN_PT, top, _string(title))
    yield b"0 -%d Td" % (2 * _LEADING_PT)
    for line in lines:
        heading = line.startswith("# ")
        yield b"/F%d %d Tf %b Tj T*" % (2 if heading else 1, _TEXT_PT, _string(line.removeprefix("# ")))
    yield b"ET"
    yield b"BT /F1 8 Tf %d %d Td %b Tj ET" % (_MARGIN_PT, _MARGIN_PT // 2, _string(foot))


def _string(text: str) -> bytes:
    """A literal string (7.3.4.2)."""
    encoded = text.encode(_ENCODING)
    for special in (b"\\", b"(", b")"):
        encoded = encoded.replace(special, b"\\" + special)
    return b"(%b)" % encoded


def _file(objects: Iterable[bytes]) -> bytes:
    """Header, body, cross-reference table and trailer."""
    made = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, one in enumerate(objects, start=1):
        offsets.append(len(made))
        made += b"%d 0 obj\n%b\nendobj\n" % (number, one)
    start = len(made)
    made += b"xref\n0 %d\n0000000000 65535 f \n" % (len(offsets) + 1)
    made += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    made += b"trailer\n<< /Size %d /Root 1 0 R /Info %d 0 R >>\n" % (len(offsets) + 1, _INFO)
    made += b"startxref\n%d\n%%%%EOF\n" % start
    return bytes(made)
