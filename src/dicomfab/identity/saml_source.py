"""The metadata of the identity provider, kept and read again when they may have changed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from dicomfab.identity import saml_metadata
from dicomfab.identity.saml_fetch import from_address, from_file, is_address, unusable
from dicomfab.identity.saml_metadata import IdentityProvider
from dicomfab.identity.saml_values import Refused
from dicomfab.model.errors import DirectoryUnavailable

log = logging.getLogger(__name__)

_KEPT: Final = timedelta(hours=1)
_PAUSE: Final = timedelta(minutes=1)
# Who waits for a server that does not answer makes others wait behind him.
_RETRY: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class _Kept:
    provider: IdentityProvider
    read_at: datetime


class MetadataSource:
    """Where the metadata of one identity provider come from.

    A file is read again when it has changed; an address after an hour, and at most once a minute when a signature does
    not fit. When that fails, the last good ones stay in use until they end.

    Args:
        place: the path of a file, or an address.
        ca_file: as of :func:`~dicomfab.identity.saml_fetch.from_address`.
        now: the moment, with time zone.
    """

    def __init__(self, place: str, ca_file: str, now: Callable[[], datetime]) -> None:
        self._place = place
        self._ca_file = ca_file
        self._now = now
        self._lock = threading.Lock()
        self._kept: _Kept | None = None
        self._tried_at: datetime | None = None
        self._file: tuple[int, ...] = ()
        self._failure: DirectoryUnavailable | None = None

    def get(self) -> IdentityProvider:
        """As it describes itself now.

        Raises:
            DirectoryUnavailable: there are no metadata, or they have ended.
        """
        with self._lock:
            if self._is_due():
                self._read()
            return self._valid()

    def again(self) -> IdentityProvider | None:
        """Newer ones, as a signature did not fit; ``None`` if there are none, or it is too early to ask."""
        with self._lock:
            if not is_address(self._place) or self._within(self._tried_at, _PAUSE):
                return None
            before = self._kept
            self._read()
            kept = self._kept
            is_new = kept is not None and (before is None or kept.provider != before.provider)
            return self._valid() if is_new else None

    def _is_due(self) -> bool:
        if not is_address(self._place):
            return self._kept is None or self._look() != self._file
        if self._kept is None or self._has_ended(self._kept.provider):
            return self._kept is None or not self._within(self._tried_at, _PAUSE)
        return not self._within(self._kept.read_at, _KEPT) and not self._within(self._tried_at, _PAUSE)

    def _within(self, moment: datetime | None, span: timedelta) -> bool:
        """Whether a moment is less than so long ago; one to come is of a clock that was set back."""
        return moment is not None and timedelta(0) <= self._now() - moment < span

    def _look(self) -> tuple[int, ...]:
        try:
            about = Path(self._place).stat()
        except (OSError, ValueError):
            return ()
        return about.st_mtime_ns, about.st_size, about.st_ino

    def _read(self) -> None:
        failure = self._failure
        if failure is not None and is_address(self._place) and self._within(self._tried_at, _RETRY):
            raise DirectoryUnavailable(failure.what, cause=failure.cause, remedy=failure.remedy)
        self._file = self._look()
        try:
            self._kept = _Kept(self._fresh(), self._now())
            self._failure = None
        except DirectoryUnavailable as error:
            if self._kept is None:
                self._failure = error
                raise
            log.warning("%s %s Those read before stay in use.", error.what, error.cause)
        finally:
            self._tried_at = self._now()

    def _fresh(self) -> IdentityProvider:
        place = self._place
        data = from_address(place, self._ca_file) if is_address(place) else from_file(place)
        try:
            provider = saml_metadata.read(data)
        except Refused as error:
            raise unusable(place, str(error)) from error
        if self._has_ended(provider):
            raise unusable(place, f"they ended at {provider.valid_until}")
        return provider

    def _has_ended(self, provider: IdentityProvider) -> bool:
        return provider.valid_until is not None and provider.valid_until <= self._now()

    def _valid(self) -> IdentityProvider:
        kept = self._kept
        if kept is None:
            raise unusable(self._place, "they could not be read")
        if self._has_ended(kept.provider):
            raise unusable(self._place, f"they ended at {kept.provider.valid_until}")
        return kept.provider
