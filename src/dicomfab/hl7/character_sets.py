"""Character sets of messages: MSH-18 (HL7 table 0211) to codecs, and to SpecificCharacterSet (0008,0005)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

# MSH-18 -> (Python's codec, DICOM's defined term).
_SETS: Final = {
    "ASCII": ("ascii", ""),
    "8859/1": ("iso-8859-1", "ISO_IR 100"),
    "8859/2": ("iso-8859-2", "ISO_IR 101"),
    "8859/3": ("iso-8859-3", "ISO_IR 109"),
    "8859/4": ("iso-8859-4", "ISO_IR 110"),
    "8859/5": ("iso-8859-5", "ISO_IR 144"),
    "8859/6": ("iso-8859-6", "ISO_IR 127"),
    "8859/7": ("iso-8859-7", "ISO_IR 126"),
    "8859/8": ("iso-8859-8", "ISO_IR 138"),
    "8859/9": ("iso-8859-9", "ISO_IR 148"),
    "8859/15": ("iso-8859-15", "ISO_IR 203"),
    "ISO IR6": ("ascii", ""),
    "ISO IR14": ("shift_jis", "ISO_IR 13"),
    "ISO IR87": ("iso2022_jp_2", "ISO 2022 IR 87"),
    "ISO IR159": ("iso2022_jp_2", "ISO 2022 IR 159"),
    "KS X 1001": ("euc_kr", "ISO 2022 IR 149"),
    "BIG-5": ("big5", "ISO_IR 192"),
    "GB 18030-2000": ("gb18030", "GB18030"),
    "UNICODE UTF-8": ("utf-8", "ISO_IR 192"),
    "UNICODE": ("utf-8", "ISO_IR 192"),
}
_GUESSED: Final = ": read as Latin-1, names may be wrong"
_BOM: Final = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def term(named: str) -> tuple[str, str]:
    """DICOM's term for an MSH-18, its first repetition that is known, and a note if there is none."""
    for one in _names(named):
        if one in _SETS:
            return _SETS[one][1], ""
    return "", f"{named!r} is no character set that is known here" if _names(named) else ""


def decoded(data: bytes) -> tuple[str, tuple[str, ...]]:
    """A message as text, and notes.

    What MSH-18 says goes first. If the bytes are not of that set, UTF-8 is tried, then Latin-1, which takes any byte.
    """
    for mark, codec in _BOM:
        if data.startswith(mark):
            try:
                return data.decode(codec), ()
            except UnicodeDecodeError:
                break
    named = _named(data)
    tried = [codec for codec in (_codec(named), "utf-8") if codec]
    for place, codec in enumerate(tried):
        try:
            text = data.decode(codec)
        except UnicodeDecodeError:
            continue
        if place or (not named and not data.isascii()):
            said = f"MSH-18 says {named!r}" if named else "MSH-18 names no character set"
            return text, (f"{said}: read as {codec.upper()}",)
        return text, ()
    said = f"MSH-18 says {named!r}, which the bytes are not" if named else "MSH-18 names no character set"
    return data.decode("iso-8859-1"), (f"{said}{_GUESSED}",)


def is_guessed(notes: Sequence[str]) -> bool:
    """Whether the notes of :func:`decoded` say that no character set fits the bytes."""
    return any(note.endswith(_GUESSED) for note in notes)


def codec_of(named: str) -> str:
    """Python's codec for an MSH-18; empty if none of its repetitions is known."""
    return _codec(named)


def _names(named: str) -> list[str]:
    return [one.strip().upper() for one in named.split("~") if one.strip()]


def _codec(named: str) -> str:
    """The codec for all repetitions together: with one that is switched to by escapes, that one."""
    codecs = [_SETS[one][0] for one in _names(named) if one in _SETS]
    escaped = [codec for codec in codecs if codec.startswith("iso2022")]
    return (escaped or codecs or [""])[0]


def _named(data: bytes) -> str:
    start = data.find(b"MSH")
    line = re.split(rb"[\r\n]", data[max(start, 0) :], maxsplit=1)[0].decode("iso-8859-1")
    fields = line.split(line[3:4]) if len(line) > 3 else []
    return fields[17] if len(fields) > 17 else ""
