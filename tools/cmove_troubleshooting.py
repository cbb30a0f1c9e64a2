"""Write what the doctor knows of C-MOVE into its page, between the marks. Usage: tools/cmove_troubleshooting.py PAGE"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from dicomfab.diagnosis.checks import Role, Stage
from dicomfab.diagnosis.knowledge import RULES
from dicomfab.diagnosis.products import PLACEHOLDERS, Product, Setting, lines_for
from dicomfab.diagnosis.reason import LIKELY, SURE
from dicomfab.diagnosis.rules import Rule

BEGIN: Final = "<!-- begin: written by tools/cmove_troubleshooting.py; do not edit by hand -->"
END: Final = "<!-- end -->"
STAGES: Final = {
    Stage.ENTRY: "In our own registry",
    Stage.STORE: "Storing on a server",
    Stage.FIND: "Finding the study",
    Stage.DESTINATION: "The move destination",
    Stage.MOVE: "The C-MOVE",
    Stage.ARRIVAL: "What arrived",
}
_ENDS: Final = {f"{end}_{what}" for end in ("source", "destination") for what in ("aec", "host", "port")} | {
    "source",
    "destination",
}
#: What texts name, as a reader knows it.
NAMES: Final = {
    "source": "the source",
    "destination": "the destination",
    "name": "the server",
    "product": "its product",
    "move_ae": "MOVE_AE",
    "source_aec": "SOURCE_AE",
    "destination_aec": "DESTINATION_AE",
    "calling": "OUR_AE",
    "called": "SERVER_AE",
    "source_id": "SOURCE",
    "destination_id": "DESTINATION",
}


class _Facts:
    """Stands for whatever was seen."""

    def __format__(self, name: str) -> str:
        return "…"


class _Names(dict[str, Any]):
    def __missing__(self, name: str) -> str:
        return name.upper()


def section() -> str:
    """Everything between the marks, by where a failure shows."""
    order = {stage: place for place, stage in enumerate(Stage)}
    rules = sorted((rule for rule in RULES if rule.about is Role.MOVE), key=lambda rule: order[rule.stage])
    parts = []
    for stage, group in groupby(rules, key=lambda rule: rule.stage):
        parts.append(f"### {STAGES[stage]}\n")
        for rule in sorted(group, key=lambda rule: -rule.likelihood):
            parts += _described(rule)
    parts.append("### Lines for the other administrator\n")
    for setting in Setting:
        if any(setting in rule.settings for rule in rules):
            parts += _lines(setting)
    return "\n".join(parts)


def _described(rule: Rule) -> Iterator[str]:
    names = _Names(NAMES, fact=_Facts())
    cause, remedy, who, tells = (
        _text(_sentences(text.format_map(names))) for text in (rule.cause, rule.remedy, str(rule.who), rule.tells)
    )
    yield f"- **{cause[:1].upper()}{cause[1:]}** *{_certainty(rule.likelihood)}* (`{rule.id}`)\n"
    yield f"  What to do: {remedy}\n"
    yield f"  Who must act: {who}\n"
    if tells:
        yield f"  To make sure: {tells}\n"
    if rule.settings:
        links = ", ".join(f"[{_title(setting)}](#{_title(setting).replace(' ', '-')})" for setting in rule.settings)
        yield f"  Lines: {links}\n"


def _sentences(text: str) -> str:
    """Where "the source" stands for a name, a sentence may begin with it."""
    return text.replace(". the ", ". The ")


def _title(setting: Setting) -> str:
    return setting.name.lower().replace("_", " ")


def _lines(setting: Setting) -> Iterator[str]:
    yield f"#### {_title(setting).capitalize()}\n"
    names = {name: NAMES.get(name, name.upper()) for name in PLACEHOLDERS[setting] | _ENDS}
    for line in lines_for((setting,), Product.UNKNOWN, {**names, "destination_product": Product.UNKNOWN}):
        yield f"{line.product}, {_text(line.place)}{'' if line.tried else ' (by its documentation)'}:\n"
        yield "\n".join(["```text", *(row.rstrip() for row in line.text.splitlines()), "```\n"])


def _certainty(likelihood: int) -> str:
    return "certain" if likelihood >= SURE else "most likely" if likelihood >= LIKELY else "possible"


def _text(text: str) -> str:
    """For Markdown: nothing of it is markup."""
    return re.sub(r"([*_<>\[\]`|])", r"\\\1", text)


def updated(page: str) -> str:
    """A page with its section written anew."""
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise SystemExit("the page lacks the marks")
    return f"{before}{BEGIN}\n\n{section()}\n{END}{after}"


def main(arguments: Sequence[str]) -> int:
    """Write the page named anew."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    path = Path(arguments[0])
    path.write_text(updated(path.read_text("utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
