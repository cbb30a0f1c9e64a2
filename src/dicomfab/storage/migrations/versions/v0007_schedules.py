"""Schedules, which make jobs at times that a cron expression names."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "schedule",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("parameters", sa.JSON, nullable=False),
        sa.Column("cron", sa.String(100), nullable=False),
        sa.Column("time_zone", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("roles", sa.JSON, nullable=False),
        sa.Column("door", sa.String(8), nullable=False),
        sa.Column("environment", sa.String(8), nullable=False),
        sa.Column("store_id", sa.String(64), nullable=False),
        sa.Column("is_enabled", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("next_at", sa.DateTime, nullable=False),
        sa.Column("last_at", sa.DateTime, nullable=True),
        sa.Column("last_job", sa.Integer, nullable=True),
        sa.Column("error", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_schedule"),
        sqlite_autoincrement=True,
    )
