"""What the command line and the pages have in common about the delivery of the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from dicomfab.services.audit_delivery import Gauge
from dicomfab.storage.audit_delivery import Standing


def verdict(standing: Standing) -> tuple[bool, str]:
    """Whether delivery goes well, and how it stands in a few words."""
    waiting = f"{standing.waiting} {'entry waits' if standing.waiting == 1 else 'entries wait'}"
    if standing.problem:
        return False, f"{waiting}, and the last attempt failed"
    if not standing.waiting:
        return True, "every entry is delivered"
    return True, waiting


def facts(standing: Standing, *, is_set: bool) -> list[tuple[str, str]]:
    """How far a delivery is, as labels and texts.

    Args:
        standing: of it.
        is_set: whether its receiver is the one that is set.
    """
    problem = standing.problem
    rows = [
        ("State", verdict(standing)[1]),
        ("Delivered up to entry", str(standing.delivered or "none yet")),
        ("Last delivered", _local(standing.delivered_at)),
        ("Waiting", str(standing.waiting)),
        ("Oldest waits since", _local(standing.waiting_since)),
        ("Failed in a row", str(standing.attempts or "")),
        ("Last error", problem.get("what", "")),
        ("Likely cause", problem.get("cause", "")),
        ("What to do", problem.get("remedy", "")),
        ("Next try", _local(standing.next_at)),
        ("Not set here", "" if is_set else "entries are kept for it until: dicomfab audit end-delivery"),
    ]
    return [(label, text) for label, text in rows if text]


def gauge_dict(gauge: Gauge) -> dict[str, Any]:
    """The same for JSON."""
    return {
        "set": gauge.destination or None,
        "receivers": [
            {
                "receiver": one.destination,
                "delivered_up_to": one.delivered,
                "delivered_at": _iso(one.delivered_at),
                "waiting": one.waiting,
                "waiting_since": _iso(one.waiting_since),
                "delivering_now": one.is_held,
                "failed_in_a_row": one.attempts,
                "last_error": dict(one.problem) or None,
                "next_try": _iso(one.next_at),
            }
            for one in gauge.standings
        ],
    }


def _local(moment: datetime | None) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z}" if moment else ""


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None
