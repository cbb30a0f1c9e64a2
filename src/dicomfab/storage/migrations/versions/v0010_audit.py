"""The audit log: entries that can only be added, and the segments of it that were taken away by retention."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make the tables, and the triggers that refuse to change what is in them."""
    op.create_table(
        "audit_entry",
        sa.Column("seq", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("outcome", sa.String(8), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("environment", sa.String(8), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("mac", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit_entry"),
    )
    op.create_index("ix_audit_entry_at", "audit_entry", ["at"])
    op.create_index("ix_audit_entry_actor", "audit_entry", ["actor", "seq"])
    op.create_table(
        "audit_segment",
        sa.Column("through_seq", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("mac", sa.String(64), nullable=False),
        sa.Column("closed_at", sa.DateTime, nullable=False),
        sa.Column("seal", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("through_seq", name="pk_audit_segment"),
    )
    op.execute("INSERT INTO revision (subject, number) VALUES ('audit', 0)")
    if op.get_bind().dialect.name == "sqlite":
        _triggers_of_sqlite()
    else:
        _triggers_of_postgres()


def _triggers_of_sqlite() -> None:
    refuse = "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
    kept = "OLD.seq > coalesce((SELECT max(through_seq) FROM audit_segment), 0)"
    # INSERT OR REPLACE deletes without firing the trigger for it.
    used = "NEW.seq <= coalesce((SELECT max(seq) FROM audit_entry), 0)"
    for name, what in (
        ("audit_entry_update", "BEFORE UPDATE ON audit_entry"),
        ("audit_entry_delete", f"BEFORE DELETE ON audit_entry WHEN {kept}"),
        ("audit_entry_insert", f"BEFORE INSERT ON audit_entry WHEN {used}"),
        ("audit_segment_update", "BEFORE UPDATE ON audit_segment"),
        ("audit_segment_delete", "BEFORE DELETE ON audit_segment"),
    ):
        op.execute(f"CREATE TRIGGER {name} {what} {refuse}")


def _triggers_of_postgres() -> None:
    op.execute(
        "CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'restrict_violation'; END $$"
    )
    op.execute(
        "CREATE FUNCTION audit_entry_kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF OLD.seq > coalesce((SELECT max(through_seq) FROM audit_segment), 0) THEN "
        "RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'restrict_violation'; END IF; "
        "RETURN OLD; END $$"
    )
    for name, what, function in (
        ("audit_entry_update", "BEFORE UPDATE ON audit_entry FOR EACH ROW", "audit_append_only"),
        ("audit_entry_delete", "BEFORE DELETE ON audit_entry FOR EACH ROW", "audit_entry_kept"),
        ("audit_entry_truncate", "BEFORE TRUNCATE ON audit_entry FOR EACH STATEMENT", "audit_append_only"),
        ("audit_segment_change", "BEFORE UPDATE OR DELETE ON audit_segment FOR EACH ROW", "audit_append_only"),
        ("audit_segment_truncate", "BEFORE TRUNCATE ON audit_segment FOR EACH STATEMENT", "audit_append_only"),
    ):
        op.execute(f"CREATE TRIGGER {name} {what} EXECUTE FUNCTION {function}()")
