"""OHIF is built for the root of a host. Its bundles are not minified, so the addresses in them can be written anew."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple


class Rule(NamedTuple):
    """What stands in some files for the root of the host.

    Args:
        files: which files, as a pattern below the folder.
        rooted: what stands there; the root itself is the group ``root``.
    """

    files: str
    rooted: re.Pattern[str]


RULES = (
    Rule("*.js", re.compile(r'(?<=__webpack_require__\.p = ")(?P<root>/)(?=")')),
    Rule("*.js", re.compile(r"(?<=')(?P<root>/)(?=dicom-microscopy-viewer/)")),
    Rule("*.css", re.compile(r"""(?<=url\()(?P<root>/)(?!/)""")),
)


def move(folder: Path, base: str) -> int:
    """Have the files look for one another below an address.

    Args:
        folder: the unpacked viewer.
        base: the address, from and with the first slash to the last.

    Returns:
        how many addresses were written anew.

    Raises:
        RuntimeError: a rule found nothing: this version of the viewer is built differently.
    """
    total = 0
    for rule in RULES:
        found = sum(_rewritten(path, rule, base) for path in sorted(folder.glob(rule.files)))
        if not found:
            raise RuntimeError(f"The viewer is not as expected: nothing in {rule.files} matches {rule.rooted.pattern}")
        total += found
    return total


def _rewritten(path: Path, rule: Rule, base: str) -> int:
    text, found = rule.rooted.subn(base, path.read_text("utf-8"))
    if found:
        path.write_text(text, "utf-8")
    return found
