"""Names that fit everywhere."""

from __future__ import annotations

from typing import Final

from dicomfab.fabricate.scripts import SCRIPTS

# The standard counts characters of each component group (PS3.5 6.2.1); some readers count the bytes of all of them,
# and some take a byte of a two-byte character for the backslash that separates values. All are to read a population.
_MOST_BYTES: Final = 64
_BACKSLASH: Final = b"\\"


def fits(name: str, script: str) -> bool:
    """Whether also those who look at bytes instead of characters take a name in the character set of its script."""
    if script not in SCRIPTS:
        return len(name.encode("utf-8")) <= _MOST_BYTES
    from pydicom.charset import convert_encodings
    from pydicom.valuerep import PersonName

    encodings = convert_encodings(SCRIPTS[script].character_set.split("\\"))
    encoded = PersonName(name).encode(encodings)
    return len(encoded) <= _MOST_BYTES and _BACKSLASH not in encoded
