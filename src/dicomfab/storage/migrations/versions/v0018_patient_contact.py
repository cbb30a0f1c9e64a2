"""Where registered patients live and how they are called; those who are there have neither."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("patient", sa.Column("address", sa.String(64), nullable=False, server_default=""))
    op.add_column("patient", sa.Column("phone", sa.String(16), nullable=False, server_default=""))
