"""Tables in Markdown, and what identifiers are called."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from pydicom.datadict import dictionary_description, tag_for_keyword
from pydicom.uid import UID_dictionary

#: Names that are newer than pydicom's dictionary.
_LATER: Final = {"1.2.840.10008.5.1.4.1.1.66.7": "Label Map Segmentation Storage"}
_ARGUMENTS: Final = re.compile(r"^ *Args:\n(.*?)(?:^ *Raises:|\Z)", re.MULTILINE | re.DOTALL)
_ARGUMENT: Final = re.compile(r"^ {4}([a-z_]+): (.*?)(?=^ {4}[a-z_]+: |^ *$|\Z)", re.MULTILINE | re.DOTALL)


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; cells are text already."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def name_of(uid: str) -> str:
    """What the standard calls a UID, without what is not its name."""
    name = UID_dictionary[uid][0] if uid in UID_dictionary else _LATER[uid]
    return re.sub(r" SOP Class$| \(Retired\)$", "", name.partition(":")[0].strip())


def tag_of(tag: int | str) -> str:
    """``(0010,0020)``, of a tag or keyword."""
    number = tag_for_keyword(tag) if isinstance(tag, str) else tag
    assert number is not None, tag
    return f"({number >> 16:04X},{number & 0xFFFF:04X})"


def attribute(tag: int | str) -> str:
    """``Patient ID (0010,0020)``."""
    number = tag_for_keyword(tag) if isinstance(tag, str) else tag
    assert number is not None, tag
    return f"{dictionary_description(number)} {tag_of(number)}"


def settings(kind: type[Any], names: Sequence[str]) -> list[tuple[str, str, str]]:
    """Fields of a class: name, value if nothing is said, and what its docstring says of it.

    Args:
        kind: a dataclass whose docstring has all of them below ``Args``.
        names: which of them.
    """
    found = _ARGUMENTS.search(inspect.cleandoc(kind.__doc__ or ""))
    assert found is not None, kind
    told = {name: " ".join(text.split()) for name, text in _ARGUMENT.findall(found[1] + "\n")}
    given = {one.name: one.default for one in dataclasses.fields(kind)}
    return [(f"`{name}`", value(given[name]), told[name].replace("``", "`").rstrip(".")) for name in names]


def value(default: object) -> str:
    """A default value for reading."""
    if default is dataclasses.MISSING:
        return "-"
    if default is None or not str(default):
        return "none"
    if isinstance(default, bool):
        return "yes" if default else "no"
    if isinstance(default, float):
        return f"{default:g}"
    return f"{default:,}" if isinstance(default, int) and default >= 10_000 and default != 11112 else str(default)
