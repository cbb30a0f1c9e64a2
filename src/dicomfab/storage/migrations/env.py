"""Alembic's entry point: it loads this file to run migrations on the connection it was given."""

from __future__ import annotations

from alembic import context

from dicomfab.storage import account_tables, order_tables  # noqa: F401 - their tables are part of the same metadata
from dicomfab.storage.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
