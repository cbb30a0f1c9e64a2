"""Help with writing a recipe: the names that it knows, by its JSON Schema, and examples to put into the text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from dicomfab.fabricate.recipe_file import json_schema
from dicomfab.model.errors import InvalidInput

START: Final = "title: My study\nseries:\n  - kind: ct-chest\n    count: 40\n"
#: What stands for a value of a kind that the schema alone does not tell.
_EXAMPLES: Final = {
    "title": "Chest follow-up",
    "about": "What it is good for",
    "kind": "ct-chest",
    "count": "40",
    "transfer_syntax": "jpeg-ls",
    "quality": "90",
    "style": "card",
    "description": "Thorax 1 mm",
    "id": "SYN0001",
    "name": "Doe^Jane",
    "birth_date": '"1970-01-31"',
    "sex": "F",
    "seed": "7",
    "accession_number": "SYN-0001",
    "accession_pattern": '"SYN{10digits}"',
    "patient_id_pattern": '"SYN{10digits}"',
    "address": "1 Fern Close, Elmscombe",
    "phone": "+44 1632 960001",
    "script": "japanese",
    "contact": "true",
    "study_date": '"2026-01-31"',
    "study_time": '"093000"',
    "study_description": "CT CHEST",
    "study_id": "1",
    "referring_physician": "Roe^Richard",
}


@dataclass(frozen=True, slots=True)
class Key:
    """A name that a recipe knows.

    Args:
        path: such as ``series.kind``.
        name: its last part.
        about: what the schema says of it.
        choices: the values that it takes, if they are few.
        example: a value.
    """

    path: str
    name: str
    about: str
    choices: tuple[str, ...]
    example: str


def keys() -> dict[str, list[Key]]:
    """All names, by the part of the recipe that they stand in: the recipe itself, an entry of series, the patient."""
    schema = json_schema()
    parts = {"": schema, "series": schema["$defs"]["SeriesEntry"], "patient": schema["$defs"]["PatientEntry"]}
    return {
        part: [_key(part, name, about) for name, about in found["properties"].items() if name not in parts]
        for part, found in parts.items()
    }


def _key(part: str, name: str, about: dict[str, Any]) -> Key:
    path = f"{part}.{name}" if part else name
    choices = tuple(str(one) for one in about.get("enum", ()) if one)
    return Key(path, name, about.get("description", ""), choices, _EXAMPLES.get(name, "..."))


def inserted(text: str, path: str) -> str:
    """A recipe with an example of a name put where it belongs.

    Raises:
        InvalidInput: a recipe knows no such name.
    """
    known = {key.path: key for part in keys().values() for key in part}
    if path not in known:
        raise InvalidInput(f"insert: {path!r} is not a name that a recipe knows", field="text", value=path)
    key = known[path]
    lines = text.rstrip().splitlines()
    part = path.partition(".")[0] if "." in path else ""
    if not part:
        return "\n".join([*lines, f"{key.name}: {key.example}", ""])
    indent = "    " if part == "series" and key.name != "kind" else "  "
    mark = "- " if part == "series" and key.name == "kind" else ""
    start = next((n for n, line in enumerate(lines) if re.match(rf"{part}\s*:", line)), None)
    if start is None:
        lines, start = [*lines, f"{part}:"], len(lines)
        if part == "series" and not mark:
            lines.append("  - kind: ct-chest")
    end = next((n for n in range(start + 1, len(lines)) if re.match(r"[^\s#-]", lines[n])), len(lines))
    return "\n".join([*lines[:end], f"{indent}{mark}{key.name}: {key.example}", *lines[end:], ""])
