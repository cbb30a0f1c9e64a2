"""How long a C-MOVE or C-GET may be silent, for each server."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Add the column; what is there goes on as before."""
    op.add_column("pacs_server", sa.Column("retrieve_timeout_s", sa.Float, nullable=False, server_default="300"))
