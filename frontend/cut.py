"""Parts of OHIF's bundles that may not be passed on under our licence, cut out before anything else is done.

OHIF shows guided tours with shepherd.js, which is under the AGPL. We have no tours, so what takes its place is a class
that shows none. The rest of the viewer does not notice.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple


class Cut(NamedTuple):
    """Something that goes.

    Args:
        files: which files, as a pattern below the folder.
        part: what stands there; all of it goes.
        instead: what takes its place, of our own writing.
    """

    files: str
    part: re.Pattern[str]
    instead: str


CUTS = (
    Cut(
        "app.bundle.*.js",
        re.compile(
            r";// CONCATENATED MODULE: \S*node_modules/shepherd\.js/dist/js/shepherd\.mjs\n"
            r".*?\n//# sourceMappingURL=shepherd\.mjs\.map\n",
            re.DOTALL,
        ),
        ";// No tours.\nconst shepherd_fe = { Tour: class { addStep() {} start() {} } };\n",
    ),
    Cut(
        "app.bundle.*.js",
        re.compile(r";// CONCATENATED MODULE: \S*node_modules/shepherd\.js/dist/css/shepherd\.css\n"),
        "",
    ),
    Cut("app.bundle.css", re.compile(r"^\.shepherd-button\{.*\n", re.MULTILINE), ""),
)


def remove(folder: Path) -> None:
    """Cut them out.

    Args:
        folder: the unpacked viewer, not minified.

    Raises:
        RuntimeError: one is not there once: this version of the viewer is built differently.
    """
    for cut in CUTS:
        (path,) = folder.glob(cut.files)
        text, found = cut.part.subn(lambda _, instead=cut.instead: instead, path.read_text("utf-8"))
        if found != 1:
            raise RuntimeError(
                f"The viewer is not as expected: {cut.part.pattern} matches {found} times in {path.name}"
            )
        path.write_text(text, "utf-8")
