"""The tables as they are now. Migrations lead here; a test compares the two."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    true,
)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, kept in UTC without a zone, so that every database compares it alike."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a time without a zone: which moment it means would be a guess."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the zone back."""
        return None if value is None else value.replace(tzinfo=UTC)


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

# One row for each thing that is changed by reading, computing and writing back. Whoever writes raises the revision
# first, and so waits for whoever is writing: on SQLite by its one write lock, elsewhere by the lock on the row.
revision = Table(
    "revision",
    metadata,
    Column("subject", String(32), primary_key=True),
    Column("number", Integer, nullable=False),
)

pacs_server = Table(
    "pacs_server",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("host", String(255), nullable=False),
    Column("port", Integer, nullable=False),
    Column("aec", String(16), nullable=False),
    Column("environment", String(8), nullable=False),
    Column("description", String(500), nullable=False),
    Column("aet_find", String(16), nullable=False),
    Column("aet_store", String(16), nullable=False),
    Column("aet_echo", String(16), nullable=False),
    Column("aet_move", String(16), nullable=False),
    Column("aet_get", String(16), nullable=False),
    Column("capabilities", JSON, nullable=False),
    Column("connect_timeout_s", Float, nullable=False),
    Column("association_timeout_s", Float, nullable=False),
    Column("dimse_timeout_s", Float, nullable=False),
    Column("retrieve_timeout_s", Float, nullable=False, server_default="300"),
    Column("max_associations", Integer, nullable=False, server_default="2"),
    Column("max_pdu", Integer, nullable=False, server_default="0"),
    Column("rate_per_minute", Integer, nullable=False, server_default="0"),
    Column("permitted_hours", String(200), nullable=False, server_default=""),
    Column("fallback_charset", String(32), nullable=False),
    Column("dicomweb_root", String(500), nullable=False),
    Column("tls", Boolean, nullable=False, server_default=false()),
    Column("tls_ca_file", String(1000), nullable=False, server_default=""),
    Column("tls_certificate_file", String(1000), nullable=False, server_default=""),
    Column("tls_key_file", String(1000), nullable=False, server_default=""),
    Column("tls_verify", Boolean, nullable=False, server_default=true()),
    Column("tls_profile", String(32), nullable=False, server_default="bcp-195"),
    Column("tls_server_name", String(255), nullable=False, server_default=""),
    Column("is_default", Boolean, nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("notes", Text, nullable=False),
    Column("allow_synthetic", Boolean, nullable=False, server_default=false()),
    Column("allow_real", Boolean, nullable=False, server_default=false()),
    Column("group", String(200), nullable=False, server_default=""),
    Column("dicomweb_user", String(200), nullable=False, server_default=""),
    Column("dicomweb_secret_file", String(1000), nullable=False, server_default=""),
    Column("via", String(8), nullable=False, server_default="dimse"),
)

move_route = Table(
    "move_route",
    metadata,
    Column("source", String(64), ForeignKey("pacs_server.id", ondelete="CASCADE"), primary_key=True),
    Column("destination", String(64), ForeignKey("pacs_server.id", ondelete="CASCADE"), primary_key=True),
    Column("ae_title", String(16), nullable=False),
)

# Where production servers stood that were removed or went elsewhere; the host is spelled as endpoints are compared.
former_production = Table(
    "former_production",
    metadata,
    Column("host", String(255), primary_key=True),
    Column("port", Integer, primary_key=True, autoincrement=False),
    Column("aec", String(16), primary_key=True),
    Column("name", String(64), nullable=False),
)

connection_test = Table(
    "connection_test",
    metadata,
    Column("server_id", String(64), ForeignKey("pacs_server.id", ondelete="CASCADE"), primary_key=True),
    Column("ok", Boolean, nullable=False),
    Column("tested_at", UtcDateTime, nullable=False),
    Column("latency_ms", Float, nullable=True),
    Column("message", JSON, nullable=False),
)

# The last test of each route. `tested` is what it depended on: once that is different, it says nothing any more.
route_test = Table(
    "route_test",
    metadata,
    Column("source", String(64), ForeignKey("pacs_server.id", ondelete="CASCADE"), primary_key=True),
    Column("destination", String(64), ForeignKey("pacs_server.id", ondelete="CASCADE"), primary_key=True),
    Column("outcome", String(16), nullable=False),
    Column("tested_at", UtcDateTime, nullable=False),
    Column("message", JSON, nullable=False),
    Column("tested", JSON, nullable=False),
)

# Servers that a person marked, by sign-in name.
favourite_server = Table(
    "favourite_server",
    metadata,
    Column("actor", String(200), primary_key=True),
    Column("server_id", String(64), ForeignKey("pacs_server.id", ondelete="CASCADE"), primary_key=True),
)

patient = Table(
    "patient",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("patient_id", String(64), nullable=False),
    Column("issuer", String(64), nullable=False),
    Column("name", String(200), nullable=False),
    Column("birth_date", String(8), nullable=False),
    Column("sex", String(1), nullable=False),
    Column("size_m", Float, nullable=True),
    Column("weight_kg", Float, nullable=True),
    Column("address", String(64), nullable=False, server_default=""),
    Column("phone", String(16), nullable=False, server_default=""),
    Column("notes", Text, nullable=False),
    Column("search_text", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("revision", Integer, nullable=False),
    UniqueConstraint("patient_id", "issuer"),
    sqlite_autoincrement=True,  # an address of a deleted patient never leads to another
)

# Where each pattern stands. The seed is this installation's own, so that two sites do not give out the same values.
id_sequence = Table(
    "id_sequence",
    metadata,
    Column("purpose", String(16), primary_key=True),
    Column("pattern", String(1200), primary_key=True),
    Column("seed", BigInteger, nullable=False),
    Column("next_index", BigInteger, nullable=False),
)

# Every identifier that was ever given out or registered, also of patients who are gone: none is used again.
issued_id = Table(
    "issued_id",
    metadata,
    Column("purpose", String(16), primary_key=True),
    Column("value", String(64), primary_key=True),
)

# A job and its place in the queue are one row, so they commit together. A worker holds it by a lease that it renews;
# the fence grows with each claim, and whoever writes with an older one has lost the job.
job = Table(
    "job",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("title", String(200), nullable=False),
    Column("owner", String(200), nullable=False),
    Column("roles", JSON, nullable=False),
    Column("door", String(8), nullable=False),
    Column("account_id", Integer, nullable=True),
    Column("environment", String(8), nullable=False),
    Column("queue", String(80), nullable=False),
    Column("request", JSON, nullable=False),
    Column("store_id", String(64), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("schedule", Integer, nullable=True),
    Column("state", String(16), nullable=False),
    Column("wish", String(8), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("not_before", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime, nullable=True),
    Column("ended_at", UtcDateTime, nullable=True),
    Column("worker", String(100), nullable=False),
    Column("lease_until", UtcDateTime, nullable=True),
    Column("fence", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("workers_lost", Integer, nullable=False, server_default="0"),
    Column("total", Integer, nullable=False),
    Column("done", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("held", Integer, nullable=False),
    Column("resent", Integer, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("done_at_start", Integer, nullable=False),
    Column("stage", String(100), nullable=False),
    Column("error", JSON, nullable=False),
    Column("report", JSON, nullable=False),
    Column("version", Integer, nullable=False),
    Index("ix_job_waiting", "state", "priority", "id"),
    Index("ix_job_queue", "queue", "state"),
    sqlite_autoincrement=True,  # the number of a job that was deleted never means another
)

job_item = Table(
    "job_item",
    metadata,
    Column("job_id", Integer, ForeignKey("job.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("key", String(200), nullable=False),
    Column("label", String(200), nullable=False),
    Column("request", JSON, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("resent", Integer, nullable=False),
    Column("status", String(4), nullable=False),
    Column("detail", JSON, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    UniqueConstraint("job_id", "key"),
    Index("ix_job_item_state", "job_id", "state", "number"),
)

worker = Table(
    "worker",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("process_id", Integer, nullable=False),
    Column("store_id", String(64), nullable=False),
    Column("queues", JSON, nullable=False, server_default="[]"),
    Column("started_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
)

schedule = Table(
    "schedule",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("title", String(200), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("cron", String(100), nullable=False),
    Column("time_zone", String(64), nullable=False),
    Column("owner", String(200), nullable=False),
    Column("roles", JSON, nullable=False),
    Column("door", String(8), nullable=False),
    Column("account_id", Integer, nullable=True),
    Column("environment", String(8), nullable=False),
    Column("store_id", String(64), nullable=False),
    Column("is_enabled", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("next_at", UtcDateTime, nullable=False),
    Column("last_at", UtcDateTime, nullable=True),
    Column("last_job", Integer, nullable=True),
    Column("error", JSON, nullable=False),
    sqlite_autoincrement=True,  # jobs keep the number of the schedule that made them
)

# What monitoring is told about a server, and what it knows. Whoever checks it holds it until `busy_until`.
monitor = Table(
    "monitor",
    metadata,
    Column("server_id", String(64), ForeignKey("pacs_server.id", ondelete="CASCADE"), primary_key=True),
    Column("is_on", Boolean, nullable=True),
    Column("set_for", String(8), nullable=False),
    Column("interval_s", Float, nullable=True),
    Column("next_at", UtcDateTime, nullable=True),
    Column("busy_until", UtcDateTime, nullable=True),
    Column("state", String(8), nullable=False),
    Column("since", UtcDateTime, nullable=True),
    Column("last_at", UtcDateTime, nullable=True),
    Column("last_ok", Boolean, nullable=True),
    Column("latency_ms", Float, nullable=True),
    Column("error", JSON, nullable=False),
    Column("failures_in_a_row", Integer, nullable=False),
    Column("failing_since", UtcDateTime, nullable=True),
    Column("checks", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False),
)

monitor_check = Table(
    "monitor_check",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("server_id", String(64), ForeignKey("pacs_server.id", ondelete="CASCADE"), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("ok", Boolean, nullable=False),
    Column("latency_ms", Float, nullable=True),
    Column("heading", String(64), nullable=False),
    Index("ix_monitor_check_server_id", "server_id", "at"),
    Index("ix_monitor_check_at", "at"),
)

# Days are UTC's. What is missing of a day's 86,400 s was not monitored.
monitor_day = Table(
    "monitor_day",
    metadata,
    Column("server_id", String(64), ForeignKey("pacs_server.id", ondelete="CASCADE"), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("up_s", Float, nullable=False),
    Column("down_s", Float, nullable=False),
    Column("checks", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("latency_min_ms", Float, nullable=True),
    Column("latency_max_ms", Float, nullable=True),
    Column("latency_sum_ms", Float, nullable=False),
)

# An event that the webhook has yet to be told of has a `tell_at`.
monitor_event = Table(
    "monitor_event",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("server_id", String(64), ForeignKey("pacs_server.id", ondelete="CASCADE"), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("state", String(8), nullable=False),
    Column("heading", String(64), nullable=False),
    Column("lasted_s", Float, nullable=True),
    Column("tell_at", UtcDateTime, nullable=True),
    Column("tries", Integer, nullable=False),
    Index("ix_monitor_event_server_id", "server_id", "at"),
    sqlite_autoincrement=True,
)

# The audit log. `body` is what the MAC is over; the columns before it repeat parts of it to filter by.
audit_entry = Table(
    "audit_entry",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("outcome", String(8), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("environment", String(8), nullable=False),
    Column("body", Text, nullable=False),
    Column("mac", String(64), nullable=False),
    Index("ix_audit_entry_at", "at"),
    Index("ix_audit_entry_actor", "actor", "seq"),
)

# What retention took out of the audit log: everything up to an entry, whose MAC the next one is chained to.
audit_segment = Table(
    "audit_segment",
    metadata,
    Column("through_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("mac", String(64), nullable=False),
    Column("closed_at", UtcDateTime, nullable=False),
    Column("seal", String(64), nullable=False),
)

# How far the audit log was delivered to a syslog receiver: everything up to an entry. The log itself is what waits. Who
# sends holds the row until a moment; what failed is tried again at another.
audit_delivery = Table(
    "audit_delivery",
    metadata,
    Column("destination", String(300), primary_key=True),
    Column("delivered_seq", BigInteger, nullable=False),
    Column("delivered_at", UtcDateTime),
    Column("holder", String(64), nullable=False),
    Column("held_until", UtcDateTime),
    Column("attempts", Integer, nullable=False),
    Column("next_at", UtcDateTime),
    Column("problem", JSON(none_as_null=True)),
)

# Studies that were fetched to be looked at: the least recently seen go when they take too much space.
fetched_study = Table(
    "fetched_study",
    metadata,
    Column("study_instance_uid", String(64), primary_key=True),
    Column("viewed_at", UtcDateTime, nullable=False),
)
