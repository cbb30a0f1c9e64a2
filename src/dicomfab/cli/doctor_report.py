"""What the commands of the doctor have in common: telling of checks as they are made, and leaving with a diagnosis."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NoReturn

from dicomfab.cli import output

if TYPE_CHECKING:
    from dicomfab.diagnosis.checks import Role
    from dicomfab.diagnosis.reason import Diagnosis
    from dicomfab.services.doctor.examination import OnCheck

#: How a diagnosis ends: nothing wrong, something found, cannot tell.
EXIT_CODES: Final = {"nothing wrong": 0, "found": 4, "cannot tell": 7}


def watching(names: Mapping[Role, str], *, as_json: bool) -> OnCheck:
    """What is told of every check: prints it under the name of its server, unless a program reads."""
    if as_json:
        return lambda _check: None
    from dicomfab.cli.doctor_text import Tree

    return Tree(names)


def leave(diagnosis: Diagnosis, *, as_json: bool) -> NoReturn:
    """Print a diagnosis, and leave with its exit code."""
    if as_json:
        output.print_json(diagnosis.as_dict())
    else:
        from dicomfab.cli.doctor_text import print_diagnosis

        print_diagnosis(diagnosis)
    sys.exit(EXIT_CODES[diagnosis.verdict])
