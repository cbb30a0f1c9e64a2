"""PACS servers, C-MOVE routes and the last connection test of each server."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    revisions = op.create_table(
        "revision",
        sa.Column("subject", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("subject", name="pk_revision"),
    )
    op.bulk_insert(revisions, [{"subject": "registry", "number": 0}])
    op.create_table(
        "pacs_server",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("port", sa.Integer, nullable=False),
        sa.Column("aec", sa.String(16), nullable=False),
        sa.Column("environment", sa.String(8), nullable=False),
        sa.Column("description", sa.String(500), nullable=False),
        sa.Column("aet_find", sa.String(16), nullable=False),
        sa.Column("aet_store", sa.String(16), nullable=False),
        sa.Column("aet_echo", sa.String(16), nullable=False),
        sa.Column("aet_move", sa.String(16), nullable=False),
        sa.Column("aet_get", sa.String(16), nullable=False),
        sa.Column("capabilities", sa.JSON, nullable=False),
        sa.Column("connect_timeout_s", sa.Float, nullable=False),
        sa.Column("association_timeout_s", sa.Float, nullable=False),
        sa.Column("dimse_timeout_s", sa.Float, nullable=False),
        sa.Column("fallback_charset", sa.String(32), nullable=False),
        sa.Column("dicomweb_root", sa.String(500), nullable=False),
        sa.Column("is_default", sa.Boolean, nullable=False),
        sa.Column("is_active", sa.Boolean, nullable=False),
        sa.Column("notes", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pacs_server"),
    )
    op.create_table(
        "move_route",
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("destination", sa.String(64), nullable=False),
        sa.Column("ae_title", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("source", "destination", name="pk_move_route"),
        sa.ForeignKeyConstraint(["source"], ["pacs_server.id"], name="fk_move_route_source", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["destination"], ["pacs_server.id"], name="fk_move_route_destination", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "connection_test",
        sa.Column("server_id", sa.String(64), nullable=False),
        sa.Column("ok", sa.Boolean, nullable=False),
        sa.Column("tested_at", sa.DateTime, nullable=False),
        sa.Column("latency_ms", sa.Float, nullable=True),
        sa.Column("message", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("server_id", name="pk_connection_test"),
        sa.ForeignKeyConstraint(
            ["server_id"], ["pacs_server.id"], name="fk_connection_test_server_id", ondelete="CASCADE"
        ),
    )
