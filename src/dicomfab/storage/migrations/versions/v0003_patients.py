"""Registered patients, and the identifiers that were given out."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "patient",
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("patient_id", sa.String(64), nullable=False),
        sa.Column("issuer", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("birth_date", sa.String(8), nullable=False),
        sa.Column("sex", sa.String(1), nullable=False),
        sa.Column("size_m", sa.Float, nullable=True),
        sa.Column("weight_kg", sa.Float, nullable=True),
        sa.Column("notes", sa.Text, nullable=False),
        sa.Column("search_text", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("changed_at", sa.DateTime, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_patient"),
        sa.UniqueConstraint("patient_id", "issuer", name="uq_patient_patient_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "id_sequence",
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("pattern", sa.String(1200), nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("next_index", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("purpose", "pattern", name="pk_id_sequence"),
    )
    op.create_table(
        "issued_id",
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("value", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("purpose", "value", name="pk_issued_id"),
    )
