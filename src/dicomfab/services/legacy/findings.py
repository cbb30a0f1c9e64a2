"""What becomes of each entry of the predecessor's files, as values.

None holds a patient's name or a password's hash.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from dicomfab.fabricate.patients import PatientData
from dicomfab.model.actor import Role

#: The longest text of somebody else's that a finding repeats.
_SHOWN: Final = 80
_LONGEST_REASON: Final = 400


class Kind(enum.StrEnum):
    """What an entry is."""

    FILE = "file"
    SERVER = "server"
    ROUTE = "route"
    PATIENT = "patient"
    GROUP = "group"
    ACCOUNT = "account"


class Verdict(enum.StrEnum):
    """What becomes of it."""

    ADD = "add"
    SAME = "same"
    CONFLICT = "conflict"  # it is here already, and is not the same; what is here stays
    REFUSED = "refused"  # it cannot be taken
    ASIDE = "aside"  # there is nothing in it to take


#: What a person has to look at.
LEFT_OUT: Final = (Verdict.CONFLICT, Verdict.REFUSED)


@dataclass(frozen=True, slots=True)
class Finding:
    """What becomes of one entry.

    Args:
        file: where it stands, from the folder on.
        entry: what it is called there.
        kind: what it is.
        verdict: what becomes of it.
        says: what is added, or why it is not, in a sentence.
        notes: what is otherwise here than it was there, a sentence each.
    """

    file: str
    entry: str
    kind: Kind
    verdict: Verdict
    says: str
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them."""
        return {
            "file": self.file,
            "entry": self.entry,
            "kind": str(self.kind),
            "verdict": str(self.verdict),
            "says": self.says,
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class NewAccount:
    """A local account to be made, without a password that anybody knows.

    Args:
        name: to sign in with.
        roles: what it may do.
        is_active: whether it may be used.
    """

    name: str
    roles: frozenset[Role]
    is_active: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What moving over would do, and what it would not.

    Args:
        folder: where the files lie.
        files: those that were read, from the folder on.
        findings: one for each entry, in the order of the files.
        servers: what is to be imported into the registry of servers: id -> fields and routes.
        patients: to be registered.
        groups: of directories, with the roles that they are to give.
        accounts: to be made.
    """

    folder: str
    files: tuple[str, ...]
    findings: tuple[Finding, ...]
    servers: Mapping[str, Mapping[str, Any]]
    patients: tuple[PatientData, ...]
    groups: Mapping[str, frozenset[Role]]
    accounts: tuple[NewAccount, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to carry out."""
        return not (self.servers or self.patients or self.groups or self.accounts)

    @property
    def left_out(self) -> tuple[Finding, ...]:
        """What a person has to look at."""
        return tuple(one for one in self.findings if one.verdict in LEFT_OUT)

    def count(self, kind: Kind, verdict: Verdict) -> int:
        """How many entries of a kind became this."""
        return sum(one.kind is kind and one.verdict is verdict for one in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them."""
        counts = {
            str(kind): {str(verdict): self.count(kind, verdict) for verdict in Verdict}
            for kind in Kind
            if any(one.kind is kind for one in self.findings)
        }
        return {
            "folder": self.folder,
            "files": list(self.files),
            "counts": counts,
            "findings": [one.as_dict() for one in self.findings],
            "need_a_password": [one.name for one in self.accounts],
        }


def clipped(text: str) -> str:
    """The beginning of somebody else's text, enough to find it again."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def reason(text: str) -> str:
    """Why something is refused, however long the value is that it names."""
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}..."


def several(words: Iterable[str]) -> frozenset[str]:
    """Those that occur more than once."""
    return frozenset(word for word, times in Counter(words).items() if times > 1)
