"""What may be sent to a PACS server. The servers that are there keep what worked with them.

A test server takes what is fabricated, and what is real, as it did. A production server takes what is real; what is
fabricated only if it is on this machine, as those of the lab are: a hospital's own refuses it from now on, until its
entry says otherwise.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_HERE = ("localhost", "127.0.0.1", "::1")


def upgrade() -> None:
    """Add the columns, and fill them."""
    for name in ("allow_synthetic", "allow_real"):
        op.add_column("pacs_server", sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false()))
    server = sa.table(
        "pacs_server",
        sa.column("host", sa.String),
        sa.column("environment", sa.String),
        sa.column("allow_synthetic", sa.Boolean),
        sa.column("allow_real", sa.Boolean),
    )
    is_test = server.c.environment == "test"
    is_here = sa.func.lower(server.c.host).in_(_HERE)
    op.execute(server.update().values(allow_real=sa.true()))
    op.execute(server.update().where(is_test | is_here).values(allow_synthetic=sa.true()))
