"""How knowledge of failures is written down, and how a rule meets the facts."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from dicomfab.diagnosis.checks import Role, Stage
from dicomfab.diagnosis.products import Setting


class Who(enum.StrEnum):
    """Who has to act."""

    US = "you"
    ADMINISTRATOR = "the administrator of {name}"
    SOURCE_ADMINISTRATOR = "the administrator of {source}"
    DESTINATION_ADMINISTRATOR = "the administrator of {destination}"
    NETWORK = "the network administrator"


@dataclass(frozen=True, slots=True)
class Rule:
    """One cause of failure, and by what it shows.

    Texts are filled with the names of the servers concerned: ``{name}``, ``{host}``, ``{port}``, ``{called}``,
    ``{calling}`` of a rule about one server; ``{source}``, ``{destination}`` and what :mod:`dicomfab.services.doctor`
    gives besides of one about a C-MOVE. ``{fact:tcp}`` is the fact of that name.

    Args:
        id: unique, for tests, ``--json`` and documents.
        stage: where it shows.
        when: fact -> what it has to be: texts with ``*`` and ``?``, alternatives separated by ``|``. ``-`` stands for a
            fact that was not established, and a ``!`` in front of all for the opposite.
        heading: of the failure, in the words of the user's own page where it has some.
        cause: what is wrong, in a sentence for somebody who is no DICOM expert.
        remedy: what to do about it.
        who: who has to act.
        likelihood: percent, of the cases that show these facts. 90 and more counts as certain; below 50 the diagnosis
            says that it cannot tell, unless another rule can.
        settings: what the other side's administrator is to add, for the products that we know.
        tells: what would make sure of it, where that is not certain.
        reference: section of the standard.
        about: facts of one server, or all of a C-MOVE.
    """

    id: str
    stage: Stage
    when: Mapping[str, str]
    heading: str
    cause: str
    remedy: str
    who: Who
    likelihood: int
    settings: tuple[Setting, ...] = ()
    tells: str = ""
    reference: str = ""
    about: Role = Role.SERVER

    def matches(self, facts: Mapping[str, str]) -> bool:
        """Whether every condition holds."""
        return all(holds(facts.get(name), pattern) for name, pattern in self.when.items())


def holds(fact: str | None, pattern: str) -> bool:
    """Whether a fact is what a rule wants; ``None`` is one that was not established."""
    if pattern.startswith("!"):
        return not holds(fact, pattern[1:])
    for alternative in pattern.split("|"):
        if alternative == "-":
            if fact is None:
                return True
        elif fact is not None and fnmatchcase(fact, alternative):
            return True
    return False
