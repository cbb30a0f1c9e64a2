"""The audit log of an installation, and its delivery."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from dicomfab.app.settings import Settings
from dicomfab.services.audit import AuditService
from dicomfab.services.audit_delivery import AuditDelivery
from dicomfab.storage.audit import AuditLog
from dicomfab.storage.audit_anchors import AnchorFile
from dicomfab.storage.audit_delivery import AuditDeliveries
from dicomfab.storage.audit_key import KeyFile
from dicomfab.storage.database import Database

if TYPE_CHECKING:
    from dicomfab.syslog.receiver import SyslogReceiver


def audit_of(database: Database, settings: Settings) -> AuditService:
    """The log in its database, its key and its anchors outside, and where it is delivered to."""
    key = KeyFile(settings.audit_key, make=settings.audit_key_file is None)
    log = AuditLog(database, key, AnchorFile(settings.audit_anchors))
    source = f"dicomfab@{socket.gethostname()}"
    delivery = AuditDelivery(log, AuditDeliveries(database), settings.audit_syslog, source, send=_send, check=_check)
    return AuditService(log, source, database.now, keep_days=settings.audit_keep_days, delivery=delivery)


def _send(receiver: SyslogReceiver, frames: list[bytes], within_s: float) -> None:
    from dicomfab.syslog.sender import deliver

    deliver(receiver, frames, within_s=within_s)


def _check(receiver: SyslogReceiver) -> None:
    from dicomfab.syslog.sender import context_for

    context_for(receiver)
