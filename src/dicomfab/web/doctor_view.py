"""What a diagnosis looks like: as a tree by server and stage, and as a text to send to somebody."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

from dicomfab import __version__
from dicomfab.diagnosis.checks import Check, Outcome, Role, Stage
from dicomfab.diagnosis.products import Line
from dicomfab.diagnosis.reason import Cause, Diagnosis, Verdict
from dicomfab.web.doctor_runs import Run

#: Causes that are shown in full; less likely ones usually follow from the same failure.
SHOWN: Final = 3
NO_KNOWN_CAUSE: Final = (
    "No known cause shows like this. Look at the other server's log at this moment, and at a trace "
    "(the command below with --trace)."
)
#: The word is there as well as icon and colour.
LOOKS: Final = {
    Outcome.OK: ("good", "check-circle-fill"),
    Outcome.FAILED: ("bad", "x-circle-fill"),
    Outcome.ODD: ("warn", "exclamation-triangle-fill"),
    Outcome.SKIPPED: ("quiet", "skip-forward-circle"),
}
_ROLES: Final = {
    Role.SERVER: "The server",
    Role.SOURCE: "The source",
    Role.DESTINATION: "The destination",
    Role.MOVE: "Between the two",
}
_STAGES: Final = {
    Stage.ENTRY: "Our own entry",
    Stage.NAME: "Host name",
    Stage.TCP: "TCP connection",
    Stage.TLS: "Encryption (TLS)",
    Stage.ASSOCIATION: "Association",
    Stage.CONTEXT: "Presentation contexts",
    Stage.ECHO: "C-ECHO",
    Stage.FIND: "C-FIND",
    Stage.STORE: "C-STORE",
    Stage.DESTINATION: "Move destination",
    Stage.MOVE: "C-MOVE",
    Stage.ARRIVAL: "What arrives",
}


@dataclass(frozen=True, slots=True)
class Branch:
    """Checks of one server.

    Args:
        heading: which server.
        stages: name of a stage -> its checks, in the order in which they were made.
        outcomes: how many checks ended in which way.
    """

    heading: str
    stages: tuple[tuple[str, tuple[Check, ...]], ...]
    outcomes: tuple[tuple[Outcome, int], ...] = ()


def tree_of(checks: Iterable[Check]) -> list[Branch]:
    """Checks by server and stage; texts are without characters that steer."""
    order = tuple(Role)
    found = []
    by_role = groupby(sorted(checks, key=lambda check: order.index(check.role)), key=lambda check: check.role)
    for role, made in by_role:
        clean = [_shown(check) for check in made]
        stages = tuple((_STAGES[stage], tuple(group)) for stage, group in groupby(clean, key=lambda check: check.stage))
        outcomes = tuple((one, counted(clean, one)) for one in Outcome)
        found.append(Branch(_ROLES[role], stages, tuple(pair for pair in outcomes if pair[1])))
    return found


def _shown(check: Check) -> Check:
    facts = {name: printable(str(fact)) for name, fact in check.facts.items()}
    said = {name: on_page(printable(text)) for name, text in (check.error or {}).items() if isinstance(text, str)}
    seen = on_page(printable(check.seen))
    return replace(check, title=printable(check.title), seen=seen, facts=facts, error=said or None)


#: What is said for the command line -> what to do on the page.
_ON_PAGE: Final = (
    ("say --yes-production for", "type the server's name into the form for"),
    (
        "Repeat the command with --yes-production if you mean it:",
        "Type the server's name into the form if you mean it:",
    ),
)


def on_page(text: str) -> str:
    """What a check or a cause says, with what to do on the page in the place of a command's options."""
    for command, page in _ON_PAGE:
        text = text.replace(command, page)
    return text


def lines_by_product(cause: Cause) -> list[tuple[str, list[Line]]]:
    """What to give to the administrator, by the product that it is for."""
    found: dict[str, list[Line]] = {}
    for line in cause.lines:
        found.setdefault(line.product, []).append(line)
    return list(found.items())


def counted(checks: Sequence[Check], outcome: Outcome) -> int:
    """How many checks ended so."""
    return sum(check.outcome is outcome for check in checks)


def printable(text: str) -> str:
    """Without characters that steer a terminal, a mail program or the direction of writing."""
    return "".join(c if c == "\n" or c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def report(run: Run) -> str:
    """A diagnosis as plain text, for the administrator of another server.

    The study that was looked at, and what a server commented on it, are left out: both may lead to a patient.
    """
    diagnosis = run.diagnosis
    if diagnosis is None:
        return ""
    parts = [f"Diagnosis of {run.title}", f"Result: {_verdict(diagnosis)}"]
    for number, cause in enumerate(diagnosis.causes[:SHOWN], 1):
        parts += ["", *_cause(number, cause)]
    for branch in tree_of(_without_comment(check) for check in diagnosis.checks):
        parts += ["", f"What was tried: {branch.heading.lower()}"]
        for _, checks in branch.stages:
            parts += [f"  {check.outcome:<8} {check.title}: {check.seen} ({check.seconds:.1f} s)" for check in checks]
    parts += ["", f"Made by DICOM Fabricator {__version__}, {diagnosis.seconds:.1f} s"]
    text = printable("\n".join(parts))
    return text.replace(run.wanted.study, "(study)") if run.wanted.study else text


def _verdict(diagnosis: Diagnosis) -> str:
    if diagnosis.verdict is Verdict.CANNOT_TELL and not diagnosis.causes:
        return f"{diagnosis.verdict}. No known cause shows like this."
    return str(diagnosis.verdict)


def _without_comment(check: Check) -> Check:
    comment = check.facts.get("move.comment", "")
    return replace(check, seen=check.seen.replace(f" ({comment})", "")) if comment else check


def _cause(number: int, cause: Cause) -> list[str]:
    said = [f"{number}. {cause.heading} ({cause.certainty})"]
    said += [f"   {label}: {text}" for label, text in cause.told]
    for product, lines in lines_by_product(cause):
        for line in lines:
            untried = "" if line.tried else " (by its documentation)"
            said.append(f"   If it is {product}{untried}: {line.place}")
            said += [f"      {row}" for row in line.text.splitlines()]
    return said
