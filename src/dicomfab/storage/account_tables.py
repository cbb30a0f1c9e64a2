"""The tables of signing in: accounts, sessions, tokens, groups, and sign-ins that are under way or went wrong."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    UniqueConstraint,
)

from dicomfab.storage.tables import UtcDateTime, metadata

# Whoever may sign in. A source and what identifies the person there are one account, for ever; local passwords and
# second factors are kept here. `version` grows with each change that what was proven before does not survive.
account = Table(
    "account",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("source", String(32), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("name", String(200), nullable=False),
    Column("display_name", String(200), nullable=False),
    Column("roles", JSON, nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("password_hash", String(300), nullable=False),
    Column("totp_secret", String(64), nullable=False),
    Column("totp_offered", String(64), nullable=False),
    Column("totp_step", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("last_sign_in_at", UtcDateTime, nullable=True),
    Column("checked_at", UtcDateTime, nullable=False),
    Column("version", Integer, nullable=False),
    UniqueConstraint("source", "subject"),
    sqlite_autoincrement=True,  # the number of an account that was removed never means another
)

# Browsers that are signed in. `elsewhere` is what an identity provider knows the session by.
session = Table(
    "session",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("token_hash", String(64), nullable=False),
    Column("account_id", Integer, ForeignKey("account.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("address", String(64), nullable=False),
    Column("user_agent", String(200), nullable=False),
    Column("elsewhere", JSON, nullable=True),
    UniqueConstraint("token_hash"),
    Index("ix_session_account_id", "account_id"),
    sqlite_autoincrement=True,
)

# Groups of directories and the roles that they give. `folded` is the name in which capital letters make no difference.
group_role = Table(
    "group_role",
    metadata,
    Column("folded", String(400), primary_key=True),
    Column("name", String(400), nullable=False),
    Column("roles", JSON, nullable=False),
)

# Browsers that are at an identity provider, or have come back with a SAML answer. Each row is used once.
sign_in_request = Table(
    "sign_in_request",
    metadata,
    Column("key_hash", String(64), primary_key=True),
    Column("source", String(32), nullable=False),
    Column("browser_hash", String(64), nullable=False),
    Column("given", JSON, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)

# Answers of identity providers that were used, until they are not valid any more.
used_answer = Table(
    "used_answer",
    metadata,
    Column("key_hash", String(64), primary_key=True),
    Column("expires_at", UtcDateTime, nullable=False),
)

# How the last sign-ins by directories and identity providers went, without secrets.
sign_in_trace = Table(
    "sign_in_trace",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("source", String(32), nullable=False),
    Column("name", String(200), nullable=False),
    Column("came", String(32), nullable=False),
    Column("steps", JSON, nullable=False),
    sqlite_autoincrement=True,
)

api_token = Table(
    "api_token",
    metadata,
    Column("id", String(8), primary_key=True),
    Column("token_hash", String(64), nullable=False),
    Column("account_id", Integer, ForeignKey("account.id", ondelete="CASCADE"), nullable=False),
    Column("label", String(100), nullable=False),
    Column("roles", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime, nullable=True),
    Column("revoked_at", UtcDateTime, nullable=True),
    Index("ix_api_token_account_id", "account_id"),
)

# Attempts to sign in that have not succeeded. Names are hashed: what is typed as a name may be a password.
sign_in_failure = Table(
    "sign_in_failure",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name_hash", String(64), nullable=False),
    Column("address", String(64), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Index("ix_sign_in_failure_address", "address", "at"),
    Index("ix_sign_in_failure_at", "at"),
    sqlite_autoincrement=True,
)

# The code that makes the first administrator; one row at most.
set_up_code = Table(
    "set_up_code",
    metadata,
    Column("code_hash", String(64), primary_key=True),
    Column("expires_at", UtcDateTime, nullable=False),
)
