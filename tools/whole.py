"""Name the packages that are not whole in .venv. Usage: .venv/bin/python -IS tools/whole.py REQUIREMENTS [OPTIONS]

Somebody deleted some of them, or their installation was cut off. ``uv`` believes that what has a folder ``*.dist-info``
is there, so this looks at what these folders list. Only the standard library is used: nothing else may be there.

Options: ``--every`` looks at every file and its size, not only at programs and topmost folders; ``--forget`` takes away
the folders of those that are not whole, after which they count as not installed.
"""

from __future__ import annotations

import csv
import re
import shutil
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

#: We ourselves, as the installer calls us.
OURS = "dicom-fabricator"


def plain(name: str) -> str:
    """A package's name as all its spellings are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned(requirements: Path) -> Iterator[str]:
    """The packages that every machine needs; what depends on the machine is not among them."""
    for line in requirements.read_text("utf-8").splitlines():
        if found := re.match(r"([\w.-]+)==\S+ *\\?$", line):
            yield plain(found[1])
    yield OURS


def is_whole(info: Path, *, every: bool) -> bool:
    """Whether everything is there that one package brought.

    Args:
        info: its folder ``*.dist-info``.
        every: look at each file and its size; else at programs and topmost folders only.
    """
    try:
        listed = [row for row in csv.reader((info / "RECORD").read_text("utf-8").splitlines()) if row]
    except (OSError, ValueError):
        return False
    if every:
        return bool(listed) and all(_is_there(info.parent, row) for row in listed)
    tops = {name if name.startswith("..") else name.partition("/")[0] for name, *_ in listed}
    return bool(tops) and all((info.parent / top).exists() for top in tops)


def _is_there(place: Path, row: Sequence[str]) -> bool:
    name, size = row[0], row[-1]
    file = place / name
    return (file.is_file() and (not size.isdigit() or file.stat().st_size == int(size))) or "__pycache__" in name


def main(requirements: str, *options: str) -> None:
    """Print them, one a line."""
    place = Path(sysconfig.get_path("purelib", "venv", vars={"base": str(Path(".venv").absolute())}))
    found = {plain(info.name.split("-")[0]): info for info in place.glob("*.dist-info")}
    broken = {name for name, info in found.items() if not is_whole(info, every="--every" in options)}
    for name in broken if "--forget" in options else ():
        shutil.rmtree(found[name])
    print("\n".join(sorted(broken | (set(pinned(Path(requirements))) - set(found)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
