"""Roles of groups, sign-ins that are under way at an identity provider, and how sign-ins went."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"

_DEFAULTS = {
    "DF-Admin": "admin",
    "DF-TestWrite": "test_write",
    "DF-TestRead": "test_read",
    "DF-ProdWrite": "prod_write",
    "DF-ProdRead": "prod_read",
}


def upgrade() -> None:
    """Make the tables; give the usual groups their roles."""
    group_role = op.create_table(
        "group_role",
        sa.Column("folded", sa.String(400), nullable=False),
        sa.Column("name", sa.String(400), nullable=False),
        sa.Column("roles", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("folded", name="pk_group_role"),
    )
    op.bulk_insert(
        group_role,
        [{"folded": name.casefold(), "name": name, "roles": [role]} for name, role in _DEFAULTS.items()],
    )
    op.create_table(
        "sign_in_request",
        sa.Column("key_hash", sa.String(64), nullable=False),
        sa.Column("source", sa.String(32), nullable=False),
        sa.Column("browser_hash", sa.String(64), nullable=False),
        sa.Column("given", sa.JSON, nullable=False),
        sa.Column("expires_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("key_hash", name="pk_sign_in_request"),
    )
    op.create_table(
        "used_answer",
        sa.Column("key_hash", sa.String(64), nullable=False),
        sa.Column("expires_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("key_hash", name="pk_used_answer"),
    )
    op.create_table(
        "sign_in_trace",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("source", sa.String(32), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("came", sa.String(32), nullable=False),
        sa.Column("steps", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sign_in_trace"),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("session") as batch:
        batch.add_column(sa.Column("elsewhere", sa.JSON, nullable=True))
