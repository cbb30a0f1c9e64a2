"""The npm packages whose code is in the viewer's bundles, and under which licences.

OHIF is published as bundles, without a list of what went into them. They are not minified, so each part's place names
its package. ``viewer_parts.json`` says of each what its package on npm states: licence, and who holds the rights.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
_PLACE = re.compile(r"node_modules/((?:@[\w.-]+/)?[\w.-]+)/")
_HEAD = (
    "What the viewer is made of: npm packages, their licences, and who holds the rights. The texts are at the end.\n"
)


class Part(NamedTuple):
    """What a package states.

    Args:
        licence: as an SPDX expression.
        holders: lines that name who holds the rights; none where the package names nobody.
    """

    licence: str
    holders: tuple[str, ...]


def pinned() -> Mapping[str, Part]:
    """What is known of each package, by its name."""
    known = json.loads((HERE / "viewer_parts.json").read_text("utf-8"))
    return {name: Part(one["licence"], tuple(one["holders"])) for name, one in known.items()}


def found(folder: Path) -> set[str]:
    """Names of the packages in bundles that are not minified."""
    return {name for path in folder.rglob("*.js") for name in _PLACE.findall(path.read_text("utf-8"))}


def describe(folder: Path) -> str:
    """The notices of all parts of a viewer, with the texts of their licences.

    Args:
        folder: with its bundles, not minified.

    Raises:
        RuntimeError: there is a part of which nothing is known, or one is known that is not there.
    """
    known, there = pinned(), found(folder)
    if there != set(known):
        raise RuntimeError(
            f"frontend/viewer_parts.json does not fit the viewer. Missing: {sorted(there - set(known))}; "
            f"not in the viewer: {sorted(set(known) - there)}"
        )
    lines = [
        f"{name}: {part.licence}" + "".join(f"\n    {line}" for line in part.holders) for name, part in known.items()
    ]
    return "\n".join((_HEAD, *lines, "", (HERE / "licence-texts.txt").read_text("utf-8")))
