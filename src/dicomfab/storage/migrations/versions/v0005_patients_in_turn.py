"""Changes of patients and identifiers take turns, as those of servers and jobs do."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the row that they wait for."""
    op.execute("INSERT INTO revision (subject, number) VALUES ('patients', 0)")
