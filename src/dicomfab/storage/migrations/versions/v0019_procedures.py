"""HL7 messages with their acknowledgements; requested procedures with their steps, and what was performed of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Make the tables, and the row that their changes wait for."""
    _messages()
    _procedures()
    _steps()
    _performed()
    _merges()
    op.add_column("imaging_order", sa.Column("procedure", sa.Integer, nullable=True))
    op.add_column("imaging_order", sa.Column("hl7_message", sa.Integer, nullable=True))
    op.create_index("ix_imaging_order_procedure", "imaging_order", ["procedure"])
    op.execute("INSERT INTO revision (subject, number) VALUES ('procedures', 0)")


def _messages() -> None:
    op.create_table(
        "hl7_message",
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("direction", sa.String(8), nullable=False),
        sa.Column("environment", sa.String(8), nullable=False),
        sa.Column("peer", sa.String(200), nullable=False),
        sa.Column("sender", sa.String(200), nullable=False),
        sa.Column("control_id", sa.String(200), nullable=False),
        sa.Column("message_type", sa.String(32), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("code", sa.String(2), nullable=False),
        sa.Column("acknowledgement", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("repeats", sa.Integer, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_hl7_message"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_hl7_message_control_id", "hl7_message", ["control_id", "sender"])
    op.create_index("ix_hl7_message_state", "hl7_message", ["state"])


def _procedures() -> None:
    op.create_table(
        "requested_procedure",
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("environment", sa.String(8), nullable=False),
        sa.Column("study_instance_uid", sa.String(64), nullable=False),
        sa.Column("accession_number", sa.String(64), nullable=False),
        sa.Column("requested_procedure_id", sa.String(64), nullable=False),
        sa.Column("placer_order_number", sa.String(64), nullable=False),
        sa.Column("filler_order_number", sa.String(64), nullable=False),
        sa.Column("patient_id", sa.String(64), nullable=False),
        sa.Column("issuer", sa.String(64), nullable=False),
        sa.Column("is_over", sa.Boolean, nullable=False),
        sa.Column("search_text", sa.Text, nullable=False),
        sa.Column("fields", sa.JSON, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("changed_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_requested_procedure"),
        sa.UniqueConstraint("study_instance_uid", name="uq_requested_procedure_study_instance_uid"),
        sqlite_autoincrement=True,
    )
    for column in ("accession_number", "placer_order_number", "filler_order_number", "patient_id"):
        op.create_index(f"ix_requested_procedure_{column}", "requested_procedure", [column])
    op.create_table(
        "procedure_event",
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("procedure", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("message", sa.Integer, nullable=True),
        sa.Column("reference", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_procedure_event"),
        sa.ForeignKeyConstraint(
            ["procedure"],
            ["requested_procedure.number"],
            name="fk_procedure_event_procedure",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_procedure_event_procedure", "procedure_event", ["procedure"])


def _steps() -> None:
    op.create_table(
        "scheduled_step",
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("procedure", sa.Integer, nullable=False),
        sa.Column("environment", sa.String(8), nullable=False),
        sa.Column("step_id", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("is_over", sa.Boolean, nullable=False),
        sa.Column("modality", sa.String(16), nullable=False),
        sa.Column("station_ae_title", sa.String(16), nullable=False),
        sa.Column("start_date", sa.String(8), nullable=False),
        sa.Column("start_time", sa.String(16), nullable=False),
        sa.Column("fields", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_scheduled_step"),
        sa.ForeignKeyConstraint(
            ["procedure"],
            ["requested_procedure.number"],
            name="fk_scheduled_step_procedure",
            ondelete="CASCADE",
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_scheduled_step_procedure", "scheduled_step", ["procedure"])
    op.create_index(
        "ix_scheduled_step_start", "scheduled_step", ["is_over", "environment", "start_date", "station_ae_title"]
    )


def _performed() -> None:
    op.create_table(
        "performed_step",
        sa.Column("sop_instance_uid", sa.String(64), nullable=False),
        sa.Column("environment", sa.String(8), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("calling_ae_title", sa.String(16), nullable=False),
        sa.Column("attributes", sa.JSON, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("changed_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("sop_instance_uid", name="pk_performed_step"),
    )
    op.create_table(
        "performed_for",
        sa.Column("performed_step", sa.String(64), nullable=False),
        sa.Column("procedure", sa.Integer, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("performed_step", "step", name="pk_performed_for"),
        sa.ForeignKeyConstraint(
            ["performed_step"],
            ["performed_step.sop_instance_uid"],
            name="fk_performed_for_performed_step",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["procedure"], ["requested_procedure.number"], name="fk_performed_for_procedure", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_performed_for_procedure", "performed_for", ["procedure"])


def _merges() -> None:
    op.create_table(
        "patient_merge",
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("environment", sa.String(8), nullable=False),
        sa.Column("prior_id", sa.String(64), nullable=False),
        sa.Column("prior_issuer", sa.String(64), nullable=False),
        sa.Column("patient_id", sa.String(64), nullable=False),
        sa.Column("issuer", sa.String(64), nullable=False),
        sa.Column("fields", sa.JSON, nullable=False),
        sa.Column("message", sa.Integer, nullable=True),
        sa.Column("is_done", sa.Boolean, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_patient_merge"),
        sqlite_autoincrement=True,
    )
