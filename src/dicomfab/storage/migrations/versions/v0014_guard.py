"""Whose account a job and a schedule are of, what queues a worker takes from, and where production once was."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add the columns and the table."""
    op.add_column("job", sa.Column("account_id", sa.Integer, nullable=True))
    op.add_column("schedule", sa.Column("account_id", sa.Integer, nullable=True))
    op.add_column("worker", sa.Column("queues", sa.JSON, nullable=False, server_default="[]"))
    op.create_table(
        "former_production",
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("port", sa.Integer, nullable=False),
        sa.Column("aec", sa.String(16), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("host", "port", "aec", name="pk_former_production"),
    )
