"""Accounts, and what stands for one of them: sessions and API tokens. What is secret about them is in no value here."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from dicomfab.model.actor import Actor, Role

LOCAL: Final = "local"
"""The source of accounts whose password and roles are kept here."""


class Refusal(enum.StrEnum):
    """The true reason why somebody was refused: for the audit trail, never for who asked."""

    UNKNOWN_NAME = "unknown_name"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - the name of a reason
    DISABLED = "disabled"
    CHANGED = "changed"  # the account was changed while its password was being checked
    UNKNOWN_SOURCE = "unknown_source"
    GONE = "gone"  # its directory does not know it any more
    CODE_MISSING = "code_missing"
    WRONG_CODE = "wrong_code"
    CODE_USED = "code_used"
    TOO_MANY = "too_many"
    SESSION_UNKNOWN = "session_unknown"
    SESSION_IDLE = "session_idle"
    SESSION_EXPIRED = "session_expired"
    TOKEN_UNKNOWN = "token_unknown"  # noqa: S105
    TOKEN_EXPIRED = "token_expired"  # noqa: S105
    TOKEN_REVOKED = "token_revoked"  # noqa: S105
    SET_UP_CODE = "set_up_code"
    LOCKED = "locked"  # these and the next by its directory
    ACCOUNT_EXPIRED = "account_expired"
    PASSWORD_EXPIRED = "password_expired"  # noqa: S105
    MUST_CHANGE_PASSWORD = "must_change_password"  # noqa: S105
    LOGON_HOURS = "logon_hours"
    WORKSTATION = "workstation"
    AMBIGUOUS = "ambiguous"  # two entries of a directory bear the name
    NO_GROUP = "no_group"  # it is in none of the groups that give a role
    NOT_ASKED = "not_asked"  # an answer of an identity provider that nobody here, or another browser, asked for
    REPLAYED = "replayed"  # an answer that was used before
    ANSWER_INVALID = "answer_invalid"
    DENIED_THERE = "denied_there"  # the identity provider says no, or the person broke off
    STALE = "stale"  # its identity provider has to be asked again, by the browser


@dataclass(frozen=True, slots=True)
class Identity:
    """A person, as a source of accounts has proven it.

    Args:
        source: ``local`` or the name of a directory.
        subject: what identifies the person there for ever.
        name: the sign-in name.
        display_name: for people.
        roles: those that the source gives.
    """

    source: str
    subject: str
    name: str
    display_name: str
    roles: frozenset[Role]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person who may sign in. Source and subject together identify it.

    Args:
        id: number in this installation.
        source, subject, name, display_name, roles: as of :class:`Identity`.
        is_active: whether it may be used.
        has_password: whether there is one here.
        has_totp: whether it needs the code of a second factor.
        created_at, last_sign_in_at, checked_at: with time zone; the last is when its source gave the roles.
        version: grows with each change of what it may do or how it is proven.
    """

    id: int
    source: str
    subject: str
    name: str
    display_name: str
    roles: frozenset[Role]
    is_active: bool
    has_password: bool
    has_totp: bool
    created_at: datetime
    last_sign_in_at: datetime | None
    checked_at: datetime
    version: int

    @property
    def is_admin(self) -> bool:
        """Whether it is an administrator now."""
        return self.is_active and Role.ADMIN in self.roles


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A browser that is signed in.

    Args:
        id: number in this installation; it opens nothing.
        account_id: whose it is.
        created_at, seen_at, expires_at: with time zone; the second is written once a minute.
        address: where it was signed in from.
        user_agent: what the browser calls itself.
        elsewhere: what its identity provider knows the session by, so that it can be ended there as well.
    """

    id: int
    account_id: int
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    address: str
    user_agent: str
    elsewhere: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """What a program shows instead of a password.

    Args:
        id: eight characters, which begin the token and open nothing.
        account_id: whose it is.
        label: what it is for.
        roles: asked for when it was made; it never has more than its owner has now.
        created_at, expires_at, used_at, revoked_at: with time zone.
    """

    id: str
    account_id: int
    label: str
    roles: frozenset[Role]
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who asks, known by a session or a token.

    Args:
        actor: as whom the services are asked.
        account: whose it is.
        session: if it came with one.
        token: if it came with one.
    """

    actor: Actor
    account: Account
    session: Session | None = None
    token: ApiToken | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from.

    Args:
        address: of the peer, or of whom a trusted proxy names; empty if there is none.
        user_agent: what the browser calls itself.
    """

    address: str = ""
    user_agent: str = ""


class AccountEventKind(enum.StrEnum):
    """What happened to an account, or by it."""

    SIGNED_IN = "signed_in"
    SIGNED_OUT = "signed_out"
    REFUSED = "refused"
    SET_UP_OFFERED = "set_up_offered"
    ADDED = "added"
    ROLES_CHANGED = "roles_changed"
    RENAMED = "renamed"
    DISABLED = "disabled"
    ENABLED = "enabled"
    REMOVED = "removed"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105
    TOTP_ON = "totp_on"
    TOTP_OFF = "totp_off"
    SESSIONS_ENDED = "sessions_ended"
    TOKEN_MADE = "token_made"  # noqa: S105
    TOKEN_REVOKED = "token_revoked"  # noqa: S105
    GROUP_CHANGED = "group_changed"


@dataclass(frozen=True, slots=True)
class AccountEvent:
    """One thing to be written into the audit trail, with the change that it tells of.

    Args:
        kind: what.
        by: who did it; empty while nobody is signed in.
        name: sign-in name of the account, or what was typed as one.
        source: of the account.
        refusal: the true reason, of what was refused.
        address: where it came from, if known.
        detail: roles, numbers and the like, as text.
        door: where the request came in, if known.
    """

    kind: AccountEventKind
    by: str = ""
    name: str = ""
    source: str = LOCAL
    refusal: Refusal | None = None
    address: str = ""
    detail: Mapping[str, str] = field(default_factory=dict)
    door: str = ""
