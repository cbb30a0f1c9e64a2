"""Write the reference of the Python API from its docstrings. Usage: tools/python_api.py OUT"""

from __future__ import annotations

import ast
import dataclasses
import enum
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dicomfab import api

INTRODUCTION = """\
# Python API reference

Generated from the docstrings by `tools/python_api.py`; do not edit it by hand. How to use it, with programs that run:
[Python API](../user-guides/python-api.md). All of it is in `dicomfab.api`; the types of answers are below.
"""
_SECTION = re.compile(r"^(Args|Raises|Returns|Yields|Attributes):$")
_ENTRY = re.compile(r"^ {4}([A-Za-z_*][\w*, .]*): (.*)$")
_QUOTED = re.compile(r"(?<=: )'([^']*)'|(?<=-> )'([^']*)'")
_CONTINUED = re.compile(r"(?m)^( {4}\S.*)\n {8,}(?=\S)")
_ROLE = re.compile(r":[a-z]+:`~?([^`]+)`")


def reference() -> str:
    """The whole document."""
    parts = [INTRODUCTION, *_function(api.connect, "connect", level=2)]
    for one in (api.Lab, api.Jobs, api.Orders):
        parts += [f"## {one.__name__}\n", _described(one)]
        for name, member in vars(one).items():
            if name.startswith("_"):
                continue
            found = member.fget if isinstance(member, property) else member
            parts += _function(found, f"{one.__name__}.{name}", level=3, is_property=isinstance(member, property))
    parts += ["## Types of answers\n", *(part for one in _types() for part in _type(one))]
    return "\n".join(parts)


def _function(function: Any, name: str, *, level: int, is_property: bool = False) -> Iterator[str]:
    yield f"{'#' * level} {name}\n"
    annotated = _QUOTED.sub(lambda found: found[1] or found[2], str(inspect.signature(function)))
    signature = re.sub(r"^\(self(, )?", "(", annotated)
    if is_property:
        signature = signature.removeprefix("()")
    yield f"```text\n{name}{signature}\n```\n"
    yield _described(function)


def _types() -> list[Any]:
    """What the annotations of the API name, in the order of its imports."""
    tree = ast.parse(Path(api.__file__).read_text("utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    named = [
        (node.module, alias.name)
        for node in guarded.body
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("dicomfab")
        for alias in node.names
    ]
    return sorted((getattr(importlib.import_module(str(m)), n) for m, n in named), key=lambda one: str(one.__name__))


def _type(one: Any) -> Iterator[str]:
    yield f"### {one.__name__}\n"
    yield f"`{one.__module__}`\n"
    yield _described(one)
    if issubclass(one, enum.Enum):
        yield "Values: " + ", ".join(f"`{member.value}`" for member in one) + ".\n"
    elif dataclasses.is_dataclass(one):
        rows = [
            f"| `{field.name}` | `{str(field.type).replace('|', chr(92) + '|')}` |" for field in dataclasses.fields(one)
        ]
        yield "\n".join(["| Field | Type |", "|---|---|", *rows]) + "\n"


def _described(one: Any) -> str:
    """A docstring as Markdown: its sections become lists."""
    lines, section = list[str](), ""
    text, before = inspect.cleandoc(one.__doc__ or ""), ""
    while text != before:
        text, before = _CONTINUED.sub(r"\1 ", text), text
    for line in text.splitlines():
        if found := _SECTION.match(line):
            section = "Fields" if dataclasses.is_dataclass(one) else found[1]
            lines += [f"**{section}**", ""]
        elif section and (entry := _ENTRY.match(line)):
            lines.append(f"- `{entry[1]}`: {entry[2]}")
        else:
            lines.append(line.removeprefix("    ") if section else line)
    return _ROLE.sub(lambda found: f"`{found[1].split('.')[-1]}`", "\n".join(lines)).replace("``", "`") + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference(), encoding="utf-8")
