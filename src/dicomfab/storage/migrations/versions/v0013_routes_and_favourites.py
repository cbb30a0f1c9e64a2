"""Groups of servers, servers that a person marked, and the last test of each C-MOVE route."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add the column and the tables."""
    op.add_column("pacs_server", sa.Column("group", sa.String(200), nullable=False, server_default=""))
    op.create_table(
        "route_test",
        _server("source", "route_test"),
        _server("destination", "route_test"),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("tested_at", sa.DateTime, nullable=False),
        sa.Column("message", sa.JSON, nullable=False),
        sa.Column("tested", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("source", "destination", name="pk_route_test"),
    )
    op.create_table(
        "favourite_server",
        sa.Column("actor", sa.String(200), nullable=False),
        _server("server_id", "favourite_server"),
        sa.PrimaryKeyConstraint("actor", "server_id", name="pk_favourite_server"),
    )


def _server(name: str, table: str) -> sa.Column[str]:
    key = sa.ForeignKey("pacs_server.id", name=f"fk_{table}_{name}", ondelete="CASCADE")
    return sa.Column(name, sa.String(64), key, nullable=False)
