"""Texts that were made before, as many as fit into a number of bytes; what was not asked for longest goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable


class Remembered:
    """A cache of texts. Safe for several threads.

    Args:
        max_characters: of all texts together; one that takes more than a hundredth of it is not kept.
    """

    def __init__(self, max_characters: int) -> None:
        self._max = max_characters
        self._held = 0
        self._texts: OrderedDict[Hashable, str] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], str]) -> str:
        """A text, made if it is not there; what fails is not remembered.

        Args:
            key: what decides the text, all of it.
            make: makes it.
        """
        with self._lock:
            text = self._texts.get(key)
            if text is not None:
                self._texts.move_to_end(key)
                return text
        made = make()
        if len(made) <= self._max // 100:
            with self._lock:
                self._held += len(made) - len(self._texts.pop(key, ""))
                self._texts[key] = made
                while self._held > self._max:
                    self._held -= len(self._texts.popitem(last=False)[1])
        return made
