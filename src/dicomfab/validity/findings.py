"""What is found, and the rules that find it."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")


class Severity(enum.StrEnum):
    """How much a finding weighs: errors make a file invalid, the rest is for the reader."""

    ERROR = "error"
    WARNING = "warning"
    EXPECTED = "expected"  # a warning with a known reason, see :mod:`.expected`
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found.

    Args:
        rule: the id of our rule, or ``dciodvfy`` or ``dcentvfy``.
        severity: how much it weighs.
        message: the same words for the same fault in every file, so that findings can be grouped.
        attribute: the attribute at fault, keyword or tag, with the sequences around it; may be empty.
        detail: what differs from file to file: values, lengths, frame numbers.
        reference: section of the standard.
        remedy: what to do.
        reason: why an expected warning is expected.
        raw: the line of an external validator, as it was printed.
    """

    rule: str
    severity: Severity
    message: str
    attribute: str = ""
    detail: str = ""
    reference: str = ""
    remedy: str = ""
    reason: str = ""
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """What a rule yields; the rule adds the rest.

    Args:
        message: without anything that differs from file to file.
        attribute: keyword or tag.
        detail: values.
        paths: the files that it is about, where files of several studies were compared.
    """

    message: str
    attribute: str = ""
    detail: str = ""
    paths: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule(Generic[T]):
    """One rule of ours.

    Args:
        id: short, lower case, stable; named in reports.
        severity: of everything that it finds.
        reference: section of the standard that it rests on.
        remedy: what to do about what it finds.
        check: looks at one thing (an instance, or the instances of a series) and yields what is wrong.
    """

    id: str
    severity: Severity
    reference: str
    remedy: str
    check: Callable[[T], Iterable[Problem]]

    def findings(self, subject: T) -> list[Finding]:
        """Everything that is wrong with the subject by this rule."""
        return [self.found(problem) for problem in self.check(subject)]

    def found(self, problem: Problem) -> Finding:
        """The finding that a problem becomes."""
        return Finding(
            self.id,
            self.severity,
            problem.message,
            problem.attribute,
            problem.detail,
            self.reference,
            self.remedy,
        )


def rule(
    identifier: str, reference: str, remedy: str, severity: Severity = Severity.ERROR
) -> Callable[[Callable[[T], Iterable[Problem]]], Rule[T]]:
    """Make a rule of the function below it."""

    def made(check: Callable[[T], Iterable[Problem]]) -> Rule[T]:
        return Rule(identifier, severity, reference, remedy, check)

    return made
