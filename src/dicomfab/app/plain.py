"""What the services hand out as plain values: the command line's ``--json`` and the REST interface say the same."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dicomfab.model.job import JobKind

if TYPE_CHECKING:
    from dicomfab.archive.records import StudySummary
    from dicomfab.model.account import Account, ApiToken
    from dicomfab.model.job import Job, JobItem
    from dicomfab.model.monitoring import Check, DaySum, StateChange
    from dicomfab.model.schedule import Schedule
    from dicomfab.registry.seed_json import ImportReport
    from dicomfab.registry.server import ConnectionTest
    from dicomfab.services.copies import ExpiringCopies
    from dicomfab.services.jobs.service import JobService
    from dicomfab.services.pacs import ServerOverview
    from dicomfab.services.search_found import MergedFound
    from dicomfab.storage.audit_chain import Verification
    from dicomfab.storage.patients import StoredPatient
    from dicomfab.storage.searches import StoredAnswer


def server_dict(row: ServerOverview) -> dict[str, Any]:
    """A server with its routes and its last test."""
    last_test = None if row.last_test is None else test_dict(row.last_test)
    return {**row.server.as_dict(), "move_routing": dict(row.routes), "last_test": last_test}


def test_dict(result: ConnectionTest) -> dict[str, Any]:
    """A C-ECHO."""
    return {
        "server_id": result.server_id,
        "ok": result.ok,
        "tested_at": result.tested_at.isoformat(timespec="seconds"),
        "latency_ms": result.latency_ms,
        "message": dict(result.message),
    }


def import_dict(report: ImportReport) -> dict[str, Any]:
    """What an import of servers changed."""
    changed = {
        change.id: {name: {"before": before, "after": after} for name, (before, after) in change.fields.items()}
        for change in report.changed
    }
    return {"added": list(report.added), "changed": changed, "unchanged": list(report.unchanged)}


def study_dict(study: StudySummary, copies: ExpiringCopies) -> dict[str, Any]:
    """A local study."""
    expires_at = copies.expires_at(study)
    expiry = expires_at.isoformat(timespec="seconds") if expires_at else None
    return {**dataclasses.asdict(study), "environment": str(study.environment), "expires_at": expiry}


def patient_dict(one: StoredPatient) -> dict[str, Any]:
    """A registered patient."""
    return {
        **one.data.as_dict(),
        "created_at": one.created_at.isoformat(timespec="seconds"),
        "changed_at": one.changed_at.isoformat(timespec="seconds"),
        "revision": one.revision,
    }


def job_dict(job: Job, service: JobService | None = None) -> dict[str, Any]:
    """A job, with what it has found out; with its rate and the time left, if the service is given."""
    counts = job.counts
    plain: dict[str, Any] = {
        "id": job.id,
        "kind": str(job.kind),
        "title": job.title,
        "state": str(job.state),
        "asked_to": str(job.wish),
        "owner": job.owner,
        "environment": job.environment,
        "queue": job.queue,
        "priority": job.priority,
        "items": counts.total,
        "done": counts.done,
        "failed": counts.failed,
        "held": counts.held,
        "resent": counts.resent,
        "size_bytes": counts.size_bytes,
        "stage": job.stage,
        "attempts": job.attempts,
        "created_at": job.created_at.isoformat(),
        "started_at": job.started_at.isoformat() if job.started_at else None,
        "ended_at": job.ended_at.isoformat() if job.ended_at else None,
        "error": dict(job.error) or None,
        **({"search": job.request["search"]} if job.kind is JobKind.QUERY else {}),
        **job.report,
    }
    if service is not None:
        now = service.now()
        plain |= {"items_per_s": job.rate(now), "seconds_left": job.seconds_left(now)}
    return plain


def item_dict(item: JobItem) -> dict[str, Any]:
    """An item of a job."""
    return {
        "number": item.number,
        "key": item.key,
        "label": item.label,
        "state": str(item.state),
        "attempts": item.attempts,
        "resent": item.resent,
        "status": item.status,
        "detail": dict(item.detail),
        "changed_at": item.changed_at.isoformat(),
    }


def schedule_dict(one: Schedule) -> dict[str, Any]:
    """A schedule."""
    return {
        "id": one.id,
        "title": one.title,
        "kind": str(one.kind),
        "parameters": dict(one.parameters),
        "cron": one.cron,
        "time_zone": one.time_zone,
        "owner": one.owner,
        "environment": one.environment,
        "is_enabled": one.is_enabled,
        "created_at": one.created_at.isoformat(),
        "next_at": one.next_at.isoformat() if one.is_enabled else None,
        "last_at": one.last_at.isoformat() if one.last_at else None,
        "last_job": one.last_job,
        "error": dict(one.error) or None,
    }


def account_dict(one: Account) -> dict[str, Any]:
    """An account."""
    return {
        "id": one.id,
        "name": one.name,
        "display_name": one.display_name,
        "source": one.source,
        "subject": one.subject,
        "roles": sorted(one.roles),
        "is_active": one.is_active,
        "has_totp": one.has_totp,
        "created_at": one.created_at.isoformat(),
        "last_sign_in_at": one.last_sign_in_at.isoformat() if one.last_sign_in_at else None,
    }


def token_dict(one: ApiToken, owner: str) -> dict[str, Any]:
    """An API token of an owner, by sign-in name; without its text."""
    has_ended = one.expires_at <= datetime.datetime.now(datetime.UTC)
    state = "revoked" if one.revoked_at is not None else "expired" if has_ended else "valid"
    return {
        "id": one.id,
        "owner": owner,
        "roles": sorted(one.roles),
        "label": one.label,
        "state": state,
        "created_at": one.created_at.isoformat(),
        "expires_at": one.expires_at.isoformat(),
        "used_at": one.used_at.isoformat() if one.used_at else None,
        "revoked_at": one.revoked_at.isoformat() if one.revoked_at else None,
    }


def verification_dict(found: Verification) -> dict[str, Any]:
    """Whether the audit log is as it was written."""
    broken = found.broken
    return {
        "ok": broken is None,
        "entries": found.entries,
        "first": found.first,
        "anchor": str(found.last) if found.last else None,
        "anchors_compared": found.anchors,
        "earlier_keys": [{"through": through, "checked": is_known} for through, is_known in found.given_up],
        "broken": broken
        and {
            "entry": broken.seq,
            "through": broken.through,
            "what": str(broken.kind),
            "explanation": broken.explanation,
            "at": broken.at.isoformat() if broken.at else None,
        },
    }


def day_dict(day: DaySum) -> dict[str, Any]:
    """A day of a server's monitoring."""
    return {
        "day": day.day.isoformat(),
        "up_s": round(day.up_s, 3),
        "down_s": round(day.down_s, 3),
        "unmonitored_s": round(day.unmonitored_s, 3),
        "uptime": day.uptime,
        "checks": day.checks,
        "failures": day.failures,
        "latency_min_ms": day.latency_min_ms,
        "latency_mean_ms": day.latency_mean_ms,
        "latency_max_ms": day.latency_max_ms,
    }


