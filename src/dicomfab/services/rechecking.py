"""Asks directories again, in the background, what they give to people who are signed in: no page waits for that."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Final

from dicomfab.model.account import Refusal
from dicomfab.model.errors import DicomFabError, DirectoryUnavailable
from dicomfab.services.sign_in_provider import Providers, SignInProvider
from dicomfab.storage.accounts import AccountRepository

log = logging.getLogger(__name__)

#: Of the 15 minutes for which an answer holds, some are left for a directory that is away for a moment.
_AGE: Final = timedelta(minutes=5)
_LOOK_S: Final = 20.0


class Rechecking:
    """Asks during a ``with`` block.

    Args:
        providers: the sources of accounts.
        accounts: where they are kept.
        now: the moment, with time zone.
        look_s: how often it is looked whether somebody is to be asked about, in seconds.
    """

    def __init__(
        self,
        providers: Providers,
        accounts: AccountRepository,
        now: Callable[[], datetime],
        look_s: float = _LOOK_S,
    ) -> None:
        self._providers = providers
        self._accounts = accounts
        self._now = now
        self._look_s = look_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recheck", daemon=True)

    def __enter__(self) -> Rechecking:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def look(self) -> int:
        """Ask about everybody whose turn it is; gives how many there were.

        Raises:
            LocalFailure: it cannot be found out whose turn it is.
        """
        return sum(self._look_at(directory) for directory in self._providers.directories())

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self.look()
            except DicomFabError as error:
                log.error("accounts of directories could not be looked through: %s", error.what)
            self._over.wait(self._look_s)

    def _look_at(self, directory: SignInProvider) -> int:
        asked = 0
        for account in self._accounts.to_check(directory.source, self._now() - _AGE):
            if self._over.is_set():
                break
            try:
                came = self._providers.check(directory, account)
            except DirectoryUnavailable as error:
                log.warning("%s could not be asked again: %s", directory.source, error.what)
                break
            asked += 1
            if isinstance(came, Refusal):
                log.info("account %d of %s has no access any more", account.id, directory.source)
        return asked
