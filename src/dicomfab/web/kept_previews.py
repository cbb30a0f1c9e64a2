"""Previews that are on somebody's page, so that their pictures can be asked for without naming a patient."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from dicomfab.model.errors import NotFound

if TYPE_CHECKING:
    from dicomfab.fabricate.recipe import ResolvedStudy

_KEPT: Final = 200


class KeptPreviews:
    """The newest previews of this process; the oldest go when there are too many."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[str, ResolvedStudy]] = OrderedDict()

    def keep(self, owner: str, study: ResolvedStudy) -> str:
        """Keep one for whoever asked; its token is for his page alone."""
        token = secrets.token_urlsafe(16)
        with self._lock:
            self._kept[token] = owner, study
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return token

    def get(self, owner: str, token: str) -> ResolvedStudy:
        """One that is kept.

        Raises:
            NotFound: it is not, or it is another's.
        """
        with self._lock:
            found = self._kept.get(token)
        if found is None or found[0] != owner:
            raise NotFound("this preview is gone.", cause="it is too old", remedy="press Preview again")
        return found[1]
