"""From facts to causes: which rules hold, ranked, filled with names; and what to say when none does."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from dicomfab.diagnosis.checks import Check, Outcome, Role, Stage, facts_of
from dicomfab.diagnosis.products import AT_DESTINATION, Line, Product, lines_for
from dicomfab.diagnosis.rules import Rule, Who

SURE: Final = 90  # percent
LIKELY: Final = 50


class _Facts:
    """Gives the fact that a text names as ``{fact:tcp}``; whatever a peer said stays text."""

    def __init__(self, facts: Mapping[str, str]) -> None:
        self._facts = facts

    def __format__(self, name: str) -> str:
        return self._facts.get(name, "unknown")


class Verdict(enum.StrEnum):
    """What the diagnosis came to."""

    HEALTHY = "nothing wrong"
    FOUND = "found"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class Cause:
    """One possible cause, filled in.

    Args:
        rule: id of the rule that holds.
        role: of the server that it is about.
        stage: where it shows.
        heading, cause, remedy, who, tells, reference: as of :class:`~dicomfab.diagnosis.rules.Rule`.
        likelihood: percent.
        lines: what to give the other side's administrator, most likely product first.
    """

    rule: str
    role: Role
    stage: Stage
    heading: str
    cause: str
    remedy: str
    who: str
    likelihood: int
    lines: tuple[Line, ...]
    tells: str
    reference: str

    @property
    def told(self) -> tuple[tuple[str, str], ...]:
        """What there is to say of it, each with its label."""
        reference = f" ({self.reference})" if self.reference else ""
        every = (
            ("Why", f"{self.cause}{reference}"),
            ("What to do", self.remedy),
            ("Who", self.who),
            ("To make sure", self.tells),
        )
        return tuple((label, text) for label, text in every if text)

    @property
    def certainty(self) -> str:
        """The likelihood in words."""
        if self.likelihood >= SURE:
            return "certain"
        return "most likely" if self.likelihood >= LIKELY else "possible"

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        return {**asdict(self), "certainty": self.certainty, "lines": [asdict(line) for line in self.lines]}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was tried, what was seen, and what follows.

    Args:
        verdict: nothing wrong, found, or cannot tell.
        checks: in the order in which they were made.
        causes: most likely first; empty if nothing is wrong.
        seconds: that it took.
        limit_s: that it could have taken.
    """

    verdict: Verdict
    checks: tuple[Check, ...]
    causes: tuple[Cause, ...]
    seconds: float
    limit_s: float

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, for ``--json`` and the REST interface."""
        return {
            "verdict": str(self.verdict),
            "seconds": round(self.seconds, 3),
            "limit_s": self.limit_s,
            "checks": [check.as_dict() for check in self.checks],
            "causes": [cause.as_dict() for cause in self.causes],
        }


def diagnose(
    checks: Sequence[Check],
    names: Mapping[Role, Mapping[str, str]],
    rules: Iterable[Rule],
    *,
    seconds: float,
    limit_s: float,
) -> Diagnosis:
    """Rank the causes of what was seen.

    Args:
        checks: all of them, in order.
        names: role -> what texts of rules about that role may name; ``product`` is that of the server, if known.
        rules: the knowledge.
        seconds: that the checks took.
        limit_s: that they could have taken.
    """
    facts = facts_of(checks)
    found: list[Cause] = []
    for rule in rules:
        for role in _roles(rule, names):
            seen = _seen_by(rule, role, facts)
            if rule.matches(seen):
                found.append(_filled(rule, role, seen, names[role]))
    order = {stage: place for place, stage in enumerate(Stage)}
    roles = {role: place for place, role in enumerate(Role)}
    found.sort(key=lambda cause: (-cause.likelihood, order[cause.stage], roles[cause.role], cause.rule))
    return Diagnosis(_verdict(checks, found), tuple(checks), tuple(found), seconds, limit_s)


def _roles(rule: Rule, names: Mapping[Role, Mapping[str, str]]) -> list[Role]:
    if rule.about is Role.MOVE:
        return [Role.MOVE] if Role.MOVE in names else []
    return [role for role in names if role is not Role.MOVE]


def _seen_by(rule: Rule, role: Role, facts: Mapping[str, str]) -> Mapping[str, str]:
    """Facts of one server by their own names; those of a C-MOVE with their roles, its own without."""
    prefix = f"{role}."
    own = {name.removeprefix(prefix): fact for name, fact in facts.items() if name.startswith(prefix)}
    return {**facts, **own} if rule.about is Role.MOVE else own


def _verdict(checks: Sequence[Check], causes: Sequence[Cause]) -> Verdict:
    if causes:
        return Verdict.FOUND if causes[0].likelihood >= LIKELY else Verdict.CANNOT_TELL
    return Verdict.CANNOT_TELL if any(check.outcome is Outcome.FAILED for check in checks) else Verdict.HEALTHY


def _as_destination(names: Mapping[str, str]) -> Mapping[str, str]:
    """What the administrator of a destination has to set is about the destination, and the source is who calls it."""
    seen = {**AT_DESTINATION, "product": "destination_product"}
    return {**names, **{name: names[of] for name, of in seen.items()}}


def _filled(rule: Rule, role: Role, facts: Mapping[str, str], names: Mapping[str, str]) -> Cause:
    known = {**names, "fact": _Facts(facts)}

    def fill(text: str) -> str:
        return text.format_map(known)

    theirs = _as_destination(names) if rule.who is Who.DESTINATION_ADMINISTRATOR else names
    product = Product(theirs.get("product", Product.UNKNOWN))
    return Cause(
        rule=rule.id,
        role=role,
        stage=rule.stage,
        heading=rule.heading,
        cause=fill(rule.cause),
        remedy=fill(rule.remedy),
        who=fill(str(rule.who)),
        likelihood=rule.likelihood,
        lines=lines_for(rule.settings, product, theirs),
        tells=fill(rule.tells),
        reference=rule.reference,
    )
