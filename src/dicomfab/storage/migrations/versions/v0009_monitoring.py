"""Monitoring: settings and state of each server, its checks, its days, its events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "monitor",
        sa.Column("server_id", sa.String(64), nullable=False),
        sa.Column("is_on", sa.Boolean, nullable=True),
        sa.Column("set_for", sa.String(8), nullable=False),
        sa.Column("interval_s", sa.Float, nullable=True),
        sa.Column("next_at", sa.DateTime, nullable=True),
        sa.Column("busy_until", sa.DateTime, nullable=True),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("since", sa.DateTime, nullable=True),
        sa.Column("last_at", sa.DateTime, nullable=True),
        sa.Column("last_ok", sa.Boolean, nullable=True),
        sa.Column("latency_ms", sa.Float, nullable=True),
        sa.Column("error", sa.JSON, nullable=False),
        sa.Column("failures_in_a_row", sa.Integer, nullable=False),
        sa.Column("failing_since", sa.DateTime, nullable=True),
        sa.Column("checks", sa.BigInteger, nullable=False),
        sa.Column("failures", sa.BigInteger, nullable=False),
        _of_server("monitor"),
        sa.PrimaryKeyConstraint("server_id", name="pk_monitor"),
    )
    op.create_table(
        "monitor_check",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("server_id", sa.String(64), nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("ok", sa.Boolean, nullable=False),
        sa.Column("latency_ms", sa.Float, nullable=True),
        sa.Column("heading", sa.String(64), nullable=False),
        _of_server("monitor_check"),
        sa.PrimaryKeyConstraint("id", name="pk_monitor_check"),
    )
    op.create_index("ix_monitor_check_server_id", "monitor_check", ["server_id", "at"])
    op.create_index("ix_monitor_check_at", "monitor_check", ["at"])
    op.create_table(
        "monitor_day",
        sa.Column("server_id", sa.String(64), nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("up_s", sa.Float, nullable=False),
        sa.Column("down_s", sa.Float, nullable=False),
        sa.Column("checks", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("latency_min_ms", sa.Float, nullable=True),
        sa.Column("latency_max_ms", sa.Float, nullable=True),
        sa.Column("latency_sum_ms", sa.Float, nullable=False),
        _of_server("monitor_day"),
        sa.PrimaryKeyConstraint("server_id", "day", name="pk_monitor_day"),
    )
    op.create_table(
        "monitor_event",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("server_id", sa.String(64), nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("heading", sa.String(64), nullable=False),
        sa.Column("lasted_s", sa.Float, nullable=True),
        sa.Column("tell_at", sa.DateTime, nullable=True),
        sa.Column("tries", sa.Integer, nullable=False),
        _of_server("monitor_event"),
        sa.PrimaryKeyConstraint("id", name="pk_monitor_event"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_monitor_event_server_id", "monitor_event", ["server_id", "at"])


def _of_server(table: str) -> sa.ForeignKeyConstraint:
    """A server that is removed takes its history with it."""
    name = f"fk_{table}_server_id"
    return sa.ForeignKeyConstraint(["server_id"], ["pacs_server.id"], name=name, ondelete="CASCADE")
