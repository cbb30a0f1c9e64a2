"""Text from outside as it is, with what could not be seen, or would turn other text around, made visible."""

from __future__ import annotations

import unicodedata

# Joiners and marks that scripts need, and that turn nothing around beyond themselves.
_HARMLESS = frozenset("\u200c\u200d\u200e\u200f\u061c\u00ad")
_CONTROL_PICTURES = 0x2400


def plain(text: object, *, lines: bool = False) -> str:
    """Make a text harmless to show; what it becomes is for reading, never for copying.

    Control characters become the symbols that picture them. Embeddings, overrides and isolates of writing direction,
    and other characters without a shape, become their number: ``⟨U+202E⟩``.

    Args:
        text: from anywhere.
        lines: keep ends of lines.
    """
    text = str(text)
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(character, lines) for character in text)


def _shown(character: str, lines: bool) -> str:
    code, category = ord(character), unicodedata.category(character)
    if lines and character == "\n":
        return character
    if code < 0x20:
        return chr(_CONTROL_PICTURES + code)
    if code == 0x7F:
        return "\N{SYMBOL FOR DELETE}"
    if category == "Cs" or code & 0xFFFE == 0xFFFE:
        return "\N{REPLACEMENT CHARACTER}"
    if category in {"Cc", "Cf", "Zl", "Zp"} and character not in _HARMLESS:
        return f"⟨U+{code:04X}⟩"
    return character
