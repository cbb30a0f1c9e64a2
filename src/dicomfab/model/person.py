"""Somebody as a directory or an identity provider knows them, and how that was found out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from dicomfab.model.account import Refusal


@dataclass(frozen=True, slots=True)
class Person:
    """A person whom a directory or an identity provider has proven.

    Args:
        subject: what identifies the person there for ever, whatever becomes of the name.
        name: the sign-in name.
        display_name: for people; the sign-in name if there is none.
        groups: the groups that the person is in, as the source names them, nested ones included; of a directory only
            those that were asked about.
    """

    subject: str
    name: str
    display_name: str
    groups: frozenset[str]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a sign-in, for an administrator who looks into one. It holds no secret.

    Args:
        what: what was done, such as ``connect to dc1.example.com, port 636``.
        came: what came of it, in words.
        is_good: whether the next step could be taken.
    """

    what: str
    came: str
    is_good: bool = True


#: Told of each step as it is taken.
Tell: TypeAlias = Callable[[Step], None]


def untold(_step: Step) -> None:
    """For sign-ins that nobody looks into."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why an identity provider's answer lets nobody in; for the audit log and administrators, never for who asked.

    Args:
        refusal: the reason in a word.
        why: in words, without secrets.
    """

    refusal: Refusal
    why: str
