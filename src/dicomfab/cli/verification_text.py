"""A verification as people read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dicomfab.cli import output

_SHOWN: Final = 20
_SHOWN_UIDS: Final = 5


def print_verification(report: Mapping[str, Any]) -> None:
    """Print what was found out about a study."""
    output.print_text(f"verify: {report['source']} and {report['destination']}")
    output.print_text(f"  study      {report['study_instance_uid']}")
    for series in report["series"]:
        counts = f"{series['source']} and {series['destination']} instances"
        output.print_text(f"  series     {series['series_instance_uid']}  {counts}")
        for words, key in (("missing", "missing"), ("only there", "extra")):
            uids = series[key]
            for one in uids[:_SHOWN_UIDS]:
                output.print_text(f"    {words}  {one}")
            if len(uids) > _SHOWN_UIDS:
                output.print_text(f"    {words}  and {len(uids) - _SHOWN_UIDS} more (see --json)")
    if report["compared"] is not None:
        _print_compared(report["compared"])
    verdict = report["verdict"]
    line = output.verdict_text(verdict["kind"] == "verified", f"  {verdict['kind'].upper()}")
    line.append(f"   {verdict['why']}", style="not bold default")
    output.print_styled(line)


def _print_compared(compared: Mapping[str, Any]) -> None:
    output.print_text(
        f"  compared   {output.counted(compared['instances'], 'instance')}, attributes and decoded pixels"
    )
    rows = [
        (
            f"{one['tag']} {one['keyword']}",
            _value(one["before"]),
            _value(one["after"]),
            str(one["instances"]),
            "allowed" if one["allowed"] else "DIFFERS",
        )
        for one in compared["differences"][:_SHOWN]
    ]
    if rows:
        output.print_table(("attribute", "before", "after", "instances", ""), rows)
    more = len(compared["differences"]) - len(rows) + compared["not_listed"]
    if more:
        output.print_text(f"  and {more} further differences (see --json)")
    for key, hashes in list(compared["pixels"].items())[:_SHOWN_UIDS]:
        output.print_text(f"  pixels     {key}: SHA-256 {hashes[0][:16]} before, {hashes[1][:16]} after")
    for key, why in list(compared["unreadable"].items())[:_SHOWN_UIDS]:
        output.print_text(f"  unreadable {key}: {why}")


def _value(text: str | None) -> str:
    return "(not there)" if text is None else text
