"""A diagnosis as text: what was tried as it is tried, then the causes with what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rich.text import Text

from dicomfab.cli import output
from dicomfab.diagnosis.checks import Check, Outcome, Role
from dicomfab.diagnosis.reason import Cause, Diagnosis, Verdict

#: Never colour alone: the word stands there as well.
_STYLES: Final = {
    Outcome.OK: "green",
    Outcome.FAILED: "bold red",
    Outcome.ODD: "yellow",
    Outcome.SKIPPED: "dim",
}
_WIDTH: Final = max(len(outcome) for outcome in Outcome)
_SHOWN_SECONDS: Final = 0.1
#: Causes beside the first that are worth showing: less likely ones follow from the same failure.
_SHOWN: Final = 3


class Tree:
    """Prints checks as they are made, under the server that they look at.

    Args:
        names: of the servers.
    """

    def __init__(self, names: Mapping[Role, str]) -> None:
        self._names = names
        self._role: Role | None = None

    def __call__(self, check: Check) -> None:
        """Print one check."""
        if check.role is not self._role:
            self._role = check.role
            output.print_text(self._names.get(check.role, "Between them"))
        line = Text("├─ ")
        line.append(str(check.outcome).ljust(_WIDTH), style=_STYLES[check.outcome])
        took = f" ({check.seconds:.1f} s)" if check.seconds >= _SHOWN_SECONDS else ""
        line.append(output.clean(f"  {check.title}: {check.seen}{took}"))
        output.print_styled(line)


def print_diagnosis(diagnosis: Diagnosis) -> None:
    """Print verdict and causes."""
    words = {
        Verdict.HEALTHY: "nothing wrong",
        Verdict.FOUND: "found",
        Verdict.CANNOT_TELL: "cannot tell for sure; see what would make sure of it",
    }
    title = Text("\nDiagnosis: ")
    title.append(words[diagnosis.verdict], style="green" if diagnosis.verdict is Verdict.HEALTHY else "bold red")
    title.append(f" ({diagnosis.seconds:.1f} s of at most {diagnosis.limit_s:g} s)")
    output.print_styled(title)
    if diagnosis.verdict is Verdict.CANNOT_TELL and not diagnosis.causes:
        output.print_text("No known cause shows like this. Look at the server's log at this moment, and at a trace.")
    for number, cause in enumerate(diagnosis.causes[:_SHOWN], 1):
        _print_cause(number, cause)
    if len(diagnosis.causes) > _SHOWN:
        output.print_text(f"\nand {output.counted(len(diagnosis.causes) - _SHOWN, 'less likely cause')} (see --json)")


def _print_cause(number: int, cause: Cause) -> None:
    heading = Text(f"\n{number}. ")
    heading.append(output.clean(cause.heading), style="bold")
    heading.append(f" ({cause.certainty})")
    output.print_styled(heading)
    for label, text in cause.told:
        output.print_text(f"   {label + ':':<14}{text}")
    several = len({line.product for line in cause.lines}) > 1
    for line in cause.lines:
        untried = "" if line.tried else ", by its documentation"
        which = f"If it is {line.product}" if several else f"To set in {line.product}"
        output.print_text(f"   {which}{untried}: {line.place}")
        for row in line.text.splitlines():
            output.print_text(f"      {row}")
