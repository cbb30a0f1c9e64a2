"""The audit log of an installation."""

from __future__ import annotations

import socket

from dicomfab.app.settings import Settings
from dicomfab.services.audit import AuditService
from dicomfab.storage.audit import AuditLog
from dicomfab.storage.audit_anchors import AnchorFile
from dicomfab.storage.audit_key import KeyFile
from dicomfab.storage.database import Database


def audit_of(database: Database, settings: Settings) -> AuditService:
    """The log in its database, its key and its anchors outside."""
    key = KeyFile(settings.audit_key, make=settings.audit_key_file is None)
    log = AuditLog(database, key, AnchorFile(settings.audit_anchors))
    return AuditService(log, f"dicomfab@{socket.gethostname()}", database.now, keep_days=settings.audit_keep_days)
