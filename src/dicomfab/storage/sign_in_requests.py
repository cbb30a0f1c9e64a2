"""Sign-ins that are under way at an identity provider. Each is used once, by the browser that began it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, delete, insert, select
from sqlalchemy.exc import IntegrityError

from dicomfab.storage.account_tables import sign_in_request, used_answer
from dicomfab.storage.database import Database


@dataclass(frozen=True, slots=True)
class SignInRequest:
    """What was noted when a browser was sent to an identity provider, or came back from there.

    Args:
        source: the provider.
        browser_hash: SHA-256 of what the browser holds in a cookie; blank if any may use it.
        given: what its adapter, or the next step, needs.
    """

    source: str
    browser_hash: str
    given: Mapping[str, Any]


class SignInRequests:
    """Those of one installation.

    Args:
        database: where they are kept.
        now: the moment, with time zone.
    """

    def __init__(self, database: Database, *, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    def keep(self, key_hash: str, request: SignInRequest, lasts: timedelta) -> None:
        """Keep one, by the SHA-256 of what names it; those that are over are forgotten."""
        now = self._now()
        values = {
            "key_hash": key_hash,
            "source": request.source,
            "browser_hash": request.browser_hash,
            "given": dict(request.given),
            "expires_at": now + lasts,
        }
        with self._database.write() as connection:
            connection.execute(delete(sign_in_request).where(sign_in_request.c.expires_at <= now))
            connection.execute(insert(sign_in_request).values(values))

    def take(self, key_hash: str, source: str) -> SignInRequest | None:
        """Use one up; ``None`` if there is none, it was used, or it has expired."""
        is_it = and_(sign_in_request.c.key_hash == key_hash, sign_in_request.c.source == source)
        with self._database.write() as connection:
            row = connection.execute(select(sign_in_request).where(is_it)).first()
            if row is None or connection.execute(delete(sign_in_request).where(is_it)).rowcount != 1:
                return None
        if row.expires_at <= self._now():
            return None
        return SignInRequest(row.source, row.browser_hash, row.given)

    def use_answer(self, key_hash: str, until: datetime) -> bool:
        """Note that an answer was used; false if it was before.

        Args:
            key_hash: SHA-256 of what names it.
            until: the moment from which on it is not valid any more, so that it may be forgotten.
        """
        try:
            with self._database.write() as connection:
                connection.execute(delete(used_answer).where(used_answer.c.expires_at <= self._now()))
                connection.execute(insert(used_answer).values(key_hash=key_hash, expires_at=until))
        except IntegrityError:
            return False
        return True
