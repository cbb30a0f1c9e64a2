"""Fill in the tables of the conformance statement from the code. Usage: tools/conformance.py PAGE [OUT] [--quick]

A table stands between two lines of the page that are no text of it, ``[//]: # (table: NAME)`` and
``[//]: # (end of table)``. What is around them is written by hand. OUT is PAGE itself if it is left out. ``--quick``
leaves those tables as they are for which studies have to be planned.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from conformance_tables import instances, network, queries, statuses, web

MARKED: Final = re.compile(
    r"^\[//\]: # \(table: ([a-z0-9-]+)\)\n\n(.*?)^\[//\]: # \(end of table\)$", re.MULTILINE | re.DOTALL
)
QUICK: Final[Mapping[str, Callable[[], str]]] = {
    **network.TABLES, **queries.TABLES, **statuses.TABLES, **web.TABLES, **instances.QUICK,
}  # fmt: skip
TABLES: Final[Mapping[str, Callable[[], str]]] = {**QUICK, **instances.PLANNED}


def filled(page: str, tables: Mapping[str, Callable[[], str]]) -> str:
    """The page with these tables as the code has them; others stay.

    Raises:
        SystemExit: the page marks a table that nobody knows, or lacks one.
    """
    marked = [name for name, _ in MARKED.findall(page)]
    wrong = sorted(set(marked) ^ set(TABLES))
    if wrong or len(marked) != len(TABLES):
        raise SystemExit(
            f"each table has to be marked once, and to be known: {', '.join(wrong) or 'one is there twice'}"
        )

    def table(found: re.Match[str]) -> str:
        name = found[1]
        text = tables[name]() if name in tables else found[2].rstrip("\n")
        return f"[//]: # (table: {name})\n\n{text}\n\n[//]: # (end of table)"

    return MARKED.sub(table, page)


def main(arguments: list[str]) -> None:
    paths = [Path(one) for one in arguments if one != "--quick"]
    if len(paths) not in (1, 2):
        raise SystemExit(__doc__)
    text = filled(paths[0].read_text("utf-8"), QUICK if "--quick" in arguments else TABLES)
    paths[-1].write_text(text, "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
