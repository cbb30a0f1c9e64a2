"""Encapsulated documents: PDF, CDA and other XML, models (PS3.3 A.45)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dicomfab.model.errors import InvalidInput, NotFound, TranscodingFailed
from dicomfab.services.attribute_reader import Raw, opened
from dicomfab.services.readable.blocks import Block, Document, Passage, facts
from dicomfab.services.readable.source import Item, Source

_DOCUMENT, _LENGTH, _TITLE, _MEDIA_TYPE = 0x00420011, 0x00420015, 0x00420010, 0x00420012
_TEXT_BYTES: Final = 256 << 10
_CHUNK: Final = 256 << 10
_PDF: Final = "application/pdf"
_ANYTHING: Final = "application/octet-stream"
_XML: Final = ("text/xml", "application/xml", "text/plain")
#: What is sent as what it says that it is; browsers run nothing of these.
_HARMLESS: Final = frozenset({_PDF, "model/stl", "model/obj", "model/mtl", "application/sla"})
_ENDINGS: Final = {_PDF: "pdf", "text/plain": "txt", "model/stl": "stl", "model/obj": "obj", "model/mtl": "mtl"}


@dataclass(frozen=True, slots=True)
class Held:
    """A document within a file.

    Args:
        media_type: as it is sent.
        size_bytes: of it.
        ending: of a file that it is saved as.
    """

    media_type: str
    size_bytes: int
    ending: str


def blocks(whole: Item) -> Iterator[Block]:
    """A document: what it is, and its text where it is XML."""
    raw = whole.raw(_DOCUMENT)
    yield from facts(
        "",
        ("Title", whole.text(_TITLE)),
        ("Concept", whole.code(0x0040A043)),
        ("Media type", whole.text(_MEDIA_TYPE, characters=64)),
        ("Date", whole.text(0x00080023, characters=16)),
    )
    if raw is None or raw.items is not None or not raw.length:
        return
    held = _held(whole, raw)
    yield Document(whole.text(_TITLE, characters=200), held.media_type, held.size_bytes, held.media_type == _PDF)
    if held.media_type == "text/plain":
        data = whole.data(_DOCUMENT, min(held.size_bytes, _TEXT_BYTES))
        yield Passage("Text of the document", _decoded(data), held.size_bytes > len(data))


def document_of(path: Path) -> Held:
    """What document an instance holds.

    Raises:
        NotFound: it holds none, or cannot be read.
    """
    try:
        with opened(path) as reader:
            whole = Source(reader).whole()
            return _held(whole, _there(whole.raw(_DOCUMENT)))
    except (InvalidInput, TranscodingFailed) as error:
        raise _none(error.what) from error


def chunks(path: Path) -> Iterator[bytes]:
    """The bytes of the document of an instance, a piece at a time.

    Raises:
        NotFound: it is gone.
    """
    try:
        with opened(path) as reader:
            whole = Source(reader).whole()
            raw = _there(whole.raw(_DOCUMENT))
            left = _held(whole, raw).size_bytes
            reader.source.seek(raw.start)
            while left > 0:
                yield reader.source.take(min(left, _CHUNK))
                left -= _CHUNK
    except (InvalidInput, TranscodingFailed) as error:
        raise _none(error.what) from error


def _there(raw: Raw | None) -> Raw:
    if raw is None or raw.items is not None or not raw.length:
        raise _none("the attribute EncapsulatedDocument is missing or empty")
    return raw


def _held(whole: Item, raw: Raw) -> Held:
    stated = whole.number(_LENGTH, -1.0)
    size = int(stated) if raw.length - 1 <= stated <= raw.length else raw.length
    said = whole.text(_MEDIA_TYPE, characters=64).lower()
    starts = whole.data(_DOCUMENT, 1024)
    if said == _PDF and b"%PDF-" not in starts:
        said = _ANYTHING  # else a browser would be told to show what it is not
    elif said in _XML or said.endswith("+xml"):
        said = "text/plain"  # as a page of ours it could run scripts
    elif said not in _HARMLESS:
        said = _ANYTHING
    return Held(said, size, _ENDINGS.get(said, "bin"))


def _decoded(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace").rstrip("\0 ")
    head = data[:100].lower()
    latin = b"iso-8859-1" in head or b"windows-1252" in head
    return data.decode("latin-1" if latin else "utf-8", "replace").rstrip("\0 ").replace("\r\n", "\n")


def _none(why: str) -> NotFound:
    return NotFound("there is no document in this instance.", cause=why)