def check_dict(one: Check) -> dict[str, Any]:
    """A check of a server."""
    return {"at": one.at.isoformat(), "ok": one.ok, "latency_ms": one.latency_ms, "error": one.heading or None}


def event_dict(one: StateChange) -> dict[str, Any]:
    """That a server went down or came up."""
    return {
        "event": one.id,
        "server": one.server_id,
        "state": str(one.state),
        "since": one.at.isoformat(),
        "previous_state_lasted_s": one.lasted_s,
        "error": one.heading or None,
    }


def answer_dict(answer: StoredAnswer) -> dict[str, Any]:
    """What a server said to a search, without its matches."""
    error: Mapping[str, Any] | None = answer.error
    return {
        "server": answer.server_id,
        "name": answer.name,
        "environment": answer.environment,
        "state": answer.state,
        "seconds": round(answer.seconds, 3),
        "found": answer.found,
        "truncated": answer.truncated,
        "error": dict(error) if error else None,
        "warning": answer.warning,
        "notes": list(answer.notes),
    }


def merged_dict(row: MergedFound) -> dict[str, Any]:
    """The same patient, study, series or instance, as each server has it."""
    return {
        "values": dict(row.match.values),
        "differs": list(row.differs),
        "servers": [
            {"server": one.answer.server_id, "series": one.match.series, "instances": one.match.instances}
            for one in row.found
        ],
    }
