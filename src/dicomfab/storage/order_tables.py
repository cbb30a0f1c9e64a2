"""The tables of orders and of what follows from them: messages, procedures, steps, and what was performed."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
)

from dicomfab.storage.tables import UtcDateTime, metadata

# Orders that somebody pasted or sent, with their message. What is searched stands in columns of its own.
imaging_order = Table(
    "imaging_order",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("environment", String(8), nullable=False),
    Column("state", String(16), nullable=False),
    Column("accession_number", String(64), nullable=False),
    Column("search_text", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("content", JSON, nullable=False),
    Column("studies", JSON, nullable=False),
    Column("added_by", String(200), nullable=False),
    Column("added_at", UtcDateTime, nullable=False),
    Column("procedure", Integer),
    Column("hl7_message", Integer),
    Index("ix_imaging_order_accession_number", "accession_number"),
    Index("ix_imaging_order_procedure", "procedure"),
    sqlite_autoincrement=True,
)

# Every HL7 message, before anything is done with it: what a resend is recognised by.
hl7_message = Table(
    "hl7_message",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("direction", String(8), nullable=False),
    Column("environment", String(8), nullable=False),
    Column("peer", String(200), nullable=False),
    Column("sender", String(200), nullable=False),
    Column("control_id", String(200), nullable=False),
    Column("message_type", String(32), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("state", String(16), nullable=False),
    Column("code", String(2), nullable=False),
    Column("acknowledgement", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("repeats", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("ix_hl7_message_control_id", "control_id", "sender"),
    Index("ix_hl7_message_state", "state"),
    sqlite_autoincrement=True,
)

# Where a message that goes out has to go. One with a moment waits for it; one without is sent by whoever asked for it.
hl7_delivery = Table(
    "hl7_delivery",
    metadata,
    Column("message", Integer, ForeignKey("hl7_message.number", ondelete="CASCADE"), primary_key=True),
    Column("environment", String(8), nullable=False),
    Column("host", String(200), nullable=False),
    Column("port", Integer, nullable=False),
    Column("tls", JSON, nullable=True),
    Column("attempts", Integer, nullable=False),
    Column("next_at", UtcDateTime),
    Index("ix_hl7_delivery_next_at", "next_at"),
)

requested_procedure = Table(
    "requested_procedure",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("environment", String(8), nullable=False),
    Column("study_instance_uid", String(64), nullable=False, unique=True),
    Column("accession_number", String(64), nullable=False),
    Column("requested_procedure_id", String(64), nullable=False),
    Column("placer_order_number", String(64), nullable=False),
    Column("filler_order_number", String(64), nullable=False),
    Column("patient_id", String(64), nullable=False),
    Column("issuer", String(64), nullable=False),
    Column("is_over", Boolean, nullable=False),
    Column("search_text", Text, nullable=False),
    Column("fields", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    *(
        Index(f"ix_requested_procedure_{name}", name)
        for name in ("accession_number", "placer_order_number", "filler_order_number", "patient_id")
    ),
    sqlite_autoincrement=True,
)

scheduled_step = Table(
    "scheduled_step",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("procedure", Integer, ForeignKey("requested_procedure.number", ondelete="CASCADE"), nullable=False),
    Column("environment", String(8), nullable=False),
    Column("step_id", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("is_over", Boolean, nullable=False),
    Column("modality", String(16), nullable=False),
    Column("station_ae_title", String(16), nullable=False),
    Column("start_date", String(8), nullable=False),
    Column("start_time", String(16), nullable=False),
    Column("fields", JSON, nullable=False),
    Index("ix_scheduled_step_procedure", "procedure"),
    # What a station's day is found by.
    Index("ix_scheduled_step_start", "is_over", "environment", "start_date", "station_ae_title"),
    sqlite_autoincrement=True,
)

# What happened to a procedure, in order.
procedure_event = Table(
    "procedure_event",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("procedure", Integer, ForeignKey("requested_procedure.number", ondelete="CASCADE"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("text", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("message", Integer),
    Column("reference", String(64), nullable=False),
    Index("ix_procedure_event_procedure", "procedure"),
)

# Modality performed procedure steps, as modalities report them; attributes in the JSON model (PS3.18 annex F).
performed_step = Table(
    "performed_step",
    metadata,
    Column("sop_instance_uid", String(64), primary_key=True),
    Column("environment", String(8), nullable=False),
    Column("state", String(16), nullable=False),
    Column("calling_ae_title", String(16), nullable=False),
    Column("attributes", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)

# Which scheduled steps a performed one is for: several in a group case, none for an examination that nobody ordered.
performed_for = Table(
    "performed_for",
    metadata,
    Column(
        "performed_step",
        String(64),
        ForeignKey("performed_step.sop_instance_uid", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("procedure", Integer, ForeignKey("requested_procedure.number", ondelete="CASCADE"), nullable=False),
    Column("step", Integer, primary_key=True),
    Index("ix_performed_for_procedure", "procedure"),
)

# Patients of whom another ID is known now, and whether the local studies say so yet.
patient_merge = Table(
    "patient_merge",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("environment", String(8), nullable=False),
    Column("prior_id", String(64), nullable=False),
    Column("prior_issuer", String(64), nullable=False),
    Column("patient_id", String(64), nullable=False),
    Column("issuer", String(64), nullable=False),
    Column("fields", JSON, nullable=False),
    Column("message", Integer),
    Column("is_done", Boolean, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    sqlite_autoincrement=True,
)
