"""Write the access reference from the policy table and the routes themselves. Usage: tools/access_reference.py OUT"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from dicomfab.app.build import build
from dicomfab.app.settings import Settings
from dicomfab.cli.access import cells, document, route_rows

INTRODUCTION = """\
# Access reference

Generated from the policy table and the routes by `tools/access_reference.py`; do not edit it by hand.
`dicomfab access matrix` prints the same. What it means is told in
[Authentication and access](../user-guides/authentication.md).

## Roles and actions

Where each role may do what: in the environments `test` and `prod`, or for the installation itself (`system`). What is
not in the table is denied. A person with several roles may do what any of them allows.
"""
ROUTES = """\
## Addresses of the web interface

What each address needs before it looks at anything. What it then touches is decided by the table above, for the
environment of exactly that server or study. Without sign-in (mode `none`) people on this computer act as `admin`.
"""


def reference() -> str:
    """The whole page."""
    with tempfile.TemporaryDirectory() as folder:
        application = build(Settings(Path(folder)))
        try:
            found = document(application)
        finally:
            application.close()
    actions = _table(("action", *found["roles"]), [(f"`{action}`", *row) for action, row in cells(found)])
    routes = _table(("route", "needs", "lets in"), [(f"`{one}`", *rest) for one, *rest in route_rows(found)])
    return "\n".join((INTRODUCTION, actions, ROUTES, routes))


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
