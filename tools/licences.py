"""Write the page of licences from the locks and what the packages themselves say. Usage: tools/licences.py OUT"""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
from collections.abc import Iterable, Sequence
from email.message import Message
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from frontend import parts  # noqa: E402 - not installed
from hatch_build import ASSETS  # noqa: E402

#: What a lock names only for other systems, and so is not installed where this runs; as its metadata says.
_ELSEWHERE = {"colorama": "BSD License"}
#: What a package forgot to say in its metadata, from the licence that it contains.
_UNSAID = {"htmx-ext-sse": "0BSD"}
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)(?: ; (.+?))? \\$", re.MULTILINE)

INTRODUCTION = """\
# Licences

Generated from the locks and the packages' own metadata by `tools/licences.py`; do not edit it by hand.

DICOM Fabricator is under the [MIT licence](../../LICENSE). Nothing of others is in its repository. This page lists what
is installed with it, and what of others is inside its wheel.

Nothing here is under the GPL or the AGPL, and nothing that is may be added; a test sees to it. A few packages are under
the LGPL. They are dependencies: installed unchanged, beside the product, from their own packages, and you can replace
them by versions of your own.

## Installed with it

All packages in `requirements/runtime.txt`, as their metadata names the licence. Each brings the text of its licence in
its own `dist-info` folder, and some bring compiled libraries of others with the texts of theirs. *Only where* says on
which systems a line counts.

"""
BUNDLED = """\
## In the wheel

Style sheets, fonts and scripts of the web pages, built in from the npm registry and pinned in
`frontend/package-lock.json` and `frontend/ohif.json`. Their licence texts lie beside them in the wheel, below
`dicomfab/web/static/vendor` and `dicomfab/web/viewer`. Bundles that hold code of further packages bring their notices:
`swagger-ui-bundle.js.LICENSE.txt`, and for the viewer `NOTICES.txt` and `PARTS.txt`.

"""
VIEWER = """\
## In the viewer

OHIF is published as bundles, which hold code of these npm packages. The licence is the one that the package states on
npm. OHIF's own package also holds shepherd.js, which is under the AGPL: it is cut out when the wheel is built
(`frontend/cut.py`), so the viewer offers no guided tours.

"""


class Pinned(NamedTuple):
    """A package in a lock."""

    name: str
    version: str
    only_where: str


def runtime() -> list[Pinned]:
    """What is installed with the product."""
    found = _PINNED.findall((ROOT / "requirements" / "runtime.txt").read_text("utf-8"))
    return [Pinned(*one) for one in found]


def licence(name: str) -> str:
    """What the metadata of an installed package says, in the oldest way only if it does not use a newer one."""
    try:
        told: Message = importlib.metadata.metadata(name)  # type: ignore[assignment]
    except importlib.metadata.PackageNotFoundError:
        return _ELSEWHERE[name]
    if expression := told.get("License-Expression"):
        return str(expression)
    classifiers = [one.rpartition(" :: ")[2] for one in told.get_all("Classifier", []) if one.startswith("License")]
    return ", ".join(classifiers) or str(told.get("License", "")).partition("\n")[0]


def bundled() -> list[tuple[str, str, str]]:
    """Name, version and licence of the npm packages that the pages load."""
    lock = json.loads((ROOT / "frontend" / "package-lock.json").read_text("utf-8"))["packages"]
    names = sorted({_package(source) for source in ASSETS})
    rows = []
    for name in names:
        pinned = lock[f"node_modules/{name}"]
        rows.append((name, pinned["version"], pinned.get("license") or _UNSAID[name]))
    viewer = json.loads((ROOT / "frontend" / "ohif.json").read_text("utf-8"))
    return [*rows, (viewer["package"], viewer["version"], "MIT")]


def _package(source: str) -> str:
    return "/".join(source.split("/")[: 2 if source.startswith("@") else 1])


def reference() -> str:
    """The whole page."""
    installed = [(one.name, one.version, licence(one.name), _code(one.only_where)) for one in runtime()]
    inside = [(name, known.licence) for name, known in parts.pinned().items()]
    return (
        INTRODUCTION
        + _table(("package", "version", "licence", "only where"), installed)
        + "\n"
        + BUNDLED
        + _table(("npm package", "version", "licence"), bundled())
        + "\n"
        + VIEWER
        + _table(("npm package", "licence"), [(f"`{name}`", one) for name, one in inside])
    )


def _code(marker: str) -> str:
    return f"`{marker}`" if marker else ""


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the page to the file named."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    Path(arguments[0]).write_text(reference(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
