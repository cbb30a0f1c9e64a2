"""Orders: what somebody pasted or sent, with the message that it came in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Make the table, and the row that changes of orders wait for."""
    op.create_table(
        "imaging_order",
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("environment", sa.String(8), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("accession_number", sa.String(64), nullable=False),
        sa.Column("search_text", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("content", sa.JSON, nullable=False),
        sa.Column("studies", sa.JSON, nullable=False),
        sa.Column("added_by", sa.String(200), nullable=False),
        sa.Column("added_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_imaging_order"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_imaging_order_accession_number", "imaging_order", ["accession_number"])
    op.execute("INSERT INTO revision (subject, number) VALUES ('orders', 0)")
