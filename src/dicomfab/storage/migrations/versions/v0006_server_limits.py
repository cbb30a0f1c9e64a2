"""How much a PACS server may be asked for, and when; the servers that are there get the defaults."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the columns."""
    for column in (
        sa.Column("max_associations", sa.Integer, nullable=False, server_default="2"),
        sa.Column("max_pdu", sa.Integer, nullable=False, server_default="0"),
        sa.Column("rate_per_minute", sa.Integer, nullable=False, server_default="0"),
        sa.Column("permitted_hours", sa.String(200), nullable=False, server_default=""),
    ):
        op.add_column("pacs_server", column)
