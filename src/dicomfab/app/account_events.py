"""What happened to accounts, or by them, as entries of the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from dicomfab.model.account import AccountEvent, AccountEventKind, Refusal
from dicomfab.model.audit import AuditEvent, EventKind, Outcome
from dicomfab.services.account_rules import OnEvent
from dicomfab.services.recording import Record

if TYPE_CHECKING:
    from dicomfab.storage.audit import Transaction

KINDS: Final[Mapping[AccountEventKind, EventKind]] = {
    AccountEventKind.SIGNED_IN: EventKind.SIGN_IN,
    AccountEventKind.SIGNED_OUT: EventKind.SIGN_OUT,
    AccountEventKind.REFUSED: EventKind.SIGN_IN,
    AccountEventKind.SET_UP_OFFERED: EventKind.USER_CHANGE,
    AccountEventKind.ADDED: EventKind.USER_CHANGE,
    AccountEventKind.ROLES_CHANGED: EventKind.ROLE_CHANGE,
    AccountEventKind.RENAMED: EventKind.USER_CHANGE,
    AccountEventKind.DISABLED: EventKind.USER_CHANGE,
    AccountEventKind.ENABLED: EventKind.USER_CHANGE,
    AccountEventKind.REMOVED: EventKind.USER_CHANGE,
    AccountEventKind.PASSWORD_CHANGED: EventKind.USER_CHANGE,
    AccountEventKind.TOTP_ON: EventKind.USER_CHANGE,
    AccountEventKind.TOTP_OFF: EventKind.USER_CHANGE,
    AccountEventKind.SESSIONS_ENDED: EventKind.USER_CHANGE,
    AccountEventKind.TOKEN_MADE: EventKind.TOKEN_CHANGE,
    AccountEventKind.TOKEN_REVOKED: EventKind.TOKEN_CHANGE,
    AccountEventKind.GROUP_CHANGED: EventKind.ROLE_CHANGE,
}


def recording(record: Record) -> OnEvent:
    """Have each account event recorded, in the transaction of what it tells of."""

    def told(event: AccountEvent, within: Transaction | None = None) -> None:
        record(entry(event), within=within)

    return told


def entry(event: AccountEvent) -> AuditEvent:
    """An account event for the audit log. A refused sign-in is a minor failure, one too many a serious one."""
    outcome = Outcome.SUCCESS
    if event.refusal is not None:
        outcome = Outcome.SERIOUS if event.refusal is Refusal.TOO_MANY else Outcome.MINOR
    # Whoever signs in, or makes the first administrator, is not known by anything else yet.
    return AuditEvent(
        kind=KINDS[event.kind],
        actor=event.by or event.name,
        source=event.source,
        door=event.door or "web",
        address=event.address,
        outcome=outcome,
        reason=str(event.refusal or ""),
        subject=event.name,
        detail={"change": str(event.kind), **event.detail},
    )
