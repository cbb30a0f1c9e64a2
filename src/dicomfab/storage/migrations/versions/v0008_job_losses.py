"""Jobs count the workers that ended over them; items lose their size, for which each was a statement of its own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the one column and drop the other."""
    op.add_column("job", sa.Column("workers_lost", sa.Integer, nullable=False, server_default="0"))
    op.drop_column("job_item", "size_bytes")
