"""Where HL7 messages that go out have to go, and when they are tried next."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "hl7_delivery",
        sa.Column("message", sa.Integer, nullable=False),
        sa.Column("environment", sa.String(8), nullable=False),
        sa.Column("host", sa.String(200), nullable=False),
        sa.Column("port", sa.Integer, nullable=False),
        sa.Column("tls", sa.JSON, nullable=True),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", sa.DateTime, nullable=True),
        sa.PrimaryKeyConstraint("message", name="pk_hl7_delivery"),
        sa.ForeignKeyConstraint(
            ["message"], ["hl7_message.number"], name="fk_hl7_delivery_message", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_hl7_delivery_next_at", "hl7_delivery", ["next_at"])
