"""How a PACS server is reached over TLS; the servers that are there stay as they are, without."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns."""
    for column in (
        sa.Column("tls", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("tls_ca_file", sa.String(1000), nullable=False, server_default=""),
        sa.Column("tls_certificate_file", sa.String(1000), nullable=False, server_default=""),
        sa.Column("tls_key_file", sa.String(1000), nullable=False, server_default=""),
        sa.Column("tls_verify", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("tls_profile", sa.String(32), nullable=False, server_default="bcp-195"),
        sa.Column("tls_server_name", sa.String(255), nullable=False, server_default=""),
    ):
        op.add_column("pacs_server", column)
