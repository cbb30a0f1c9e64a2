"""How far the delivery of the audit log to its syslog receiver is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "audit_delivery",
        sa.Column("destination", sa.String(300), nullable=False),
        sa.Column("delivered_seq", sa.BigInteger, nullable=False),
        sa.Column("delivered_at", sa.DateTime, nullable=True),
        sa.Column("holder", sa.String(64), nullable=False),
        sa.Column("held_until", sa.DateTime, nullable=True),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", sa.DateTime, nullable=True),
        sa.Column("problem", sa.JSON, nullable=True),
        sa.PrimaryKeyConstraint("destination", name="pk_audit_delivery"),
    )
