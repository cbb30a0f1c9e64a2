"""How a PACS server is asked, and as whom over DICOMweb; the servers that are there go on with DIMSE."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the columns."""
    for column in (
        sa.Column("dicomweb_user", sa.String(200), nullable=False, server_default=""),
        sa.Column("dicomweb_secret_file", sa.String(1000), nullable=False, server_default=""),
        sa.Column("via", sa.String(8), nullable=False, server_default="dimse"),
    ):
        op.add_column("pacs_server", column)
