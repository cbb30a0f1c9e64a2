"""Studies that were fetched only to be looked at."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Make the table, and the row that its changes wait for."""
    op.create_table(
        "fetched_study",
        sa.Column("study_instance_uid", sa.String(64), nullable=False),
        sa.Column("viewed_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("study_instance_uid", name="pk_fetched_study"),
    )
    op.execute("INSERT INTO revision (subject, number) VALUES ('fetched', 0)")
